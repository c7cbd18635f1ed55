"""Equal pools: what one EC2 Fleet with the strategy `diversified` holds."""

from math import ceil

import pytest

from spotwatch.core.capacity import Group, Pool
from spotwatch.core.errors import PlanInfeasible
from spotwatch.pools.aligned import find_aligned, solve_aligned
from spotwatch.pools.problem import Candidate, Problem
from tests.pools.data import needs_data
from tests.pools.plans import instance_type
from tests.pools.problems import Reference, objective_of, references
from tests.pools.test_solver import rows
from tests.pools.verification import violations


def held(problem: Problem, counts: tuple[int, ...]) -> list[float]:
    return [count * each.weight for count, each in zip(counts, problem.candidates, strict=True) if count]


@needs_data
@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_all_pools_are_equal_and_every_cap_holds(row: Reference) -> None:
    solution = solve_aligned(row.problem)
    assert len(set(held(row.problem, solution.counts))) == 1
    assert violations(row.problem, solution) == []


@needs_data
@pytest.mark.parametrize("name", ["us-east-1 c 1000", "us-east-1 m 1000", "ap-northeast-1 c 1000"])
def test_it_costs_at_most_2_5_percent_more_than_free_shares(name: str) -> None:
    row = next(row for row in references() if row.name == name)
    assert objective_of(row.problem, solve_aligned(row.problem)) <= 1.025 * row.milp_objective


@needs_data
@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_diversified_deals_out_what_was_planned(row: Reference) -> None:
    """EC2 Fleet starts ceil(target / pools / weight) instances in each pool."""
    solution = solve_aligned(row.problem)
    used = [(count, each) for count, each in zip(solution.counts, row.problem.candidates, strict=True) if count]
    target = sum(count * each.weight for count, each in used)
    assert all(ceil(target / len(used) / each.weight) == count for count, each in used)


def equal(azs: int, demand: float, **limits: float) -> Problem:
    candidates = tuple(
        Candidate(Pool(f"use1-az{az}", kind), kind.vcpus, kind.vcpus * 0.01, kind.vcpus * 0.01)
        for kind in map(instance_type, ("c6i.large", "c6i.xlarge"))
        for az in range(1, azs + 1)
    )
    return Problem(candidates, demand, {Group(kind): cap for kind, cap in limits.items()}, least_pools=4)


def test_a_quota_is_kept() -> None:
    problem = equal(3, 16.0)
    short = Problem(problem.candidates, 16.0, {}, least_pools=4, quotas={"standard": 15.0})
    assert find_aligned(problem) is not None
    assert find_aligned(short) is None


def test_where_no_equal_pools_add_up_it_is_refused_and_free_shares_are_named() -> None:
    with pytest.raises(PlanInfeasible) as refusal:
        solve_aligned(equal(1, 16.0))
    assert "mode free" in refusal.value.hint
