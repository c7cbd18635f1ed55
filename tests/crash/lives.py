"""One instance through all lives of its daemon, and what is known of it afterwards."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import spotwatch
from spotwatch.config import load
from spotwatch.core.hook import Hook
from spotwatch.core.report import DrainReport
from spotwatch.host.journal import Journal, PastDrain
from spotwatch.host.journal_file import Access
from spotwatch.simulate.service import MetadataService
from tests.crash.scenarios import Scenario
from tests.daemon.process import QUICK

ROOT = Path(spotwatch.__file__).parents[1]

PATIENCE = 120.0
"""Seconds for a drain to be over; on an idle machine the longest takes less than ten."""

LOOK_SECONDS = 0.05
"""Between two looks at what a life has left so far; many look at once."""

OPTIONS = (
    *QUICK,
    "metadata.poll_interval=100ms",
    "metadata.maintenance_interval=100ms",
    "drain.kill_grace=200ms",
    "log.format=json",
)


class Death(Enum):
    """Who dies at the point."""

    DAEMON = "the daemon alone"
    ALL = "the daemon and all hooks"


@dataclass(frozen=True)
class Crash:
    """Where the daemon's lives end before they should: the number of a point for each."""

    points: tuple[int, ...]
    death: Death

    def __str__(self) -> str:
        return f"points {', '.join(map(str, self.points))} ({self.death.value})"


@dataclass(frozen=True)
class Run:
    """One run of a hook, by its own word; times are those of the system's clock.

    Attributes:
        event: what it was told.
        ended: None if it was killed.
    """

    hook: str
    event: str
    pid: int
    started: float
    ended: float | None


@dataclass
class Story:
    """What is known when a drain is over.

    Attributes:
        points: those that each life reached.
        crashed_at: when the daemon was found dead, for each crash.
        up_at: when each life had resumed; infinite if it never came to that.
        killed: when a process of a hook was killed with the daemon, by its number.
        drains: what the journal knows.
        survivors: the processes of hooks that live.
    """

    scenario: Scenario
    crash: Crash
    hooks: Sequence[Hook]
    points: list[list[str]] = field(default_factory=list)
    crashed_at: list[float] = field(default_factory=list)
    up_at: list[float] = field(default_factory=list)
    killed: dict[int, float] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    hooks_log: str = ""
    reports: list[DrainReport] = field(default_factory=list)
    drains: list[PastDrain] = field(default_factory=list)
    survivors: list[int] = field(default_factory=list)
    exit_code: int = 0
    logs: str = ""

    def adoptions(self) -> list[tuple[int, str]]:
        """The lives that adopted a hook, and its name."""
        found = [(life, re.fullmatch(r"after adopt (\w+), which lives", name)) for life, name in self._reached()]
        return [(life, match[1]) for life, match in found if match]

    def starts(self) -> list[tuple[int, str]]:
        """The lives that started a hook, and its name."""
        return [(life, name.removeprefix("after start ")) for life, name in self._reached() if "after start" in name]

    def outlived(self) -> list[tuple[int, str]]:
        """The lives that began while a hook was running since the life before, and its name."""
        spans = enumerate(zip(self.crashed_at, self.up_at[1:], strict=False), start=1)
        return [
            (life, run.hook)
            for life, (crash, up) in spans
            for run in self.runs
            if run.started < crash and run.ended is not None and up < run.ended
        ]

    def _reached(self) -> Iterator[tuple[int, str]]:
        return ((life, name) for life, names in enumerate(self.points) for name in names)


