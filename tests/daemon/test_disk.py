"""Disks that are full, read-only or not there: hooks run all the same, and the log keeps what the disk cannot."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from spotwatch.core.report import DrainReport
from spotwatch.simulate.service import MetadataService
from tests.daemon.process import DaemonProcess, from_now, hook

pytestmark = pytest.mark.slow

WORK = hook("work", 'set -e; echo "one line"; echo another >&2; echo done > "$T/worked"')

T = TypeVar("T", bound=Callable[..., None])


def needs_root(test: T) -> T:
    """Mark a test that mounts a file system."""
    marked: T = pytest.mark.root(pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")(test))
    return marked


@contextmanager
def disk(directory: Path) -> Iterator[Path]:
    """A file system of 256 KiB at a directory."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def fill(directory: Path) -> None:
    """Leave no byte free."""
    with (directory / "ballast").open("ab", buffering=0) as ballast:
        try:
            while ballast.write(bytes(4096)):
                pass
        except OSError:
            return


def make_read_only(directory: Path) -> None:
    """Let nothing be written to the file system at a directory."""
    subprocess.run(["mount", "-o", "remount,ro", directory], check=True)


def drained_without_a_disk(daemon: DaemonProcess, service: MetadataService) -> DrainReport:
    """A drain that goes well although its report cannot be kept: the report, from the log."""
    service.interrupt("terminate", from_now(60))
    assert daemon.record("report-not-kept", level="error")["problem"]
    report = DrainReport.from_json(daemon.record("report", level="error")["report"])
    assert (report.verdict, daemon.written("worked")) == ("drained", "done\n")
    assert report.hooks[0].output is None
    assert [text.partition(":")[0] for text in report.not_recorded] == ["journal", "output of work", "report"]
    return report


@needs_root
@pytest.mark.parametrize(
    ("spoil", "reason", "when"),
    [
        (fill, "No space left on device", "before the start"),
        (fill, "No space left on device", "after the start"),
        (make_read_only, "Read-only file system", "before the start"),  # later it is busy: the journal is open
    ],
)
def test_a_disk_that_is_full_or_read_only_keeps_no_hook_from_running(
    tmp_path: Path, spoil: Callable[[Path], None], reason: str, when: str
) -> None:
    with disk(tmp_path / "state") as state, MetadataService() as service:
        if when == "before the start":
            spoil(state)
        with DaemonProcess(tmp_path, WORK, endpoint=service.url) as daemon:
            daemon.record("instance")
            if when == "after the start":
                spoil(state)
            report = drained_without_a_disk(daemon, service)
    assert reason in report.not_recorded[-1]


def test_a_state_directory_that_cannot_be_made_keeps_no_hook_from_running(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with MetadataService() as service, DaemonProcess(tmp_path, WORK, endpoint=service.url) as daemon:
        assert f"{tmp_path}/state/reports cannot be made" in daemon.record("state-not-kept", level="error")["problem"]
        drained_without_a_disk(daemon, service)


@needs_root
def test_a_full_runtime_directory_is_said_once_and_keeps_no_hook_from_running(tmp_path: Path) -> None:
    with (
        disk(tmp_path / "run") as run,
        MetadataService() as service,
        DaemonProcess(tmp_path, WORK, endpoint=service.url) as daemon,
    ):
        daemon.record("instance")
        fill(run)
        assert "No space left on device" in daemon.record("status-not-shown", level="warning")["problem"]
        asked = len(service.requests)
        daemon.wait_for(lambda: len(service.requests) > asked + 5, "some more polls")
        service.interrupt("terminate", from_now(60))
        assert daemon.report("terminate").verdict == "drained"
        assert len(daemon.records("status-not-shown")) == 1


def test_a_runtime_directory_that_cannot_be_made_is_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with DaemonProcess(tmp_path, WORK) as daemon:
        assert daemon.exit_code() == 73
        assert daemon.log.startswith(f"spotwatch: {tmp_path}/run cannot be made: ")
        assert "hint: run as root, or set state.runtime_directory" in daemon.log


@needs_root
def test_a_runtime_directory_that_cannot_be_written_is_refused_with_a_hint(tmp_path: Path) -> None:
    with disk(tmp_path / "run") as run:
        make_read_only(run)
        with DaemonProcess(tmp_path, WORK) as daemon:
            assert daemon.exit_code() == 73
            assert f"hint: create {run} and let the daemon's user write to it" in daemon.log


def full_device() -> int:
    """Where every write finds no space."""
    return os.open("/dev/full", os.O_WRONLY)


def abandoned_pipe() -> int:
    """Where every write finds that the reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("unwritable", [full_device, abandoned_pipe])
def test_a_log_that_cannot_be_written_keeps_no_hook_from_running(tmp_path: Path, unwritable: Callable[[], int]) -> None:
    log = unwritable()
    with MetadataService() as service, DaemonProcess(tmp_path, WORK, endpoint=service.url, stderr=log) as daemon:
        os.close(log)
        service.interrupt("terminate", from_now(60))
        assert daemon.written("worked") == "done\n"
        daemon.wait_for(lambda: daemon.reports, "its report")
