"""The smallest change: from what runs already to a plan that keeps every limit.

First as much as possible of what runs is kept, then what is missing is planned as any other demand. So the fewest vCPU
are started and stopped; among such plans the objective decides.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from spotwatch.core.errors import PlanInfeasible
from spotwatch.pools.allocation import Allocation, Limits
from spotwatch.pools.exchange import improve
from spotwatch.pools.greedy import fill, start
from spotwatch.pools.plan import PlannedPool
from spotwatch.pools.problem import Problem, Solution
from spotwatch.pools.solver import readings

Existing = Mapping[tuple[str, str], int]
"""Instances that run, by AZ id and type."""

_GIVING_WAY: Final = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
"""The shares of what runs that are given up, one after the other, until a plan is found."""


@dataclass(frozen=True, slots=True)
class Step:
    """So many instances of a pool to start, or to stop if negative."""

    az_id: str
    instance_type: str
    count: int


def solve_change(problem: Problem, existing: Existing) -> Solution:
    """The plan with the smallest change that was found.

    Args:
        problem: what is wanted.
        existing: what runs; pools that are no candidates are stopped.

    Raises:
        PlanInfeasible: there is no plan, whatever is stopped.
    """
    running = [existing.get((each.pool.az_id, each.pool.type.name), 0) for each in problem.candidates]
    for given_up in _GIVING_WAY:
        plans = [found for limits in readings(problem) if (found := _planned(limits, running, given_up))]
        if plans:
            best = min(plans, key=lambda found: (changed_vcpus(problem, found.counts, running), found.price))
            return Solution(tuple(best.counts))
    raise PlanInfeasible(
        "no plan keeps every cap, whatever is stopped",
        hint="raise a cap or the slack, or allow more instance types or AZs",
    )


def _planned(limits: Limits, running: Sequence[int], given_up: float) -> Allocation | None:
    """A plan that keeps what it can of what runs, less a share that is given up."""
    kept = _kept(limits, running, given_up)
    allocation = start(replace(limits, least=kept))
    if not allocation.sufficient():
        return None
    improve(allocation)
    return allocation


def _kept(limits: Limits, running: Sequence[int], given_up: float) -> list[int]:
    """How many running instances of each candidate stay: as many as the limits allow, the cheapest first."""
    within = replace(
        limits,
        most=[min(most, count) for most, count in zip(limits.most, running, strict=True)],
        order=tuple(i for i in limits.order if running[i]),
        floor=limits.ceiling,
    )
    allocation = Allocation(within)
    fill(allocation)
    running_units = allocation.bought
    while allocation.used and allocation.bought > running_units * (1 - given_up) + limits.tolerance:
        largest = max(allocation.used, key=lambda i: (allocation.counts[i] * limits.weights[i], limits.units[i]))
        allocation.add(largest, -1)
    return allocation.counts


def changed_vcpus(problem: Problem, counts: Sequence[int], running: Sequence[int]) -> int:
    """VCPU started and stopped, of the candidates."""
    return sum(
        abs(count - before) * candidate.pool.type.vcpus
        for count, before, candidate in zip(counts, running, problem.candidates, strict=True)
    )


def steps(pools: Iterable[PlannedPool], existing: Existing) -> tuple[Step, ...]:
    """What to start and what to stop for a plan, the largest first; what runs outside of it is stopped."""
    wanted = {(each.pool.az_id, each.pool.type.name): each.count for each in pools}
    found = [Step(*pool, wanted.get(pool, 0) - existing.get(pool, 0)) for pool in {*wanted, *existing}]
    return tuple(
        sorted(
            (step for step in found if step.count),
            key=lambda step: (-abs(step.count), step.az_id, step.instance_type),
        )
    )
