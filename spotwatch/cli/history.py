"""``spotwatch history``: past drains, from the journal."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from typing import Any

from spotwatch.cli.options import add_settings_options, load_settings
from spotwatch.core.errors import StateUnavailable, UsageError
from spotwatch.core.quantity import format_duration
from spotwatch.core.report import DrainReport
from spotwatch.host.journal import Journal, PastDrain

DESCRIPTION = """\
Show the drains that the journal remembers, the newest last, or one of them with its hooks.
"""

EPILOG = """\
examples:
  spotwatch history
  spotwatch history 20261122T082003.125Z-terminate
  spotwatch history --json | jq -r '.[].report.verdict'
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's words."""
    add_settings_options(parser)
    parser.add_argument("drain", nargs="?", help="the id of one drain, as the list shows it")
    parser.add_argument("--json", action="store_true", help="print a JSON array, with the whole reports")


def run(arguments: Namespace) -> int:
    """Show them."""
    journal = Journal(load_settings(arguments).state.directory)
    if journal.problem:
        raise StateUnavailable(journal.problem, hint="run as the daemon's user, or as root")
    try:
        drains = _chosen(journal.history(), arguments.drain)
    finally:
        journal.close()
    if arguments.json:
        print(json.dumps([_document(drain) for drain in drains], indent=2))
    else:
        lines = _one(drains[0]) if arguments.drain else _list(drains)
        print("\n".join(lines))
    return 0


def _chosen(drains: Sequence[PastDrain], wanted: str | None) -> Sequence[PastDrain]:
    if wanted is None:
        return drains
    found = [drain for drain in drains if drain.id == wanted]
    if not found:
        raise UsageError(f"the journal knows no drain {wanted}", hint="'spotwatch history' lists those that it knows")
    return found


def _document(drain: PastDrain) -> dict[str, Any]:
    return {
        "drain": drain.id,
        "closed": drain.closed,
        "note": drain.note,
        "report": json.loads(drain.report) if drain.report else None,
    }


def _list(drains: Sequence[PastDrain]) -> Iterator[str]:
    if not drains:
        yield "no drain yet"
    for drain in drains:
        report = _report(drain)
        verdict = report.verdict if report else "unfinished"
        hooks = f", {len(report.hooks)} hooks" if report else ""
        spare = ""
        if report and report.seconds_to_spare is not None:
            spare = f", {format_duration(report.seconds_to_spare)} to spare"
        yield f"{drain.id}  {verdict}{hooks}{spare}{f' ({drain.note})' if drain.note else ''}"


def _one(drain: PastDrain) -> Iterator[str]:
    yield from _list([drain])
    report = _report(drain)
    if report is None:
        return
    for event in report.events:
        yield f"  {event.seen_at}  {event.event} {event.effect}, {format_duration(event.seconds_left)} left"
    for hook in report.hooks:
        ran = f" after {format_duration(hook.seconds)}" if hook.seconds is not None else ""
        yield f"  stage {hook.stage:<4} {hook.name}: {hook.status}{ran}{f' ({hook.reason})' if hook.reason else ''}"
    for problem in report.not_recorded:
        yield f"  not recorded: {problem}"


def _report(drain: PastDrain) -> DrainReport | None:
    try:
        return DrainReport.from_json(json.loads(drain.report)) if drain.report else None
    except ValueError:
        return None
