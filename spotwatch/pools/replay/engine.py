"""Plays a trace with a strategy, from one change to the next. The assumptions are in the package's docstring.

Three things happen: pools change, launches are in service, a step of rebalancing is due. Between them nothing changes,
so nothing is computed. At one moment, changes come first, then arrivals, then replacements, then moves.

Invariant, at every moment that `events` yields: what runs, and what is launched to replace, is together never above
the fleet's capacity (a move's launch replaces what it is to end, and counts when it is in service, at the very moment
at which the other is ended); nothing is in a pool that is not available.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

from spotwatch.core.errors import UsageError
from spotwatch.pools.replay.fleet import TINY, Fleet, Move
from spotwatch.pools.replay.measure import History, Measures, measure
from spotwatch.pools.replay.policy import LAUNCH_SECONDS
from spotwatch.pools.replay.strategies import Strategy
from spotwatch.pools.replay.trace import Trace


@dataclass(slots=True)
class _Arrival:
    """What will be in service in a pool; `source` is where as much is ended then, None for a replacement."""

    pool: int
    amount: float
    source: int | None = None


@dataclass(slots=True)
class Replay:
    """One run. Iterate over `events()` once; `history` then holds what happened.

    Attributes:
        capacity: units that the fleet is to have in service.
        launch_seconds: from a launch until it is in service.
    """

    trace: Trace
    strategy: Strategy
    capacity: float
    launch_seconds: float
    fleet: Fleet = field(init=False)
    history: History = field(init=False)
    _replacing: float = 0.0
    _arrivals: deque[tuple[float, list[_Arrival]]] = field(default_factory=deque)
    _step_at: float = inf
    _steps: int = 0

    def __post_init__(self) -> None:
        self.fleet = Fleet(self.capacity, self.trace.pools)
        self.history = History(self.trace.seconds, self.capacity)

    def events(self) -> Iterator[float]:
        """Plays the trace; yields the time (seconds from the start) after everything of that moment has happened."""
        changes = self._changes()
        upcoming = next(changes, None)
        while True:
            now = min(upcoming[0] if upcoming else inf, self._arrivals[0][0] if self._arrivals else inf, self._step_at)
            if now >= self.history.seconds:
                return
            lost = 0.0
            while upcoming and upcoming[0] == now:
                lost += self._change(*upcoming)
                upcoming = next(changes, None)
            while self._arrivals and self._arrivals[0][0] == now:
                self._serve(self._arrivals.popleft()[1])
            self._replace(now)
            self._rebalance(now)
            self.history.add(now, sum(self.fleet.running), lost if lost > TINY * self.capacity else 0.0)
            yield now

    def _changes(self) -> Iterator[tuple[float, int, float]]:
        """(when, pool, part of the fleet that fits into it) of all pools, in the order of time."""
        return iter(sorted((at, number, part) for number, pool in enumerate(self.trace.pools)
                           for at, part in pool.changes))  # fmt: skip

    def _change(self, now: float, pool: int, part: float) -> float:
        """A pool takes more or less than before; the answer is what was lost in service."""
        fleet = self.fleet
        if part > fleet.open[pool]:
            if not fleet.open[pool]:
                insort(fleet.available, pool)
                fleet.returned[pool] = now or -inf
            fleet.open[pool] = part
            return 0.0
        if fleet.open[pool] and not part:
            fleet.available.remove(pool)
        fleet.open[pool] = part
        lost = fleet.running[pool] - min(fleet.running[pool], part * self.capacity)
        fleet.running[pool] -= lost
        if fleet.launching[pool] > max(0.0, part * self.capacity - fleet.running[pool]):
            self._cancel(pool)
        if fleet.leaving[pool]:
            self._orphan(pool, lost)
        fleet.losses[pool] += lost > TINY * self.capacity
        return lost

    def _cancel(self, pool: int) -> None:
        """What is on its way into a pool does not come."""
        for _, batch in self._arrivals:
            for arrival in batch:
                if arrival.pool == pool:
                    self._drop(arrival)
        self._forget_dropped()

    def _orphan(self, pool: int, lost: float) -> None:
        """What moves out of a pool replaces what was lost there, as far as that goes; the rest is not needed."""
        for _, batch in self._arrivals:
            for arrival in batch:
                if arrival.source == pool:
                    if arrival.amount <= lost:
                        lost -= arrival.amount
                        self._replacing += arrival.amount
                        arrival.source = None
                    else:
                        self._drop(arrival)
        self.fleet.leaving[pool] = 0.0
        self._forget_dropped()

    def _forget_dropped(self) -> None:
        left = ((at, [arrival for arrival in batch if arrival.amount]) for at, batch in self._arrivals)
        self._arrivals = deque((at, batch) for at, batch in left if batch)

    def _drop(self, arrival: _Arrival) -> None:
        self.fleet.launching[arrival.pool] -= arrival.amount
        if arrival.source is None:
            self._replacing -= arrival.amount
        else:
            self.fleet.leaving[arrival.source] -= arrival.amount
        arrival.amount = 0.0

    def _serve(self, batch: list[_Arrival]) -> None:
        fleet = self.fleet
        for arrival in batch:
            fleet.launching[arrival.pool] -= arrival.amount
            fleet.running[arrival.pool] += arrival.amount
            if arrival.source is None:
                self._replacing -= arrival.amount
            else:
                fleet.leaving[arrival.source] -= arrival.amount
                fleet.running[arrival.source] = max(0.0, fleet.running[arrival.source] - arrival.amount)
                self.history.moved += arrival.amount

    def _replace(self, now: float) -> None:
        missing = self.capacity - sum(self.fleet.running) - self._replacing
        if missing <= TINY * self.capacity:
            return
        placed = [_Arrival(pool, amount) for pool, amount in self.strategy.place(self.fleet, missing, now)]
        for arrival in placed:
            self.fleet.launching[arrival.pool] += arrival.amount
            self._replacing += arrival.amount
        if not now:  # the fleet is there when the replay begins
            self._serve(placed)
        elif placed:
            self._arrivals.append((now + self.launch_seconds, placed))

    def _rebalance(self, now: float) -> None:
        """Moves if a step is due, and says when the next is."""
        period = self.strategy.period
        if period is None:
            return
        if now == self._step_at:
            self._move(self.strategy.moves(self.fleet, now), now)
            self._steps += 1
        self._step_at = (self._steps + 1) * period

    def _move(self, moves: list[Move], now: float) -> None:
        for source, target, amount in moves:
            self.fleet.launching[target] += amount
            self.fleet.leaving[source] += amount
        if moves:
            batch = [_Arrival(target, amount, source) for source, target, amount in moves]
            self._arrivals.append((now + self.launch_seconds, batch))


def replay(
    trace: Trace,
    strategy: Strategy,
    target: float = 1.0,
    over_provisioning: float = 1.0,
    *,
    launch_seconds: float = LAUNCH_SECONDS,
) -> Measures:
    """Plays a trace with a strategy and measures it.

    Args:
        trace: the pools that the fleet may use, each of them for all of its capacity.
        strategy: where to launch; `SoftCaps` is the policy.
        target: units of capacity that are needed; shares do not depend on it.
        over_provisioning: how much is launched, as a multiple of the target; at least 1.
        launch_seconds: from a launch until it is in service.

    Raises:
        UsageError: the target is not above 0, or the over-provisioning is below 1.
    """
    if not (0.0 < target < inf and 1.0 <= over_provisioning < inf):
        raise UsageError(
            f"a target of {target:g} units at {over_provisioning:g}x cannot be replayed",
            hint="give a target above 0 and an over-provisioning of 1 or more",
        )
    run = Replay(trace, strategy, target * over_provisioning, launch_seconds)
    deque(run.events(), maxlen=0)
    return measure(run.history, target)
