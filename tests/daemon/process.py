"""The daemon as a real process: `spotwatch run` as a child of the test, seen through its log, its files and its end."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
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

EXIT_SECONDS = 3.0
"""From the first SIGTERM to the second, which ends a drain too, and from that to SIGKILL."""

DRAIN_ID = b"SPOTWATCH_DRAIN_ID="
"""What everything that comes from a hook has in its environment."""

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

    Whatever a test is about, these hold: nothing of the hooks outlives the daemon; and unless the test waits for its
    end, it is still there after the test, has written nothing but records to its log, and leaves with 0 on SIGTERM.

    Args:
        directory: holds its settings, state and runtime directory; ``$T`` for hooks.
        hooks: the text of its settings file.
        endpoint: where its metadata service is; None for the real address.
        options: words for ``--set``, stronger than the text.
        under: a command that executes it, such as ``ip netns exec NAME``.
        stderr: a descriptor for its log, which then does not come to the test.
    """

    def __init__(
        self,
        directory: Path,
        *hooks: str,
        endpoint: str | None = None,
        options: Sequence[str] = QUICK,
        under: Sequence[str] = (),
        stderr: int = subprocess.PIPE,
    ) -> None:
        self.directory = directory
        self._settings = directory / "spotwatch.toml"
        self.settle(*hooks)
        words = ["log.format=json", f"state.directory={directory}/state", f"state.runtime_directory={directory}/run"]
        words += [f"metadata.endpoint={endpoint}"] if endpoint else []
        self._argv = [*under, sys.executable, "-W", "error", "-m", "spotwatch", "run", "--config", str(self._settings)]
        self._argv += [part for word in (*words, *options) for part in ("--set", word)]
        self._stderr = stderr
        self._rest = b""
        self._lines: list[str] = []
        self._log_ended = False
        self._end_awaited = False

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
        was_there = self._process.poll() is None
        code, survivors = self._end(), self.survivors()
        for pid in survivors:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if kind is None:
            assert survivors == [], f"hooks have outlived the daemon\n{self.log}"
            if not self._end_awaited:
                assert was_there, f"the daemon has left with {code}\n{self.log}"
                assert code == 0, f"the daemon left with {code} on SIGTERM\n{self.log}"
                assert all(map(_is_record, self._lines)), f"there are not only records in its log\n{self.log}"

    # What it is told

    def settle(self, *hooks: str) -> None:
        """Write the settings file."""
        self._settings.write_text("\n".join(hooks), encoding="utf-8")

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
        """The report of the first drain, or the nth, that ends with this event; it is waited for."""
        name = self.record("drain-ended", nth=nth, event_kind=event)["drain"]
        return DrainReport.from_json(json.loads((self.directory / f"state/reports/{name}.json").read_text()))

    @property
    def reports(self) -> list[str]:
        """The names of all reports that are kept."""
        return sorted(path.name for path in (self.directory / "state" / "reports").iterdir())

    def written(self, name: str) -> str:
        """The text of a file in the test's directory; it is waited for."""
        path = self.directory / name
        return self.wait_for(lambda: path.read_text() if path.exists() else "", f"the file {name}")

    def pass_by(self, count: int) -> None:
        """Wait until its loop has gone round so often; each time it shows its status anew."""
        status, seen = self.directory / "run" / "status.json", set[int]()

        def has_gone_round() -> bool:
            seen.add(status.stat().st_mtime_ns if status.exists() else 0)
            return len(seen) > count

        self.wait_for(has_gone_round, f"{count} rounds of its loop")

    def survivors(self) -> list[int]:
        """The processes there are that carry the marks of a hook of this daemon."""
        place = f"SPOTWATCH_STATE_DIRECTORY={self.directory}/state".encode()
        environments = {pid: _environment(pid) for pid in map(int, filter(str.isdecimal, os.listdir("/proc")))}
        return [pid for pid, words in environments.items() if place in words and DRAIN_ID in b"\0".join(words)]

    def exit_code(self, within: float = PATIENCE) -> int:
        """Its exit code; its end is waited for."""
        self.wait_for(lambda: self._process.poll() is not None, "its end", within)
        self._end_awaited = True
        self._read(0)
        return self._process.wait()

    def wait_for(self, look: Callable[[], T], what: str, within: float = PATIENCE) -> T:
        """Look until there is something to be seen, and answer it; in vain when the daemon ends before."""
        give_up = time.monotonic() + within
        while True:
            is_over = self._process.poll() is not None or time.monotonic() > give_up
            if seen := look():
                return seen
            assert not is_over, f"waited in vain for {what}\n{self.log}"
            self._read(LOOK_SECONDS)

    def _read(self, seconds: float) -> None:
        """Take in what it has written, waiting no longer than this for it."""
        pipe = self._process.stderr
        if pipe is None or self._log_ended:
            time.sleep(seconds)
            return
        while not self._log_ended and select.select([pipe], [], [], seconds)[0]:
            data, seconds = os.read(pipe.fileno(), 65536), 0
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._lines += [line.decode() for line in lines]
            self._log_ended = not data

    # Its end

    def _end(self) -> int:
        """End it if it runs; its exit code."""
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            self._process.send_signal(number)
            self._wait_for_end(EXIT_SECONDS)
        if self._process.stderr is not None:
            self._read(0)
            self._process.stderr.close()
        return self._process.wait()

    def _wait_for_end(self, seconds: float) -> None:
        give_up = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < give_up:
            self._read(LOOK_SECONDS)


def _is_record(line: str) -> bool:
    return line.startswith("{") and line.endswith("}")


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is not ours to look at
        return []
