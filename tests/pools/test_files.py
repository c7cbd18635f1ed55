import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotwatch.core.capacity import Market, Source
from spotwatch.core.errors import InputError, UsageError
from spotwatch.pools import catalogue
from spotwatch.pools.existing_file import existing
from spotwatch.pools.files import market
from tests.pools.answers import change, described_type, instance, offering, save, zone
from tests.pools.data import DATA, needs_data

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
REGION = "us-east-1"


def source(found: Market, fact: str) -> Source:
    return next(source for source in found.sources if source.fact == fact)


def history(*changes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"SpotPriceHistory": list(changes), **more}


def by_id(price: str, time: str, az_id: str = "use1-az1", **more: Any) -> dict[str, Any]:
    """A change as today's AWS CLI prints it."""
    return change(price, time, AvailabilityZoneId=az_id, **more)


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """A folder with what three commands of the AWS CLI print."""
    folder = tmp_path / "catalog"
    folder.mkdir()
    save(folder / "types.json", {"InstanceTypes": [described_type("c6i.2xlarge"), described_type("c6a.2xlarge")]})
    offerings = [offering("c6i.2xlarge", "use1-az1"), offering("c6i.2xlarge", "use1-az4")]
    save(folder / "offerings.json", {"InstanceTypeOfferings": [*offerings, offering("c6a.2xlarge", "use1-az1")]})
    zones = [zone("us-east-1a", "use1-az4"), zone("us-east-1b", "use1-az1")]
    save(folder / "zones.json", {"AvailabilityZones": zones})
    return folder


# The files of the shared data, as they are


@needs_data
@pytest.mark.parametrize("region", catalogue.regions())
def test_every_region_of_the_data_folder_loads(region: str) -> None:
    found = market(region, catalog=DATA, advisor=DATA / "spot-advisor-data.json")
    assert found.types.keys() == found.offerings.keys()
    assert bool(found.on_demand_prices) == (region not in ("ap-southeast-5", "ca-west-1")), (
        "the data have none of those"
    )
    assert found.interruptions
    assert all(price > 0 for price in found.on_demand_prices.values())
    assert set(found.interruptions.values()) <= {0.025, 0.075, 0.125, 0.175, 0.3}


@needs_data
def test_the_data_folder_s_estimated_on_demand_prices_are_flagged_and_said() -> None:
    found = market("ap-southeast-4", catalog=DATA)
    said = source(found, "on-demand prices")
    assert found.estimated_on_demand_prices
    assert f"{len(found.estimated_on_demand_prices)} of {len(found.on_demand_prices)} are ESTIMATES" in said.note


@needs_data
def test_the_modelled_prices_are_used_and_said_to_be_estimates() -> None:
    found = market(REGION, prices=DATA / "pool_prices_dev.csv")
    assert found.spot_prices["use1-az1", "c5.12xlarge"] == 0.65427
    assert found.interruptions["c5.12xlarge"] == 0.075
    assert found.estimated_spot_prices == found.spot_prices.keys()
    assert "ESTIMATES" in source(found, "Spot prices").note


@needs_data
def test_the_advisor_is_stronger_than_the_bands_beside_the_prices(tmp_path: Path) -> None:
    feed = advisor_feed({"c5.12xlarge": {"s": 50, "r": 4}})
    advisor = save(tmp_path / "feed.json", feed)
    found = market(REGION, prices=DATA / "pool_prices_dev.csv", advisor=advisor)
    assert found.interruptions == {"c5.12xlarge": 0.3}
    assert source(found, "interruption bands").origin == str(advisor)


@needs_data
def test_a_region_without_prices_in_the_table_is_refused_with_those_that_have_some() -> None:
    with pytest.raises(InputError, match='has nothing of the region "eu-west-1"') as refused:
        market("eu-west-1", prices=DATA / "pool_prices_dev.csv")
    assert "us-east-1" in refused.value.hint


def test_the_packaged_catalogue_is_there_without_any_file() -> None:
    assert market(REGION) == catalogue.market(REGION)


# --catalog


