import csv
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotwatch.core.capacity import Group, InstanceType, Pool, TypeName
from spotwatch.pools import catalogue
from tests.pools.answers import described_type
from tests.pools.data import DATA, needs_data


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("c6i.2xlarge", ("c", "", 6, "i", "2xlarge")),
        ("c6gn.metal", ("c", "", 6, "gn", "metal")),
        ("i7i-flex.large", ("i", "", 7, "i-flex", "large")),
        ("m8i-flex.4xlarge", ("m", "", 8, "i-flex", "4xlarge")),
        ("im4gn.xlarge", ("im", "", 4, "gn", "xlarge")),
        ("is4gen.medium", ("is", "", 4, "gen", "medium")),
        ("p4de.24xlarge", ("p", "", 4, "de", "24xlarge")),
        ("p6-b200.48xlarge", ("p", "", 6, "-b200", "48xlarge")),
        ("u-6tb1.metal", ("u", "-6tb", 1, "", "metal")),
        ("u7i-12tb.224xlarge", ("u", "", 7, "i-12tb", "224xlarge")),
        ("mac2-m2pro.metal", ("mac", "", 2, "-m2pro", "metal")),
        ("mac-m4max.metal", ("mac", "-m", 4, "max", "metal")),
        ("c7i.metal-24xl", ("c", "", 7, "i", "metal-24xl")),
        ("x2iedn.32xlarge", ("x", "", 2, "iedn", "32xlarge")),
    ],
)
def test_a_name_has_the_parts_that_aws_s_naming_convention_gives_it(
    name: str, parts: tuple[str, str, int, str, str]
) -> None:
    parsed = TypeName.parse(name)
    assert (parsed.instance_class, parsed.infix, parsed.generation, parsed.options, parsed.size) == parts
    assert f"{parsed.family}.{parsed.size}" == name


@needs_data
def test_every_real_name_parses_into_the_parts_that_the_data_say() -> None:
    with (DATA / "instance_types.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1263
    for row in rows:
        parsed = TypeName.parse(row["type"])
        assert (parsed.family, parsed.size) == (row["family"], row["size"])
        if row["gen"]:  # the data do not take apart mac-m4 and u-6tb1
            assert (parsed.instance_class, str(parsed.generation), parsed.options) == (
                row["class"],
                row["gen"],
                row["suffix"],
            )


def test_every_packaged_name_is_its_family_and_its_size() -> None:
    names = {name for region in catalogue.regions() for name in catalogue.market(region).types}
    assert len(names) > 1000
    assert all(f"{TypeName.parse(name).family}.{TypeName.parse(name).size}" == name for name in names)


@pytest.mark.parametrize(
    "name", ["", "c6i", "c6i.", ".large", "ci.large", "C6i.large", "c6i.large ", "c6i large", "6i.x"]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no instance type; one is written like"):
        TypeName.parse(name)


@given(st.text())
def test_any_text_either_parses_or_is_refused(text: str) -> None:
    try:
        parsed = TypeName.parse(text)
    except ValueError:
        return
    assert parsed.instance_class


def test_flex_is_told_from_the_name() -> None:
    flexes = {name: kind.flex for name, kind in catalogue.market("us-east-1").types.items()}
    assert flexes["c7i-flex.large"]
    assert not flexes["c7i.large"]


def test_a_pool_belongs_to_one_group_of_each_kind() -> None:
    pool = Pool("use1-az4", InstanceType.described(described_type("c6gn.2xlarge")))
    assert [pool.key(group) for group in Group] == ["use1-az4 c6gn.2xlarge", "c6gn.2xlarge", "c6gn", "6", "use1-az4"]


def test_a_description_becomes_an_instance_type() -> None:
    kind = InstanceType.described(described_type("c6id.2xlarge", InstanceStorageSupported=True, GpuInfo={"Gpus": [{}]}))
    assert kind == InstanceType(
        "c6id.2xlarge", 8, 2, 16384, ("x86_64",), "nitro", False, False, True, True, True, 4, 15
    )


def test_bare_metal_has_no_hypervisor() -> None:
    description = described_type("c6i.metal", BareMetal=True)
    del description["Hypervisor"]
    assert InstanceType.described(description).hypervisor == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"InstanceType": None}, "is no instance type"),
        ({"VCpuInfo": {}}, "DefaultVCpus is missing"),
        ({"VCpuInfo": {"DefaultVCpus": 0}}, "DefaultVCpus is no whole number"),
        ({"VCpuInfo": {"DefaultVCpus": True}}, "DefaultVCpus is no whole number"),
        ({"NetworkInfo": None}, "NetworkInfo is missing"),
        ({"MemoryInfo": {"SizeInMiB": "lots"}}, "SizeInMiB is no whole number"),
        ({"SupportedUsageClasses": "spot"}, "SupportedUsageClasses is no list"),
        ({"ProcessorInfo": {}}, "SupportedArchitectures is missing"),
    ],
)
def test_a_description_that_lacks_something_says_what(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        InstanceType.described({**described_type("c6i.large"), **change})
