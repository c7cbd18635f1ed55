"""What the daemon tells systemd about itself (sd_notify(3)), without libsystemd."""

import contextlib
import os
import socket
import time
from collections.abc import Mapping

_OURS = frozenset(
    {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
    | {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID"}
)
"""What systemd says to the daemon alone: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3)."""


def environment_for_children(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would let a child speak to the service manager in our name."""
    return {name: value for name, value in environ.items() if name not in _OURS}


class ServiceManager:
    """The service manager that started us; everything does nothing if there is none.

    A notification never fails and never blocks: a socket that is full, gone or not allowed is passed over, because
    the drain is more important than its display.

    Attributes:
        watchdog_interval: seconds between two calls of `watchdog`, half of what is allowed; None if it is not wanted.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_interval = _watchdog_interval(environ)

    def ready(self, status: str) -> None:
        """The start, or the reading of new settings, is complete."""
        self._notify("READY=1", _status(status))

    def status(self, text: str) -> None:
        """What we are doing, in one line for `systemctl status`."""
        self._notify(_status(text))

    def watchdog(self) -> None:
        """We are alive."""
        self._notify("WATCHDOG=1")

    def reloading(self) -> None:
        """The settings are being read again; to be followed by `ready`."""
        self._notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str) -> None:
        """The daemon is about to end."""
        self._notify("STOPPING=1", _status(status))

    def extend_timeout(self, seconds: float) -> None:
        """Ask for this much time from now on, while starting, reloading or stopping."""
        self._notify(f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}")

    def _notify(self, *assignments: str) -> None:
        if self._address is None:
            return
        message = "\n".join(assignments).encode(errors="replace")
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(message, self._address)


def _address(notify_socket: str) -> bytes | None:
    match notify_socket[:1]:
        case "/":
            return os.fsencode(notify_socket)
        case "@":
            return b"\0" + os.fsencode(notify_socket[1:])
        case _:
            return None


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.splitlines())


def _watchdog_interval(environ: Mapping[str, str]) -> float | None:
    microseconds = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    if not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    return int(microseconds) / 1_000_000 / 2
