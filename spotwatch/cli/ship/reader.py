"""The process that reads one volume: opens it, decides what is left on it, stores that, and drafts the manifest.

It may hang for ever when the volume is lost, or be killed; so it publishes nothing, and its parent does what has to be
done afterwards. It mounts what somebody else has written; so it stores through its parent (`spotwatch.cli.ship.relay`).
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Final

from spotwatch.cli.ship.draft import Progress
from spotwatch.cli.ship.order import Order
from spotwatch.core.errors import VolumeUnreadable
from spotwatch.core.settings import Hints, ObjectLayout
from spotwatch.core.volume import VolumeLabel
from spotwatch.host.block_devices import BlockDevices
from spotwatch.host.device import block_device
from spotwatch.host.journal_export import JournalctlExport
from spotwatch.host.opened_volume import open_volume
from spotwatch.host.tree import DirectoryTree
from spotwatch.ship.decision import Decision, Policy, Source, decide
from spotwatch.ship.destination import Destination
from spotwatch.ship.journal_spool import spooled
from spotwatch.ship.manifest import Manifest
from spotwatch.ship.shipper import Origin, Shipment, drafted
from spotwatch.ship.tree import Tree

LABEL_FILE: Final = ".spotwatch/label.json"
"""Where ``preserve-volume`` writes the label of the volume, from its root."""

LONGEST_LABEL: Final = 1 << 20
"""Bytes; a label has less than 50 tags of at most 384 characters."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """A volume that can be read; the fields are those of `Origin`."""

    tree: Tree
    filesystem: Mapping[str, str]
    read_by: str
    volume: str
    anomalies: Callable[[], tuple[str, ...]]


def read(order: Order, destination: Destination, progress: Callable[[Progress], None]) -> Manifest:
    """Store what is left on the volume; the manifest, which is not stored yet. In a dry run nothing is stored.

    Args:
        order: what is read, and how.
        destination: the one of the order.
        progress: is told how far the reading has come.

    Raises:
        VolumeUnreadable: it holds nothing that can be read.
        DeviceDenied: we may not look.
        OverlayUnavailable, OverlayFull: its journal cannot be replayed here.
        DestinationError: not everything could be stored.
    """
    with _opened(order) as volume:
        label, trouble = _label(volume.tree)
        origin = Origin(volume.volume, _instance(order, label), volume.filesystem, volume.read_by)
        export = JournalctlExport(volume.tree)
        decision = decide(volume.tree, _source(order, label), _policy(order), export)
        if order.dry_run:
            manifest = drafted(decision, origin)
        else:
            with spooled(volume.tree, decision, export, order.scratch) as (tree, whole):
                manifest = _stored(order, tree, destination, whole, origin, progress)
        return replace(manifest, anomalies=tuple(dict.fromkeys((*trouble, *volume.anomalies(), *manifest.anomalies))))


def _stored(
    order: Order,
    tree: Tree,
    destination: Destination,
    decision: Decision,
    origin: Origin,
    progress: Callable[[Progress], None],
) -> Manifest:
    total = sum(segment.end - segment.start for segment in decision.segments)
    progress(Progress(0, total))
    shipment = Shipment(
        tree,
        destination,
        workers=order.workers,
        one_object_a_file=order.objects is ObjectLayout.FILES,
        progress=lambda done: progress(Progress(done, total)),
    )
    return shipment.store(decision, origin)


@contextmanager
def _opened(order: Order) -> Iterator[_Opened]:
    with ExitStack() as stack:
        if order.directory:
            try:
                root = os.open(order.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError as error:
                raise VolumeUnreadable(f"{order.directory}: {error.strerror}", hint="name a directory") from None
            stack.callback(os.close, root)
            yield _Opened(DirectoryTree(root), {}, "directory", order.volume_id, tuple)
            return
        volume = stack.enter_context(open_volume(order.device, scratch=order.scratch))
        filesystem = {"type": volume.filesystem.kind, "uuid": volume.filesystem.uuid}
        name = order.volume_id or _serial(order.device) or volume.filesystem.uuid
        if not name:
            raise VolumeUnreadable(f"{order.device} has neither a serial nor a UUID", hint="name it with --volume-id")
        yield _Opened(volume.tree, filesystem, volume.way, name, volume.anomalies)


def _serial(device: str) -> str:
    """The volume id that the device has for its serial; empty if it has none, or is an image in a file."""
    try:
        return BlockDevices().volume_id(block_device(device).disk) or ""
    except VolumeUnreadable:
        return ""


def _label(tree: Tree) -> tuple[VolumeLabel | None, tuple[str, ...]]:
    """The label on the volume itself, if there is one, and what is wrong with it."""
    if tree.find(LABEL_FILE) is None:
        return None, ()
    try:
        with tree.open(LABEL_FILE) as file:
            tags = json.loads(file.read(LONGEST_LABEL))
        return VolumeLabel.from_tags({str(key): str(value) for key, value in dict(tags).items()}), ()
    except (OSError, ValueError, TypeError, RecursionError) as error:
        return None, (f"{LABEL_FILE} cannot be understood, so every file is shipped: {error}",)


def _instance(order: Order, label: VolumeLabel | None) -> str:
    if order.instance_id is not None:
        return order.instance_id
    return label.instance_id if label else ""


def _source(order: Order, label: VolumeLabel | None) -> Source:
    """What the order says, then the label; a directory that nobody speaks of is taken to be where it always was."""
    labelled = Source(label.mount_point, label.log_paths, label.agents) if label else Source(order.directory or "/")
    return Source(
        labelled.mount_point if order.mount_point is None else order.mount_point,
        labelled.log_paths if order.log_paths is None else order.log_paths,
        labelled.agents if order.agents is None else order.agents,
    )


def _policy(order: Order) -> Policy:
    return Policy(ship_read=order.read_positions is Hints.SHIP, ship_unproven=order.unproven_positions is Hints.SHIP)
