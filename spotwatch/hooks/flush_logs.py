"""``flush-logs``: what is still in memory reaches the log volume before the instance ends.

Of bytes that were written and not synced a power cut leaves nothing; a sync takes some milliseconds. So the volume is
synced every second until the end, by a process that systemd starts for it: it outlives this hook, so that the drain can
end and its report reaches the volume, and it thaws what it has frozen, whatever happens to it. Where there is no
systemd this hook syncs until its own time is over, and nothing is frozen.
"""

import os
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from signal import Signals
from typing import Final

from spotwatch.hooks.services import Agents, Services
from spotwatch.hooks.time_left import TimeLeft
from spotwatch.hooks.volume_words import duration, positive_seconds

SUMMARY = "tell log agents to flush or stop, and sync the log volume until the end"
IAM_ACTIONS: tuple[str, ...] = ()

INTERVAL: Final = 1.0
"""Seconds between two syncs."""

THAW_SECONDS: Final = 30.0
"""After the deadline. AWS's time is approximate, and an instance that is there so much later lives on."""

_STATE_DIRECTORY: Final = "/var/lib/spotwatch"
"""Of a daemon with default settings, for who runs the hook by hand."""


@dataclass(frozen=True, slots=True)
class Telling:
    """One agent that is told something.

    Attributes:
        name: for the report.
        tell: does it within so many seconds; why it could not be done, or an empty text.
    """

    name: str
    tell: Callable[[Agents, float], str]


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the words of its command line."""
    parser.add_argument("--mount-point", metavar="PATH", required=True, help="where the log volume is mounted")
    parser.add_argument(
        "--unit",
        metavar="NAME",
        type=_unit,
        dest="agents",
        action="append",
        default=[],
        help="an agent that is to be stopped (systemctl stop); may be repeated, like the next two",
    )
    parser.add_argument(
        "--signal",
        metavar="SIGNAL:WHOM",
        type=_signal,
        dest="agents",
        action="append",
        help="an agent that is sent a signal: WHOM is a unit, or the path of a file with a process number, such as "
        "USR1:/run/fluentd.pid",
    )
    parser.add_argument(
        "--http",
        metavar="[METHOD ]URL",
        type=_http,
        dest="agents",
        action="append",
        help="a flush endpoint that is called (GET, unless another METHOD stands before it), such as "
        "http://127.0.0.1:24444/api/plugins.flushBuffers",
    )
    parser.add_argument(
        "--limit", metavar="TIME", type=positive_seconds, default=10.0, help="for each agent (default: 10s)"
    )
    parser.add_argument(
        "--freeze",
        metavar="TIME",
        type=duration,
        default=2.0,
        help="on terminate, freeze the file system this long before the deadline; 0s: never (default: 2s, which is "
        "less than drain.margin, so that the drain's report is on it)",
    )


def run(arguments: Namespace, services: Services, *, dry_run: bool) -> int:
    """Do it; 1 if an agent could not be told, or the volume could not be synced."""
    work = _Work(arguments, services, TimeLeft.of(services))
    if dry_run:
        return work.say()
    if "SPOTWATCH_REHEARSAL" in services.environment:
        return work.rehearse()
    return work.run()


class _Work:
    """One run of the hook."""

    def __init__(self, arguments: Namespace, services: Services, time: TimeLeft) -> None:
        self._volume: str = arguments.mount_point
        self._tellings: Sequence[Telling] = arguments.agents
        self._limit: float = arguments.limit
        self._freeze: float = arguments.freeze
        self._services = services
        self._files = services.file_systems
        self._time = time
        self._event = services.environment.get("SPOTWATCH_EVENT", "")
        self._drain = services.environment.get("SPOTWATCH_DRAIN_ID", "")

    def say(self) -> int:
        """What would be done, and what could not be."""
        for telling in self._tellings:
            print(f"would tell {telling.name}, for at most {self._limit:g} s")
        if problem := self._files.why_not_to_sync(self._volume):
            print(problem)
            return 1
        freeze_at, reason = self._when_to_freeze()
        print(f"would sync {self._volume}{' every second until the end' if self._time.deadline else ''}")
        print(
            f"would freeze it {self._freeze:g} s before the deadline" if freeze_at else f"would not freeze it: {reason}"
        )
        return 0

    def rehearse(self) -> int:
        """Everything but what would go on after the rehearsal: nothing is frozen, and it is synced once."""
        failed = self._tell_agents(lambda: False)
        print("a rehearsal: synced once, and neither until the end nor frozen")
        return 1 if self._sync() or failed else 0

    def run(self) -> int:
        """Everything; what goes on after us is handed over first.

        Agents may take their time, and if an earlier drain has frozen the volume, nothing can be written until then.
        """
        is_over = self._time.deadline is None or self._hand_over(self._time.deadline)
        self._write_report()
        failed = self._tell_agents(self._sync if not is_over else lambda: False)
        problem = self._sync()
        while not is_over and (left := self._time.until - self._services.clock.now()) > 0:
            self._services.clock.sleep(min(INTERVAL, left))
            problem = self._sync()
        return 1 if failed or problem else 0

    def _hand_over(self, deadline: float) -> bool:
        """Have systemd sync, freeze and thaw; whether it does."""
        freeze_at, reason = self._when_to_freeze()
        problem = self._files.hand_over(
            self._volume, freeze_at=freeze_at, until=deadline + THAW_SECONDS, report=self._report_file()
        )
        if problem:
            print(f"not frozen, and the drain's last report will not be on it: {problem}; synced here until the end")
        elif freeze_at is None:
            print(f"synced every second by a unit of systemd; not frozen: {reason}")
        else:
            print(f"synced every second by a unit of systemd, and frozen {self._freeze:g} s before the deadline")
        return not problem

    def _when_to_freeze(self) -> tuple[float | None, str]:
        """When (boot clock, seconds); None, and why not."""
        if self._time.deadline is None:
            return None, "there is no deadline"
        if not self._freeze:
            return None, "as told"
        if self._event != "terminate":
            return None, f"an instance unmounts it by itself on {self._event or 'nothing'}"
        state = self._services.environment.get("SPOTWATCH_STATE_DIRECTORY", _STATE_DIRECTORY)
        reason = self._files.why_not_to_freeze(self._volume, [state])
        return (None, reason) if reason else (self._time.deadline - self._freeze, "")

    def _report_file(self) -> str:
        state = self._services.environment.get("SPOTWATCH_STATE_DIRECTORY", "")
        return f"{state}/reports/{self._drain}.json" if state and self._drain else ""

    def _write_report(self) -> None:
        """As things stand: the last one is only written when all hooks have ended."""
        if not self._drain:
            return
        report = self._services.report_so_far()
        if not report:
            print("missing: the daemon's journal has no report to be written onto the volume")
        elif problem := self._files.write_note(self._volume, f"reports/{self._drain}.json", report):
            print(f"missing: {problem}")

    def _tell_agents(self, meanwhile: Callable[[], object]) -> bool:
        """Tell all of them, side by side; whether any could not be told."""
        if not self._tellings:
            return False
        with ThreadPoolExecutor(len(self._tellings)) as pool:
            told = {
                pool.submit(telling.tell, self._services.agents, self._seconds()): telling for telling in self._tellings
            }
            problems = list(_answers(told, meanwhile))
        return any(problems)

    def _seconds(self) -> float:
        """That an agent has: its limit, or what is left of ours."""
        return max(INTERVAL, min(self._limit, self._time.until - self._services.clock.now()))

    def _sync(self) -> str:
        if problem := self._files.sync(self._volume):
            print(problem, flush=True)
        return problem


def _answers(told: dict[Future[str], Telling], meanwhile: Callable[[], object]) -> Iterator[str]:
    """What became of each, as it comes; something else is done every second until all have answered."""
    waiting = set(told)
    while waiting:
        done, waiting = wait(waiting, INTERVAL, return_when="FIRST_COMPLETED")
        for future in done:
            print(f"{told[future].name}: {future.result() or 'told'}", flush=True)
            yield future.result()
        meanwhile()


def _unit(text: str) -> Telling:
    return Telling(f"unit {_unit_name(text)}", lambda agents, seconds: agents.stop(text, seconds))


def _unit_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9:_.\\@-]+", text) or text.startswith("-"):
        raise ArgumentTypeError(f'"{text}" is no name of a unit')
    return text


def _signal(text: str) -> Telling:
    signal, colon, whom = text.partition(":")
    name = signal.upper().removeprefix("SIG")
    if not colon or f"SIG{name}" not in Signals.__members__:
        raise ArgumentTypeError(f'"{text}": write SIGNAL:UNIT or SIGNAL:/path/of/a.pid, such as USR1:fluentd.service')
    if os.path.isabs(whom):
        return Telling(f"{name} to {whom}", lambda agents, seconds: agents.signal_process(whom, name, seconds))
    unit = _unit_name(whom)
    return Telling(f"{name} to {unit}", lambda agents, seconds: agents.signal_unit(unit, name, seconds))


def _http(text: str) -> Telling:
    match = re.fullmatch(r"(?:([A-Z]+) )?(https?://\S+)", text)
    if match is None:
        raise ArgumentTypeError(f'"{text}": write a URL that begins with http://, perhaps with a method before it')
    method, url = match[1] or "GET", match[2]
    return Telling(f"{method} {url}", lambda agents, seconds: agents.request(method, url, seconds))