class Instance:
    """A directory, a metadata service, and one daemon after another.

    Args:
        directory: holds everything; ``$T`` for hooks.
        bytecode: where the interpreters share what they have compiled.
    """

    def __init__(self, directory: Path, bytecode: Path, scenario: Scenario, crash: Crash) -> None:
        self._directory = directory
        self._settings = directory / "spotwatch.toml"
        self._settings.write_text("\n".join(scenario.hooks), encoding="utf-8")
        self._hold = directory / "hold"
        self._hooks_log = directory / "hooks.log"
        self._status = directory / "run" / "status.json"
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "PYTHONPATH": str(ROOT),
            "PYTHONPYCACHEPREFIX": str(bytecode),
            "T": str(directory),
        }
        self._scenario = scenario
        self._acted = not scenario.cue
        self.story = Story(scenario, crash, load(self._settings, builtins=(), overrides=()).hooks)

    def live(self) -> Story:
        """All its lives, until its drain is over."""
        crash = self.story.crash
        with MetadataService() as service:
            self._endpoint = f"metadata.endpoint={service.url}"
            self._scenario.begin(service)
            try:
                for fatal in (*crash.points, 0):
                    self._live_once(service, fatal)
            finally:
                self.story.survivors = self._kill_hooks()
                self._read_all()
        return self.story

    def _live_once(self, service: MetadataService, fatal: int) -> None:
        """One life, to its fatal point, or to the end of the drain and a SIGTERM."""
        number = len(self.story.points)
        points, log = self._directory / f"points.{number}", self._directory / f"log.{number}"
        self._status.unlink(missing_ok=True)
        with (
            open(log, "wb") as file,
            subprocess.Popen(
                self._argv(points, fatal), cwd=self._directory, env=self._environment, stderr=file
            ) as daemon,
        ):
            try:
                self._accompany(daemon, service)
                self.story.exit_code = daemon.wait(PATIENCE)
            finally:
                daemon.kill()
                self.story.logs += f"--- life {number}\n{log.read_text()}"
        self.story.points.append(points.read_text().splitlines())
        if self.story.exit_code == -signal.SIGKILL:
            self._mourn()

    def _accompany(self, daemon: subprocess.Popen[bytes], service: MetadataService) -> None:
        """Let the hooks end once it has resumed, announce what is due, and tell it to leave when the drain is over."""

        def is_dead() -> bool:
            return daemon.poll() is not None

        self._wait_for(lambda: is_dead() or self._status.exists(), "a sign of life")
        self.story.up_at.append(time.time() if self._status.exists() else math.inf)
        if self._status.exists():
            self._hold.unlink(missing_ok=True)
        self._wait_for(lambda: is_dead() or self._is_over(service), "the end of the drain")
        daemon.send_signal(signal.SIGTERM)

    def _mourn(self) -> None:
        self.story.crashed_at.append(time.time())
        if self.story.crash.death is Death.ALL:
            self.story.killed |= dict.fromkeys(self._kill_hooks(), time.time())

    def _is_over(self, service: MetadataService) -> bool:
        if not self._acted and any(run.hook == self._scenario.cue for run in self._runs()):
            self._acted = True
            self._scenario.act(service)
        is_reported = any(report.event == self._scenario.event for report in self._reports())
        return self._acted and is_reported and (self._scenario.stays or all(drain.closed for drain in self._drains()))

    def _argv(self, points: Path, fatal: int) -> list[str]:
        state = (f"state.directory={self._directory}/state", f"state.runtime_directory={self._directory}/run")
        hold = ["--hold", str(self._hold)] if self.story.crash.death is Death.DAEMON else []
        argv = [sys.executable, "-W", "error", "-m", "tests.crash.daemon", "--config", str(self._settings)]
        argv += ["--points", str(points), "--fatal", str(fatal), *hold]
        return argv + [part for word in (*OPTIONS, *state, self._endpoint) for part in ("--set", word)]

    def _wait_for(self, look: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + PATIENCE
        while not look():
            assert time.monotonic() < give_up, f"waited in vain for {what}"
            time.sleep(LOOK_SECONDS)

    # What is to be read

    def _runs(self) -> list[Run]:
        """What the hooks have written, a run for each start."""
        if not self._hooks_log.exists():
            return []
        lines = [line.split() for line in self._hooks_log.read_text().splitlines()]
        ends = {int(pid): float(at) for _, what, at, pid, _ in lines if what == "end"}
        return [
            Run(name, event, int(pid), float(at), ends.get(int(pid)))
            for name, what, at, pid, event in lines
            if what == "start"
        ]

    def _reports(self) -> list[DrainReport]:
        files = (self._directory / "state" / "reports").glob("*.json")
        return [DrainReport.from_json(json.loads(file.read_text())) for file in files]

    def _drains(self) -> list[PastDrain]:
        with closing(Journal(str(self._directory / "state"), Access.READ)) as journal:
            return journal.history()

    def _read_all(self) -> None:
        story = self.story
        story.runs, story.reports, story.drains = self._runs(), self._reports(), self._drains()
        story.hooks_log = self._hooks_log.read_text() if self._hooks_log.exists() else ""

    def _kill_hooks(self) -> list[int]:
        """Kill all processes of hooks; which they were."""
        killed: list[int] = []
        while pids := self._hook_processes():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            killed += pids
        return killed

    def _hook_processes(self) -> list[int]:
        mark = f"SPOTWATCH_STATE_DIRECTORY={self._directory}/state".encode()
        return [int(name) for name in filter(str.isdecimal, os.listdir("/proc")) if mark in _environment(name)]


def _environment(pid: str) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is not ours to look at
        return []
