"""What runs where: the state that a strategy sees."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from spotwatch.pools.replay.trace import PoolTrace

TINY = 1e-9
"""Parts of the fleet below this are rounding, not capacity."""


@dataclass(slots=True)
class Fleet:
    """The capacity in each pool (by its number), in units.

    Attributes:
        capacity: that the fleet is to have in service: the target times the over-provisioning.
        pools: their records, for names and prices; strategies do not look at what is still to come in them.
        open: the part of the fleet that fits into each pool now, 0 to 1; 0: it is not available.
        available: the pools that take launches now, in the order of the trace.
        running: in service.
        launching: on its way, to replace what is missing or to move.
        leaving: in service, and to be ended when what replaces it is in service elsewhere.
        returned: when the pool last became available, in seconds; minus infinity if it is since before the start.
        losses: how often it was lost while the fleet ran in it.
    """

    capacity: float
    pools: Sequence[PoolTrace]
    open: list[float] = field(init=False)
    available: list[int] = field(init=False)
    running: list[float] = field(init=False)
    launching: list[float] = field(init=False)
    leaving: list[float] = field(init=False)
    returned: list[float] = field(init=False)
    losses: list[int] = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.pools)
        self.open, self.available = [0.0] * count, []
        self.running, self.launching, self.leaving = [0.0] * count, [0.0] * count, [0.0] * count
        self.returned = [-inf] * count
        self.losses = [0] * count

    def held(self, pool: int) -> float:
        """What it will hold when all launches are in service and nothing has left."""
        return self.running[pool] + self.launching[pool]

    def room(self, pool: int, cap: float = 1.0) -> float:
        """What still fits into it, with at most `cap` of the fleet in it."""
        return max(0.0, self.capacity * min(cap, self.open[pool]) - self.held(pool))


Launch = tuple[int, float]
"""A pool, and how much is launched in it."""

Move = tuple[int, int, float]
"""From a pool to a pool, and how much."""


def pour(amount: float, into: Iterable[tuple[int, float, float, float]]) -> list[Launch]:
    """Deals `amount` out so that the pools are as even as can be: the emptiest are filled first, as water does.

    Args:
        amount: at most; less is dealt out where there is no room.
        into: (pool, what it holds, the most that it may hold, its weight). "Even" is by what it holds over its weight.
    """
    pools = [each for each in into if each[2] > each[1]]
    begins = [(held / weight, weight) for _, held, _, weight in pools]
    edges = sorted(begins + [(most / weight, -weight) for _, _, most, weight in pools])
    level = edges[0][0] if edges else 0.0
    slope = 0.0
    for at, change in edges:
        gain = slope * (at - level)
        if gain >= amount:
            level += amount / slope
            break
        amount -= gain
        level = at
        slope += change
    dealt = [(pool, min(level * weight, most) - held) for pool, held, most, weight in pools]
    return [(pool, part) for pool, part in dealt if part > 0.0]


def take(amount: float, order: Iterable[Launch]) -> list[Launch]:
    """Deals `amount` out to (pool, room) one after the other, each until it is full."""
    launches = []
    for pool, room in order:
        part = min(amount, room)
        if part > 0.0:
            launches.append((pool, part))
            amount -= part
    return launches
