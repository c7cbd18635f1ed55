"""``spotwatch check``: would it work if the notice came now?"""

import json
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import chdir
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from spotwatch.cli.hook import lacks_of, mistake_in, only_says
from spotwatch.cli.options import add_settings_options, load_settings, plural, settings_files, settings_places
from spotwatch.config import BUILT_IN
from spotwatch.core.errors import MetadataError
from spotwatch.core.event import INTERRUPTIONS, EventKind
from spotwatch.core.hook import Hook, HookOutcome
from spotwatch.core.process import Command
from spotwatch.core.quantity import format_duration
from spotwatch.core.settings import Settings, StateSettings
from spotwatch.drain.forecast import falls_short, forecast
from spotwatch.hooks import follows_drain
from spotwatch.host.inspection import (
    only_root_could_start,
    user_name,
    who_else_could_change,
    who_else_could_change_command,
    why_it_could_not_be_used,
    why_it_would_not_start,
)
from spotwatch.host.machine import Machine
from spotwatch.host.service_manager import environment_for_children
from spotwatch.watch.connection import Connection
from spotwatch.watch.probe import probe

DESCRIPTION = """\
Check whether spotwatch would work if the notice came now: the settings (could
others change them), the directories of [state], the metadata service (is it
reachable, which version is spoken, what about the clock), every hook (does it
exist, is it executable, could others change it, do its user and its directory
exist), and whether the time adds up when every hook takes all it may, for a
notice with 120 s to go and for a late one with 40 s. Check as the daemon's
user: what it may do is looked at as what we may do.

Nothing is started and nothing is changed.
"""

EPILOG = """\
exit codes:
  0   nothing stands in the way; there may be warnings
  1   something does: it is marked "problem"
  64  the command line is wrong
  78  the settings have mistakes

examples:
  sudo spotwatch check
  spotwatch check --config ./spotwatch.toml --json
  spotwatch check --set metadata.endpoint=http://127.0.0.1:1338
"""

PUNCTUAL_SECONDS = 120.0
"""The notice as AWS promises it."""

LATE_SECONDS = 40.0
"""A late one: 39 s were seen between an Auto Scaling event and the end of an instance."""

TOLERABLE_SKEW_SECONDS = 2.0
"""More means that nothing keeps this system's clock right."""


LONGEST_POLL_SECONDS = 10.0
"""More between two polls is more of the notice than any hook should have to go without."""


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
    findings = [
        *_settings(settings, arguments),
        *_state(settings.state),
        *_metadata(settings),
        *_hooks(settings),
        *_budget(settings),
    ]
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        print("\n".join(_lines(findings)))
    return 1 if _count(findings, Grade.PROBLEM) else 0


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    following = [finding.hint for finding in findings[1:]]
    for finding, next_hint in zip(findings, [*following, ""], strict=True):
        yield f"{finding.grade:8} {finding.subject:10} {finding.text}"
        if finding.hint not in {"", next_hint}:
            yield f"{'':19} hint: {finding.hint}"
    problems, warnings = _count(findings, Grade.PROBLEM), _count(findings, Grade.WARNING)
    yield ""
    yield f"{plural(problems, 'problem')}, {plural(warnings, 'warning')}"


def _count(findings: Sequence[Finding], grade: Grade) -> int:
    return sum(finding.grade is grade for finding in findings)


def _settings(settings: Settings, arguments: Namespace) -> Iterator[Finding]:
    names = ", ".join(map(str, settings_files(arguments))) or "no file, so everything is at its default"
    yield Finding(Grade.OK, "settings", f"{names}: {plural(len(settings.hooks), 'hook')}")
    dangers = (danger for place in settings_places(arguments) for danger in who_else_could_change(place))
    for danger in dict.fromkeys(dangers):
        yield Finding(Grade.PROBLEM, "settings", danger, hint=_CHMOD)
    yield from _waits(settings)
    for kind in sorted(INTERRUPTIONS):
        if not any(kind in hook.on for hook in settings.hooks):
            yield Finding(
                Grade.WARNING, "settings", f"no hook is for {kind}", hint=f'add "{kind}" to "on" of those that need it'
            )


_CHMOD = "chmod go-w it; whoever may write there decides what runs"


def _waits(settings: Settings) -> Iterator[Finding]:
    """Times in the settings that cost the hooks theirs."""
    interval, kept = settings.metadata.poll_interval, settings.drain.margin + settings.drain.kill_grace
    if interval > LONGEST_POLL_SECONDS:
        text = f"metadata.poll_interval: {format_duration(interval)} of a notice may be over before it is seen"
        yield Finding(Grade.WARNING, "settings", text, hint='write "2s"; a poll costs next to nothing')
    if kept >= PUNCTUAL_SECONDS:
        text = f"drain.margin and drain.kill_grace keep {format_duration(kept)}: nothing is left for hooks"
        yield Finding(Grade.PROBLEM, "settings", text, hint="write a few seconds each, such as their defaults")


def _state(state: StateSettings) -> Iterator[Finding]:
    directories = {"directory": state.directory, "runtime_directory": state.runtime_directory}
    for key, directory in directories.items():
        if problem := why_it_could_not_be_used(Path(directory)):
            hint = "check as the daemon's user, or name a directory that it may write to"
            yield Finding(Grade.PROBLEM, "state", f"state.{key}: {problem}", hint=hint)


