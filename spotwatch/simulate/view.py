"""What a rehearsal looks like on a terminal: lines as it happens, then a timeline of the hooks against the deadline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rich.console import Console, JustifyMethod, OverflowMethod
from rich.table import Table
from rich.text import Text

from spotwatch.core.hook import CUT, FAILURES, HookStatus
from spotwatch.core.quantity import format_duration, format_size
from spotwatch.core.report import DrainReport, HookReport
from spotwatch.simulate.line_count import LineCount
from spotwatch.simulate.rehearsal import Line
from spotwatch.simulate.verdict import Judgement

WIDEST_BAR: Final = 48
NARROWEST_BAR: Final = 8
NARROWEST_TEXT: Final = 20
NARROWEST_NAME: Final = 8
LONGEST_NAME: Final = 32

GAP: Final = 2
"""The blanks around a column."""

LAST_WORDS: Final = 5
"""Lines of a failed hook's output that are shown; the rest is in its file."""

_COLORS: Final[Mapping[str, str]] = {
    **dict.fromkeys(FAILURES, "red"),
    HookStatus.SUCCEEDED: "green",
    HookStatus.ENDED: "green",
    HookStatus.SKIPPED: "yellow",
    HookStatus.SUPERSEDED: "cyan",
    HookStatus.CANCELED: "yellow",
}

_LEVELS: Final[Mapping[str, str]] = {"warning": "yellow", "error": "red", "critical": "red", "debug": "dim"}


class _Console(Console):
    """One whose reader may leave: what that means for the program is not for the console to decide."""

    def on_broken_pipe(self) -> None:
        """Let the error, which is being handled, go on to whoever runs us."""
        raise


def make_console() -> Console:
    """The terminal, or whatever is there in its place."""
    return _Console(highlight=False)


def show_line(console: Console, line: Line) -> None:
    """One line of what happens, and the last words of a hook that failed."""
    is_aws = line.who == "AWS"
    head = Text.assemble((f"{line.at:6.1f} s  ", "dim"), (f"{line.who:7}", "bold magenta" if is_aws else "dim"))
    style = "bold" if is_aws else _LEVELS.get(line.level, "")
    _print_hanging(console, head, Text(_sentence(line.name, line.values), style=style))
    for words in str(line.values.get("output", "")).splitlines()[-LAST_WORDS:]:
        _print_hanging(console, Text(" " * len(head) + "| "), Text(words, style="dim"))


def _print_hanging(console: Console, head: Text, text: Text) -> None:
    """Print a text beside its head; on a terminal what is too long goes on below, elsewhere one line stays one."""
    room = max(NARROWEST_TEXT, console.width - len(head)) if console.is_terminal else max(1, len(text))
    for part in text.wrap(console, room) or [text]:
        console.print(Text.assemble(head, part), soft_wrap=True)
        head = Text(" " * len(head))


def _sentence(name: str, values: Mapping[str, Any]) -> str:
    """A record of the daemon's log as a person would say it; one that is not known here, as it is."""
    try:
        known = _daemon_sentence(name, values) or _hook_sentence(name, values) or _ship_sentence(name, values)
        return known or _other_sentence(name, values)
    except (KeyError, TypeError):
        return _other_sentence("", {"event": name, **values})


def _daemon_sentence(name: str, values: Mapping[str, Any]) -> str:
    match name:
        case "daemon-started":
            return f"started with {values['hooks']} hook{'s' if values['hooks'] != 1 else ''}"
        case "daemon-stopped":
            return "stopped"
        case "drain-began":
            return f"drain for {values['event_kind']} begins, {format_duration(values['seconds_left'])} to go"
        case "drain-upgraded":
            return f"drain upgraded to {values['event_kind']}, {format_duration(values['seconds_left'])} to go"
        case "drain-moved":
            return f"deadline moved closer, {format_duration(values['seconds_left'])} to go"
        case "event-recorded" if values["event_kind"] == values["drain_for"]:
            return f"{values['event_kind']} is only recorded, its deadline is no closer"
        case "event-recorded":
            return f"{values['event_kind']} is only recorded, {values['drain_for']} is stronger"
        case "drain-ended":
            spare = format_duration(values["seconds_to_spare"])
            return f"drain for {values['event_kind']} over: {values['verdict']}, {spare} to spare"
    return ""


