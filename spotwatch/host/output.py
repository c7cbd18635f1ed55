"""What a child writes, kept within a limit: the beginning and the most recent part.

The child writes straight into a file. A pipe would hang us when the child leaves another process behind that holds it,
and would end the child with SIGPIPE when the daemon dies.

What this survives:

- A child that writes without end: the middle is cut out while it writes. The file is opened with O_APPEND, so that the
  child goes on writing at the new end; what it writes between two looks may exceed the limit until the next one.
- A directory that is missing, read-only or full: the output goes to memory, so that a script with `set -e` does not end
  because an `echo` failed; when the child has ended it is written to its file, if that is possible by then.
- A file system that fails later: the output is lost, the child's end is not.
"""

import contextlib
import fcntl
import os
import stat

LEAST_LIMIT = 512
"""Bytes; below this the note about what is missing would itself be too long."""

MOST_RECENT = 256 * 1024
"""Bytes of the most recent part at most: it is held in memory for a moment."""

TAIL = 2048
"""Bytes of the end that are offered for the log: some twenty lines."""

_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY


class Output:
    """The file behind the stdout and stderr of one child.

    Attributes:
        descriptor: what the child gets as its stdout and stderr.
        dropped: bytes left out so far because of the limit.
        tail: the last `TAIL` bytes as text, when it is finished.

    Raises:
        OSError: there is neither a file nor memory to write to.
    """

    def __init__(self, path: str, limit: int) -> None:
        self._path = path
        self._limit = max(limit, LEAST_LIMIT)
        self._note_length = 0
        self._problem = ""
        self.dropped = 0
        self.tail = ""
        file = _open_with_room(path, self._limit)
        self._in_memory = file is None
        self.descriptor = _open_memory() if file is None else file

    def trim(self) -> None:
        """Cut out the middle if there is more than the limit allows."""
        try:
            self._trim()
        except OSError as error:
            self._problem = f"cannot keep the output within its limit: {error.strerror}"

    def _trim(self) -> None:
        size = os.fstat(self.descriptor).st_size
        if size <= self._limit:
            return
        beginning = self._limit // 2
        wanted = min(self._limit // 4, MOST_RECENT)
        recent = os.pread(self.descriptor, wanted, size - wanted)
        size = os.fstat(self.descriptor).st_size  # what was written while we read goes with the rest, and is counted
        self.dropped += size - beginning - self._note_length - len(recent)
        note = f"\n[spotwatch: {self.dropped} bytes left out here]\n".encode()
        self._note_length = len(note)
        os.ftruncate(self.descriptor, beginning)
        os.write(self.descriptor, note + recent)

    def give_to(self, uid: int) -> None:
        """Let a user open it, who may want to write to /dev/stderr by that name; never mind if that cannot be."""
        if stat.S_ISREG(os.fstat(self.descriptor).st_mode):  # never /dev/null
            with contextlib.suppress(OSError):
                os.fchown(self.descriptor, uid, -1)

    def finish(self) -> str:
        """Trim for the last time, save what was kept in memory, and answer why that did not work, if so."""
        self.trim()
        self.tail = self._read_tail()
        if self._in_memory:
            self._save()
        os.close(self.descriptor)
        return self._problem

    def _read_tail(self) -> str:
        try:
            size = os.fstat(self.descriptor).st_size
            return os.pread(self.descriptor, TAIL, max(0, size - TAIL)).decode(errors="replace")
        except OSError:  # a terminal, a pipe
            return ""

    def _save(self) -> None:
        size = os.fstat(self.descriptor).st_size
        try:
            _append(self._path, os.pread(self.descriptor, size, 0))
        except OSError as error:
            self._problem = f"cannot write {self._path}: {error.strerror}; {size} bytes of output are lost"


def _open_with_room(path: str, room: int) -> int | None:
    """The file, opened, or None if it cannot be written or if there are not `room` bytes free beside it."""
    try:
        filesystem = os.statvfs(os.path.dirname(path) or ".")
        if filesystem.f_bavail * filesystem.f_frsize < room:
            return None
        return os.open(path, _APPEND, 0o600)
    except OSError:
        return None


def _open_memory() -> int:
    descriptor = os.memfd_create("spotwatch-output", os.MFD_CLOEXEC)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND)
    return descriptor


def _append(path: str, data: bytes) -> None:
    """Write all of it or nothing."""
    descriptor = os.open(path, _APPEND, 0o600)
    before = os.fstat(descriptor).st_size
    try:
        with open(descriptor, "ab", closefd=False) as file:
            file.write(data)
    except OSError:
        os.ftruncate(descriptor, before)
        raise
    finally:
        os.close(descriptor)
