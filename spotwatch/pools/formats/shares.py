"""How a plan is dealt out to fleets, none of which can hold a cap for each pool.

An EC2 Fleet and a Spot Fleet with the strategy `diversified` give every pool the same share of the target and round it
up to whole instances. So pools that hold the same capacity q can share one fleet with the target k x q, and get exactly
the instances of the plan; pools of another capacity need another fleet. An aligned plan is one fleet: where its
pools are not quite equal, q is their mean, and an instance of a pool that holds n has the weight q / n.

Targets are whole numbers of units, weights are doubles. A fleet has at most 10,000 units and a region 100,000: where
the plan's own units are more, all are divided by the same power of two, which floats divide without error. A target
that is not whole is rounded down by less than one unit, and since no weight is less than one unit, the rounding up
within each pool still comes to the planned number of instances. A weight q / n that is not whole is rounded up to a
millionth: rounded down it could make n + 1 of n instances, as could the last digit of a division of floats.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spotwatch.core.errors import UsageError
from spotwatch.pools import replacement
from spotwatch.pools.demand import Mode
from spotwatch.pools.limits.fleets import MOST_OVERRIDES, MOST_UNITS, MOST_UNITS_IN_REGION
from spotwatch.pools.plan import Plan, PlannedPool

_DIGITS: Final = 6
"""Capacities that agree to so many decimals are equal; weights by performance are products of floats."""

_FINEST: Final = 1_000_000
"""Weights that are not the plan's own have so many parts of a unit."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one fleet holds.

    Attributes:
        pools: of equal capacity; those of on-demand capacity alone are only a choice of types and AZs.
        spot: units of the Spot target, in the fleet's units.
        on_demand: units of the on-demand target.
        scale: how many units of the plan are one unit of the fleet.
        quota: units of each pool where they are not those that it holds; else None.
    """

    pools: tuple[PlannedPool, ...]
    spot: int
    on_demand: int
    scale: int
    quota: int | None = None

    def weight(self, pool: PlannedPool) -> float:
        """Units of the fleet that one instance of the pool has; whole numbers as such."""
        if self.quota is None:
            return whole_if_possible(pool.weight / self.scale)
        if self.quota % pool.count == 0:
            return self.quota // pool.count
        return (self.quota * _FINEST // pool.count + 1) / _FINEST


def whole_if_possible(number: float) -> float:
    """`16.0` becomes `16`, so that it is written without a fraction."""
    return int(number) if number == int(number) else number


def shares(plan: Plan) -> list[Share]:
    """The fleets of a plan, the largest first; on-demand capacity is in the only fleet, or in fleets of its own.

    Raises:
        UsageError: the plan has no pools, or more capacity than a region's fleets can hold.
    """
    if not plan.pools:
        raise UsageError("the plan has no pools", hint="ask for more capacity or for more candidates")
    buckets = _buckets(plan)
    scale = _scale(plan, buckets)
    on_demand = math.ceil(plan.demand.on_demand_capacity / scale)
    spot = [share for bucket in buckets for share in _split(bucket, scale)]
    if len(spot) == 1 and spot[0].quota is None and spot[0].spot + on_demand <= MOST_UNITS:
        (only,) = spot
        return [Share(only.pools, only.spot, on_demand, scale)]
    return [*spot, *_on_demand(plan, on_demand, scale)]


def _buckets(plan: Plan) -> list[list[PlannedPool]]:
    """The pools that can share a fleet."""
    if plan.demand.mode is Mode.ALIGNED:
        return [list(plan.pools)]
    by_capacity: defaultdict[float, list[PlannedPool]] = defaultdict(list)
    for pool in plan.pools:
        by_capacity[round(pool.capacity, _DIGITS)].append(pool)
    return sorted(by_capacity.values(), key=lambda pools: -len(pools) * pools[0].capacity)


def _scale(plan: Plan, buckets: list[list[PlannedPool]]) -> int:
    """The smallest power of two that keeps the limits, and keeps one bucket in one fleet if that is possible."""
    total = plan.capacity + plan.demand.on_demand_capacity
    largest = max(pool.capacity for pool in plan.pools)
    lightest = min(pool.weight for pool in plan.pools)
    one = len(buckets) == 1 and len(plan.pools) <= MOST_OVERRIDES
    possible = [
        scale
        for scale in (1 << power for power in range(11))
        if (scale == 1 or scale <= lightest) and largest <= MOST_UNITS * scale and total <= MOST_UNITS_IN_REGION * scale
    ]
    if not possible:
        raise UsageError(
            f"{total:,.0f} units in instances of {lightest:g} are more than the fleets of a region can hold",
            hint=f"at most {MOST_UNITS_IN_REGION:,} units: leave the small sizes out, or plan for several regions",
        )
    return next((scale for scale in possible if one and total <= MOST_UNITS * scale), possible[0])


def _split(bucket: list[PlannedPool], scale: int) -> Iterator[Share]:
    capacity = sum(pool.capacity for pool in bucket) / len(bucket) / scale
    equal = len({round(pool.capacity, _DIGITS) for pool in bucket}) == 1
    quota = None if equal else math.floor(capacity)  # rounded up, all together could be more than a fleet holds
    most = min(MOST_OVERRIDES, int(MOST_UNITS // capacity))
    fleets = math.ceil(len(bucket) / most)
    for index in range(fleets):
        pools = tuple(bucket[index::fleets])
        units = len(pools) * (capacity if quota is None else quota)
        yield Share(pools, math.floor(units + 1 / _FINEST), 0, scale, quota)


def _on_demand(plan: Plan, units: int, scale: int) -> Iterator[Share]:
    fleets = math.ceil(units / MOST_UNITS)
    for index in range(fleets):
        yield Share(plan.pools[:MOST_OVERRIDES], 0, (units + index) // fleets, scale)


def share_notes(dealt: list[Share], kind: str) -> list[str]:
    """What the fleets hold of the plan, and what they do not."""
    spot = [share for share in dealt if share.spot]
    notes: list[str] = []
    if len(spot) == 1:
        (only,) = spot
        notes.append(
            f"one {kind} holds the plan: diversified gives each of its {len(only.pools)} pools"
            f" {1 / len(only.pools):.1%} of the Spot {'capacity' if only.quota is None else 'units'}; while a pool is"
            " empty, the others hold its share too"
        )
        if only.quota is not None:
            notes.append(f"weights are not vCPU: each is {only.quota} units / the number of instances that it makes")
    else:
        single = sum(len(share.pools) == 1 for share in spot)
        notes.append(
            f"{len(spot)} {kind}s hold the plan, because none holds a cap for each pool: pools of equal capacity share"
            f" one; {single} of them have one pool, whose capacity is missing while the pool is empty"
        )
    uneven = (replacement.notes(share.pools) for share in spot if share.quota is not None)
    notes += dict.fromkeys(note for of_one in uneven for note in of_one)
    if dealt[0].scale > 1:
        notes.append(f"one unit of a target or a weight is {dealt[0].scale} units of the plan")
    if any(share.on_demand and not share.spot for share in dealt):
        notes.append(f"on-demand capacity: the {kind} with on-demand in its name")
    return notes
