"""``spotwatch status``: what the daemon sees now, and what became of the last drain."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from spotwatch.cli.options import add_settings_options, load_settings
from spotwatch.core.errors import EX_UNAVAILABLE, NotRunning, StateUnavailable
from spotwatch.core.hook import HookStatus
from spotwatch.core.quantity import format_duration
from spotwatch.core.report import DrainReport, HookReport
from spotwatch.host.lock import is_held
from spotwatch.host.records import Records

DESCRIPTION = """\
Show what the daemon sees now (what it is doing, when the metadata service last
answered, what is announced) and the report of the last drain.
"""

EPILOG = """\
exit codes:
  0   the daemon is running
  69  it is not; what is known is printed all the same
  73  the runtime directory cannot be read
  78  the settings have mistakes

examples:
  spotwatch status
  spotwatch status --json | jq .last_drain.verdict
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's words."""
    add_settings_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: Namespace) -> int:
    """Show it."""
    settings = load_settings(arguments)
    records = Records(settings.state)
    pid = is_held(settings.state.runtime_directory)
    status = _status(records)
    last = _last_drain(records)
    if arguments.json:
        print(json.dumps({**status, "running": pid is not None, "pid": pid, **_last_as_json(last)}, indent=2))
    else:
        print("\n".join([_daemon(status, pid), *_now(status), "", *_last(last)]))
    return 0 if pid is not None else EX_UNAVAILABLE


def _status(records: Records) -> Mapping[str, Any]:
    """What a daemon has shown; empty if none has, and then why is told."""
    try:
        return records.read_status()
    except NotRunning as error:
        print(f"spotwatch: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return {}


def _last_drain(records: Records) -> DrainReport | StateUnavailable | None:
    """The report of the last drain that was no arming, or why it is not to be had."""
    try:
        return next((report for report in reversed(records.reports()) if report.event != "start"), None)
    except StateUnavailable as error:
        return error


def _last_as_json(last: DrainReport | StateUnavailable | None) -> dict[str, Any]:
    """``last_drain``; where it cannot be read, why, so that nobody takes it for none."""
    if isinstance(last, StateUnavailable):
        return {"last_drain": None, "last_drain_problem": last.message}
    return {"last_drain": last.to_json() if last else None}


def _daemon(status: Mapping[str, Any], pid: int | None) -> str:
    if pid is not None:
        return f"daemon            running, process {pid or 'unknown'}"
    return f"daemon            NOT RUNNING{'; this is what it showed last' if status else ''}"


def _now(status: Mapping[str, Any]) -> Iterator[str]:
    if not status:
        return
    instance = status["instance"]
    facts = [fact for fact in (instance["type"], instance["availability_zone"]) if fact]
    yield f"doing             {status['doing']}"
    yield f"instance          {instance['id'] or 'not known yet'} {', '.join(facts)}".rstrip()
    yield f"metadata service  {status['metadata_service'] or 'has not answered'}, {_age(status['last_good_poll'])}"
    yield f"announced         {', '.join(status['announced']) or 'nothing'}"
    if status["clock_skew_seconds"] is not None:
        yield f"clock             {status['clock_skew_seconds']:+.1f} s to AWS's"
    for trouble in status.get("trouble", ()):
        yield f"trouble           {trouble}"


def _age(moment: str | None) -> str:
    if moment is None:
        return "no good poll yet"
    seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    return f"last good poll {format_duration(max(0.0, seconds))} ago"


def _last(report: DrainReport | StateUnavailable | None) -> Iterator[str]:
    if report is None:
        yield "no drain yet"
        return
    if isinstance(report, StateUnavailable):
        yield f"last drain        {report.message}"
        yield "                  hint: run 'sudo spotwatch status', or the same as the daemon's user"
        return
    yield f"last drain        {report.drain}: {report.verdict}"
    yield f"  for             {report.event}"
    yield f"  noticed         {report.notice_seen_at}, {format_duration(report.seconds_left)} left"
    if report.seconds_to_spare is not None:
        yield f"  to spare        {format_duration(report.seconds_to_spare)}"
    for hook in report.hooks:
        yield f"  stage {hook.stage:<10}{hook.name}: {_hook(hook)}"
    for problem in report.not_recorded:
        yield f"  not recorded    {problem}"


def _hook(hook: HookReport) -> str:
    words = [*(["in the background,"] if hook.background else []), hook.status.replace("-", " ")]
    if hook.seconds is not None:
        words.append(f"after {format_duration(hook.seconds)}")
    if hook.exit_code:
        words.append(f"with exit code {hook.exit_code}")
    if hook.status == HookStatus.ENDED:
        words.append("with an unknown exit code")
    if hook.reason:
        words.append(f"({hook.reason})")
    if hook.output and hook.status != HookStatus.SUCCEEDED:
        words[-1] += f", see {hook.output}"
    return " ".join(words)
