"""The drain: a state machine without I/O that turns events into orders for hooks.

It is fed what happened and answers with what to do; `wakeup` says when it wants to be told that time has passed. It
reads no clock: every step is given the time (boot clock, seconds). The same happenings at the same times always give
the same orders, so a journal of its inputs is enough to rebuild it.

What holds after every step, whatever the order of ends, timeouts, upgrades and stops:

- a hook is started at most once, or once more each time it was lost with the daemon, unless it has ``rerun = false``.
  What it did for ``start`` counts for ``start`` only: it is ended if it still runs, and started anew for the stronger
  event that it is for as well, but never before the end of the earlier run was seen;
- a hook is started only when every hook of a lower stage that is for the same event is over, but for those in the
  background, which nothing waits for;
- a hook is over, or has been sent SIGKILL, by its *limit*: the deadline less the margin, less the reserves of the
  stages that have yet to begin, if these wait for it. So no hook uses another's reserve, and nothing runs up to the
  deadline;
- once the deadline has passed, the drain has finished.

When the time cannot hold all reserves, the hooks of the earlier stages are given up: a reserve is time that no
earlier hook may use.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from math import inf

from spotwatch.core.event import Event, EventKind
from spotwatch.core.hook import FAILURES, Hook, HookOutcome, HookStatus, OnFailure
from spotwatch.core.quantity import format_duration
from spotwatch.core.settings import DrainSettings
from spotwatch.drain.limits import REAP_SECONDS, Limits
from spotwatch.drain.orders import (
    EventCame,
    EventWithdrawn,
    Happening,
    HookEnded,
    HookLost,
    HookNotStarted,
    KillHook,
    Order,
    StartHook,
    StopAsked,
    TerminateHook,
    TimePassed,
)
from spotwatch.drain.progress import Phase, Progress

WORTH_STARTING_SECONDS = 0.1
"""With less than this a command would be killed while its interpreter starts; it is given up instead."""

MAY_HAVE_RUN = "it may have run before the daemon died"
RAN_FOR_START = "it ran for start"
END_UNSEEN = "its end was not seen after SIGKILL"


class Effect(Enum):
    """What an event did to the drain."""

    BEGAN = "began"
    UPGRADED = "upgraded"
    MOVED = "moved"
    RECORDED = "recorded"


class Drain:
    """One drain of one instance, from its first event to its last hook, upgrades included.

    Attributes:
        event: the strongest event so far that was not withdrawn; the hooks in force are those that are for it.
        deadline: when the instance has to be ready (boot clock, seconds).
        history: every event that came, with what it did.
    """

    def __init__(self, event: Event, hooks: Sequence[Hook], settings: DrainSettings) -> None:
        self.event = event
        self.deadline = event.deadline
        self.history: list[tuple[Event, Effect]] = [(event, Effect.BEGAN)]
        self.finished_at: float | None = None
        self._settings = settings
        self._stopped = False
        self._withdrawn = False
        self._given_since = event.seen_at
        self._hooks = tuple(sorted(hooks, key=lambda hook: hook.stage))
        self._progress: dict[str, Progress] = {}
        self._orders: list[Order] = []
        self._dealt: Limits | None = None
        self._add_hooks_for(event.kind)

    def step(self, happening: Happening, now: float) -> list[Order]:
        """Take in what happened and answer with what to do, in this order."""
        self._orders = []
        self._take_in(happening, now)
        self._end_what_is_due(now)
        self._begin_what_can_begin(now)
        if self.finished_at is None and all(p.phase is Phase.OVER for p in self._progress.values()):
            self.finished_at = now
        return self._orders

    def wakeup(self) -> float | None:
        """When to step with `TimePassed` if nothing else happens before; None once the drain has finished."""
        if self.finished_at is not None:
            return None
        changes = [self._limits.next_change(progress) for progress in self._progress.values() if progress.alive]
        starts = [] if self._held_back() else [self._limits.start_at(progress.hook) for progress in self._next_stage()]
        return min([*changes, *starts], default=self.deadline if self._progress else self._given_since)

    @property
    def outcomes(self) -> list[HookOutcome]:
        """What became of the hooks that are over, in the order of their stages."""
        return [p.outcome for p in self._in_order() if p.outcome is not None]

    @property
    def awaited(self) -> list[str]:
        """The names of the hooks for the event that are not over, but for those in the background."""
        return [p.hook.name for p in self._in_force() if not p.hook.background]

    @property
    def running(self) -> list[str]:
        """The names of the hooks that have a process."""
        return [p.hook.name for p in self._in_order() if p.alive]

    def hook(self, name: str) -> Hook:
        """The hook of this name."""
        return self._progress[name].hook

    def terminate_at(self, name: str) -> float | None:
        """When the hook of this name will be sent SIGTERM, as things stand; None if it does not run."""
        progress = self._progress.get(name)
        return None if progress is None or progress.phase is not Phase.RUNNING else self._limits.terminate_at(progress)

    @property
    def unseen(self) -> list[str]:
        """The names of the hooks that were counted as over although nobody saw their end."""
        return [p.hook.name for p in self._in_order() if p.end_unseen]

    def standing_orders(self) -> list[Order]:
        """The orders to end what may be alive, for somebody who does not know whether they were obeyed."""
        terminate = [TerminateHook(p.hook.name) for p in self._in_order() if p.phase is Phase.TERMINATING]
        kill = [KillHook(p.hook.name) for p in self._in_order() if p.phase is Phase.KILLED or p.end_unseen]
        return [*terminate, *kill]

    # What happened

    def _take_in(self, happening: Happening, now: float) -> None:
        match happening:
            case EventCame(event):
                self._take_event(event, now)
            case EventWithdrawn(kind):
                if kind is self.event.kind and not kind.is_interruption:
                    self._withdrawn = True
                    self._settle_unwanted(now)
            case HookEnded(name, exit_code, signal):
                self._take_end(self._progress[name], exit_code, signal, now)
            case HookNotStarted(name, reason):
                if self._progress[name].alive:
                    self._settle(self._progress[name], HookStatus.NOT_STARTED, now, reason=reason)
                    self._run_if_undone(self._progress[name], now)
            case HookLost(name):
                self._take_loss(self._progress[name], now)
            case StopAsked():
                self._stop(now)
            case TimePassed():
                pass

    def _take_event(self, event: Event, now: float) -> None:
        effect = self._effect_of(event)
        self.history.append((event, effect))
        if effect is Effect.MOVED:
            self.deadline, self._dealt = event.deadline, None
        elif effect is Effect.UPGRADED:
            self._upgrade(event, now)

    def _effect_of(self, event: Event) -> Effect:
        if self._stopped:
            return Effect.RECORDED
        if self._withdrawn or event.kind.strength > self.event.kind.strength:
            return Effect.UPGRADED
        if event.kind is self.event.kind and event.deadline < self.deadline:
            return Effect.MOVED
        return Effect.RECORDED

    def _upgrade(self, event: Event, now: float) -> None:
        self.event, self.deadline, self._given_since = event, event.deadline, event.seen_at
        self._dealt = None
        self.finished_at, self._withdrawn = None, False
        self._settle_unwanted(now)
        # What arms the instance (joining a name service, say) is the opposite of what drains it.
        for progress in self._select(lambda p: p.alive and not p.counts_for(event.kind)):
            progress.in_the_way = True
            if progress.phase is Phase.RUNNING:
                self._terminate(progress, HookStatus.SUPERSEDED, now)
        self._add_hooks_for(event.kind)

    def _add_hooks_for(self, kind: EventKind) -> None:
        """Make the hooks for this event pending, also those for which what they did before does not count."""
        for hook in self._hooks:
            known = self._progress.get(hook.name)
            if known is not None:
                self._renew_if_undone(known)
            elif kind in hook.on:
                self._progress[hook.name] = Progress(hook)
        self._progress = dict(sorted(self._progress.items(), key=lambda item: item[1].hook.stage))
        self._dealt = None

    def _renew_if_undone(self, known: Progress) -> None:
        """Make a hook pending again if it has yet to run for the event; one that may still be alive has failed it."""
        kind, outcome = self.event.kind, known.outcome
        if outcome is None or kind not in known.hook.on or not known.undone_for(kind):
            return
        if known.end_unseen:
            reason = f"{END_UNSEEN}, so it was not run for {kind}"
            known.outcome = replace(outcome, status=HookStatus.KILLED, reason=reason)
            return
        earlier = known.earlier or ("" if outcome.started_at is None else RAN_FOR_START)
        self._progress[known.hook.name] = Progress(known.hook, earlier=earlier)
        self.finished_at = self._dealt = None

    def _take_end(self, progress: Progress, exit_code: int | None, signal: int | None, now: float) -> None:
        if progress.phase is Phase.RUNNING:
            status = _status_of(exit_code, signal)
        elif progress.phase is Phase.KILLED and progress.ending is HookStatus.TIMED_OUT:
            status = HookStatus.KILLED
        else:
            status = progress.ending
        if progress.alive:
            self._settle(progress, status, now, exit_code=exit_code, signal=signal)
            self._run_if_undone(progress, now)
        elif progress.end_unseen:
            progress.end_unseen = False
            self._run_if_undone(progress, now)

    def _run_if_undone(self, progress: Progress, now: float) -> None:
        """Let a hook that had to be gone first have its turn, if the event that it is for still stands."""
        self._renew_if_undone(progress)
        self._settle_unwanted(now)

    def _take_loss(self, progress: Progress, now: float) -> None:
        """Run it again if it may be, and if it is still wanted."""
        if progress.phase is not Phase.RUNNING:
            self._take_end(progress, None, None, now)
        elif not progress.hook.rerun:
            progress.earlier = MAY_HAVE_RUN
            self._settle(progress, HookStatus.LOST, now, reason="the daemon died meanwhile, and rerun = false")
        else:
            progress.phase, progress.earlier = Phase.PENDING, MAY_HAVE_RUN
            self._dealt = None
            self._settle_unwanted(now)

    def _settle_unwanted(self, now: float) -> None:
        """Settle what is pending although the drain is to end, or its event is over or followed by a stronger one."""
        if self._stopped:
            self._cancel_pending("the daemon was told to stop", now)
        elif self._withdrawn:
            self._cancel_pending(f"the {self.event.kind} event was withdrawn", now)
        for progress in self._select(lambda p: p.phase is Phase.PENDING and self.event.kind not in p.hook.on):
            self._settle(progress, HookStatus.SUPERSEDED, now, reason=f"not for {self.event.kind}")

    def _stop(self, now: float) -> None:
        self._stopped = True
        self._settle_unwanted(now)
        for progress in self._select(lambda p: p.phase is Phase.RUNNING):
            self._terminate(progress, HookStatus.CANCELED, now)

    def _cancel_pending(self, reason: str, now: float) -> None:
        for progress in self._select(lambda p: p.phase is Phase.PENDING):
            self._settle(progress, HookStatus.CANCELED, now, reason=reason)

    # Whose time is up

    def _end_what_is_due(self, now: float) -> None:
        for progress in self._in_order():
            if progress.phase is Phase.RUNNING and self._is_due(progress, now):
                self._terminate(progress, HookStatus.TIMED_OUT, now)
            if progress.phase is Phase.TERMINATING and self._is_due(progress, now):
                self._orders.append(KillHook(progress.hook.name))
                progress.phase, progress.phase_ends_at = Phase.KILLED, now + REAP_SECONDS
            if progress.phase is Phase.KILLED and self._is_due(progress, now):
                ending = HookStatus.KILLED if progress.ending is HookStatus.TIMED_OUT else progress.ending
                self._settle(progress, ending, now, reason=END_UNSEEN)
                progress.end_unseen = True
                self._renew_if_undone(progress)

    def _is_due(self, progress: Progress, now: float) -> bool:
        return now >= self._limits.next_change(progress)

    def _terminate(self, progress: Progress, ending: HookStatus, now: float) -> None:
        self._orders.append(TerminateHook(progress.hook.name))
        progress.phase, progress.ending = Phase.TERMINATING, ending
        progress.phase_ends_at = now + self._limits.grace(progress)

    # Whose turn it is

    def _begin_what_can_begin(self, now: float) -> None:
        while self._settle_hopeless(now):
            pass  # a hook given up or skipped may free the next stage, or fail it
        if self._held_back():
            return
        for progress in self._next_stage():
            if now >= self._limits.start_at(progress.hook):
                self._start(progress, now)

    def _held_back(self) -> bool:
        """Whether hooks of the weaker event have to be gone first, since they do the opposite."""
        return any(p.alive and p.in_the_way for p in self._progress.values())

    def _settle_hopeless(self, now: float) -> bool:
        """Skip what a failure rules out and give up what has no time left; whether there was any."""
        failed = [p.hook for p in self._progress.values() if p.outcome and p.outcome.status in FAILURES]
        stopping = [h for h in failed if h.on_failure is OnFailure.STOP and self.event.kind in h.on]
        for progress in self._select(lambda p: p.phase is Phase.PENDING and not p.hook.always):
            cause = next((hook for hook in stopping if hook.stage < progress.hook.stage), None)
            if cause is not None:
                self._settle(progress, HookStatus.SKIPPED, now, reason=f"{cause.name} (stage {cause.stage}) failed")
                return True
        for progress in self._next_stage():
            if self._limits.limit(progress) - max(now, self._limits.start_at(progress.hook)) < WORTH_STARTING_SECONDS:
                self._settle(progress, HookStatus.GIVEN_UP, now, reason=self._why_no_time(progress, now))
                return True
        return False

    def _next_stage(self) -> list[Progress]:
        """The pending hooks whose turn it is: of those for this event, none of a lower stage is pending or alive.

        What still runs for a weaker event has its limit and holds up nothing, and neither does the background.
        """
        in_force = self._in_force()
        reached = next((p.hook.stage for p in in_force if not p.hook.background), inf)
        return [p for p in in_force if p.phase is Phase.PENDING and p.hook.stage <= reached]

    def _in_force(self) -> list[Progress]:
        """The hooks for this event that are not over."""
        return [p for p in self._in_order() if p.phase is not Phase.OVER and self.event.kind in p.hook.on]

    def _start(self, progress: Progress, now: float) -> None:
        progress.phase, progress.started_at, progress.began_for = Phase.RUNNING, now, self.event.kind
        self._dealt = None
        progress.allowed = self._limits.terminate_at(progress) - now
        self._orders.append(StartHook(progress.hook, progress.allowed))

    def _why_no_time(self, progress: Progress, now: float) -> str:
        before, reserved = progress.hook.start_before, self._limits.reserved_from(progress)
        if before is not None and now < self._limits.start_at(progress.hook):
            taken = f"the {format_duration(reserved)} reserved for later stages" if reserved else "the margin"
            return f"its start, {format_duration(before)} before the deadline, lies in {taken}"
        left = format_duration(max(0.0, self.deadline - now))
        return f"{left} left" + (f", and later stages have {format_duration(reserved)} reserved" if reserved else "")

    # How much time there is

    @property
    def _limits(self) -> Limits:
        """The time as it is dealt out now; reckoned anew only when a hook has moved on, or the deadline has."""
        if self._dealt is None:
            pending = [progress.hook for progress in self._select(lambda p: p.phase is Phase.PENDING)]
            self._dealt = Limits(self._settings, self.deadline, self._given_since, pending)
        return self._dealt

    # Book-keeping

    def _settle(
        self,
        progress: Progress,
        status: HookStatus,
        now: float,
        *,
        reason: str = "",
        exit_code: int | None = None,
        signal: int | None = None,
    ) -> None:
        ran = progress.alive and status is not HookStatus.NOT_STARTED
        if progress.earlier and not ran:
            reason = f"{reason}; {progress.earlier}"
        progress.phase = Phase.OVER
        self._dealt = None
        progress.outcome = HookOutcome(
            hook=progress.hook.name,
            stage=progress.hook.stage,
            status=status,
            reason=reason,
            started_at=progress.started_at if ran else None,
            ended_at=now,
            exit_code=exit_code,
            signal=signal,
            allowed=progress.allowed if ran else None,
            timeout=progress.hook.timeout,
        )

    def _in_order(self) -> list[Progress]:
        return list(self._progress.values())

    def _select(self, wanted: Callable[[Progress], bool]) -> list[Progress]:
        return [progress for progress in self._in_order() if wanted(progress)]


def _status_of(exit_code: int | None, signal: int | None) -> HookStatus:
    """How a hook ended that nobody had ended."""
    if exit_code is None and signal is None:
        return HookStatus.ENDED
    return HookStatus.SUCCEEDED if exit_code == 0 else HookStatus.FAILED
