"""A program of ours that runs beside us and is read line by line, as the daemon in a rehearsal."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

CHUNK = 65536

STOP_SECONDS = 5.0
"""From SIGTERM to SIGKILL: the daemon leaves within a second when no drain is on."""


class FollowedProcess:
    """A child whose standard error is read as it comes."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
        )
        assert self._process.stderr is not None  # noqa: S101 (for the type checker: it was asked for)
        self._stderr = self._process.stderr
        os.set_blocking(self._stderr.fileno(), False)
        self._rest = b""
        self.ended = False

    def read_lines(self, until: float) -> list[str]:
        """The lines that have come, waiting for some until this moment of ``time.monotonic``."""
        if self.ended:
            time.sleep(max(0.0, until - time.monotonic()))
            return []
        select.select([self._stderr], [], [], max(0.0, until - time.monotonic()))
        try:
            data = os.read(self._stderr.fileno(), CHUNK)
        except BlockingIOError:
            return []
        self.ended = not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def stop(self) -> tuple[int, list[str]]:
        """SIGTERM, and SIGKILL if that is not enough; its exit code and the last lines."""
        self._signal(signal.SIGTERM)
        lines: list[str] = []
        limit = time.monotonic() + STOP_SECONDS
        while not self.ended and time.monotonic() < limit:
            lines += self.read_lines(limit)
        self._signal(signal.SIGKILL)
        code = self._process.wait()
        self._stderr.close()
        return code, lines

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)
