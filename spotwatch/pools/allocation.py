"""Whole instances dealt out to candidates, with the room that every cap still has.

A cap may be shared by many candidates (a type, a family, an AZ, a quota class) or belong to one alone (the pool's).
`Limits` is the problem in numbers that do not change; `Allocation` is what has been dealt out so far.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spotwatch.core.capacity import Group
from spotwatch.pools.problem import Problem
from spotwatch.pools.quota import quota_class

NESTED: Final = (Group.TYPE, Group.FAMILY, Group.GENERATION)
"""The kinds of groups that lie in one another, the innermost first. An AZ lies across them."""

TOLERANCE: Final = 1e-9
"""Relative to the demand: shares are binary fractions, so 10 % of 1,000 may be 100.00000000000001."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The problem in numbers.

    Attributes:
        order: the candidates that one instance can be taken of, the cheapest unit of capacity first.
        weights, prices, units: of each candidate: of one instance, and the objective of one unit of capacity.
        vcpus: of one instance of each candidate: what a quota counts.
        least: instances of each candidate that stay whatever happens.
        most: instances of each candidate at most, by its pool's cap alone.
        shared: the shared caps of each candidate, as indexes of `caps`.
        caps, names: of each shared cap: units of capacity, its kind and key.
        quota, quotas, quota_names: the index of each candidate's quota, -1 if it has none; the quotas in vCPU.
        floor, ceiling: units of capacity to be bought, at least and at most.
    """

    problem: Problem
    order: tuple[int, ...]
    weights: list[float]
    prices: list[float]
    units: list[float]
    vcpus: list[int]
    least: list[int]
    most: list[int]
    shared: list[tuple[int, ...]]
    caps: list[float]
    names: list[tuple[Group, str]]
    quota: list[int]
    quotas: list[float]
    quota_names: list[str]
    floor: float
    ceiling: float

    @property
    def tolerance(self) -> float:
        """Units of capacity that count as nothing."""
        return TOLERANCE * self.ceiling

    @classmethod
    def of(
        cls,
        problem: Problem,
        *,
        floor: float | None = None,
        pool_cap: float | None = None,
        prices: Sequence[float] | None = None,
    ) -> "Limits":
        """The limits of a problem.

        Args:
            problem: whose pools each occur once.
            floor: units of capacity to be bought at least, if more than the demand; what must survive a loss then
                leaves more room.
            pool_cap: a share for each pool that is tighter than the problem's own.
            prices: what to minimise instead of the candidates' objective.
        """
        floor = problem.demand if floor is None else floor
        ceiling = problem.demand * (1 + problem.slack)
        units_of_pool = cap_units(problem, Group.POOL, floor)
        if pool_cap is not None:
            units_of_pool = min(units_of_pool, pool_cap * problem.demand)
        weights = [candidate.weight for candidate in problem.candidates]
        prices = [candidate.objective for candidate in problem.candidates] if prices is None else list(prices)
        units = [price / weight for price, weight in zip(prices, weights, strict=True)]
        pool_room = min(units_of_pool, ceiling) + TOLERANCE * ceiling
        most = [int(pool_room / weight) for weight in weights]
        shared, caps, names = _shared_caps(problem, floor)
        quota, quotas, quota_names = _quotas(problem)
        order = tuple(sorted((i for i, count in enumerate(most) if count), key=units.__getitem__))
        vcpus = [candidate.vcpus for candidate in problem.candidates]
        return cls(
            problem,
            order,
            weights,
            prices,
            units,
            vcpus,
            [0] * len(most),
            most,
            shared,
            caps,
            names,
            quota,
            quotas,
            quota_names,
            floor,
            ceiling,
        )


def cap_units(problem: Problem, kind: Group, bought: float) -> float:
    """Units of capacity that one group of a kind may hold if `bought` are bought in all; infinite: any number."""
    limits = [float("inf")]
    if kind in problem.caps:
        limits.append(problem.caps[kind] * problem.demand)
    if kind in problem.survive:
        limits.append(bought - problem.survive[kind] * problem.demand)
    return max(0.0, min(limits))


def _shared_caps(problem: Problem, floor: float) -> tuple[list[tuple[int, ...]], list[float], list[tuple[Group, str]]]:
    """The shared caps of each candidate, what each cap allows, and the kind and key of each."""
    limited = {kind: units for kind in (*NESTED, Group.AZ) if (units := cap_units(problem, kind, floor)) < float("inf")}
    nested = [kind for kind in NESTED if kind in limited]
    numbers: dict[tuple[Group, str], int] = {}
    by_type: dict[str, tuple[int, ...]] = {}
    shared = []
    for candidate in problem.candidates:
        pool = candidate.pool
        of_one = by_type.get(pool.type.name)
        if of_one is None:
            of_one = tuple(numbers.setdefault((kind, pool.key(kind)), len(numbers)) for kind in nested)
            by_type[pool.type.name] = of_one
        if Group.AZ in limited:
            of_one = (*of_one, numbers.setdefault((Group.AZ, pool.az_id), len(numbers)))
        shared.append(of_one)
    return shared, [limited[kind] for kind, _ in numbers], list(numbers)


def _quotas(problem: Problem) -> tuple[list[int], list[float], list[str]]:
    """The quota of each candidate, each quota in vCPU, and its name."""
    if not problem.quotas:
        return [-1] * len(problem.candidates), [], []
    numbers = {name: number for number, name in enumerate(problem.quotas)}
    of_each = [numbers.get(quota_class(candidate.pool.type.parts), -1) for candidate in problem.candidates]
    return of_each, [float(vcpus) for vcpus in problem.quotas.values()], list(numbers)


class Allocation:
    """Counts of instances, and what they leave of every limit. The caps and quotas hold at any time."""

    __slots__ = ("bought", "counts", "limits", "price", "quota_room", "room", "squares", "used")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.counts = [0] * len(limits.weights)
        self.room = [cap + limits.tolerance for cap in limits.caps]
        self.quota_room = [vcpus + TOLERANCE for vcpus in limits.quotas]
        self.bought = 0.0
        self.price = 0.0
        self.squares = 0.0
        self.used: set[int] = set()

    @classmethod
    def kept(cls, limits: Limits) -> "Allocation":
        """With the instances that stay whatever happens, which the limits must allow."""
        allocation = cls(limits)
        allocation.restore(limits.least)
        return allocation

    def copy(self) -> "Allocation":
        """Another with the same counts."""
        other = Allocation.__new__(Allocation)
        other.limits, other.bought, other.price, other.squares = self.limits, self.bought, self.price, self.squares
        other.counts, other.room, other.quota_room = self.counts[:], self.room[:], self.quota_room[:]
        other.used = set(self.used)
        return other

    def headroom(self, i: int) -> int:
        """How many more instances of a candidate every cap and quota allows; the ceiling is not looked at."""
        limits = self.limits
        free = limits.most[i] - self.counts[i]
        if free <= 0:
            return 0
        room = self.room
        weight = limits.weights[i]
        least = free * weight + limits.tolerance
        for cap in limits.shared[i]:
            if room[cap] < least:
                least = room[cap]
                if least < weight:
                    return 0
        free = int(least / weight)
        if limits.quotas and limits.quota[i] >= 0:
            return max(0, min(free, int(self.quota_room[limits.quota[i]] / limits.vcpus[i])))
        return free

    def add(self, i: int, count: int) -> None:
        """Deal out `count` more instances of a candidate, or take some back if it is negative."""
        limits = self.limits
        weight = limits.weights[i]
        units = count * weight
        before = self.counts[i]
        self.counts[i] = before + count
        self.bought += units
        self.price += count * limits.prices[i]
        self.squares += units * (2 * before * weight + units)
        for cap in limits.shared[i]:
            self.room[cap] -= units
        if limits.quotas and limits.quota[i] >= 0:
            self.quota_room[limits.quota[i]] -= count * limits.vcpus[i]
        if before + count:
            self.used.add(i)
        else:
            self.used.discard(i)

    def loose(self, i: int) -> int:
        """How many instances of a candidate may be taken back."""
        return self.counts[i] - self.limits.least[i]

    def restore(self, counts: Sequence[int]) -> None:
        """Go back to these counts."""
        for i, count in enumerate(counts):
            if count != self.counts[i]:
                self.add(i, count - self.counts[i])

    @property
    def short(self) -> float:
        """Units of capacity that are missing; negative: bought more than the least."""
        return self.limits.floor - self.bought

    def spread(self) -> bool:
        """Whether the pools are as many, and as even, as the problem asks."""
        problem = self.limits.problem
        even = self.squares * problem.least_effective_pools <= self.bought * self.bought * (1 + TOLERANCE)
        return even and len(self.used) >= problem.least_pools

    def sufficient(self) -> bool:
        """Whether everything that the problem asks holds."""
        tolerance = self.limits.tolerance
        return self.short <= tolerance and self.bought <= self.limits.ceiling + tolerance and self.spread()
