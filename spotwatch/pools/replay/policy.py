"""The run-time policy of a plan: soft caps, rebalancing, cool-down.

What is missing is launched at once: first in pools that are no longer cooling down, up to the cap; then in those that
are, up to the cap; then, when every available pool is full, beyond the cap. A hard cap would leave capacity unbought
that can be had, and it is in a mass loss that few pools are left. Rebalancing brings pools back towards their shares
afterwards, a little at a time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from spotwatch.core.errors import UsageError
from spotwatch.pools.replay.fleet import TINY, Fleet, Launch, Move, pour

LAUNCH_SECONDS: Final = 300.0
"""The default cooldown of an Auto Scaling group, AWS's own guess of what a launch takes until its effect shows. An
instance alone boots in a minute or two; what it takes until it serves is the application's. No figure counts more."""

_Amount = tuple[float, int]
"""How much too much or too little, and in which pool."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How a fleet answers to losses.

    Attributes:
        soft_cap: the most that one pool may hold, as a share of the fleet, while others have room. 10 %: twice what the
            plan's own cap allows, so that half of the pools can be gone before it gives way.
        rebalance_share: how much of the fleet is moved at a time. 2 %: a whole pool of 10 % in 25 minutes. What is
            moved is started anew, and a pool that was just refilled may be lost again: in the traces more costs
            interruptions and gains nothing.
        rebalance_seconds: how often. 5 minutes: the time that a launch takes, so that each step sees the one before.
        cool_down_seconds: how long a pool that was lost is left alone after it came back. 30 minutes: pools that
            flicker are lost again soon. In the traces 40 % more is interrupted without one, and longer gains little.
        launch_seconds: from the loss until what replaces it is in service, the same for all strategies.
    """

    soft_cap: float = 0.10
    rebalance_share: float = 0.02
    rebalance_seconds: float = 300.0
    cool_down_seconds: float = 1800.0
    launch_seconds: float = LAUNCH_SECONDS

    def __post_init__(self) -> None:
        """Refuses what cannot be replayed.

        Raises:
            UsageError: a share is not within 0 and 1, a time is negative.
        """
        if not 0.0 < self.soft_cap <= 1.0:
            raise UsageError(f"the soft cap is {self.soft_cap:g}", hint="give a share above 0 and up to 1 (100 %)")
        if not 0.0 <= self.rebalance_share <= 1.0:
            raise UsageError(f"{self.rebalance_share:g} of the fleet is to be moved", hint="give a share from 0 to 1")
        if not (self.rebalance_seconds >= 1.0 and self.cool_down_seconds >= 0.0 and self.launch_seconds >= 0.0):
            raise UsageError(
                "a time of the run-time policy is too short",
                hint="rebalance every second at most; cool-down and launch take 0 seconds or more",
            )


@dataclass(frozen=True, slots=True)
class SoftCaps:
    """The policy as a strategy.

    Attributes:
        shares: what each pool of the trace should hold, relative to the others (a plan's capacities); empty: all the
            same.
    """

    policy: Policy = field(default_factory=Policy)
    shares: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in a table."""
        policy = self.policy
        if not policy.rebalance_share:
            return f"soft cap {policy.soft_cap:.0%} without rebalancing"
        return (
            f"soft cap {policy.soft_cap:.0%}, rebalancing {policy.rebalance_share:.0%} per "
            f"{policy.rebalance_seconds / 60:g} min"
        )

    @property
    def period(self) -> float | None:
        """Seconds between two steps of rebalancing; None: never."""
        return self.policy.rebalance_seconds if self.policy.rebalance_share else None

    def place(self, fleet: Fleet, missing: float, now: float) -> list[Launch]:
        """Where to launch what is missing."""
        available = fleet.available
        ready = self._ready(fleet, now)
        cooling = [pool for pool in available if pool not in ready]
        cap = self.policy.soft_cap
        launches: dict[int, float] = {}
        for pools, most in ((ready, cap), (cooling, cap), (available, 1.0)):
            if missing > TINY * fleet.capacity:
                for pool, part in self._pour(fleet, missing, pools, most, launches):
                    launches[pool] = launches.get(pool, 0.0) + part
                    missing -= part
        return list(launches.items())

    def moves(self, fleet: Fleet, now: float) -> list[Move]:
        """One step of rebalancing, from the pools that hold the most too much to those that hold the most too little.

        A pool should hold its share among those that are ready, one that is cooling down nothing; but no pool is filled
        beyond the cap, or beyond its share among all that are available where that is more.
        """
        ready = self._ready(fleet, now)
        shares = self._shares(fleet)
        unit = fleet.capacity / (sum([shares[pool] for pool in ready]) or 1.0)
        part = 1.0 / (sum([shares[pool] for pool in fleet.available]) or 1.0)
        fair = dict.fromkeys(fleet.available, 0.0) | {pool: unit * shares[pool] for pool in ready}
        least, cap = TINY * fleet.capacity, self.policy.soft_cap
        running, launching, leaving = fleet.running, fleet.launching, fleet.leaving
        surplus, shortfall = [], []
        for pool, goal in fair.items():
            much = running[pool] - goal
            if much - leaving[pool] > least:
                surplus.append((much - leaving[pool], pool))
            elif -much - launching[pool] > least:
                lack = -much - launching[pool]
                shortfall.append((min(lack, fleet.room(pool, max(cap, part * shares[pool]))), pool))
        return _match(self.policy.rebalance_share * fleet.capacity, surplus, shortfall, least)

    def _pour(
        self, fleet: Fleet, amount: float, pools: list[int], cap: float, placed: Mapping[int, float]
    ) -> list[Launch]:
        size, shares = fleet.capacity, self._shares(fleet)
        return pour(
            amount,
            (
                (pool, fleet.held(pool) + placed.get(pool, 0.0), size * min(cap, fleet.open[pool]), shares[pool])
                for pool in pools
            ),
        )

    def _shares(self, fleet: Fleet) -> tuple[float, ...]:
        return self.shares or (1.0,) * len(fleet.pools)

    def _ready(self, fleet: Fleet, now: float) -> list[int]:
        """The available pools that are not cooling down."""
        since = now - self.policy.cool_down_seconds
        return [pool for pool in fleet.available if fleet.returned[pool] <= since]


def _match(amount: float, surplus: list[_Amount], shortfall: list[_Amount], least: float) -> list[Move]:
    """Pairs (how much, pool) that have too much with those that have too little, the largest first."""
    surplus.sort()
    shortfall.sort()
    moves: list[Move] = []
    while surplus and shortfall and amount > least:
        (much, source), (little, target) = surplus.pop(), shortfall.pop()
        part = min(much, little, amount)
        if part > 0.0:
            moves.append((source, target, part))
        amount -= part
        if much - part > least:
            surplus.append((much - part, source))
        if little - part > least:
            shortfall.append((little - part, target))
    return moves
