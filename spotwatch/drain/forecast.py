"""Whether the time adds up: the drain machine run ahead in its own virtual time, every hook taking all it may."""

from collections.abc import Sequence

from spotwatch.core.event import Event, EventKind
from spotwatch.core.hook import Hook, HookOutcome, HookStatus
from spotwatch.core.settings import DrainSettings
from spotwatch.drain.machine import Drain
from spotwatch.drain.orders import Happening, HookEnded, StartHook, TerminateHook, TimePassed


def forecast(hooks: Sequence[Hook], settings: DrainSettings, kind: EventKind, seconds: float) -> list[HookOutcome]:
    """What becomes of the hooks in the worst case, when the deadline is this many seconds away.

    Each hook runs for its whole timeout, or for all it is given if it has none, and then obeys SIGTERM.
    """
    drain = Drain(Event(kind, kind.value, None, 0.0, seconds), hooks, settings)
    ends: dict[str, float] = {}
    happening: Happening = TimePassed()
    now = 0.0
    while True:
        for order in drain.step(happening, now):
            if isinstance(order, StartHook):
                ends[order.hook.name] = now + (seconds if order.hook.timeout is None else order.hook.timeout)
            elif isinstance(order, TerminateHook):
                ends[order.hook] = now
        wakeup = drain.wakeup()
        if wakeup is None:
            return drain.outcomes
        first = min(ends, key=lambda name: ends[name], default="")
        if first and ends[first] <= wakeup:
            now, happening = ends.pop(first), HookEnded(first, 0, None)
        else:
            now, happening = max(now, wakeup), TimePassed()


def falls_short(outcome: HookOutcome) -> bool:
    """Whether this outcome of a forecast means that the time is too short for the hook.

    A hook without a timeout of its own takes what it gets; one that reaches its timeout has had all of its time.
    """
    if outcome.status is HookStatus.GIVEN_UP:
        return True
    had_less = outcome.timeout is not None and (outcome.allowed or 0.0) < outcome.timeout - 0.05
    return outcome.status is HookStatus.TIMED_OUT and had_less
