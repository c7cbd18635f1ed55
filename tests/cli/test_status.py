"""``spotwatch status``: what the daemon sees, what became of the last drain, and what is said without either."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spotwatch.core.report import DrainReport
from spotwatch.core.settings import StateSettings
from spotwatch.host.lock import DirectoryLock
from spotwatch.host.records import Records
from tests.reports import make_hook_report, make_report

Main = Callable[..., tuple[int, str, str]]

STATUS: dict[str, Any] = {
    "doing": "watching",
    "last_good_poll": "2026-11-22T08:20:00.000Z",
    "metadata_service": "IMDSv2",
    "announced": [],
    "clock_skew_seconds": 0.25,
    "instance": {
        "id": "i-0123456789abcdef0",
        "type": "c6i.xlarge",
        "availability_zone": "eu-west-1a",
        "region": "eu-west-1",
    },
    "drain": None,
    "last_report": None,
    "version": "0.1.0",
}


@pytest.fixture
def state(tmp_path: Path) -> StateSettings:
    return replace(StateSettings(), directory=str(tmp_path / "state"), runtime_directory=str(tmp_path / "run"))


@pytest.fixture
def records(state: StateSettings) -> Records:
    records = Records(state)
    records.prepare()
    return records


@pytest.fixture
def status(main: Main, state: StateSettings, tmp_path: Path) -> Main:
    """Ask for the status of a daemon with these directories."""
    file = tmp_path / "spotwatch.toml"
    file.write_text(f'[state]\ndirectory = "{state.directory}"\nruntime_directory = "{state.runtime_directory}"\n')
    return lambda *words: main("status", "-c", str(file), *words)


def keep(records: Records, *reports: DrainReport) -> None:
    for report in reports:
        assert records.keep_report(report, keep=20) == ""


def test_a_running_daemon_is_0_with_what_it_sees(status: Main, records: Records, state: StateSettings) -> None:
    poll = datetime.now(UTC) - timedelta(seconds=90)
    records.show_status({**STATUS, "last_good_poll": poll.isoformat()})
    with DirectoryLock(state.runtime_directory):
        code, out, err = status()
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:4] == [
        f"daemon            running, process {os.getpid()}",
        "doing             watching",
        "instance          i-0123456789abcdef0 c6i.xlarge, eu-west-1a",
        lines[3],
    ]
    assert lines[3].startswith("metadata service  IMDSv2, last good poll 9")
    assert lines[4:] == ["announced         nothing", "clock             +0.2 s to AWS's", "", "no drain yet"]


def test_a_daemon_that_has_seen_nothing_yet_says_so(status: Main, records: Records, state: StateSettings) -> None:
    nothing = dict.fromkeys(STATUS["instance"], "")
    young = {"last_good_poll": None, "metadata_service": None, "clock_skew_seconds": None, "instance": nothing}
    records.show_status({**STATUS, **young})
    with DirectoryLock(state.runtime_directory):
        code, out, _ = status()
    assert code == 0
    assert "instance          not known yet\n" in out
    assert "metadata service  has not answered, no good poll yet\n" in out
    assert "clock" not in out


def test_a_daemon_that_has_gone_is_69_with_what_it_showed_last(status: Main, records: Records) -> None:
    records.show_status({**STATUS, "announced": ["rebalance", "terminate"]})
    code, out, err = status()
    assert (code, err) == (69, "")
    assert out.startswith("daemon            NOT RUNNING; this is what it showed last\ndoing             watching\n")
    assert "announced         rebalance, terminate\n" in out


def test_without_any_status_the_last_drain_is_told_all_the_same(status: Main, records: Records) -> None:
    keep(records, make_report())
    code, out, err = status()
    assert code == 69
    assert out.startswith("daemon            NOT RUNNING\n\nlast drain        d-1: drained\n")
    assert "no daemon has left a status" in err
    assert "hint: start it with 'systemctl start spotwatch'" in err


def test_every_trouble_that_the_daemon_is_in_is_a_line(status: Main, records: Records) -> None:
    records.show_status({**STATUS, "trouble": ["the disk is full", "no answer"]})
    assert "\ntrouble           the disk is full\ntrouble           no answer\n" in status()[1]


@pytest.mark.parametrize("document", [STATUS, {**STATUS, "trouble": []}], ids=["absent", "empty"])
def test_no_trouble_is_no_line(status: Main, records: Records, document: dict[str, Any]) -> None:
    records.show_status(document)
    assert "trouble" not in status()[1]


class TestLastDrain:
    def test_it_is_told_hook_by_hook(self, status: Main, records: Records) -> None:
        keep(
            records,
            make_report(
                make_hook_report("a", 0.0, 2.0),
                make_hook_report("b", 2.0, 3.0, stage=20, status="failed", exit_code=3, output="/x/b.log"),
                make_hook_report("c", None, stage=30, status="given-up", reason="0.1 s left"),
                verdict="cut",
                not_recorded=("b.log: the disk is full",),
            ),
        )
        _, out, _ = status()
        assert out.splitlines()[2:] == [
            "last drain        d-1: cut",
            "  for             terminate",
            "  noticed         2026-11-22T08:20:00.000Z, 2 min left",
            "  to spare        115 s",
            "  stage 10        a: succeeded after 2 s",
            "  stage 20        b: failed after 1 s with exit code 3, see /x/b.log",
            "  stage 30        c: given up (0.1 s left)",
            "  not recorded    b.log: the disk is full",
        ]

    def test_the_newest_counts_and_arming_is_none(self, status: Main, records: Records) -> None:
        keep(records, make_report(drain="1"), make_report(drain="2"), make_report(drain="3", event="start"))
        assert "last drain        2: drained\n" in status()[1]

    def test_the_background_is_named_where_a_failure_is_no_part_of_the_verdict(
        self, status: Main, records: Records
    ) -> None:
        failed = make_hook_report("a", 0.0, 2.0, status="failed", exit_code=75, background=True)
        records.keep_report(make_report(failed), keep=5)
        assert "  stage 10        a: in the background, failed after 2 s with exit code 75" in status()[1].splitlines()

    def test_a_hook_whose_exit_code_is_not_to_be_had_and_one_that_was_lost(
        self, status: Main, records: Records
    ) -> None:
        ended = make_hook_report("a", 0.0, 2.0, status="ended", exit_code=None)
        lost = make_hook_report("b", None, stage=20, status="lost", reason="the daemon died meanwhile")
        keep(records, make_report(ended, lost))
        assert status()[1].splitlines()[-2:] == [
            "  stage 10        a: ended after 2 s with an unknown exit code",
            "  stage 20        b: lost (the daemon died meanwhile)",
        ]


class TestReportsThatCannotBeRead:
    @pytest.fixture(autouse=True)
    def unreadable(self, records: Records, state: StateSettings) -> None:
        """Not even by root: a file is in the place of their directory."""
        records.show_status(STATUS)
        Path(state.directory, "reports").rmdir()
        Path(state.directory, "reports").touch()

    def test_the_live_status_is_shown_all_the_same_and_who_may_read_them(
        self, status: Main, state: StateSettings
    ) -> None:
        with DirectoryLock(state.runtime_directory):
            code, out, err = status()
        assert (code, err) == (0, "")
        assert "\ndoing             watching\n" in out
        assert out.splitlines()[-2:] == [
            f"last drain        {state.directory}/reports cannot be read: Not a directory",
            "                  hint: run 'sudo spotwatch status', or the same as the daemon's user",
        ]

    def test_without_a_daemon_it_is_69(self, status: Main) -> None:
        assert status()[0] == 69

    def test_json_does_not_take_them_for_none(self, status: Main) -> None:
        document = json.loads(status("--json")[1])
        assert document["last_drain"] is None
        assert document["last_drain_problem"].endswith("reports cannot be read: Not a directory")


class TestJson:
    def test_it_is_one_document_with_all_of_it(self, status: Main, records: Records, state: StateSettings) -> None:
        records.show_status(STATUS)
        keep(records, make_report(make_hook_report("a")))
        with DirectoryLock(state.runtime_directory):
            code, out, _ = status("--json")
        document = json.loads(out)
        assert code == 0
        assert {key: document[key] for key in STATUS} == STATUS
        assert (document["running"], document["pid"]) == (True, os.getpid())
        assert DrainReport.from_json(document["last_drain"]) == make_report(make_hook_report("a"))

    def test_without_a_daemon_it_says_so(self, status: Main, records: Records) -> None:
        assert records.reports() == []
        code, out, _ = status("--json")
        assert code == 69
        assert json.loads(out) == {"running": False, "pid": None, "last_drain": None}
