"""Where shipped objects go: an S3 bucket or a directory, with the same keys and the same guarantees."""

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from spotwatch.core.errors import DestinationError, DestinationFull
from spotwatch.core.stored import Stored

CHUNK: Final = 1024 * 1024
"""Bytes that are read of an object at a time."""


class Destination(Protocol):
    """Keeps objects under keys. An object is there whole or not at all, and is never changed."""

    @property
    def url(self) -> str:
        """What it is called on the command line."""
        ...

    def put(self, key: str, chunks: Iterable[bytes]) -> bool:
        """Store an object under a key that has none; False if it has one, which stays as it is.

        The destination verifies what arrives against checksums that are made here.

        Args:
            key: where.
            chunks: its content, of any sizes; asked for as it is sent, and not all of it if the key is taken.

        Raises:
            DestinationFull: there is no room for it.
            DestinationError: it could not be stored, after as much patience as there is.
        """
        ...

    def find(self, key: str) -> Stored | None:
        """What is stored under a key; None if nothing is.

        Raises:
            DestinationError: it could not be found out.
        """
        ...

    def below(self, prefix: str) -> Iterator[Stored]:
        """The objects whose keys begin with this, in the order of their keys.

        Raises:
            DestinationError: they could not be listed.
        """
        ...

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes of an object from `start` on, `length` of them or all.

        Raises:
            DestinationError: it is not there, or could not be read to the end.
        """
        ...


class Directory:
    """A destination in the file system: a key is a path below the root."""

    def __init__(self, root: Path) -> None:
        """Nothing is made yet.

        Args:
            root: an absolute path.
        """
        self._root = root

    @property
    def url(self) -> str:
        """As on the command line."""
        return self._root.as_uri()

    def put(self, key: str, chunks: Iterable[bytes]) -> bool:
        """See `Destination.put`: written under another name, synced, and linked to its own only if that is free."""
        path = self._path(key)
        if path.exists():
            return False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fchmod(file.fileno(), 0o640)
                os.fsync(file.fileno())
                os.link(file.name, path)
            _sync_directory(path.parent)
        except FileExistsError:
            return False
        except OSError as error:
            raise _refused(path, error) from None
        return True

    def find(self, key: str) -> Stored | None:
        """See `Destination.find`."""
        path = self._path(key)
        try:
            return Stored(key, path.stat().st_size)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _refused(path, error) from None

    def below(self, prefix: str) -> Iterator[Stored]:
        """See `Destination.below`."""
        top = self._path(prefix.rpartition("/")[0])
        try:
            paths = sorted(path for path in top.rglob("*") if path.is_file() and not path.name.startswith("."))
        except OSError as error:
            raise _refused(top, error) from None
        for path in paths:
            key = path.relative_to(self._root).as_posix()
            if key.startswith(prefix):
                yield Stored(key, path.stat().st_size)

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See `Destination.read`."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                file.seek(start)
                left = length
                while chunk := file.read(CHUNK if left is None else min(CHUNK, left)):
                    left = None if left is None else left - len(chunk)
                    yield chunk
        except OSError as error:
            raise _refused(path, error) from None
        if left:
            raise DestinationError(f"{path} ends {left} bytes too early", hint="see what has changed it")

    def _path(self, key: str) -> Path:
        """Where an object is; never outside the root, whatever the names on a volume are."""
        if {"", ".", ".."} & set(key.split("/")) and key:
            raise DestinationError(f'"{key}" is no key of an object', hint="see the tags of the volume")
        return self._root / key


def _sync_directory(path: Path) -> None:
    """The name of a new file is durable only when its directory is."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # some network file systems cannot
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def _refused(path: Path, error: OSError) -> DestinationError:
    if error.errno in _FULL:
        return DestinationFull(f"{path}: {error.strerror}", hint="make room; what was shipped before stays")
    return DestinationError(f"{path}: {error.strerror}", hint="name a directory that can be written to")
