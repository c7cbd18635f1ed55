"""One daemon for each state directory.

What this survives:

- A holder that dies in any way: the kernel releases the lock with its last descriptor. The file stays, because removing
  it would let two daemons hold two files of the same name.
- A child that outlives the daemon: the descriptor is closed when the child executes its command (O_CLOEXEC).
- Somebody who only asks: the lock is one that can be asked about without being taken (F_OFD_GETLK in fcntl(2)), so a
  question never makes a daemon that starts at the same moment fail.
"""

import contextlib
import fcntl
import os
import struct
from types import TracebackType
from typing import Self

from spotwatch.core.errors import AlreadyRunning, StateUnavailable

LOCK_FILE = "lock"

_FLOCK = struct.Struct("@hhqqi4x")  # struct flock on 64-bit Linux: type, whence, start, length (0: all), pid


class DirectoryLock:
    """The right to use a state directory, held from `acquire` to `release` or to the end of the process."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = os.fspath(directory)
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the lock, without waiting for it.

        Raises:
            AlreadyRunning: another process has it.
            StateUnavailable: there is no such directory, or we may not write to it.
        """
        descriptor = _open(self._directory)
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _request())
        except OSError as error:
            pid = _read_pid(descriptor)
            os.close(descriptor)
            raise _refusal(error, self._directory, pid) from error
        self._descriptor = descriptor
        with contextlib.suppress(OSError):  # a full disk is no reason not to run
            os.pwrite(descriptor, f"{os.getpid():<10}\n".encode(), 0)

    def release(self) -> None:
        """Give the lock back, if we have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_held(directory: str | os.PathLike[str]) -> int | None:
    """The number of the process that holds the lock of a state directory, 0 if it is not known; None if nobody does.

    Raises:
        StateUnavailable: the lock is there and we may not read it.
    """
    try:
        descriptor = os.open(os.path.join(directory, LOCK_FILE), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unavailable(error, os.fspath(directory)) from error
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _request())
        return None if _FLOCK.unpack(answer)[0] == fcntl.F_UNLCK else _read_pid(descriptor)
    finally:
        os.close(descriptor)


def _open(directory: str) -> int:
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(os.path.join(directory, LOCK_FILE), flags, 0o644)
    except OSError as error:
        raise _unavailable(error, directory) from error


def _request() -> bytes:
    return _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def _read_pid(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else 0


def _refusal(error: OSError, directory: str, pid: int) -> AlreadyRunning | StateUnavailable:
    if not isinstance(error, BlockingIOError):
        return _unavailable(error, directory)
    holder = f"process {pid}" if pid else "another process"
    return AlreadyRunning(
        f"{directory} is in use by {holder}",
        hint="stop that daemon, or give this one a directory of its own (state.runtime_directory)",
    )


def _unavailable(error: OSError, directory: str) -> StateUnavailable:
    return StateUnavailable(
        f"cannot use the lock in {directory}: {error.strerror}",
        hint=f"create {directory} and let the daemon's user write to it",
    )
