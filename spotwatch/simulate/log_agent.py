"""The log agent of the story, a program: ``python -m spotwatch.simulate.log_agent LOGS STATE DESTINATION PID_FILE``.

A small one of ours that behaves as Filebeat's filestream input does with ``file_identity.fingerprint``: a file is known
by the SHA-256 of its first 1024 bytes, whatever its name and inode number are; one that is shorter is not read yet; and
an offset is noted once the destination has confirmed what lies before it. The registry has the form of Filebeat's
(``libbeat/statestore/backend/memlog``), so that whoever ships the volume reads it as he would read the real one.

SIGTERM makes it send what is there and leave.
"""

import hashlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

from spotwatch.simulate.application import log_files

FINGERPRINT_BYTES: Final = 1024

MOST_BYTES: Final = 64 * 1024
"""Of one batch."""

PAUSE_SECONDS: Final = 0.25
"""Between two looks for new lines."""


class Registry:
    """What was confirmed of each file; empty at first.

    Args:
        state: Filebeat's data directory.
    """

    def __init__(self, state: Path) -> None:
        directory = state / "registry" / "filebeat"
        directory.mkdir(parents=True)
        (directory / "meta.json").write_text('{"version":"1"}', encoding="ascii")
        self._log = directory / "log.json"
        self._offsets: dict[str, int] = {}
        self._operations = 0

    def offset(self, fingerprint: str) -> int:
        """Up to where a file was confirmed."""
        return self._offsets.get(fingerprint, 0)

    def confirm(self, fingerprint: str, source: Path, offset: int) -> None:
        """Note that everything before an offset has arrived."""
        self._operations += 1
        self._offsets[fingerprint] = offset
        action = {"op": "set", "id": self._operations}
        value = {
            "ttl": -1,
            "cursor": {"offset": offset},
            "meta": {"source": str(source), "identifier_name": "fingerprint"},
        }
        change = {"k": f"filestream::app::fingerprint::{fingerprint}", "v": value}
        with self._log.open("ab", buffering=0) as log:
            log.write(b"".join(json.dumps(each).encode() + b"\n" for each in (action, change)))


class LogAgent:
    """Sends the lines of the application's log, the oldest file first.

    Args:
        logs: the directory with ``app.log``.
        registry: remembers what has arrived.
        destination: stands for the service that collects logs; what is written to it has arrived.
    """

    def __init__(self, logs: Path, registry: Registry, destination: BinaryIO) -> None:
        self._logs = logs
        self._registry = registry
        self._destination = destination

    def send(self) -> None:
        """Send every whole line that is there and has not been sent."""
        for path in reversed(log_files(self._logs)):
            try:
                with path.open("rb") as file:
                    self._send(path, file)
            except FileNotFoundError:  # renamed since; it is found by its new name the next time
                continue

    def _send(self, path: Path, file: BinaryIO) -> None:
        head = file.read(FINGERPRINT_BYTES)
        if len(head) < FINGERPRINT_BYTES:
            return
        fingerprint = hashlib.sha256(head).hexdigest()
        offset = self._registry.offset(fingerprint)
        file.seek(offset)
        while batch := _whole_lines(file.read(MOST_BYTES)):
            self._destination.write(batch)
            offset += len(batch)
            self._registry.confirm(fingerprint, path, offset)
            file.seek(offset)


def _whole_lines(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]


def main(arguments: Sequence[str]) -> None:
    """Send until SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    logs, state, destination, pid_file = map(Path, arguments)
    with destination.open("ab", buffering=0) as arrived:
        agent = LogAgent(logs, Registry(state), arrived)
        pid_file.write_text(f"{os.getpid()}\n", encoding="ascii")
        while signal.sigtimedwait({signal.SIGTERM}, PAUSE_SECONDS) is None:
            agent.send()
        agent.send()


if __name__ == "__main__":
    main(sys.argv[1:])
