"""A log volume opened for reading, as it would be after its journal was replayed, without a byte of it being written.

    device ─► unused? ─► read-only ─► its file system ─► plain mount ──(clean)──────────────► tree
                                                              └─(refused: dirty)─► overlay ─► mount ─► tree
                                              anything wrong ─► a second overlay ─► repair ─► mount ─► both trees as one

`noload` and `norecovery` are never used: what was synced last is in the journal only, and they hide it.

What this survives: SIGKILL at any moment. Mounts have no mount points, overlays have no names that stay, loop devices
clear themselves, and the server of an overlay dies with us; so whatever was made is undone by the kernel.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from spotwatch.core.errors import OverlayFull, SpotwatchError, VolumeUnreadable
from spotwatch.core.log_file import Unreadable
from spotwatch.host.device import BlockDevice, block_device, check_unused, read_only, refused
from spotwatch.host.dm_overlay import DeviceMapperOverlays, remove_stale
from spotwatch.host.kernel_log import KernelLog
from spotwatch.host.loop import loop_device, writable_loop
from spotwatch.host.mount_and_repair import Mounting, check_journal, flagged_errors, mounting, repair
from spotwatch.host.mounts import mounted
from spotwatch.host.overlay import PLAIN, Overlay, Way, first_usable
from spotwatch.host.qemu_overlay import QemuOverlays
from spotwatch.host.signature import Signature, choose
from spotwatch.host.tree import DirectoryTree
from spotwatch.host.united_tree import UnitedTree

SCRATCH: Final = "/var/tmp"  # noqa: S108 (files without a name only)
SCRATCH_LIMIT: Final = 1 << 30
"""Bytes that a replay may write. Measured: 0.8 MiB (ext4), 2.6 MiB (xfs); a journal can be as large as 1 GiB."""

WAYS: Final[tuple[Way, ...]] = (DeviceMapperOverlays(), QemuOverlays())
"""In the order in which they are tried: the kernel's own is faster."""

MOST_ANOMALIES: Final = 100
"""More are counted, not kept: a broken volume has as many as it has files."""


class OpenedVolume:
    """A volume while it is open; made by `open_volume`.

    Attributes:
        tree: its files.
        way: how its journal was replayed: `plain` if it had not to be, else the name of the overlay.
        filesystem: kind and UUID of its file system.
        device: of the file system: the volume itself or its partition.
    """

    def __init__(self, stack: contextlib.ExitStack, source: "_Source", log: KernelLog) -> None:
        self._stack = stack
        self._source = source
        self._log = log
        self._devices = {source.device.name, source.device.disk}
        self._anomalies: dict[str, None] = {}
        self._uncounted = 0
        self._repaired: DirectoryTree | None = None
        self._tried_repair = False
        self.filesystem = source.signature
        self.device = source.device.path
        self.way, first = self._open_first()
        damaged = self._survey(first) if first is not None else False
        self.tree = UnitedTree(first or self._only_repaired(), self._repair, self._note_path, damaged=damaged)

    def anomalies(self) -> tuple[str, ...]:
        """All that was wrong until now, each a sentence; none says that nothing was noticed. Ask again at the end."""
        for trouble in self._log.news(self._devices):
            self._note_kernel(trouble)
        more = (f"and {self._uncounted} more",) if self._uncounted else ()
        return (*self._anomalies, *more)

    def _open_first(self) -> tuple[str, DirectoryTree | None]:
        """The way, and the tree; None if this file system cannot be mounted without a repair."""
        how = mounting(self.filesystem)
        try:
            root = self._stack.enter_context(mounted(self.device, how.kind, how.options))
        except PermissionError as error:
            raise refused(f"{self.device} cannot be mounted", error) from None
        except OSError as error:
            self._note_refusal(error)
        else:
            return PLAIN, DirectoryTree(root)
        way = first_usable(self._source.ways)
        return way.name, self._open_over(way, lambda _: how)

    def _note_refusal(self, error: OSError) -> None:
        """A mount that is refused because the journal has to be replayed is nothing wrong, nor what is said of it."""
        said = self._log.news(self._devices)
        if error.errno != errno.EROFS and not any(_DIRTY_BTRFS in line for line in said):
            self._note(f"it cannot be mounted: {error.strerror}")
            for line in said:
                self._note_kernel(line)

    def _open_over(self, way: Way, prepare: Callable[[str], Mounting]) -> DirectoryTree | None:
        """The tree on an overlay, after something was done to it; None, and why, if it cannot be mounted then."""
        overlay = self._stack.enter_context(self._source.overlay(way))
        self._watch_too(block_device(overlay.device).name)
        try:
            how = prepare(overlay.device)
            root = self._stack.enter_context(mounted(overlay.device, how.kind, how.options))
        except OSError as error:
            _check_room(overlay)
            self._note(f"it cannot be mounted on an overlay: {error.strerror}")
            return None
        except VolumeUnreadable:
            _check_room(overlay)
            raise
        _check_room(overlay)
        for flag in flagged_errors(overlay.device, self.filesystem):
            self._note(flag)
        return DirectoryTree(root)

    def _watch_too(self, name: str) -> None:
        """From now on what is said of this device is about the volume; before it was another's, of the same name."""
        for trouble in self._log.news(self._devices):
            self._note_kernel(trouble)
        self._devices.add(name)

    def _survey(self, first: DirectoryTree) -> bool:
        """Walk over all names once, which shows most damage; whether there is any."""
        for flag in flagged_errors(self.device, self.filesystem):
            self._note(flag)
        for found in first.files():
            if isinstance(found, Unreadable):
                self._note_path(found.path, found.reason)
            elif found.path.startswith("lost+found/"):
                self._note(f"{found.path} was found loose by a repair")
        return bool(self.anomalies())

    def _only_repaired(self) -> DirectoryTree:
        repaired = self._repair()
        if repaired is None:
            raise VolumeUnreadable(
                f"{self.device} ({self.filesystem.kind}) cannot be read: {'; '.join(self.anomalies())}",
                hint="make a snapshot of it, and repair a volume made from that by hand",
            )
        return repaired

    def _repair(self) -> DirectoryTree | None:
        """The tree after a repair on an overlay of its own, made at the first call; None if that fails."""
        if not self._tried_repair:
            self._tried_repair = True
            try:
                way = first_usable(self._source.ways)
                self._repaired = self._open_over(way, lambda device: repair(device, self.filesystem))
            except SpotwatchError as error:
                self._note(f"no repair: {error.message}")
        return self._repaired

    def _note_kernel(self, message: str) -> None:
        self._note(f"kernel: {message}")

    def _note_path(self, path: str, reason: str) -> None:
        self._note(f"{path} cannot be read: {reason}")

    def _note(self, anomaly: str) -> None:
        text = os.fsencode(anomaly).decode(errors="replace")
        if len(self._anomalies) < MOST_ANOMALIES:
            self._anomalies[text] = None
        elif text not in self._anomalies:
            self._uncounted += 1


