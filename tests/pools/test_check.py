"""Configurations that people have: what is read, what is found, what can be lost, and what bad files get."""

import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from spotwatch.core.capacity import Group
from spotwatch.core.errors import InputError
from spotwatch.pools.check import Checked, check, configuration_of, read_configuration
from spotwatch.pools.check.losses import losses_of
from spotwatch.pools.limits import Facts, Kind, examine
from tests.pools.plans import instance_type


def checked(tmp_path: Path, content: Any, name: str = "file.json", **known: Any) -> Checked:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return check(path, **known)


def worst(result: Checked) -> dict[str, float]:
    return {loss.group.value: round(loss.worst, 4) for loss in result.losses.losses}


def even(result: Checked) -> dict[str, float]:
    return {loss.group.value: round(loss.even, 4) for loss in result.losses.losses if loss.even is not None}


def ec2_fleet(strategy: str | None, *, pools_to_use: int | None = None, target: int = 96) -> dict[str, Any]:
    """Four pools: two types of two families in two AZs, 16 vCPU each."""
    options: dict[str, Any] = {} if strategy is None else {"AllocationStrategy": strategy}
    if pools_to_use is not None:
        options["InstancePoolsToUseCount"] = pools_to_use
    return {
        "Type": "maintain",
        "SpotOptions": options,
        "TargetCapacitySpecification": {"TotalTargetCapacity": target, "DefaultTargetCapacityType": "spot"},
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {"LaunchTemplateName": "web", "Version": "1"},
                "Overrides": [
                    {"InstanceType": name, "AvailabilityZone": az, "WeightedCapacity": 16}
                    for name in ("c6i.4xlarge", "c7i.4xlarge")
                    for az in ("us-east-1a", "us-east-1b")
                ],
            }
        ],
    }


def group(strategy: str, azs: tuple[str, ...], types: tuple[str, ...], **distribution: Any) -> dict[str, Any]:
    return {
        "AutoScalingGroupName": "web",
        "MinSize": 0,
        "MaxSize": 48,
        "DesiredCapacity": 24,
        "AvailabilityZones": list(azs),
        "MixedInstancesPolicy": {
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-0123456789abcdef0", "Version": "1"},
                "Overrides": [{"InstanceType": name} for name in types],
            },
            "InstancesDistribution": {
                "OnDemandPercentageAboveBaseCapacity": 0,
                "SpotAllocationStrategy": strategy,
                **distribution,
            },
        },
    }


# what each strategy can lose at once


def test_diversified_loses_one_share_with_a_pool(tmp_path: Path) -> None:
    result = checked(tmp_path, ec2_fleet("diversified", target=64))
    assert worst(result) == {"pool": 0.25, "type": 0.5, "family": 0.5, "generation": 0.5, "az": 0.5}
    assert result.losses.unit == "units"


@pytest.mark.parametrize(
    ("target", "weights", "vcpus"),
    [
        (40, (2.0, 8.0), (10, 16)),  # 10 units each: 5 x 2 vCPU, and 2 x 8, rounded up; weights are vCPU
        (40, (1.666667, 10.0), (12, 8)),  # 6 instances and 1: the weights of unequal pools of one aligned plan
        (8, (1.0, 1.0), (4, 16)),  # instances count alike, whatever they hold
    ],
    ids=["vCPU", "shares", "instances"],
)
def test_diversified_is_compared_by_the_vcpu_of_the_instances_that_it_starts(
    tmp_path: Path, target: int, weights: tuple[float, float], vcpus: tuple[int, int]
) -> None:
    """In each pool as many instances as its share of the target, over the weight, rounded up."""
    request = ec2_fleet("diversified", target=target)
    names = ("c6i.large", "c7i.2xlarge")
    for override, place in zip(request["LaunchTemplateConfigs"][0]["Overrides"], (0, 0, 1, 1), strict=True):
        override.update(InstanceType=names[place], WeightedCapacity=weights[place])
    result = checked(tmp_path, request, facts=Facts({name: instance_type(name) for name in names}))
    assert result.losses.unit == "vCPU"
    assert worst(result)["pool"] == round(max(vcpus) / sum(vcpus) / 2, 4)
    assert worst(result)["type"] == round(max(vcpus) / sum(vcpus), 4)


def test_capacity_optimized_can_lose_everything_with_one_pool(tmp_path: Path) -> None:
    result = checked(tmp_path, ec2_fleet("price-capacity-optimized"))
    assert set(worst(result).values()) == {1.0}
    assert even(result)["pool"] == 0.25
    assert "everything may be in one pool" in result.losses.assumptions[0]


