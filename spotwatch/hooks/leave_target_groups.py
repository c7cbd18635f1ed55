"""``leave-target-groups``: no load balancer sends new requests, and those that are on their way have been answered.

Deregistering is what counts, and is done first, in all groups at once; then it is waited until no target of ours drains
any more. The load balancer shows a target as draining for the whole deregistration delay, also when its last request
was answered long ago, so with the default delay of 300 s the wait is cut at every Spot interruption: set the delay of
the groups below what the drain can spare (Elastic Load Balancing user guide, "Deregistration delay").
"""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from spotwatch.core.errors import AwsError, AwsNotFound, NotInTime, SpotwatchError, Transient
from spotwatch.core.target_group import InstanceAddresses, Target, TargetGroup
from spotwatch.hooks.own_instance import own_instance
from spotwatch.hooks.services import Clock, Services, TargetGroups
from spotwatch.hooks.side_by_side import CUT, Answers, in_time, side_by_side
from spotwatch.hooks.time_left import TimeLeft

SUMMARY = "deregister the instance and its addresses from all target groups, and wait until they have drained"
IAM_ACTIONS: tuple[str, ...] = (
    "ec2:DescribeInstances",
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetHealth",
    "elasticloadbalancing:DeregisterTargets",
    "elasticloadbalancing:DescribeTargetGroupAttributes",
)

POLL_SECONDS: Final = 1.0
"""Between two looks at targets that drain."""

ADDRESSES_SHARE: Final = 0.25
"""Of the time, at the most, for learning our addresses: if EC2 does not answer, our instance id still leaves."""

DELAYS_SECONDS: Final = 3.0
"""For learning how long the groups drain, which only makes the message better."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the words of its command line."""
    parser.add_argument(
        "--target-group",
        metavar="ARN",
        dest="arns",
        type=_arn,
        action="append",
        default=[],
        help="look into this target group only, which is quicker where there are many; may be repeated (default: all "
        "groups of instances, and all groups of addresses in the VPCs of the instance)",
    )


def _arn(text: str) -> str:
    if not text.startswith("arn:") or len(text.split(":")) != 6 or not text.split(":")[5].startswith("targetgroup/"):
        raise ArgumentTypeError(
            f'"{text}": write the ARN of a target group, such as '
            "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/0123456789abcdef"
        )
    return text


def run(arguments: Namespace, services: Services, *, dry_run: bool) -> int:
    """Leave them; 75 if the wait was cut by the deadline, else the exit code of the first error.

    Raises:
        SpotwatchError: nothing could be done at all.
    """
    if dry_run and "SPOTWATCH_REHEARSAL" in services.environment:
        print("would deregister the instance from its target groups, and wait until it has drained")
        return 0
    instance = own_instance(services)
    until = TimeLeft.of(services).until
    aws = in_time(lambda: services.target_groups(instance.region, until), until, services.clock, "AWS")
    work = _Work(aws, services.clock, until, InstanceAddresses(instance.id))
    work.learn_addresses()
    groups = [TargetGroup(arn) for arn in arguments.arns] or work.groups()
    return work.preview(groups) if dry_run else work.leave(groups)


