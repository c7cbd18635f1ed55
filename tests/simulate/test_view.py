"""What a rehearsal looks like at the widths that terminals have."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO, StringIO, TextIOWrapper
from typing import Any, TextIO

import pytest
from rich.console import Console

from spotwatch.core.hook import HookStatus
from spotwatch.core.report import DrainReport
from spotwatch.simulate import view
from spotwatch.simulate.line_count import LineCount
from spotwatch.simulate.rehearsal import Line
from spotwatch.simulate.verdict import Judgement
from spotwatch.simulate.view import show_judgement, show_line, show_lines, show_said, show_timeline
from tests.reports import make_hook_report, make_report, moment

WIDTHS = (80, 120)

REPORT = make_report(
    make_hook_report("stop-taking-jobs", 0.0, 0.5),
    make_hook_report("leave-load-balancer", 0.5, 2.5, stage=20, allowed_seconds=60.0),
    make_hook_report("finish-requests", 0.5, 8.0, stage=20, status="timed-out"),
    make_hook_report("flush-logs", None, 8.0, stage=30, status="given-up", reason="0.1 s left"),
    make_hook_report("arm", None, 0.0, stage=40, status="superseded"),
)
"""A deadline far away."""

CLOSE = make_report(
    make_hook_report("quick", 0.0, 2.0),
    make_hook_report("slow", 2.0, 9.0, status="killed"),
    deadline=moment(10),
    seconds_left=10.0,
)


def printed(file: TextIO, show: Callable[[Console], None], width: int = 80, *, terminal: bool = False) -> None:
    show(Console(file=file, width=width, highlight=False, force_terminal=terminal, color_system=None))


def rendered(show: Callable[[Console], None], width: int = 80, *, terminal: bool = False) -> list[str]:
    """The rows that something is shown as, without colors; a terminal's without the blanks that nobody sees there."""
    file = StringIO()
    printed(file, show, width, terminal=terminal)
    return [row.rstrip() if terminal else row for row in file.getvalue().splitlines()]


def line(name: str, at: float = 7.0, who: str = "daemon", level: str = "info", **values: Any) -> Line:
    return Line(at, who, name, level, values)


class TestLines:
    @pytest.mark.parametrize(
        ("shown", "text"),
        [
            (
                line("interruption notice: terminate, 2 min to go", 6.0, who="AWS"),
                "   6.0 s  AWS    interruption notice: terminate, 2 min to go",
            ),
            (line("daemon-started", 0.0, version="1", hooks=1), "   0.0 s  daemon started with 1 hook"),
            (line("daemon-started", 0.0, version="1", hooks=4), "   0.0 s  daemon started with 4 hooks"),
            (line("daemon-stopped", 123.4), " 123.4 s  daemon stopped"),
            (
                line("drain-began", event_kind="rebalance", action="rebalance", seconds_left=600.0),
                "   7.0 s  daemon drain for rebalance begins, 10 min to go",
            ),
            (
                line("drain-upgraded", event_kind="terminate", seconds_left=118.5),
                "   7.0 s  daemon drain upgraded to terminate, 118.5 s to go",
            ),
            (
                line("drain-moved", event_kind="terminate", seconds_left=40.0),
                "   7.0 s  daemon deadline moved closer, 40 s to go",
            ),
            (
                line("hook-started", hook="a", stage=10, pid=7, allowed_seconds=20.0),
                "   7.0 s  daemon a starts (stage 10), may take 20 s",
            ),
            (line("hook-signaled", hook="a", signal="SIGTERM"), "   7.0 s  daemon a gets SIGTERM"),
            (
                line("hook-ended", hook="a", stage=10, status="succeeded", seconds=0.5, exit_code=0),
                "   7.0 s  daemon a succeeded after 0.5 s",
            ),
            (
                line("hook-ended", hook="a", stage=10, status="failed", seconds=0.5, exit_code=3),
                "   7.0 s  daemon a failed after 0.5 s with exit code 3",
            ),
            (
                line("hook-ended", hook="a", stage=10, status="failed", seconds=0.5, signal=11),
                "   7.0 s  daemon a failed after 0.5 s by signal 11",
            ),
            (
                line("hook-ended", hook="a", stage=10, status="given-up", reason="0.1 s left"),
                "   7.0 s  daemon a given up (0.1 s left)",
            ),
            (
                line("drain-ended", event_kind="terminate", verdict="cut", seconds_to_spare=3.0),
                "   7.0 s  daemon drain for terminate over: cut, 3 s to spare",
            ),
            (
                line("metadata-failure", message="no answer", hint="look", item="x"),
                "   7.0 s  daemon no answer (look)",
            ),
            (
                line("hook-ended", hook="a", stage=10, status="ended", seconds=0.5, exit_code=None, signal=None),
                "   7.0 s  daemon a ended after 0.5 s with an unknown exit code",
            ),
            (
                line("event-recorded", event_kind="rebalance", drain_for="terminate"),
                "   7.0 s  daemon rebalance is only recorded, terminate is stronger",
            ),
            (
                line("event-recorded", event_kind="terminate", drain_for="terminate"),
                "   7.0 s  daemon terminate is only recorded, its deadline is no closer",
            ),
            (line("event-withdrawn", event_kind="stop"), "   7.0 s  daemon event-withdrawn event_kind=stop"),
            (line("no record of ours", level="error"), "   7.0 s  daemon no record of ours"),
        ],
    )
    def test_a_record_is_told_as_a_person_would_in_one_row(self, shown: Line, text: str) -> None:
        for width in WIDTHS:
            assert rendered(lambda console: show_line(console, shown), width) == [text]
            assert rendered(lambda console: show_line(console, shown), width, terminal=True) == [text]

    def test_a_record_of_another_version_is_shown_as_it_is(self) -> None:
        shown = line("hook-ended", hook="a", result="fine")
        assert rendered(lambda console: show_line(console, shown)) == [
            "   7.0 s  daemon event=hook-ended hook=a result=fine"
        ]

    def test_on_a_terminal_what_is_too_long_goes_on_below_its_beginning(self) -> None:
        shown = line("metadata-failure", message="word " * 20, hint="")
        rows = rendered(lambda console: show_line(console, shown), 80, terminal=True)
        assert len(rows) == 2
        assert all(len(row) <= 80 for row in rows)
        assert rows[1].startswith(" " * 17 + "word")

    def test_elsewhere_one_line_stays_one_so_that_it_can_be_searched(self) -> None:
        shown = line("metadata-failure", message="word " * 20, hint="")
        assert len(rendered(lambda console: show_line(console, shown), 80)) == 1

    def test_a_hook_that_failed_has_its_last_words_below(self) -> None:
        output = "".join(f"line {number}\n" for number in range(9))
        shown = line("hook-ended", hook="a", status="failed", seconds=1.0, exit_code=1, output=output)
        rows = rendered(lambda console: show_line(console, shown), 80, terminal=True)
        assert rows[1:] == [" " * 17 + f"| line {number}" for number in range(4, 9)]

    def test_brackets_in_an_output_are_no_markup(self) -> None:
        shown = line("hook-ended", hook="a", status="failed", seconds=1.0, exit_code=1, output="[bold]x[/nope]")
        assert rendered(lambda console: show_line(console, shown))[1].endswith("| [bold]x[/nope]")


