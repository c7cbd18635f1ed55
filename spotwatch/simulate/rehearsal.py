"""The rehearsal: plays a scenario on the fake service while the real daemon runs, and follows what it does."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from spotwatch.simulate.scenario import INTERRUPTIONS, Scenario, Step
from spotwatch.simulate.service import MetadataService

START_SECONDS = 10.0
"""The daemon is up in half a second; on a starved machine in some."""

SETTLE_SECONDS = 8.0
"""How long the daemon has to notice what only its slower intervals (5 s) show."""

PATIENCE_SECONDS = 15.0
"""Beyond the last deadline: a daemon that still drains then has failed."""

LOOK_SECONDS = 0.2
"""Between two looks whether the rehearsal is over."""


class Daemon(Protocol):
    """The daemon's process."""

    ended: bool

    def read_lines(self, until: float) -> list[str]:
        """The lines of its log that have come, waiting for some until this moment of ``time.monotonic``."""
        ...

    def stop(self) -> tuple[int, list[str]]:
        """Ask it to leave, and see to it that it does; its exit code and the last lines."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """One line of what happens: by the scenario (``who`` is AWS) or by the daemon.

    Attributes:
        at: seconds after the daemon has started.
        who: ``AWS`` or ``daemon``.
        name: the happening.
        level: of the daemon's record.
        values: what it is about.
    """

    at: float
    who: str
    name: str
    level: str
    values: Mapping[str, Any]


class Rehearsal:
    """One performance.

    Args:
        scenario: what happens.
        service: where it happens.
        daemon: who has to cope.
        tell: is given each line as it comes.
    """

    def __init__(
        self, scenario: Scenario, service: MetadataService, daemon: Daemon, tell: Callable[[Line], None]
    ) -> None:
        self.exit_code: int | None = None
        self.started = False
        self._scenario = scenario
        self._service = service
        self._daemon = daemon
        self._tell = tell
        self._began_at = time.monotonic()
        self._last_step_at = 0.0
        self._limit = START_SECONDS
        self._draining = False
        self._drained = ""

    def play(self) -> None:
        """Play it to its end and stop the daemon."""
        try:
            self._await_start()
            if self.started:
                self._play_steps(list(self._scenario.steps))
        finally:
            self.exit_code, lines = self._daemon.stop()
            self._hear(lines)

    @property
    def _now(self) -> float:
        return time.monotonic() - self._began_at

    def _await_start(self) -> None:
        while not self.started and not self._daemon.ended and self._now < START_SECONDS:
            self._listen(self._now + LOOK_SECONDS)
        self._began_at = time.monotonic()

    def _play_steps(self, steps: list[Step]) -> None:
        while not self._daemon.ended and not self._is_over(steps):
            while steps and steps[0].at <= self._now:
                self._do(steps.pop(0))
            self._listen(min([self._now + LOOK_SECONDS, *(step.at for step in steps[:1])]))

    def _do(self, step: Step) -> None:
        step.act(self._service)
        self._last_step_at = self._now
        self._drained = ""
        self._tell(Line(self._now, "AWS", step.words, "info", {}))

    def _is_over(self, steps: Sequence[Step]) -> bool:
        if steps:
            return False
        if self._draining:
            return self._now > self._limit + PATIENCE_SECONDS
        if self._drained in INTERRUPTIONS:
            return True
        return self._now > self._last_step_at + SETTLE_SECONDS

    def _listen(self, until: float) -> None:
        self._hear(self._daemon.read_lines(self._began_at + until))

    def _hear(self, lines: Sequence[str]) -> None:
        for line in lines:
            record = _record(line)
            name, level = str(record.pop("event", line)), str(record.pop("level", "error"))
            record.pop("time", None)
            self._take(name, record)
            self._tell(Line(self._now, "daemon", name, level, record))

    def _take(self, name: str, values: Mapping[str, Any]) -> None:
        """Keep track of what has to be over before the rehearsal is."""
        match name:
            case "daemon-started":
                self.started = True
                self._began_at = time.monotonic()
            case "drain-began" | "drain-upgraded" | "drain-moved":
                self._draining = True
                self._limit = self._now + float(values.get("seconds_left", 0.0))
            case "drain-ended":
                self._draining = False
                self._drained = str(values.get("event_kind", ""))


def _record(line: str) -> dict[str, Any]:
    """A record of the daemon's log; a line that is none is shown as it is."""
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
