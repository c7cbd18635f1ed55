"""What is written holds the plan exactly, keeps every limit, and `check` reads it back as it was meant."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from spotwatch.core.capacity import Group
from spotwatch.core.errors import UsageError
from spotwatch.pools.check import Checked, check
from spotwatch.pools.formats import FORMATS, LaunchTemplate, Settings, Written, write
from spotwatch.pools.formats.shares import shares
from spotwatch.pools.limits import Facts
from spotwatch.pools.plan import Plan
from tests.pools.plans import (
    ARM_FAMILIES,
    AZ_IDS,
    SUBNETS,
    X86_FAMILIES,
    aligned_plan,
    free_plan,
    performance_plan,
    plan_of,
    planned,
)

pytestmark = pytest.mark.slow

TEMPLATES = {"x86_64": LaunchTemplate(id="lt-0123456789abcdef0"), "arm64": LaunchTemplate(name="web-arm", version="3")}
SETTINGS = Settings(launch_templates=TEMPLATES, subnets=SUBNETS, tags={"team": "web ${x}"})
PLANS = {
    "200": free_plan(200),
    "1000": free_plan(1_000),
    "10000": free_plan(10_000),
    "aligned": aligned_plan(),
    "aligned 48000": aligned_plan(1_920, 25),
    "both architectures": free_plan(1_000, families=("c6i", "c7g", "c7a", "c8g", "c5a")),
    "on demand": free_plan(1_000, on_demand=130),
    "aligned, on demand": plan_of(*aligned_plan().pools, on_demand=96),
    "one pool": plan_of(planned("use1-az1", "c6i.large", 3)),
    "one pool, on demand": plan_of(planned("use1-az1", "c6i.16xlarge", 3), on_demand=1.5),
}


def read_back(tmp_path: Path, written: Written, plan: Plan, settings: Settings) -> Checked:
    path = tmp_path / "configuration"
    path.write_text(written.text)
    types = {pool.pool.type.name: pool.pool.type for pool in plan.pools}
    return check(path, Facts(types), {subnet: az for az, subnet in settings.subnets.items()})


@pytest.mark.parametrize("settings", [SETTINGS, Settings()], ids=["settings", "no settings"])
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("name", FORMATS)
def test_check_reads_back_what_is_written_with_the_plan_s_own_losses(
    tmp_path: Path, name: str, plan: Plan, settings: Settings
) -> None:
    result = read_back(tmp_path, write(name, plan, settings), plan, settings)
    assert result.findings == ()
    assert {loss.group: loss.worst for loss in result.losses.losses} == pytest.approx(
        {group: plan.worst_loss(group) for group in Group}
    )


@pytest.mark.parametrize("name", FORMATS)
def test_on_demand_capacity_is_written_in_full(tmp_path: Path, name: str) -> None:
    plan = PLANS["on demand"]
    fleets = read_back(tmp_path, write(name, plan, SETTINGS), plan, SETTINGS).configuration.fleets
    assert sum((fleet.target or 0) - (fleet.spot or 0) for fleet in fleets) == 130


def instances(request: dict[str, Any]) -> dict[tuple[str, str], int]:
    """What `diversified` makes of a request: each pool's share, rounded up to whole instances."""
    overrides = [override for config in request["LaunchTemplateConfigs"] for override in config["Overrides"]]
    share = request["TargetCapacitySpecification"]["SpotTargetCapacity"] / len(overrides)
    return {
        (override["AvailabilityZoneId"], override["InstanceType"]): math.ceil(share / override["WeightedCapacity"])
        for override in overrides
    }


@pytest.mark.parametrize("plan", [*PLANS.values(), performance_plan()], ids=[*PLANS, "performance"])
def test_the_fleets_of_a_plan_have_its_number_of_instances_in_every_pool(plan: Plan) -> None:
    document = json.loads(write("ec2-fleet", plan).text)
    requests = document if isinstance(document, list) else [document]
    counted: dict[tuple[str, str], int] = {}
    for request in requests:
        if request["TargetCapacitySpecification"]["SpotTargetCapacity"]:
            counted |= instances(request)
    assert counted == {(pool.pool.az_id, pool.pool.type.name): pool.count for pool in plan.pools}


def test_an_aligned_plan_is_one_diversified_fleet_with_its_on_demand_capacity() -> None:
    request = json.loads(write("ec2-fleet", PLANS["aligned, on demand"]).text)
    assert request["SpotOptions"]["AllocationStrategy"] == "diversified"
    assert request["TargetCapacitySpecification"] == {
        "TotalTargetCapacity": 21 * 48 + 96,
        "SpotTargetCapacity": 21 * 48,
        "OnDemandTargetCapacity": 96,
        "DefaultTargetCapacityType": "spot",
    }


def test_pools_of_equal_capacity_share_a_fleet() -> None:
    plan = plan_of(
        planned("use1-az1", "c6i.large", 8), planned("use1-az2", "c7i.2xlarge", 2), planned("use1-az4", "c7a.large", 3)
    )
    assert [(len(share.pools), share.spot) for share in shares(plan)] == [(2, 32), (1, 6)]


def test_an_aligned_plan_above_10_000_units_stays_one_fleet_by_smaller_units() -> None:
    plan = plan_of(*(planned(az, f"{family}.16xlarge", 8) for az in AZ_IDS for family in X86_FAMILIES))
    (share,) = shares(plan)
    assert plan.capacity == 12_800
    assert (share.spot, share.scale, share.weight(share.pools[0])) == (6_400, 2, 32)


