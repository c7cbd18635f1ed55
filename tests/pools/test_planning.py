"""From a demand and a market to a plan that says what it is."""

from dataclasses import replace
from pathlib import Path

import pytest

from spotwatch.core.capacity import Group, Market, Pool, Source
from spotwatch.core.errors import InputError, PlanInfeasible, UsageError
from spotwatch.pools import caps, performance
from spotwatch.pools.demand import Demand, Mode, Weights
from spotwatch.pools.planning import frontier, plan
from tests.pools.data import needs_data
from tests.pools.plans import instance_type
from tests.pools.problems import dev_pools

REGION = "us-east-1"
SOURCES = (Source("Spot prices", "a file"),)
MARKET = Market(REGION, {}, {}, sources=SOURCES)
DEMAND = Demand(REGION, 1000.0)


@pytest.fixture(scope="module")
def pools() -> tuple[Pool, ...]:
    return dev_pools(REGION, "c")


@needs_data
def test_a_plan_keeps_the_default_caps_and_lies_above_its_bounds(pools: tuple[Pool, ...]) -> None:
    made = plan(DEMAND, pools, MARKET)
    assert 1000 <= made.capacity <= 1020
    assert made.relaxed == ()
    assert made.effective_pools >= 20
    for kind, cap in {**caps.DEFAULTS, Group.AZ: 0.25}.items():
        assert made.worst_loss(kind) <= cap + 1e-9
    assert made.usd_per_hour is not None
    assert made.lower_bound_usd_per_hour is not None
    assert made.objective is not None
    assert made.objective_lower_bound is not None
    assert made.lower_bound_usd_per_hour <= made.usd_per_hour <= 1.025 * made.lower_bound_usd_per_hour
    assert made.objective_lower_bound <= made.objective <= 1.025 * made.objective_lower_bound
    assert made.sources == SOURCES
    assert made.notes == ()


@needs_data
def test_it_is_said_what_each_kind_of_cap_costs_the_dearest_first(pools: tuple[Pool, ...]) -> None:
    prices = plan(DEMAND, pools, MARKET).cap_prices
    assert {price.group for price in prices if not price.key} >= {Group.POOL, Group.TYPE, Group.FAMILY}
    assert list(prices) == sorted(prices, key=lambda price: -price.usd_per_hour)
    whole = {price.group: price.usd_per_hour for price in prices if not price.key}
    assert all(price.usd_per_hour <= whole[price.group] * 1.01 + 1e-3 for price in prices)


@needs_data
def test_without_prices_it_spreads_and_says_so(pools: tuple[Pool, ...]) -> None:
    made = plan(DEMAND, [replace(pool, usd_per_hour=None) for pool in pools], MARKET)
    assert made.effective_pools >= 20
    assert made.worst_loss(Group.AZ) <= 0.25
    assert (made.objective, made.usd_per_hour, made.lower_bound_usd_per_hour, made.cap_prices) == (None, None, None, ())
    assert any("no prices" in note for note in made.notes)


@needs_data
def test_without_prices_and_interruptions_every_az_and_many_types_are_used(pools: tuple[Pool, ...]) -> None:
    made = plan(DEMAND, [replace(pool, usd_per_hour=None, interruption=None) for pool in pools], MARKET)
    assert len(made.shares(Group.AZ)) == 5
    assert len(made.shares(Group.TYPE)) >= 10
    assert any("nothing is known of interruptions" in note for note in made.notes)


@needs_data
def test_pools_without_a_price_are_left_out_and_counted(pools: tuple[Pool, ...]) -> None:
    some = [replace(pool, usd_per_hour=None) if number < 7 else pool for number, pool in enumerate(pools)]
    made = plan(DEMAND, some, MARKET)
    assert f"7 of {len(pools)} pools have no price and are left out" in made.notes
    assert all(each.pool.usd_per_hour is not None for each in made.pools)


@needs_data
def test_pools_without_an_interruption_figure_count_as_the_worst_and_are_counted(pools: tuple[Pool, ...]) -> None:
    some = [replace(pool, interruption=None) if number < 7 else pool for number, pool in enumerate(pools)]
    notes = plan(DEMAND, some, MARKET).notes
    assert any(note.startswith("7 of") and "the worst known: 30%" in note for note in notes)


@needs_data
@pytest.mark.parametrize(("kind", "dearer"), [(Group.TYPE, 1.15), (Group.FAMILY, 1.25), (Group.AZ, 1.4)])
def test_whatever_one_group_is_lost_the_demand_is_left(pools: tuple[Pool, ...], kind: Group, dearer: float) -> None:
    made = plan(replace(DEMAND, survive={kind: 1.0}), pools, MARKET)
    assert made.capacity * (1 - made.worst_loss(kind)) >= 1000 - 1e-6
    usual = plan(DEMAND, pools, MARKET)
    assert made.usd_per_hour is not None
    assert usual.usd_per_hour is not None
    assert made.usd_per_hour <= dearer * usual.usd_per_hour
    assert any("more than the demand" in note for note in made.notes)


