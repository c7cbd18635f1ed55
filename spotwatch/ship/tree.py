"""The files of a volume as this room sees them: who lists and opens them, and what is known of one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class LogFile:
    """A regular file on the volume.

    Attributes:
        path: relative to the root of the file system; bytes that are no UTF-8 are surrogates (`os.fsdecode`).
        inode: its number on the volume, the same on every host.
        size: bytes, holes included.
        allocated: bytes on the disk; far fewer than `size` for a sparse file.
        modified_ns: nanoseconds since 1970.
    """

    path: str
    inode: int
    size: int
    allocated: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file or directory that could not be read, and why: an anomaly, since nobody knows what was in it."""

    path: str
    reason: str


class Tree(Protocol):
    """A file system that may be damaged or hostile. Nothing outside it is ever opened through it."""

    def files(self) -> Iterator[LogFile | Unreadable]:
        """Every regular file, in the order of their paths; links, devices, sockets and pipes are passed over."""
        ...

    def open(self, path: str) -> BinaryIO:
        """The regular file at this path, for reading.

        Raises:
            OSError: there is none that may be opened: missing, a link on the way, no regular file, a read error.
        """
        ...

    def find(self, path: str) -> LogFile | None:
        """What is known of the regular file at this path; None if there is none."""
        ...

    def list(self, path: str) -> list[str]:
        """The paths of the regular files directly in this directory, sorted; empty if there is no such directory."""
        ...
