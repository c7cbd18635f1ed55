"""What is on a block device, by its own marks: a file system, a layer of something else, or nothing known."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spotwatch.core.errors import VolumeUnreadable
from spotwatch.host.block_devices import BlockDevices
from spotwatch.host.device import BlockDevice, partitions

SUPPORTED: Final = ("ext2", "ext3", "ext4", "xfs", "btrfs")

_LAYERS: Final = {
    "LVM2_member": "a physical volume of LVM",
    "linux_raid_member": "a member of a RAID",
    "isw_raid_member": "a member of a RAID",
    "ddf_raid_member": "a member of a RAID",
    "crypto_LUKS": "encrypted by LUKS",
    "zfs_member": "a member of a ZFS pool",
    "swap": "swap space",
    "jbd": "the journal of another file system",
}

_PROBE_LIMIT = 60
"""Seconds; blkid reads a few hundred KiB, and a lost volume answers never."""

_NOTHING_FOUND = 2  # blkid(8), "RETURN CODE"
_AMBIVALENT = 8


@dataclass(frozen=True, slots=True)
class Signature:
    """What blkid(8) finds by low-level probing.

    Attributes:
        kind: its type, such as `ext4` or `LVM2_member`; empty if there is none.
        uuid: of it; empty if it has none.
        partition_table: its type, such as `gpt`; empty if there is none.
    """

    kind: str = ""
    uuid: str = ""
    partition_table: str = ""


def probe(path: str) -> Signature:
    """What the device says of itself.

    Raises:
        VolumeUnreadable: it cannot be read, or says two things.
    """
    argv = ["blkid", "-p", "-o", "export", path]
    try:
        run = subprocess.run(argv, capture_output=True, timeout=_PROBE_LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise VolumeUnreadable(f"{path} cannot be probed: {error}", hint="blkid is in the package util-linux") from None
    if run.returncode == _AMBIVALENT:
        raise VolumeUnreadable(
            f"{path} has the marks of several file systems or layers", hint="wipefs --no-act shows them"
        )
    if run.returncode not in (0, _NOTHING_FOUND):
        raise VolumeUnreadable(f"{path} cannot be probed: {run.stderr.decode(errors='replace').strip()}")
    found = dict(_pairs(run.stdout.decode(errors="replace")))
    return Signature(found.get("TYPE", ""), found.get("UUID", ""), found.get("PTTYPE", ""))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        key, _, value = line.partition("=")
        yield key, value


def filesystem_uuid(path: str, devices: BlockDevices, database: str = "/run/udev/data") -> str:
    """The UUID of the file system on a device; empty if there is none, or it cannot be told.

    Also for somebody who may not see the device, such as the daemon, whose unit has no disks in its /dev: what udev has
    noted when it appeared is looked at then (udevadm(8), "E:" lines of its database).

    Args:
        path: of the device's node, which need not be there.
        devices: this machine's block devices.
        database: where udev notes what it has found.
    """
    with contextlib.suppress(VolumeUnreadable):
        if uuid := probe(path).uuid:
            return uuid
    number = devices.attribute(os.path.basename(path), "dev")
    with contextlib.suppress(OSError), open(f"{database}/b{number}", encoding="utf-8", errors="replace") as file:
        for line in file:
            key, _, value = line.rstrip("\n").partition("=")
            if key == "E:ID_FS_UUID":
                return value
    return ""


def choose(device: BlockDevice) -> tuple[BlockDevice, Signature]:
    """The device itself or the only one of its partitions that has a supported file system.

    Raises:
        VolumeUnreadable: there is none, or more than one; the message says what there is instead.
    """
    signature = probe(device.path)
    if signature.kind in SUPPORTED:
        return device, signature
    if signature.kind:
        raise VolumeUnreadable(f"{device.path} {_described(signature)}", hint=_hint(signature))
    found = [(part, probe(part.path)) for part in partitions(device)]
    usable = [(part, mark) for part, mark in found if mark.kind in SUPPORTED]
    if len(usable) == 1:
        return usable[0]
    if usable:
        names = ", ".join(f"{part.path} ({mark.kind})" for part, mark in usable)
        raise VolumeUnreadable(f"{device.path} has several file systems: {names}", hint="name the one to be read")
    parts = "; ".join(f"{part.path} {_described(mark)}" for part, mark in found)
    raise VolumeUnreadable(
        f"{device.path} {_described(signature)}{f': {parts}' if parts else ''}",
        hint=_hint(*(mark for _, mark in found)),
    )


def _described(signature: Signature) -> str:
    if signature.kind in _LAYERS:
        return f"is {_LAYERS[signature.kind]}"
    if signature.kind:
        return f"holds {signature.kind}, which is not supported"
    return f"has a partition table ({signature.partition_table})" if signature.partition_table else "has no file system"


def _hint(*signatures: Signature) -> str:
    if any(signature.kind in _LAYERS for signature in signatures):
        return "put the layers together by hand, read-only, and name the resulting device"
    return f"what can be read: {', '.join(SUPPORTED)}, on the whole disk or on one partition"
