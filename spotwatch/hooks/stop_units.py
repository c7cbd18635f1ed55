"""``stop-units``: units of systemd are stopped, one step after the other, and nothing of them runs any more.

What this survives:

- A unit that our own is ordered after. At a shutdown, or when our own unit is stopped, systemd would have it wait for
  our end, and us for its: it is then stopped whatever is ordered before it (``--job-mode=ignore-dependencies``), also
  if the shutdown comes in the middle of the wait.
- What would start it again: the sockets, timers, paths and automounts that trigger it are stopped with it. systemd
  starts nothing that is about to be stopped.
- A unit that takes no notice of SIGTERM. systemd would wait for its TimeoutStopSec, 90 seconds as a rule; a limit of
  ours has it killed before.
"""

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from spotwatch.core.errors import (
    NotInTime,
    ServiceManagerDenied,
    ServiceManagerRefused,
    ServiceManagerUnavailable,
    SpotwatchError,
    UsageError,
)
from spotwatch.core.unit import Unit
from spotwatch.hooks.services import Clock, Services, Units
from spotwatch.hooks.side_by_side import CUT, in_time
from spotwatch.hooks.time_left import TimeLeft
from spotwatch.hooks.volume_words import positive_seconds

SUMMARY = "stop units of systemd, one after the other, and wait until nothing of them runs"
IAM_ACTIONS: tuple[str, ...] = ()
SPARES_REHEARSAL = True

LOOK_SECONDS: Final = 0.25
"""Between two looks at units that are stopping."""

SHUTDOWN_LOOK_SECONDS: Final = 1.0
"""Between two looks whether a shutdown has begun meanwhile."""

EX_KILLED: Final = 1
"""The exit code if a unit had to be killed."""

KILLED_SECONDS: Final = 5.0
"""From SIGKILL until nothing of a unit runs; what takes longer hangs in the kernel, and the next step is due."""

