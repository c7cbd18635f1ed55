import pytest

from spotwatch.core.capacity import Pool
from spotwatch.pools import catalogue
from spotwatch.pools.addresses import addresses, type_addresses
from spotwatch.pools.candidates import candidates
from spotwatch.pools.demand import Demand, Selection
from spotwatch.pools.plan import Plan, PlannedPool

MARKET = catalogue.market("us-east-1")


def plan(*counts: tuple[str, int]) -> Plan:
    planned = tuple(
        PlannedPool(Pool("use1-az1", kind := MARKET.types[name]), count, kind.vcpus) for name, count in counts
    )
    return Plan(Demand("us-east-1", 100), planned, None, None, None, {})


@pytest.mark.parametrize(
    ("name", "per", "count", "enis"),
    [
        ("c6i.large", 2, 1, 1),
        ("c6i.2xlarge", 2, 4, 1),
        ("c6i.24xlarge", 2, 48, 1),
        ("c6i.2xlarge", 1, 8, 1),
        ("c6i.12xlarge", 1, 48, 2),
        ("m6g.medium", 2, 1, 1),
        ("c5.9xlarge", 8, 5, 1),
    ],
)
def test_a_type_holds_one_address_for_so_many_vcpus_rounded_up(name: str, per: int, count: int, enis: int) -> None:
    found = type_addresses(MARKET.types[name], per)
    assert (found.addresses, found.enis, found.possible, found.missing) == (count, enis, True, 0)


def test_the_primary_address_of_each_interface_counts() -> None:
    found = type_addresses(MARKET.types["c6i.12xlarge"], 1)
    assert (found.addresses, found.enis, found.secondary_addresses) == (48, 2, 46)


def test_one_interface_is_enough_for_every_nitro_size_up_to_96_vcpus() -> None:
    selection = Selection(classes=("c", "m", "r"), most_vcpus=96, architectures=("x86_64", "arm64"), flex=True)
    assert {type_addresses(pool.type).enis for pool in candidates(MARKET, selection)} == {1}


def test_a_type_that_cannot_hold_them_says_how_many_it_lacks_and_makes_fewer_records() -> None:
    kind = MARKET.types["t3.2xlarge"]
    assert kind.enis * kind.ipv4_per_eni == 60
    big = MARKET.types["u7i-12tb.224xlarge"]
    found = type_addresses(big, 1)
    assert (found.addresses, found.most_addresses, found.possible, found.missing) == (896, 750, False, 146)
    plan_of_it = addresses(plan(("u7i-12tb.224xlarge", 2)), 1)
    assert plan_of_it.records == 1500
    assert "146 fewer than it should" in plan_of_it.notes[0]


def test_records_follow_the_vcpus_of_the_plan() -> None:
    found = addresses(plan(("c6i.large", 4), ("c6i.4xlarge", 2), ("c6i.large", 1)))
    assert found.records_by_type == {"c6i.large": 5, "c6i.4xlarge": 16}
    assert found.records == 21
    assert found.traffic_shares == {"c6i.large": 5 / 21, "c6i.4xlarge": 16 / 21}
    assert found.unevenness == pytest.approx(0.0)
    assert [each.instance_type for each in found.types] == ["c6i.large", "c6i.4xlarge"]


def test_sizes_that_do_not_divide_evenly_get_more_than_their_share_and_it_is_said_how_much() -> None:
    found = addresses(plan(("c6i.large", 1), ("c6i.4xlarge", 1)), 4)
    assert found.records_by_type == {"c6i.large": 1, "c6i.4xlarge": 4}
    assert found.unevenness == pytest.approx(0.2 * 18 / 2 - 1)


def test_the_limits_of_route_53_are_noted_when_they_are_met() -> None:
    assert addresses(plan(("c6i.large", 8))).notes == ()
    assert "8 of the 9 records" in addresses(plan(("c6i.large", 9))).notes[0]
    assert "250 need 3 names" in addresses(plan(("c6i.large", 250))).notes[1]


def test_a_plan_of_nothing_has_no_records() -> None:
    found = addresses(plan())
    assert (found.records, found.traffic_shares, found.unevenness, found.notes) == (0, {}, 0.0, ())


def test_less_than_one_vcpu_for_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match="less than 1"):
        type_addresses(MARKET.types["c6i.large"], 0)
