"""One block device: what the kernel calls it, its partitions, and the switch that makes it read-only."""

import contextlib
import errno
import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from spotwatch.core.errors import DeviceDenied, SpotwatchError, VolumeUnreadable

_BLKROSET = 0x125D  # linux/fs.h
_BLKROGET = 0x125E


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """A disk or a partition.

    Attributes:
        path: of its node; may be a link.
        name: what the kernel calls it, such as `nvme1n1p1`.
        number: `MAJOR:MINOR`, its key in sysfs.
        disk: the kernel's name of the whole disk that it is, or is a part of.
    """

    path: str
    name: str
    number: str
    disk: str


def block_device(path: str) -> BlockDevice:
    """The block device at a path.

    Raises:
        VolumeUnreadable: there is none.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise VolumeUnreadable(f"{path}: {error.strerror}", hint="see lsblk for the devices that are there") from None
    if not stat.S_ISBLK(status.st_mode):
        raise VolumeUnreadable(f"{path} is no block device", hint="see lsblk for the devices that are there")
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    directory = os.path.realpath(f"/sys/dev/block/{number}")
    is_partition = os.path.exists(f"{directory}/partition")
    disk = os.path.dirname(directory) if is_partition else directory
    return BlockDevice(path, os.path.basename(directory), number, os.path.basename(disk))


def partitions(device: BlockDevice) -> list[BlockDevice]:
    """Its partitions in the order of their numbers; none if it is one itself."""
    directory = os.path.realpath(f"/sys/dev/block/{device.number}")
    found = [name for name in os.listdir(directory) if os.path.exists(f"{directory}/{name}/partition")]
    return [block_device(f"/dev/{name}") for name in sorted(found, key=lambda name: (len(name), name))]


def size_of(path: str) -> int:
    """Bytes.

    Raises:
        OSError: the device is gone.
    """
    with _opened(path) as descriptor:
        return os.lseek(descriptor, 0, os.SEEK_END)


def check_unused(device: BlockDevice) -> None:
    """See that nobody has mounted or stacked the device, or a part of it: its users would find it read-only.

    Raises:
        VolumeUnreadable: somebody has.
        DeviceDenied: we may not look.
    """
    try:
        os.close(os.open(device.path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))  # O_EXCL: a claim, as mount(2) makes
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise refused(device.path, error) from None
        raise VolumeUnreadable(
            f"{device.path} is in use: mounted, or part of LVM, RAID or an encrypted device",
            hint="unmount it; findmnt and lsblk show by whom it is used",
        ) from None


def refused(what: str, error: OSError) -> SpotwatchError:
    """What it means that a device cannot be used: a fault of this process, or of the volume."""
    message = f"{what}: {error.strerror}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return DeviceDenied(message, hint="run as root (CAP_SYS_ADMIN)")
    return VolumeUnreadable(message, hint="see the kernel log")


@contextlib.contextmanager
def read_only(*devices: BlockDevice) -> Iterator[None]:
    """Let the kernel refuse every write to these devices; those that were writable are so again afterwards.

    They are held open meanwhile: should one be detached, its name is given to no other device, which we would then
    take for it and write to.

    If we are killed they stay read-only, until they are attached anew: the safe side.

    Raises:
        DeviceDenied: the kernel does not let us.
        VolumeUnreadable: the device cannot be used.
    """
    with contextlib.ExitStack() as stack:
        for device in devices:
            try:
                descriptor = stack.enter_context(_opened(device.path))
                if _set_read_only(descriptor, True):
                    stack.callback(_restore, descriptor)
            except OSError as error:
                raise refused(f"{device.path} cannot be made read-only", error) from None
        yield


def _restore(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # the device has vanished meanwhile
        _set_read_only(descriptor, False)


def _set_read_only(descriptor: int, wanted: bool) -> bool:
    """Whether that has changed anything."""
    before = fcntl.ioctl(descriptor, _BLKROGET, bytes(4)) != bytes(4)
    if before != wanted:
        fcntl.ioctl(descriptor, _BLKROSET, int(wanted).to_bytes(4, sys.byteorder))
    return before != wanted


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
