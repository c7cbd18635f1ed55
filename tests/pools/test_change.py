"""The smallest change from what runs."""

from dataclasses import replace

import pytest

from spotwatch.core.capacity import Group
from spotwatch.core.errors import PlanInfeasible
from spotwatch.pools.change import Existing, Step, changed_vcpus, solve_change, steps
from spotwatch.pools.plan import PlannedPool
from spotwatch.pools.problem import Problem, Solution
from spotwatch.pools.solver import solve
from tests.pools.data import needs_data
from tests.pools.problems import references
from tests.pools.verification import violations

pytestmark = needs_data


def reference(name: str = "us-east-1 c 1000") -> Problem:
    return next(row.problem for row in references() if row.name == name)


def running(problem: Problem, solution: Solution) -> Existing:
    return {
        (each.pool.az_id, each.pool.type.name): count
        for count, each in zip(solution.counts, problem.candidates, strict=True)
        if count
    }


def planned(problem: Problem, solution: Solution) -> list[PlannedPool]:
    counted = zip(solution.counts, problem.candidates, strict=True)
    return [PlannedPool(each.pool, count, each.weight) for count, each in counted if count]


def test_a_plan_that_runs_is_left_alone() -> None:
    problem = reference()
    solution = solve(problem)
    assert solve_change(problem, running(problem, solution)) == solution
    assert steps(planned(problem, solution), running(problem, solution)) == ()


def test_what_is_missing_is_started_and_nothing_is_stopped() -> None:
    problem = reference()
    before = solve(problem)
    larger = replace(problem, demand=1200.0)
    after = solve_change(larger, running(problem, before))
    assert violations(larger, after) == []
    assert 200 <= changed_vcpus(larger, after.counts, before.counts) <= 224
    assert all(step.count > 0 for step in steps(planned(larger, after), running(problem, before)))


def test_what_is_too_much_is_stopped_and_hardly_anything_started() -> None:
    problem = reference()
    before = solve(problem)
    smaller = replace(problem, demand=960.0)  # where a pool may still hold an instance of 48 vCPU
    after = solve_change(smaller, running(problem, before))
    assert violations(smaller, after) == []
    assert changed_vcpus(smaller, after.counts, before.counts) <= 120


def test_a_fleet_in_one_pool_is_spread_and_keeps_what_a_pool_may_hold() -> None:
    problem = reference()
    first = problem.candidates[0].pool
    vcpus = first.type.vcpus
    lump = {(first.az_id, first.type.name): 1000 // vcpus}
    after = solve_change(problem, lump)
    assert violations(problem, after) == []
    assert after.counts[0] == int(50 / vcpus)


def test_what_runs_elsewhere_is_stopped() -> None:
    problem = reference()
    elsewhere = {("use1-az9", "c3.large"): 3}
    solution = solve_change(problem, elsewhere)
    assert Step("use1-az9", "c3.large", -3) in steps(planned(problem, solution), elsewhere)


def test_what_cannot_be_planned_at_all_is_refused() -> None:
    problem = replace(reference(), caps={Group.POOL: 0.0001})
    with pytest.raises(PlanInfeasible):
        solve_change(problem, {})
