"""Equal shares: every pool holds the same capacity, made of whole instances.

One EC2 Fleet of type `maintain` with the strategy `diversified` and the units of an instance as its weight deals its
target out evenly over its pools, so that it holds such a plan, and no pool's share can be above 1 in K. 48 vCPU are
1 x 48, 2 x 24, 3 x 16, 6 x 8, 12 x 4 or 24 x 2; which capacity and how many pools is searched for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Final

from spotwatch.core.capacity import Group
from spotwatch.core.errors import PlanInfeasible
from spotwatch.pools.problem import Candidate, Problem, Solution
from spotwatch.pools.quota import quota_class
from spotwatch.pools.solver import find

_MOST_POOLS: Final = 60
"""No plan has more: beyond it each further pool costs more than the evenness is worth, and the search time."""

_WHOLE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Shape:
    """How many pools, and the units of capacity that each holds."""

    pools: int
    units: float


def find_aligned(problem: Problem) -> Solution | None:
    """The cheapest plan of equal pools that was found; None if there is none."""
    best: Solution | None = None
    best_price = float("inf")
    for least, shape in sorted(_shapes(problem), key=lambda item: item[0]):
        if least >= best_price:
            break
        found = _of_shape(problem, shape)
        if found is not None and (price := _price(problem, found)) < best_price:
            best, best_price = found, price
    return best


def alignable(problem: Problem) -> bool:
    """Whether a plan of equal pools was found."""
    return any(_of_shape(problem, shape) is not None for _, shape in _shapes(problem))


def solve_aligned(problem: Problem) -> Solution:
    """As `find_aligned`.

    Raises:
        PlanInfeasible: there is no such plan.
    """
    found = find_aligned(problem)
    if found is None:
        raise PlanInfeasible(
            "no number of equal pools keeps every cap",
            hint="raise the slack or a cap, allow more instance types, or plan free shares (mode free)",
        )
    return found


def _price(problem: Problem, solution: Solution) -> float:
    return sum(
        count * candidate.objective for count, candidate in zip(solution.counts, problem.candidates, strict=True)
    )


def _shapes(problem: Problem) -> Iterator[tuple[float, Shape]]:
    """The shapes that meet the demand, each with a price that it cannot go below: its cheapest pools without caps."""
    least = max(problem.least_pools, ceil(problem.least_effective_pools), 1)
    widest = problem.caps.get(Group.POOL, 1.0) * problem.demand * (1 + _WHOLE)
    weights = sorted({candidate.weight for candidate in problem.candidates})
    seen: set[Shape] = set()
    for pools in range(least, max(_MOST_POOLS, 2 * least) + 1):
        narrow, wide = problem.demand / pools, min(widest, problem.demand * (1 + problem.slack) / pools)
        for weight in weights:
            for count in range(ceil(narrow / weight - _WHOLE), floor(wide / weight + _WHOLE) + 1):
                shape = Shape(pools, count * weight)
                if shape not in seen:
                    seen.add(shape)
                    prices = sorted(
                        count_of(candidate, shape.units) * candidate.objective
                        for candidate in problem.candidates
                        if count_of(candidate, shape.units)
                    )
                    if len(prices) >= pools:
                        yield sum(prices[:pools]), shape


def count_of(candidate: Candidate, units: float) -> int:
    """How many instances have just so many units; 0: no whole number has."""
    count = round(units / candidate.weight)
    return count if abs(count * candidate.weight - units) <= _WHOLE * units else 0


def _of_shape(problem: Problem, shape: Shape) -> Solution | None:
    """The cheapest plan of a shape: a problem in which one instance is a whole pool."""
    blocks = [
        (number, count, candidate)
        for number, candidate in enumerate(problem.candidates)
        if (count := count_of(candidate, shape.units))
    ]
    bought = shape.pools * shape.units
    scale = problem.demand / bought
    whole = Problem(
        candidates=tuple(
            replace(
                candidate,
                weight=shape.units,
                cost=count * candidate.cost,
                objective=count * candidate.objective,
            )
            for _, count, candidate in blocks
        ),
        demand=bought,
        caps={**{kind: cap * scale for kind, cap in problem.caps.items()}, Group.POOL: 1 / shape.pools},
        slack=0.0,
        survive={kind: share * scale for kind, share in problem.survive.items()},
    )
    found = find(whole)
    if found is None:
        return None
    counts = [0] * len(problem.candidates)
    for (number, count, _), chosen in zip(blocks, found.counts, strict=True):
        counts[number] = chosen * count
    solution = Solution(tuple(counts))
    return solution if _within_quotas(problem, solution) else None


def _within_quotas(problem: Problem, solution: Solution) -> bool:
    used: dict[str, float] = {}
    for count, candidate in zip(solution.counts, problem.candidates, strict=True):
        name = quota_class(candidate.pool.type.parts)
        used[name] = used.get(name, 0.0) + count * candidate.pool.type.vcpus
    return all(used.get(name, 0.0) <= quota * (1 + _WHOLE) for name, quota in problem.quotas.items())
