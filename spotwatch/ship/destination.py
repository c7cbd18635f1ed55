"""Where shipped objects go: an S3 bucket or a directory, with the same keys and the same guarantees."""

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import IO, Final, Protocol

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
        """See `Destination.put`: written without a name, synced, and given its own only if that is free."""
        path = self._path(key)
        if path.exists():
            return False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _directory(path.parent) as directory, _nameless(path.parent) as (file, found_at):
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fchmod(file.fileno(), 0o640)
                os.fsync(file.fileno())
                linked = _link(found_at, path, directory)
                _sync(directory)
        except OSError as error:
            raise _refused(path, error) from None
        return linked

    def find(self, key: str) -> Stored | None:
        """See `Destination.find`."""
        path = self._path(key)
        try:
            found = path.stat()
            return Stored(key, found.st_size) if S_ISREG(found.st_mode) else None
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


def _link(found_at: str, path: Path, directory: int) -> bool:
    """Give a file its own name, unless another has it."""
    try:
        os.link(found_at, path, src_dir_fd=directory)  # with a descriptor it follows the link in /proc
    except FileExistsError:
        return False
    return True


@contextmanager
def _directory(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _nameless(directory: Path) -> Iterator[tuple[IO[bytes], str]]:
    """A new file, and where it can be found in order to be linked.

    If we are killed nothing of it stays; but where the file system knows no such files (O_TMPFILE in open(2)) it has a
    hidden name, which does.
    """
    try:
        descriptor = os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o640)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".", suffix=".part") as named:
            yield named, named.name
        return
    with open(descriptor, "wb") as file:
        yield file, f"/proc/self/fd/{descriptor}"


def _sync(directory: int) -> None:
    """The name of a new file is durable only when its directory is."""
    with suppress(OSError):  # some network file systems cannot
        os.fsync(directory)


_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def _refused(path: Path, error: OSError) -> DestinationError:
    if error.errno in _FULL:
        return DestinationFull(f"{path}: {error.strerror}", hint="make room; what was shipped before stays")
    return DestinationError(f"{path}: {error.strerror}", hint="name a directory that can be written to")
