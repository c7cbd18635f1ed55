"""Leftover volumes as this room sees them: what is known of one, who may work on it, and who can be asked to act.

An attachment keeps two hosts from reading one volume at a time, but it does not end when a worker dies. So whoever
works on a volume writes a lease on it: a holder, an epoch, a time until which nobody else may step in. Tags know no
conditions, so a lease alone decides nothing: the attachment does, and the epoch stops one who was thought dead from
finishing what another has taken over.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

from spotwatch.core.volume import TAG_PREFIX


@dataclass(frozen=True, slots=True)
class Volume:
    """An EBS volume (DescribeVolumes).

    Attributes:
        id: such as `vol-0123456789abcdef0`.
        size_gib: GiB.
        kind: its volume type, such as `gp3`.
        availability_zone: the AZ's name.
        state: AWS's word: creating, available, in-use, deleting, deleted, error.
        created: when it was made.
        tags: all of them.
        instance_id: the instance that it is attached to; empty if to none.
        device: the device name of that attachment.
        attachment: its state in AWS's word: attaching, attached, detaching, busy; empty if there is none.
        iops, throughput_mib: what is provisioned, as far as it is billed.
    """

    id: str
    size_gib: int
    kind: str
    availability_zone: str
    state: str
    created: datetime
    tags: Mapping[str, str]
    instance_id: str = ""
    device: str = ""
    attachment: str = ""
    iops: int | None = None
    throughput_mib: int | None = None


HOLDER_TAG: Final = f"{TAG_PREFIX}lease-holder"
EPOCH_TAG: Final = f"{TAG_PREFIX}lease-epoch"
UNTIL_TAG: Final = f"{TAG_PREFIX}lease-until"


@dataclass(frozen=True, slots=True)
class Lease:
    """Who works on a volume.

    Attributes:
        holder: the worker: its instance, boot and process.
        epoch: one more than the one before; the larger one is right.
        until: when others may take over, unless it is renewed.
    """

    holder: str
    epoch: int
    until: datetime

    def to_tags(self) -> dict[str, str]:
        """The EC2 tags."""
        until = self.until.isoformat(timespec="seconds")
        return {HOLDER_TAG: self.holder, EPOCH_TAG: str(self.epoch), UNTIL_TAG: until}

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "Lease | None":
        """The lease in a volume's tags; None if there is none, or one that makes no sense."""
        try:
            return cls(tags[HOLDER_TAG], int(tags[EPOCH_TAG]), datetime.fromisoformat(tags[UNTIL_TAG]))
        except (KeyError, ValueError):
            return None

    def renewed(self, until: datetime) -> "Lease":
        """The same, for longer."""
        return replace(self, until=until)


class Volumes(Protocol):
    """EC2, as far as volumes go. Every method is as patient as its session, and raises `AwsError` then."""

    def labelled(self, availability_zone: str) -> Iterator[Volume]:
        """Every volume of the AZ with a label of ours, whatever its state."""
        ...

    def describe(self, volume_id: str) -> Volume | None:
        """What is known of it now; None if it is not there (any more)."""
        ...

    def tag(self, volume_id: str, tags: Mapping[str, str]) -> None:
        """Set these tags; others stay."""
        ...

    def attach(self, volume_id: str, instance_id: str, device: str) -> None:
        """Begin to attach it.

        Raises:
            AwsConflict: somebody else has it.
            AwsRefused: the device name is taken, the limit of attachments is reached, another AZ.
        """
        ...

    def wait_until_attached(self, volume_id: str, instance_id: str) -> None:
        """Until it is attached to this instance.

        Raises:
            AwsConflict: it is attached to another one, or is no more being attached.
        """
        ...

    def detach(self, volume_id: str, instance_id: str) -> None:
        """Begin to detach it, without force; no error if it is detached or detaching."""
        ...

    def wait_until_available(self, volume_id: str) -> None:
        """Until it is attached to nothing."""
        ...

    def delete(self, volume_id: str) -> None:
        """Delete it; no error if it is gone.

        Raises:
            AwsConflict: it is attached.
        """
        ...

    def snapshot(self, volume_id: str, description: str, tags: Mapping[str, str]) -> str:
        """Begin a snapshot of it; the snapshot's id."""
        ...

    def device_names(self, instance_id: str) -> frozenset[str]:
        """The device names that the instance uses now."""
        ...

    def attachment_limit(self, instance_id: str) -> int:
        """How many volumes its type can have attached, its root volume and network interfaces taken into account."""
        ...
