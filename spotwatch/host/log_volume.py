"""From what a setting calls the log volume to the EBS volumes that have to be kept, or a refusal that says why not."""

import contextlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from spotwatch.core.errors import VolumeRefused, VolumeUnreadable
from spotwatch.host.block_devices import VOLUME_ID, BlockDevices, Stack, xen_names
from spotwatch.host.mount_table import Mount, mount_with, read_mounts
from spotwatch.host.signature import probe

_INSTANCE_STORE: Final = "Amazon EC2 NVMe Instance Storage"
"""Its model (EC2 user guide, "NVMe device names")."""

_MEMORY: Final = ("tmpfs", "ramfs", "devtmpfs", "hugetlbfs")
_NETWORK: Final = ("nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "lustre", "afs", "virtiofs")
_KEEP: Final = "keep the logs on an EBS volume of their own, with a plain file system"


@dataclass(frozen=True, slots=True)
class LogVolume:
    """The EBS volumes that a path, a device or a volume id stands for.

    Attributes:
        volume_ids: of all of them; empty on Xen, where only AWS knows them.
        attached_as: for a Xen disk the device names that its attachment can have; else empty.
        device: the path of the block device with the file system, or of the disk.
        mount_point: where it is mounted; empty if it is not.
        filesystem_uuid: empty if there is no file system, or it cannot be read.
        layers: what is between the file system and the volumes, see `Stack`; empty for a plain volume. With any, all
            the volumes have to be kept, and shipping has to be done by hand.
        is_root: whether the root file system of this instance is on one of them.
    """

    volume_ids: tuple[str, ...]
    attached_as: tuple[str, ...]
    device: str
    mount_point: str
    filesystem_uuid: str
    layers: tuple[str, ...]
    is_root: bool


def _probed_uuid(path: str) -> str:
    with contextlib.suppress(VolumeUnreadable):
        return probe(path).uuid
    return ""


class LogVolumes:
    """Finds log volumes on this machine.

    Args:
        devices: its block devices.
        mountinfo: the path of its list of mounts.
        uuid_of: the UUID of the file system on the device at a path; empty if there is none.
    """

    def __init__(
        self,
        devices: BlockDevices,
        mountinfo: str = "/proc/self/mountinfo",
        uuid_of: Callable[[str], str] = _probed_uuid,
    ) -> None:
        self._devices = devices
        self._mountinfo = mountinfo
        self._uuid_of = uuid_of

    def log_volume_of(self, what: str) -> LogVolume:
        """The volumes that hold what a setting calls the log volume.

        Args:
            what: a volume id, the path of a block device, or a path on a mounted file system, such as its mount point.

        Raises:
            VolumeRefused: it is not here, or on nothing that outlives the instance; on what, and what to do.
        """
        if VOLUME_ID.fullmatch(what):
            device = self._devices.of_volume(what)
            if device is None:
                raise VolumeRefused(f"{what} is not attached to this instance", hint="see lsblk -o NAME,SERIAL")
            return self._of_device(os.path.basename(device))
        try:
            status = os.stat(what)
        except OSError as error:
            raise VolumeRefused(f"{what}: {error.strerror}", hint="name a mount point, a device or a volume") from None
        if stat.S_ISBLK(status.st_mode):
            return self._of_device(self._name(what, _number(status)))
        return self._of_path(what)

    def _of_path(self, path: str) -> LogVolume:
        mount = mount_with(self._mounts(), os.path.realpath(path))
        if mount is None:
            raise VolumeRefused(f"{path} is on no mount that can be seen here", hint="name a device or a volume id")
        _refuse_foreign(path, mount)
        number = self._number_of(mount)
        if number is None:
            raise VolumeRefused(f"{path} is on {mount.kind} ({mount.source}), which is no block device", hint=_KEEP)
        return self._answer(self._name(path, number), mount.point)

    def _of_device(self, name: str) -> LogVolume:
        mounts = [mount for mount in self._mounts() if self._is_of(mount, name)]
        return self._answer(name, mounts[0].point if mounts else "")

    def _answer(self, name: str, mount_point: str) -> LogVolume:
        path = self._devices.path(name)
        uuid = self._uuid_of(path)
        stacks = [self._devices.stack(device) for device in [name, *self._devices.btrfs_members(uuid)]]
        disks = sorted({disk for stack in stacks for disk in stack.disks})
        for disk in disks:
            self._refuse_fleeting(disk)
        ids = [self._devices.volume_id(disk) for disk in disks]
        return LogVolume(
            volume_ids=tuple(volume for volume in ids if volume is not None),
            attached_as=tuple(alias for disk in disks for alias in xen_names(disk)),
            device=path,
            mount_point=mount_point,
            filesystem_uuid=uuid,
            layers=tuple(dict.fromkeys(layer for stack in stacks for layer in stack.layers)),
            is_root=not set(disks).isdisjoint(self._root().disks),
        )

    def _refuse_fleeting(self, disk: str) -> None:
        model = self._devices.attribute(disk, "device/model")
        if model == _INSTANCE_STORE:
            message = f"{disk} is instance store: it is erased when the instance is stopped or terminated"
            raise VolumeRefused(message, hint=_KEEP)
        backing = self._devices.attribute(disk, "loop/backing_file")
        if backing:
            raise VolumeRefused(f"{disk} is a loop device over {backing}", hint=f"name the directory of {backing}")
        if self._devices.volume_id(disk) is None and not xen_names(disk):
            serial = self._devices.attribute(disk, "device/serial")
            told = f"model: {model or 'unknown'}, serial: {serial or 'none'}"
            raise VolumeRefused(f"{disk} is no EBS volume ({told})", hint=_KEEP)

    def _root(self) -> Stack:
        """What the root file system rests on; nothing where it is on no device, as in a container."""
        mount = mount_with(self._mounts(), "/")
        number = self._number_of(mount) if mount is not None else None
        name = self._devices.name(number) if number is not None else None
        return self._devices.stack(name) if name is not None else Stack((), ())

    def _number_of(self, mount: Mount) -> str | None:
        """The device number of a mount; the number that btrfs shows is no device's, its source is."""
        if not mount.number.startswith("0:"):
            return mount.number
        with contextlib.suppress(OSError):
            status = os.stat(mount.source)
            if stat.S_ISBLK(status.st_mode):
                return _number(status)
        return None

    def _is_of(self, mount: Mount, name: str) -> bool:
        """Whether a mount is of a device or a part of it."""
        number = self._number_of(mount)
        mounted = self._devices.name(number) if number is not None else None
        return mounted is not None and (mounted == name or name in self._devices.stack(mounted).disks)

    def _name(self, what: str, number: str) -> str:
        name = self._devices.name(number)
        if name is None:
            raise VolumeRefused(f"{what} is on the device {number}, which the kernel does not show", hint=_KEEP)
        return name

    def _mounts(self) -> list[Mount]:
        return read_mounts(self._mountinfo)


def _refuse_foreign(path: str, mount: Mount) -> None:
    where = f"{path} is on {mount.kind} ({mount.source})"
    if mount.kind in _MEMORY:
        raise VolumeRefused(f"{where}: it is in memory and ends with the instance", hint=_KEEP)
    if mount.kind in _NETWORK:
        raise VolumeRefused(f"{where}: a network file system, which outlives the instance anyway", hint=_KEEP)
    if mount.kind == "overlay":
        raise VolumeRefused(f"{where}: the file system of a container", hint=_KEEP)


def _number(status: os.stat_result) -> str:
    return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
