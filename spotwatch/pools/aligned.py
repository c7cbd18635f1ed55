"""Equal shares: every pool holds about the same capacity, so that one EC2 Fleet holds the plan.

A fleet of type `maintain` with the strategy `diversified` deals its target out evenly over its K pools and starts
ceil(target / K / weight) instances in each. Where every pool's instances have just the same capacity (48 vCPU are
1 x 48, 2 x 24, 3 x 16, 6 x 8, 12 x 4 or 24 x 2), the weights are the capacities, and a unit of the fleet is one of the
plan.

Where such plans are dear, because cheap types come in sizes that do not fit, pools may differ: a weight of (target /
K) / n makes the fleet start n instances whatever they hold. Its units are then not quite the plan's. The caps count
what the pools really hold; but the fleet replaces units, so a lost pool that held more than the mean is not replaced
in full, and if only the smallest pools are left, so much less is there as they are below the mean. That is what
`unevenness` limits, and the search takes no more of it than it needs.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import ceil, floor
from typing import Final

from spotwatch.core.capacity import Group
from spotwatch.core.errors import PlanInfeasible
from spotwatch.pools.allocation import Allocation, Limits
from spotwatch.pools.exchange import improve
from spotwatch.pools.problem import Candidate, Problem, Solution
from spotwatch.pools.solver import find

MOST_UNEVENNESS: Final = 0.3
"""A pool that holds twice what another does would be two pools; below a third, none can."""

_STEPS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the unevenness that is allowed; the first that is cheap enough is taken."""

_STEPS_WITH_LOSSES: Final = (0.0, 1.0)
"""The same where something has to survive a loss: the solver then takes ten times as long for each plan."""

_CHEAP_ENOUGH: Final = 1.02
"""Relative to the free shares that were found, which are at most 0.5 % from the best ones; so 2.5 % above these."""

_MOST_POOLS: Final = 60
"""No plan has more: beyond it each further pool costs more than the evenness is worth, and the search time."""

_MOST_CAPACITIES: Final = 60
"""Of equal pools, those that the most candidates can hold: with many vCPU there are thousands."""

_DIGITS: Final = 6
"""Capacities that agree to so many decimals are equal."""

_WHOLE: Final = 1e-9


def find_aligned(problem: Problem, unevenness: float = 0.0) -> Solution | None:
    """The cheapest plan of about equal pools that was found, with no more unevenness than it takes not to be dear.

    None if there is no such plan.

    Args:
        problem: what is wanted.
        unevenness: how much less than the mean a pool may hold at most, as a share.
    """
    free = find(problem)
    goal = float("inf") if free is None else free.objective(problem) * _CHEAP_ENOUGH
    best: Solution | None = None
    best_price = float("inf")
    steps = _STEPS_WITH_LOSSES if problem.survive else _STEPS
    for step in steps if unevenness else (0.0,):
        for found in _plans(problem, unevenness * step):
            if (price := found.objective(problem)) < best_price:
                best, best_price = found, price
        if best_price <= goal:
            break
    return best


def alignable(problem: Problem, unevenness: float = 0.0) -> bool:
    """Whether a plan of about equal pools was found."""
    return any(True for _ in _plans(problem, unevenness))


def solve_aligned(problem: Problem, unevenness: float = 0.0) -> Solution:
    """As `find_aligned`.

    Raises:
        PlanInfeasible: there is no such plan.
    """
    found = find_aligned(problem, unevenness)
    if found is None:
        raise PlanInfeasible(
            "no number of equal pools keeps every cap",
            hint="raise the slack, a cap or the unevenness, allow more instance types, or plan free shares (mode free)",
        )
    return found


def _plans(problem: Problem, unevenness: float) -> Iterator[Solution]:
    for capacity in _uneven(problem) if unevenness else _equal(problem):
        found = _near(problem, capacity, unevenness)
        if found is not None:
            yield found


