"""A program of ours that runs beside us and is read line by line, as the daemon in a rehearsal.

What this survives:

- A program that ignores SIGTERM, or that takes the first for a reason to hurry and only the second for an order.
- A program that dies and leaves its children behind: whoever follows it is a subreaper, so they become ours, and they
  get SIGKILL. Nothing of a rehearsal goes on after it.
- Our own end by SIGKILL: the program gets SIGTERM (`spotwatch.host.lifeline`).
- A last line without an end, bytes that are no text, and a program that closes its standard error and goes on.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from spotwatch.host.lifeline import tied
from spotwatch.host.processes import UNKNOWN, Offspring

CHUNK = 65536

PATIENCE_SECONDS = 3.0
"""From one signal to the next: the daemon leaves within a second when no drain is on, and after the second SIGTERM its
hooks have their grace of two seconds."""

LOOK_SECONDS = 0.02
"""Between two looks whether it is over: one that has closed its standard error, or whose children hold it open."""

HURRY_SECONDS = 0.2
"""From the first SIGTERM to the second where it is known that only the second will be obeyed, as during a drain."""


class FollowedProcess:
    """A child whose standard error is read as it comes; a context manager that leaves nothing of it behind.

    Args:
        argv: the path of the program, and its words.
        environment: all that it has.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self._offspring = Offspring()
        self._process = subprocess.Popen(
            tied(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
        )
        assert self._process.stderr is not None  # noqa: S101 (for the type checker: it was asked for)
        self._stderr = self._process.stderr
        self._rest = b""
        self.ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._stderr.close()
        self._offspring.kill({}, {UNKNOWN})
        self._offspring.reap_orphans({})
        self._offspring.close()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def read_lines(self, until: float) -> list[str]:
        """The lines that have come, waiting for some until this moment of ``time.monotonic``."""
        patience = max(0.0, until - time.monotonic())
        if self.ended:
            time.sleep(patience)
            return []
        if not select.select([self._stderr], [], [], patience)[0]:
            return []
        data = os.read(self._stderr.fileno(), CHUNK)
        self.ended = not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self.ended and self._rest:
            lines.append(self._rest)
        return [line.decode(errors="replace") for line in lines]

    def stop(self, hear: Callable[[Sequence[str]], None], *, hurry: bool) -> int:
        """Make it end: SIGTERM, once more, then SIGKILL; its exit code (-N for signal N).

        Its last lines are heard as they come.
        """
        pauses = (HURRY_SECONDS if hurry else PATIENCE_SECONDS, PATIENCE_SECONDS, PATIENCE_SECONDS)
        for number, pause in zip((signal.SIGTERM, signal.SIGTERM, signal.SIGKILL), pauses, strict=True):
            if self._process.poll() is None:
                self._process.send_signal(number)
                self._listen_until_it_is_over(hear, time.monotonic() + pause)
        code = self._process.wait()
        while last := self.read_lines(0.0):
            hear(last)
        return code

    def _listen_until_it_is_over(self, hear: Callable[[Sequence[str]], None], limit: float) -> None:
        while self._process.poll() is None and time.monotonic() < limit:
            hear(self.read_lines(min(limit, time.monotonic() + LOOK_SECONDS)))