def _hook_sentence(name: str, values: Mapping[str, Any]) -> str:
    match name:
        case "hook-started":
            allowed = format_duration(values["allowed_seconds"])
            return f"{values['hook']} starts (stage {values['stage']}), may take {allowed}"
        case "hook-signaled":
            return f"{values['hook']} gets {values['signal']}"
        case "hook-ended":
            return f"{values['hook']} {values['status'].replace('-', ' ')}{_ending(values)}"
    return ""


def _ship_sentence(name: str, values: Mapping[str, Any]) -> str:
    match name:
        case "ship-started":
            return f"{values['volume']} is attached, and read"
        case "ship-read":
            return f"{format_size(values['bytes'])} that nobody had sent are stored"
    return ""


def _ending(values: Mapping[str, Any]) -> str:
    """After how long, how, and why."""
    words = [f"after {format_duration(values['seconds'])}"] if "seconds" in values else []
    if values.get("exit_code"):
        words.append(f"with exit code {values['exit_code']}")
    if values["status"] == HookStatus.ENDED:
        words.append("with an unknown exit code")
    if "signal" in values and values["status"] == HookStatus.FAILED:
        words.append(f"by signal {values['signal']}")
    if values.get("reason"):
        words.append(f"({values['reason']})")
    return " " + " ".join(words) if words else ""


def _other_sentence(name: str, values: Mapping[str, Any]) -> str:
    if "message" in values:
        hint = f" ({values['hint']})" if values.get("hint") else ""
        return f"{values['message']}{hint}"
    words = [f"{key}={value}" for key, value in values.items() if key not in {"version", "output"}]
    return " ".join([name, *words]).strip()


def show_timeline(console: Console, report: DrainReport) -> None:
    """A drain's hooks against its deadline; a narrow terminal gets no bars, a very narrow one no times."""
    rows = [_cells(hook) for hook in report.hooks]
    widths = {head: max(map(len, [head, *(row[head] for row in rows)])) for head in _HEADS}
    heads = _HEADS if _room(console, widths, _HEADS) >= NARROWEST_NAME else _MAIN_HEADS
    room = _room(console, widths, heads)
    name = max(NARROWEST_NAME, min(widths["hook"], room, LONGEST_NAME))
    scale = _Scale(report, min(WIDEST_BAR, room - name - GAP) if heads is _HEADS else 0, _marks(console))
    has_bars = scale.width >= NARROWEST_BAR
    table = Table(box=None, padding=(0, 1))
    for head in heads[:-1]:
        justify: JustifyMethod = "right" if head in {"ran", "of"} else "left"
        width = name if head == "hook" else None
        table.add_column(head, no_wrap=True, justify=justify, max_width=width, overflow=scale.marks.overflow)
    if has_bars:
        table.add_column(scale.heading, no_wrap=True)
    table.add_column(heads[-1], no_wrap=True)
    for hook, row in zip(report.hooks, rows, strict=True):
        color = _COLORS.get(hook.status, "")
        bar = [scale.bar(hook, color)] if has_bars else []
        table.add_row(*(row[head] for head in heads[:-1]), *bar, Text(row[heads[-1]], style=color))
    console.print()
    _print_hanging(console, Text(), Text(_title(report), style="bold"))
    _print_table(console, table)
    _print_hanging(console, Text(" "), Text(scale.legend, style="dim"))


_HEADS: Final = ("stage", "hook", "ran", "of", "status")

_MAIN_HEADS: Final = ("hook", "status")
"""What is left of them where there is no room for all."""


def _cells(hook: HookReport) -> Mapping[str, str]:
    """The texts beside the bar, by their heads."""
    ran = format_duration(hook.seconds) if hook.seconds is not None else ""
    allowed = format_duration(hook.allowed_seconds) if hook.allowed_seconds is not None else ""
    return dict(zip(_HEADS, (str(hook.stage), hook.name, ran, allowed, hook.status), strict=True))


def _room(console: Console, widths: Mapping[str, int], heads: Sequence[str]) -> int:
    """What the other columns leave for the name and the bar."""
    return console.width - sum(widths[head] for head in heads if head != "hook") - len(heads) * GAP


def _print_table(console: Console, table: Table) -> None:
    """Print a table; where nobody sees the blanks at the ends of its rows, without them."""
    if console.is_terminal:
        console.print(table)
        return
    for line in console.render_lines(table, pad=False):
        console.print("".join(segment.text for segment in line).rstrip(), markup=False, soft_wrap=True)