_NAME: Final = re.compile(r"[A-Za-z0-9:_.\\@*?\[\]!-]+")

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Named:
    """One word of a step.

    Attributes:
        pattern: a name, or a glob pattern.
        limit: seconds; None: no limit of its own.
    """

    pattern: str
    limit: float | None = None

    @property
    def is_name(self) -> bool:
        """Whether it means one unit, whatever there is."""
        return not set(self.pattern) & set("*?[")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the words of its command line."""
    parser.add_argument(
        "steps",
        metavar="UNIT[=TIME][,UNIT[=TIME]...]",
        type=_step,
        nargs="+",
        help="a unit, or a pattern such as 'worker@*.service', and perhaps the most that its stop may take, such as "
        "nginx.service=20s; those with commas between them are stopped side by side",
    )
    parser.add_argument(
        "--limit", metavar="TIME", type=positive_seconds, help="for every unit without one of its own (default: none)"
    )
    parser.add_argument(
        "--at-limit",
        choices=("kill", "leave"),
        default="kill",
        help="what becomes of a unit that has reached its limit: all of its processes are killed, or it is left alone "
        "(default: kill); either way the next step begins",
    )


def run(arguments: Namespace, services: Services, *, dry_run: bool) -> int:
    """Stop them; 1 if one had to be killed, 75 if a wait was cut, else the exit code of the first error.

    Raises:
        SpotwatchError: nothing could be done at all.
    """
    if "SPOTWATCH_REHEARSAL" in services.environment:
        print(f"would stop {', then '.join(map(_in_words, arguments.steps))}")
        return 0
    systemd = _Systemd(services.units, services.clock, TimeLeft.of(services).until)
    work = _Work(systemd, _Tale(), arguments.limit, kills=arguments.at_limit == "kill")
    for step in arguments.steps:
        work.preview(step) if dry_run else work.carry_out(step)
    return work.tale.end()


def _step(text: str) -> tuple[Named, ...]:
    return tuple(map(_named, text.split(",")))


def _named(text: str) -> Named:
    pattern, equals, limit = text.partition("=")
    if not _NAME.fullmatch(pattern) or pattern.startswith("-"):
        raise ArgumentTypeError(f'"{text}": write the name of a unit, perhaps with a limit, such as nginx.service=20s')
    return Named(pattern, positive_seconds(limit) if equals else None)


def _in_words(step: Sequence[Named]) -> str:
    return " and ".join(named.pattern for named in step)


@dataclass(frozen=True, slots=True)
class _Systemd:
    """systemd, asked again while it has no answer; no question outlasts the deadline."""

    units: Units
    clock: Clock
    until: float

    @property
    def is_late(self) -> bool:
        return self.clock.now() >= self.until

    def look(self, names: Sequence[str]) -> Sequence[Unit]:
        return self._ask(lambda: self.units.look(names))

    def stop(self, names: Sequence[str], *, ignore_dependencies: bool) -> None:
        self._ask(lambda: self.units.stop(names, ignore_dependencies=ignore_dependencies))

    def kill(self, names: Sequence[str]) -> None:
        self._ask(lambda: self.units.kill(names))

    def is_going_down(self) -> bool:
        return self._ask(self.units.is_going_down)

    def pause(self) -> None:
        self.clock.sleep(min(LOOK_SECONDS, max(0.0, self.until - self.clock.now())))

    def _ask(self, job: Callable[[], _Answer]) -> _Answer:
        while True:
            try:
                return in_time(job, self.until, self.clock, "systemctl")
            except ServiceManagerUnavailable:
                if self.clock.now() + LOOK_SECONDS >= self.until:
                    raise
            self.pause()


@dataclass(slots=True)
class _Tale:
    """What there is to tell.

    Attributes:
        stopped: what was stopped, and the seconds that it took.
        needless: what there was nothing to stop of, and why.
        killed: what had to be killed, by us or by systemd.
        cut: whose end nobody has seen, and why.
        errors: refusals, each once.
    """

    stopped: list[str] = field(default_factory=list)
    needless: list[str] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    errors: dict[str, SpotwatchError] = field(default_factory=dict)

    def refused(self, error: SpotwatchError) -> None:
        self.errors.setdefault(error.message, error)

    def end(self) -> int:
        """Tell in one line what was done, then what is missing; the exit code."""
        done = [f"stopped {', '.join(self.stopped)}"] if self.stopped else []
        done += [f"nothing to stop: {', '.join(self.needless)}"] if self.needless else []
        if done:
            print("; ".join(done))
        for head, names in (("killed", self.killed), ("cut", self.cut)):
            if names:
                print(f"{head}: {', '.join(names)}")
        for error in self.errors.values():
            print(f"missing: {error.message}{f'; {error.hint}' if error.hint else ''}")
        codes = [error.exit_code for error in self.errors.values()]
        return codes[0] if codes else EX_KILLED if self.killed else CUT if self.cut else 0


@dataclass(frozen=True, slots=True)
class _Work:
    """One run of the hook.

    Attributes:
        limit: for units that have none of their own.
        kills: whether what reaches its limit is killed.
    """

    systemd: _Systemd
    tale: _Tale
    limit: float | None
    kills: bool

    def preview(self, step: Sequence[Named]) -> None:
        """Say what would be done."""
        for unit, limit in self._found(step).items():
            with_it = f", and {' '.join(unit.triggered_by)} with it" if unit.triggered_by else ""
            most = f", for at most {limit:g} s" if limit is not None else ""
            print(f"would stop {unit.name} ({unit.state}){with_it}{most}")

    def carry_out(self, step: Sequence[Named]) -> None:
        """Stop the units of one step, side by side."""
        if self.systemd.is_late:
            self.tale.cut.append(f"{_in_words(step)} (not begun)")
            return
        try:
            if found := self._found(step):
                _Stop(self, found).run()
        except NotInTime:
            self.tale.cut.append(f"{_in_words(step)} (systemd has not answered by the deadline)")
        except SpotwatchError as error:
            self.tale.refused(error)

    def _found(self, step: Sequence[Named]) -> dict[Unit, float | None]:
        """The units of a step that run, with their limits; the first word that means a unit decides on its limit."""
        found: dict[Unit, float | None] = {}
        for named in step:
            units = self.systemd.look([named.pattern])
            if not units:
                self.tale.needless.append(f"{named.pattern} (no unit)")
            for unit in units:
                if self._is_to_be_stopped(unit, named):
                    found.setdefault(unit, self.limit if named.limit is None else named.limit)
        return found

    def _is_to_be_stopped(self, unit: Unit, named: Named) -> bool:
        """Whether it runs, or something waits for an occasion to start it.

        Raises:
            UsageError: it is our own unit, and a name means it and no pattern.
        """
        own = unit.name == self.systemd.units.own
        if own and named.is_name:
            raise UsageError(f"{unit.name} is our own unit: its stop would end us", hint="leave it out")
        triggers = self.systemd.look(unit.triggered_by) if unit.triggered_by else ()
        if not own and unit.is_stopped and not unit.has_job and all(trigger.is_stopped for trigger in triggers):
            self.tale.needless.append(f"{unit.name} ({unit.state})")
            return False
        return not own


class _Stop:
    """The units of one step on their way to their end."""

    def __init__(self, work: _Work, found: Mapping[Unit, float | None]) -> None:
        self._systemd = work.systemd
        self._clock = work.systemd.clock
        self._tale = work.tale
        self._kills = work.kills
        self._limits = {unit.name: limit for unit, limit in found.items()}
        triggers = dict.fromkeys(name for unit in found for name in unit.triggered_by)
        self._waiting = [*(name for name in triggers if name not in self._limits), *self._limits]
        self._killed_at: dict[str, float] = {}
        self._began = self._clock.now()
        self._whatever_is_before = False
        self._look_for_shutdown_at = self._began

    def run(self) -> None:
        """Have them stopped, and wait until they are, have reached their limit, or time is up."""
        while self._waiting:
            self._have_them_stopped()
            self._look()
            self._end_what_is_due()
            if self._waiting:
                self._systemd.pause()
            if self._systemd.is_late:
                self._give_up(self._waiting, "still stopping at the deadline")

    @property
    def _seconds(self) -> float:
        return self._clock.now() - self._began

    def _have_them_stopped(self) -> None:
        """At first; and once more if a shutdown comes, which would have them wait for us."""
        if self._whatever_is_before or self._clock.now() < self._look_for_shutdown_at:
            return
        is_first = self._look_for_shutdown_at == self._began
        self._look_for_shutdown_at = self._clock.now() + SHUTDOWN_LOOK_SECONDS
        self._whatever_is_before = self._systemd.is_going_down()
        if not is_first and not self._whatever_is_before:
            return
        try:
            self._systemd.stop(self._waiting, ignore_dependencies=self._whatever_is_before)
        except (ServiceManagerDenied, ServiceManagerRefused) as error:
            self._tale.refused(error)
            moving = self._systemd.look(self._waiting)
            self._waiting = [unit.name for unit in moving if unit.is_stopped or unit.has_job]

    def _look(self) -> None:
        """Take note of those that have ended."""
        if not self._waiting:
            return
        for unit in self._systemd.look(self._waiting):
            if unit.is_stopped and unit.name in self._waiting:
                self._waiting.remove(unit.name)
                self._tale.stopped.append(f"{unit.name} ({self._how(unit)})")
                if unit.name in self._killed_at or unit.result == "timeout":
                    self._tale.killed.append(unit.name)

    def _how(self, unit: Unit) -> str:
        """After how long, and what systemd makes of it."""
        failed = f", failed with result {unit.result}" if unit.active_state == "failed" else ""
        return f"{self._seconds:.1f} s{failed}"

    def _end_what_is_due(self) -> None:
        due = [name for name in self._waiting if self._is_due(name)]
        if due and self._kills:
            self._systemd.kill(due)
            self._killed_at.update(dict.fromkeys(due, self._clock.now()))
        elif due:
            self._give_up(due, "still stopping after its limit")
        self._give_up([name for name in self._waiting if self._survives(name)], "has survived SIGKILL")

    def _is_due(self, name: str) -> bool:
        limit = self._limits.get(name)
        return limit is not None and name not in self._killed_at and self._seconds >= limit

    def _survives(self, name: str) -> bool:
        return name in self._killed_at and self._clock.now() >= self._killed_at[name] + KILLED_SECONDS

    def _give_up(self, names: Sequence[str], why: str) -> None:
        self._waiting = [name for name in self._waiting if name not in names]
        self._tale.cut += [f"{name} ({why})" for name in names]
