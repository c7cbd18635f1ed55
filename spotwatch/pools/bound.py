"""What no plan within the caps can go below, proven without a solver, and what each cap costs.

Plans in fractions of instances (the linear relaxation) cost no more than whole ones. Types lie in families and families
in generations, so for these caps alone buying the cheapest unit first is exact. AZs and quotas lie across them; they
are given a price for each unit instead (Lagrange multipliers), which makes the rest nested again. By weak duality the
value of `Prices` is a lower bound whatever the multipliers are; the search only makes it a good one:

    bound = min over t of price x t - sum over caps of multiplier x cap(t) - sum over pools of profit x pool cap(t)

where t, the capacity that is bought, lies between the demand and the demand with its slack, and the profit of a pool is
what the price of a unit leaves after the pool's own price and all multipliers, if anything.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from spotwatch.core.capacity import Group
from spotwatch.pools.allocation import Limits, cap_units
from spotwatch.pools.problem import Problem

_STEPS: Final = 60
"""Of the search for the multipliers of AZs and quotas; it ends earlier when it comes no further."""

_FAR: Final = 0.03
_NEAR: Final = 0.005
"""How much higher than the best known value the search aims, relatively: from nothing; from prices that are near."""

_PATIENCE: Final = 3
"""Steps without progress after which it aims half as high."""

_PROGRESS: Final = 1e-7
"""A relative gain that counts as one."""

_CLOSED: Final = 1e-5
_NEARLY_CLOSED: Final = 2e-4
"""A relative gap that is none; where the search starts from near prices, it is content with less."""

_ROUNDING: Final = 1e-9
"""Relative: what sums of floats may be wrong by, taken off the bound."""

_PENALTY: Final = 1000.0
"""How many times dearer than the dearest pool a unit is that cannot be had."""


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


def lower_bound(
    problem: Problem,
    prices: Sequence[float] | None = None,
    *,
    start: Prices | None = None,
    without: tuple[Group, str] | None = None,
    enough: float = float("inf"),
) -> Bound:
    """A lower bound of the objective of every plan, whole or not; close to the best linear one.

    Args:
        problem: its caps, quotas and survival count, its wishes for many and even pools do not.
        prices: of one instance of each candidate, instead of the objective: with costs it bounds the cost.
        start: prices that are near, from a problem that differs little.
        without: a group whose cap does not count, by its kind and key.
        enough: the search ends when the bound is as high.
    """
    floors = [problem.demand]
    if problem.survive and problem.slack:
        floors += [problem.demand * (1 + problem.slack * share) for share in (0.33, 0.67, 1.0)]
    found = []
    for floor in floors:
        limits = Limits.of(problem, floor=floor, prices=prices)
        if without is not None:
            limits.caps[limits.names.index(without)] = limits.ceiling
        searched = _Search(limits).best(enough, start)
        found.append(Bound(_proven(limits, searched, without), searched))
        if problem.survive:
            found.append(_impossible(limits))
    return max(found, key=lambda bound: bound.value)


def _impossible(limits: Limits) -> Bound:
    """What the AZs' caps alone prove: an arbitrarily high bound where together they allow less than is to be bought."""
    price = _PENALTY * max(limits.units)
    prices = Prices(price, {name: price for name in limits.names if name[0] is Group.AZ})
    return Bound(proven(limits, prices), prices)


def whole_bound(limits: Limits, enough: float) -> Bound:
    """A lower bound for plans in whole instances at these limits; the search ends when it reaches `enough`.

    It knows that a pool holds whole instances only, which for small demands is a lot; it is for the solver's own use.
    """
    search = _Search(limits, whole=True)
    prices = search.best(enough, None)
    return Bound(search.value, prices)


def surcharge(limits: Limits, prices: Prices, i: int) -> float:
    """What a unit of a candidate costs besides its price for the AZ and the quota that it takes up."""
    found = sum(prices.caps.get(name, 0.0) for cap in limits.shared[i] if (name := limits.names[cap])[0] is Group.AZ)
    if limits.quota[i] >= 0:
        found += prices.quotas.get(limits.quota_names[limits.quota[i]], 0.0) * limits.vcpus[i] / limits.weights[i]
    return found


def proven(limits: Limits, prices: Prices) -> float:
    """The lower bound that these prices prove: weak duality, term by term. Negative multipliers count as none."""
    return _proven(limits, prices, None)


def _proven(limits: Limits, prices: Prices, without: tuple[Group, str] | None) -> float:
    problem = limits.problem
    multipliers = [0.0 if name == without else max(0.0, prices.caps.get(name, 0.0)) for name in limits.names]
    of_quotas = [max(0.0, prices.quotas.get(name, 0.0)) for name in limits.quota_names]
    profits = 0.0
    for i, unit in enumerate(limits.units):
        profit = prices.unit - unit - sum(multipliers[cap] for cap in limits.shared[i])
        if limits.quota[i] >= 0:
            profit -= of_quotas[limits.quota[i]] * limits.vcpus[i] / limits.weights[i]
        if profit > 0:
            profits += profit
    quota_terms = sum(price * quota for price, quota in zip(of_quotas, limits.quotas, strict=True))
    by_kind = dict.fromkeys(Group, 0.0)
    for (kind, _), multiplier in zip(limits.names, multipliers, strict=True):
        by_kind[kind] += multiplier
    by_kind[Group.POOL] = profits

    def value(bought: float) -> float:
        caps = ((total, min(cap_units(problem, kind, bought), limits.ceiling)) for kind, total in by_kind.items())
        return prices.unit * bought - quota_terms - sum(total * cap for total, cap in caps)

    least = min(value(bought) for bought in _kinks(limits))
    return least - _ROUNDING * abs(least)


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


