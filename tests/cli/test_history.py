"""``spotwatch history``: past drains as the journal has them; looking leaves everything as it was."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from spotwatch.core.report import DrainReport
from spotwatch.host.journal import Journal
from spotwatch.host.journal_file import VERSION
from tests.reports import make_hook_report, make_report

Main = Callable[..., tuple[int, str, str]]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state directory; it is not made yet."""
    return tmp_path / "state"


@pytest.fixture
def journal(state: Path) -> Iterator[Journal]:
    state.mkdir()
    with closing(Journal(str(state))) as journal:
        yield journal


@pytest.fixture
def history(main: Main, state: Path, tmp_path: Path) -> Main:
    """Ask for the history of a daemon with this state directory."""
    file = tmp_path / "spotwatch.toml"
    file.write_text(f'[state]\ndirectory = "{state}"\n')
    return lambda *words: main("history", "-c", str(file), *words)


def keep(journal: Journal, report: DrainReport, note: str = "the terminate event was withdrawn") -> None:
    assert journal.open_drain(report.drain, "a-boot", "{}") == ""
    assert journal.keep_report(report.drain, json.dumps(report.to_json())) == ""
    if note:
        assert journal.close_drain(report.drain, note) == ""


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


class TestList:
    def test_every_drain_is_a_line_the_newest_last(self, history: Main, journal: Journal) -> None:
        keep(journal, make_report(make_hook_report("a"), make_hook_report("b"), drain="d-1"))
        keep(journal, make_report(drain="d-2", verdict="cut", seconds_to_spare=0.5), note="")
        journal.open_drain("d-3", "a-boot", "{}")
        journal.open_drain("d-4", "a-boot", "{}")
        journal.close_drain("d-4", "the instance has booted since")
        code, out, err = history()
        assert (code, err) == (0, "")
        assert out.splitlines() == [
            "d-1  drained, 2 hooks, 115 s to spare (the terminate event was withdrawn)",
            "d-2  cut, 0 hooks, 0.5 s to spare",
            "d-3  unfinished",
            "d-4  without a report (the instance has booted since)",
        ]

    def test_a_journal_without_drains_says_so(self, history: Main, journal: Journal) -> None:
        assert journal.problem == ""
        assert history() == (0, "no drain yet\n", "")

    def test_a_report_that_cannot_be_read_hides_no_other(self, history: Main, journal: Journal) -> None:
        for number, text in enumerate(["{", "[]", '{"schema": 99}']):
            journal.open_drain(f"d-{number}", "a-boot", "{}")
            journal.keep_report(f"d-{number}", text)
        keep(journal, make_report(drain="d-9"), note="")
        code, out, err = history()
        assert (code, err) == (0, "")
        assert out.splitlines() == [
            "d-0  its report cannot be read",
            "d-1  its report cannot be read",
            "d-2  its report cannot be read",
            "d-9  drained, 0 hooks, 115 s to spare",
        ]


class TestOneDrain:
    def test_it_is_told_event_by_event_and_hook_by_hook(self, history: Main, journal: Journal) -> None:
        hooks = [
            make_hook_report("a", 0.0, 2.0),
            make_hook_report("b", None, stage=20, status="given-up", reason="0.1 s left"),
        ]
        keep(journal, make_report(*hooks, drain="d-1", not_recorded=("output of a: the disk is full",)), note="")
        code, out, _ = history("d-1")
        assert code == 0
        assert out.splitlines() == [
            "d-1  drained, 2 hooks, 115 s to spare",
            "  2026-11-22T08:20:00.000Z  terminate began, 2 min left",
            "  stage 10   a: succeeded after 2 s",
            "  stage 20   b: given-up (0.1 s left)",
            "  not recorded: output of a: the disk is full",
        ]

    def test_one_that_is_not_known_is_64_with_a_hint(self, history: Main, journal: Journal) -> None:
        keep(journal, make_report(drain="d-1"))
        code, out, err = history("d-2")
        assert (code, out) == (64, "")
        assert "the journal knows no drain d-2\nhint: 'spotwatch history' lists" in err


class TestJson:
    def test_it_is_an_array_with_the_whole_reports(self, history: Main, journal: Journal) -> None:
        report = make_report(make_hook_report("a"), drain="d-1")
        keep(journal, report)
        journal.open_drain("d-2", "a-boot", "{}")
        code, out, _ = history("--json")
        first, second = json.loads(out)
        assert code == 0
        assert DrainReport.from_json(first.pop("report")) == report
        assert first == {"drain": "d-1", "closed": True, "note": "the terminate event was withdrawn"}
        assert second == {"drain": "d-2", "closed": False, "note": "", "report": None}

    def test_one_drain_is_an_array_of_one(self, history: Main, journal: Journal) -> None:
        keep(journal, make_report(drain="d-1"))
        keep(journal, make_report(drain="d-2"))
        assert [drain["drain"] for drain in json.loads(history("d-2", "--json")[1])] == ["d-2"]

    def test_without_any_drain_it_is_empty(self, history: Main) -> None:
        assert history("--json") == (0, "[]\n", "")


class TestNothingIsTouched:
    def test_without_a_journal_none_is_begun_and_no_directory_is_made(self, history: Main, state: Path) -> None:
        assert history() == (0, "no drain yet\n", "")
        assert not state.exists()
        state.mkdir()
        assert history() == (0, "no drain yet\n", "")
        assert list(state.iterdir()) == []

    @pytest.mark.parametrize("text", [b"this is no database\n" * 100, bytes(8192)])
    def test_a_damaged_journal_is_73_and_stays_where_it_is(self, history: Main, state: Path, text: bytes) -> None:
        state.mkdir()
        (state / "journal.sqlite").write_bytes(text)
        code, out, err = history()
        assert (code, out) == (73, "")
        assert f"{state}/journal.sqlite is " in err
        assert "hint: " in err
        assert content(state) == {"journal.sqlite": text}

    def test_a_journal_of_a_newer_version_is_73(self, history: Main, journal: Journal, state: Path) -> None:
        keep(journal, make_report())
        file = state / "journal.sqlite"
        journal.close()
        data = bytearray(file.read_bytes())
        data[60:64] = (VERSION + 1).to_bytes(4, "big")  # user_version in the file's header
        file.write_bytes(data)
        code, _, err = history()
        assert code == 73
        assert "was written by a newer spotwatch" in err

    def test_a_directory_in_its_place_is_73(self, history: Main, state: Path) -> None:
        (state / "journal.sqlite").mkdir(parents=True)
        code, _, err = history()
        assert code == 73
        assert "cannot be used" in err

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_journal_that_may_not_be_read_is_73(self, history: Main, journal: Journal, state: Path) -> None:
        keep(journal, make_report())
        (state / "journal.sqlite").chmod(0)
        assert history()[0] == 73

    def test_beside_a_daemon_that_writes_it_shows_what_is_written_and_changes_nothing(
        self, history: Main, journal: Journal, state: Path
    ) -> None:
        keep(journal, make_report(drain="d-1"))
        before = content(state)
        assert history()[0] == 0
        after = content(state)
        assert {name: after[name] for name in ("journal.sqlite", "journal.sqlite-wal")} == {
            name: before[name] for name in ("journal.sqlite", "journal.sqlite-wal")
        }
        keep(journal, make_report(drain="d-2"))
        assert history()[1].count("\n") == 2

    def test_of_a_daemon_that_has_left_it_reads_the_same(self, history: Main, journal: Journal) -> None:
        keep(journal, make_report(drain="d-1"))
        while_it_ran = history()
        journal.close()
        assert history() == while_it_ran
