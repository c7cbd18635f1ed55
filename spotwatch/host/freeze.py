"""A mounted file system: written to the disk, frozen, thawed (syncfs(2), ioctl_fs(4): FIFREEZE, FITHAW).

Freezing needs CAP_SYS_ADMIN and works from any mount namespace, for everybody: whoever writes then waits until somebody
thaws it. So who freezes has to be sure that it is thawed, see `spotwatch.host.final_sync`.
"""

import contextlib
import ctypes
import fcntl
import os
from collections.abc import Iterator, Sequence

from spotwatch.host.mount_table import Mount, mount_with, read_mounts

_FIFREEZE = 0xC0045877  # linux/fs.h
_FITHAW = 0xC0045878

_LIBC = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    """A descriptor of a directory, by which its file system can be synced, frozen and thawed.

    Raises:
        OSError: there is no such directory.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sync(descriptor: int) -> None:
    """Write everything that is not written yet to the disk; other file systems are left alone.

    Raises:
        OSError: something could not be written, now or since the last call (Linux 5.8).
    """
    if _LIBC.syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def freeze(descriptor: int) -> None:
    """Write everything, and let every writer wait from now on.

    Raises:
        OSError: not permitted, not supported, or somebody else has frozen it.
    """
    fcntl.ioctl(descriptor, _FIFREEZE, 0)


def thaw(descriptor: int) -> None:
    """Let the writers go on.

    Raises:
        OSError: not permitted, or it is not frozen.
    """
    fcntl.ioctl(descriptor, _FITHAW, 0)


def what_would_hang(path: str, spared: Sequence[str], mountinfo: str = "/proc/self/mountinfo") -> str:
    """The first of `spared` that is on the same file system as `path`; empty if none is.

    Args:
        path: on the file system that may be frozen.
        spared: paths; those that do not exist count where they would be.
        mountinfo: the path of the list of mounts.

    Raises:
        OSError: the list of mounts cannot be read.
    """
    mounts = read_mounts(mountinfo)
    frozen = mount_with(mounts, os.path.realpath(path))
    for other in spared:
        mount = mount_with(mounts, os.path.realpath(other))
        if frozen is not None and mount is not None and _is_same(frozen, mount):
            return other
    return ""


def _is_same(one: Mount, other: Mount) -> bool:
    """Each subvolume of a btrfs has a number of its own, and all of them are frozen together."""
    return one.number == other.number or (one.kind == other.kind == "btrfs" and one.source == other.source)