@pytest.mark.parametrize(("count", "share"), [(1, 1.0), (2, 0.5), (3, 0.3333), (9, 0.25)])
def test_lowest_price_over_n_pools_loses_one_nth_with_a_pool(tmp_path: Path, count: int, share: float) -> None:
    assert worst(checked(tmp_path, ec2_fleet("lowest-price", pools_to_use=count)))["pool"] == share


def test_lowest_price_over_two_of_four_pools_can_put_both_into_one_type(tmp_path: Path) -> None:
    result = checked(tmp_path, ec2_fleet("lowest-price", pools_to_use=2))
    assert worst(result)["type"] == 1.0
    assert even(result)["type"] == 0.5


def test_a_fleet_without_a_strategy_is_lowest_price_over_one_pool(tmp_path: Path) -> None:
    assert worst(checked(tmp_path, ec2_fleet(None)))["pool"] == 1.0


def test_a_group_balances_its_azs_before_its_strategy_acts(tmp_path: Path) -> None:
    azs, types = ("us-east-1a", "us-east-1b", "us-east-1c"), ("c6i.large", "c7i.large", "m6i.large")
    result = checked(tmp_path, group("capacity-optimized", azs, types))
    assert worst(result) == {"pool": 0.3333, "type": 1.0, "family": 1.0, "generation": 1.0, "az": 0.3333}
    assert even(result) == {"pool": 0.1111, "type": 0.3333, "family": 0.3333, "generation": 0.6667, "az": 0.3333}


def test_a_group_with_lowest_price_uses_two_pools_in_each_az(tmp_path: Path) -> None:
    result = checked(tmp_path, group("lowest-price", ("us-east-1a", "us-east-1b"), ("c6i.large", "c7i.large")))
    assert worst(result)["pool"] == 0.25


def test_a_group_without_a_percentage_is_all_on_demand(tmp_path: Path) -> None:
    request = group("lowest-price", ("us-east-1a",), ("c6i.large",))
    del request["MixedInstancesPolicy"]["InstancesDistribution"]["OnDemandPercentageAboveBaseCapacity"]
    assert checked(tmp_path, request).losses.losses == ()


def test_groups_that_count_instances_are_compared_by_vcpu_if_the_types_are_known(tmp_path: Path) -> None:
    requests = [
        {**group("lowest-price", ("us-east-1a",), (name,)), "AutoScalingGroupName": name}
        for name in ("c6i.large", "c7i.4xlarge")
    ]
    types = {name: instance_type(name) for name in ("c6i.large", "c7i.4xlarge")}
    assert worst(checked(tmp_path, requests))["type"] == 0.5
    known = checked(tmp_path, requests, facts=Facts(types))
    assert worst(known)["type"] == round(16 / 18, 4)
    assert known.losses.unit == "vCPU"


def test_two_subnets_of_one_az_are_one_az(tmp_path: Path) -> None:
    request = group("lowest-price", (), ("c6i.large",))
    request["VPCZoneIdentifier"] = "subnet-aaaaaaaa, subnet-bbbbbbbb"
    assert worst(checked(tmp_path, request))["az"] == 0.5
    azs = {"subnet-aaaaaaaa": "use1-az1", "subnet-bbbbbbbb": "use1-az1"}
    assert worst(checked(tmp_path, request, subnet_azs=azs))["az"] == 1.0


def node_pool(name: str, cpu: object, types: str, zones: str) -> str:
    limits = "" if cpu is None else f"\n  limits: {{cpu: {cpu}}}"
    return f"""
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {{name: {name}}}
spec:
  template:
    spec:
      nodeClassRef: {{group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}}
      requirements:
        - {{key: karpenter.sh/capacity-type, operator: In, values: [spot]}}
        - {{key: node.kubernetes.io/instance-type, operator: In, values: [{types}]}}
        - {{key: topology.kubernetes.io/zone, operator: In, values: [{zones}]}}{limits}
---
"""


def test_a_node_pool_can_put_its_whole_limit_into_one_pool(tmp_path: Path) -> None:
    text = node_pool("a", 64, "c6i.large, c7i.large", "a, b") + node_pool("b", '"32"', "m6i.large", "a")
    result = checked(tmp_path, text, "pools.yaml")
    assert worst(result)["pool"] == round(64 / 96, 4)
    assert worst(result)["az"] == 1.0


