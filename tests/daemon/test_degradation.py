"""The journal is damaged, removed or out of room, and processes or descriptors run out: hooks run, and it is said."""

import os
import pwd
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from signal import SIGKILL

import pytest

from spotwatch.core.report import DrainReport
from spotwatch.host.journal import Journal
from spotwatch.host.journal_file import Access
from spotwatch.simulate.service import MetadataService
from tests.daemon.process import DaemonProcess, from_now, hook, statuses

pytestmark = pytest.mark.slow

WORK = hook("work", 'echo done > "$T/worked"', stage=2)
WAIT = hook("wait", 'echo $$ > "$T/waits"; while [ ! -e "$T/go" ]; do sleep 0.02; done', stage=1)
FILE = "journal.sqlite"


def drained(daemon: DaemonProcess, directory: Path, spoil: Callable[[Path], None]) -> DrainReport:
    """The report of a drain of both hooks, during which something happens to the state directory."""
    daemon.written("waits")
    spoil(directory / "state")
    (directory / "go").touch()
    ended = daemon.record("drain-ended")
    assert ended["verdict"] == "drained"
    assert daemon.written("worked") == "done\n"
    kept = directory / "state" / "reports" / f"{ended['drain']}.json"
    if kept.exists():
        return daemon.report()
    return DrainReport.from_json(daemon.record("report", level="error")["report"])


def unfinished(directory: Path) -> list[str]:
    with closing(Journal(str(directory / "state"), Access.READ)) as journal:
        return [drain.id for drain in journal.unfinished()]


def test_a_damaged_journal_is_kept_aside_and_the_drain_is_in_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE).write_text("this is no database\n" * 100)
    with MetadataService() as service, DaemonProcess(tmp_path, WORK, endpoint=service.url) as daemon:
        said = daemon.record("journal", level="error")["problem"]
        assert "is damaged (file is not a database); it is kept as" in said
        service.interrupt("terminate", from_now(60))
        report = daemon.report()
        assert (report.verdict, report.not_recorded) == ("drained", ())
        assert unfinished(tmp_path) == [report.drain]
    (aside,) = (tmp_path / "state").glob("*.unusable")
    assert aside.read_text().startswith("this is no database")


def test_a_hook_that_a_lost_journal_has_forgotten_is_ended_before_it_is_run_again(tmp_path: Path) -> None:
    run = 'exec 9> "$T/lock"; flock -n 9 || echo beside-itself >> "$T/runs"; echo $$ >> "$T/runs"; '
    work = hook("work", run + 'while [ ! -e "$T/go" ]; do sleep 0.02; done')
    with MetadataService() as service:
        service.interrupt("terminate", from_now(60))
        with DaemonProcess(tmp_path, work, endpoint=service.url) as daemon:
            first = daemon.written("runs")
            daemon.signal(SIGKILL)
            assert daemon.exit_code() == -SIGKILL
            remove_journal(tmp_path / "state")  # what was written ahead would restore it
            overwrite_journal(tmp_path / "state")
            with DaemonProcess(tmp_path, work, endpoint=service.url) as next_daemon:
                assert next_daemon.record("strays-ended")["processes"] >= 1
                next_daemon.wait_for(lambda: (tmp_path / "runs").read_text() != first, "the second run")
                (tmp_path / "go").touch()
                assert next_daemon.report().verdict == "drained"
    runs = (tmp_path / "runs").read_text().split()
    assert len(runs) == 2
    assert "beside-itself" not in runs


def remove_journal(state: Path) -> None:
    for path in state.glob(f"{FILE}*"):
        path.unlink()


def test_a_journal_that_is_removed_during_a_drain_is_begun_anew_with_the_whole_drain(tmp_path: Path) -> None:
    with MetadataService() as service, DaemonProcess(tmp_path, WAIT, WORK, endpoint=service.url) as daemon:
        service.interrupt("terminate", from_now(60))
        report = drained(daemon, tmp_path, remove_journal)
        assert report.not_recorded == (f"journal: {tmp_path}/state/{FILE} was removed; a new one is begun",)
        assert unfinished(tmp_path) == [report.drain]


def truncate_journal(state: Path) -> None:
    os.truncate(state / FILE, 0)


def overwrite_journal(state: Path) -> None:
    (state / FILE).write_text("this is no database\n" * 1000)


@pytest.mark.parametrize("spoil", [truncate_journal, overwrite_journal])
def test_a_journal_that_is_damaged_during_a_drain_keeps_no_hook_from_running(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    with MetadataService() as service, DaemonProcess(tmp_path, WAIT, WORK, endpoint=service.url) as daemon:
        service.interrupt("terminate", from_now(60))
        report = drained(daemon, tmp_path, spoil)
        assert statuses(report) == {"wait": "succeeded", "work": "succeeded"}


def test_a_state_directory_that_is_removed_during_a_drain_keeps_no_hook_from_running(tmp_path: Path) -> None:
    with MetadataService() as service, DaemonProcess(tmp_path, WAIT, WORK, endpoint=service.url) as daemon:
        service.interrupt("terminate", from_now(60))
        report = drained(daemon, tmp_path, shutil.rmtree)
        assert any(text.startswith("journal: ") for text in report.not_recorded)


def remove_outputs(state: Path) -> None:
    shutil.rmtree(state / "output")


def test_outputs_that_cannot_be_kept_are_named_in_the_report(tmp_path: Path) -> None:
    with MetadataService() as service, DaemonProcess(tmp_path, WAIT, WORK, endpoint=service.url) as daemon:
        service.interrupt("terminate", from_now(60))
        report = drained(daemon, tmp_path, remove_outputs)
        assert any(text.startswith("output of work: ") for text in report.not_recorded)
        assert report.hooks[-1].output is None


def test_without_descriptors_a_hook_that_cannot_be_started_says_so_and_the_daemon_lives_on(tmp_path: Path) -> None:
    many = [hook(f"many-{number}", "exec sleep 1", stage=1) for number in range(20)]
    with (
        MetadataService() as service,
        DaemonProcess(tmp_path, *many, WORK, endpoint=service.url, under=("prlimit", "--nofile=30:30")) as daemon,
    ):
        service.interrupt("terminate", from_now(60))
        ended = daemon.record("drain-ended")
        assert ended["verdict"] == "failed"
        refused = daemon.records("hook-ended", status="not-started")
        assert refused
        assert all("descriptors" in record["reason"] for record in refused)
        assert daemon.written("worked") == "done\n"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_without_processes_a_hook_that_cannot_be_started_says_so_and_the_daemon_lives_on(tmp_path: Path) -> None:
    """The limit counts the processes of a user, so the hooks are those of one who has no other."""
    nobody = pwd.getpwnam("nobody").pw_name
    many = [hook(f"many-{number}", "exec sleep 1", stage=1, user=nobody) for number in range(5)]
    with (
        MetadataService() as service,
        DaemonProcess(tmp_path, *many, WORK, endpoint=service.url, under=("prlimit", "--nproc=3:3")) as daemon,
    ):
        service.interrupt("terminate", from_now(60))
        daemon.record("drain-ended")
        fates = [record["status"] for record in daemon.records("hook-ended") if record["hook"] != "work"]
        assert "not-started" in fates
        assert daemon.written("worked") == "done\n"