def _metadata(settings: Settings) -> Iterator[Finding]:
    with Machine() as machine:
        seen = probe(Connection, settings.metadata, settings.drain.limit, machine.instant)
    endpoint = settings.metadata.endpoint
    for message, (items, hint) in _by_message(seen.failures).items():
        others = f" and {plural(len(items) - 1, 'other item')}" if len(items) > 1 else ""
        yield Finding(
            Grade.PROBLEM, "metadata", f"{items[0]}{others}: {message}", hint=hint or f"see what answers at {endpoint}"
        )
    for warning in seen.warnings:
        yield Finding(Grade.WARNING, "metadata", warning)
    if seen.version:
        name = seen.instance.id or "an instance without an id"
        yield Finding(Grade.OK, "metadata", f"{endpoint} answers, {seen.version}; this is {name}")
    if seen.skew is not None and abs(seen.skew) < TOLERABLE_SKEW_SECONDS:
        yield Finding(Grade.OK, "clock", f"{abs(seen.skew):.1f} s from AWS's, give or take half a second")
    for kind in seen.announced:
        yield Finding(Grade.WARNING, "metadata", f"{kind} is announced at this moment")


def _by_message(failures: Sequence[tuple[str, MetadataError]]) -> dict[str, tuple[list[str], str]]:
    """The items that failed in the same way, with its hint: usually it is one trouble that they all share."""
    found: dict[str, tuple[list[str], str]] = {}
    for item, error in failures:
        found.setdefault(error.message, ([], error.hint))[0].append(item)
    return found


def _hooks(settings: Settings) -> Iterator[Finding]:
    for hook in settings.hooks:
        yield from _hook(hook)


def _hook(hook: Hook) -> Iterator[Finding]:
    environment = {**environment_for_children(os.environ), **hook.environment}
    command = Command(hook.command, environment, directory=hook.directory, user=hook.user, group=hook.group)
    subject = "hook"
    problems = [*why_it_would_not_start(command), *_words_of_built_in(hook)]
    for problem in problems:
        yield Finding(Grade.PROBLEM, subject, f"{hook.name}: {problem}", hint="correct the hook, or install it")
    dangers = list(who_else_could_change_command(command))
    for danger in dangers:
        yield Finding(Grade.PROBLEM, subject, f"{hook.name}: {danger}", hint=_CHMOD)
    if not problems and only_root_could_start(command):
        text = f"{hook.name}: needs root for its user or group; checked as {user_name()}, not as root"
        yield Finding(Grade.WARNING, subject, text, hint="run 'sudo spotwatch check', or drop its user and group")
    if not problems and _only_says(hook):
        text = f"{hook.name}: it does nothing but say what it would do"
        yield Finding(Grade.WARNING, subject, text, hint="take --dry-run out of its args")
    if not hook.background and _follows_drain(hook):
        text = f"{hook.name}: its stage waits for it, so it does its work for what comes before only"
        yield Finding(Grade.WARNING, subject, text, hint="write background = true")
    if "/" not in hook.command[0]:
        hint = "write its absolute path; what PATH holds at boot is a guess"
        yield Finding(Grade.WARNING, subject, f"{hook.name}: {hook.command[0]} is searched for in PATH", hint=hint)
    if not problems and not dangers:
        events = ", ".join(sorted(hook.on))
        yield Finding(Grade.OK, subject, f"{hook.name}: stage {hook.stage}, on {events}")


def _follows_drain(hook: Hook) -> bool:
    word = hook.command[len(BUILT_IN) : len(BUILT_IN) + 1]
    return hook.command[: len(BUILT_IN)] == BUILT_IN and any(map(follows_drain, word))


def _words_of_built_in(hook: Hook) -> Iterator[str]:
    """What is wrong with the ``args`` of a hook that uses a built-in, and what they need and is not here."""
    if hook.command[: len(BUILT_IN)] != BUILT_IN:
        return
    words = hook.command[len(BUILT_IN) :]
    if mistake := mistake_in(words):
        yield f"args: {mistake}"
    elif os.path.isdir(directory := hook.directory or "/"):
        with chdir(directory):  # as the hook's process will look its files up
            lacking = lacks_of(words)
        yield from lacking


def _only_says(hook: Hook) -> bool:
    return hook.command[: len(BUILT_IN)] == BUILT_IN and only_says(hook.command[len(BUILT_IN) :])


def _budget(settings: Settings) -> Iterator[Finding]:
    """The worst case for a punctual notice and for a late one."""
    yield from _budget_for(settings, PUNCTUAL_SECONDS, Grade.PROBLEM)
    yield from _budget_for(settings, LATE_SECONDS, Grade.WARNING)


def _budget_for(settings: Settings, seconds: float, grade: Grade) -> Iterator[Finding]:
    title = f"{format_duration(seconds)} to go"
    within = min(seconds, settings.drain.limit.terminate)
    outcomes = forecast(settings.hooks, settings.drain, EventKind.TERMINATE, within)
    short = [outcome for outcome in outcomes if falls_short(outcome)]
    if not short:
        beside = {hook.name for hook in settings.hooks if hook.background}
        awaited = [outcome for outcome in outcomes if outcome.hook not in beside]
        yield Finding(Grade.OK, "budget", f"{title}: {_fit(awaited, within)}")
    for outcome in short:
        yield Finding(
            grade,
            "budget",
            f"{title}: {outcome.hook} {_shortage(outcome)} when every hook takes all it may",
            hint="shorten timeouts, reserve time for what matters, or put hooks side by side in one stage",
        )


def _fit(outcomes: Sequence[HookOutcome], seconds: float) -> str:
    if not outcomes:
        return "no hook to run"
    spare = seconds - max(outcome.ended_at or 0.0 for outcome in outcomes)
    return f"all hooks fit, with {format_duration(spare)} to spare at the worst"


def _shortage(outcome: HookOutcome) -> str:
    if outcome.started_at is None:
        return f"is {outcome.status.replace('-', ' ')} ({outcome.reason})"
    gets = f"gets {format_duration(outcome.allowed or 0.0)}"
    return gets if outcome.timeout is None else f"{gets} of its {format_duration(outcome.timeout)}"