class TestTimeline:
    def test_it_shows_each_hook_against_the_time(self) -> None:
        assert rendered(lambda console: show_timeline(console, CLOSE), 60) == [
            "",
            "terminate: noticed with 10 s to go",
            " stage  hook   ran    of  first 10 s           status",
            " 10     quick  2 s  20 s  ████··············┃  succeeded",
            " 10     slow   7 s  20 s  ┆··███████████████┃  killed",
            " ┆ noticed at 0 s   ┃ deadline at 10 s",
        ]

    def test_a_deadline_far_behind_the_last_hook_is_told_and_not_drawn(self) -> None:
        rows = rendered(lambda console: show_timeline(console, REPORT))
        assert "first 10 s" in rows[2]
        assert not any("┃" in row for row in rows)
        assert rows[-1] == " ┆ noticed at 0 s   deadline at 2 min, outside"

    def test_a_hook_that_was_given_up_is_a_cross_and_one_that_never_ran_is_nothing(self) -> None:
        rows = rendered(lambda console: show_timeline(console, REPORT))
        assert "✗" in rows[6]
        assert "█" not in rows[6] + rows[7]

    def test_a_hook_of_no_time_at_all_is_seen(self) -> None:
        report = make_report(make_hook_report("instant", 0.0, 0.0), make_hook_report("long", 0.0, 100.0))
        assert "█" in rendered(lambda console: show_timeline(console, report))[3]

    @pytest.mark.parametrize("width", WIDTHS)
    @pytest.mark.parametrize("report", [REPORT, CLOSE], ids=["far", "close"])
    def test_every_hook_is_one_row_within_the_width(self, width: int, report: DrainReport) -> None:
        rows = rendered(lambda console: show_timeline(console, report), width)
        assert len(rows) == 4 + len(report.hooks)
        assert all(len(row) <= width for row in rows)

    @pytest.mark.parametrize("width", [46, 50, 60])
    def test_a_narrow_terminal_gets_no_bars_and_no_wrapped_row(self, width: int) -> None:
        rows = rendered(lambda console: show_timeline(console, REPORT), width, terminal=True)
        assert all(len(row) <= width for row in rows)
        assert [row.split()[0] for row in rows[3:8]] == ["10", "20", "20", "30", "40"]
        assert not any("·" in row for row in rows)

    def test_a_very_narrow_one_gets_names_and_endings_only(self) -> None:
        rows = rendered(lambda console: show_timeline(console, REPORT), 40, terminal=True)
        assert all(len(row) <= 40 for row in rows)
        assert rows[2].split() == ["hook", "status"]
        assert [row.split() for row in rows[3:6]] == [
            ["stop-taking-jobs", "succeeded"],
            ["leave-load-balancer", "succeeded"],
            ["finish-requests", "timed-out"],
        ]

    @pytest.mark.parametrize("width", [30, 40, 46, 80, 120])
    def test_where_it_is_kept_no_row_ends_with_blanks(self, width: int) -> None:
        rows = rendered(lambda console: show_timeline(console, REPORT), width)
        assert [row for row in rows if row != row.rstrip()] == []

    @pytest.mark.parametrize("report", [REPORT, CLOSE, make_report(make_hook_report("x" * 100))])
    def test_where_there_is_only_ascii_it_is_drawn_with_that(self, report: DrainReport) -> None:
        file = TextIOWrapper(BytesIO(), encoding="ascii")
        printed(file, lambda console: show_timeline(console, report))
        file.seek(0)
        assert "#" in file.read()

    def test_a_notice_is_never_before_the_drain(self) -> None:
        report = make_report(make_hook_report("a"), notice_seen_at=moment(-0.04))
        assert rendered(lambda console: show_timeline(console, report))[-1].startswith(" ┆ noticed at 0 s ")

    @pytest.mark.parametrize("status", HookStatus)
    def test_every_status_has_a_color(self, status: HookStatus) -> None:
        assert view._COLORS[status]

    def test_a_long_name_leaves_room_for_the_rest(self) -> None:
        report = make_report(make_hook_report("x" * 100))
        row = rendered(lambda console: show_timeline(console, report))[3]
        assert "x" * 31 + "…" in row
        assert row.endswith("succeeded")

    @pytest.mark.parametrize(("width", "widest"), [(80, 25), (120, 48), (400, 48)])
    def test_the_bars_use_the_room_that_there_is(self, width: int, widest: int) -> None:
        row = rendered(lambda console: show_timeline(console, REPORT), width)[3]
        assert sum(character in "█·┆┃" for character in row) == widest