def test_what_the_aws_cli_prints_into_a_folder_is_the_catalogue(catalog: Path) -> None:
    found = market(REGION, catalog=catalog)
    assert found.offerings == {"c6i.2xlarge": ("use1-az1", "use1-az4"), "c6a.2xlarge": ("use1-az1",)}
    assert found.types.keys() == {"c6i.2xlarge", "c6a.2xlarge"}
    assert found.az_names == {"use1-az4": "us-east-1a", "use1-az1": "us-east-1b"}
    assert [each.fact for each in found.sources] == ["instance types", "offerings", "AZ names"]


def test_pages_in_several_files_add_up(catalog: Path) -> None:
    save(catalog / "types-2.json", {"InstanceTypes": [described_type("m6i.large", vcpus=2)]})
    save(catalog / "offerings-2.json", {"InstanceTypeOfferings": [offering("m6i.large", "use1-az2")]})
    assert market(REGION, catalog=catalog).offerings.keys() == {"c6i.2xlarge", "c6a.2xlarge", "m6i.large"}


def test_a_file_instead_of_a_folder_replaces_only_what_it_holds(catalog: Path) -> None:
    found = market(REGION, catalog=catalog / "types.json")
    assert found.offerings["c6i.2xlarge"] == catalogue.market(REGION).offerings["c6i.2xlarge"]
    assert found.types["c6i.2xlarge"].ipv4_per_eni == 15
    assert "moto" in source(found, "offerings").origin
    assert source(found, "instance types").origin == str(catalog / "types.json")


def test_a_table_is_known_by_its_columns_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "what-is-where.csv"
    path.write_text("region,type,az_ids\nus-east-1,c6i.large,use1-az2|use1-az1\n")
    assert market(REGION, catalog=path).offerings == {"c6i.large": ("use1-az1", "use1-az2")}


def test_other_files_in_the_folder_do_no_harm(catalog: Path) -> None:
    save(catalog / "package.json", {"name": "something", "version": 1})
    (catalog / "notes.json").write_text("not JSON at all")
    (catalog / "README.md").write_bytes(b"\xff\xfe")
    (catalog / "sub.json").mkdir()
    assert market(REGION, catalog=catalog).types.keys() == {"c6i.2xlarge", "c6a.2xlarge"}


def test_an_offered_type_that_nothing_describes_is_left_out_and_it_is_said(catalog: Path) -> None:
    save(catalog / "offerings-2.json", {"InstanceTypeOfferings": [offering("m6i.large", "use1-az2")]})
    found = market(REGION, catalog=catalog)
    assert "m6i.large" not in found.offerings
    assert "1 offered types are left out" in source(found, "instance types").note


def test_a_page_that_is_not_the_last_is_said_to_be_cut_short(catalog: Path) -> None:
    save(catalog / "types.json", {"InstanceTypes": [described_type("c6i.2xlarge")], "NextToken": "eyJ2Ijo"})
    assert "cut short" in source(market(REGION, catalog=catalog), "instance types").note


def test_a_file_s_date_is_when_it_was_modified_and_that_is_said(catalog: Path) -> None:
    for path in catalog.iterdir():
        os.utime(path, (1_700_000_000, 1_700_000_000))
    said = source(market(REGION, catalog=catalog), "instance types")
    assert said.date == date(2023, 11, 14)
    assert "modified" in said.note


def test_files_may_describe_a_region_that_the_package_does_not_know(tmp_path: Path) -> None:
    save(tmp_path / "types.json", {"InstanceTypes": [described_type("c6i.2xlarge")]})
    save(tmp_path / "offerings.json", {"InstanceTypeOfferings": [offering("c6i.2xlarge", "mxc1-az1")]})
    found = market("mx-central-1", catalog=tmp_path)
    assert found.offerings == {"c6i.2xlarge": ("mxc1-az1",)}
    (tmp_path / "offerings.json").unlink()
    with pytest.raises(UsageError, match="--catalog has no offerings"):
        market("mx-central-1", catalog=tmp_path)


def test_files_are_laid_over_a_base_that_is_given(catalog: Path) -> None:
    base = Market(REGION, {}, {}, placement_scores={"use1-az1": 9}, sources=(Source("placement scores", "AWS"),))
    found = market(REGION, catalog=catalog, base=base)
    assert found.placement_scores == {"use1-az1": 9}
    assert [each.fact for each in found.sources][-1] == "placement scores"


def test_offerings_of_another_region_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "o.json", {"InstanceTypeOfferings": [offering("c6i.large", "apne1-az1")]})
    with pytest.raises(InputError, match=r'InstanceTypeOfferings\[0\]: Location is "apne1-az1", no id of an AZ there'):
        market(REGION, catalog=path)


