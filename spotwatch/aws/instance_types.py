"""EC2's instance types, its Availability Zones, and which zone offers which type."""

from collections.abc import Callable, Collection

from spotwatch.aws.session import Api
from spotwatch.core.capacity import InstanceType

_TYPES_A_PAGE = 100
_OFFERINGS_A_PAGE = 1000
"""The most that the two operations give (Amazon EC2 API Reference)."""


def instance_types(ec2: Api, remark: Callable[[str], None]) -> dict[str, InstanceType]:
    """The types of the region, by name (DescribeInstanceTypes).

    Args:
        ec2: the API of the region.
        remark: is told of each type that AWS describes in a way that is not understood; it is left out.

    Raises:
        AwsError: as its subclasses say.
    """
    types = {}
    for page in ec2.pages("DescribeInstanceTypes", MaxResults=_TYPES_A_PAGE):
        for description in page.get("InstanceTypes", ()):
            try:
                described = InstanceType.described(description)
            except ValueError as error:
                remark(f"the instance type {description.get('InstanceType', 'without a name')} is left out: {error}")
            else:
                types[described.name] = described
    return types


def availability_zones(ec2: Api) -> dict[str, str]:
    """The ids of the Availability Zones that the account can use, by their names in it (DescribeAvailabilityZones).

    Local Zones and Wavelength Zones are none.

    Raises:
        AwsError: as its subclasses say.
    """
    answer = ec2.call("DescribeAvailabilityZones")
    return {
        zone["ZoneName"]: zone["ZoneId"]
        for zone in answer.get("AvailabilityZones", ())
        if zone.get("ZoneType", "availability-zone") == "availability-zone"
        and zone.get("OptInStatus", "") != "not-opted-in"
        and zone.get("ZoneName")
        and zone.get("ZoneId")
    }


def offerings(ec2: Api, az_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The ids of the zones that offer a type, sorted, by its name (DescribeInstanceTypeOfferings).

    Args:
        ec2: the API of the region.
        az_ids: the zones that are of interest.

    Raises:
        AwsError: as its subclasses say.
    """
    zones: dict[str, set[str]] = {}
    wanted = frozenset(az_ids)
    pages = ec2.pages(
        "DescribeInstanceTypeOfferings", LocationType="availability-zone-id", MaxResults=_OFFERINGS_A_PAGE
    )
    for page in pages:
        for offering in page.get("InstanceTypeOfferings", ()):
            if offering.get("Location") in wanted and offering.get("InstanceType"):
                zones.setdefault(offering["InstanceType"], set()).add(offering["Location"])
    return {name: tuple(sorted(found)) for name, found in sorted(zones.items())}
