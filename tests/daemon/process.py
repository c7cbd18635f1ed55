"""The daemon as a real process: `spotwatch run` as a child of the test, seen through its log, its files and its end."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from spotwatch.core.report import DrainReport

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds for anything to happen; on an idle machine everything that is waited for here takes less than two."""

LOOK_SECONDS = 0.01
"""Between two looks at something that cannot be waited for."""

EXIT_SECONDS = 5.0
"""From the second SIGTERM, which ends a drain too, to SIGKILL."""

QUICK = (
    "metadata.poll_interval=100ms",
    "metadata.rebalance_interval=100ms",
    "metadata.lifecycle_interval=off",
    "metadata.maintenance_interval=off",
    "drain.kill_grace=300ms",
)
"""The default settings with short intervals; hooks take milliseconds here, the daemon should not take seconds."""

Record = Mapping[str, Any]


def hook(name: str, script: str, **keys: object) -> str:
    """A ``[[hook]]`` with a shell script; in it, ``$T`` is the test's directory."""
    return command(name, ["/bin/sh", "-c", script], **keys)


def command(name: str, argv: Sequence[str], **keys: object) -> str:
    """A ``[[hook]]`` with a command."""
    values = {"name": name, "command": list(argv), **keys}
    return "\n".join(["[[hook]]", *(f"{key} = {_toml(value)}" for key, value in values.items()), ""])


