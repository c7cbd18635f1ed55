"""``leave-auto-scaling``: the Auto Scaling group knows that it loses the instance, and waits for its drain to end.

Standby, detach and unhealthy are for what the group does not know of yet: a Spot interruption, a rebalance
recommendation. A lifecycle event comes from the group itself, which waits for every lifecycle hook of the termination
until its heartbeat timeout is over or somebody completes the action. No queue or topic is needed for that: the group
and its lifecycle hooks are asked for by their names.

The hooks of a stage begin when those of the stage before are over, so one that sends heartbeats cannot run through all
of the drain. ``--heartbeat`` therefore runs beside the hooks of its own stage and ends with them, after one more
heartbeat for the stages that follow; every long stage has its own. The action is completed by a hook of the last stage
with ``always = true``, so also after failures. If that one fails too, the group goes on by itself after the last
heartbeat's timeout.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from spotwatch.core.auto_scaling import DETACHING, STANDBY, Member, TerminationHook
from spotwatch.core.errors import NotInTime, SpotwatchError, UsageError
from spotwatch.hooks.own_instance import own_instance
from spotwatch.hooks.services import AutoScaling, Clock, Services
from spotwatch.hooks.side_by_side import CUT, in_time, side_by_side
from spotwatch.hooks.time_left import TimeLeft

SUMMARY = "put the instance into standby, detach it or have it replaced; hold up and complete a lifecycle action"
IAM_ACTIONS: tuple[str, ...] = (
    "autoscaling:DescribeAutoScalingInstances",
    "autoscaling:EnterStandby",
    "autoscaling:DetachInstances",
    "autoscaling:SetInstanceHealth",
    "autoscaling:DescribeLifecycleHooks",
    "autoscaling:RecordLifecycleActionHeartbeat",
    "autoscaling:CompleteLifecycleAction",
)

POLL_SECONDS: Final = 1.0
"""Between two looks at the instance's state, or at the hooks beside us."""

BEATS: Final = 3
"""Heartbeats in one heartbeat timeout, so that two of them may fail."""

BEAT_SECONDS: Final = 5.0
"""For one heartbeat: a stage is not held up by an endpoint that does not answer."""

STALE_SECONDS: Final = 10.0
"""For which a state without any termination is not believed after the metadata service has announced one."""

LIFECYCLE: Final = "lifecycle"