def _numbers(problem: Problem) -> range:
    """How many pools are tried."""
    least = max(problem.least_pools, ceil(problem.least_effective_pools), 1)
    return range(least, max(_MOST_POOLS, 2 * least) + 1)


def _uneven(problem: Problem) -> Iterable[float]:
    """What pools are to hold about."""
    return (problem.demand / pools for pools in _numbers(problem))


def _equal(problem: Problem) -> Iterable[float]:
    """What pools can hold exactly so that some number of them is the demand, those first that the most can hold."""
    numbers = _numbers(problem)
    wide = problem.caps.get(Group.POOL, 1.0) * problem.demand * (1 + _WHOLE)
    holders: Counter[float] = Counter()
    for weight, candidates in Counter(candidate.weight for candidate in problem.candidates).items():
        for count in range(ceil(problem.demand / numbers[-1] / weight - _WHOLE), floor(wide / weight) + 1):
            capacity = count * weight
            pools = ceil(problem.demand / capacity - _WHOLE) if capacity else 0
            if pools in numbers and pools * capacity <= problem.demand * (1 + problem.slack) * (1 + _WHOLE):
                holders[round(capacity, _DIGITS)] += candidates
    return [capacity for capacity, _ in holders.most_common(_MOST_CAPACITIES)]


def _near(problem: Problem, capacity: float, unevenness: float) -> Solution | None:
    """A cheap plan whose pools hold about `capacity`: a problem in which one instance is a whole pool, then tuned."""
    low = capacity * (1 - unevenness) * (1 - _WHOLE)
    high = min(capacity * (1 + unevenness), problem.caps.get(Group.POOL, 1.0) * problem.demand) * (1 + _WHOLE)
    blocks = [
        (number, count)
        for number, candidate in enumerate(problem.candidates)
        if (count := _count(candidate, capacity, low, high))
    ]
    if len(blocks) < problem.least_pools:
        return None
    whole = replace(
        problem,
        candidates=tuple(_block(problem.candidates[number], count) for number, count in blocks),
        caps={**problem.caps, Group.POOL: high / problem.demand},
    )
    found = find(whole, effort=0)
    if found is None:
        return None
    counts = {number: count for (number, count), chosen in zip(blocks, found.counts, strict=True) if chosen}
    solution = _tuned(problem, counts, low, high)
    return solution if _evenly(problem, solution, unevenness) else None


def _count(candidate: Candidate, capacity: float, low: float, high: float) -> int:
    """How many instances come nearest to a capacity without leaving the bounds; 0: no whole number does."""
    least, most = ceil(low / candidate.weight), floor(high / candidate.weight)
    return min(max(least, round(capacity / candidate.weight)), most) if least <= most else 0


def _block(candidate: Candidate, count: int) -> Candidate:
    """So many instances taken for one."""
    return Candidate(
        candidate.pool,
        count * candidate.weight,
        count * candidate.cost,
        count * candidate.objective,
        count * candidate.instances,
    )


def _tuned(problem: Problem, counts: dict[int, int], low: float, high: float) -> Solution:
    """More in the cheap pools and less in the dear ones, as far as the bounds and caps go."""
    bought = sum(count * problem.candidates[number].weight for number, count in counts.items())
    limits = Limits.of(problem, floor=bought if problem.survive else None)
    least, most = [0] * len(limits.weights), [0] * len(limits.weights)
    for number in counts:
        least[number], most[number] = ceil(low / limits.weights[number]), floor(high / limits.weights[number])
    order = tuple(number for number in limits.order if number in counts)
    allocation = Allocation(replace(limits, least=least, most=most, order=order))
    for number, count in counts.items():
        allocation.add(number, count)
    improve(allocation)
    return Solution(tuple(allocation.counts))


def _evenly(problem: Problem, solution: Solution, unevenness: float) -> bool:
    """Whether no pool holds too much less than the mean."""
    held = [count * each.weight for count, each in zip(solution.counts, problem.candidates, strict=True) if count]
    return min(held) >= sum(held) / len(held) * (1 - unevenness) * (1 - 2 * _WHOLE)
