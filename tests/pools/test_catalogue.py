import csv
import importlib.util
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from spotwatch.core.errors import UsageError
from spotwatch.pools import catalogue
from tests.pools.data import DATA, REPOSITORY, needs_data

SCRIPT = REPOSITORY / ".ci" / "make_catalogue.py"
PACKAGED = Path(catalogue.__file__).with_name("catalogue.json")


@pytest.mark.parametrize("region", catalogue.regions())
def test_every_region_loads_and_offers_only_what_it_describes(region: str) -> None:
    market = catalogue.market(region)
    assert market.region == region
    assert market.types.keys() == market.offerings.keys()
    prefix = catalogue.az_prefix(region)
    assert all(az_ids and all(az_id.startswith(prefix) for az_id in az_ids) for az_ids in market.offerings.values())


def test_it_has_no_prices_and_says_from_when_it_is() -> None:
    market = catalogue.market("ap-northeast-1")
    assert (market.spot_prices, market.on_demand_prices, market.interruptions) == ({}, {}, {})
    assert [source.fact for source in market.sources] == ["instance types", "offerings"]
    assert all(source.date == catalogue.date() > date(2026, 1, 1) for source in market.sources)
    assert all("moto" in source.origin for source in market.sources)


def test_a_region_s_sets_of_azs_differ() -> None:
    offerings = catalogue.market("us-east-1").offerings
    assert len(catalogue.regions()) == 30
    assert "use1-az3" not in offerings["c6i.2xlarge"], "the legacy AZ has none of the Nitro x86 c types"
    assert len(offerings["c6i.2xlarge"]) == 5


def test_a_type_is_described_as_aws_does() -> None:
    kind = catalogue.market("us-east-1").types["c5d.2xlarge"]
    assert (kind.vcpus, kind.threads_per_core, kind.memory_mib, kind.enis, kind.ipv4_per_eni) == (8, 2, 16384, 4, 15)
    assert (kind.architectures, kind.hypervisor, kind.local_disk, kind.spot) == (("x86_64",), "nitro", True, True)
    assert (kind.bare_metal, kind.burstable, kind.accelerators) == (False, False, False)


def test_a_region_that_it_does_not_know_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match='no region "ap-northeast-9"') as refused:
        catalogue.market("ap-northeast-9")
    assert "ap-northeast-1" in refused.value.hint
    assert catalogue.az_prefix("ap-northeast-9") == ""


def test_it_is_small() -> None:
    assert PACKAGED.stat().st_size < 300_000


@needs_data
def test_it_agrees_with_the_independent_data_on_every_type_that_both_have() -> None:
    """The data are half a year older: what AWS has changed since is whether c8ine and m8ine can be Spot Instances."""
    known = {name: kind for region in catalogue.regions() for name, kind in catalogue.market(region).types.items()}
    with (DATA / "instance_types.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["type"] in known]
    assert len(rows) > 1250
    for row in rows:
        kind = known[row["type"]]
        figures = kind.vcpus, kind.threads_per_core, kind.memory_mib, kind.enis, kind.ipv4_per_eni
        columns = ("vcpu", "threads_per_core", "mem_mib", "eni_max", "ipv4_per_eni")
        assert figures == tuple(int(row[column]) for column in columns)
        assert kind.architectures == tuple(row["arch"].split("|"))
        assert kind.hypervisor == row["hypervisor"].replace("metal", "")
        flags = kind.bare_metal, kind.burstable, kind.local_disk, kind.accelerators
        names = ("bare_metal", "burstable", "instance_store", "accelerator")
        assert flags == tuple(row[name] == "1" for name in names)
        if kind.parts.family not in ("c8ine", "m8ine"):
            assert kind.spot == ("spot" in row["usage"])


@pytest.fixture
def made() -> Callable[[date], str]:
    if not SCRIPT.exists():
        pytest.skip("the script that makes the catalogue is not part of a source distribution")
    if catalogue.origin() != f"moto {version('moto')}":
        pytest.skip(f"the catalogue is made from {catalogue.origin()}, and moto is {version('moto')}")
    return _script().catalogue  # type: ignore[no-any-return]


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("make_catalogue", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_packaged_file_is_what_the_script_makes(made: Callable[[date], str]) -> None:
    assert made(catalogue.date()) == PACKAGED.read_text(encoding="ascii")
