"""Whether the time adds up: the drain machine run ahead in its own virtual time, every hook taking all it may."""

from collections.abc import Sequence

from spotwatch.core.event import Event, EventKind
from spotwatch.core.hook import Hook, HookOutcome, HookStatus
from spotwatch.core.settings import DrainSettings
from spotwatch.drain.machine import Drain
from spotwatch.drain.orders import Happening, HookEnded, KillHook, StartHook, TimePassed


def forecast(hooks: Sequence[Hook], settings: DrainSettings, kind: EventKind, seconds: float) -> list[HookOutcome]:
    """What becomes of the hooks in the worst case, when the deadline is this many seconds away.

    Each hook runs for its whole timeout and then succeeds; one that has none, or less time than that, runs for all that
    it is given and takes no notice of SIGTERM.
    """
    drain = Drain(Event(kind, kind.value, None, 0.0, seconds), hooks, settings)
    ends: dict[str, float] = {}
    happening: Happening = TimePassed()
    now = 0.0
    while True:
        for order in drain.step(happening, now):
            if isinstance(order, StartHook):
                ends[order.hook.name] = now + (seconds if order.hook.timeout is None else order.hook.timeout)
            elif isinstance(order, KillHook):
                ends[order.hook] = now
        wakeup = drain.wakeup()
        if wakeup is None:
            return drain.outcomes
        first = min(ends, key=lambda name: ends[name], default="")
        if first and ends[first] <= wakeup:
            now, happening = ends.pop(first), HookEnded(first, 0, None)
        else:
            now, happening = max(now, wakeup), TimePassed()


LEAST_SECONDS = 1.0
"""With less than this a hook without a timeout of its own has nothing that deserves the name of time."""


def falls_short(outcome: HookOutcome) -> bool:
    """Whether this outcome of a forecast means that the time is too short for the hook.

    A hook without a timeout of its own takes what it gets; one that reaches its timeout has had all of its time. Where
    no hook fails, one is skipped only since an earlier one, whose failure stops the drain, had too little.
    """
    if outcome.status is HookStatus.SUCCEEDED:
        return False
    if outcome.allowed is None:
        return True
    return outcome.allowed < (LEAST_SECONDS if outcome.timeout is None else outcome.timeout - 0.05)