@pytest.mark.parametrize("kind", ["region", "availability-zone"])
def test_offerings_that_are_not_by_az_id_are_refused_with_the_option_to_use(tmp_path: Path, kind: str) -> None:
    path = save(tmp_path / "o.json", {"InstanceTypeOfferings": [offering("c6i.large", "us-east-1a", kind)]})
    with pytest.raises(InputError, match=f"by {kind}, not by AZ id") as refused:
        market(REGION, catalog=path)
    assert "--location-type availability-zone-id" in refused.value.hint


def test_az_names_of_another_region_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "z.json", {"AvailabilityZones": [zone("eu-west-1a", "euw1-az1", "eu-west-1")]})
    with pytest.raises(InputError, match='nothing of the region "us-east-1"') as refused:
        market(REGION, catalog=path)
    assert "eu-west-1" in refused.value.hint


TYPES_HEADER = (
    "type,vcpu,threads_per_core,mem_mib,arch,hypervisor,usage,bare_metal,burstable,instance_store,accelerator,"
    "eni_max,ipv4_per_eni\n"
)
TYPES_ROW = "c6i.large,2,2,4096,x86_64,nitro,on-demand|spot,0,0,0,0,3,10\n"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("instance_types.csv", "", 'has no column "type"; it is empty'),
        ("instance_types.csv", "name,cpus\nc6i.large,2\n", 'has no column "type"; it has name, cpus'),
        ("instance_types.csv", TYPES_HEADER, "has no rows"),
        (
            "instance_types.csv",
            TYPES_HEADER + TYPES_ROW.replace("c6i.large,2", "c6i.large,two"),
            "line 2: vcpu is 'two'",
        ),
        ("instance_types.csv", TYPES_HEADER + TYPES_ROW.replace("4096", "-1"), "line 2: mem_mib is '-1'"),
        ("instance_types.csv", TYPES_HEADER + TYPES_ROW.replace(",3,", ",,"), "line 2: eni_max is missing"),
        ("instance_types.csv", TYPES_HEADER + TYPES_ROW.replace("c6i", "see"), "line 2: .* is no instance type"),
        ("instance_types.csv", TYPES_HEADER + TYPES_ROW.replace("0,0,0,0", "0,no,0,0"), "burstable is .no., neither"),
        ("instance_types.csv", TYPES_HEADER + TYPES_ROW * 2, "line 3: c6i.large is listed twice"),
        (
            "instance_types.csv",
            TYPES_HEADER + TYPES_ROW + TYPES_ROW[:30],
            "line 3: 6 cells, where the first line has 13",
        ),
        ("instance_types.csv", TYPES_HEADER + '"c6i.large,2\n', "line 2: no CSV"),
        ("offerings.csv", "region,type,az_ids\n", 'nothing of the region "us-east-1"'),
        ("offerings.csv", "region,type,az_ids\nus-east-1,c6i.large,\n", "line 2: az_ids is missing"),
        (
            "offerings.csv",
            "region,type,az_ids\nus-east-1,c6i.large,us-east-1a\n",
            'az_ids is "us-east-1a", no id of an',
        ),
        ("offerings.csv", "type,az_ids,region\nc6i.large,use1-az9|,us-east-1\n", "line 2: az_ids is missing"),
        ("ondemand_prices.csv", "region,type,usd_per_hour\nus-east-1,c6i.large,free\n", "usd_per_hour is 'free'"),
        ("ondemand_prices.csv", "region,type,usd_per_hour\nus-east-1,c6i.large,nan\n", "usd_per_hour is 'nan'"),
        ("types.json", '{"InstanceTypes": {}}', "InstanceTypes is no list"),
        ("types.json", '{"InstanceTypes": []}', "InstanceTypes is empty"),
        ("types.json", '{"InstanceTypes": [7]}', r"InstanceTypes\[0\] is no object"),
        ("types.json", '{"InstanceTypes": [{}]}', r"InstanceTypes\[0\]: NetworkInfo is missing"),
        ("types.json", '{"InstanceTypes": [{"InstanceType": "c6i', "cut off"),
        ("offerings.json", '{"InstanceTypeOfferings": []}', "InstanceTypeOfferings is empty"),
        ("zones.json", '{"AvailabilityZones": [{"ZoneId": "use1-az1"}]}', r"\[0\]: ZoneName is missing"),
        ("other.json", '{"Images": []}', "holds no catalogue"),
    ],
)
def test_a_mistake_in_the_catalogue_is_named_with_its_place(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said) as refused:
        market(REGION, catalog=tmp_path)
    assert str(tmp_path) in refused.value.message
    assert refused.value.hint