def show_lines(console: Console, lines: LineCount) -> None:
    """What became of the application's log: a number for each fate, and what became of the half line at its end."""
    table = Table(box=None, padding=(0, 1))
    table.add_column("log lines", no_wrap=True)
    row = [Text()]
    for fate, number in (("written", lines.written), ("sent", lines.sent), ("shipped", lines.shipped)):
        table.add_column(fate, justify="right", no_wrap=True)
        row.append(Text(str(number)))
    for fate, number in (("lost", lines.lost), ("twice", lines.twice)):
        table.add_column(fate, justify="right", no_wrap=True)
        row.append(Text(str(number), style="red" if number else "green"))
    table.add_row(*row)
    console.print()
    _print_table(console, table)
    if lines.half_line_bytes:
        fate = "shipped as it was" if lines.half_line_shipped else "lost"
        half = f"and half a line, of {lines.half_line_bytes} bytes, which is not counted here: {fate}"
        _print_hanging(console, Text(" "), Text(half, style="dim" if lines.half_line_shipped else "red"))


def show_said(console: Console, said: Mapping[str, Sequence[str]]) -> None:
    """The words of each hook that has only said what it would do."""
    console.print()
    _print_hanging(console, Text(" "), Text("not done, but said, as in every rehearsal without --call-aws:"))
    width = max(map(len, said))
    for hook, words in said.items():
        head = f"   {hook:{width}}  "
        for line in words:
            _print_hanging(console, Text(head), Text(line, style="dim"))
            head = " " * len(head)


def show_judgement(console: Console, judgement: Judgement) -> None:
    """The verdict, and what of the problems it does not name itself."""
    color = "green" if judgement.passed else "red"
    console.print()
    _print_hanging(console, Text(), Text(judgement.sentence, style=f"bold {color}"))
    for problem in judgement.problems:
        if problem not in judgement.sentence:
            _print_hanging(console, Text("  "), Text(problem, style=color))


def _title(report: DrainReport) -> str:
    return f"{report.event}: noticed with {format_duration(report.seconds_left)} to go"


@dataclass(frozen=True, slots=True)
class _Marks:
    """The characters of a bar."""

    busy: str
    idle: str
    notice: str
    deadline: str
    given_up: str
    overflow: OverflowMethod = "ellipsis"


def _marks(console: Console) -> _Marks:
    if console.options.ascii_only:
        return _Marks(busy="#", idle=".", notice=":", deadline="|", given_up="x", overflow="crop")
    return _Marks(busy="█", idle="·", notice="┆", deadline="┃", given_up="✗")


class _Scale:
    """Maps the time of a drain to columns; a deadline far behind the last hook stays outside."""

    def __init__(self, report: DrainReport, width: int, marks: _Marks) -> None:
        self.width = width
        self.marks = marks
        self._began = _time(report.began_at)
        self._deadline = self._seconds(report.deadline)
        self._notice = max(0.0, self._seconds(report.notice_seen_at))
        ends = [self._seconds(hook.ended_at) for hook in report.hooks if hook.ended_at]
        busy = max([1.0, self._notice, *ends])
        self._shows_deadline = self._deadline <= 3 * busy
        self._whole = max(self._deadline, busy) if self._shows_deadline else busy * 1.25

    @property
    def heading(self) -> str:
        """What the columns span."""
        return f"first {format_duration(self._whole)}"

    @property
    def legend(self) -> str:
        """What the marks mean; times are seconds after the drain began."""
        deadline = f"deadline at {format_duration(self._deadline)}"
        deadline = f"{self.marks.deadline} {deadline}" if self._shows_deadline else f"{deadline}, outside"
        return f"{self.marks.notice} noticed at {format_duration(self._notice)}   {deadline}"

    def bar(self, hook: HookReport, color: str) -> Text:
        """The span of a hook; a cross where it was given up."""
        columns = [Text(self.marks.idle, style="dim") for _ in range(self.width)]
        columns[self._column(self._notice)] = Text(self.marks.notice, style="magenta")
        if self._shows_deadline:
            columns[self._column(self._deadline)] = Text(self.marks.deadline, style="bold")
        if hook.started_at and hook.ended_at:
            first, last = self._column(self._seconds(hook.started_at)), self._column(self._seconds(hook.ended_at))
            columns[first : last + 1] = [Text(self.marks.busy, style=color)] * (last + 1 - first)
        elif hook.ended_at and hook.status in CUT:
            columns[self._column(self._seconds(hook.ended_at))] = Text(self.marks.given_up, style=color)
        return Text.assemble(*columns)

    def _seconds(self, moment: str) -> float:
        return (_time(moment) - self._began).total_seconds()

    def _column(self, seconds: float) -> int:
        return max(0, min(self.width - 1, int(seconds / self._whole * self.width)))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
