"""The Spot Instances that run already."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from spotwatch.aws.session import Api

FLEET_TAG: Final = "aws:ec2:fleet-id"
SPOT_FLEET_TAG: Final = "aws:ec2spot:fleet-request-id"
AUTO_SCALING_TAG: Final = "aws:autoscaling:groupName"
"""What AWS itself tags the instances of an EC2 Fleet, a Spot Fleet and an Auto Scaling group with."""

_INSTANCES_A_PAGE: Final = 1000


def running_spot(
    ec2: Api, az_ids: Mapping[str, str], *, tags: Mapping[str, str] | None = None
) -> dict[tuple[str, str], int]:
    """How many Spot Instances run or start in each pool, by AZ id and type name (DescribeInstances).

    Args:
        ec2: the API of the region.
        az_ids: the zones' ids by their names.
        tags: what all of them are tagged with, for one fleet `{FLEET_TAG: "fleet-…"}`; none: all of the region.

    Raises:
        AwsError: as its subclasses say.
    """
    counts: dict[tuple[str, str], int] = {}
    for instance in _instances(ec2, tags or {}):
        placement = instance.get("Placement", {})
        az_id = placement.get("AvailabilityZoneId") or az_ids.get(placement.get("AvailabilityZone", ""))
        if az_id and instance.get("InstanceType"):
            pool = (az_id, instance["InstanceType"])
            counts[pool] = counts.get(pool, 0) + 1
    return counts


def _instances(ec2: Api, tags: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    filters = [
        {"Name": "instance-lifecycle", "Values": ["spot"]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
        *({"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()),
    ]
    for page in ec2.pages("DescribeInstances", Filters=filters, MaxResults=_INSTANCES_A_PAGE):
        for reservation in page.get("Reservations", ()):
            yield from reservation.get("Instances", ())
