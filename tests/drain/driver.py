"""Runs a drain machine in virtual time, against hooks that behave as a script says.

`Bench` is for tests that say themselves what happens when; `Driver` is the daemon's loop in small, for tests that only
say how the hooks behave.
"""

from bisect import insort
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from operator import itemgetter
from typing import Any

from spotwatch.core.event import Event, EventKind
from spotwatch.core.hook import Hook, HookOutcome
from spotwatch.core.settings import DrainSettings
from spotwatch.drain.machine import Drain
from spotwatch.drain.orders import (
    EventCame,
    Happening,
    HookEnded,
    HookNotStarted,
    KillHook,
    Order,
    StartHook,
    TerminateHook,
    TimePassed,
)

SIGTERM, SIGKILL = 15, 9

DYING_SECONDS = 0.01
"""From SIGKILL until the end of the process is seen."""


def make_event(kind: str = "terminate", seconds: float = 120.0, *, at: float = 0.0) -> Event:
    """An event that is seen at one moment and leaves some seconds from then."""
    return Event(EventKind(kind), action=kind, notice_time=None, seen_at=at, deadline=at + seconds)


def make_hook(name: str, stage: int = 10, *, on: str = "terminate", **settings: Any) -> Hook:
    """A hook for the events named in one text, such as ``"rebalance terminate"``."""
    return Hook(name, frozenset(map(EventKind, on.split())), ("true",), stage=stage, **settings)


def in_words(order: Order) -> str:
    """An order as the tables of the tests write it: ``start a 114.5``, ``term a``, ``kill a``."""
    match order:
        case StartHook(hook, allowed):
            return f"start {hook.name} {round(allowed, 3):g}"
        case TerminateHook(name):
            return f"term {name}"
        case KillHook(name):
            return f"kill {name}"


class Bench:
    """A drain that the test steps by hand; orders come back in words.

    The margin is zero unless the test says otherwise, so that the deadline is the limit of the last stage.
    """

    def __init__(
        self, *hooks: Hook, kind: str = "terminate", seconds: float = 120.0, margin: float = 0.0, grace: float = 2.0
    ) -> None:
        self.drain = Drain(make_event(kind, seconds), hooks, DrainSettings(margin=margin, kill_grace=grace))

    def step(self, now: float, *happenings: Happening) -> list[str]:
        """What the machine orders at this time when these things happen (nothing but time, if none is named)."""
        return [in_words(order) for one in happenings or (TimePassed(),) for order in self.drain.step(one, now)]

    def run_out(self, *, until: float = inf) -> list[str]:
        """Step at the machine's own wakeups while no end of a hook is ever seen; all orders, each with its time."""
        words: list[str] = []
        before = -inf
        while (now := self.drain.wakeup()) is not None and now < until:
            assert now > before, "the loop spins"
            words += [f"{now:g} {word}" for word in self.step(now)]
            before = now
        return words

    def come(self, now: float, kind: str, seconds: float) -> list[str]:
        """Another event is seen, which leaves these seconds."""
        return self.step(now, EventCame(make_event(kind, seconds, at=now)))

    def end(self, now: float, name: str, exit_code: int | None = 0, signal: int | None = None) -> list[str]:
        """A hook's end is seen."""
        return self.step(now, HookEnded(name, exit_code, signal))

    def outcome(self, name: str) -> HookOutcome:
        """What became of a hook."""
        return next(outcome for outcome in self.drain.outcomes if outcome.hook == name)

    @property
    def statuses(self) -> dict[str, str]:
        """What became of the hooks that are over, in the machine's order."""
        return {outcome.hook: outcome.status.value for outcome in self.drain.outcomes}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a hook's command behaves; times in seconds.

    Attributes:
        seconds: until it ends by itself; None means never.
        exit_code: with which it then exits, if no signal is named.
        signal: that ends it then.
        dies_after: from SIGTERM to its end; None means that it ignores SIGTERM.
        reaped: whether anyone ever sees its end.
        startable: whether it can be executed at all.
    """

    seconds: float | None = 1.0
    exit_code: int = 0
    signal: int | None = None
    dies_after: float | None = 0.1
    reaped: bool = True
    startable: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a machine: what went in and what came out."""

    now: float
    happening: Happening
    orders: tuple[Order, ...]
    wakeup: float | None


@dataclass(slots=True)
class Driver:
    """Steps a machine at its own wakeups, at scripted times, and when a hook ends.

    Attributes:
        drain: the machine.
        behaviours: of the hooks, by name; a hook without one takes a second and succeeds.
        script: what else happens, and when (boot clock).
        lateness: how late each wakeup is served, in turn; zero when the list is used up.
        check: called after every step.
    """

    drain: Drain
    behaviours: Mapping[str, Behaviour] = field(default_factory=dict)
    script: Sequence[tuple[float, Happening]] = ()
    lateness: Sequence[float] = ()
    check: Callable[[Step], None] = lambda _: None
    steps: list[Step] = field(default_factory=list)
    _due: list[tuple[float, Happening, int]] = field(default_factory=list)
    _runs: Counter[str] = field(default_factory=Counter)

    def run(self, begin: float = 0.0, *, at_most: int = 500) -> list[Step]:
        """Drive until the drain has finished and the script is played; what was stepped.

        Raises:
            AssertionError: the machine asks to be woken without end.
        """
        late = iter(self.lateness)
        for when, happening in self.script:
            self._expect(when, happening)
        self._step(TimePassed(), begin)
        while (wakeup := self.drain.wakeup()) is not None or self._due:
            assert len(self.steps) < at_most, f"the loop spins: {self.steps[-3:]}"
            now = self.steps[-1].now
            if wakeup is not None and (not self._due or wakeup < self._due[0][0]):
                self._step(TimePassed(), max(now, wakeup + next(late, 0.0)))
            else:
                when, happening, run = self._due.pop(0)
                if not isinstance(happening, HookEnded) or run == self._runs[happening.hook]:
                    self._step(happening, max(now, when))
        return self.steps

    def _expect(self, when: float, happening: Happening, run: int = 0) -> None:
        insort(self._due, (when, happening, run), key=itemgetter(0))

    def _step(self, happening: Happening, now: float) -> None:
        orders = self.drain.step(happening, now)
        self.steps.append(Step(now, happening, tuple(orders), self.drain.wakeup()))
        self.check(self.steps[-1])
        for order in orders:
            self._carry_out(order, now)

    def _carry_out(self, order: Order, now: float) -> None:
        match order:
            case StartHook(hook):
                self._runs[hook.name] += 1
                behaviour = self._behaviour(hook.name)
                if not behaviour.startable:
                    self._expect(now, HookNotStarted(hook.name, "no such file"))
                elif behaviour.seconds is not None:
                    code = None if behaviour.signal else behaviour.exit_code
                    self._end(hook.name, now + behaviour.seconds, code, behaviour.signal)
            case TerminateHook(name):
                dies_after = self._behaviour(name).dies_after
                if dies_after is not None:
                    self._end(name, now + dies_after, None, SIGTERM)
            case KillHook(name):
                self._end(name, now + DYING_SECONDS, None, SIGKILL)

    def _end(self, name: str, when: float, exit_code: int | None, signal: int | None) -> None:
        """A run may be told to end more than once; the machine has to ignore all ends but the first."""
        if self._behaviour(name).reaped:
            self._expect(when, HookEnded(name, exit_code, signal), self._runs[name])

    def _behaviour(self, name: str) -> Behaviour:
        return self.behaviours.get(name, Behaviour())