def test_a_file_that_is_no_catalogue_is_refused_with_what_one_is(tmp_path: Path) -> None:
    for text in ("some,columns\n1,2\n", '{"Images": []}'):
        (tmp_path / "file").write_text(text)
        with pytest.raises(InputError) as refused:
            market(REGION, catalog=tmp_path / "file")
        assert "describe-instance-types" in refused.value.hint


# --prices: aws ec2 describe-spot-price-history


def test_the_price_is_that_of_the_last_change_before_now_however_old(tmp_path: Path) -> None:
    changes = [
        by_id("0.9000", "2026-11-23T13:00:00+00:00"),
        by_id("0.1500", "2026-11-20T08:00:00+00:00"),
        by_id("0.1000", "2026-09-01T00:00:00Z"),
        by_id("0.2000", "2026-09-01T00:00:00.000Z", az_id="use1-az4"),
    ]
    found = market(REGION, prices=save(tmp_path / "p.json", history(*changes)), now=NOW)
    assert found.spot_prices == {("use1-az1", "c6i.2xlarge"): 0.15, ("use1-az4", "c6i.2xlarge"): 0.2}
    assert source(found, "Spot prices").date == date(2026, 11, 20)
    assert not found.estimated_spot_prices


def test_the_mean_over_a_window_weighs_each_price_by_how_long_it_held(tmp_path: Path) -> None:
    """For 18 of the 24 hours the price from before the window held, for 6 the later one."""
    changes = [by_id("0.20", "2026-11-23T06:00:00Z"), by_id("0.10", "2026-11-01T00:00:00Z")]
    prices = save(tmp_path / "p.json", history(*changes))
    found = market(REGION, prices=prices, now=NOW, window=timedelta(days=1))
    assert found.spot_prices["use1-az1", "c6i.2xlarge"] == pytest.approx(0.75 * 0.10 + 0.25 * 0.20)
    assert "mean over 24 hours" in source(found, "Spot prices").note


def test_only_the_product_linux_counts(tmp_path: Path) -> None:
    windows = by_id("0.9", "2026-11-22T00:00:00Z", ProductDescription="Windows")
    linux = by_id("0.1", "2026-11-21T00:00:00Z")
    prices = save(tmp_path / "p.json", history(windows, linux))
    assert market(REGION, prices=prices, now=NOW).spot_prices["use1-az1", "c6i.2xlarge"] == 0.1
    with pytest.raises(InputError, match="no prices of Linux/UNIX, but of Windows") as refused:
        market(REGION, prices=save(tmp_path / "p.json", history(windows)), now=NOW)
    assert "--product-descriptions Linux/UNIX" in refused.value.hint


def test_az_names_become_ids_by_the_account_s_own_list(tmp_path: Path, catalog: Path) -> None:
    prices = save(tmp_path / "p.json", history(change("0.1", "2026-11-22T00:00:00Z", zone="us-east-1a")))
    found = market(REGION, catalog=catalog, prices=prices, now=NOW)
    assert found.spot_prices == {("use1-az4", "c6i.2xlarge"): 0.1}