@dataclass(slots=True)
class _Work:
    """One run of the hook.

    Attributes:
        mine: what targets of ours can be registered as.
        errors: what went wrong, and in which groups.
    """

    aws: TargetGroups
    clock: Clock
    until: float
    mine: InstanceAddresses
    errors: dict[tuple[str, str, int], list[str]] = field(default_factory=dict)

    def learn_addresses(self) -> None:
        """Our addresses, which only EC2 knows; without them the targets by instance id are still found."""
        until = self.clock.now() + (self.until - self.clock.now()) * ADDRESSES_SHARE
        try:
            self.mine = in_time(
                lambda: self.aws.addresses_of(self.mine.instance_id), until, self.clock, "ec2:DescribeInstances"
            )
        except (AwsError, NotInTime) as error:
            self._failed("its addresses", error)

    def groups(self) -> list[TargetGroup]:
        """The groups that may hold us."""
        found = in_time(self.aws.groups, self.until, self.clock, "elasticloadbalancing:DescribeTargetGroups")
        return [group for group in found if self.mine.may_be_in(group)]

    def preview(self, groups: Sequence[TargetGroup]) -> int:
        """Say what would be done."""
        looked = side_by_side({group: partial(self._ours, group) for group in groups}, self.until, self.clock)
        for group, ours in looked.found.items():
            for target in ours:
                print(f"would deregister {target.id} port {target.port} ({target.state}) from {group.name}")
        if not any(looked.found.values()):
            print(f"{self.mine.instance_id} is in none of {_count(groups)}")
        return self._end(looked, set())

    def leave(self, groups: Sequence[TargetGroup]) -> int:
        """Deregister everywhere, then wait."""
        began = self.clock.now()
        asked = side_by_side({group: partial(self._deregister, group) for group in groups}, self.until, self.clock)
        left = [group for group, had in asked.found.items() if had]
        draining = self._wait(left)
        if left:
            drained = sorted(group.name for group in set(left) - draining)
            print(
                f"deregistered {self.mine.instance_id} from {_count(left)}; drained after "
                f"{self.clock.now() - began:.1f} s: {', '.join(drained) or 'none'}"
            )
        elif not asked.failed and not asked.missing:
            print(f"{self.mine.instance_id} is in none of {_count(groups)}: nothing to leave")
        return self._end(asked, draining)

    def _ours(self, group: TargetGroup) -> list[Target]:
        return [target for target in self.aws.targets(group.arn) if self.mine.has(target.id)]

    def _deregister(self, group: TargetGroup) -> bool:
        """Begin it; whether there was anything of ours, draining or not. A group may be deleted in the meantime."""
        try:
            ours = self._ours(group)
            staying = [target for target in ours if not target.is_draining]
            if staying:
                self.aws.deregister(group.arn, staying)
        except AwsNotFound:
            if group.was_named:
                raise
            return False
        return bool(ours)

    def _wait(self, left: Sequence[TargetGroup]) -> set[TargetGroup]:
        """Until none drains; the groups where one still does at the deadline."""
        waiting = set(left)
        told = False
        while waiting:
            looked = side_by_side({group: partial(self._ours, group) for group in waiting}, self.until, self.clock)
            waiting -= {group for group, ours in looked.found.items() if not any(target.is_used for target in ours)}
            waiting -= self._given_up(looked.failed)
            if not told:
                self._say_what_takes_too_long(waiting)
                told = True
            if not waiting or self.clock.now() >= self.until:
                break
            self.clock.sleep(min(POLL_SECONDS, self.until - self.clock.now()))
        return waiting

    def _given_up(self, failed: Mapping[TargetGroup, SpotwatchError]) -> set[TargetGroup]:
        """Groups that there is no sense in asking again: it would be refused again."""
        given_up = set()
        for group, error in failed.items():
            if isinstance(error, AwsNotFound):
                given_up.add(group)
            elif not isinstance(error, Transient):
                self._failed(group.name, error)
                given_up.add(group)
        return given_up

    def _say_what_takes_too_long(self, waiting: Collection[TargetGroup]) -> None:
        """Groups that will still drain at the deadline; nothing of a group that does not say how long it takes."""
        until = min(self.until, self.clock.now() + DELAYS_SECONDS)
        asked = side_by_side(
            {group: partial(self.aws.deregistration_delay, group.arn) for group in waiting}, until, self.clock
        )
        time_left = self.until - self.clock.now()
        for group, delay in sorted(asked.found.items(), key=lambda entry: entry[0].name):
            if delay is not None and delay > time_left:
                print(
                    f"{group.name} drains for {delay:g} s, and {time_left:.0f} s are left: lower its "
                    "deregistration_delay.timeout_seconds",
                    flush=True,
                )

    def _failed(self, what: str, error: SpotwatchError) -> None:
        self.errors.setdefault((error.message, error.hint, error.exit_code), []).append(what)

    def _end(self, asked: Answers[TargetGroup, Any], draining: Collection[TargetGroup]) -> int:
        """Say what is missing; the exit code. The error of all groups is told once."""
        for group, error in asked.failed.items():
            self._failed(group.name, error)
        for (message, hint, _), where in self.errors.items():
            print(f"missing: {', '.join(sorted(where))}: {message}{f'; {hint}' if hint else ''}")
        cut = [f"{group.name} (still draining)" for group in draining]
        cut += [f"{group.name} (no answer)" for group in asked.missing]
        if cut:
            print(f"cut by the deadline: {', '.join(sorted(cut))}")
        codes = [code for _, _, code in self.errors]
        return codes[0] if codes else (CUT if cut else 0)


def _count(groups: Sequence[TargetGroup]) -> str:
    return f"{len(groups)} target group{'' if len(groups) == 1 else 's'}"
