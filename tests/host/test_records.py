"""What is kept of a drain, and what is said when it cannot be."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from spotwatch.core.errors import NotRunning, StateUnavailable
from spotwatch.core.settings import StateSettings
from spotwatch.host.records import Records
from tests.reports import make_hook_report, make_report


@pytest.fixture
def settings(tmp_path: Path) -> StateSettings:
    return replace(StateSettings(), directory=str(tmp_path / "state"), runtime_directory=str(tmp_path / "run"))


@pytest.fixture
def records(settings: StateSettings) -> Records:
    records = Records(settings)
    assert records.prepare() == ""
    return records


@pytest.fixture
def blocked(settings: StateSettings) -> Records:
    """A state directory that cannot be made, because a file is in its place; even root cannot."""
    Path(settings.directory).touch()
    return Records(settings)


def names(settings: StateSettings, kind: str) -> list[str]:
    return sorted(path.name for path in Path(settings.directory, kind).iterdir())


class TestReports:
    def test_a_report_is_read_as_it_was_kept(self, records: Records) -> None:
        report = make_report(make_hook_report("a"))
        assert records.keep_report(report, keep=20) == ""
        assert records.reports() == [report]

    def test_they_come_in_the_order_of_their_drains(self, records: Records) -> None:
        for name in ("2", "1", "3"):
            records.keep_report(make_report(drain=name), keep=20)
        assert [report.drain for report in records.reports()] == ["1", "2", "3"]

    def test_the_oldest_are_removed_with_their_outputs(self, records: Records, settings: StateSettings) -> None:
        for name in ("1", "2", "3"):
            Path(records.output_directory(name), "a.log").touch()
            records.keep_report(make_report(drain=name), keep=2)
        assert names(settings, "reports") == ["2.json", "3.json"]
        assert names(settings, "output") == ["2", "3"]

    def test_outputs_of_a_drain_that_came_to_no_report_stay_until_there_are_enough_others(
        self, records: Records, settings: StateSettings
    ) -> None:
        records.output_directory("0-killed")
        for name in ("1", "2"):
            records.output_directory(name)
            records.keep_report(make_report(drain=name), keep=2)
            left = names(settings, "output")
            assert ("0-killed" in left) == (name == "1")

    def test_what_is_no_report_is_passed_over(self, records: Records, settings: StateSettings) -> None:
        records.keep_report(make_report(), keep=20)
        directory = Path(settings.directory, "reports")
        newer = {**make_report().to_json(), "schema": 99}
        for number, text in enumerate(["", "[]", "{}", '"x"', '{"schema": 1}', json.dumps(newer)]):
            (directory / f"{number}.json").write_text(text)
        (directory / "binary.json").write_bytes(b"\xff")
        (directory / "folder.json").mkdir()
        (directory / "note.txt").touch()
        assert records.reports() == [make_report()]

    def test_without_a_directory_there_are_none(self, settings: StateSettings) -> None:
        assert Records(settings).reports() == []

    def test_reports_that_may_not_be_read_are_not_taken_for_none(self, blocked: Records) -> None:
        with pytest.raises(StateUnavailable, match="reports cannot be read: Not a directory") as caught:
            blocked.reports()
        assert caught.value.hint


class TestNoRoomForState:
    def test_the_daemon_is_told_why_and_goes_on(self, blocked: Records, settings: StateSettings) -> None:
        why = f"{settings.directory}/reports cannot be made: Not a directory"
        assert blocked.prepare() == why
        assert blocked.keep_report(make_report(), keep=20) == why
        assert blocked.output_directory("1") == f"{settings.directory}/output/1"

    def test_without_a_runtime_directory_there_is_no_daemon(self, settings: StateSettings) -> None:
        Path(settings.runtime_directory).touch()
        with pytest.raises(StateUnavailable, match="run cannot be made: File exists") as caught:
            Records(settings).prepare()
        assert "state.runtime_directory" in caught.value.hint

    def test_a_status_that_cannot_be_shown_is_a_reason(self, settings: StateSettings) -> None:
        problem = Records(settings).show_status({})
        assert problem == f"{settings.runtime_directory}/status.json cannot be written: No such file or directory"

    def test_a_directory_that_takes_no_files_is_a_reason(self, records: Records, settings: StateSettings) -> None:
        Path(settings.directory, "reports").rmdir()
        Path(settings.directory, "reports").symlink_to("/proc/self")
        assert "cannot be written" in records.keep_report(make_report(), keep=20)


class TestStatus:
    def test_it_is_read_as_it_was_shown(self, records: Records) -> None:
        assert records.show_status({"doing": "watching"}) == ""
        assert records.read_status() == {"doing": "watching"}

    def test_that_there_is_none_says_what_to_do(self, records: Records) -> None:
        with pytest.raises(NotRunning, match="no daemon has left a status") as caught:
            records.read_status()
        assert "systemctl start spotwatch" in caught.value.hint

    @pytest.mark.parametrize("text", ["", "{", "[]", "\0", "null"])
    def test_one_that_is_none_is_told(self, records: Records, settings: StateSettings, text: str) -> None:
        Path(settings.runtime_directory, "status.json").write_text(text)
        with pytest.raises(NotRunning, match="is no status of a daemon"):
            records.read_status()

    def test_one_that_cannot_be_read_is_told(self, records: Records, settings: StateSettings) -> None:
        Path(settings.runtime_directory, "status.json").mkdir()
        with pytest.raises(NotRunning, match=r"status\.json cannot be read: Is a directory"):
            records.read_status()
