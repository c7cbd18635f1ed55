"""Whole instances for a planning problem: greedy, exchange, repair; milliseconds in plain Python.

1. Greedy: buy where a unit of capacity is cheapest, as far as the caps allow. Types lie in families and families in
   generations, so only AZs, quotas and whole instances keep this from being exact.
2. Repair: if the caps leave it short, take a pool back, put what is short where it was blocked, and fill up again.
3. Exchange: instances of one pool for those of another, as long as it becomes cheaper.
4. Where the price is still more than `CLOSE` above what is proven to be the least: take a few pools out, or force
   another in, and fill up again.

A wish for many or even pools that the pools' cap does not imply is met by trying tighter caps of pools, and a share
that has to survive a loss by also trying to buy more, within the slack.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from spotwatch.core.capacity import Group
from spotwatch.core.errors import PlanInfeasible
from spotwatch.pools.allocation import Allocation, Limits
from spotwatch.pools.bound import Prices, lower_bound, surcharge, whole_bound
from spotwatch.pools.exchange import deepen, improve
from spotwatch.pools.greedy import start
from spotwatch.pools.problem import Problem, Solution

CLOSE: Final = 0.0049
"""A relative distance to the proven bound at which the search ends."""

_RESERVES: Final = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Shares of the slack that are bought so that more is left after a loss."""

_EFFORT: Final = 6000
"""How many exchanges are looked for at most in the fourth step; each takes some 50 microseconds."""


def solve(problem: Problem) -> Solution:
    """A plan that keeps every limit of the problem, at nearly the least objective.

    Raises:
        PlanInfeasible: none was found.
    """
    solution = find(problem)
    if solution is None:
        raise PlanInfeasible(
            "no whole number of instances keeps every cap",
            hint="raise a cap or the slack, allow more instance types or AZs, or ask for fewer pools",
        )
    return solution


def find(problem: Problem, *, effort: int = _EFFORT) -> Solution | None:
    """As `solve`, None where no plan was found.

    Args:
        problem: see there.
        effort: of the fourth step; 0 leaves it out.
    """
    best = _best(allocation for allocation in map(_improved, readings(problem)) if allocation.sufficient())
    if best is None:
        return None
    if effort:
        best = _refined(_widened(best), effort)
    return Solution(tuple(best.counts))


def feasible(problem: Problem) -> bool:
    """Whether a plan was found, good or bad."""
    return any(start(limits).sufficient() for limits in readings(problem))


def _best(allocations: Iterable[Allocation]) -> Allocation | None:
    return min(allocations, key=lambda allocation: allocation.price, default=None)


def _improved(limits: Limits) -> Allocation:
    allocation = start(limits)
    if allocation.short <= limits.tolerance:
        improve(allocation)
    return allocation


def readings(problem: Problem) -> Iterator[Limits]:
    """Ways to read the problem that are each at least as strict as it is."""
    wanted = max(problem.least_effective_pools, float(problem.least_pools))
    widest = min(problem.caps.get(Group.POOL, 1.0), 1.0)
    caps: list[float | None] = [None]
    if wanted * widest > 1:
        caps += [1 / wanted + (widest - 1 / wanted) * share for share in (0.4, 0.1, 0.0)]
    floors = [problem.demand]
    if problem.survive:
        floors += [problem.demand * (1 + problem.slack * share) for share in _RESERVES]
    for floor in floors:
        for cap in caps:
            yield Limits.of(problem, floor=floor, pool_cap=cap)


def _widened(allocation: Allocation) -> Allocation:
    """The same without the tighter cap of pools that it was found with, and what that allows to exchange."""
    limits = Limits.of(allocation.limits.problem, floor=allocation.limits.floor)
    if limits.most == allocation.limits.most:
        return allocation
    widened = Allocation(limits)
    widened.restore(allocation.counts)
    improve(widened)
    return widened


def _refined(allocation: Allocation, effort: int) -> Allocation:
    """The fourth step, and before it a start that pays for the AZs and quotas what they are worth."""
    limits, goal = allocation.limits, allocation.price * (1 - CLOSE)
    problem = limits.problem
    # Where something is to survive, the limits are those of one amount that is bought; another may be cheaper.
    bound = lower_bound(problem, enough=goal) if problem.survive else whole_bound(limits, goal)
    if bound.value >= goal:
        return allocation
    guided = _guided(limits, bound.prices)
    if guided.sufficient() and guided.price < allocation.price:
        allocation = guided
    return deepen(allocation, effort)


def _guided(limits: Limits, prices: Prices) -> Allocation:
    """Bought in the order of price and the multipliers of AZs and quotas, which greedy alone cannot see."""
    order = sorted(limits.order, key=lambda i: limits.units[i] + surcharge(limits, prices, i))
    allocation = Allocation(limits)
    allocation.restore(start(replace(limits, order=tuple(order))).counts)
    if allocation.short <= limits.tolerance:
        improve(allocation)
    return allocation
