"""What no plan within the caps can go below, proven without a solver, and what each cap costs.

Plans in fractions of instances (the linear relaxation) cost no more than whole ones. Types lie in families and families
in generations, so for these caps alone buying the cheapest unit first is exact. AZs and quotas lie across them; they are
given a price for each unit instead (Lagrange multipliers), which makes the rest nested again. By weak duality the value
of `Prices` is a lower bound whatever the multipliers are; the search only makes it a good one:

    bound = min over t of  price x t - sum of multiplier x cap(t) - sum over pools of max(0, price - unit - multipliers) x cap
    where t, the capacity that is bought, lies between the demand and the demand with its slack
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from spotwatch.core.capacity import Group
from spotwatch.pools.allocation import NESTED, Limits, cap_units
from spotwatch.pools.problem import Problem

_STEPS: Final = 60
"""Of the search for the multipliers of AZs and quotas; it ends earlier when the gap is closed."""

_CLOSED: Final = 1e-5
"""A relative gap that is none."""


@dataclass(frozen=True, slots=True)
class Prices:
    """A point of the dual problem.

    Attributes:
        unit: USD an hour for one more unit of demand.
        caps: the multiplier of each shared cap, by its kind and key: USD an hour for one unit more of it.
        quotas: the multiplier of each quota, by its name: USD an hour for one vCPU more of it.
    """

    unit: float
    caps: Mapping[tuple[Group, str], float] = field(default_factory=dict)
    quotas: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bound:
    """A lower bound, and the prices that prove it."""

    value: float
    prices: Prices


def lower_bound(problem: Problem, prices: Sequence[float] | None = None, *, goal: float | None = None) -> Bound:
    """A lower bound of the objective of every plan, whole or not; close to the best linear one.

    Args:
        problem: its caps, quotas and survival count, its wishes for many and even pools do not.
        prices: of one instance of each candidate, instead of the objective: with costs it bounds the cost.
        goal: the objective of a plan that is known; the search ends when the bound comes near it.
    """
    floors = [problem.demand]
    if problem.survive and problem.slack:
        floors += [problem.demand * (1 + problem.slack * share) for share in (0.25, 0.5, 0.75, 1.0)]
    found = []
    for floor in floors:
        limits = Limits.of(problem, floor=floor, prices=prices)
        searched = _Search(limits).best(goal)
        found.append(Bound(proven(limits, searched), searched))
    return max(found, key=lambda bound: bound.value)


def whole_bound(limits: Limits, goal: float) -> float:
    """A lower bound for plans in whole instances at these limits; the search ends when it reaches `goal`.

    It knows that a pool holds whole instances only, which for small demands is a lot; it is for the solver's own use.
    """
    search = _Search(limits, whole=True)
    search.best(goal)
    return search.value


def proven(limits: Limits, prices: Prices) -> float:
    """The lower bound that these prices prove: weak duality, term by term. Negative multipliers count as none."""
    problem = limits.problem
    multipliers = [max(0.0, prices.caps.get(name, 0.0)) for name in limits.names]
    of_quotas = [max(0.0, prices.quotas.get(name, 0.0)) for name in limits.quota_names]
    profits = 0.0
    for i, unit in enumerate(limits.units):
        profit = prices.unit - unit - sum(multipliers[cap] for cap in limits.shared[i])
        if limits.quota[i] >= 0:
            profit -= of_quotas[limits.quota[i]] * limits.vcpus[i] / limits.weights[i]
        if profit > 0:
            profits += profit
    quota_terms = sum(price * quota for price, quota in zip(of_quotas, limits.quotas, strict=True))
    by_kind = {kind: 0.0 for kind in Group}
    for (kind, _), multiplier in zip(limits.names, multipliers, strict=True):
        by_kind[kind] += multiplier
    by_kind[Group.POOL] = profits

    def value(bought: float) -> float:
        caps = ((total, min(cap_units(problem, kind, bought), limits.ceiling)) for kind, total in by_kind.items())
        return prices.unit * bought - quota_terms - sum(total * cap for total, cap in caps)

    return min(value(bought) for bought in _kinks(limits))


def _kinks(limits: Limits) -> Iterable[float]:
    """The capacities bought where a convex function, linear between them, can have its least value."""
    problem = limits.problem
    low, high = problem.demand, limits.ceiling
    yield low
    yield high
    for kind, share in problem.survive.items():
        lost = share * problem.demand
        for cap in (0.0, problem.caps.get(kind, 1 + problem.slack) * problem.demand):
            if low < lost + cap < high:
                yield lost + cap


class _Search:
    """The search for the multipliers of the caps that lie across the nested ones, by subgradient steps."""

    def __init__(self, limits: Limits, *, whole: bool = False) -> None:
        self.limits = limits
        pool = min(cap_units(limits.problem, Group.POOL, limits.floor), limits.ceiling)
        self.pool_units = [pool] * len(limits.units)
        if whole:
            self.pool_units = [count * weight for count, weight in zip(limits.most, limits.weights, strict=True)]
        self.crossing = [number for number, (kind, _) in enumerate(limits.names) if kind is Group.AZ]
        self.az = [of_one[-1] if self.crossing and of_one else -1 for of_one in limits.shared]
        nested = [[cap for cap in of_one if limits.names[cap][0] is not Group.AZ] for of_one in limits.shared]
        self.nested = nested
        # A candidate that cannot be had whole may still be had in part: the bound is that of the linear problem.
        self.order = sorted(range(len(limits.units)), key=limits.units.__getitem__)
        self.reach = min(len(self.order), 128)

    def best(self, goal: float | None) -> Prices:
        limits = self.limits
        multipliers = dict.fromkeys(self.crossing, 0.0)
        of_quotas = [0.0] * len(limits.quotas)
        best_value, best = float("-inf"), Prices(0.0)
        stale, distance = 0, 0.03
        for _ in range(_STEPS):
            value, prices, loads, used = self.priced(multipliers, of_quotas)
            if value > best_value * (1 + 1e-7) or best_value == float("-inf"):
                best_value, best, stale = value, prices, 0
                centre = dict(multipliers), list(of_quotas)
            else:
                stale += 1
                if stale == 3:
                    stale, distance = 0, distance / 2
            over = {cap: loads[cap] - limits.caps[cap] for cap in self.crossing}
            over_quota = [load - quota for load, quota in zip(used, limits.quotas, strict=True)]
            slopes = [g for cap, g in over.items() if g > 0 or multipliers[cap] > 0]
            slopes += [g for g, m in zip(over_quota, of_quotas, strict=True) if g > 0 or m > 0]
            norm = sum(g * g for g in slopes)
            if norm <= (1e-9 * limits.floor) ** 2:
                break
            target = best_value * (1 + distance) if goal is None else min(goal, best_value * (1 + distance))
            if target - best_value <= _CLOSED * abs(best_value):
                break
            step = (target - value) / norm
            multipliers = {cap: max(0.0, multipliers[cap] + step * g) for cap, g in over.items()}
            of_quotas = [max(0.0, m + step * g) for m, g in zip(of_quotas, over_quota, strict=True)]
        self.value = best_value
        return best

    def priced(
        self, multipliers: Mapping[int, float], of_quotas: Sequence[float]
    ) -> tuple[float, Prices, list[float], list[float]]:
        """The nested problem at these multipliers: its value, its prices, and the load of every cap and quota."""
        while True:
            answer, last = self._greedy(multipliers, of_quotas)
            beyond = self.reach >= len(self.order)
            if beyond or last <= self.limits.units[self.order[self.reach]]:
                return answer
            self.reach = min(len(self.order), 2 * self.reach)

    def _greedy(
        self, multipliers: Mapping[int, float], of_quotas: Sequence[float]
    ) -> tuple[tuple[float, Prices, list[float], list[float]], float]:
        limits = self.limits
        units, az, shared = limits.units, self.az, limits.shared
        asked = {}
        for i in islice(self.order, self.reach):
            price = units[i]
            if az[i] >= 0:
                price += multipliers[az[i]]
            if of_quotas and limits.quota[i] >= 0:
                price += of_quotas[limits.quota[i]] * limits.vcpus[i] / limits.weights[i]
            asked[i] = price
        room = limits.caps[:]
        full: dict[int, float] = {}
        short, value, last, nothing = limits.floor, 0.0, 0.0, limits.tolerance
        loads, used = [0.0] * len(room), [0.0] * len(limits.quotas)
        for i in sorted(asked, key=asked.__getitem__):
            bought = min(self.pool_units[i], short)
            for cap in self.nested[i]:
                if room[cap] < bought:
                    bought = room[cap]
            if bought <= nothing:
                continue
            last = asked[i]
            value += bought * last
            short -= bought
            for cap in self.nested[i]:
                room[cap] -= bought
                if room[cap] <= nothing:
                    full.setdefault(cap, last)
            for cap in shared[i]:
                loads[cap] += bought
            if used and limits.quota[i] >= 0:
                used[limits.quota[i]] += bought * limits.vcpus[i] / limits.weights[i]
            if short <= nothing:
                break
        if short > nothing:
            last = float("inf") if self.reach < len(self.order) else last
        value -= sum(price * limits.caps[cap] for cap, price in multipliers.items())
        value -= sum(price * quota for price, quota in zip(of_quotas, limits.quotas, strict=True))
        return (value, self._prices(last, full, multipliers, of_quotas), loads, used), last

    def _prices(
        self, last: float, full: Mapping[int, float], multipliers: Mapping[int, float], of_quotas: Sequence[float]
    ) -> Prices:
        """The multipliers of the nested caps: by how much the last unit bought in each undercuts that of its parent."""
        limits = self.limits
        caps = {limits.names[cap]: price for cap, price in multipliers.items() if price > 0}
        within: dict[int, float] = {}
        for of_one in self.nested:
            asked = last
            for cap in reversed(of_one):
                if cap not in within:
                    within[cap] = min(asked, full.get(cap, asked))
                    if asked > within[cap]:
                        caps[limits.names[cap]] = asked - within[cap]
                asked = within[cap]
        quotas = {name: price for name, price in zip(limits.quota_names, of_quotas, strict=True) if price > 0}
        return Prices(last, caps, quotas)
