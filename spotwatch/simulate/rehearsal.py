"""The rehearsal: plays a scenario on the fake service while the real daemon runs, and follows what it does."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from spotwatch.simulate.scenario import Scenario, Step
from spotwatch.simulate.service import MetadataService

START_SECONDS = 10.0
"""The daemon is up in half a second; on a starved machine in some."""

CALM_SECONDS = 0.5
"""How long nothing happens before a rehearsal is over in which everything announced was noticed and drained."""

SETTLE_SECONDS = 8.0
"""The same where the last step announced nothing (a trouble, a withdrawal): so long the daemon's answer may take."""

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

    def stop(self, hear: Callable[[Sequence[str]], None], *, hurry: bool) -> int:
        """Make it leave, from the middle of a drain if one hurries; its exit code (-N for signal N).

        Its last lines are heard as they come.
        """
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """One line of what happens: by the scenario (``who`` is AWS), by the daemon, or in the story by another program.

    Attributes:
        at: seconds after the daemon has started.
        who: ``AWS``, ``daemon``, ``app``, ``agent`` or ``ship``.
        name: the happening; the event of a record.
        level: of the record.
        values: what it is about.
    """

    at: float
    who: str
    name: str
    level: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Course:
    """How a rehearsal went, as far as it shows from outside the daemon.

    Attributes:
        started: whether the daemon ever came up.
        ended_early: whether it was gone before it was told to leave.
        exit_code: of the daemon, -N if signal N ended it.
        unnoticed: the events that were announced and not taken notice of.
        withdrawn: the events that the scenario took back.
        draining: the event of a drain that was not over at the end, or an empty text.
    """

    started: bool
    ended_early: bool
    exit_code: int
    unnoticed: tuple[str, ...] = ()
    withdrawn: frozenset[str] = frozenset()
    draining: str = ""


class Rehearsal:
    """One performance.

    Args:
        scenario: what happens.
        service: where it happens.
        daemon: who has to cope.
        tell: is given each line as it comes.
        intervals: seconds between two looks of the daemon, by event; None for an event that it does not look for.
    """

    def __init__(
        self,
        scenario: Scenario,
        service: MetadataService,
        daemon: Daemon,
        tell: Callable[[Line], None],
        intervals: Mapping[str, float | None],
    ) -> None:
        self._steps = list(scenario.steps)
        self._service = service
        self._daemon = daemon
        self._tell = tell
        self._intervals = intervals
        self._started = False
        self._began_at = time.monotonic()
        self._calm_since = 0.0
        self._calm = SETTLE_SECONDS
        self._limit = 0.0
        self._draining = ""
        self._strongest = ""
        self._awaited: dict[str, float] = {}  # until when an announced event has to be noticed
        self._noticed: set[str] = set()
        self._withdrawn: set[str] = set()

    def play(self) -> Course:
        """Play it to its end and stop the daemon, also if it is interrupted."""
        try:
            self._await_start()
            self._play_steps()
        finally:
            ended_early = self._daemon.ended
            exit_code = self._daemon.stop(self._hear, hurry=bool(self._draining))
        return Course(
            self._started, ended_early, exit_code, tuple(self._awaited), frozenset(self._withdrawn), self._draining
        )

    @property
    def _now(self) -> float:
        return time.monotonic() - self._began_at

    def _await_start(self) -> None:
        while not self._started and not self._daemon.ended and self._now < START_SECONDS:
            self._listen(self._now + LOOK_SECONDS)

    def _play_steps(self) -> None:
        while self._started and not self._daemon.ended and not self._is_over():
            while self._steps and self._steps[0].at <= self._now:
                self._do(self._steps.pop(0))
            self._listen(min([self._now + LOOK_SECONDS, *(step.at for step in self._steps[:1])]))

    def _do(self, step: Step) -> None:
        step.act(self._service)
        self._calm_since = self._now
        self._calm = CALM_SECONDS if step.announces else SETTLE_SECONDS
        if step.announces and step.announces not in self._noticed:
            interval = self._intervals.get(step.announces) or 0.0
            self._awaited[step.announces] = self._now + 2 * interval + SETTLE_SECONDS
        if step.withdraws:
            self._awaited.pop(step.withdraws, None)
            self._noticed.discard(step.withdraws)
            self._withdrawn.add(step.withdraws)
        self._tell(Line(self._now, "AWS", step.words, "info", {}))

    def _is_over(self) -> bool:
        if self._steps:
            return False
        if self._draining:
            return self._now > self._limit + PATIENCE_SECONDS
        return self._now > max([self._calm_since + self._calm, *self._awaited.values()])

    def _listen(self, until: float) -> None:
        self._hear(self._daemon.read_lines(self._began_at + until))

    def _hear(self, lines: Sequence[str]) -> None:
        for line in lines:
            name, level, values = read_record(line)
            self._take(name, values)
            self._tell(Line(self._now, "daemon", name, level, values))

    def _take(self, name: str, values: dict[str, Any]) -> None:
        """Keep track of what has to be over before the rehearsal is, and of what a record takes for known."""
        kind = str(values.get("event_kind", ""))
        match name:
            case "daemon-started":
                self._started = True
                self._began_at = time.monotonic()
            case "drain-began" | "drain-upgraded" | "drain-moved":
                self._notice(kind)
                self._draining = self._strongest = kind
                self._limit = self._now + float(values.get("seconds_left", 0.0))
            case "event-recorded":
                self._notice(kind)
                values["drain_for"] = self._strongest
            case "maintenance-scheduled":  # its hooks may have to wait
                self._notice("maintenance")
            case "drain-ended":
                self._draining = ""
                self._calm_since = self._now

    def _notice(self, kind: str) -> None:
        self._noticed.add(kind)
        self._awaited.pop(kind, None)


def read_record(line: str) -> tuple[str, str, dict[str, Any]]:
    """Name, level and values of a record in a program's log; a line that is none is an error that is called so."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        return line, "error", {}
    name, level = str(record.pop("event", line)), str(record.pop("level", "error"))
    record.pop("time", None)
    return name, level, record
