"""``spotwatch history``: past drains, from the journal."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from spotwatch.cli.options import add_settings_options, load_settings
from spotwatch.core.errors import StateUnavailable, UsageError
from spotwatch.core.quantity import format_duration
from spotwatch.core.report import DrainReport
from spotwatch.host.journal import Journal, PastDrain
from spotwatch.host.journal_file import Access

DESCRIPTION = """\
Show the drains that the journal remembers, the newest last, or one of them
with its hooks.
"""

EPILOG = """\
exit codes:
  0   it is shown
  64  the journal knows no drain of this name
  73  the journal cannot be read
  78  the settings have mistakes

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
    drains = _chosen(_past_drains(load_settings(arguments).state.directory), arguments.drain)
    if arguments.json:
        print(json.dumps([_document(drain) for drain in drains], indent=2))
    else:
        lines = _one(drains[0]) if arguments.drain else _list(drains)
        print("\n".join(lines))
    return 0


def _past_drains(directory: str) -> Sequence[PastDrain]:
    """All that the journal knows; where there is none, there was no drain."""
    with closing(Journal(directory, Access.READ)) as journal:
        drains = journal.history()
        if journal.problem and not journal.is_missing:
            raise StateUnavailable(journal.problem, hint="run as the daemon's user, or as root")
    return drains


def _chosen(drains: Sequence[PastDrain], wanted: str | None) -> Sequence[PastDrain]:
    if wanted is None:
        return drains
    found = [drain for drain in drains if drain.id == wanted]
    if not found:
        raise UsageError(f"the journal knows no drain {wanted}", hint="'spotwatch history' lists those that it knows")
    return found


def _document(drain: PastDrain) -> dict[str, Any]:
    report = _report(drain)
    return {
        "drain": drain.id,
        "closed": drain.closed,
        "note": drain.note,
        "report": report.to_json() if report else None,
    }


def _list(drains: Sequence[PastDrain]) -> Iterator[str]:
    if not drains:
        yield "no drain yet"
    for drain in drains:
        report = _report(drain)
        verdict = report.verdict if report else _without_report(drain)
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


def _without_report(drain: PastDrain) -> str:
    if drain.report:
        return "its report cannot be read"
    return "without a report" if drain.closed else "unfinished"


def _report(drain: PastDrain) -> DrainReport | None:
    try:
        return DrainReport.from_json(json.loads(drain.report)) if drain.report else None
    except ValueError:
        return None
