"""What has to be left when any one group is lost means buying more than the demand: how much more is searched for.

If T units are bought and R have to be left, no group may hold more than T - R. The more is bought, the less that
restrains; with T = R / (1 - cap) it restrains no more than the cap itself, so T lies between the demand and that. The
caps are shares of what is bought.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Final

from spotwatch.core.errors import PlanInfeasible
from spotwatch.pools.bound import Bound, Prices, lower_bound
from spotwatch.pools.problem import Candidate, Problem
from spotwatch.pools.solver import find

_POINTS: Final = 12
"""Amounts that are tried, and into how many intervals the amounts are cut for the bound."""

_EVEN: Final = 0.5
"""No group can be lost and leave half unless it holds at most half: a cap above that is of no use for surviving."""


def with_reserve(problem: Problem) -> Problem:
    """The problem at the amount to buy that makes its plan cheapest; `survive` stays in force.

    Raises:
        PlanInfeasible: no amount leaves enough.
    """
    if not problem.survive:
        return problem
    best: Problem | None = None
    best_price = float("inf")
    for bound, each in _by_bound(problem):
        if bound >= best_price:
            break
        price = _price(each)
        if price is not None and price < best_price:
            best, best_price = each, price
    if best is None:
        named = ", ".join(f"{share:.0%} without any one {kind.word}" for kind, share in problem.survive.items())
        raise PlanInfeasible(
            f"no plan within the caps and quotas leaves {named}",
            hint="ask to survive less, allow more instance types or AZs, or raise the quota",
        )
    return best


def _by_bound(problem: Problem) -> list[tuple[float, Problem]]:
    """The amounts, those first below which a plan may be the cheapest: most need not be planned at all."""
    found: list[tuple[float, Problem]] = []
    prices: Prices | None = None
    for amount in _amounts(problem):
        each = bought(problem, amount)
        bound = lower_bound(each, start=prices)
        prices = bound.prices
        found.append((bound.value, each))
    return sorted(found, key=lambda item: item[0])


def bought(problem: Problem, amount: float) -> Problem:
    """The same, if so many units are bought."""
    scale = problem.demand / amount
    return replace(problem, demand=amount, survive={kind: share * scale for kind, share in problem.survive.items()})


def reserve_bound(
    problem: Problem, price: Callable[[Candidate], float], likely: float, start: Prices | None = None
) -> Bound:
    """A lower bound over all amounts that can be bought.

    Between two amounts, the demand is taken to be the lower and the caps those of the higher: no plan there is cheaper.

    Args:
        problem: before `with_reserve`.
        price: of one instance: what is bounded.
        likely: the amount of the best plan that is known: the search begins there.
        start: prices that are near.
    """
    prices = [price(candidate) for candidate in problem.candidates]
    if not problem.survive:
        return lower_bound(problem, prices, start=start)
    amounts = _amounts(problem)
    amounts.append(amounts[-1] * (1 + problem.slack))
    pairs = [(low, high) for low, high in pairwise(amounts) if high > low]
    lowest: Bound | None = None
    for low, high in sorted(pairs, key=lambda pair: abs(pair[0] - likely)):
        caps = {kind: cap * high / low for kind, cap in problem.caps.items()}
        between = replace(bought(problem, low), caps=caps, slack=high / low - 1)
        enough = lowest.value if lowest else float("inf")
        found = lower_bound(between, prices, start=lowest.prices if lowest else start, enough=enough)
        if lowest is None or found.value < lowest.value:
            lowest = found
    return lowest or lower_bound(problem, prices)


def _amounts(problem: Problem) -> list[float]:
    """From the demand to where surviving restrains no more than the caps."""
    least = problem.demand
    most = max(least * share / (1 - min(problem.caps.get(kind, 1.0), _EVEN)) for kind, share in problem.survive.items())
    if most <= least:
        return [least, least]
    return [least * (most / least) ** (step / (_POINTS - 1)) for step in range(_POINTS)]


def _price(problem: Problem) -> float | None:
    found = find(problem, effort=0)
    return None if found is None else found.objective(problem)
