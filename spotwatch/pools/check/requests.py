"""EC2 Fleets, Spot Fleets and Auto Scaling groups as the AWS API writes them, in requests and in answers."""

import re
from collections.abc import Iterator

from spotwatch.pools.check.document import Node
from spotwatch.pools.limits.configuration import LAUNCH_TEMPLATE_OF_FLEET, Fleet, Kind, Override, Requirements

_INSTANT_ONLY = ("MinTargetCapacity", "SingleInstanceType", "SingleAvailabilityZone")


def fleets_of_api(node: Node) -> Iterator[Fleet]:
    """What one JSON object of the AWS CLI holds: a request, or the answer of a `describe` command.

    Nothing comes for an object that is neither.
    """
    for key, read in (
        ("Fleets", ec2_fleet),
        ("AutoScalingGroups", auto_scaling_group),
        ("SpotFleetRequestConfigs", spot_fleet),
    ):
        for item in node.get(key).items():
            yield read(item)
    if node.get("TargetCapacitySpecification").present:
        yield ec2_fleet(node)
    elif node.get("AutoScalingGroupName").present:
        yield auto_scaling_group(node)
    elif node.get("SpotFleetRequestConfig").present or node.get("IamFleetRole").present:
        yield spot_fleet(node)


def ec2_fleet(node: Node, name: str = "") -> Fleet:
    """Of a CreateFleet request, a fleet of DescribeFleets, or an `AWS::EC2::EC2Fleet`'s properties."""
    target = node.get("TargetCapacitySpecification")
    configs = node.get("LaunchTemplateConfigs").items()
    total = target.get("TotalTargetCapacity").number()
    options = [node.get("SpotOptions", key) for key in _INSTANT_ONLY]
    options += [node.get("OnDemandOptions", key) for key in _INSTANT_ONLY]
    return Fleet(
        Kind.EC2_FLEET,
        name or node.get("FleetId").text() or _name_tag(node) or node.path or "fleet",
        node.path,
        overrides=tuple(_configured(configs)),
        strategy=_dashed(node.get("SpotOptions", "AllocationStrategy").text()),
        pools_to_use=node.get("SpotOptions", "InstancePoolsToUseCount").whole(),
        fleet_type=node.get("Type").text(),
        target=total,
        spot=_spot(total, target),
        template_configs=len(configs),
        launch_templates=tuple(_template(config.get("LaunchTemplateSpecification")) for config in configs),
        instant_only=tuple(option.path for option in options if option.present),
    )


def _spot(total: float | None, target: Node) -> float | None:
    on_demand = target.get("OnDemandTargetCapacity").number()
    spot = target.get("SpotTargetCapacity").number()
    if total is None:
        return spot
    if target.get("DefaultTargetCapacityType").text() == "spot":
        return total - (on_demand or 0.0)
    return spot or 0.0  # AWS buys on demand what nothing else is said of


def spot_fleet(node: Node, name: str = "") -> Fleet:
    """Of a RequestSpotFleet request, a request of DescribeSpotFleetRequests, or its configuration alone."""
    nested = node.get("SpotFleetRequestConfig")
    config = nested if nested.present else node
    templates = config.get("LaunchTemplateConfigs").items()
    total = config.get("TargetCapacity").number()
    on_demand = config.get("OnDemandTargetCapacity").number() or 0.0
    specifications = [_specification(item) for item in config.get("LaunchSpecifications").items()]
    return Fleet(
        Kind.SPOT_FLEET,
        name or node.get("SpotFleetRequestId").text() or _name_tag(config) or node.path or "Spot Fleet",
        config.path,
        overrides=(*specifications, *_configured(templates)),
        strategy=_dashed(config.get("AllocationStrategy").text()),
        pools_to_use=config.get("InstancePoolsToUseCount").whole(),
        fleet_type=config.get("Type").text(),
        target=total,
        spot=None if total is None else total - on_demand,
        template_configs=len(templates),
        launch_templates=tuple(_template(item.get("LaunchTemplateSpecification")) for item in templates),
    )


def _specification(node: Node) -> Override:
    """A launch specification of a Spot Fleet: subnets in one string, the AZ below `Placement`, an AMI of its own."""
    subnets = node.get("SubnetId").text()
    return Override(
        node.path,
        instance_type=node.get("InstanceType").text(),
        az_id=node.get("Placement", "AvailabilityZoneId").text(),
        az_name=node.get("Placement", "AvailabilityZone").text(),
        subnets=_split(subnets),
        weight=node.get("WeightedCapacity").number(),
        launch_template=node.get("ImageId").text() or node.path,
        requirements=_requirements(node.get("InstanceRequirements")),
    )