@dataclass(frozen=True, slots=True)
class _Priced:
    """The nested problem solved at multipliers of the crossing caps and of the quotas.

    Attributes:
        value: of the objective and the multipliers' terms.
        last: the price of the last unit that was bought.
        full: of each nested cap that has no room left, the price of its last unit.
        loads, used: of every cap and quota.
        multipliers, of_quotas: those that it was solved at.
    """

    value: float
    last: float
    full: Mapping[int, float]
    loads: Sequence[float]
    used: Sequence[float]
    multipliers: Mapping[int, float]
    of_quotas: Sequence[float]


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
        self.value = float("-inf")

    def best(self, enough: float, start: Prices | None) -> Prices:
        """The prices with the highest value that were found; `value` is theirs."""
        multipliers, of_quotas = self._started(start)
        best: _Priced | None = None
        stale = 0
        distance, closed = (_FAR, _CLOSED) if start is None else (_NEAR, _NEARLY_CLOSED)
        for _ in range(_STEPS):
            priced = self.priced(multipliers, of_quotas)
            if priced.value > self.value * (1 + _PROGRESS) or self.value == float("-inf"):
                self.value, best, stale = priced.value, priced, 0
            else:
                stale += 1
                if stale == _PATIENCE:
                    stale, distance = 0, distance / 2
            if self.value >= enough or distance < closed:
                break
            step = self._step(distance, priced)
            if step is None:
                break
            multipliers, of_quotas = step
        return Prices(0.0) if best is None else self._prices(best)

    def _started(self, start: Prices | None) -> tuple[dict[int, float], list[float]]:
        if start is None:
            return dict.fromkeys(self.crossing, 0.0), [0.0] * len(self.limits.quotas)
        names = self.limits.names
        return (
            {cap: start.caps.get(names[cap], 0.0) for cap in self.crossing},
            [start.quotas.get(name, 0.0) for name in self.limits.quota_names],
        )

    def _step(self, distance: float, at: "_Priced") -> tuple[dict[int, float], list[float]] | None:
        """The next multipliers (Polyak's step towards a value that is a bit higher); None where these are the best."""
        limits, multipliers, of_quotas = self.limits, at.multipliers, at.of_quotas
        over = {cap: at.loads[cap] - limits.caps[cap] for cap in self.crossing}
        over_quota = [load - quota for load, quota in zip(at.used, limits.quotas, strict=True)]
        slopes = [slope for cap, slope in over.items() if slope > 0 or multipliers[cap] > 0]
        slopes += [slope for slope, price in zip(over_quota, of_quotas, strict=True) if slope > 0 or price > 0]
        norm = sum(slope * slope for slope in slopes)
        if norm <= limits.tolerance**2:
            return None
        step = (self.value + abs(self.value) * distance - at.value) / norm
        return (
            {cap: max(0.0, multipliers[cap] + step * slope) for cap, slope in over.items()},
            [max(0.0, price + step * slope) for price, slope in zip(of_quotas, over_quota, strict=True)],
        )

    def priced(self, multipliers: Mapping[int, float], of_quotas: Sequence[float]) -> "_Priced":
        """The nested problem at these multipliers."""
        while True:
            answer = self._greedy(multipliers, of_quotas)
            beyond = self.reach >= len(self.order)
            if beyond or answer.last <= self.limits.units[self.order[self.reach]]:
                return answer
            self.reach = min(len(self.order), 2 * self.reach)

    def _greedy(self, multipliers: Mapping[int, float], of_quotas: Sequence[float]) -> "_Priced":
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
            last = float("inf") if self.reach < len(self.order) else _PENALTY * max(units)
            value += short * last
        value -= sum(price * limits.caps[cap] for cap, price in multipliers.items())
        value -= sum(price * quota for price, quota in zip(of_quotas, limits.quotas, strict=True))
        return _Priced(value, last, full, loads, used, multipliers, of_quotas)

    def _prices(self, at: "_Priced") -> Prices:
        """The multipliers of the nested caps: by how much the last unit bought in each undercuts that of its parent."""
        limits, last, full = self.limits, at.last, at.full
        caps = {limits.names[cap]: price for cap, price in at.multipliers.items() if price > 0}
        within: dict[int, float] = {}
        for of_one in self.nested:
            asked = last
            for cap in reversed(of_one):
                if cap not in within:
                    within[cap] = min(asked, full.get(cap, asked))
                    if asked > within[cap]:
                        caps[limits.names[cap]] = asked - within[cap]
                asked = within[cap]
        quotas = {name: price for name, price in zip(limits.quota_names, at.of_quotas, strict=True) if price > 0}
        return Prices(last, caps, quotas)
