"""Who is shown a rehearsal: people at a terminal, or a program that reads one JSON document at the end."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol

from spotwatch.core.errors import UsageError
from spotwatch.core.report import DrainReport
from spotwatch.simulate.line_count import LineCount
from spotwatch.simulate.rehearsal import Line
from spotwatch.simulate.verdict import Judgement

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a rehearsal went.

    Attributes:
        reports: of its drains.
        lines: what became of the application's log; None if that was not played.
        said: the words of the hooks that did nothing but say what they would do, by the names of the hooks.
        judgement: the verdict.
    """

    reports: Sequence[DrainReport]
    lines: LineCount | None
    said: Mapping[str, Sequence[str]]
    judgement: Judgement


class Audience(Protocol):
    """Who is shown the rehearsal."""

    def introduce(self, places: Mapping[str, str]) -> None:
        """Where it takes place, by name."""
        ...

    def line(self, line: Line) -> None:
        """Something has happened."""
        ...

    def conclude(self, outcome: Outcome) -> None:
        """How it went."""
        ...


class Document:
    """For ``--json``: one document at the end."""

    def __init__(self) -> None:
        self._places: Mapping[str, str] = {}
        self._lines: list[Line] = []

    def introduce(self, places: Mapping[str, str]) -> None:
        """Keep it for the document."""
        self._places = places

    def line(self, line: Line) -> None:
        """Keep it for the document."""
        self._lines.append(line)

    def conclude(self, outcome: Outcome) -> None:
        """The document."""
        document = {
            **asdict(outcome.judgement),
            "places": self._places,
            "log": asdict(outcome.lines) if outcome.lines else None,
            "only_said": outcome.said,
            "drains": [report.to_json() for report in outcome.reports],
            "lines": [asdict(line) for line in self._lines],
        }
        print(json.dumps(document, indent=2))


class Terminal:
    """For people: what happens as it happens, the timelines, the verdict.

    Raises:
        UsageError: the package that draws is not installed.
    """

    def __init__(self) -> None:
        self._console = _console()

    def introduce(self, places: Mapping[str, str]) -> None:
        """Where it takes place."""
        for name, value in places.items():
            self._console.print(f"{name:18}{value}", markup=False, soft_wrap=True)
        self._console.print()

    def line(self, line: Line) -> None:
        """One line."""
        from spotwatch.simulate.view import show_line

        show_line(self._console, line)

    def conclude(self, outcome: Outcome) -> None:
        """The timelines, the log, what was only said and the verdict."""
        from spotwatch.simulate.view import show_judgement, show_lines, show_said, show_timeline

        for report in outcome.reports:
            if report.hooks:
                show_timeline(self._console, report)
        if outcome.lines:
            show_lines(self._console, outcome.lines)
        if outcome.said:
            show_said(self._console, outcome.said)
        show_judgement(self._console, outcome.judgement)


def _console() -> "Console":
    try:
        from spotwatch.simulate.view import make_console
    except ImportError:
        raise UsageError(
            "the rehearsal's view needs the package rich",
            hint="install the extra as the README does: pip install '.[simulate]'; or use --json",
        ) from None
    return make_console()