class TestJudgement:
    def test_the_sentence_stands_alone_when_all_is_well(self) -> None:
        judgement = Judgement(True, "drained in time, with 3 s to spare")
        assert rendered(lambda console: show_judgement(console, judgement)) == ["", judgement.sentence]

    def test_problems_that_the_sentence_does_not_name_are_listed(self) -> None:
        judgement = Judgement(False, "not drained in time: a was cut (and 1 more)", ("a was cut", "b was cut"))
        rows = rendered(lambda console: show_judgement(console, judgement))
        assert rows == ["", judgement.sentence, "  b was cut"]


@pytest.mark.parametrize("terminal", [True, False])
def test_colors_are_for_terminals(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    file = StringIO()
    console = Console(file=file, width=80, force_terminal=terminal, _environ={"TERM": "xterm-256color"})
    show_line(console, line("drain-moved", level="warning", seconds_left=1.0))
    show_timeline(console, REPORT)
    show_judgement(console, Judgement(False, "not drained", ("why",)))
    assert ("\x1b[" in file.getvalue()) is terminal


@pytest.mark.parametrize("width", [40, 80])
def test_what_was_only_said_is_told_hook_by_hook_within_the_width(width: int) -> None:
    said = {"leave-dns": ["would remove 192.0.2.1 from the A records of app.example.com"], "stop": ["would", "wait"]}
    rows = rendered(lambda console: show_said(console, said), width, terminal=True)
    assert max(map(len, rows)) <= width
    words = [row[14:] for row in rows if row.startswith("   ")]
    assert " ".join(words) == "would remove 192.0.2.1 from the A records of app.example.com would wait"


class TestLog:
    lines = LineCount(written=2765, sent=2231, shipped=534, lost=0, twice=0, half_line_bytes=28, half_line_shipped=True)

    def test_every_fate_has_its_number(self) -> None:
        assert rendered(lambda console: show_lines(console, self.lines)) == [
            "",
            " log lines  written  sent  shipped  lost  twice",
            "               2765  2231      534     0      0",
            " and half a line, of 28 bytes, which is not counted here: shipped as it was",
        ]

    def test_half_a_line_that_is_lost_is_told(self) -> None:
        lost = replace(self.lines, half_line_shipped=False)
        assert rendered(lambda console: show_lines(console, lost))[-1].endswith("not counted here: lost")

    def test_a_log_without_half_a_line_says_nothing_of_it(self) -> None:
        whole = replace(self.lines, half_line_bytes=0, half_line_shipped=False)
        assert len(rendered(lambda console: show_lines(console, whole))) == 3

    @pytest.mark.parametrize("width", [40, 80])
    def test_it_fits_the_terminal(self, width: int) -> None:
        rows = rendered(lambda console: show_lines(console, self.lines), width, terminal=True)
        assert max(map(len, rows)) <= width
