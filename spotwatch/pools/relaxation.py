"""What gives way where not everything that is asked for can hold: in a fixed order, as little as possible, and said.

The order goes from the caps whose groups fail together least to those that fail together most: generation, family, AZ,
type, pool; then the number of pools, and last the slack. All before the first that makes a plan possible are lifted;
then, from the last back to the first, each is put back as far as it goes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from spotwatch.core.capacity import Group
from spotwatch.core.errors import PlanInfeasible
from spotwatch.core.quantity import format_share
from spotwatch.pools.plan import Relaxed
from spotwatch.pools.problem import Problem
from spotwatch.pools.quota import quota_class
from spotwatch.pools.solver import feasible

ORDER: Final = (Group.GENERATION, Group.FAMILY, Group.AZ, Group.TYPE, Group.POOL)

POOLS: Final = "pools"
EFFECTIVE_POOLS: Final = "effective pools"
SLACK: Final = "slack"

Possible = Callable[[Problem], bool]

_STEP: Final = 0.001
"""The caps are put back to a tenth of a percent."""


@dataclass(frozen=True, slots=True)
class Relaxation:
    """A problem that has a plan, and what was given up for it."""

    problem: Problem
    relaxed: tuple[Relaxed, ...]


@dataclass(frozen=True, slots=True)
class _Wish:
    """Something that can give way: `at(problem, x)` has it given up from 0, as asked, to 1, altogether."""

    at: Callable[[Problem, float], Problem]
    steps: int


def relax(problem: Problem, possible: Possible = feasible) -> Relaxation:
    """The problem itself if it has a plan, else the nearest that has.

    Args:
        problem: what is asked for.
        possible: whether a problem has a plan.

    Raises:
        PlanInfeasible: nothing that may give way makes a plan possible; it says why.
    """
    refuse_impossible(problem)
    if possible(problem):
        return Relaxation(problem, ())
    wishes = _wishes(problem)
    lifted = _lifted(problem, wishes, possible)
    relaxed = _put_back(problem, wishes[:lifted], possible)
    return Relaxation(relaxed, _differences(problem, relaxed))


def refuse_relaxed(relaxation: Relaxation) -> None:
    """Refuse what could only be had relaxed.

    Raises:
        PlanInfeasible: something was relaxed; it says what, and how far.
    """
    if relaxation.relaxed:
        figures = [(each.what, *figures_of(each)) for each in relaxation.relaxed]
        needed = ", ".join(f"{what} {granted} instead of {asked}" for what, asked, granted in figures)
        raise PlanInfeasible(
            f"the caps cannot all hold; it would take {needed}",
            hint="ask for that, allow more instance types or AZs, or let caps give way (without --strict)",
        )


def figures_of(relaxed: Relaxed) -> tuple[str, str]:
    """What was asked for and what was granted, as people write them."""
    is_share = relaxed.what in (*Group, SLACK)
    asked, granted = (
        format_share(figure) if is_share else f"{figure:.4g}" for figure in (relaxed.asked, relaxed.granted)
    )
    return asked, granted


def refuse_impossible(problem: Problem) -> None:
    """Refuse what no relaxation can help.

    Raises:
        PlanInfeasible: no candidates; less is asked for than the smallest instance has; the quotas are too small.
    """
    if not problem.candidates:
        raise PlanInfeasible("there is no pool to take instances from", hint="loosen the selection")
    smallest = min(candidate.weight for candidate in problem.candidates)
    if problem.demand < smallest:
        raise PlanInfeasible(
            f"{problem.demand:g} is less than the smallest instance has ({smallest:g})",
            hint="ask for more, or allow smaller instances",
        )
    _refuse_quotas(problem)


def _refuse_quotas(problem: Problem) -> None:
    if not problem.quotas:
        return
    dense: dict[str, float] = {}
    for candidate in problem.candidates:
        name = quota_class(candidate.pool.type.parts)
        if name not in problem.quotas:
            return
        dense[name] = max(dense.get(name, 0.0), candidate.weight / candidate.vcpus)
    most = sum(problem.quotas[name] * units for name, units in dense.items())
    if most < problem.demand * (1 - 1e-9):
        named = ", ".join(f"{name}: {problem.quotas[name]:g}" for name in sorted(dense))
        raise PlanInfeasible(
            f"the Spot quotas allow {most:g} units of the {problem.demand:g} that are asked for (vCPU of {named})",
            hint="ask for a higher quota in the Service Quotas console, or for less",
        )


def _wishes(problem: Problem) -> list[_Wish]:
    caps = [_cap_wish(problem, kind) for kind in ORDER if problem.caps.get(kind, 1.0) < 1]
    return [*caps, _pools_wish(problem), _slack_wish(problem)]


def _cap_wish(asked: Problem, kind: Group) -> _Wish:
    cap = asked.caps[kind]

    def at(problem: Problem, given_up: float) -> Problem:
        granted = min(1.0, cap + ceil((1 - cap) * given_up / _STEP - 1e-9) * _STEP)
        return replace(problem, caps={**problem.caps, kind: granted})

    return _Wish(at, max(1, ceil((1 - cap) / _STEP)))


def _pools_wish(asked: Problem) -> _Wish:
    most = max(asked.least_pools, ceil(asked.least_effective_pools))

    def at(problem: Problem, given_up: float) -> Problem:
        pools = max(1, most - round((most - 1) * given_up))
        return replace(
            problem,
            least_pools=min(asked.least_pools, pools),
            least_effective_pools=min(asked.least_effective_pools, float(pools)),
        )

    return _Wish(at, max(1, most - 1))


def _slack_wish(asked: Problem) -> _Wish:
    """At most one instance more, of the smallest size that does."""
    sizes = sorted({candidate.weight / asked.demand for candidate in asked.candidates})
    choices = [asked.slack, *(size for size in sizes if asked.slack < size <= 1)]

    def at(problem: Problem, given_up: float) -> Problem:
        return replace(problem, slack=choices[round(given_up * (len(choices) - 1))])

    return _Wish(at, max(1, len(choices) - 1))


def _lifted(problem: Problem, wishes: list[_Wish], possible: Possible) -> int:
    """How many wishes have to be lifted for a plan to be possible."""
    for number, wish in enumerate(wishes, 1):
        problem = wish.at(problem, 1.0)
        if possible(problem):
            return number
    raise PlanInfeasible(
        "there is no plan even without caps",
        hint="allow more instance types or smaller ones, raise the quota, or ask to survive less",
    )


def _put_back(problem: Problem, wishes: list[_Wish], possible: Possible) -> Problem:
    """Each wish as far as it goes, the last first, as it is the dearest."""
    for wish in wishes:
        problem = wish.at(problem, 1.0)
    for wish in reversed(wishes):
        low, high = -1, wish.steps  # steps given up: too few, enough
        while high - low > 1:
            middle = (low + high) // 2
            if possible(wish.at(problem, middle / wish.steps)):
                high = middle
            else:
                low = middle
        problem = wish.at(problem, high / wish.steps)
    return problem


def _differences(asked: Problem, granted: Problem) -> tuple[Relaxed, ...]:
    found = [
        Relaxed(str(kind), asked.caps[kind], granted.caps[kind], _REASONS[str(kind)])
        for kind in ORDER
        if kind in asked.caps
    ]
    found += [
        Relaxed(POOLS, asked.least_pools, granted.least_pools, _REASONS[POOLS]),
        Relaxed(EFFECTIVE_POOLS, asked.least_effective_pools, granted.least_effective_pools, _REASONS[EFFECTIVE_POOLS]),
        Relaxed(SLACK, asked.slack, granted.slack, _REASONS[SLACK]),
    ]
    return tuple(each for each in found if each.asked != each.granted)


_REASONS: Final = {
    "generation": "the generations of the candidates cannot hold the demand within it",
    "family": "the families of the candidates cannot hold the demand within it",
    "az": "the AZs of the candidates cannot hold the demand within it",
    "type": "the instance types of the candidates cannot hold the demand within it",
    "pool": "the candidates' whole instances cannot hold the demand within it",
    POOLS: "the demand is too small for so many pools of whole instances, or there are not as many",
    EFFECTIVE_POOLS: "whole instances cannot be spread so evenly",
    SLACK: "whole instances do not add up to the demand more closely",
}
