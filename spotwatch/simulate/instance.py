"""The pretended instance: what its metadata says, as a tree of plain-text items.

The names and forms of the items are those of the EC2 user guide, "Instance metadata categories" and "Instance
identity documents".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

# Directories by which the service has been known since its first day; "latest" stands for the newest.
VERSIONS = ("1.0", "2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23", "2022-09-24", "latest")

# strftime's %b speaks the language of the locale, the service always English.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# How long role credentials are valid. Six hours, because clients renew them well before the end.
_CREDENTIALS_LIFETIME = timedelta(hours=6)


@dataclass(frozen=True)
class Instance:
    """A Spot Instance that does not exist.

    What AWS derives from another field, such as host names and ARNs, is derived here too.
    """

    instance_id: str = "i-0123456789abcdef0"
    instance_type: str = "c6i.xlarge"
    instance_life_cycle: str = "spot"
    """``spot``, or ``on-demand`` for an instance that must never see an interruption notice."""
    region: str = "ap-northeast-1"
    availability_zone: str = "ap-northeast-1a"
    availability_zone_id: str = "apne1-az4"
    """The same place in every account, unlike the name of the zone."""
    account_id: str = "123456789012"
    ami_id: str = "ami-0123456789abcdef0"
    architecture: str = "x86_64"
    mac: str = "06:e5:43:29:8f:0a"
    private_ipv4: str = "10.0.18.37"
    subnet_id: str = "subnet-0123456789abcdef0"
    subnet_ipv4_cidr_block: str = "10.0.16.0/20"
    vpc_id: str = "vpc-0123456789abcdef0"
    vpc_ipv4_cidr_block: str = "10.0.0.0/16"
    network_interface_id: str = "eni-0123456789abcdef0"
    security_group: str = "spot-fleet"
    security_group_id: str = "sg-0123456789abcdef0"
    role: str = "spot-fleet-role"
    """Name of the IAM role, and of the instance profile that contains it."""
    public_key: str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeFakeFakeFakeFakeFakeFakeFakeFake mykey"
    tags: Mapping[str, str] = field(default_factory=lambda: {"Name": "spot-fleet-member"}, hash=False)
    """What ``tags/instance/`` lists (InstanceMetadataTags=enabled); empty as if access to tags were off."""
    target_lifecycle_state: str | None = "InService"
    """None for an instance that never was in an Auto Scaling group."""
    user_data: str | None = None
    """None when the instance was launched without any: ``/latest/user-data`` is then 404."""
    launched: datetime = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)

    @property
    def hostname(self) -> str:
        """The IP-based private DNS name, such as ``ip-10-0-18-37.ap-northeast-1.compute.internal``."""
        domain = "ec2.internal" if self.region == "us-east-1" else f"{self.region}.compute.internal"
        return f"ip-{self.private_ipv4.replace('.', '-')}.{domain}"

    def items(self, now: datetime) -> dict[str, str]:
        """Return every item, by its path under a version directory, at this time.

        A path that ends in a slash is a directory whose listing is not simply the names of what it contains.
        """
        items = {
            **_under("meta-data/", self._top()),
            **_under("meta-data/placement/", self._placement()),
            **_under(f"meta-data/network/interfaces/macs/{self.mac}/", self._network_interface()),
            **_under("meta-data/iam/", self._iam(now)),
            **_under("meta-data/tags/instance/", self.tags),
            "dynamic/instance-identity/document": _json(self._identity()),
        }
        if self.target_lifecycle_state is not None:
            items["meta-data/autoscaling/target-lifecycle-state"] = self.target_lifecycle_state
        if self.user_data is not None:
            items["user-data"] = self.user_data
        return items

    def _top(self) -> dict[str, str]:
        return {
            "ami-id": self.ami_id,
            "ami-launch-index": "0",
            "ami-manifest-path": "(unknown)",
            "block-device-mapping/ami": "xvda",
            "block-device-mapping/ebs1": "sdf",
            "block-device-mapping/root": "/dev/xvda",
            "events/maintenance/history": "[]",
            "events/maintenance/scheduled": "[]",
            "hostname": self.hostname,
            "instance-action": "none",
            "instance-id": self.instance_id,
            "instance-life-cycle": self.instance_life_cycle,
            "instance-type": self.instance_type,
            "local-hostname": self.hostname,
            "local-ipv4": self.private_ipv4,
            "mac": self.mac,
            "profile": "default-hvm",
            "public-keys/": "0=mykey",
            "public-keys/0/openssh-key": self.public_key,
            "reservation-id": "r-0123456789abcdef0",
            "security-groups": self.security_group,
            "services/domain": "amazonaws.com",
            "services/partition": "aws",
            "system": "nitro",
        }

    def _placement(self) -> dict[str, str]:
        return {
            "availability-zone": self.availability_zone,
            "availability-zone-id": self.availability_zone_id,
            "region": self.region,
        }

    def _network_interface(self) -> dict[str, str]:
        return {
            "device-number": "0",
            "interface-id": self.network_interface_id,
            "local-hostname": self.hostname,
            "local-ipv4s": self.private_ipv4,
            "mac": self.mac,
            "owner-id": self.account_id,
            "security-group-ids": self.security_group_id,
            "security-groups": self.security_group,
            "subnet-id": self.subnet_id,
            "subnet-ipv4-cidr-block": self.subnet_ipv4_cidr_block,
            "vpc-id": self.vpc_id,
            "vpc-ipv4-cidr-block": self.vpc_ipv4_cidr_block,
            "vpc-ipv4-cidr-blocks": self.vpc_ipv4_cidr_block,
        }

    def _iam(self, now: datetime) -> dict[str, str]:
        # Renewed on the hour, so that two clients that ask together get the same credentials.
        renewed = now.replace(minute=0, second=0, microsecond=0)
        profile = {
            "Code": "Success",
            "LastUpdated": utc_text(renewed),
            "InstanceProfileArn": f"arn:aws:iam::{self.account_id}:instance-profile/{self.role}",
            "InstanceProfileId": "AIPAFAKEFAKEFAKEFAKE",
        }
        credentials = {
            "Code": "Success",
            "LastUpdated": utc_text(renewed),
            "Type": "AWS-HMAC",
            "AccessKeyId": "ASIAFAKEFAKEFAKEFAKE",
            "SecretAccessKey": "fake/secret/access/key/of/spotwatch/simulate",
            "Token": "fake-session-token-of-spotwatch-simulate",
            "Expiration": utc_text(renewed + _CREDENTIALS_LIFETIME),
        }
        return {"info": _json(profile), f"security-credentials/{self.role}": _json(credentials)}

    def _identity(self) -> dict[str, str | None]:
        return {
            "accountId": self.account_id,
            "architecture": self.architecture,
            "availabilityZone": self.availability_zone,
            "billingProducts": None,
            "devpayProductCodes": None,
            "marketplaceProductCodes": None,
            "imageId": self.ami_id,
            "instanceId": self.instance_id,
            "instanceType": self.instance_type,
            "kernelId": None,
            "pendingTime": utc_text(self.launched),
            "privateIp": self.private_ipv4,
            "ramdiskId": None,
            "region": self.region,
            "version": "2017-09-30",
        }


@dataclass(frozen=True)
class MaintenanceEvent:
    """A scheduled event of the instance (EC2 user guide, "Scheduled events for your instances").

    The times are aware; which of ``not_after`` and ``not_before_deadline`` an event has depends on its code.
    """

    code: str
    """instance-reboot, system-reboot, system-maintenance, instance-retirement or instance-stop."""
    not_before: datetime
    not_after: datetime | None = None
    not_before_deadline: datetime | None = None
    event_id: str = "instance-event-0123456789abcdef0"
    description: str = "scheduled maintenance"
    state: str = "active"
    """``active``; in the history ``completed`` or ``canceled``."""

    def fields(self) -> dict[str, str]:
        """Return the event with AWS's names and times; a time that it does not have is left out."""
        times = {
            "NotBefore": self.not_before,
            "NotAfter": self.not_after,
            "NotBeforeDeadline": self.not_before_deadline,
        }
        return {
            "Code": self.code,
            "Description": self.description,
            "EventId": self.event_id,
            "State": self.state,
            **{name: _maintenance_time(time) for name, time in times.items() if time is not None},
        }