_Answer = TypeVar("_Answer")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the words of its command line."""
    parser.add_argument(
        "--how",
        choices=("standby", "detach", "unhealthy", LIFECYCLE),
        help="standby, detach: out of service now, and the group launches a replacement; unhealthy: the group replaces "
        "it, and terminates it soon; lifecycle: complete the lifecycle action that the group waits for (default: "
        "lifecycle for a lifecycle event, else detach)",
    )
    parser.add_argument(
        "--decrement",
        action="store_true",
        help="with standby and detach: lower the desired capacity by one, so that no replacement is launched",
    )
    parser.add_argument(
        "--heartbeat",
        action="store_true",
        help="with lifecycle: complete nothing, but hold the action up while the other hooks of this stage run",
    )
    parser.add_argument(
        "--lifecycle-hook",
        metavar="NAME",
        dest="names",
        action="append",
        default=[],
        help="this lifecycle hook only; may be repeated (default: all for terminating instances)",
    )
    parser.add_argument(
        "--result",
        choices=("CONTINUE", "ABANDON"),
        default="CONTINUE",
        help="of the lifecycle action; either way the instance is terminated, with ABANDON without waiting for other "
        "lifecycle hooks (default: CONTINUE)",
    )


def run(arguments: Namespace, services: Services, *, dry_run: bool) -> int:
    """Do it; 75 if a wait was cut by the deadline.

    Raises:
        SpotwatchError: it could not be done.
    """
    how = arguments.how or (LIFECYCLE if services.environment.get("SPOTWATCH_EVENT") == LIFECYCLE else "detach")
    _refuse_contradictions(arguments, how)
    if dry_run and "SPOTWATCH_REHEARSAL" in services.environment:
        print(f"would leave the Auto Scaling group: {how}{', heartbeats only' if arguments.heartbeat else ''}")
        return 0
    work = _Work.begin(services)
    member = work.look()
    if member is None:
        print(f"{work.instance_id} is in no Auto Scaling group: nothing to leave")
        return 0
    if how == LIFECYCLE:
        return _lifecycle(work, services, member, arguments, dry_run=dry_run)
    return _leave(work, member, how, decrement=arguments.decrement, dry_run=dry_run)


def _refuse_contradictions(arguments: Namespace, how: str) -> None:
    if arguments.heartbeat and how != LIFECYCLE:
        raise UsageError("--heartbeat is for --how lifecycle", hint="add --how lifecycle")
    if arguments.decrement and how not in ("standby", "detach"):
        raise UsageError("--decrement is for --how standby and --how detach", hint=f"leave it out with {how}")


@dataclass(frozen=True, slots=True)
class _Work:
    """What all of it is done with."""

    aws: AutoScaling
    clock: Clock
    time: TimeLeft
    instance_id: str

    @classmethod
    def begin(cls, services: Services) -> "_Work":
        instance = own_instance(services)
        time = TimeLeft.of(services)
        aws = in_time(lambda: services.auto_scaling(instance.region, time.until), time.until, services.clock, "AWS")
        return cls(aws, services.clock, time, instance.id)

    def do(self, what: str, job: Callable[[], _Answer]) -> _Answer:
        """The answer; `NotInTime` if it does not come by the deadline."""
        return in_time(job, self.time.until, self.clock, f"autoscaling:{what}")

    def look(self) -> Member | None:
        return self.do("DescribeAutoScalingInstances", lambda: self.aws.member(self.instance_id))

    def wait(self, is_done: Callable[[Member | None], bool]) -> Member | None:
        """Look until it is as it should be.

        Raises:
            NotInTime: it is not by the deadline.
        """
        while not is_done(member := self.look()):
            self.clock.sleep(min(POLL_SECONDS, max(0.0, self.time.until - self.clock.now())))
            if self.clock.now() >= self.time.until:
                raise NotInTime(
                    f"cut by the deadline: {self.instance_id} is still {_state(member)}", hint="it goes on without us"
                )
        return member


def _state(member: Member | None) -> str:
    return "in no group" if member is None else f"{member.state} in {member.group}"


def _leave(work: _Work, member: Member, how: str, *, decrement: bool, dry_run: bool) -> int:
    """Standby, detach or unhealthy, and its effect."""
    if dry_run:
        print(f"would have {how} for {member.instance_id}, which is {_state(member)}")
        return 0
    if member.is_leaving and not (how == "detach" and member.state == DETACHING):
        print(f"{member.instance_id} is {_state(member)}: it leaves already")
        return 0
    began = work.clock.now()
    match how:
        case "standby":
            if not member.state.endswith(STANDBY):
                work.do("EnterStandby", lambda: work.aws.enter_standby(member, decrement=decrement))
            after = work.wait(lambda now: now is None or now.is_leaving or now.state == STANDBY)
        case "detach":
            if member.state != DETACHING:
                work.do("DetachInstances", lambda: work.aws.detach(member, decrement=decrement))
            after = work.wait(lambda now: now is None or now.state == "Detached" or "Terminat" in now.state)
        case _:
            work.do("SetInstanceHealth", lambda: work.aws.set_unhealthy(member))
            after = work.wait(lambda now: now is None or now.is_leaving or not now.is_healthy)
    shown = f"{_state(after)}{' and unhealthy' if after and not after.is_healthy else ''}"
    print(f"{how} of {member.instance_id} from {member.group}: {shown} after {work.clock.now() - began:.1f} s")
    return 0


def _lifecycle(work: _Work, services: Services, member: Member, arguments: Namespace, *, dry_run: bool) -> int:
    """Hold up the lifecycle actions of the termination, or complete them."""
    hooks = [
        hook
        for hook in work.do("DescribeLifecycleHooks", lambda: work.aws.termination_hooks(member.group))
        if not arguments.names or hook.name in arguments.names
    ]
    if missing := sorted(set(arguments.names) - {hook.name for hook in hooks}):
        raise UsageError(f"{member.group} has no lifecycle hook {missing[0]} for terminating instances")
    if not hooks:
        print(f"{member.group} has no lifecycle hook for terminating instances: nothing waits for us")
        return 0
    if dry_run:
        names = ", ".join(hook.name for hook in hooks)
        print(f"would {'hold up' if arguments.heartbeat else 'complete'} {names} of {_state(member)}")
        return 0
    if arguments.heartbeat:
        return _Heart(work, services, hooks).run()
    return _complete(work, services, hooks, arguments.result)


def _complete(work: _Work, services: Services, hooks: Sequence[TerminationHook], result: str) -> int:
    """End the actions, as soon as they have begun; another one that is not ours may go on."""
    now = work.wait(_begun(services, work.clock))
    if now is None or not now.is_held_up:
        print(f"{work.instance_id} is {_state(now)}: it waits for no lifecycle action")
        return 0
    answers = side_by_side(
        {hook.name: partial(work.aws.complete, now, hook.name, result) for hook in hooks}, work.time.until, work.clock
    )
    for name, was_active in sorted(answers.found.items()):
        done = f"completed with {result}" if was_active else "has no action (any more)"
        print(f"lifecycle hook {name} of {now.group}: {done}", flush=True)
    for error in answers.failed.values():
        raise error
    if answers.missing:
        raise NotInTime(f"cut by the deadline: no answer yet to the completion of {', '.join(sorted(answers.missing))}")
    return 0


def _begun(services: Services, clock: Clock) -> Callable[[Member | None], bool]:
    """Whether the lifecycle action has begun, or is not to be expected: it begins a moment after its announcement."""
    announced = services.environment.get("SPOTWATCH_ACTION", "").endswith("Terminated")
    stale_until = clock.now() + (STALE_SECONDS if announced else 0.0)

    def has_begun(member: Member | None) -> bool:
        if member is None or member.is_held_up:
            return True
        return not member.may_be_held_up_soon and (member.is_leaving or clock.now() >= stale_until)

    return has_begun


class _Heart:
    """Heartbeats while the other hooks of our stage run."""

    def __init__(self, work: _Work, services: Services, hooks: Sequence[TerminationHook]) -> None:
        self._work = work
        self._services = services
        self._hooks = hooks
        self._timeout = min(hook.heartbeat_timeout for hook in hooks)
        self._beats = 0
        self._is_over = False
        self._error: SpotwatchError | None = None

    def run(self) -> int:
        """Until they are over; the exit code is that of the last heartbeat's error."""
        member = self._work.wait(_begun(self._services, self._work.clock))
        if member is None or not member.is_held_up:
            print(f"{self._work.instance_id} is {_state(member)}: there is no lifecycle action to be held up")
            return 0
        self._beat(member)
        reason, cut = self._why_once(), False
        if not reason:
            cut = not self._beat_while_others_run(member)
            reason = "cut by the deadline, while other hooks of the stage ran" if cut else self._why_ended()
        names = ", ".join(hook.name for hook in self._hooks)
        print(f"{self._beats} heartbeats, {self._timeout:g} s each, to {names}: {reason}")
        if self._error is not None:
            raise self._error
        return CUT if cut else 0

    def _why_once(self) -> str:
        """Why one heartbeat is enough, or all that can be sent; empty: more are wanted."""
        if self._is_over:
            return "the action is over already"
        deadline = self._work.time.deadline
        if deadline is None:
            return "there is no drain whose end could be waited for"
        if self._error is None and self._timeout >= (left := deadline - self._work.clock.now()):
            return f"no more are needed in {left:.0f} s"
        return "" if self._services.stage_companions() is not None else "the journal does not say who else runs"

    def _why_ended(self) -> str:
        return "the action is over" if self._is_over else "the other hooks of the stage are over"

    def _beat_while_others_run(self, member: Member) -> bool:
        """Whether they were over before our time was."""
        clock, interval = self._work.clock, self._timeout / BEATS
        due = clock.now() + interval
        while self._services.stage_companions() and not self._is_over:
            left = self._work.time.until - clock.now()
            if left <= 0:
                return False
            clock.sleep(min(POLL_SECONDS, left))
            if clock.now() >= due:
                self._beat(member)
                due = clock.now() + interval
        if not self._is_over:
            self._beat(member)
        return True

    def _beat(self, member: Member) -> None:
        """One to each lifecycle hook; an error counts only if the next one fails too."""
        until = min(self._work.time.until, self._work.clock.now() + BEAT_SECONDS)
        aws = self._work.aws
        answers = side_by_side(
            {hook.name: partial(aws.heartbeat, member, hook.name) for hook in self._hooks}, until, self._work.clock
        )
        self._beats += 1
        self._error = next(iter(answers.failed.values()), None)
        self._is_over = bool(answers.found) and not any(answers.found.values())
        if answers.missing:
            self._error = NotInTime(
                f"no answer to the heartbeat of {', '.join(sorted(answers.missing))} within {BEAT_SECONDS:g} s"
            )
