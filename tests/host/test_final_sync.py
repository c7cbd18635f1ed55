"""The process of the last seconds, as a process: it syncs, copies the report, freezes, and always thaws."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spotwatch.host.final_sync import Plan, main, report_copier
from tests.host.frozen import is_frozen, log_volume, mounted, wait_until
from tests.ship.images import copy, needs_images

Start = Callable[[Plan], "subprocess.Popen[str]"]


def boot_clock() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    with log_volume(tmp_path / "live") as root:
        yield root


@pytest.fixture
def start() -> Iterator[Start]:
    """Start it as systemd would."""
    processes = []

    def start(plan: Plan) -> "subprocess.Popen[str]":
        command = [sys.executable, "-B", "-m", "spotwatch.host.final_sync"]
        environment = {**os.environ, **plan.to_environment()}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("plan", [Plan("/a b", 12.5), Plan("/é", 12.5, 11.25, "/x/y.json")])
def test_a_plan_comes_through_the_environment(plan: Plan) -> None:
    assert Plan.read(plan.to_environment()) == plan


@needs_images
@pytest.mark.root
@pytest.mark.slow
class TestReal:
    def test_it_freezes_at_its_time_and_thaws_at_its_end(self, volume: Path, start: Start) -> None:
        now = boot_clock()
        process = start(Plan(str(volume), until=now + 2.5, freeze_at=now + 1.0))
        wait_until(lambda: is_frozen(volume))
        frozen_after = boot_clock() - now
        said, _ = process.communicate(timeout=20)
        assert (process.returncode, boot_clock() - now > 2.5) == (0, True)
        assert frozen_after > 0.99
        assert not is_frozen(volume)
        assert "was frozen; thawed" in said

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_told_to_stop_it_thaws_at_once(self, volume: Path, start: Start, number: signal.Signals) -> None:
        """A shutdown of the instance: systemd stops it, and unmounts the volume then."""
        process = start(Plan(str(volume), until=boot_clock() + 60, freeze_at=boot_clock()))
        wait_until(lambda: is_frozen(volume))
        process.send_signal(number)
        process.communicate(timeout=10)
        assert process.returncode == 0
        assert not is_frozen(volume)

    def test_killed_it_leaves_it_frozen_and_what_systemd_runs_then_thaws_it(
        self, volume: Path, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plan = Plan(str(volume), until=boot_clock() + 60, freeze_at=boot_clock())
        process = start(plan)
        wait_until(lambda: is_frozen(volume))
        process.kill()
        process.wait(10)
        assert is_frozen(volume)
        for name, value in {**plan.to_environment(), "SERVICE_RESULT": "signal"}.items():
            monkeypatch.setenv(name, value)
        assert main("thaw") == 0
        assert not is_frozen(volume)

    def test_after_a_success_a_freeze_that_somebody_else_has_made_since_is_left_alone(
        self, volume: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in {**Plan(str(volume), until=0).to_environment(), "SERVICE_RESULT": "success"}.items():
            monkeypatch.setenv(name, value)
        subprocess.run(["fsfreeze", "--freeze", volume], check=True)
        assert main("thaw") == 0
        assert is_frozen(volume)

    def test_what_somebody_else_has_frozen_for_a_moment_is_frozen_by_us_then(self, volume: Path, start: Start) -> None:
        """Tools for snapshots do that."""
        subprocess.run(["fsfreeze", "--freeze", volume], check=True)
        process = start(Plan(str(volume), until=boot_clock() + 60, freeze_at=boot_clock()))
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        subprocess.run(["fsfreeze", "--unfreeze", volume], check=True)
        wait_until(lambda: is_frozen(volume))

    def test_told_to_stop_while_somebody_else_has_it_frozen_it_ends(self, volume: Path, start: Start) -> None:
        subprocess.run(["fsfreeze", "--freeze", volume], check=True)
        process = start(Plan(str(volume), until=boot_clock() + 60, freeze_at=boot_clock()))
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.terminate()
        process.communicate(timeout=10)
        assert is_frozen(volume)

    def test_what_somebody_else_has_frozen_is_not_thawed_by_us(self, volume: Path, start: Start) -> None:
        subprocess.run(["fsfreeze", "--freeze", volume], check=True)
        process = start(Plan(str(volume), until=boot_clock() + 1.5, freeze_at=boot_clock()))
        said, _ = process.communicate(timeout=20)
        assert "cannot be frozen" in said
        assert is_frozen(volume)

    def test_a_file_system_that_knows_no_freezing_is_synced_to_the_end(self, tmp_path: Path, start: Start) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "none", tmp_path], check=True)
        try:
            said, _ = start(Plan(str(tmp_path), until=boot_clock() + 1.5, freeze_at=boot_clock())).communicate(
                timeout=20
            )
        finally:
            subprocess.run(["umount", tmp_path], check=True)
        assert said == f"{tmp_path} cannot be frozen: Operation not supported\n"

    def test_what_is_written_at_any_time_is_on_the_disk_a_second_later(
        self, volume: Path, start: Start, tmp_path: Path
    ) -> None:
        process = start(Plan(str(volume), until=boot_clock() + 60))
        (volume / "app.log").write_bytes(b"a line\n" * 100_000)
        (tmp_path / "r.json").write_text("{}")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2.5)
        copy(tmp_path / "live", tmp_path / "cut")
        with mounted(tmp_path / "cut", "ext4") as root:
            assert (root / "app.log").read_bytes() == b"a line\n" * 100_000

    def test_a_report_that_is_written_meanwhile_is_on_the_volume_when_it_is_frozen(
        self, volume: Path, start: Start, tmp_path: Path
    ) -> None:
        report = tmp_path / "20260101T000000.000Z-terminate.json"
        start(Plan(str(volume), until=boot_clock() + 60, freeze_at=boot_clock() + 2.0, report=str(report)))
        report.write_text(json.dumps({"verdict": "drained"}))
        wait_until(lambda: is_frozen(volume))
        copied = volume / ".spotwatch" / "reports" / report.name
        assert json.loads(copied.read_text()) == {"verdict": "drained"}


def test_a_report_is_copied_when_it_has_changed(tmp_path: Path) -> None:
    source, target = tmp_path / "r.json", tmp_path / ".spotwatch" / "reports" / "r.json"
    copy_report = report_copier(str(source), str(tmp_path))
    assert (copy_report(), target.exists()) == ("", False)
    source.write_text("first")
    assert (copy_report(), target.read_text()) == ("", "first")
    target.write_text("untouched")
    assert (copy_report(), target.read_text()) == ("", "untouched")
    source.write_text("second")
    assert (copy_report(), target.read_text()) == ("", "second")


def test_a_report_that_cannot_be_copied_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("first")
    copy_report = report_copier(str(tmp_path / "r.json"), str(tmp_path / "missing"))
    assert copy_report().endswith("/.spotwatch/reports/r.json cannot be written: No such file or directory")
    assert copy_report() == ""
