"""The usual strategies, to lay beside the policy. None of them moves what runs; they differ in where they launch.

Where a strategy ranks pools by something that a trace does not tell, the order of the trace's pools stands in for it
(in a draw of blocks that is chance). A rank by what the trace would still bring is used by none.
"""

from dataclasses import dataclass
from math import inf
from typing import Protocol

from spotwatch.pools.replay.fleet import Fleet, Launch, Move, pour, take


class Strategy(Protocol):
    """Where a fleet launches what is missing, and whether it moves what runs."""

    @property
    def name(self) -> str:
        """What it is called in a table."""

    @property
    def period(self) -> float | None:
        """Seconds between two steps of rebalancing; None: `moves` is never asked."""

    def place(self, fleet: Fleet, missing: float, now: float) -> list[Launch]:
        """Where to launch what is missing, now (seconds from the start).

        Asked after every loss and every return of a pool while something is missing. At most `missing` in all, and
        at most its room in each pool, every pool once. What is not placed is asked for again at the next change.
        """

    def moves(self, fleet: Fleet, now: float) -> list[Move]:
        """What to move now: at most what runs and is not leaving yet, to where there is room.

        A move launches first and ends the old instances when the new ones are in service.
        """


class _NeverMoves:
    """What all strategies here have in common."""

    __slots__ = ()

    @property
    def period(self) -> float | None:
        """Never."""
        return None

    def moves(self, fleet: Fleet, now: float) -> list[Move]:  # noqa: ARG002 - the protocol asks for them
        """Nothing."""
        return []


@dataclass(frozen=True, slots=True)
class Static(_NeverMoves):
    """Each pool has its share of the fleet, and what is lost waits until its own pool is back.

    Attributes:
        shares: what each pool of the trace has, relative to the others (a plan's capacities); empty: all the same.
    """

    shares: tuple[float, ...] = ()
    name: str = "static shares, no replacement elsewhere"

    def place(self, fleet: Fleet, missing: float, now: float) -> list[Launch]:  # noqa: ARG002 - as above
        """What each available pool lacks of its own share."""
        shares = self.shares or (1.0,) * len(fleet.pools)
        unit = fleet.capacity / sum(shares)
        lacks = ((pool, unit * shares[pool] - fleet.held(pool)) for pool in fleet.available)
        return take(missing, ((pool, min(lack, fleet.room(pool))) for pool, lack in lacks if lack > 0.0))


@dataclass(frozen=True, slots=True)
class Diversified(_NeverMoves):
    """Spread over all available pools, the emptiest first, as EC2 Fleet's `diversified` with `maintain` replaces."""

    name: str = "diversified, no rebalancing"

    def place(self, fleet: Fleet, missing: float, now: float) -> list[Launch]:  # noqa: ARG002 - as above
        """The emptiest available pools."""
        return pour(
            missing,
            ((pool, fleet.held(pool), fleet.capacity * fleet.open[pool], 1.0) for pool in fleet.available),
        )


@dataclass(frozen=True, slots=True)
class LowestPrice(_NeverMoves):
    """Evenly over the N cheapest of the available pools, as the strategy `lowest-price` does.

    The price is the one of that moment. A pool whose price nobody knows comes after those with one; among equals, and
    if there are no prices at all, the order of the trace decides.
    """

    count: int = 5

    @property
    def name(self) -> str:
        """What it is called in a table."""
        return f"lowest-price over {self.count} pools" if self.count != 1 else "lowest-price, 1 pool"

    def place(self, fleet: Fleet, missing: float, now: float) -> list[Launch]:
        """The same amount in each of the N cheapest that have room."""

        def cost(pool: int) -> float:
            price = fleet.pools[pool].price(now)
            return inf if price is None else price

        cheapest = sorted((pool for pool in fleet.available if fleet.room(pool)), key=cost)[: self.count]
        return pour(missing, ((pool, 0.0, fleet.room(pool), 1.0) for pool in cheapest))


@dataclass(frozen=True, slots=True)
class Failover(_NeverMoves):
    """Everything in one pool, and when that is lost, in the next available one of the list, until that is lost."""

    name: str = "failover, 1 pool at a time"

    def place(self, fleet: Fleet, missing: float, now: float) -> list[Launch]:  # noqa: ARG002 - as above
        """Where it runs already; otherwise the first that is available. What does not fit goes to the next."""
        order = sorted(fleet.available, key=lambda pool: -fleet.held(pool))
        return take(missing, ((pool, fleet.room(pool)) for pool in order))


@dataclass(frozen=True, slots=True)
class CapacityOptimized(_NeverMoves):
    """Everything that is missing in the one available pool that is interrupted least, by its band.

    AWS chooses by the free capacity, which nobody else sees; its public figure is the Spot Instance Advisor's band.
    Where a pool has none, as in a trace, what the fleet itself has lost there until then stands in for it: the fewest
    losses, the order of the trace among equals.
    """

    name: str = "capacity-optimized, by band"

    def place(self, fleet: Fleet, missing: float, now: float) -> list[Launch]:  # noqa: ARG002 - as above
        """The pool with the lowest band, then with the fewest losses. What does not fit goes to the next."""

        def risk(pool: int) -> tuple[float, int]:
            band = fleet.pools[pool].interruption
            return inf if band is None else band, fleet.losses[pool]

        return take(missing, ((pool, fleet.room(pool)) for pool in sorted(fleet.available, key=risk)))
