from dataclasses import replace

import pytest

from spotwatch.core.capacity import InstanceType, Market
from spotwatch.core.errors import UsageError
from spotwatch.pools import catalogue
from spotwatch.pools.candidates import Removed, architecture, architectures, candidates, gib_per_vcpu, why_none
from spotwatch.pools.demand import Selection
from spotwatch.pools.files import market as market_of_files
from tests.pools.answers import described_type
from tests.pools.data import DATA, needs_data

MARKET = catalogue.market("us-east-1")
EVERYTHING = Selection(
    least_vcpus=1,
    most_vcpus=10_000,
    architectures=(),
    hypervisors=(),
    burstable=True,
    bare_metal=True,
    flex=True,
    accelerators=True,
)


def names(selection: Selection) -> set[str]:
    return {pool.type.name for pool in candidates(MARKET, selection)}


def families(selection: Selection) -> set[str]:
    return {pool.type.parts.family for pool in candidates(MARKET, selection)}


def test_by_default_burstable_metal_flex_and_accelerators_are_left_out() -> None:
    kinds = [pool.type for pool in candidates(MARKET, Selection())]
    assert not any(kind.burstable or kind.bare_metal or kind.flex or kind.accelerators for kind in kinds)
    assert all(kind.hypervisor == "nitro" and "x86_64" in kind.architectures for kind in kinds)


@pytest.mark.parametrize(
    ("switch", "name"),
    [("burstable", "t3.large"), ("bare_metal", "c6i.metal"), ("flex", "c7i-flex.large"), ("accelerators", "g5.xlarge")],
)
def test_each_of_them_can_be_asked_for(switch: str, name: str) -> None:
    selection = Selection(most_vcpus=128)
    assert name not in names(selection)
    assert name in names(Selection(most_vcpus=128, **{switch: True}))  # type: ignore[arg-type]


def test_what_nobody_can_have_as_spot_instances_is_never_a_candidate() -> None:
    left = families(EVERYTHING)
    assert not left & {"t2", "c8ine", "m8ine"}
    assert not any(family.startswith(("hpc", "mac", "u-", "u7")) for family in left)
    assert {"t3", "c6i", "p4d", "x2idn"} <= left


def test_classes_families_generations_and_sizes_narrow() -> None:
    assert all(family.startswith("c") for family in families(Selection(classes=("c",))))
    assert families(Selection(families=("c6i", "c6a"))) == {"c6i", "c6a"}
    assert {name.split(".")[1] for name in names(Selection(sizes=("2xlarge",)))} == {"2xlarge"}
    generations = {pool.type.parts.generation for pool in candidates(MARKET, Selection(generations=(6, 7)))}
    assert generations == {6, 7}


def test_vcpus_and_memory_narrow_and_their_ends_count() -> None:
    kinds = [
        pool.type
        for pool in candidates(
            MARKET, Selection(least_vcpus=4, most_vcpus=8, least_gib_per_vcpu=4, most_gib_per_vcpu=8)
        )
    ]
    assert {kind.vcpus for kind in kinds} == {4, 8}
    assert {min(map(gib_per_vcpu, kinds)), max(map(gib_per_vcpu, kinds))} == {4.0, 8.0}


@pytest.mark.parametrize("wanted", [True, False])
def test_local_disks_can_be_wanted_or_unwanted(wanted: bool) -> None:
    assert {pool.type.local_disk for pool in candidates(MARKET, Selection(local_disk=wanted))} == {wanted}


def test_deny_is_stronger_than_allow() -> None:
    assert names(Selection(allow=("c6i.*",), deny=("*.large", "c6i.2*"))) == {
        "c6i.xlarge",
        "c6i.4xlarge",
        "c6i.8xlarge",
        "c6i.12xlarge",
    }


def test_azs_narrow_the_pools_not_the_types() -> None:
    pools = candidates(MARKET, Selection(classes=("c",), az_ids=("use1-az1", "use1-az2")))
    assert {pool.az_id for pool in pools} == {"use1-az1", "use1-az2"}


def test_xen_types_are_candidates_if_xen_is_wanted() -> None:
    assert "c4.large" not in names(Selection())
    assert "c4.large" in names(Selection(hypervisors=("xen",)))


def test_two_architectures_need_two_launch_templates() -> None:
    both = candidates(MARKET, Selection(classes=("c",), architectures=("x86_64", "arm64")))
    assert architectures(both) == ("arm64", "x86_64")
    assert architectures(candidates(MARKET, Selection(classes=("c",)))) == ("x86_64",)


def test_a_type_of_32_and_64_bits_needs_the_ami_of_64() -> None:
    assert architecture(MARKET.types["c1.medium"]) == "x86_64"


def test_pools_are_in_a_fixed_order_and_each_is_once() -> None:
    keys = [(pool.type.name, pool.az_id) for pool in candidates(MARKET, Selection())]
    assert keys == sorted(set(keys))