def utc_text(time: datetime) -> str:
    """Write an aware time as most items do: ``2026-11-22T08:22:00Z``."""
    return f"{_in_utc(time):%Y-%m-%dT%H:%M:%SZ}"


def maintenance_text(events: Sequence[MaintenanceEvent]) -> str:
    """Write scheduled events as ``events/maintenance/scheduled`` does; ``[]`` when there is none."""
    return _json([event.fields() for event in events])


def look_up(items: Mapping[str, str], path: str) -> str | None:
    """Return the text at a path without outer slashes: an item, a directory's listing, or None.

    Whether the client ended its path with a slash makes no difference: botocore asks for the item
    ``placement/availability-zone/``, others for the directory ``block-device-mapping``.
    """
    if path in items:
        return items[path]
    return items.get(f"{path}/") or _listing(items, path)


def _listing(items: Mapping[str, str], path: str) -> str | None:
    prefix = f"{path}/" if path else ""
    inside = {item.removeprefix(prefix).partition("/") for item in items if item.startswith(prefix)}
    # The directories right under a version are the only ones that AWS lists without a slash.
    names = {name + slash if path else name for name, slash, _ in inside}
    return "\n".join(sorted(names)) or None


def _under(directory: str, items: Mapping[str, str]) -> dict[str, str]:
    return {directory + name: text for name, text in items.items()}


def _maintenance_time(time: datetime) -> str:
    utc = _in_utc(time)
    return f"{utc.day} {_MONTHS[utc.month - 1]} {utc:%Y %H:%M:%S} GMT"


def _in_utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError(f"{time} has no time zone")
    return time.astimezone(UTC)


def _json(value: Any) -> str:
    # AWS writes its documents indented, with a blank on both sides of the colon.
    return json.dumps(value, indent=2, separators=(",", " : "))
