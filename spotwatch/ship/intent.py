"""What a batch would do with each volume, as far as EC2 tells: nothing is attached, read, written or waited for.

What is on a volume shows only when it is attached, so whether it will be found damaged is not known here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from spotwatch.core.errors import VolumeUnreadable
from spotwatch.core.quantity import format_duration
from spotwatch.core.volume import Volume, VolumeState
from spotwatch.ship.batch import LEASE_SILENCE, age_of, is_leftover, is_to_do
from spotwatch.ship.job import REASON_TAG, Ending, label_of, shipment
from spotwatch.ship.volumes import Lease


class Deed(StrEnum):
    """What would be done with a volume."""

    SHIP = "ship"
    """Attached, shipped, read back; then what follows from the settings."""
    DELETE = "delete"
    """It is shipped: only its end is missing."""
    KEEP = "keep"
    """It is shipped, and the settings want it to stay for now."""
    QUARANTINE = "quarantine"
    """It cannot be read, as its label says; or it is in quarantine and still attached."""
    LEAVE = "leave"
    """Nothing."""
    FAIL = "fail"
    """Its tags make no sense, so that nothing can be done with it."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What would be done with one volume, and why."""

    volume: Volume
    deed: Deed
    reason: str


def intents(volumes: Iterable[Volume], host: str, ending: Ending, now: datetime) -> list[Intent]:
    """For each labelled volume, in the order in which they would be worked on; those that are left alone come last.

    Args:
        volumes: all labelled ones of the AZ.
        host: the instance that would ship.
        ending: what would be done with what is shipped.
        now: UTC.
    """
    told = [_intent(volume, host, ending, now) for volume in sorted(volumes, key=age_of)]
    return sorted(told, key=lambda each: (each.deed is Deed.LEAVE, each.volume.instance_id not in ("", host)))


def _intent(volume: Volume, host: str, ending: Ending, now: datetime) -> Intent:
    if not is_to_do(volume):
        return Intent(volume, Deed.LEAVE, _why_not(volume))
    held = volume.instance_id not in ("", host)
    lease = Lease.from_tags(volume.tags)
    if held and lease is None:
        return Intent(volume, Deed.LEAVE, f"attached to {volume.instance_id} by somebody without a lease")
    try:
        deed, reason = _deed(volume, ending, now)
    except VolumeUnreadable as error:
        return Intent(volume, Deed.FAIL, error.message)
    if held and lease is not None:
        silence = format_duration(LEASE_SILENCE)
        reason = f"{reason}; taken over from {lease.holder}, if its lease is not renewed within {silence}"
    return Intent(volume, deed, reason)


def _why_not(volume: Volume) -> str:
    if is_leftover(volume):
        return f"in quarantine: {volume.tags.get(REASON_TAG, 'it does not say why')}"
    worn = volume.state == "in-use"
    return f"attached to its own instance, {volume.instance_id}" if worn else f"it is {volume.state}"


def _deed(volume: Volume, ending: Ending, now: datetime) -> tuple[Deed, str]:
    label = label_of(volume)
    if label.state is VolumeState.QUARANTINED:
        return Deed.QUARANTINE, "detached, and left in quarantine"
    if label.state is VolumeState.SHIPPED:
        shipped_at, _ = shipment(volume)
        if ending.keeps(shipped_at, now):
            return Deed.KEEP, _until(ending, shipped_at)
        return Deed.DELETE, "if its manifest and all that it names are there"
    if label.layers or label.members:
        return Deed.QUARANTINE, f"{' over '.join(label.layers) or 'a file system on several volumes'} cannot be read"
    return Deed.SHIP, f"then {_until(ending, now) if ending.keeps(now, now) else 'deleted, if nothing is wrong'}"


def _until(ending: Ending, shipped_at: datetime) -> str:
    return "kept" if ending.keep else f"kept until {shipped_at + ending.retain:%Y-%m-%d %H:%M} UTC"
