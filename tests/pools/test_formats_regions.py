"""Every format for every region of the shared data, classes c, m and r, three sizes: all validators pass.

The planner's own plans take about 200 s of CPU time in all, half of it cfn-lint's loading of its rules for each
template; on two cores that are two minutes (`-n 2`). The spread over whatever a region offers, with no planner in
between, takes as long again and has found nothing that the plans have not: it is run by hand.
"""

import csv
from functools import cache
from pathlib import Path

import pytest

from spotwatch.core.capacity import Group, Market, Pool
from spotwatch.pools.candidates import candidates
from spotwatch.pools.check import check
from spotwatch.pools.demand import Demand, Mode, Selection
from spotwatch.pools.files import market
from spotwatch.pools.formats import FORMATS, write
from spotwatch.pools.limits import Facts
from spotwatch.pools.plan import Plan, PlannedPool
from spotwatch.pools.planning import plan
from tests.pools.data import DATA, needs_data

pytestmark = [pytest.mark.slow, needs_data]

POOLS = 22


def _regions() -> list[str]:
    if not DATA.is_dir():
        return []
    with (DATA / "offerings.csv").open(encoding="utf-8") as file:
        return sorted({row["region"] for row in csv.DictReader(file)})


@cache
def _market(region: str) -> Market:
    return market(region, catalog=DATA)


def _spread(pools: tuple[Pool, ...], vcpus: int) -> list[PlannedPool]:
    """About so many vCPU in up to 22 pools, taken from all over the candidates."""
    chosen = pools[:: max(1, len(pools) // POOLS)][:POOLS]
    return [
        PlannedPool(pool, max(1, round(vcpus / len(chosen) / pool.type.vcpus)), float(pool.type.vcpus))
        for pool in chosen
    ]


def _spread_plan(region: str, instance_class: str, vcpus: int) -> Plan:
    demand = Demand(region, vcpus, Selection(classes=(instance_class,)))
    pools = candidates(_market(region), demand.selection)
    ordered = tuple(sorted(_spread(pools, vcpus), key=lambda pool: -pool.capacity))
    return Plan(demand, ordered, objective=None, lower_bound_usd_per_hour=None, objective_lower_bound=None, caps={})


def _passes_everywhere(made: Plan, folder: Path) -> None:
    facts = Facts({pool.pool.type.name: pool.pool.type for pool in made.pools})
    losses = {group: made.worst_loss(group) for group in Group}
    for name in FORMATS:
        path = folder / name
        path.write_text(write(name, made).text)
        result = check(path, facts)
        assert result.findings == (), name
        assert {loss.group: loss.worst for loss in result.losses.losses} == pytest.approx(losses), name


@pytest.mark.parametrize("vcpus", [200, 1_000, 10_000])
@pytest.mark.parametrize("instance_class", ["c", "m", "r"])
@pytest.mark.parametrize("region", _regions())
@pytest.mark.exhaustive
def test_every_format_takes_a_spread_over_what_the_region_offers(
    region: str, instance_class: str, vcpus: int, tmp_path: Path
) -> None:
    _passes_everywhere(_spread_plan(region, instance_class, vcpus), tmp_path)


@pytest.mark.parametrize("vcpus", [200, 1_000, 10_000])
@pytest.mark.parametrize("instance_class", ["c", "m", "r"])
@pytest.mark.parametrize("region", _regions())
def test_every_format_takes_the_planner_s_plan(region: str, instance_class: str, vcpus: int, tmp_path: Path) -> None:
    demand = Demand(region, vcpus, Selection(classes=(instance_class,)))
    facts = _market(region)
    _passes_everywhere(plan(demand, candidates(facts, demand.selection), facts), tmp_path)


@pytest.mark.parametrize("vcpus", [200, 1_000, 10_000])
@pytest.mark.parametrize("instance_class", ["c", "m", "r"])
@pytest.mark.parametrize("region", ["us-east-1", "ap-northeast-1"])
def test_every_format_takes_the_planner_s_aligned_plan(
    region: str, instance_class: str, vcpus: int, tmp_path: Path
) -> None:
    """With prices, so that most of them are not quite even."""
    demand = Demand(region, vcpus, Selection(classes=(instance_class,)), mode=Mode.ALIGNED)
    facts = market(region, catalog=DATA, prices=DATA / "pool_prices_dev.csv")
    _passes_everywhere(plan(demand, candidates(facts, demand.selection), facts), tmp_path)
