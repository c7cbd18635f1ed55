"""What AWS's commands print, in small, as tests write it to files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def described_type(name: str, *, vcpus: int = 8, **more: Any) -> dict[str, Any]:
    """An element of `aws ec2 describe-instance-types`, with the keys that are read and a few that are not."""
    return {
        "InstanceType": name,
        "CurrentGeneration": True,
        "SupportedUsageClasses": ["on-demand", "spot"],
        "BareMetal": False,
        "Hypervisor": "nitro",
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"], "SustainedClockSpeedInGhz": 3.5},
        "VCpuInfo": {"DefaultVCpus": vcpus, "DefaultCores": vcpus // 2, "DefaultThreadsPerCore": 2},
        "MemoryInfo": {"SizeInMiB": vcpus * 2048},
        "InstanceStorageSupported": False,
        "NetworkInfo": {"MaximumNetworkInterfaces": 4, "Ipv4AddressesPerInterface": 15},
        "BurstablePerformanceSupported": False,
        **more,
    }


def offering(name: str, az_id: str, kind: str = "availability-zone-id") -> dict[str, str]:
    return {"InstanceType": name, "LocationType": kind, "Location": az_id}


def zone(name: str, az_id: str, region: str = "us-east-1") -> dict[str, Any]:
    return {
        "State": "available",
        "OptInStatus": "opt-in-not-required",
        "Messages": [],
        "RegionName": region,
        "ZoneName": name,
        "ZoneId": az_id,
        "GroupName": region,
        "NetworkBorderGroup": region,
        "ZoneType": "availability-zone",
    }


def change(price: str, time: str, *, zone: str = "us-east-1a", **more: Any) -> dict[str, Any]:
    """An element of `aws ec2 describe-spot-price-history`, as a CLI prints it that knows no AZ ids."""
    return {
        "AvailabilityZone": zone,
        "InstanceType": "c6i.2xlarge",
        "ProductDescription": "Linux/UNIX",
        "SpotPrice": price,
        "Timestamp": time,
        **more,
    }


def instance(
    name: str, zone: str, *, state: str = "running", spot: bool = True, az_id: str | None = None
) -> dict[str, Any]:
    """An instance of `aws ec2 describe-instances`; today's AWS CLI prints the AZ's id too."""
    placement = {"AvailabilityZone": zone, "GroupName": "", "Tenancy": "default"}
    found = {
        "InstanceId": "i-0123456789abcdef0",
        "InstanceType": name,
        "Placement": {**placement, "AvailabilityZoneId": az_id} if az_id else placement,
        "State": {"Code": 16, "Name": state},
    }
    return {**found, "InstanceLifecycle": "spot"} if spot else found


def save(path: Path, content: Mapping[str, Any] | list[Any]) -> Path:
    """As the AWS CLI prints it."""
    path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
    return path