def test_a_node_pool_without_a_limit_is_taken_for_the_whole(tmp_path: Path) -> None:
    text = node_pool("a", None, "c6i.large", "a") + node_pool("b", 32, "m6i.large", "a")
    result = checked(tmp_path, text, "pools.yaml")
    assert worst(result)["pool"] == 1.0
    assert even(result) == {}
    assert any("without a target or a limit" in assumption for assumption in result.losses.assumptions)


# what is read


def test_what_describe_fleets_prints_is_read(tmp_path: Path) -> None:
    fleet = {**ec2_fleet("lowestPrice"), "FleetId": "fleet-1", "FleetState": "active"}
    configuration = checked(tmp_path, {"Fleets": [fleet, fleet]}).configuration
    assert [fleet.name for fleet in configuration.fleets] == ["fleet-1", "fleet-1"]
    assert configuration.fleets[0].strategy == "lowest-price"


def test_what_describe_auto_scaling_groups_prints_is_read(tmp_path: Path) -> None:
    answer = {"AutoScalingGroups": [group("lowest-price", ("us-east-1a",), ("c6i.large",))]}
    assert checked(tmp_path, answer).configuration.fleets[0].kind is Kind.AUTO_SCALING_GROUP


def test_what_describe_spot_fleet_requests_prints_is_read(tmp_path: Path) -> None:
    config = {
        "IamFleetRole": "arn:aws:iam::123456789012:role/fleet",
        "TargetCapacity": 8,
        "AllocationStrategy": "capacityOptimized",
        "LaunchSpecifications": [
            {"InstanceType": "c6i.large", "ImageId": "ami-1", "SubnetId": "subnet-a, subnet-b", "WeightedCapacity": 2}
        ],
    }
    answer = {"SpotFleetRequestConfigs": [{"SpotFleetRequestId": "sfr-1", "SpotFleetRequestConfig": config}]}
    result = checked(tmp_path, answer)
    assert result.configuration.fleets[0].strategy == "capacity-optimized"
    assert even(result)["az"] == 0.5


TEMPLATE = """
AWSTemplateFormatVersion: 2010-09-09
Parameters:
  Size: {Type: Number, Default: 12}
  Types: {Type: CommaDelimitedList, Default: "c6i.large, c7i.large"}
  Given: {Type: String}
Conditions:
  Always: !Equals [a, a]
Resources:
  First: {Type: AWS::EC2::Subnet, Properties: {AvailabilityZone: us-east-1a}}
  Second: {Type: AWS::EC2::Subnet, Properties: {AvailabilityZone: us-east-1b}}
  Group:
    Type: AWS::AutoScaling::AutoScalingGroup
    Properties:
      MinSize: "0"
      MaxSize: !Ref Size
      DesiredCapacity: !Ref Size
      VPCZoneIdentifier: [!Ref First, !Ref Second]
      HealthCheckType: !If [Always, EC2, !Ref AWS::NoValue]
      MixedInstancesPolicy:
        InstancesDistribution:
          OnDemandPercentageAboveBaseCapacity: 0
          SpotAllocationStrategy: diversified
        LaunchTemplate:
          LaunchTemplateSpecification: {LaunchTemplateId: !Ref Given, Version: !GetAtt Given.LatestVersionNumber}
          Overrides:
            - InstanceType: !Select [0, !Ref Types]
            - InstanceType: !Sub "c7i.${Given}"
            - InstanceType: !ImportValue elsewhere
"""


def test_a_template_s_intrinsic_functions_are_resolved(tmp_path: Path) -> None:
    result = checked(tmp_path, TEMPLATE, "template.yaml")
    (group,) = result.configuration.fleets
    assert group.target == 12
    assert [override.instance_type for override in group.overrides] == ["c6i.large", "", ""]
    assert worst(result)["az"] == 0.5
    assert [finding.rule for finding in result.findings] == ["group-strategy"]
    assert result.findings[0].where == "Resources.Group.Properties"


def test_what_a_template_leaves_open_is_said(tmp_path: Path) -> None:
    unresolved = checked(tmp_path, TEMPLATE, "template.yaml").configuration.unresolved
    path = "Resources.Group.Properties.MixedInstancesPolicy.LaunchTemplate.Overrides"
    assert unresolved == (
        f"{path}[1].InstanceType: Fn::Sub c7i.${{Given}}",
        f"{path}[2].InstanceType: Fn::ImportValue elsewhere",
    )