def test_a_pool_has_what_the_market_knows_of_it_and_nothing_else() -> None:
    key = ("use1-az1", "c6i.large")
    market = replace(
        MARKET,
        spot_prices={key: 0.04},
        estimated_spot_prices=frozenset({key}),
        on_demand_prices={"c6i.large": 0.085},
        interruptions={"c6i.large": 0.025},
        placement_scores={"use1-az1": 7},
    )
    pools = {pool.az_id: pool for pool in candidates(market, Selection(allow=("c6i.large",)))}
    first, second = pools["use1-az1"], pools["use1-az2"]
    assert (first.usd_per_hour, first.usd_is_estimate, first.placement_score) == (0.04, True, 7)
    assert (second.usd_per_hour, second.usd_is_estimate, second.placement_score) == (None, False, None)
    assert (second.on_demand_usd_per_hour, second.on_demand_is_estimate, second.interruption) == (0.085, False, 0.025)


@pytest.mark.parametrize(
    ("selection", "said", "hint"),
    [
        (Selection(classes=("q",)), 'no instance class "q" is offered in us-east-1', "known are"),
        (Selection(families=("c6k",)), 'no instance family "c6k"', "c6i"),
        (Selection(generations=(66,)), 'no generation "66"', "6"),
        (Selection(sizes=("2xlrage",)), 'no size "2xlrage"', "2xlarge"),
        (Selection(az_ids=("use1-az9",)), 'no AZ id "use1-az9"', "use1-az1"),
        (Selection(architectures=("amd64",)), 'no architecture "amd64"', "arm64"),
        (Selection(hypervisors=("kvm",)), 'no hypervisor "kvm"', "nitro"),
        (Selection(allow=("c6i.3xlarge",)), 'no instance type "c6i.3xlarge"', "c6i.xlarge"),
    ],
)
def test_a_name_that_does_not_exist_is_refused_with_the_nearest(selection: Selection, said: str, hint: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        candidates(MARKET, selection)
    assert hint in refused.value.hint


def test_the_name_of_an_az_is_refused_with_its_id() -> None:
    market = replace(MARKET, az_names={"use1-az4": "us-east-1a"})
    with pytest.raises(UsageError, match='"us-east-1a" is the name of an AZ') as refused:
        candidates(market, Selection(az_ids=("us-east-1a",)))
    assert refused.value.hint == "write its id, use1-az4"


def test_where_nothing_is_left_the_refusal_says_which_filter_removed_how_many() -> None:
    names = ("c6i.large", "c6i.metal", "c6g.large", "c7i-flex.large", "mac1.metal")
    market = tiny(*names)
    selection = Selection(classes=("c",), deny=("c6i.large",))
    assert why_none(market, selection) == (
        Removed("cannot be had as Spot Instances", 1),
        Removed("are denied by c6i.large", 1),
        Removed("are not for x86_64", 1),
        Removed("are bare metal", 1),
        Removed("are flex", 1),
    )
    with pytest.raises(
        UsageError, match="of 5 instance types: 1 cannot be had as Spot Instances, then 1 are denied by"
    ):
        candidates(market, selection)


def test_azs_that_do_not_offer_the_type_are_among_the_reasons() -> None:
    market = replace(tiny("c6i.large", "c6a.large"), offerings={"c6i.large": ("use1-az1",), "c6a.large": ("use1-az2",)})
    selection = Selection(families=("c6i",), az_ids=("use1-az2",))
    with pytest.raises(UsageError, match="then 1 are not offered in use1-az2"):
        candidates(market, selection)


def tiny(*names: str) -> Market:
    types = {}
    for name in names:
        arm, metal = name.startswith("c6g"), name.endswith("metal")
        kind = described_type(name, BareMetal=metal, Hypervisor=None if metal else "nitro")
        kind["ProcessorInfo"] = {"SupportedArchitectures": ["arm64" if arm else "x86_64"]}
        types[name] = InstanceType.described(kind)
    return Market("us-east-1", types, dict.fromkeys(names, ("use1-az1",)))


@pytest.mark.slow
@needs_data
def test_all_regions_together_have_37945_pools_with_an_on_demand_price_and_a_band() -> None:
    selection = replace(EVERYTHING, accelerators=False)
    known = 0
    for region in catalogue.regions():
        market = market_of_files(region, catalog=DATA, advisor=DATA / "spot-advisor-data.json")
        pools = candidates(market, selection)
        steady = [pool for pool in pools if not pool.type.burstable]  # as the table has it, to which t8i is none
        known += sum(pool.interruption is not None and pool.on_demand_usd_per_hour is not None for pool in steady)
    assert known == 37_945


@needs_data
@pytest.mark.parametrize(
    ("region", "instance_class", "count"),
    [
        ("us-east-1", "c", 353),
        ("us-east-1", "m", 449),
        ("us-east-1", "r", 444),
        ("ap-northeast-1", "c", 189),
        ("ap-northeast-1", "m", 270),
        ("ap-northeast-1", "r", 264),
    ],
)
def test_the_reference_problems_candidates_are_those_with_a_price_and_flex(
    region: str, instance_class: str, count: int
) -> None:
    market = market_of_files(region, catalog=DATA, prices=DATA / "pool_prices_dev.csv")
    pools = candidates(market, Selection(classes=(instance_class,), flex=True))
    assert sum(pool.usd_per_hour is not None for pool in pools) == count