def test_az_names_without_that_list_are_refused_with_the_command_that_prints_it(tmp_path: Path) -> None:
    prices = save(tmp_path / "p.json", history(change("0.1", "2026-11-22T00:00:00Z")))
    with pytest.raises(InputError, match=r"names AZs by name \(us-east-1a\)") as refused:
        market(REGION, prices=prices, now=NOW)
    assert "aws ec2 describe-availability-zones --region us-east-1" in refused.value.hint


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (history(), "SpotPriceHistory is empty"),
        ({"Prices": []}, "SpotPriceHistory is missing"),
        (history(by_id("0.1", "2027-01-01T00:00:00Z")), "every price is of after 2026-11-23 12:00 UTC"),
        (history(by_id("free", "2026-11-22T00:00:00Z")), r"\[0\]: SpotPrice is 'free'"),
        (history(by_id("-1", "2026-11-22T00:00:00Z")), r"\[0\]: SpotPrice is '-1'"),
        (history(by_id("0.1", "yesterday")), r"\[0\]: .*yesterday"),
        (history(by_id("0.1", "0001-01-01T00:00:00+14:00")), r"\[0\]: "),
        (
            history(change("0.1", "2026-11-22T00:00:00Z", zone="eu-west-1a")),
            "no prices of us-east-1, but of eu-west-1a",
        ),
        (history(by_id("0.1", "2026-11-22T00:00:00Z", az_id="use1-az3")), "none of its pools .* is offered"),
        (history({"SpotPrice": "0.1"}), r"\[0\]: ProductDescription is missing"),
        ([1], "holds no JSON object"),
    ],
)
def test_a_mistake_in_a_price_history_is_named(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        market(REGION, prices=save(tmp_path / "p.json", content), now=NOW)
    assert refused.value.hint


# --prices: a table


PRICES_HEADER = "region,az_id,type,usd_per_hour,interruption_band\n"


def test_a_table_of_observed_prices_is_no_estimate(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(PRICES_HEADER + "us-east-1,use1-az1,c6i.large,0.03,\n")
    found = market(REGION, prices=path)
    assert found.spot_prices == {("use1-az1", "c6i.large"): 0.03}
    assert (found.estimated_spot_prices, dict(found.interruptions)) == (frozenset(), {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("region,az_id,type\nus-east-1,use1-az1,c6i.large\n", 'has no column "usd_per_hour"'),
        (PRICES_HEADER, 'nothing of the region "us-east-1"'),
        (PRICES_HEADER + "us-east-1,use1-az1,c6i.large,1e999,0\n", "line 2: usd_per_hour"),
        (PRICES_HEADER + "us-east-1,use1-az1,c6i.large,0,0\n", "line 2: usd_per_hour is '0'"),
        (PRICES_HEADER + "us-east-1,use1-az1,c6i.large,0.1,5\n", "line 2: interruption_band is 5, more than 4"),
        (PRICES_HEADER + "us-east-1,us-east-1a,c6i.large,0.1,1\n", 'line 2: az_id is "us-east-1a"'),
        (PRICES_HEADER + "us-east-1,use1-az1,c6i.large,0.1,1\n" * 2, "line 3: use1-az1 c6i.large is listed twice"),
        (
            PRICES_HEADER + "us-east-1,use1-az1,c6i.large,0.1,1\nus-east-1,use1-az2,c6i.large,0.1,2\n",
            "line 3: interruption_band of c6i.large is 2, and another in a row before",
        ),
    ],
)
def test_a_mistake_in_a_table_of_prices_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        market(REGION, prices=tmp_path / "p.csv")


# --advisor


def advisor_feed(types: Any, **more: Any) -> dict[str, Any]:
    labels = ("<5%", "5-10%", "10-15%", "15-20%", ">20%")
    ranges = [{"index": index, "label": label, "dots": index, "max": 5} for index, label in enumerate(labels)]
    return {"ranges": ranges, "spot_advisor": {REGION: {"Linux": types, "Windows": {}}}, **more}


def test_the_advisor_s_bands_become_their_middles(tmp_path: Path) -> None:
    types = {f"c{n}i.large": {"s": 60, "r": n - 5} for n in range(5, 10)}
    found = market(REGION, advisor=save(tmp_path / "a.json", advisor_feed(types)))
    assert list(found.interruptions.values()) == [0.025, 0.075, 0.125, 0.175, 0.3]
    assert not found.spot_prices, "a saving is no price"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "ranges is missing"),
        (advisor_feed({}), "Linux is empty"),
        (advisor_feed([]), "Linux is no object"),
        (advisor_feed({"c6i.large": {"s": 60, "r": 5}}), "Linux.c6i.large: r is 5, none of the ranges"),
        (advisor_feed({"c6i.large": {"s": "60", "r": 0}}), "s is no percentage"),
        (advisor_feed({"c6i.large": None}), "Linux.c6i.large: no object"),
        (advisor_feed({"c6i.large": {"r": 0, "s": 1}}, ranges=[{"index": 0, "label": "rarely"}]), 'label is "rarely"'),
        (advisor_feed({}, spot_advisor={"us-east-2": {}}), 'nothing of the region "us-east-1"'),
        (advisor_feed({}, spot_advisor=7), "spot_advisor is no object"),
    ],
)
def test_a_mistake_in_the_advisor_s_feed_is_named(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        market(REGION, advisor=save(tmp_path / "a.json", content))


@pytest.fixture
def priced(catalog: Path) -> Path:
    (catalog / "ondemand_prices.csv").write_text(
        "region,type,usd_per_hour,source\nus-east-1,c6i.2xlarge,0.34,karpenter\nus-east-1,c6a.2xlarge,0.3,class-ratio\n"
    )
    return catalog


def test_prices_are_estimated_from_the_advisor_only_if_asked_for_and_marked(tmp_path: Path, priced: Path) -> None:
    advisor = save(
        tmp_path / "a.json", advisor_feed({"c6i.2xlarge": {"s": 50, "r": 0}, "c6a.2xlarge": {"s": -5, "r": 1}})
    )
    assert not market(REGION, catalog=priced, advisor=advisor).spot_prices
    found = market(REGION, catalog=priced, advisor=advisor, estimate_prices=True)
    assert found.spot_prices == {("use1-az1", "c6i.2xlarge"): 0.17, ("use1-az4", "c6i.2xlarge"): 0.17}
    assert found.estimated_spot_prices == found.spot_prices.keys()
    assert "2 are ESTIMATES" in source(found, "Spot prices").note


def test_an_estimate_never_replaces_a_price(tmp_path: Path, priced: Path) -> None:
    advisor = save(tmp_path / "a.json", advisor_feed({"c6i.2xlarge": {"s": 50, "r": 0}}))
    prices = save(tmp_path / "p.json", history(by_id("0.1", "2026-11-22T00:00:00Z")))
    found = market(REGION, catalog=priced, advisor=advisor, prices=prices, now=NOW, estimate_prices=True)
    assert found.spot_prices == {("use1-az1", "c6i.2xlarge"): 0.1, ("use1-az4", "c6i.2xlarge"): 0.17}
    assert found.estimated_spot_prices == {("use1-az4", "c6i.2xlarge")}


def test_estimates_from_nothing_are_refused(tmp_path: Path, priced: Path) -> None:
    with pytest.raises(UsageError, match="without savings") as refused:
        market(REGION, catalog=priced, estimate_prices=True)
    assert "--advisor" in refused.value.hint
    advisor = save(tmp_path / "a.json", advisor_feed({"c6i.2xlarge": {"s": 50, "r": 0}}))
    with pytest.raises(UsageError, match="without savings") as refused:
        market(REGION, advisor=advisor, estimate_prices=True)
    assert "ondemand_prices.csv" in refused.value.hint


def test_an_estimated_on_demand_price_is_told_from_a_published_one(priced: Path) -> None:
    found = market(REGION, catalog=priced)
    assert found.estimated_on_demand_prices == {"c6a.2xlarge"}
    assert "1 of 2 are ESTIMATES" in source(found, "on-demand prices").note


# --existing


def test_a_table_of_what_runs_is_read_and_the_same_pool_adds_up(tmp_path: Path) -> None:
    path = tmp_path / "now.csv"
    path.write_text("az_id,instance_type,count\nuse1-az1,c6i.large,3\nuse1-az1,c6i.large,2\nuse1-az2,c6i.large,0\n")
    assert existing(path, catalogue.market(REGION)) == {("use1-az1", "c6i.large"): 5}


@pytest.mark.parametrize("wrap", [lambda pools: pools, lambda pools: {"pools": pools, "vcpus": 8}])
def test_a_plan_that_was_printed_is_what_runs(tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
    path = save(tmp_path / "plan.json", wrap([{"az_id": "use1-az1", "instance_type": "c6i.large", "count": 3}]))
    assert existing(path, catalogue.market(REGION)) == {("use1-az1", "c6i.large"): 3}


def test_of_described_instances_the_spot_instances_that_run_or_start_count(tmp_path: Path, catalog: Path) -> None:
    instances = [
        instance("c6i.2xlarge", "us-east-1a"),
        instance("c6i.2xlarge", "us-east-1a", state="pending"),
        instance("c6i.2xlarge", "us-east-1a", state="shutting-down"),
        instance("c6i.2xlarge", "us-east-1a", spot=False),
    ]
    path = save(tmp_path / "i.json", {"Reservations": [{"Instances": instances[:2]}, {"Instances": instances[2:]}]})
    assert existing(path, market(REGION, catalog=catalog)) == {("use1-az4", "c6i.2xlarge"): 2}
    with pytest.raises(InputError, match=r"Reservations\[0\].Instances\[0\]: the AZ has a name only \(us-east-1a\)"):
        existing(path, catalogue.market(REGION))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("az_id,count\nuse1-az1,2\n", 'has no column "instance_type"'),
        ("az_id,instance_type,count\nuse1-az1,c6i.large,-2\n", "line 2: count is '-2'"),
        ("az_id,instance_type,count\nuse1-az1,c6i.larg,2\n", 'line 2: "c6i.larg" is no .* did you mean c6i.large'),
        ("az_id,instance_type,count\nuse1-az3,c6i.large,2\n", "line 2: c6i.large is not offered in"),
        ('{"ActiveInstances": [{"InstanceType": "c6i.large"}]}', "does not list what runs in which AZ"),
        ('{"Reservations": [{"Instances": [{"State": 7}]}]}', r"Instances\[0\]: State is missing"),
        ("[7]", r"pools\[0\] is no object"),
    ],
)
def test_a_mistake_in_what_runs_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "now").write_text(text)
    with pytest.raises(InputError, match=said):
        existing(tmp_path / "now", catalogue.market(REGION))


