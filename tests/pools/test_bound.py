"""The bound is below every plan, whatever the multipliers are, and close to the best linear one."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotwatch.core.capacity import Group
from spotwatch.pools.allocation import Limits
from spotwatch.pools.bound import Prices, lower_bound, proven
from spotwatch.pools.problem import Problem
from spotwatch.pools.survival import reserve_bound, with_reserve
from tests.pools import oracle
from tests.pools.data import needs_data
from tests.pools.generated import generated
from tests.pools.problems import Reference, references
from tests.pools.test_solver import rows

pytestmark = needs_data

ROUNDING = 1e-7
"""The oracle's own tolerance, relatively."""


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_objective_and_cost_are_bounded_to_a_thousandth_of_the_linear_optimum(row: Reference) -> None:
    optimum = oracle.lp(row.problem).objective
    cheapest = oracle.lp(row.problem, price=lambda each: each.cost).objective
    assert optimum is not None
    assert cheapest is not None
    objective = lower_bound(row.problem).value
    cost = lower_bound(row.problem, [each.cost for each in row.problem.candidates]).value
    assert 0.999 * optimum <= objective <= optimum * (1 + ROUNDING)
    assert 0.999 * cheapest <= cost <= cheapest * (1 + ROUNDING)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_it_is_never_above_the_linear_optimum_and_close_to_it(number: int) -> None:
    problem = generated(number)
    optimum = oracle.lp(problem).objective
    if optimum is not None:
        near = 0.97 if problem.survive else 0.997  # how much is bought is then searched for too, in coarse steps
        assert near * optimum <= lower_bound(problem).value <= optimum * (1 + ROUNDING)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_any_multipliers_at_all_prove_no_more_than_is_true(number: int) -> None:
    """Weak duality: the formula is a bound for prices that nobody has optimised."""
    problem = generated(number)
    optimum = oracle.lp(problem).objective
    if optimum is None:
        return
    chance = random.Random(number)
    limits = Limits.of(problem)
    found = lower_bound(problem).prices
    caps = {name: found.caps.get(name, 0.0) * chance.uniform(0, 2) + chance.uniform(0, 0.002) for name in limits.names}
    prices = Prices(found.unit * chance.uniform(0.5, 1.5), caps, {"standard": chance.uniform(-0.01, 0.01)})
    assert proven(limits, prices) <= optimum * (1 + ROUNDING)


def test_a_cap_that_does_not_count_lowers_the_bound_no_more_than_all_of_its_kind() -> None:
    problem = _reference("us-east-1 c 1000")
    whole = lower_bound(problem)
    without_kind = lower_bound(replace(problem, caps={k: v for k, v in problem.caps.items() if k is not Group.FAMILY}))
    families = [name for name in whole.prices.caps if name[0] is Group.FAMILY]
    assert families
    for name in families:
        assert without_kind.value * (1 - 1e-4) <= lower_bound(problem, without=name).value <= whole.value * (1 + 1e-4)


@pytest.mark.parametrize("kind", [Group.TYPE, Group.FAMILY, Group.AZ])
def test_the_bound_over_all_amounts_is_below_the_plan_of_any_amount(kind: Group) -> None:
    problem = replace(_reference("ap-northeast-1 c 1000"), survive={kind: 1.0}, least_pools=1)
    chosen = with_reserve(problem)
    bound = reserve_bound(problem, lambda each: each.objective, chosen.demand).value
    for amount in (chosen.demand, chosen.demand * 1.03, chosen.demand * 1.1):
        scale = problem.demand / amount
        optimum = oracle.lp(replace(problem, demand=amount, survive={kind: scale})).objective
        assert optimum is None or bound <= optimum * (1 + ROUNDING)
    best = oracle.lp(chosen).objective
    assert best is not None
    assert bound >= 0.95 * best


def _reference(name: str) -> Problem:
    return next(row.problem for row in references() if row.name == name)
