"""Equal pools, or nearly: what one EC2 Fleet with the strategy `diversified` holds."""

from dataclasses import replace
from functools import cache
from math import ceil

import pytest

from spotwatch.core.capacity import Group, Market, Pool
from spotwatch.core.errors import PlanInfeasible, UsageError
from spotwatch.pools.aligned import find_aligned, solve_aligned
from spotwatch.pools.demand import Demand, Mode
from spotwatch.pools.formats import FORMATS, write
from spotwatch.pools.formats.shares import shares
from spotwatch.pools.plan import Plan
from spotwatch.pools.planning import plan
from spotwatch.pools.problem import Candidate, Problem
from spotwatch.pools.replacement import missing, notes
from tests.pools import oracle
from tests.pools.data import needs_data
from tests.pools.generated import generated
from tests.pools.plans import AZ_IDS, instance_type, plan_of, planned
from tests.pools.problems import Reference, objective_of
from tests.pools.test_solver import rows
from tests.pools.verification import violations

pytestmark = pytest.mark.slow

UNEVENNESS = Demand("", 1.0).unevenness
"""The default."""

LARGE = [row for row in rows() if row.demand >= 1000]


def held(problem: Problem, counts: tuple[int, ...]) -> list[float]:
    return [count * each.weight for count, each in zip(counts, problem.candidates, strict=True) if count]


def without_flex(problem: Problem) -> Problem:
    """The candidates that a plan has if nobody asks for flex types."""
    return replace(problem, candidates=tuple(each for each in problem.candidates if not each.pool.type.flex))


def made(row: Reference, *, unevenness: float = UNEVENNESS, flex: bool = True) -> Plan:
    """What the planner makes of a reference problem; its caps are the defaults."""
    return _made(row.name, unevenness, flex)


@cache
def _made(name: str, unevenness: float, flex: bool) -> Plan:
    row = next(row for row in rows() if row.name == name)
    region = name.split()[0]
    demand = Demand(region, float(row.demand), mode=Mode.ALIGNED, unevenness=unevenness)
    problem = row.problem if flex else without_flex(row.problem)
    return plan(demand, [each.pool for each in problem.candidates], Market(region, {}, {}))


@needs_data
@pytest.mark.parametrize("row", LARGE, ids=lambda row: row.name)
def test_it_costs_at_most_2_5_percent_more_than_the_best_free_shares(row: Reference) -> None:
    assert objective_of(row.problem, solve_aligned(row.problem, UNEVENNESS)) <= 1.025 * row.milp_objective


@needs_data
@pytest.mark.parametrize("row", LARGE, ids=lambda row: row.name)
def test_it_costs_at_most_2_5_percent_more_without_flex_types_too(row: Reference) -> None:
    problem = without_flex(row.problem)
    best = oracle.milp(problem, seconds=20.0).objective
    assert best is not None
    assert objective_of(problem, solve_aligned(problem, UNEVENNESS)) <= 1.025 * best


@needs_data
@pytest.mark.parametrize("unevenness", [0.0, 0.1, UNEVENNESS, 0.3])
@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_every_cap_holds_and_no_pool_is_further_below_the_mean_than_is_allowed(
    row: Reference, unevenness: float
) -> None:
    solution = solve_aligned(row.problem, unevenness)
    capacities = held(row.problem, solution.counts)
    assert violations(row.problem, solution) == []
    assert min(capacities) >= (1 - unevenness) * sum(capacities) / len(capacities) - 1e-6


@needs_data
def test_pools_are_equal_where_that_is_cheap() -> None:
    row = next(row for row in rows() if row.name == "us-east-1 m 1000")
    assert set(held(row.problem, solve_aligned(row.problem, UNEVENNESS).counts)) == {48.0}


@needs_data
@pytest.mark.parametrize(
    "number", [*range(6), *(pytest.param(number, marks=pytest.mark.slow) for number in range(6, 60))]
)
def test_no_generated_problem_has_an_aligned_plan_that_breaks_a_limit(number: int) -> None:
    problem = generated(number)
    solution = find_aligned(problem, UNEVENNESS)
    if solution is not None:
        capacities = held(problem, solution.counts)
        assert violations(problem, solution) == []
        assert min(capacities) >= (1 - UNEVENNESS) * sum(capacities) / len(capacities) - 1e-6


@needs_data
@pytest.mark.parametrize("unevenness", [0.0, UNEVENNESS])
@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_diversified_deals_out_what_was_planned(row: Reference, unevenness: float) -> None:
    """EC2 Fleet starts ceil(target / pools / weight) instances in each pool, in floats or in whole numbers."""
    (share,) = shares(made(row, unevenness=unevenness))
    each = share.spot / len(share.pools)
    assert all(ceil(each / share.weight(pool)) == pool.count for pool in share.pools)
    rounded = [round(share.weight(pool), 6) for pool in share.pools]  # as if only six decimals reached AWS
    assert all(ceil(each / weight) == pool.count for weight, pool in zip(rounded, share.pools, strict=True))