# Whatever is wrong with a file as such


@pytest.mark.parametrize("option", ["catalog", "prices", "advisor"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe{\x00}\x00", "is not UTF-8: byte 0"),
        (b'{"SpotPriceHistory": [NaN]}', "NaN is no JSON"),
        (b'{"SpotPriceHistory": [' + b"9" * 5000 + b"]}", "no JSON that AWS prints"),
        (b"[" * 100_000, "no JSON that AWS prints"),
        (b'{"SpotPriceHistory": [', "line 1, column 23: the JSON is cut off"),
        (b'{"SpotPriceHistory": ]}', "line 1, column 22: no JSON"),
    ],
)
def test_a_file_that_is_no_text_or_no_json_is_refused(tmp_path: Path, option: str, content: bytes, said: str) -> None:
    (tmp_path / "file.json").write_bytes(content)
    with pytest.raises(InputError, match=said) as refused:
        market(REGION, **{option: tmp_path / "file.json"})  # type: ignore[arg-type]
    assert str(tmp_path / "file.json") in refused.value.message


@pytest.mark.parametrize("option", ["prices", "advisor"])
def test_a_folder_where_a_file_is_expected_is_refused(tmp_path: Path, option: str) -> None:
    with pytest.raises(InputError, match="is a folder"):
        market(REGION, **{option: tmp_path})  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["catalog", "prices", "advisor"])
