"""The files of a volume as this room sees them: who lists and opens them, and what is known of one."""

from collections.abc import Iterator
from typing import BinaryIO, Protocol

from spotwatch.core.log_file import LogFile, Unreadable

__all__ = ["LogFile", "Tree", "Unreadable"]


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

    def read(self, path: str, start: int, end: int) -> memoryview:
        """The bytes of the regular file at this path from `start` to `end`, or to its own end if that comes before.

        They are there until the same thread reads again.

        Raises:
            OSError: not all of them could be read.
        """
        ...

    def find(self, path: str) -> LogFile | None:
        """What is known of the regular file at this path; None if there is none."""
        ...

    def list(self, path: str) -> list[str]:
        """The paths of the regular files directly in this directory, sorted; empty if there is no such directory."""
        ...
