"""Loop devices that vanish by themselves (loop(4)).

What this survives: SIGKILL. The kernel detaches a loop device with LO_FLAGS_AUTOCLEAR when its last user is gone, and
LOOP_CONFIGURE (Linux 5.8) sets the file and the flag in one step, so there is no moment at which one could stay.
"""

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Iterator

_LOOP_GET_STATUS64 = 0x4C05
_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_BLKROSET = 0x125D  # linux/fs.h
_LO_FLAGS_READ_ONLY = 1
_LO_FLAGS_AUTOCLEAR = 4
_LO_FLAGS_PARTSCAN = 8

_LOOP_CONFIG = struct.Struct("=II 5Q 4I 64s 64s 32s 2Q 64x")
"""linux/loop.h: fd, block size, then struct loop_info64 (of which only the flags are ours), then reserved."""

_LOOP_INFO = struct.Struct("=5Q 4I 64s 64s 32s 2Q")
"""linux/loop.h: struct loop_info64, which begins with device and inode of the file; the flags are the last number."""

_ATTEMPTS = 64
"""Others take free loop devices too, between our asking for one and our taking it."""


@contextlib.contextmanager
def loop_device(file: int, *, read_only: bool) -> Iterator[str]:
    """A block device, with its partitions, over a regular file; gone afterwards, once nothing is mounted from it.

    Args:
        file: a descriptor; open for writing unless `read_only`. It may be closed meanwhile.
        read_only: whether the kernel refuses every write.

    Raises:
        OSError: the kernel has no loop devices, or they may not be used.
    """
    device, descriptor = _attach(file, _LO_FLAGS_AUTOCLEAR | _LO_FLAGS_PARTSCAN | (_LO_FLAGS_READ_ONLY * read_only))
    try:
        yield device
    finally:
        os.close(descriptor)


def writable_loop(file: int) -> str:
    """The loop device through which a file can be written to, whoever has attached it; empty if there is none.

    What is mounted from such a one is in no order on the file: most of what was written last is in memory only.

    Args:
        file: a descriptor of the file.
    """
    status = os.fstat(file)
    for name in sorted(os.listdir("/sys/block")):
        if os.path.exists(f"/sys/block/{name}/loop") and _is_written_through(name, status):
            return f"/dev/{name}"
    return ""


def _is_written_through(name: str, file: os.stat_result) -> bool:
    try:
        with open(f"/dev/{name}", "rb", buffering=0) as device:
            info = _LOOP_INFO.unpack(fcntl.ioctl(device, _LOOP_GET_STATUS64, bytes(_LOOP_INFO.size)))
    except OSError:  # it is gone meanwhile
        return False
    return info[:2] == (file.st_dev, file.st_ino) and not info[8] & _LO_FLAGS_READ_ONLY


def _attach(file: int, flags: int) -> tuple[str, int]:
    config = _LOOP_CONFIG.pack(file, 0, 0, 0, 0, 0, 0, 0, 0, 0, flags, b"", b"", b"", 0, 0)
    for _ in range(_ATTEMPTS):
        device = f"/dev/loop{_free_number()}"
        descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, _LOOP_CONFIGURE, config)
            if not flags & _LO_FLAGS_READ_ONLY:  # somebody may have said so before, of another file behind it
                fcntl.ioctl(descriptor, _BLKROSET, bytes(4))
        except OSError as error:
            os.close(descriptor)
            if error.errno != errno.EBUSY:
                raise
        else:
            return device, descriptor
    raise OSError(errno.EBUSY, "every free loop device was taken by others")


def _free_number() -> int:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
    finally:
        os.close(control)
