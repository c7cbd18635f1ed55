"""The block devices of this machine as sysfs shows them, and which of them is which EBS volume.

A volume attached as NVMe has its id, without the dash, as the serial of the device (EBS user guide, "Map Amazon EBS
volumes to NVMe device names"); the numbers in device names mean nothing. On Xen there is no serial, and the device
name is the one that was asked for at the attachment, with another prefix perhaps.
"""

import os
import re
from dataclasses import dataclass
from typing import Final

VOLUME_ID: Final = re.compile(r"vol-[0-9a-f]{8,17}")

_SERIAL = re.compile(r"vol-?([0-9a-f]{8,17})")
_EBS_DISK = re.compile(r"(?!nvme)\w+|nvme\d+n1")
"""A volume has one namespace; `nvme0c1n1` is hidden, with the serial of the disk that it is a path to."""

_XEN_DISK = re.compile(r"(?:xvd|sd)([a-z]{1,2})")


@dataclass(frozen=True, slots=True)
class Stack:
    """What a device rests on.

    Attributes:
        disks: the kernel's names of the whole disks at the bottom, sorted.
        layers: what is between, from above: `LVM`, `encryption`, `RAID`, `device-mapper`.
    """

    disks: tuple[str, ...]
    layers: tuple[str, ...]


class BlockDevices:
    """The block devices of this machine.

    Args:
        sys: where sysfs is mounted.
        dev: where the device nodes are.
    """

    def __init__(self, sys: str = "/sys", dev: str = "/dev") -> None:
        self._sys = sys
        self._dev = dev

    def of_volume(self, volume_id: str, attached_as: str = "") -> str | None:
        """The path of the disk that is a volume; None if it is not here (yet).

        Args:
            volume_id: such as `vol-0123456789abcdef0`.
            attached_as: the device name of its attachment, such as `/dev/sdf`: what finds it on Xen.
        """
        disks = [name for name in _listed(f"{self._sys}/block") if _EBS_DISK.fullmatch(name)]
        match = _XEN_DISK.fullmatch(os.path.basename(attached_as))
        by_name = [f"xvd{match[1]}"] if match else []
        names = [name for name in disks if self.volume_id(name) == volume_id] or [x for x in by_name if x in disks]
        return self.path(names[0]) if names else None

    def volume_id(self, disk: str) -> str | None:
        """The id of the volume that a disk is; None if its serial is not one."""
        match = _SERIAL.fullmatch(self.attribute(disk, "device/serial"))
        return f"vol-{match[1]}" if match else None

    def path(self, name: str) -> str:
        """Of a device's node."""
        return f"{self._dev}/{name}"

    def name(self, number: str) -> str | None:
        """The kernel's name of the device `MAJOR:MINOR`; None if there is none."""
        directory = os.path.realpath(f"{self._sys}/dev/block/{number}")
        return os.path.basename(directory) if os.path.isdir(directory) else None

    def attribute(self, name: str, attribute: str) -> str:
        """What sysfs says of a device, without blanks around it; empty if it says nothing."""
        try:
            with open(f"{self._sys}/class/block/{name}/{attribute}", encoding="utf-8", errors="replace") as file:
                return file.read().strip()
        except OSError:
            return ""

    def stack(self, name: str) -> Stack:
        """What a device rests on, down to whole disks."""
        directory = os.path.realpath(f"{self._sys}/class/block/{name}")
        if os.path.exists(f"{directory}/partition"):
            return self.stack(os.path.basename(os.path.dirname(directory)))
        below = [self.stack(slave) for slave in _listed(f"{directory}/slaves")]
        if not below:
            return Stack((name,), ())
        disks = sorted({disk for stack in below for disk in stack.disks})
        layers = dict.fromkeys([self._layer(name), *(layer for stack in below for layer in stack.layers)])
        return Stack(tuple(disks), tuple(layers))

    def btrfs_members(self, uuid: str) -> list[str]:
        """The kernel's names of the devices of a mounted btrfs."""
        return _listed(f"{self._sys}/fs/btrfs/{uuid}/devices") if uuid else []

    def _layer(self, name: str) -> str:
        if self.attribute(name, "md/level"):
            return "RAID"
        origin = self.attribute(name, "dm/uuid").partition("-")[0]
        return {"LVM": "LVM", "CRYPT": "encryption"}.get(origin, "device-mapper")


def xen_names(disk: str) -> tuple[str, ...]:
    """The device names that the attachment of a Xen disk can have; none for another disk."""
    match = _XEN_DISK.fullmatch(disk)
    if match is None or not disk.startswith("xvd"):
        return ()
    return (f"/dev/sd{match[1]}", f"/dev/xvd{match[1]}", f"xvd{match[1]}", *_root_names(match[1]))


def _root_names(letters: str) -> tuple[str, ...]:
    """The root device's attachment is named with its partition."""
    return ("/dev/sda1",) if letters == "a" else ()


def _listed(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []
