"""Reading /proc, and signalling the very process that was read."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from spotwatch.host.processes import (
    KILL_TIME,
    marks,
    read_marked,
    read_process,
    read_processes,
    send_signal,
    wait_for_end,
)


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a name that is hard to read."""
    program = tmp_path / ") Z 1 ("
    program.symlink_to("/bin/sleep")
    with subprocess.Popen((program, "60"), start_new_session=True) as process:
        yield process
        process.kill()


def test_a_process_is_read_whatever_its_name_looks_like(sleeper: subprocess.Popen[bytes]) -> None:
    process = read_processes()[sleeper.pid]
    assert (process.pid, process.parent, process.session) == (sleeper.pid, os.getpid(), sleeper.pid)
    assert process.is_alive


def test_a_start_is_counted_from_boot(sleeper: subprocess.Popen[bytes]) -> None:
    process = read_process(sleeper.pid)
    assert process is not None
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert process.started / os.sysconf("SC_CLK_TCK") == pytest.approx(now, abs=2)


def test_a_zombie_is_not_alive(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    zombie = read_process(sleeper.pid)
    assert zombie is not None
    assert not zombie.is_alive
    wait_for_end([zombie])


def test_a_signal_reaches_the_process(sleeper: subprocess.Popen[bytes]) -> None:
    process = read_process(sleeper.pid)
    assert process is not None
    send_signal(process, signal.SIGUSR1)
    assert sleeper.wait() == -signal.SIGUSR1


def test_a_signal_never_reaches_another_process_with_the_same_number(sleeper: subprocess.Popen[bytes]) -> None:
    process = read_process(sleeper.pid)
    assert process is not None
    send_signal(replace(process, started=process.started - 1), signal.SIGUSR1)
    sleeper.terminate()
    assert sleeper.wait() == -signal.SIGTERM


def test_a_signal_to_a_process_that_is_gone_is_no_error(sleeper: subprocess.Popen[bytes]) -> None:
    process = read_process(sleeper.pid)
    assert process is not None
    sleeper.kill()
    sleeper.wait()
    send_signal(process, signal.SIGUSR1)
    wait_for_end([process])
    assert read_process(sleeper.pid) is None


def test_a_process_that_cannot_be_killed_is_not_waited_for_long(sleeper: subprocess.Popen[bytes]) -> None:
    process = read_process(sleeper.pid)
    assert process is not None
    before = time.monotonic()
    wait_for_end([process])
    assert KILL_TIME <= time.monotonic() - before < KILL_TIME + 0.5


def test_marks_are_all_or_none() -> None:
    all_of_them = {"SPOTWATCH_STATE_DIRECTORY": "/s", "SPOTWATCH_DRAIN_ID": "a", "SPOTWATCH_HOOK": "b"}
    assert marks({**all_of_them, "PATH": "/bin"}) == {
        b"SPOTWATCH_STATE_DIRECTORY=/s",
        b"SPOTWATCH_DRAIN_ID=a",
        b"SPOTWATCH_HOOK=b",
    }
    assert marks({"SPOTWATCH_HOOK": "b"}) == frozenset()


def test_no_marks_are_those_of_nobody() -> None:
    assert read_marked(frozenset()) == []


def test_what_a_hook_starts_is_found_by_the_state_directory_but_never_we_and_who_started_us(tmp_path: Path) -> None:
    """A hook may have started us; its environment is ours then."""
    mine = {"SPOTWATCH_STATE_DIRECTORY": str(tmp_path), "SPOTWATCH_DRAIN_ID": "a", "SPOTWATCH_HOOK": "b"}
    program = (
        "import subprocess, sys\n"
        "from spotwatch.host.processes import read_strays\n"
        "child = subprocess.Popen(('/bin/sleep', '60'), start_new_session=True)\n"
        "print([process.pid for process in read_strays(sys.argv[1], [])] == [child.pid])\n"
        "child.kill()\n"
    )
    argv = ("/bin/sh", "-c", '"$@"; true', "sh", sys.executable, "-c", program, str(tmp_path))
    told = subprocess.run(argv, env={**os.environ, **mine}, check=True, capture_output=True, start_new_session=True)
    assert told.stdout == b"True\n"


def test_the_room_brings_no_heavy_module_into_the_daemon() -> None:
    program = (
        "import sys\n"
        "from spotwatch.host import files, lock, machine, service_manager\n"
        "heavy = {'asyncio', 'multiprocessing', 'shutil', 'tempfile', 'logging', 'pathlib', 'ssl'}\n"
        "print(*heavy & set(sys.modules))"
    )
    assert subprocess.run((sys.executable, "-S", "-c", program), check=True, capture_output=True).stdout == b"\n"