TERRAFORM = {
    "variable": {"size": {"default": 4}},
    "locals": {"type": "c6i.large"},
    "data": {"aws_availability_zone": {"one": {"zone_id": "use1-az1"}}},
    "resource": {
        "aws_ec2_fleet": {
            "web": [
                {
                    "spot_options": [{"allocation_strategy": "diversified"}],
                    "target_capacity_specification": {
                        "default_target_capacity_type": "spot",
                        "total_target_capacity": "${var.size}",
                    },
                    "launch_template_config": {
                        "launch_template_specification": {"launch_template_id": "${aws_launch_template.a.id}"},
                        "override": [
                            {
                                "instance_type": "${local.type}",
                                "availability_zone": "${data.aws_availability_zone.one.name}",
                                "weighted_capacity": 2,
                            },
                            {"instance_type": "${var.missing}", "weighted_capacity": 2},
                        ],
                    },
                }
            ]
        }
    },
}


def test_terraform_json_is_read_with_what_its_references_say(tmp_path: Path) -> None:
    configuration = checked(tmp_path, TERRAFORM, "main.tf.json").configuration
    (fleet,) = configuration.fleets
    assert fleet.target == 4
    assert fleet.launch_templates == ("aws_launch_template.a.id",)
    assert (fleet.overrides[0].instance_type, fleet.overrides[0].az_id) == ("c6i.large", "use1-az1")
    assert [text.rpartition(": ")[2] for text in configuration.unresolved] == ["${var.missing}"]


def test_a_terraform_plan_is_read_with_its_modules(tmp_path: Path) -> None:
    values = {
        "desired_capacity": 9,
        "vpc_zone_identifier": ["subnet-a", "subnet-b", "subnet-c"],
        "mixed_instances_policy": [
            {
                "instances_distribution": [
                    {
                        "on_demand_percentage_above_base_capacity": 0,
                        "spot_allocation_strategy": "capacity-optimized",
                        "spot_instance_pools": 2,
                    }
                ],
                "launch_template": [
                    {
                        "launch_template_specification": [{"launch_template_id": "lt-1"}],
                        "override": [{"instance_type": "c6i.large", "weighted_capacity": "2"}],
                    }
                ],
            }
        ],
    }
    resource = {"address": "module.web.aws_autoscaling_group.a", "type": "aws_autoscaling_group", "values": values}
    root = {"child_modules": [{"resources": [resource]}]}
    result = checked(tmp_path, {"format_version": "1.2", "planned_values": {"root_module": root}})
    assert [finding.rule for finding in result.findings] == ["group-spot-pools-strategy"]
    assert worst(result)["az"] == 0.3333


# a fleet that names nothing to launch


@pytest.mark.parametrize("configs", [None, []])
def test_a_fleet_without_launch_templates_is_refused(tmp_path: Path, configs: list[Any] | None) -> None:
    fleet = {**ec2_fleet("diversified"), "LaunchTemplateConfigs": configs}
    spot_fleet = {"IamFleetRole": "arn:aws:iam::123456789012:role/r", "TargetCapacity": 1}
    template = {"Resources": {"A": {"Type": "AWS::EC2::EC2Fleet", "Properties": fleet}}}
    for content in (fleet, spot_fleet, template):
        result = checked(tmp_path, content)
        assert ("fleet-pools", True) in [(finding.rule, result.refused) for finding in result.findings]


@pytest.mark.parametrize("key", ["LaunchTemplateConfigs", "Properties"])
def test_a_fleet_whose_launch_templates_a_template_leaves_open_is_not_refused(tmp_path: Path, key: str) -> None:
    properties = {**ec2_fleet("diversified"), "LaunchTemplateConfigs": {"Ref": "Given"}}
    resource = {"Type": "AWS::EC2::EC2Fleet", "Properties": properties if key != "Properties" else {"Ref": "Given"}}
    template = {"Parameters": {"Given": {"Type": "String"}}, "Resources": {"A": resource}}
    assert not checked(tmp_path, template).refused


# bad files


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"