def test_a_file_that_is_not_there_is_refused(tmp_path: Path, option: str) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        market(REGION, **{option: tmp_path / "missing"})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cannot be read"):
        market(REGION, **{option: "nul\0nul"})  # type: ignore[arg-type]


def test_a_file_that_is_too_large_is_refused_without_being_read(tmp_path: Path) -> None:
    with (tmp_path / "p.json").open("wb") as file:
        file.truncate(1 << 40)  # a sparse file takes no room
    with pytest.raises(InputError, match="is larger than 512 MiB"):
        market(REGION, prices=tmp_path / "p.json")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(history(by_id("0.1", "2026-11-22T00:00:00Z"))).encode())
    assert market(REGION, prices=path, now=NOW).spot_prices


def test_a_region_that_nobody_knows_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match='no region "us-eats-1"') as refused:
        market("us-eats-1")
    assert "us-east-1" in refused.value.hint


WORDS = [
    "InstanceTypes",
    "InstanceTypeOfferings",
    "AvailabilityZones",
    "SpotPriceHistory",
    "spot_advisor",
    "ranges",
    "us-east-1",
    "Linux",
    "pools",
    "Reservations",
    "Instances",
    "InstanceType",
    "Location",
    "LocationType",
    "ZoneId",
    "ZoneName",
    "RegionName",
    "ProductDescription",
    "SpotPrice",
    "Timestamp",
    "AvailabilityZone",
    "AvailabilityZoneId",
    "index",
    "label",
    "r",
    "s",
    "az_id",
    "instance_type",
    "count",
    "State",
    "Placement",
    "Name",
    "NextToken",
    "VCpuInfo",
    "DefaultVCpus",
    "NetworkInfo",
    "Linux/UNIX",
    "c6i.large",
    "use1-az1",
    "us-east-1a",
    "<5%",
    "2026-11-22T00:00:00Z",
    "0.1",
    "region",
    "type",
    "az_ids",
    "vcpu",
    "usd_per_hour",
    "interruption_band",
    "source",
    "running",
    "spot",
    "InstanceLifecycle",
]
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(WORDS)
JSON = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=25,
)
ROOTS = st.sampled_from(("InstanceTypes", "InstanceTypeOfferings", "AvailabilityZones", "SpotPriceHistory", "ranges"))
LISTS = st.lists(st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=8), max_size=3)
TABLES = st.lists(st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=6), max_size=5)
FILES = (
    st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.tuples(ROOTS, LISTS).map(lambda root: json.dumps({root[0]: root[1]}).encode())
    | TABLES.map(lambda table: "\n".join(",".join(row) for row in table).encode("utf-8", "surrogatepass"))
)