def _configured(configs: list[Node]) -> Iterator[Override]:
    """One override for each pool; a configuration without overrides is one pool of its template's own type."""
    for config in configs:
        template = _template(config.get("LaunchTemplateSpecification"))
        overrides = config.get("Overrides").items()
        for node in overrides:
            yield _override(node, template)
        if not overrides:
            yield Override(config.path, launch_template=template)


def _override(node: Node, template: str) -> Override:
    return Override(
        node.path,
        instance_type=node.get("InstanceType").text(),
        az_id=node.get("AvailabilityZoneId").text() or node.get("Placement", "AvailabilityZoneId").text(),
        az_name=node.get("AvailabilityZone").text() or node.get("Placement", "AvailabilityZone").text(),
        subnets=_split(node.get("SubnetId").text()),
        weight=node.get("WeightedCapacity").number(),
        priority=node.get("Priority").number(),
        launch_template=template,
        requirements=_requirements(node.get("InstanceRequirements")),
    )


def auto_scaling_group(node: Node, name: str = "") -> Fleet:
    """Of a CreateAutoScalingGroup request, a group of DescribeAutoScalingGroups, or the resource's properties.

    A group without a MixedInstancesPolicy has one type, that of its launch template, bought as the template says.
    """
    policy = node.get("MixedInstancesPolicy")
    distribution = policy.get("InstancesDistribution")
    default = _template(policy.get("LaunchTemplate", "LaunchTemplateSpecification"))
    overrides = tuple(_group_overrides(policy, default))
    desired = node.get("DesiredCapacity").number()
    target = node.get("MinSize").number() if desired is None else desired
    own = {override.launch_template for override in overrides}
    return Fleet(
        Kind.AUTO_SCALING_GROUP,
        name or node.get("AutoScalingGroupName").text() or node.path or "group",
        node.path,
        overrides=overrides or (Override(node.path),),
        strategy=_dashed(distribution.get("SpotAllocationStrategy").text()),
        pools_to_use=distribution.get("SpotInstancePools").whole(),
        target=target,
        spot=_spot_of_group(target, distribution) if policy.present else 0.0,
        launch_templates=tuple(sorted(own | {default})),
        azs=_azs_of_group(node),
    )


def _group_overrides(policy: Node, default: str) -> Iterator[Override]:
    for node in policy.get("LaunchTemplate", "Overrides").items():
        own = node.get("LaunchTemplateSpecification")
        yield _override(node, _template(own) if own.present else default)


def _spot_of_group(target: float | None, distribution: Node) -> float | None:
    """What is above the on-demand base, less the on-demand percentage of it, which is 100 where nothing is said."""
    if target is None:
        return None
    base = distribution.get("OnDemandBaseCapacity").number() or 0.0
    percentage = distribution.get("OnDemandPercentageAboveBaseCapacity").number()
    return max(0.0, target - base) * (1 - (100.0 if percentage is None else percentage) / 100)


def _azs_of_group(node: Node) -> tuple[str, ...]:
    subnets = node.get("VPCZoneIdentifier")
    listed = node.get("AvailabilityZoneIds").texts() or node.get("AvailabilityZones").texts()
    identifiers = _split(subnets.text()) if isinstance(subnets.value, str) else subnets.texts()
    return listed or identifiers


def _requirements(node: Node) -> Requirements | None:
    if not node.present:
        return None
    return Requirements(
        allowed=node.get("AllowedInstanceTypes").texts(),
        excluded=node.get("ExcludedInstanceTypes").texts(),
        generations=node.get("InstanceGenerations").texts(),
    )


def _template(node: Node) -> str:
    identities = (node.get(key).identity() for key in ("LaunchTemplateId", "LaunchTemplateName"))
    return next(filter(None, identities), LAUNCH_TEMPLATE_OF_FLEET)


def _name_tag(node: Node) -> str:
    tags = node.get("Tags").items()
    for specification in node.get("TagSpecifications").items():
        tags += specification.get("Tags").items()
    return next((tag.get("Value").text() for tag in tags if tag.get("Key").text() == "Name"), "")


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _dashed(strategy: str) -> str:
    """`lowestPrice` of Spot Fleet is `lowest-price` of EC2 Fleet."""
    return re.sub(r"(?<=[a-z])([A-Z])", r"-\1", strategy).lower()
