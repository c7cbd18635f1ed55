"""The solver against known optima, against an exact solver, and against what EC2 Fleet would do."""

from dataclasses import replace
from math import ceil, floor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotwatch.core.capacity import Group, Pool
from spotwatch.core.errors import PlanInfeasible
from spotwatch.pools.problem import Candidate, Problem
from spotwatch.pools.solver import find, solve
from tests.pools import oracle
from tests.pools.data import needs_data
from tests.pools.generated import generated
from tests.pools.plans import instance_type
from tests.pools.problems import Reference, candidates_of, dev_pools, objective_of, references
from tests.pools.verification import violations

pytestmark = needs_data

LARGE = 1000
"""From this demand on the reference optima bind; below, whole instances are coarse."""

SECONDS = 1.0
HASTE = 0.25
"""The oracle's limits for one problem, slow and by default; what it has not solved by then says nothing."""


def rows() -> list[Reference]:
    try:
        return references()
    except OSError:
        return []


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_no_limit_is_violated_and_the_known_optimum_is_nearly_reached(row: Reference) -> None:
    solution = solve(row.problem)
    assert violations(row.problem, solution) == []
    assert objective_of(row.problem, solution) <= 1.005 * row.milp_objective
    if row.demand >= LARGE:
        assert objective_of(row.problem, solution) <= 1.025 * row.lp_objective


def lowest_price_cost(pools: tuple[Pool, ...], demand: float, count: int) -> float:
    """What EC2 Fleet's `lowest-price` over so many pools costs: the cheapest by the vCPU, even shares, rounded up."""
    cheapest = sorted(pools, key=lambda pool: (pool.usd_per_hour or 0.0) / pool.type.vcpus)[:count]
    return sum(ceil(demand / count / pool.type.vcpus) * (pool.usd_per_hour or 0.0) for pool in cheapest)


@pytest.mark.parametrize(
    ("region", "letter", "times"),
    [("us-east-1", "c", 1.0), ("us-east-1", "m", 1.0), ("ap-northeast-1", "c", 1.0), ("ap-northeast-1", "m", 1.02)],
)
def test_it_is_no_dearer_than_lowest_price_over_20_pools_which_keeps_no_cap(
    region: str, letter: str, times: float
) -> None:
    row = next(row for row in references() if row.name == f"{region} {letter} 1000")
    solution = solve(row.problem)
    cost = sum(count * each.cost for count, each in zip(solution.counts, row.problem.candidates, strict=True))
    assert cost <= times * lowest_price_cost(dev_pools(region, letter), 1000, 20)
    assert violations(row.problem, solution) == []


def check_against_the_oracle(number: int, seconds: float) -> None:
    problem = generated(number)
    solution = find(problem)
    exact = oracle.milp(problem, seconds=seconds)
    if solution is None:
        return  # whether there is one, it says: nothing is short in silence; how often it errs is tested below
    assert violations(problem, solution) == []
    if exact.objective is not None:
        assert objective_of(problem, solution) <= 1.01 * exact.objective


PROBLEMS = st.integers(0, 10**6)
RELAXED = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=RELAXED)
@given(PROBLEMS)
def test_on_a_generated_problem_it_is_at_most_1_percent_above_the_exact_solver(number: int) -> None:
    check_against_the_oracle(number, HASTE)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1000, 1040))
def test_on_40_generated_problems_it_is_at_most_1_percent_above_the_exact_solver(number: int) -> None:
    check_against_the_oracle(number, SECONDS)


@pytest.mark.exhaustive
@pytest.mark.parametrize("tenth", range(10))
def test_on_1000_generated_problems_it_is_at_most_1_percent_above_the_exact_solver(tenth: int) -> None:
    for number in range(100 * tenth, 100 * (tenth + 1)):
        check_against_the_oracle(number, SECONDS)


@pytest.mark.slow
def test_where_the_exact_solver_finds_a_plan_it_nearly_always_finds_one_too() -> None:
    solvable = missed = 0
    for number in range(300):
        problem = generated(number)
        if find(problem, effort=0) is None:
            missed += oracle.milp(problem, seconds=SECONDS).objective is not None
        else:
            solvable += 1
    assert missed <= 0.02 * (solvable + missed)


def test_200_vcpu_are_spread_over_pools_of_10_in_whole_instances() -> None:
    row = next(row for row in references() if row.name == "us-east-1 c 200")
    solution = solve(row.problem)
    largest = max(count * each.weight for count, each in zip(solution.counts, row.problem.candidates, strict=True))
    assert largest <= 10
    assert 200 <= sum(c * e.weight for c, e in zip(solution.counts, row.problem.candidates, strict=True)) <= 204


def small(names: tuple[str, ...], azs: int, **limits: object) -> Problem:
    candidates = tuple(
        Candidate(Pool(f"use1-az{az}", kind), kind.vcpus, kind.vcpus * (0.01 + 0.001 * place), kind.vcpus * 0.01)
        for place, name in enumerate(names)
        for az in range(1, azs + 1)
        for kind in [instance_type(name)]
    )
    return replace(Problem(candidates, 40.0, {}), **limits)  # type: ignore[arg-type]


def test_many_pools_are_opened_where_no_cap_asks_for_them() -> None:
    problem = small(("c6i.large", "c6a.large"), 5, least_pools=9)
    solution = solve(problem)
    assert violations(problem, solution) == []
    assert sum(count > 0 for count in solution.counts) >= 9


def test_pools_are_evened_where_no_cap_asks_for_it() -> None:
    problem = small(("c6i.large", "c6a.large"), 5, least_effective_pools=9.0)
    assert violations(problem, solve(problem)) == []


def test_a_share_that_survives_the_loss_of_an_az_is_kept_exactly() -> None:
    problem = small(("c6i.large", "c6a.large"), 5, survive={Group.AZ: 0.8})
    assert violations(problem, solve(problem)) == []


def test_a_quota_counts_vcpus_where_weights_count_something_else() -> None:
    problem = small(("c6i.large",), 5, quotas={"standard": 20.0})
    doubled = replace(problem, candidates=tuple(replace(each, weight=2 * each.weight) for each in problem.candidates))
    assert find(problem) is None
    assert violations(doubled, solve(doubled)) == []


def test_a_problem_without_a_plan_is_refused_and_says_what_to_do() -> None:
    with pytest.raises(PlanInfeasible) as refusal:
        solve(small(("c6i.large",), 2, caps={Group.AZ: 0.4}))
    assert refusal.value.hint
    assert refusal.value.exit_code == 65


def test_the_same_problem_has_the_same_plan() -> None:
    assert find(generated(5)) == find(generated(5))


def test_where_every_pool_is_wanted_whole_sizes_still_add_up() -> None:
    pools = dev_pools("us-east-1", "c")
    problem = Problem(candidates_of(pools), floor(1e5), {Group.POOL: 0.02, Group.AZ: 0.25}, least_pools=50)
    assert violations(problem, solve(problem)) == []
