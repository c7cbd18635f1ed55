"""What the kernel says of a device while it is read: the only place where some damage shows at all.

A mount that succeeds and a read that returns prove little; the file system tells the log when a checksum was wrong, a
block made no sense, or the disk failed, and goes on where it can.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Iterator

KERNEL_LOG = "/dev/kmsg"

_LONGEST_RECORD = 8192  # CONSOLE_EXT_LOG_MAX; a shorter buffer gets EINVAL
_WARNING = 4  # of syslog(3): 0 emergency ... 4 warning, 5 notice
_TROUBLE_IN_A_NOTE = re.compile(r"bdev \S+ errs: |I/O error|corrupt", re.IGNORECASE)
"""Damage that is told below the level of a warning: btrfs's error counters of earlier mounts."""

_HARMLESS = re.compile(r"maximal mount count reached|checktime reached|[Dd]eprecated|timestamps until 2038")
"""Warnings about the age of a file system."""


class KernelLog:
    """Warnings and errors about some devices, from the making of this object on.

    Args:
        path: the device of the kernel's log (linux/Documentation/ABI/testing/dev-kmsg).
    """

    def __init__(self, path: str = KERNEL_LOG) -> None:
        self._unreadable: list[str] = []
        self._descriptor: int | None = None
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._descriptor, 0, os.SEEK_END)
        except OSError as error:
            self._unreadable.append(f"the kernel log {path} cannot be read: {error.strerror}")

    def close(self) -> None:
        """Read no more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def news(self, devices: Iterable[str]) -> list[str]:
        """Trouble with these devices that has not been told before; also if the log itself cannot be read.

        Args:
            devices: names as the kernel uses them, such as `nvme1n1` and `dm-0`.
        """
        about = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, devices))})(?!\w)")
        records = list(self._records(self._descriptor)) if self._descriptor is not None else []
        unreadable, self._unreadable = self._unreadable, []
        return unreadable + [text for text in map(_trouble, records) if text is not None and about.search(text)]

    def _records(self, descriptor: int) -> Iterator[str]:
        while True:
            try:
                record = os.read(descriptor, _LONGEST_RECORD)
            except BlockingIOError:
                return
            except OSError as error:
                self._unreadable.append(f"not all of the kernel log could be read: {error.strerror}")
                if error.errno != errno.EPIPE:  # EPIPE: older records were overwritten, the next read goes on
                    return
            else:
                if not record:
                    return
                yield record.decode(errors="replace")

    def __enter__(self) -> "KernelLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _trouble(record: str) -> str | None:
    """The message of a record `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS;TEXT`, if it is about something wrong."""
    head, _, rest = record.partition(";")
    text = rest.partition("\n")[0]
    with contextlib.suppress(ValueError):
        is_warning = int(head.partition(",")[0]) & 7 <= _WARNING
        if (is_warning or _TROUBLE_IN_A_NOTE.search(text)) and not _HARMLESS.search(text):
            return text
    return None
