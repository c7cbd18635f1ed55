"""Telling log agents to flush or to stop.

What this survives: an agent that never answers, answers one byte a second, refuses or is gone. Each thing that is told
has its own limit; what takes longer is left alone and said.
"""

import os
import select
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Final

from spotwatch.core.errors import CommandNotStarted
from spotwatch.host.programs import Programs

_ENDING: Final = frozenset({"TERM", "INT", "QUIT", "KILL"})
"""A process that is sent one of these is waited for."""


class Agents:
    """Implements `spotwatch.hooks.services.Agents`."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs

    def stop(self, unit: str, seconds: float) -> str:
        """Have systemd stop a unit, and wait for its end; also one that our own unit comes after, at a shutdown."""
        return self._run(seconds, "systemctl", "stop", "--job-mode=ignore-dependencies", "--", unit)

    def signal_unit(self, unit: str, signal: str, seconds: float) -> str:
        """Signal the main process of a unit."""
        return self._run(seconds, "systemctl", "kill", "--kill-whom=main", f"--signal=SIG{signal}", "--", unit)

    def signal_process(self, pid_file: str, signal: str, seconds: float) -> str:
        """Signal the process whose number is in a file; for a signal that means the end, wait for it."""
        try:
            return _signal(_read_number(pid_file), signal, seconds)
        except (OSError, ValueError) as error:
            return f"{pid_file}: {getattr(error, 'strerror', None) or error}"

    def request(self, method: str, url: str, seconds: float) -> str:
        """Call an HTTP endpoint, and wait for its answer; no proxy is asked."""
        return _within(seconds, lambda: _request(method, url, seconds))

    def _run(self, seconds: float, *argv: str) -> str:
        try:
            code = self._programs.run(argv, limit=seconds)
        except (CommandNotStarted, TimeoutError) as error:
            return str(error)
        return f"{argv[0]} {argv[1]} ended with {code}" if code else ""


def _read_number(pid_file: str) -> int:
    with open(pid_file, encoding="ascii") as file:
        number = int(file.readline())
    if number <= 1:  # 0 is our own group, a negative one another's, 1 the service manager
        raise ValueError(f"{number} is no agent's process")
    return number


def _signal(number: int, name: str, seconds: float) -> str:
    descriptor = os.pidfd_open(number)
    try:
        signal.pidfd_send_signal(descriptor, signal.Signals[f"SIG{name}"])
        if name not in _ENDING:
            return ""
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return "" if poll.poll(seconds * 1000) else f"process {number} has not ended within {seconds:g} s"
    finally:
        os.close(descriptor)


def _within(seconds: float, ask: Callable[[], str]) -> str:
    """What `ask` answers; it is left alone, in a thread that ends with us, if that takes longer.

    A socket's own limit is for one byte, and none holds for the look-up of a name.
    """
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(ask()), daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else _too_late(seconds)


def _too_late(seconds: float) -> str:
    return f"no complete answer within {seconds:g} s"


def _request(method: str, url: str, seconds: float) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        request = urllib.request.Request(url, method=method, headers={"User-Agent": "spotwatch"})  # noqa: S310
        with opener.open(request, timeout=seconds) as response:
            while response.read(65536):
                pass
    except urllib.error.HTTPError as error:
        return f"answered {error.code} {error.reason}"
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            return _too_late(seconds)
        return str(getattr(error.reason, "strerror", None) or error.reason)
    except TimeoutError:
        return _too_late(seconds)
    except (OSError, HTTPException, ValueError) as error:
        return str(error) or type(error).__name__
    return ""
