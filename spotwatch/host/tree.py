"""The files of a mounted volume that may be damaged or hostile; implements `spotwatch.ship.tree.Tree`.

What this survives: symbolic links out of the volume, `..`, absolute paths, device nodes, pipes that nobody writes to,
directories that contain themselves or go down for ever, names that are no UTF-8, and read errors anywhere. A path is
resolved by the kernel beneath the root, without links and without crossing a mount (openat2(2), Linux 5.6; one step
after the other where it is missing), and only a regular file is ever handed out.
"""

import ctypes
import errno
import mmap
import os
import stat
from collections.abc import Iterator
from functools import cached_property
from threading import local
from typing import BinaryIO, Final

from spotwatch.core.log_file import LogFile, Unreadable
from spotwatch.host.syscalls import OPENAT2, syscall

DEEPEST: Final = 128
"""Directories below one another. Each costs a descriptor while the tree is walked."""

_RESOLVE: Final = 0x01 | 0x02 | 0x04 | 0x08
"""linux/openat2.h: NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH."""

_SAFE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""O_NONBLOCK: opening a pipe waits for nobody."""

_DIRECT_FROM: Final = 128 * 1024
"""Bytes: of smaller files the page cache has all since they were looked at."""

_ALIGNED: Final = 4096
"""Bytes: where reads past the page cache begin and end, whatever the logical blocks of the device are (open(2))."""

_BLOCK = 512  # of st_blocks (stat(2))
_LONGEST_PATH = 4096  # PATH_MAX


class DirectoryTree:
    """The tree below a directory.

    Args:
        root: a descriptor of the directory; it stays the caller's.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._memory = _Memory()

    def files(self) -> Iterator[LogFile | Unreadable]:
        """Every regular file, in the order of their paths. It is walked once: nobody writes to it meanwhile."""
        return iter(self._files)

    @cached_property
    def _files(self) -> tuple[LogFile | Unreadable, ...]:
        directory = os.open(".", _SAFE | os.O_DIRECTORY, dir_fd=self._root)  # of its own, with a place of its own in it
        try:
            return tuple(_walk(directory, "", set(), 0))
        finally:
            os.close(directory)

    def open(self, path: str) -> BinaryIO:
        """The regular file at this path, for reading.

        Raises:
            OSError: there is none that may be opened.
        """
        descriptor = self._open(path, _SAFE)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return open(descriptor, "rb")
        os.close(descriptor)
        raise OSError(errno.EINVAL, "no regular file", path)

    def read(self, path: str, start: int, end: int) -> memoryview:
        """Some bytes of the regular file at this path, fewer at its end; there until the same thread reads again.

        Much at a time is read past the page cache, where the file system lets us: a copy there is of no use to what is
        read once, costs as much time as the reading, and pushes out what others of this host have there.

        Raises:
            OSError: not all of them could be read.
        """
        descriptor = self._open_direct(path) if end - start >= _DIRECT_FROM else self._open(path, _SAFE)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "no regular file", path)
            first, last = start - start % _ALIGNED, -(-end // _ALIGNED) * _ALIGNED
            memory = self._memory.of(last - first)
            read = first + os.preadv(descriptor, [memory], first)
        finally:
            os.close(descriptor)
        if read < min(end, status.st_size):  # the rest cannot be read
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return memory[start - first : max(start, min(end, read)) - first]

    def find(self, path: str) -> LogFile | None:
        """What is known of the regular file at this path; None if there is none that could be opened."""
        try:
            descriptor = self._open(path, _SAFE)
        except OSError:
            return None
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        return _found(path, status) if stat.S_ISREG(status.st_mode) else None

    def _open_direct(self, path: str) -> int:
        try:
            return self._open(path, _SAFE | os.O_DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:  # what a file system says that cannot (open(2))
                raise
            return self._open(path, _SAFE)

    def _open(self, path: str, flags: int) -> int:
        if "\0" in path:
            raise OSError(errno.EINVAL, "a NUL in the path", path)
        if len(os.fsencode(path)) < _LONGEST_PATH:
            return _open_beneath(self._root, path, flags)
        return _open_stepwise(self._root, path, flags)

    def list(self, path: str) -> list[str]:
        """The paths of the regular files directly in this directory, sorted; empty if it cannot be read."""
        prefix = f"{path.rstrip('/')}/" if path.strip("/.") else ""
        try:
            directory = self._open(prefix.rstrip("/") or ".", _SAFE | os.O_DIRECTORY)
        except OSError:
            return []
        try:
            entries, _ = _entries(directory)
        finally:
            os.close(directory)
        return [prefix + name for name, reason in entries if not reason and not name.endswith("/")]


class _Memory(local):
    """A thread's own memory to read into, which begins at a page's beginning, as reading past the page cache needs."""

    def __init__(self) -> None:
        self._view = memoryview(bytearray())

    def of(self, size: int) -> memoryview:
        """So many bytes of it; what was there is overwritten."""
        if len(self._view) < size:
            self._view = memoryview(mmap.mmap(-1, size))
        return self._view[:size]


Walked = Iterator[LogFile | Unreadable]


def _walk(directory: int, prefix: str, seen: set[tuple[int, int]], depth: int) -> Walked:
    """Files below a directory; `seen` are the directories before it, so that each is walked once."""
    seen.add(_identity(os.fstat(directory)))
    entries, trouble = _entries(directory)
    if trouble:
        yield Unreadable(prefix.rstrip("/") or ".", trouble)
    for name, reason in entries:
        path = prefix + name.rstrip("/")
        if reason:
            yield Unreadable(path, reason)
        elif name.endswith("/"):
            yield from _enter(directory, path, name.rstrip("/"), seen, depth + 1)
        else:
            yield from _look(directory, path, name)


def _enter(parent: int, path: str, name: str, seen: set[tuple[int, int]], depth: int) -> Walked:
    if depth > DEEPEST:
        yield Unreadable(path, f"more than {DEEPEST} directories deep")
        return
    try:
        directory = _open_beneath(parent, name, _SAFE | os.O_DIRECTORY)
    except OSError as error:
        yield Unreadable(path, _reason(error))
        return
    try:
        if _identity(os.fstat(directory)) in seen:
            yield Unreadable(path, "a directory that is in two places")
        else:
            yield from _walk(directory, f"{path}/", seen, depth)
    finally:
        os.close(directory)


def _look(directory: int, path: str, name: str) -> Walked:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        yield Unreadable(path, _reason(error))
        return
    if stat.S_ISREG(status.st_mode):
        yield _found(path, status)


def _entries(directory: int) -> tuple[list[tuple[str, str]], str]:
    """The files and directories in a directory, these with a slash; and why not all of them, or nothing.

    Each with why it could not be looked at, or nothing; in the order in which their paths sort, for which the slash
    counts.
    """
    entries: list[tuple[str, str]] = []
    try:
        with os.scandir(directory) as scan:
            entries.extend(filter(None, map(_classified, scan)))  # those before an error stay in it
    except OSError as error:
        return sorted(entries), _reason(error)
    return sorted(entries), ""


def _classified(entry: "os.DirEntry[str]") -> tuple[str, str] | None:
    """The entry as `_entries` gives it; None for what is neither file nor directory."""
    try:
        if entry.is_dir(follow_symlinks=False):
            return f"{entry.name}/", ""
        return (entry.name, "") if entry.is_file(follow_symlinks=False) else None
    except OSError as error:
        return entry.name, _reason(error)


class _OpenHow(ctypes.Structure):
    """`struct open_how` (linux/openat2.h)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def _open_beneath(directory: int, path: str, flags: int) -> int:
    how = _OpenHow(flags, 0, _RESOLVE)
    try:
        return syscall(OPENAT2, directory, os.fsencode(path), how, ctypes.sizeof(how))
    except OSError as error:
        if error.errno == errno.ENOSYS:
            return _open_stepwise(directory, path, flags)
        raise OSError(error.errno, error.strerror, path) from None


def _open_stepwise(directory: int, path: str, flags: int) -> int:
    """The same one name after the other, none of which may be a link, `..` or a mount."""
    *parents, last = path.split("/")
    if ".." in parents or last in ("", "..") or path.startswith("/"):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    current = os.dup(directory)
    try:
        for name in parents:
            current = _step(current, name or ".", _SAFE | os.O_DIRECTORY)
        descriptor = os.open(last, flags, dir_fd=current)
    finally:
        os.close(current)
    return _on_same_volume(descriptor, directory, path)


def _step(directory: int, name: str, flags: int) -> int:
    """The descriptor of an entry, in exchange for the directory's; on an error the directory's stays open."""
    below = os.open(name, flags, dir_fd=directory)
    os.close(directory)
    return below


def _on_same_volume(descriptor: int, root: int, path: str) -> int:
    if os.fstat(descriptor).st_dev == os.fstat(root).st_dev:
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)


def _found(path: str, status: os.stat_result) -> LogFile:
    return LogFile(path, status.st_ino, status.st_size, status.st_blocks * _BLOCK, status.st_mtime_ns)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
