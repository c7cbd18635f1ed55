"""Elastic Load Balancing's target groups, for an instance that leaves them.

What this survives: a group or a target that somebody else has removed meanwhile, and a call that was done although its
answer got lost: DeregisterTargets may be repeated.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from spotwatch.aws.session import Api
from spotwatch.core.errors import AwsError, AwsNotFound
from spotwatch.core.target_group import InstanceAddresses, Target, TargetGroup

PAGE: Final = 400
"""Target groups in one answer; AWS allows no more."""

DELAY: Final = "deregistration_delay.timeout_seconds"

_NO_GROUP: Final = "TargetGroupNotFound"


class TargetGroups:
    """ELBv2 (ALB, NLB, GWLB) and what EC2 knows of addresses; implements `spotwatch.hooks.services.TargetGroups`."""

    def __init__(self, elbv2: Api, ec2: Api) -> None:
        self._elbv2 = elbv2
        self._ec2 = ec2

    def addresses_of(self, instance_id: str) -> InstanceAddresses:
        """What targets of an instance can be registered as.

        Raises:
            AwsNotFound: there is no such instance.
        """
        for reservation in self._ec2.call("DescribeInstances", InstanceIds=[instance_id])["Reservations"]:
            for instance in reservation["Instances"]:
                return _addresses(instance_id, instance.get("NetworkInterfaces", ()))
        raise AwsNotFound(f"{instance_id} is not there", hint="see the region")

    def groups(self) -> tuple[TargetGroup, ...]:
        """All target groups of the region."""
        pages = self._elbv2.pages("DescribeTargetGroups", asked="Marker", told="NextMarker", PageSize=PAGE)
        return tuple(
            TargetGroup(told["TargetGroupArn"], told.get("TargetType", "instance"), told.get("VpcId", ""))
            for page in pages
            for told in page["TargetGroups"]
        )

    def targets(self, arn: str) -> tuple[Target, ...]:
        """The targets of a group, also those that drain.

        Raises:
            AwsNotFound: there is no such group (any more).
        """
        try:
            answer = self._elbv2.call("DescribeTargetHealth", TargetGroupArn=arn)
        except AwsError as error:
            raise _gone(error, arn) from None
        return tuple(map(_target, answer["TargetHealthDescriptions"]))

    def deregister(self, arn: str, targets: Iterable[Target]) -> None:
        """Begin to deregister them; no error if they are not registered (any more).

        Raises:
            AwsNotFound: there is no such group (any more).
        """
        try:
            self._elbv2.call("DeregisterTargets", TargetGroupArn=arn, Targets=[_told(target) for target in targets])
        except AwsError as error:
            raise _gone(error, arn) from None

    def deregistration_delay(self, arn: str) -> float | None:
        """Seconds that a target drains for; None if the group does not say."""
        attributes = self._elbv2.call("DescribeTargetGroupAttributes", TargetGroupArn=arn)["Attributes"]
        return next((float(each["Value"]) for each in attributes if each["Key"] == DELAY), None)


def _gone(error: AwsError, arn: str) -> AwsError:
    """Elastic Load Balancing answers 400 for what is not there, and its word for it."""
    if error.code != _NO_GROUP:
        return error
    return AwsNotFound(f"there is no target group {arn}", code=error.code)


def _addresses(instance_id: str, interfaces: Iterable[Mapping[str, Any]]) -> InstanceAddresses:
    vpcs: set[str] = set()
    addresses: set[str] = set()
    prefixes: list[str] = []
    for interface in interfaces:
        vpcs.add(interface["VpcId"])
        addresses.update(each["PrivateIpAddress"] for each in interface.get("PrivateIpAddresses", ()))
        addresses.update(each["Ipv6Address"] for each in interface.get("Ipv6Addresses", ()))
        prefixes += [each["Ipv4Prefix"] for each in interface.get("Ipv4Prefixes", ())]
        prefixes += [each["Ipv6Prefix"] for each in interface.get("Ipv6Prefixes", ())]
    return InstanceAddresses(instance_id, frozenset(vpcs), frozenset(addresses), tuple(prefixes))


def _target(told: Mapping[str, Any]) -> Target:
    target = told["Target"]
    return Target(
        id=target["Id"],
        port=target.get("Port"),
        availability_zone=target.get("AvailabilityZone", ""),
        state=told["TargetHealth"]["State"],
    )


def _told(target: Target) -> dict[str, Any]:
    """As DeregisterTargets wants it: a port where there is one, an AZ for addresses only."""
    port = {} if target.port is None else {"Port": target.port}
    is_instance = target.id.startswith("i-")
    zone = {"AvailabilityZone": target.availability_zone} if target.availability_zone and not is_instance else {}
    return {"Id": target.id, **port, **zone}
