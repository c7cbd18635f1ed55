"""What a rehearsal looks like on a terminal: lines as it happens, then a timeline of the hooks against the deadline."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from spotwatch.core.quantity import format_duration
from spotwatch.core.report import DrainReport, HookReport
from spotwatch.simulate.rehearsal import Line
from spotwatch.simulate.verdict import CUT, Judgement

WIDEST_BAR: Final = 48
NARROWEST_BAR: Final = 12

OTHER_COLUMNS: Final = 62
"""Roughly what the table takes beside its bar."""

_COLORS: Final[Mapping[str, str]] = {
    "succeeded": "green",
    "failed": "red",
    "timed-out": "red",
    "killed": "red",
    "not-started": "red",
    "given-up": "red",
    "skipped": "yellow",
    "superseded": "cyan",
    "canceled": "yellow",
}

_LEVELS: Final[Mapping[str, str]] = {"warning": "yellow", "error": "red", "critical": "red", "debug": "dim"}


def show_line(console: Console, line: Line) -> None:
    """One line of what happens."""
    who = Text(f"{line.who:6}", style="bold magenta" if line.who == "AWS" else "dim")
    name = Text(line.name, style="bold" if line.who == "AWS" else _LEVELS.get(line.level, ""))
    time = Text(f"{line.at:6.1f} s", style="dim")
    console.print(time, who, name, Text(_values(line.values), style="dim"), soft_wrap=True)


def _values(values: Mapping[str, Any]) -> str:
    if "message" in values:
        return str(values["message"])
    return " ".join(f"{key}={str(value).strip()}" for key, value in values.items() if key not in {"drain", "pid"})


def show_timeline(console: Console, report: DrainReport) -> None:
    """A drain's hooks against its deadline, and its last word on the time."""
    scale = _Scale(report, max(NARROWEST_BAR, min(WIDEST_BAR, console.width - OTHER_COLUMNS)))
    table = Table(box=None, padding=(0, 1), title=_title(report), title_justify="left", title_style="bold")
    table.add_column("stage", no_wrap=True)
    table.add_column("hook", overflow="fold")
    table.add_column("ran", justify="right", no_wrap=True)
    table.add_column("of", justify="right", no_wrap=True)
    table.add_column(scale.heading, no_wrap=True)
    table.add_column("status", no_wrap=True)
    for hook in report.hooks:
        color = _COLORS.get(hook.status, "")
        ran = format_duration(hook.seconds) if hook.seconds is not None else ""
        allowed = format_duration(hook.allowed_seconds) if hook.allowed_seconds is not None else ""
        status = Text(hook.status, style=color)
        table.add_row(str(hook.stage), hook.name, ran, allowed, scale.bar(hook, color), status)
    console.print()
    console.print(table)


def show_judgement(console: Console, judgement: Judgement) -> None:
    """The verdict."""
    color = "green" if judgement.passed else "red"
    console.print()
    console.print(Text(judgement.sentence, style=f"bold {color}"), soft_wrap=True)
    for problem in judgement.problems:
        console.print(Text(f"  {problem}", style=color), soft_wrap=True)


def _title(report: DrainReport) -> str:
    return f"{report.event}: noticed with {format_duration(report.seconds_left)} to go"


class _Scale:
    """Maps the time of a drain to columns; a deadline far behind the last hook stays outside."""

    def __init__(self, report: DrainReport, width: int) -> None:
        self._width = width
        self._began = _time(report.began_at)
        deadline = self._seconds(report.deadline)
        ends = [self._seconds(hook.ended_at) for hook in report.hooks if hook.ended_at]
        events = [self._seconds(event.seen_at) for event in report.events]
        busy = max([1.0, *ends, *events])
        self._shows_deadline = deadline <= 3 * busy
        self._whole = max(deadline, busy) if self._shows_deadline else busy * 1.25
        self._deadline = deadline
        self._notice = self._seconds(report.notice_seen_at)

    @property
    def heading(self) -> str:
        """What the columns span, with the deadline inside or behind."""
        if self._shows_deadline:
            return f"deadline at {format_duration(self._deadline)}"
        return f"first {format_duration(self._whole)}"

    def bar(self, hook: HookReport, color: str) -> Text:
        """The span of a hook; a mark where it never ran."""
        columns = [Text("·", style="dim") for _ in range(self._width)]
        columns[self._column(self._notice)] = Text("┆", style="magenta")
        if self._shows_deadline:
            columns[self._column(self._deadline)] = Text("┃", style="bold")
        if hook.started_at and hook.ended_at:
            first, last = self._column(self._seconds(hook.started_at)), self._column(self._seconds(hook.ended_at))
            for index in range(first, last + 1):
                columns[index] = Text("█", style=color)
        elif hook.ended_at and hook.status in CUT:
            columns[self._column(self._seconds(hook.ended_at))] = Text("✗", style=color)
        return Text.assemble(*columns)

    def _seconds(self, moment: str) -> float:
        return (_time(moment) - self._began).total_seconds()

    def _column(self, seconds: float) -> int:
        return max(0, min(self._width - 1, int(seconds / self._whole * self._width)))


def _time(text: str | None) -> datetime:
    return datetime.fromisoformat(text or "1970-01-01T00:00:00Z")
