"""The signals that are meant for the daemon, as bytes on a socket that can be waited on.

What this survives:

- A signal that comes between a look and the sleep: its byte stays in the socket, so the sleep ends at once.
- A flood: a full socket never blocks; what finds no room is dropped, as the kernel merges equal pending signals. Some
  270 signals fit between two looks.
- A signal to the whole control group, as systemd sends it, while a child is forked but not yet executed: that child has
  our handlers and our socket and would report the signal a second time, and a second SIGTERM means "stop at once". So
  every byte comes with the sender's credentials (unix(7), SO_PASSCRED) and only our own count.
- A parent that left signals blocked or ignored (nohup, a shell's background jobs): children would inherit both. We
  unblock them, and what was ignored is handled by doing nothing, which an exec resets to the default (signal(7)).
- A parent that left SIGCHLD ignored: the kernel would reap our children and their exit status would be lost.
"""

import os
import signal
import socket
import struct
from collections.abc import Callable
from types import FrameType

REPORTED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1})
"""To stop (from systemd, from a terminal), to read the settings again, and to look for requests in the journal."""

LEFT_IGNORED = frozenset({signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
"""The first two Python ignores itself, and subprocess resets them in the child; a handler for the others would change
what a write to the terminal does."""

_BYTES_AT_ONCE = 4096  # more than fit into the socket
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid

_Handler = Callable[[int, FrameType | None], object] | int | None


class Signals:
    """Takes over the signals of the process until it is closed; at most one exists at a time, in the main thread."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._reader.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._writer.setblocking(False)
        self._former_descriptor = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._former_handlers: dict[int, _Handler] = {signal.SIGCHLD: signal.signal(signal.SIGCHLD, signal.SIG_DFL)}
        for number in REPORTED | _ignored():
            self._former_handlers[number] = signal.signal(number, _do_nothing)
        self._former_mask = signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def fileno(self) -> int:
        """The descriptor that is readable when a signal has come."""
        return self._reader.fileno()

    def read(self) -> list[int]:
        """The numbers of the signals that came since the last look, in their order; never blocks."""
        try:
            numbers, ancillary, _, _ = self._reader.recvmsg(_BYTES_AT_ONCE, socket.CMSG_SPACE(_CREDENTIALS.size))
        except BlockingIOError:
            return []
        if _sender(ancillary) != os.getpid():
            return []
        return [number for number in numbers if number in REPORTED]

    def close(self) -> None:
        """Give the signals back to those who had them before."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._former_mask)
        for number, handler in self._former_handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._former_descriptor)
        self._reader.close()
        self._writer.close()


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """The byte that Python has written to the socket is all that a signal does."""


def _ignored() -> set[int]:
    return {number for number in signal.valid_signals() - LEFT_IGNORED if signal.getsignal(number) is signal.SIG_IGN}


def _sender(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid: int = _CREDENTIALS.unpack(data)[0]
            return pid
    return None
