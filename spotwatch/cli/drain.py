"""``spotwatch drain``: the same drain by hand, for scale-in scripts and for practice."""

import json
import os
import signal
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict

from spotwatch.cli.options import add_settings_options, load_settings
from spotwatch.cli.run import composed
from spotwatch.core.errors import AlreadyRunning, NotRunning, StateUnavailable
from spotwatch.core.event import EVENT_NAMES, INTERRUPTIONS, EventKind
from spotwatch.core.hook import HookOutcome
from spotwatch.core.quantity import format_duration, parse_duration
from spotwatch.core.report import DrainReport, Verdict
from spotwatch.core.settings import Settings
from spotwatch.drain.forecast import forecast
from spotwatch.host.journal import Journal
from spotwatch.host.journal_file import Access
from spotwatch.host.lock import is_held
from spotwatch.host.records import Records
from spotwatch.log import make_log

DESCRIPTION = """\
Run the hooks of an event now, as if it had been announced: the same machine,
the same journal, the same report. If the daemon runs, it does it, and arms
again afterwards; if not, this command does it itself. It is refused while a
drain is going on. A real notice that comes meanwhile upgrades it.
"""

EPILOG = """\
exit codes:
  0   every hook succeeded, in time
  1   a hook failed, was cut or given up
  69  the daemon runs and does not take the request, or has left without report
  73  the daemon's journal cannot be written
  75  a drain is going on; try again later

examples:
  spotwatch drain --dry-run
  spotwatch drain --deadline 90s
  spotwatch drain --event rebalance
"""

ANSWER_SECONDS = 10.0
"""The daemon takes a request within a poll, which takes at most one poll interval."""

REPORT_SECONDS = 10.0
"""From the deadline of a drain until its report is there."""

LOOK_SECONDS = 0.2
"""Between two looks into the journal."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's words."""
    add_settings_options(parser)
    events = f"{', '.join(EVENT_NAMES[:-1])} or {EVENT_NAMES[-1]} (default: %(default)s)"
    parser.add_argument("--event", metavar="EVENT", choices=EVENT_NAMES, default="terminate", help=events)
    parser.add_argument(
        "--deadline", metavar="TIME", type=_seconds, help="the time there is, such as 90s (default: the event's limit)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be run for how long, and run nothing")
    parser.add_argument("--json", action="store_true", help="print the report (or the forecast) as JSON")


def run(arguments: Namespace) -> int:
    """Drain, or have the daemon drain."""
    settings = load_settings(arguments)
    event = EventKind(arguments.event)
    seconds = arguments.deadline or settings.drain.limit.of(event)
    if arguments.dry_run:
        outcomes = forecast(settings.hooks, settings.drain, event, seconds)
        if arguments.json:
            print(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))
        else:
            print("\n".join(_foreseen(outcomes, event, seconds)))
        return 0
    pid = is_held(settings.state.runtime_directory)
    report = (
        _by_ourselves(settings, arguments, event, seconds) if pid is None else _by_daemon(settings, pid, event, seconds)
    )
    if arguments.json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        _show(report)
    return 0 if report.verdict == Verdict.DRAINED else 1


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    if seconds <= 0:
        raise ArgumentTypeError("write a time longer than zero")
    return seconds


def _foreseen(outcomes: Sequence[HookOutcome], event: EventKind, seconds: float) -> Iterator[str]:
    yield f"{event} with {format_duration(seconds)} to go, if every hook took all it may:"
    for outcome in sorted(outcomes, key=lambda outcome: outcome.started_at or 0.0):
        yield f"  stage {outcome.stage:<4} {outcome.hook}: {_fate(outcome)}"
    if not outcomes:
        yield "  no hook is for this event"


def _fate(outcome: HookOutcome) -> str:
    if outcome.started_at is None:
        return f"{outcome.status.replace('-', ' ')}, {outcome.reason}"
    return f"from {format_duration(outcome.started_at)}, for at most {format_duration(outcome.allowed or 0.0)}"


def _by_ourselves(settings: Settings, arguments: Namespace, event: EventKind, seconds: float) -> DrainReport:
    log, records = make_log(settings.log), Records(settings.state)
    problem = records.prepare()
    if problem:
        log.error("state-not-kept", problem=problem)
    with composed(settings, arguments, log, records) as daemon:
        return daemon.run_one_drain(event, seconds)


def _by_daemon(settings: Settings, pid: int, event: EventKind, seconds: float) -> DrainReport:
    """Write a request into the journal, tell the daemon to look, and wait for the report."""
    with closing(Journal(settings.state.directory, Access.ASK)) as journal, ExitStack() as in_the_end:
        if journal.problem:
            raise StateUnavailable(journal.problem, hint="run as the daemon's user, or as root")
        number = journal.requests.add(event, seconds)
        # However this ends: what was not taken is withdrawn, and a report is no longer kept for us.
        in_the_end.callback(journal.requests.close, number)
        _tell_to_look(pid)
        drain = _await_answer(journal, number)
        return _await_report(journal, drain, settings, seconds)


def _tell_to_look(pid: int) -> None:
    """Make the daemon look for requests.

    Raises:
        NotRunning: it is not there any more, or cannot be told.
    """
    if not pid:  # 0 would signal our own process group
        raise NotRunning("the daemon's lock does not say which process it is", hint="restart the daemon")
    try:
        os.kill(pid, signal.SIGUSR1)
    except OSError as error:
        hint = "run as the daemon's user, or as root; see 'spotwatch status'"
        raise NotRunning(f"the daemon, process {pid}, cannot be told: {error.strerror}", hint=hint) from None


def _await_answer(journal: Journal, number: int) -> str:
    """The drain that a request becomes."""
    drain = _look_for(lambda: journal.requests.answer(number), ANSWER_SECONDS)
    if drain is None:
        raise NotRunning("the daemon does not take the request", hint="see 'spotwatch status' and its log")
    if not drain:
        raise AlreadyRunning("a drain is going on", hint="see 'spotwatch status', and try again when it is over")
    return drain


def _await_report(journal: Journal, drain: str, settings: Settings, seconds: float) -> DrainReport:
    """The report of a drain; a real notice that comes meanwhile may have given it another deadline."""
    longest = max(seconds, *(settings.drain.limit.of(kind) for kind in INTERRUPTIONS))
    text = _look_for(lambda: journal.report(drain), longest + REPORT_SECONDS, settings.state.runtime_directory)
    if text is None:
        raise NotRunning(f"the drain {drain} has left no report", hint="see 'spotwatch status' and the daemon's log")
    return DrainReport.from_json(json.loads(text))


def _look_for(look: Callable[[], str | None], seconds: float, runtime_directory: str | None = None) -> str | None:
    """What there is to be seen within this time, and while the daemon lives; None if it does not come."""
    until = time.monotonic() + seconds
    while (seen := look()) is None and time.monotonic() < until:
        if runtime_directory is not None and is_held(runtime_directory) is None:
            return look()
        time.sleep(LOOK_SECONDS)
    return seen


def _show(report: DrainReport) -> None:
    spare = "" if report.seconds_to_spare is None else f", {format_duration(report.seconds_to_spare)} to spare"
    print(f"{report.drain}: {report.verdict}{spare}")
    for hook in report.hooks:
        print(f"  stage {hook.stage:<4} {hook.name}: {hook.status}{f' ({hook.reason})' if hook.reason else ''}")
