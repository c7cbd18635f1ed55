"""`spotwatch.ship.tree.Tree` over a plain directory that nobody else writes to; the hardened one is the host's."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from spotwatch.ship.tree import LogFile, Unreadable


class DirectoryTree:
    """A directory as the root of a volume.

    Args:
        root: the directory.
        inodes: the number of a file by its path, where a copy could not keep it.
        unreadable: paths that cannot be opened, as if the disk were damaged there.
    """

    def __init__(
        self, root: Path, inodes: Mapping[str, int] | None = None, unreadable: frozenset[str] = frozenset()
    ) -> None:
        self.root = root
        self.inodes = dict(inodes or {})
        self.unreadable = unreadable

    def files(self) -> Iterator[LogFile | Unreadable]:
        paths = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*"))
        for path in sorted(paths):
            if file := self.find(path):
                yield file

    def open(self, path: str) -> BinaryIO:
        if path in self.unreadable:
            raise OSError(5, "Input/output error")
        if not self.find(path):
            raise FileNotFoundError(2, "No such file or directory", path)
        return (self.root / path).open("rb")

    def read(self, path: str, start: int, end: int) -> memoryview:
        with self.open(path) as file:
            file.seek(start)
            return memoryview(file.read(end - start))

    def find(self, path: str) -> LogFile | None:
        try:
            status = os.lstat(self.root / path)
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        inode = self.inodes.get(path, status.st_ino)
        return LogFile(path, inode, status.st_size, status.st_blocks * 512, status.st_mtime_ns)

    def list(self, path: str) -> list[str]:
        directory = self.root / path
        inside = directory.iterdir() if directory.is_dir() else ()
        return sorted(str(entry.relative_to(self.root)) for entry in inside if entry.is_file())