@needs_data
def test_on_demand_capacity_is_no_part_of_the_spot_plan(pools: tuple[Pool, ...]) -> None:
    assert 800 <= plan(replace(DEMAND, on_demand_capacity=200.0), pools, MARKET).capacity <= 816


@needs_data
def test_aligned_pools_are_equal_where_they_may_not_differ(pools: tuple[Pool, ...]) -> None:
    made = plan(replace(DEMAND, mode=Mode.ALIGNED, unevenness=0.0), pools, MARKET)
    assert len({each.capacity for each in made.pools}) == 1


@needs_data
@pytest.mark.parametrize("vcpus", [60.0, 200.0, 997.0, 10_000.0])
def test_where_no_equal_pools_add_up_what_gives_way_is_said(pools: tuple[Pool, ...], vcpus: float) -> None:
    made = plan(Demand(REGION, vcpus, mode=Mode.ALIGNED, unevenness=0.0), pools, MARKET)
    slack = next((each.granted for each in made.relaxed if each.what == "slack"), 0.02)
    assert len({each.capacity for each in made.pools}) == 1
    assert vcpus <= made.capacity <= vcpus * (1 + slack) + 1e-6


@needs_data
def test_a_plan_for_what_runs_already_hardly_changes_it(pools: tuple[Pool, ...]) -> None:
    first = plan(DEMAND, pools, MARKET)
    existing = {(each.pool.az_id, each.pool.type.name): each.count for each in first.pools}
    assert plan(DEMAND, pools, MARKET, existing).pools == first.pools


@needs_data
def test_a_small_demand_says_what_gave_way_and_a_strict_one_is_refused(pools: tuple[Pool, ...]) -> None:
    small = replace(DEMAND, capacity=10.0)
    assert [each.what for each in plan(small, pools, MARKET).relaxed] == ["type", "pool", "pools", "effective pools"]
    with pytest.raises(PlanInfeasible, match="instead of"):
        plan(replace(small, strict=True), pools, MARKET)


@needs_data
def test_a_quota_too_small_is_refused(pools: tuple[Pool, ...]) -> None:
    with pytest.raises(PlanInfeasible, match="quotas allow 640 units of the 1000"):
        plan(DEMAND, pools, replace(MARKET, quotas={"standard": 640.0}))


@needs_data
def test_being_safer_costs_more(pools: tuple[Pool, ...]) -> None:
    points = frontier(DEMAND, pools, MARKET)
    shares, costs = zip(*points, strict=True)
    assert len(points) >= 6
    assert list(shares) == sorted(shares)
    assert list(costs) == sorted(costs, reverse=True)
    assert frontier(DEMAND, [replace(pool, usd_per_hour=None) for pool in pools], MARKET) == ()


@needs_data
def test_performance_counts_a_whole_core_twice_and_says_that_it_knows_no_more(pools: tuple[Pool, ...]) -> None:
    made = plan(replace(DEMAND, weights=Weights.PERFORMANCE), pools, MARKET)
    assert all(each.weight == each.pool.type.vcpus * 2 / each.pool.type.threads_per_core for each in made.pools)
    assert any("whole core" in note for note in made.notes)


def test_a_given_factor_is_stronger_than_the_derived_one() -> None:
    kind = instance_type("c6i.large")
    assert performance.factor(kind, {}) == 1.0
    assert performance.factor(kind, {"c6i": 1.3}) == 1.3
    assert performance.factor(replace(kind, threads_per_core=1), {}) == 2.0


def test_factors_come_from_a_file_and_what_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "factors.json"
    file.write_text('{"c6i": 1, "c7a": 1.7}')
    assert performance.factors(file) == {"c6i": 1.0, "c7a": 1.7}
    for content in ("[1]", '{"c6i": "fast"}', '{"c6i": 0}', '{"c6i": true}'):
        file.write_text(content)
        with pytest.raises(InputError, match=r"factors\.json"):
            performance.factors(file)


@pytest.mark.parametrize(
    "demand",
    [
        replace(DEMAND, capacity=0.0),
        replace(DEMAND, on_demand_capacity=1000.0),
        replace(DEMAND, least_pools=0),
        replace(DEMAND, slack=-0.1),
        replace(DEMAND, loss_usd_per_vcpu=-1.0),
        replace(DEMAND, survive={Group.AZ: 1.5}),
        replace(DEMAND, caps={Group.POOL: 0.0}),
    ],
)
def test_a_demand_that_contradicts_itself_is_refused(demand: Demand) -> None:
    with pytest.raises(UsageError) as refusal:
        plan(demand, [Pool("use1-az1", instance_type("c6i.large"), usd_per_hour=0.03)], MARKET)
    assert refusal.value.hint


@pytest.mark.parametrize(("azs", "cap"), [(1, 1.0), (2, 0.6), (3, 0.4), (4, 0.3), (5, 0.25), (100, 0.25)])
def test_an_az_may_hold_a_fifth_more_than_its_even_share(azs: int, cap: float) -> None:
    assert caps.of_az(azs) == pytest.approx(cap)
