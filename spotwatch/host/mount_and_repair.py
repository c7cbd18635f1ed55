"""What differs between the file systems that can be read: how each is mounted, what tells damage, who repairs it."""

import contextlib
import os
import struct
import subprocess
from dataclasses import dataclass
from typing import Final

from spotwatch.core.errors import VolumeUnreadable
from spotwatch.host.mounts import mounted
from spotwatch.host.signature import Signature

REPAIR_LIMIT: Final = 1800
"""Seconds for one repair; e2fsck and xfs_repair read all metadata."""

_EXT = ("ext2", "ext3", "ext4")

_SUPERBLOCK = 1024
_HAS_JOURNAL = 0x4
_ERROR_FS = 0x2
_EXT_FIELDS: Final = {
    "state": (0x3A, "<H"),
    "compatible": (0x5C, "<I"),
    "journal": (0xE0, "<I"),
    "errors": (0x194, "<I"),
}
"""fs/ext4/ext4.h, `struct ext4_super_block`: s_state, s_feature_compat, s_journal_inum, s_error_count."""


@dataclass(frozen=True, slots=True)
class Mounting:
    """The kernel's name of a file system, and the options it gets."""

    kind: str
    options: tuple[str, ...] = ()


def mounting(signature: Signature) -> Mounting:
    """How it is mounted so that its journal is replayed, if it has to be."""
    if signature.kind in _EXT:
        # The volume itself may say what happens on damage, "panic" among it; the option overrules it.
        return Mounting("ext4", ("errors=remount-ro",))
    # Volumes made from one snapshot have one UUID, and several may be read at a time.
    return Mounting("xfs", ("nouuid",)) if signature.kind == "xfs" else Mounting(signature.kind)


def check_journal(path: str, signature: Signature) -> None:
    """See that the journal is on the volume itself: the replay of another one would write to another device.

    Raises:
        VolumeUnreadable: it is not, or the device cannot be read.
    """
    if signature.kind not in _EXT:
        return  # the others need a mount option that we do not give
    try:
        fields = _superblock(path)
    except OSError as error:
        raise VolumeUnreadable(f"{path}: {error.strerror}") from None
    if fields["compatible"] & _HAS_JOURNAL and fields["journal"] == 0:
        raise VolumeUnreadable(f"{path} has its journal on another device", hint="repair it by hand, on a copy")


def flagged_errors(path: str, signature: Signature) -> list[str]:
    """What the file system has noted of damage found earlier, as sentences."""
    if signature.kind not in _EXT:
        return []  # xfs and btrfs tell the kernel log when they are mounted
    try:
        fields = _superblock(path)
    except OSError as error:
        return [f"the superblock cannot be read: {error.strerror}"]
    marked = [f"the file system has noted {fields['errors']} errors"] if fields["errors"] else []
    return marked or (["the file system is marked as having errors"] if fields["state"] & _ERROR_FS else [])


def _superblock(path: str) -> dict[str, int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        block = os.pread(descriptor, 1024, _SUPERBLOCK)
    finally:
        os.close(descriptor)
    return {name: struct.unpack_from(form, block.ljust(1024, b"\0"), at)[0] for name, (at, form) in _EXT_FIELDS.items()}


def repair(path: str, signature: Signature) -> Mounting:
    """Repair what is on an overlay, whatever gets lost by it, and answer how the result is mounted.

    btrfs is not repaired: it is mounted so that it passes over what is broken.

    Raises:
        VolumeUnreadable: the program that repairs is not there, or could not do it.
    """
    if signature.kind == "btrfs":
        return Mounting("btrfs", ("rescue=all",))  # Linux 5.11
    if signature.kind == "xfs":
        _repair_xfs(path)
    else:
        _run(["e2fsck", "-f", "-y", path], (0, 1, 2, 3))  # e2fsck(8): 1 and 2: errors corrected; replays the journal
    return mounting(signature)


def _repair_xfs(path: str) -> None:
    """xfs_repair does not replay the log, the mount does; only a log that cannot be replayed is thrown away (-L)."""
    how = mounting(Signature("xfs"))
    with contextlib.suppress(OSError), mounted(path, how.kind, how.options):
        pass
    try:
        _run(["xfs_repair", path], (0,))
    except VolumeUnreadable:
        _run(["xfs_repair", "-L", path], (0,))


def _run(argv: list[str], good: tuple[int, ...]) -> None:
    try:
        run = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=REPAIR_LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise VolumeUnreadable(f"{argv[0]}: {error}", hint="install e2fsprogs and xfsprogs") from None
    if run.returncode not in good:
        said = run.stderr.decode(errors="replace").strip().splitlines()
        raise VolumeUnreadable(f"{argv[0]} could not repair it: {said[-1] if said else f'exit code {run.returncode}'}")