def _toml(value: object) -> str:
    """A value in TOML, which is JSON but for the tables."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}"
    return json.dumps(value)


def from_now(seconds: float) -> datetime:
    """A time that is so many seconds away, up to one more: AWS names whole seconds."""
    return (datetime.now(UTC) + timedelta(seconds=seconds + 1)).replace(microsecond=0)


def statuses(report: DrainReport) -> dict[str, str]:
    """What became of each hook."""
    return {outcome.name: outcome.status for outcome in report.hooks}


class DaemonProcess:
    """The daemon from ``with`` to its end, which comes at the end of the ``with`` at the latest.

    Whatever a test is about, these hold: a daemon that was not ended by the test is still there at its end and leaves
    with 0 on SIGTERM, all that it has written to its log are records, and nothing of its hooks outlives it.

    Args:
        directory: holds its settings, state and runtime directory; ``$T`` for hooks.
        hooks: the text of its settings file.
        endpoint: where its metadata service is; None for the real address.
        options: words for ``--set``, stronger than the text.
        within: a command that it is executed by, such as ``ip netns exec NAME``.
        stderr: where its log goes instead of to the test.
    """

    def __init__(
        self,
        directory: Path,
        *hooks: str,
        endpoint: str | None = None,
        options: Sequence[str] = (),
        within: Sequence[str] = (),
        stderr: int = subprocess.PIPE,
    ) -> None:
        self.directory = directory
        self._settings = directory / "spotwatch.toml"
        self._lines: list[str] = []
        self._rest = b""
        self._log_ended = stderr != subprocess.PIPE
        self.settle(*hooks)
        places = {"state.directory": "state", "state.runtime_directory": "run"}
        words = [f"{key}={directory / name}" for key, name in places.items()]
        words += [f"metadata.endpoint={endpoint}"] if endpoint else []
        self._argv = [*within, sys.executable, "-W", "error", "-m", "spotwatch", "run", "--config", str(self._settings)]
        self._argv += [part for word in ("log.format=json", *words, *options) for part in ("--set", word)]
        self._stderr = stderr

    def settle(self, *hooks: str) -> None:
        """Write the settings file."""
        self._settings.write_text("\n".join(hooks), encoding="utf-8")

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._argv,
            cwd=self.directory,
            env={**os.environ, "T": str(self.directory)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        code = self._end()
        survivors = self._survivors()
        for pid in survivors:
            os.kill(pid, signal.SIGKILL)
        if kind is None:
            assert survivors == [], f"hooks have outlived the daemon\n{self.log}"
            assert code in {None, 0}, f"the daemon left with {code}\n{self.log}"
            assert code is None or all(map(_is_record, self._lines)), f"not only records in its log\n{self.log}"

    # What it is told

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    # What it says

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it has written to its standard error so far."""
        return "\n".join(self._lines)

    def records(self, name: str, **values: object) -> list[Record]:
        """The records of this name and with these values that have come so far."""
        self._read(0)
        records = [json.loads(line) for line in self._lines if _is_record(line)]
        return [record for record in records if {**values, "event": name}.items() <= record.items()]

    def record(self, name: str, *, nth: int = 1, **values: object) -> Record:
        """The first such record, or the nth; it is waited for."""
        return self.wait_for(lambda: self.records(name, **values)[nth - 1 :], f"record {nth} of {name} {values}")[0]

    def report(self, event: str = "terminate", *, nth: int = 1) -> DrainReport:
        """The report that it has kept of the first drain, or the nth, that ends with this event; it is waited for."""
        name = self.record("drain-ended", nth=nth, event_kind=event)["drain"]
        return DrainReport.from_json(json.loads((self.directory / f"state/reports/{name}.json").read_text()))

    @property
    def reports(self) -> list[str]:
        """The names of all reports that are kept."""
        return sorted(path.name for path in (self.directory / "state" / "reports").iterdir())

    def written(self, name: str) -> str:
        """The text of a file in the test's directory; it is waited for."""
        path = self.directory / name
        return self.wait_for(lambda: path.exists() and path.read_text(), f"the file {name}") or ""

    def passes(self, count: int) -> None:
        """Wait until its loop has gone round so often; each time it writes its status anew, in a new file."""
        status, seen = self.directory / "run" / "status.json", set[int]()

        def gone_round() -> bool:
            seen.add(status.stat().st_mtime_ns if status.exists() else 0)
            return len(seen) > count

        self.wait_for(gone_round, f"{count} passes of its loop")

    def exit_code(self, within: float = PATIENCE) -> int:
        """Its exit code; its end is waited for."""
        self.wait_for(lambda: self._log_ended and self._process.poll() is not None, "its end", within)
        return self._process.wait()

    def wait_for(self, look: Callable[[], T], what: str, within: float = PATIENCE) -> T:
        """Look until there is something to be seen, and answer it."""
        give_up = time.monotonic() + within
        while not (seen := look()):
            assert time.monotonic() < give_up, f"waited {within:g} s in vain for {what}\n{self.log}"
            self._read(LOOK_SECONDS)
        return seen

    def _read(self, seconds: float) -> None:
        """Take in what it writes, waiting no longer than this for it."""
        pipe = self._process.stderr
        if pipe is None or pipe.closed or self._log_ended:
            time.sleep(seconds)
            return
        while select.select([pipe], [], [], seconds)[0]:
            data = os.read(pipe.fileno(), 65536)
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._lines += [line.decode() for line in lines]
            self._log_ended, seconds = not data, 0
            if not data:
                return

    # Its end

    def _end(self) -> int | None:
        """End it if it runs; its exit code then, None if the test has ended it."""
        had_ended = self._process.poll() is not None
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                self._process.send_signal(number)
                self._wait_for_end(EXIT_SECONDS / 2)
        code = self._process.wait()
        if self._process.stderr is not None:
            self._read(0)
            self._process.stderr.close()
        return None if had_ended and code >= 0 and self._expected_end else code

    def _wait_for_end(self, seconds: float) -> None:
        give_up = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < give_up:
            self._read(LOOK_SECONDS)

    def _survivors(self) -> list[int]:
        """What carries the marks of a hook of this daemon."""
        mine = {f"SPOTWATCH_STATE_DIRECTORY={self.directory / 'state'}".encode()}
        return [pid for pid, words in _environments() if mine <= words and any(map(_is_drain_id, words))]