BAD = {
    "missing": None,
    "empty": "",
    "no_utf8": b"\xff\xfe\x00",
    "cut_off": '{"Fleets": [',
    "nan": '{"TargetCapacitySpecification": {"TotalTargetCapacity": NaN}}',
    "infinite": '{"TargetCapacitySpecification": {"TotalTargetCapacity": 1e999}}',
    "digits": '{"TargetCapacitySpecification": {"TotalTargetCapacity": ' + "9" * 5000 + "}}",
    "deep_json": "[" * 100_000,
    "deep_but_closed": "[" * 500 + "]" * 500,
    "deep_yaml": "a: " + "[" * 3000 + "]" * 3000,
    "bomb": BOMB,
    "python_tag": "a: !!python/object/apply:os.system [date]",
    "no_date": "a: 2010-99-99",
    "bad_yaml": "a: [1, 2\nb: }",
    "list_key": "? [a, b]\n: c",
    "large_yaml": "a: b\n" * 500_000,
    "a_number": "[1, 2, 3]",
    "a_text": "just a text",
    "unknown": '{"Instances": []}',
    "no_fleet": '{"Resources": {"A": {"Type": "AWS::S3::Bucket"}}}',
    "string_for_list": '{"TargetCapacitySpecification": {"TotalTargetCapacity": 1}, "LaunchTemplateConfigs": "x"}',
    "list_for_mapping": '{"TargetCapacitySpecification": [1], "LaunchTemplateConfigs": []}',
    "text_for_number": '{"TargetCapacitySpecification": {"TotalTargetCapacity": "many"}}',
    "number_for_text": '{"TargetCapacitySpecification": {"TotalTargetCapacity": 1}, "Type": 7}',
    "bool_for_number": '{"TargetCapacitySpecification": {"TotalTargetCapacity": true}}',
    "half": '{"TargetCapacitySpecification": {"TotalTargetCapacity": 1}, "SpotOptions": '
    '{"InstancePoolsToUseCount": 1.5}}',
    "quantity": node_pool("a", "lots", "c6i.large", "a"),
    "too_many_pools": node_pool("a", 1, ",".join(f"c{i}.x" for i in range(200)), ",".join(f"z{i}" for i in range(60))),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_its_name_and_a_hint(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    content = BAD[name]
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as refused:
        read_configuration(path)
    assert str(path) in refused.value.message
    assert refused.value.hint


def test_a_wrong_value_is_named_by_its_key_path(tmp_path: Path) -> None:
    request = ec2_fleet("diversified")
    request["LaunchTemplateConfigs"][0]["Overrides"][2]["WeightedCapacity"] = "heavy"
    with pytest.raises(InputError, match=r"LaunchTemplateConfigs\[0\]\.Overrides\[2\]\.WeightedCapacity: a number"):
        checked(tmp_path, request)


def test_native_terraform_is_refused_with_the_way_to_have_it_read(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text('resource "aws_ec2_fleet" "a" {}')
    with pytest.raises(InputError) as refused:
        read_configuration(tmp_path / "main.tf")
    assert "terraform show -json" in refused.value.hint


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_configuration(tmp_path)


JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, "", "x", 0, -1, 1e300, 5e-324, True, [], {}, [[]], {"Ref": "x"}, {"Fn::Join": 3}, "${", []]
)


def nodes(value: Any) -> list[tuple[Any, Any]]:
    """Each place in a document that can hold something else: its container and its key."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            found += [(value, key), *nodes(value[key])]
    return found


DOCUMENTS = [
    ec2_fleet("diversified"),
    ec2_fleet("lowest-price", pools_to_use=2),
    group("capacity-optimized", ("us-east-1a",), ("c6i.large",)),
    {"Fleets": [ec2_fleet("diversified")]},
    {"Resources": {"A": {"Type": "AWS::EC2::EC2Fleet", "Properties": ec2_fleet("diversified")}}},
    TERRAFORM,
    *yaml.safe_load_all(node_pool("a", 64, "c6i.large, c7i.large", "a, b")),
]


@given(data=st.data())
def test_a_value_of_any_other_kind_is_read_or_refused(data: st.DataObject) -> None:
    document = copy.deepcopy(data.draw(st.sampled_from([one for one in DOCUMENTS if one])))
    container, key = data.draw(st.sampled_from([(c, k) for c, k in nodes(document)]))
    container[key] = data.draw(JUNK)
    with contextlib.suppress(InputError):
        configuration = configuration_of([document], "file")
        examine(configuration)
        assert all(0 <= loss.worst <= 1 for loss in losses_of(configuration, {}).losses)


def test_every_kind_of_group_has_a_loss(tmp_path: Path) -> None:
    result = checked(tmp_path, ec2_fleet("diversified"))
    assert {loss.group for loss in result.losses.losses} == set(Group)
