"""What can be read of a damaged volume in either of two ways: as its journal leaves it, and after a repair.

A repair throws away what it cannot make sense of, and finds what hangs loose; so neither way shows all. The first way
is preferred everywhere, and the second one is made only when something is wrong.
"""

import contextlib
import errno
import io
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, Protocol

from spotwatch.core.log_file import LogFile, Unreadable

_BUFFER: Final = 1 << 17


class Tree(Protocol):
    """Each of the two ways; `spotwatch.ship.tree.Tree` has the contract."""

    def files(self) -> Iterator[LogFile | Unreadable]:
        """Every regular file, in the order of their paths."""
        ...

    def open(self, path: str) -> BinaryIO:
        """The regular file at this path."""
        ...

    def read(self, path: str, start: int, end: int) -> memoryview:
        """Some of its bytes."""
        ...

    def find(self, path: str) -> LogFile | None:
        """What is known of it."""
        ...

    def list(self, path: str) -> list[str]:
        """The paths of the regular files directly in this directory."""
        ...


class UnitedTree:
    """Both ways as one tree; implements `spotwatch.ship.tree.Tree`.

    Of one path the second way's file is taken only if it is longer, or the first way has none; a part of a file that
    the first way cannot read is read from the second.

    Args:
        first: as the journal leaves it.
        repair: makes the second way when it is asked for the first time; None if there is no second way.
        note: told of every path that the first way could not read, with the reason.
        damaged: whether it is known already that the first way does not show all.
    """

    def __init__(
        self, first: Tree, repair: Callable[[], Tree | None], note: Callable[[str, str], None], *, damaged: bool = False
    ) -> None:
        self._first = first
        self._repair = repair
        self._note = note
        self._damaged = damaged

    def files(self) -> Iterator[LogFile | Unreadable]:
        """Every regular file, in the order of their paths."""
        second = self._second() if self._damaged else None
        if second is None:
            yield from self._first_files()
        else:
            yield from self._united(second)

    def open(self, path: str) -> BinaryIO:
        """The regular file at this path, for reading; where the first way fails in its middle, the second goes on.

        Raises:
            OSError: there is none that may be opened.
        """
        second = self._second() if self._damaged else None
        if second is not None and _is_better(second.find(path), self._first.find(path)):
            return second.open(path)
        try:
            file = self._first.open(path)
        except OSError as error:
            if error.errno in _NOT_THERE or (other := self._after(path, error)) is None:
                raise
            return other.open(path)
        return io.BufferedReader(_TwiceReadable(file, lambda error: self._same(file, path, error)), _BUFFER)

    def read(self, path: str, start: int, end: int) -> memoryview:
        """Some bytes of the regular file at this path; where the first way fails, as `open` has it."""
        if not self._damaged:
            with contextlib.suppress(OSError):
                return self._first.read(path, start, end)
        with self.open(path) as file:
            file.seek(start)
            return memoryview(file.read(end - start))

    def find(self, path: str) -> LogFile | None:
        """What is known of the regular file at this path; None if there is none."""
        first = self._first.find(path)
        second = self._second() if self._damaged else None
        found = second.find(path) if second is not None else None
        return found if _is_better(found, first) else first

    def list(self, path: str) -> list[str]:
        """The paths of the regular files directly in this directory, sorted; empty if there is no such directory."""
        second = self._second() if self._damaged else None
        return sorted({*self._first.list(path), *(second.list(path) if second is not None else ())})

    def _second(self) -> Tree | None:
        return self._repair()

    def _after(self, path: str, error: OSError) -> Tree | None:
        """The second way, now that the first has failed."""
        self._note(path, error.strerror or str(error))
        self._damaged = True
        return self._second()

    def _same(self, file: BinaryIO, path: str, error: OSError) -> BinaryIO | None:
        """The second way's file at the same path, if it is the same file."""
        second = self._after(path, error)
        found = second.find(path) if second is not None else None
        if second is None or found is None or found.inode != os.fstat(file.fileno()).st_ino:
            return None
        with contextlib.suppress(OSError):
            return second.open(path)
        return None

    def _first_files(self) -> Iterator[LogFile | Unreadable]:
        for found in self._first.files():
            if isinstance(found, Unreadable):
                self._note(found.path, found.reason)
            yield found

    def _united(self, second: Tree) -> Iterator[LogFile | Unreadable]:
        """Both in the order of their paths; a file that the repair has only moved is told once."""
        known = {_content(found) for found in self._first.files() if isinstance(found, LogFile)}
        rest = _Ahead(found for found in second.files() if isinstance(found, LogFile))
        for found in self._first_files():
            yield from (other for other in rest.before(found.path) if _content(other) not in known)
            twin = rest.take(found.path)
            yield twin if twin is not None and _is_better(twin, found) else found
        yield from (other for other in rest.before(None) if _content(other) not in known)


_NOT_THERE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.EINVAL, errno.ENXIO, errno.EACCES)
"""What says that there is no such regular file, or none that is opened; nothing is damaged by it."""


def _content(file: LogFile) -> tuple[int, int, int]:
    """What stays the same when a repair moves a file to lost+found."""
    return file.inode, file.size, file.modified_ns


def _is_better(second: LogFile | None, first: LogFile | Unreadable | None) -> bool:
    if second is None:
        return False
    return not isinstance(first, LogFile) or second.size > first.size


class _Ahead:
    """Files in the order of their paths, of which the next one can be looked at."""

    def __init__(self, files: Iterator[LogFile]) -> None:
        self._files = files
        self._next = next(files, None)

    def before(self, path: str | None) -> Iterator[LogFile]:
        """Those before a path, or all that are left."""
        while self._next is not None and (path is None or self._next.path < path):
            found, self._next = self._next, next(self._files, None)
            yield found

    def take(self, path: str) -> LogFile | None:
        """The one at this path, if it is the next."""
        if self._next is None or self._next.path != path:
            return None
        found, self._next = self._next, next(self._files, None)
        return found


class _TwiceReadable(io.RawIOBase):
    """A file whose unreadable parts are read from another one."""

    def __init__(self, file: BinaryIO, other: Callable[[OSError], BinaryIO | None]) -> None:
        super().__init__()
        self._file = file
        self._find_other = other
        self._other: BinaryIO | None = None
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = self._file.seek(offset, whence) if whence != os.SEEK_CUR else self._position + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's buffer is wider
        try:
            count = os.preadv(self._file.fileno(), [buffer], self._position)
        except OSError as error:
            count = self._read_other(buffer, error)
        self._position += count
        return count

    def _read_other(self, buffer: memoryview, error: OSError) -> int:
        if self._other is None:
            self._other = self._find_other(error)
        if self._other is None:
            raise error
        with contextlib.suppress(OSError):
            number = self._other.fileno()
            # Where the repair has put a hole, nothing was read: zeros would pass for content.
            if os.lseek(number, self._position, os.SEEK_DATA) == self._position:
                return os.preadv(number, [buffer], self._position)
        raise error

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            if self._other is not None:
                self._other.close()
        super().close()