def refusals(path: Path) -> list[InputError]:
    """Of every reader that refuses the file; anything else that a reader raises fails the test."""
    found: list[InputError] = []
    for read in (
        lambda: market(REGION, catalog=path),
        lambda: market(REGION, prices=path, now=NOW),
        lambda: market(REGION, prices=path, now=NOW, window=timedelta(days=1)),
        lambda: market(REGION, advisor=path),
        lambda: existing(path, catalogue.market(REGION)),
    ):
        try:
            read()
        except InputError as error:
            found.append(error)
    return found


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES)
def test_no_file_gives_anything_but_a_market_or_an_input_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    assert all(error.message.isprintable() and error.hint for error in refusals(path))


WELL_FORMED: tuple[Any, ...] = (
    {"InstanceTypes": [described_type("c6i.2xlarge")]},
    {"InstanceTypeOfferings": [offering("c6i.2xlarge", "use1-az1")]},
    {"AvailabilityZones": [zone("us-east-1a", "use1-az4")]},
    history(by_id("0.1", "2026-11-22T00:00:00Z"), by_id("0.2", "2026-11-23T00:00:00Z")),
    advisor_feed({"c6i.2xlarge": {"s": 50, "r": 0}}),
    {
        "Reservations": [
            {"Instances": [{**instance("c6i.large", "x"), "Placement": {"AvailabilityZoneId": "use1-az1"}}]}
        ]
    },
    {"pools": [{"az_id": "use1-az1", "instance_type": "c6i.large", "count": 3}]},
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a JSON document."""
    if path:
        yield path
    keys = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in keys:
        yield from places(inner, (*path, key))


def damaged(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy in which another value is at the path."""
    changed = copy.deepcopy(document)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_an_answer_with_any_value_replaced_gives_nothing_else_either(tmp_path: Path, data: st.DataObject) -> None:
    document = data.draw(st.sampled_from(WELL_FORMED))
    path = data.draw(st.sampled_from(list(places(document))))
    file = save(tmp_path / "file.json", damaged(document, path, data.draw(JSON)))
    assert all(error.message.isprintable() and error.hint for error in refusals(file))


def test_the_answers_that_are_damaged_are_well_formed(tmp_path: Path) -> None:
    """Each is read by one reader (prices by two), so that it is not refused for what it is."""
    for document in WELL_FORMED:
        assert len(refusals(save(tmp_path / "file.json", document))) <= 4


@needs_data
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_real_file_gives_nothing_but_a_market_or_an_input_error(tmp_path: Path, data: st.DataObject) -> None:
    names = ("instance_types.csv", "offerings.csv", "ondemand_prices.csv", "pool_prices_dev.csv")
    content = bytearray((DATA / data.draw(st.sampled_from(names))).read_bytes()[:20_000])
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "file.csv"
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    assert all(error.message.isprintable() and error.hint for error in refusals(path))


def test_loading_the_readers_loads_nothing_heavy() -> None:
    script = (
        "import sys; import spotwatch.pools.files, spotwatch.pools.candidates, spotwatch.pools.addresses; "
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'boto3', 'botocore', 'yaml', 'jinja2', 'cfnlint', "
        "'rich', 'difflib'}))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
