"""The UUID of a file system for somebody who may not see its device: the daemon's unit has no disks in its /dev.

Two ways: the device itself, and what udev has noted when it appeared (udevadm(8), "E:" lines of its database).
"""

import contextlib
import os

from spotwatch.core.errors import VolumeUnreadable
from spotwatch.host.block_devices import BlockDevices
from spotwatch.host.signature import probe


def filesystem_uuid(path: str, devices: BlockDevices, database: str = "/run/udev/data") -> str:
    """Of the file system on a device; empty if there is none, or it cannot be told.

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
