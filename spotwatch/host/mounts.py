"""Mounts that have no mount point: a file system that only the holder of a descriptor sees.

fsopen(2), fsconfig(2) and fsmount(2) (Linux 5.2) give a mount that is in no namespace and in nobody's /proc/mounts.
It ends when the last descriptor of it is closed, hence also when its process is killed at any moment, and nobody else
can walk into it, keep it busy, or find it in its way.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Final

from spotwatch.host.syscalls import FSCONFIG, FSMOUNT, FSOPEN, syscall

_CLOEXEC = 1  # FSOPEN_CLOEXEC and FSMOUNT_CLOEXEC
_SET_FLAG = 0
_SET_STRING = 1
_CMD_CREATE = 6

_RDONLY, _NOSUID, _NODEV, _NOEXEC, _NOATIME = 0x01, 0x02, 0x04, 0x08, 0x10
_HARDENED: Final = _RDONLY | _NOSUID | _NODEV | _NOEXEC | _NOATIME
"""MOUNT_ATTR_* of linux/mount.h: whatever is on the volume, nothing of it takes effect on this host."""


@contextlib.contextmanager
def mounted(device: str, kind: str, options: Sequence[str] = ()) -> Iterator[int]:
    """The root directory of a device's file system, mounted read-only and hardened; unmounted afterwards.

    The file system itself may write to the device while it is mounted: it replays its journal.

    Args:
        device: a block device.
        kind: the kernel's name for the file system.
        options: flags of this file system, such as `nouuid`; or `key=value`.

    Yields:
        A descriptor of the root directory.

    Raises:
        OSError: the kernel refused; the message has its own words, where it gave some.
    """
    with contextlib.ExitStack() as stack:
        mount = _mount(device, kind, options)
        stack.callback(os.close, mount)
        root = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mount)
        stack.callback(os.close, root)
        yield root


def _mount(device: str, kind: str, options: Sequence[str]) -> int:
    context = syscall(FSOPEN, kind.encode(), _CLOEXEC)
    try:
        syscall(FSCONFIG, context, _SET_STRING, b"source", os.fsencode(device), 0)
        for option in ("ro", *options):
            key, given, value = option.partition("=")
            command = _SET_STRING if given else _SET_FLAG
            syscall(FSCONFIG, context, command, key.encode(), value.encode() if given else None, 0)
        syscall(FSCONFIG, context, _CMD_CREATE, None, None, 0)
        return syscall(FSMOUNT, context, _CLOEXEC, _HARDENED)
    except OSError as error:
        raise OSError(error.errno, "; ".join([error.strerror or "", *_log(context)])) from None
    finally:
        os.close(context)


def _log(context: int) -> Iterator[str]:
    """What the file system says of its refusal; each read gives one message, ENODATA ends them."""
    with contextlib.suppress(OSError):
        while message := os.read(context, 4096):
            yield message.decode(errors="replace").strip()