_DIRTY_BTRFS: Final = "log replay required on RO media"
"""btrfs (fs/btrfs/disk-io.c) answers EIO where ext4 and xfs answer EROFS, and tells the kernel log why."""


@dataclass(frozen=True, slots=True)
class _Source:
    """What is to be read, and the means to."""

    device: BlockDevice
    signature: Signature
    ways: Sequence[Way]
    scratch: str
    limit: int

    def overlay(self, way: Way) -> contextlib.AbstractContextManager[Overlay]:
        return way.over(self.device.path, scratch=self.scratch, limit=self.limit)


@contextlib.contextmanager
def open_volume(
    path: str, *, scratch: str = SCRATCH, limit: int = SCRATCH_LIMIT, ways: Sequence[Way] = WAYS
) -> Iterator[OpenedVolume]:
    """A volume as a tree of files, and nothing left of the opening afterwards.

    To be used by a process of its own, with a time limit, in a thread that stays: reading a volume that is lost can
    hang in the kernel.

    Args:
        path: a block device, whole or a partition, or a disk image in a file. It is never written to.
        scratch: an existing directory for what the replay of the journal writes; the files there have no names.
        limit: bytes that may be written there, for each of the two overlays that are needed at most.
        ways: how overlays are made; the first one that can be used here is.

    Raises:
        VolumeUnreadable: there is no file system that can be read, or somebody uses it, and why.
        DeviceDenied: we may not open or mount it.
        OverlayUnavailable: the journal has to be replayed, and there is no means to.
        OverlayFull: the replay needs more than `limit`, or than there is.
    """
    with contextlib.ExitStack() as stack:
        whole = stack.enter_context(_as_device(path))
        log = stack.enter_context(KernelLog())
        _take(whole, stack)
        device, signature = choose(whole)
        if device != whole:
            _take(device, stack)
        check_journal(device.path, signature)
        yield OpenedVolume(stack, _Source(device, signature, ways, scratch, limit), log)


def _take(device: BlockDevice, stack: contextlib.ExitStack) -> None:
    """Make it read-only for us, after what a killed life of ours has left over it is gone."""
    remove_stale(device.path)
    check_unused(device)
    stack.enter_context(read_only(device))


@contextlib.contextmanager
def _as_device(path: str) -> Iterator[BlockDevice]:
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        is_file = False  # block_device tells what is wrong
    if not is_file:
        yield block_device(path)
        return
    with contextlib.ExitStack() as stack:
        try:
            with open(path, "rb") as image:
                _check_unwritten(path, image.fileno())
                loop = stack.enter_context(loop_device(image.fileno(), read_only=True))
        except OSError as error:
            raise refused(path, error) from None
        yield block_device(loop)


def _check_unwritten(path: str, image: int) -> None:
    if writer := writable_loop(image):
        raise VolumeUnreadable(
            f"{path} is in use: {writer} writes to it, and what was written last may not be in it yet",
            hint="unmount what is on it, in every mount namespace, and see that losetup no longer shows it",
        )


def _check_room(overlay: Overlay) -> None:
    if overlay.is_full():
        raise OverlayFull(
            "the replay of the journal needs more room than the scratch directory has or the limit allows",
            hint="raise the limit, or name a scratch directory with more room",
        )
