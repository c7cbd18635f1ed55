"""One holder for each directory, whatever becomes of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotwatch.core.errors import AlreadyRunning, StateUnavailable
from spotwatch.core.process import Command
from spotwatch.host.lock import LOCK_FILE, DirectoryLock, is_held
from spotwatch.host.machine import Machine

HOLD = (
    "import sys; from spotwatch.host.lock import DirectoryLock\n"
    "with DirectoryLock(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    command = (sys.executable, "-c", HOLD, str(tmp_path))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_holder_is_refused_with_the_number_of_the_first(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    with pytest.raises(AlreadyRunning) as caught:
        DirectoryLock(tmp_path).acquire()
    assert caught.value.message == f"{tmp_path} is in use by process {holder.pid}"
    assert caught.value.hint


def test_one_can_ask_who_holds_it(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    assert is_held(tmp_path) == holder.pid


def test_a_holder_that_is_killed_holds_it_no_more(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert is_held(tmp_path) is None
    with DirectoryLock(tmp_path):
        assert is_held(tmp_path) == os.getpid()


def test_a_released_lock_is_free(tmp_path: Path) -> None:
    for _ in range(2):
        with DirectoryLock(tmp_path):
            pass
    assert is_held(tmp_path) is None


def test_asking_does_not_take_it(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).touch()
    assert is_held(tmp_path) is None
    with DirectoryLock(tmp_path) as lock:
        assert is_held(tmp_path) == os.getpid()
        lock.release()
        assert is_held(tmp_path) is None


def test_a_holder_that_could_not_say_who_it_is_holds_it_all_the_same(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path):
        os.truncate(tmp_path / LOCK_FILE, 0)
        assert is_held(tmp_path) == 0
        with pytest.raises(AlreadyRunning, match="in use by another process"):
            DirectoryLock(tmp_path).acquire()


def test_a_child_does_not_inherit_it(tmp_path: Path) -> None:
    with Machine() as machine:
        with DirectoryLock(tmp_path):
            machine.start("it", Command(("/bin/sleep", "60")), output_limit=1000)
        assert is_held(tmp_path) is None


def test_a_directory_that_is_missing_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StateUnavailable) as caught:
        DirectoryLock(tmp_path / "missing").acquire()
    assert "No such file or directory" in caught.value.message
    assert caught.value.hint.startswith("create ")


def test_nobody_holds_a_directory_that_is_missing(tmp_path: Path) -> None:
    assert is_held(tmp_path / "missing") is None
