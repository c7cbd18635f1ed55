"""Leftover volumes as this room sees them: what is known of one, who works on it, and who can be asked to act.

An attachment keeps two hosts from reading one volume at a time, but it does not end when a worker dies. So whoever
works on a volume writes a lease on it, and renews it: a holder and an epoch. Tags know no conditions, so a lease alone
decides nothing: the attachment does, and the epoch stops one who was thought dead from finishing what another has
taken over. Whether a lease is alive is seen by its renewals, never by comparing the clocks of two hosts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from spotwatch.core.volume import TAG_PREFIX, Volume

HOLDER_TAG: Final = f"{TAG_PREFIX}lease-holder"
EPOCH_TAG: Final = f"{TAG_PREFIX}lease-epoch"
RENEWED_TAG: Final = f"{TAG_PREFIX}lease-renewed"


@dataclass(frozen=True, slots=True)
class Lease:
    """Who works on a volume.

    Attributes:
        holder: the worker: its instance, boot and process.
        epoch: one more than the one before; the larger one is right.
        renewed: when it was written last, by the holder's clock; compared only with itself.
    """

    holder: str
    epoch: int
    renewed: datetime

    def to_tags(self) -> dict[str, str]:
        """The EC2 tags."""
        return {HOLDER_TAG: self.holder, EPOCH_TAG: str(self.epoch), RENEWED_TAG: self.renewed.isoformat()}

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "Lease | None":
        """The lease in a volume's tags; None if there is none, or one that makes no sense."""
        try:
            return cls(tags[HOLDER_TAG], int(tags[EPOCH_TAG]), datetime.fromisoformat(tags[RENEWED_TAG]))
        except (KeyError, ValueError):
            return None

    def is_of(self, other: "Lease | None") -> bool:
        """Whether the other is the same lease, renewed or not."""
        return other is not None and (self.holder, self.epoch) == (other.holder, other.epoch)


class Volumes(Protocol):
    """EC2, as far as volumes go. Every method is as patient as its session, and raises `AwsError` then."""

    def labelled(self, availability_zone: str = "") -> Iterator[Volume]:
        """Every volume with a label of ours in an AZ, or in the whole region, whatever its state."""
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

    def wait_until_attached(self, volume_id: str, instance_id: str) -> Volume:
        """Until it is attached to this instance; the volume as it is then.

        Raises:
            AwsConflict: it is attached to another one, or is no more being attached.
        """
        ...

    def detach(self, volume_id: str, instance_id: str) -> None:
        """Begin to detach it, without force; no error if it is detached or detaching."""
        ...

    def wait_until_available(self, volume_id: str, instance_id: str) -> Volume | None:
        """Until it is attached to nothing; the volume as it is then, None if it is not there (any more).

        Args:
            volume_id: which.
            instance_id: that it is being detached from.

        Raises:
            AwsConflict: another instance has it.
        """
        ...

    def delete(self, volume_id: str) -> None:
        """Delete it; no error if it is gone.

        Raises:
            AwsConflict: it is attached.
        """
        ...

    def snapshot(self, volume_id: str, description: str) -> str:
        """Begin a snapshot of it, unless one of ours is there; the snapshot's id."""
        ...

    def device_names(self, instance_id: str) -> frozenset[str]:
        """The device names that the instance uses now."""
        ...

    def attachment_limit(self, instance_id: str) -> int:
        """How many volumes more can be attached to it."""
        ...
