"""``spotwatch check``: would it work if the notice came now?"""

import json
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

from spotwatch.cli.options import add_settings_options, load_settings, settings_files
from spotwatch.core.event import INTERRUPTIONS, EventKind
from spotwatch.core.hook import Hook, HookOutcome
from spotwatch.core.process import Command
from spotwatch.core.quantity import format_duration
from spotwatch.core.settings import Settings
from spotwatch.drain.forecast import falls_short, forecast
from spotwatch.host.inspection import who_else_could_change_it, why_it_would_not_start
from spotwatch.host.machine import Machine
from spotwatch.host.service_manager import environment_for_children
from spotwatch.watch.connection import Connection
from spotwatch.watch.probe import probe

DESCRIPTION = """\
Check whether spotwatch would work if the notice came now: the settings, the metadata service (reachable, which
version, clock skew), every hook (exists, is executable, cannot be changed by others, its user and directory exist),
and whether the time adds up when every hook takes all it may, for a notice with 120 s to go and for a late one with
40 s. Nothing is started and nothing is changed.
"""

EPILOG = """\
exit codes:
  0   nothing stands in the way; there may be warnings
  1   something does: it is marked "problem"
  78  the settings have mistakes

examples:
  sudo spotwatch check
  spotwatch check --config ./spotwatch.toml --set metadata.endpoint=http://127.0.0.1:1338
"""

PUNCTUAL_SECONDS = 120.0
"""The notice as AWS promises it."""

LATE_SECONDS = 40.0
"""A late one: 39 s were seen between an Auto Scaling event and the end of an instance."""

TOLERABLE_SKEW_SECONDS = 2.0
"""More means that nothing keeps this system's clock right."""


class Grade(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what about it, and what to do."""

    grade: Grade
    subject: str
    text: str
    hint: str = ""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's words."""
    add_settings_options(parser)
    parser.add_argument("--json", action="store_true", help="print the findings as one JSON document")


def run(arguments: Namespace) -> int:
    """Look at everything and say what was found."""
    settings = load_settings(arguments)
    findings = [*_settings(settings, arguments), *_metadata(settings), *_hooks(settings), *_budget(settings)]
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            print(f"{finding.grade:8} {finding.subject:10} {finding.text}")
            if finding.hint:
                print(f"{'':19} hint: {finding.hint}")
    return 1 if any(finding.grade is Grade.PROBLEM for finding in findings) else 0


def _settings(settings: Settings, arguments: Namespace) -> Iterator[Finding]:
    files = [str(path) for path in settings_files(arguments)]
    names = ", ".join(files) or "no file, so everything is at its default"
    yield Finding(Grade.OK, "settings", f"{names}: {len(settings.hooks)} hooks")
    for kind in sorted(INTERRUPTIONS):
        if not any(kind in hook.on for hook in settings.hooks):
            yield Finding(
                Grade.WARNING, "settings", f"no hook is for {kind}", hint=f'add "{kind}" to the hooks that need it'
            )


def _metadata(settings: Settings) -> Iterator[Finding]:
    with Machine() as machine:
        seen = probe(Connection, settings.metadata, settings.drain.limit, machine.instant)
    endpoint = settings.metadata.endpoint
    for item, error in seen.failures:
        yield Finding(Grade.PROBLEM, "metadata", f"{item}: {error.message}", hint=error.hint or _unreachable(endpoint))
    for warning in seen.warnings:
        yield Finding(Grade.WARNING, "metadata", warning)
    if seen.version:
        name = seen.instance.id or "an instance without an id"
        yield Finding(Grade.OK, "metadata", f"{endpoint} answers, {seen.version}; this is {name}")
    if seen.skew is not None and abs(seen.skew) < TOLERABLE_SKEW_SECONDS:
        yield Finding(Grade.OK, "clock", f"{abs(seen.skew):.1f} s from AWS's, give or take half a second")
    for kind in seen.announced:
        yield Finding(Grade.WARNING, "metadata", f"{kind} is announced at this moment")


def _unreachable(endpoint: str) -> str:
    if endpoint.startswith("http://169.254."):
        return "this is normal outside EC2; there, see that the instance's metadata options enable the service"
    return "see that the service at this endpoint runs"


def _hooks(settings: Settings) -> Iterator[Finding]:
    for hook in settings.hooks:
        yield from _hook(hook)


def _hook(hook: Hook) -> Iterator[Finding]:
    environment = {**environment_for_children(os.environ), **hook.environment}
    command = Command(hook.command, environment, directory=hook.directory, user=hook.user, group=hook.group)
    subject = "hook"
    problems = list(why_it_would_not_start(command))
    for problem in problems:
        yield Finding(Grade.PROBLEM, subject, f"{hook.name}: {problem}", hint="correct the hook, or install it")
    dangers = list(who_else_could_change_it(command))
    for danger in dangers:
        yield Finding(Grade.PROBLEM, subject, f"{hook.name}: {danger}", hint="chmod go-w, since it may run as root")
    if "/" not in hook.command[0]:
        hint = "write its absolute path; what PATH holds at boot is a guess"
        yield Finding(Grade.WARNING, subject, f"{hook.name}: {hook.command[0]} is searched for in PATH", hint=hint)
    if not problems and not dangers:
        events = ", ".join(sorted(hook.on))
        yield Finding(Grade.OK, subject, f"{hook.name}: stage {hook.stage}, on {events}")


def _budget(settings: Settings) -> Iterator[Finding]:
    """The worst case for a punctual notice and for a late one."""
    yield from _budget_for(settings, PUNCTUAL_SECONDS, Grade.PROBLEM)
    yield from _budget_for(settings, LATE_SECONDS, Grade.WARNING)


def _budget_for(settings: Settings, seconds: float, grade: Grade) -> Iterator[Finding]:
    title = f"{format_duration(seconds)} to go"
    outcomes = forecast(settings.hooks, settings.drain, EventKind.TERMINATE, seconds)
    short = [outcome for outcome in outcomes if falls_short(outcome)]
    if not short and outcomes:
        spare = seconds - max(outcome.ended_at or 0.0 for outcome in outcomes)
        yield Finding(
            Grade.OK, "budget", f"{title}: all hooks fit, with {format_duration(spare)} to spare at the worst"
        )
    for outcome in short:
        yield Finding(
            grade,
            "budget",
            f"{title}: {outcome.hook} {_shortage(outcome)} when every hook takes all it may",
            hint="shorten timeouts, reserve time for what matters, or put hooks side by side in one stage",
        )


def _shortage(outcome: HookOutcome) -> str:
    if outcome.started_at is None:
        return f"is given up ({outcome.reason})"
    return f"gets {format_duration(outcome.allowed or 0.0)} of its {format_duration(outcome.timeout or 0.0)}"
