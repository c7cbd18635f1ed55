"""What the batch job would do, for people and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from spotwatch.cli.options import plural, shown_path
from spotwatch.cli.volumes import shown_age
from spotwatch.core.volume import STATE_TAG, VolumeLabel
from spotwatch.ship.intent import Deed, Intent
from spotwatch.ship.volumes import Lease


def lines(intents: Sequence[Intent], *, to: str, at_once: int, now: datetime) -> Iterator[str]:
    """One line about all of them, and one about each."""
    done = sum(intent.deed is not Deed.LEAVE for intent in intents)
    yield f"{plural(done, 'volume')} to work on, {at_once} at a time; to {to}"
    for intent in intents:
        volume, label = intent.volume, _label(intent)
        since = f" for {shown_age((now - label.marked_at).total_seconds())}, of {label.instance_id}" if label else ""
        state = volume.tags.get(STATE_TAG, "")
        what = f"{volume.size_gib} GiB {volume.kind}, {state}{since}"
        yield f"{volume.id}  {intent.deed:10}  {shown_path(f'{what}: {intent.reason}')}"


def document(intents: Sequence[Intent], *, to: str, at_once: int) -> Mapping[str, Any]:
    """The same as JSON."""
    return {"to": to, "at_once": at_once, "volumes": [_told(intent) for intent in intents]}


def _told(intent: Intent) -> Mapping[str, Any]:
    volume, label, lease = intent.volume, _label(intent), Lease.from_tags(intent.volume.tags)
    return {
        "volume": volume.id,
        "deed": intent.deed,
        "reason": intent.reason,
        "size_gib": volume.size_gib,
        "kind": volume.kind,
        "state": volume.tags.get(STATE_TAG, ""),
        "marked_at": label.marked_at.isoformat() if label else None,
        "instance": label.instance_id if label else "",
        "attached_to": volume.instance_id,
        "holder": lease.holder if lease else "",
    }


def _label(intent: Intent) -> VolumeLabel | None:
    try:
        return VolumeLabel.from_tags(intent.volume.tags)
    except ValueError:
        return None
