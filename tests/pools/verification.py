"""Whether a solution keeps what its problem asks: written for tests, apart from the solver's own bookkeeping."""

from collections import defaultdict
from collections.abc import Iterator

from spotwatch.core.capacity import Group
from spotwatch.pools.problem import Problem, Solution
from spotwatch.pools.quota import quota_class

NOTHING = 1e-6


def violations(problem: Problem, solution: Solution) -> list[str]:
    """Every limit that does not hold, in words."""
    return list(_violations(problem, solution))


def _violations(problem: Problem, solution: Solution) -> Iterator[str]:
    held = [count * each.weight for count, each in zip(solution.counts, problem.candidates, strict=True)]
    total = sum(held)
    nothing = NOTHING * problem.demand
    if any(count < 0 or count != int(count) for count in solution.counts):
        yield "a count is no whole number"
    if not problem.demand - nothing <= total <= problem.demand * (1 + problem.slack) + nothing:
        yield f"{total} units for a demand of {problem.demand} with a slack of {problem.slack}"
    for kind in Group:
        sums: defaultdict[str, float] = defaultdict(float)
        for units, each in zip(held, problem.candidates, strict=True):
            sums[each.pool.key(kind)] += units
        largest = max(sums.values())
        if largest > problem.caps.get(kind, float("inf")) * problem.demand + nothing:
            yield f"a {kind} holds {largest} of {problem.demand}, its cap is {problem.caps[kind]}"
        if total - largest < problem.survive.get(kind, 0.0) * problem.demand - nothing:
            yield f"{total - largest} are left without a {kind}"
    if sum(units > 0 for units in held) < problem.least_pools:
        yield "too few pools"
    if total**2 < problem.least_effective_pools * sum(units**2 for units in held) * (1 - NOTHING):
        yield "the pools are too uneven"
    vcpus: defaultdict[str, int] = defaultdict(int)
    for count, each in zip(solution.counts, problem.candidates, strict=True):
        vcpus[quota_class(each.pool.type.parts)] += count * each.pool.type.vcpus
    for name, quota in problem.quotas.items():
        if vcpus[name] > quota + nothing:
            yield f"{vcpus[name]} vCPU of {name}, its quota is {quota}"