@needs_data
@pytest.mark.parametrize("row", LARGE, ids=lambda row: row.name)
def test_a_lost_instance_is_missed_by_the_fleet(row: Reference) -> None:
    """What the weights are rounded up by is together less than any instance, so that the target is not met without."""
    (share,) = shares(made(row))
    fulfilled = sum(pool.count * share.weight(pool) for pool in share.pools)
    assert fulfilled - min(map(share.weight, share.pools)) < share.spot <= fulfilled


@needs_data
@pytest.mark.parametrize("group", list(Group))
@pytest.mark.parametrize("row", LARGE, ids=lambda row: row.name)
def test_no_more_is_missing_after_the_fleet_has_replaced_a_loss_than_was_said(row: Reference, group: Group) -> None:
    """The fleet deals its target out anew over the pools that are left."""
    aligned = made(row, flex=False)
    (share,) = shares(aligned)
    allowed = missing(aligned.pools, group)
    for key in aligned.shares(group):
        left = [pool for pool in share.pools if pool.pool.key(group) != key]
        units = share.spot / len(left)
        vcpus = sum(ceil(units / share.weight(pool)) * pool.pool.type.vcpus for pool in left)
        assert vcpus >= (1 - allowed) * sum(pool.vcpus for pool in share.pools) * (1 - 1e-6)
    assert allowed <= UNEVENNESS


def uneven() -> Plan:
    """Four AZs with 8, 10, 10 and 12 vCPU."""
    counts = zip(AZ_IDS, (4, 5, 5, 6), strict=False)
    return plan_of(*(planned(az, "c6i.large", count) for az, count in counts), mode=Mode.ALIGNED)


def test_weights_of_unequal_pools_are_the_mean_over_their_instances() -> None:
    (share,) = shares(uneven())
    assert (share.spot, share.quota) == (40, 10)
    assert sorted(share.weight(pool) for pool in share.pools) == [1.666667, 2, 2, 2.500001]


def test_unequal_pools_share_no_fleet_with_on_demand_capacity_which_their_units_would_distort() -> None:
    pools = uneven().pools
    spot, on_demand = shares(plan_of(*pools, on_demand=16.0, mode=Mode.ALIGNED))
    assert (spot.spot, spot.on_demand, on_demand.spot, on_demand.on_demand) == (40, 0, 0, 16)
    assert {on_demand.weight(pool) for pool in on_demand.pools} == {2}


def test_what_is_missing_is_what_the_lost_pool_held_above_the_mean_and_the_others_do_not() -> None:
    """28 of 40 vCPU are left, and grow by a third: 37.3."""
    pools = uneven().pools
    assert missing(pools, Group.AZ) == pytest.approx(1 - 28 / 40 * 4 / 3)
    assert missing(pools, Group.TYPE) == 0.0  # one type holds all
    (note,) = notes(pools)
    assert "pools hold 8 to 12" in note
    assert "6.7% after one AZ" in note
    assert "no more than 20.0%" in note


@pytest.mark.parametrize("name", FORMATS)
def test_only_formats_of_a_fleet_that_counts_pools_alike_say_what_it_does_not_replace(name: str) -> None:
    said = any("counts them alike" in note for note in write(name, uneven()).notes)
    assert said == (name not in ("auto-scaling", "karpenter"))


def test_equal_pools_need_no_note() -> None:
    assert list(notes(plan_of(planned("use1-az1", "c6i.large", 4), planned("use1-az2", "c6i.xlarge", 2)).pools)) == []


@pytest.mark.parametrize("unevenness", [-0.01, 0.31, float("nan")])
def test_an_unevenness_that_would_make_one_pool_two_is_refused(unevenness: float) -> None:
    demand = Demand("us-east-1", 16.0, mode=Mode.ALIGNED, unevenness=unevenness)
    with pytest.raises(UsageError, match="unevenness"):
        plan(demand, [], Market("us-east-1", {}, {}))


def equal(azs: int, demand: float, **limits: float) -> Problem:
    candidates = tuple(
        Candidate(Pool(f"use1-az{az}", kind), kind.vcpus, kind.vcpus * 0.01, kind.vcpus * 0.01)
        for kind in map(instance_type, ("c6i.large", "c6i.xlarge"))
        for az in range(1, azs + 1)
    )
    return Problem(candidates, demand, {Group(kind): cap for kind, cap in limits.items()}, least_pools=4)


@pytest.mark.parametrize("unevenness", [0.0, UNEVENNESS])
def test_a_quota_is_kept(unevenness: float) -> None:
    problem = equal(3, 16.0)
    short = replace(problem, quotas={"standard": 15.0})
    assert find_aligned(problem, unevenness) is not None
    assert find_aligned(short, unevenness) is None


def test_where_no_equal_pools_add_up_it_is_refused_and_free_shares_are_named() -> None:
    with pytest.raises(PlanInfeasible) as refusal:
        solve_aligned(equal(1, 16.0))
    assert "mode free" in refusal.value.hint