def test_a_plan_above_100_000_units_is_written_in_smaller_units() -> None:
    plan = plan_of(*(planned(az, f"{family}.16xlarge", 150) for az in AZ_IDS for family in X86_FAMILIES))
    dealt = shares(plan)
    assert plan.capacity == 240_000
    assert sum(share.spot for share in dealt) * dealt[0].scale == 240_000
    assert sum(share.spot for share in dealt) <= 100_000


def test_a_plan_that_no_region_s_fleets_hold_is_refused() -> None:
    plan = plan_of(*(planned(az, f"{family}.large", 5_000) for az in AZ_IDS for family in X86_FAMILIES))
    with pytest.raises(UsageError, match="more than the fleets of a region can hold"):
        shares(plan)


def test_a_fleet_has_at_most_300_pools() -> None:
    pools = [planned(f"use1-az{index}", "c6i.large", 4) for index in range(301)]
    assert [len(share.pools) for share in shares(plan_of(*pools))] == [151, 150]


def test_each_architecture_has_its_launch_template() -> None:
    plan = aligned_plan(48, 21, families=("c6i", *ARM_FAMILIES, "c7a"))
    configs = json.loads(write("ec2-fleet", plan, SETTINGS).text)["LaunchTemplateConfigs"]
    templates = {
        override["InstanceType"].split(".")[0]: config["LaunchTemplateSpecification"]
        for config in configs
        for override in config["Overrides"]
    }
    assert templates["c6i"] == {"LaunchTemplateId": "lt-0123456789abcdef0", "Version": "$Default"}
    assert templates["c8g"] == {"LaunchTemplateName": "web-arm", "Version": "3"}
    groups = json.loads(write("auto-scaling", plan, SETTINGS).text)
    assert {
        json.dumps(group["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]) for group in groups
    } == {json.dumps(template.specification) for template in TEMPLATES.values()}


def test_a_group_has_one_type_and_its_size_is_its_cap() -> None:
    for group in json.loads(write("auto-scaling", PLANS["1000"]).text):
        assert group["MinSize"] == group["DesiredCapacity"] == group["MaxSize"]
        assert len(group["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]) == 1


def test_a_node_pool_s_limit_is_its_pool_s_vcpus() -> None:
    plan = PLANS["both architectures"]
    documents = list(yaml.safe_load_all(write("karpenter", plan).text))
    assert sorted(document["spec"]["limits"]["cpu"] for document in documents) == sorted(
        pool.vcpus for pool in plan.pools
    )
    assert len({document["metadata"]["name"] for document in documents}) == len(plan.pools)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_missing_is_said_in_a_note(name: str) -> None:
    notes = " ".join(write(name, PLANS["aligned"]).notes)
    assert "subnet" in notes
    assert name == "karpenter" or "launch template" in notes


def test_terraform_asks_for_az_names_by_id_and_escapes_templates() -> None:
    document = json.loads(write("terraform", PLANS["aligned"], Settings(tags={"a": "${b}"})).text)
    assert document["data"]["aws_availability_zone"]["use1_az1"] == {"zone_id": "use1-az1"}
    fleet = document["resource"]["aws_ec2_fleet"]["spotwatch"]
    assert fleet["launch_template_config"][0]["override"][0]["availability_zone"] == (
        "${data.aws_availability_zone.use1_az1.name}"
    )
    assert fleet["tags"]["a"] == "$${b}"


@pytest.mark.parametrize(
    ("region", "partition"), [("us-east-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_the_spot_fleet_s_placeholder_role_is_in_the_region_s_partition(region: str, partition: str) -> None:
    plan = replace(PLANS["aligned"], demand=replace(PLANS["aligned"].demand, region=region))
    role = json.loads(write("spot-fleet", plan).text)["SpotFleetRequestConfig"]["IamFleetRole"]
    assert role == f"arn:{partition}:iam::000000000000:role/aws-ec2-spot-fleet-tagging-role"


def test_an_instance_type_that_cfn_lint_does_not_know_is_a_note() -> None:
    plan = plan_of(planned("use1-az1", "c99x.large", 3))
    assert "cfn-lint does not know c99x.large in us-east-1" in write("cloudformation", plan).notes


@pytest.mark.parametrize("name", FORMATS)
def test_a_plan_without_pools_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no pools"):
        write(name, plan_of())


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "karpenter"])
def test_subnets_for_some_azs_only_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no subnet is given for use1-az"):
        write(name, PLANS["200"], Settings(subnets={"use1-az1": "subnet-0123456789abcdef0"}))


def test_a_plan_that_breaks_a_limit_is_not_written() -> None:
    plan = plan_of(planned("use1-az3", "c6i.large", 3))
    for name in FORMATS:
        with pytest.raises(UsageError, match=r"use1-az3 has no c6i\.large"):
            write(name, plan)


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as refused:
        write("pulumi", PLANS["200"])
    assert "karpenter" in refused.value.hint


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Web"},
        {"name": "w" * 25},
        {"subnets": {"use1-az1": "vpc-1"}},
        {"tags": {"": "x"}},
        {"tags": {"aws:x": "y"}},
        {"tags": {"x": "y" * 257}},
        {"fleet_role": "fleet"},
        {"node_class": "No Class"},
    ],
)
def test_settings_that_aws_would_refuse_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Settings(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"id": "lt-0123456789abcdef0", "name": "web"},
        {"id": "web"},
        {"name": "a b"},
        {"name": "web", "version": "v1"},
    ],
)
def test_a_launch_template_that_cannot_be_one_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        LaunchTemplate(**wrong)
