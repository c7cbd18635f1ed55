"""EC2's volumes and attachments, for whoever marks log volumes and whoever ships them.

What this survives:

- Answers that lag behind: every wait reads until the state shows, and no longer than the session is patient.
- A call that was done although its answer got lost: done again it is no error.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from spotwatch.aws.session import Api
from spotwatch.core.errors import AwsConflict, AwsNotFound, AwsRefused, AwsUnsettled
from spotwatch.core.volume import STATE_TAG, TAG_PREFIX, Volume

PAGE: Final = 200
"""Volumes in one answer, of at most 1,000."""

SNAPSHOT_TAG: Final = f"{TAG_PREFIX}volume"
"""On a snapshot of ours: the volume that it was made of."""

_HELD: Final = ("attaching", "attached", "detaching", "busy")
"""The states in which an attachment keeps a volume from everybody else."""

_GOING: Final = ("detaching", "busy")

SHARED_SLOTS: Final = 28
"""Of most Nitro types, among volumes, network interfaces and local disks; where EC2 does not say more."""


class Volumes:
    """EC2; implements `spotwatch.ship.volumes.Volumes`."""

    def __init__(self, ec2: Api) -> None:
        self._ec2 = ec2

    def labelled(self, availability_zone: str = "") -> Iterator[Volume]:
        """Every volume with a label of ours in an AZ, or in the whole region, whatever its state."""
        zone = [_filter("availability-zone", availability_zone)] if availability_zone else []
        filters = [_filter("tag-key", STATE_TAG), *zone]
        for page in self._ec2.pages("DescribeVolumes", Filters=filters, MaxResults=PAGE):
            yield from map(_volume, page["Volumes"])

    def describe(self, volume_id: str) -> Volume | None:
        """What is known of it now; None if it is not there (any more)."""
        try:
            found = self._ec2.call("DescribeVolumes", VolumeIds=[volume_id])["Volumes"]
        except AwsNotFound:
            return None
        return _volume(found[0]) if found else None

    def tag(self, volume_id: str, tags: Mapping[str, str]) -> None:
        """Set these tags; others stay."""
        told = [{"Key": key, "Value": value} for key, value in tags.items()]
        self._ec2.call("CreateTags", Resources=[volume_id], Tags=told)

    def attach(self, volume_id: str, instance_id: str, device: str) -> None:
        """Begin to attach it; no error if this instance has it already."""
        try:
            self._ec2.call("AttachVolume", VolumeId=volume_id, InstanceId=instance_id, Device=device)
        except AwsConflict:
            now = self.describe(volume_id)
            if now is None or now.instance_id != instance_id:
                raise

    def wait_until_attached(self, volume_id: str, instance_id: str) -> Volume:
        """Until it is attached to this instance; the volume as it is then."""

        def look() -> Volume:
            now = self.describe(volume_id)
            if now is None:
                raise AwsConflict(f"{volume_id} is gone")
            if now.instance_id not in ("", instance_id) or now.attachment in _GOING:
                raise AwsConflict(f"{volume_id} is {now.attachment} at {now.instance_id}, not at {instance_id} alone")
            if now.attachment != "attached":
                raise AwsUnsettled(f"{volume_id} is {now.attachment or now.state}, and not attached to {instance_id}")
            return now

        return self._ec2.wait_for(look)

    def detach(self, volume_id: str, instance_id: str) -> None:
        """Begin to detach it, without force; no error if it is detached or detaching.

        The instance is named, so that an attachment which somebody else has made since is left alone.
        """
        try:
            self._ec2.call("DetachVolume", VolumeId=volume_id, InstanceId=instance_id)
        except (AwsConflict, AwsRefused, AwsNotFound):
            now = self.describe(volume_id)
            if now is not None and now.instance_id == instance_id and now.attachment not in _GOING:
                raise

    def wait_until_available(self, volume_id: str, instance_id: str) -> Volume | None:
        """Until it is attached to nothing, also not to another instance; the volume as it is then, if it is there."""

        def look() -> Volume | None:
            now = self.describe(volume_id)
            if now is not None and now.instance_id not in ("", instance_id):
                raise AwsConflict(f"{volume_id} is {now.attachment} at {now.instance_id} by now")
            if now is not None and now.state != "available":
                raise AwsUnsettled(
                    f"{volume_id} is still {now.attachment or now.state}", hint="see whether something has it mounted"
                )
            return now

        return self._ec2.wait_for(look)

    def delete(self, volume_id: str) -> None:
        """Delete it; no error if it is gone, or on its way."""
        try:
            self._ec2.call("DeleteVolume", VolumeId=volume_id)
        except AwsNotFound:
            return
        except AwsConflict:
            now = self.describe(volume_id)
            if now is not None and now.state not in ("deleting", "deleted"):
                raise

    def snapshot(self, volume_id: str, description: str) -> str:
        """Begin a snapshot of it, unless one of ours is there; the snapshot's id.

        CreateSnapshot knows no client token, so before each attempt it is looked whether an earlier one was carried
        out although its answer got lost.
        """

        def find_or_make() -> str:
            return self._snapshot_of(volume_id) or self._make_snapshot(volume_id, description)

        return self._ec2.wait_for(find_or_make)

    def _snapshot_of(self, volume_id: str) -> str:
        ours = [_filter(f"tag:{SNAPSHOT_TAG}", volume_id)]
        for page in self._ec2.pages("DescribeSnapshots", Filters=ours, OwnerIds=["self"]):
            for snapshot in page["Snapshots"]:
                if snapshot["State"] != "error":
                    return str(snapshot["SnapshotId"])
        return ""

    def _make_snapshot(self, volume_id: str, description: str) -> str:
        tags = [{"ResourceType": "snapshot", "Tags": [{"Key": SNAPSHOT_TAG, "Value": volume_id}]}]
        made = self._ec2.attempt("CreateSnapshot", VolumeId=volume_id, Description=description, TagSpecifications=tags)
        return str(made["SnapshotId"])

    def device_names(self, instance_id: str) -> frozenset[str]:
        """The device names that the instance uses now, its root device among them."""
        instance = self._instance(instance_id)
        mapped = (mapping["DeviceName"] for mapping in instance.get("BlockDeviceMappings", ()))
        return frozenset([*mapped, str(instance.get("RootDeviceName", ""))])

    def attachment_limit(self, instance_id: str) -> int:
        """How many volumes more can be attached to the instance.

        `MaximumEbsAttachments` leaves room for one network interface and for the local disks where the type shares its
        slots with them (28 slots of an m5.large: 27 volumes; of a c5d.large with a local disk: 26), so only further
        interfaces count (EC2 user guide, "Amazon EBS volume limits for Amazon EC2 instances").
        """
        instance = self._instance(instance_id)
        told = self._ec2.call("DescribeInstanceTypes", InstanceTypes=[instance["InstanceType"]])["InstanceTypes"][0]
        ebs = told.get("EbsInfo", {})
        disks = sum(int(disk["Count"]) for disk in told.get("InstanceStorageInfo", {}).get("Disks", ()))
        most = int(ebs.get("MaximumEbsAttachments", SHARED_SLOTS - 1 - disks))
        used = len(instance.get("BlockDeviceMappings", ()))
        if ebs.get("AttachmentLimitType", "shared") == "shared":
            used += max(0, len(instance.get("NetworkInterfaces", ())) - 1)
        return max(0, most - used)

    def _instance(self, instance_id: str) -> Mapping[str, Any]:
        return described_instance(self._ec2, instance_id)


def described_instance(ec2: Api, instance_id: str) -> Mapping[str, Any]:
    """What DescribeInstances says of an instance.

    Raises:
        AwsNotFound: there is none.
    """
    for reservation in ec2.call("DescribeInstances", InstanceIds=[instance_id])["Reservations"]:
        for instance in reservation["Instances"]:
            return dict(instance)
    raise AwsNotFound(f"{instance_id} is not there", hint="see the region")


def _filter(name: str, value: str) -> dict[str, Any]:
    return {"Name": name, "Values": [value]}


def _volume(told: Mapping[str, Any]) -> Volume:
    """A volume out of an answer of DescribeVolumes. Log volumes are attached once at the most."""
    held = (attachment for attachment in told.get("Attachments", ()) if attachment["State"] in _HELD)
    attachment: Mapping[str, Any] = next(held, {})
    return Volume(
        id=told["VolumeId"],
        size_gib=told["Size"],
        kind=told["VolumeType"],
        availability_zone=told["AvailabilityZone"],
        state=told["State"],
        created=told["CreateTime"],
        tags={tag["Key"]: tag["Value"] for tag in told.get("Tags", ())},
        instance_id=attachment.get("InstanceId", ""),
        device=attachment.get("Device", ""),
        attachment=attachment.get("State", ""),
        iops=told.get("Iops"),
        throughput_mib=told.get("Throughput"),
    )
