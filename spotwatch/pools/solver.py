"""Whole instances for a planning problem: greedy, exchange, repair; milliseconds in plain Python.

1. Greedy: buy where a unit of capacity is cheapest, as far as the caps allow. Types lie in families and families in
   generations, so only AZs, quotas and whole instances keep this from being exact.
2. Repair: if the caps leave it short, take a pool back, put what is short where it was blocked, and fill up again.
3. Exchange: instances of one pool for those of another, as long as it becomes cheaper.
4. Where the price is still more than `CLOSE` above what is proven to be the least: take two pools out at a time, or force
   one in, and fill up again.

A wish for many or even pools that the pools' cap does not imply is met by trying tighter caps of pools, and a share that
has to survive a loss by also trying to buy more, within the slack.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from spotwatch.core.capacity import Group
from spotwatch.core.errors import PlanInfeasible
from spotwatch.pools.allocation import Allocation, Limits
from spotwatch.pools.bound import whole_bound
from spotwatch.pools.exchange import deepen, improve
from spotwatch.pools.greedy import start
from spotwatch.pools.problem import Problem, Solution

CLOSE: Final = 0.0049
"""A relative distance to the proven bound at which the search ends."""

_TRIES: Final = 200
"""How often pools are taken out or forced in at most; each costs about 0.1 ms."""


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


def find(problem: Problem, *, tries: int = _TRIES) -> Solution | None:
    """As `solve`, None where no plan was found.

    Args:
        problem: see there.
        tries: how often it may take pools out and fill up again, once it has a plan.
    """
    best = _best(allocation for allocation in map(_improved, readings(problem)) if allocation.sufficient())
    if best is None:
        return None
    if tries and not _close(best):
        best = deepen(best, tries)
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
        floors += [problem.demand * (1 + problem.slack * share) for share in (0.3, 0.6, 0.95)]
    for floor in floors:
        for cap in caps:
            yield Limits.of(problem, floor=floor, pool_cap=cap)


def _close(allocation: Allocation) -> bool:
    """Whether nothing much better can be found."""
    goal = allocation.price * (1 - CLOSE)
    return whole_bound(allocation.limits, goal) >= goal
