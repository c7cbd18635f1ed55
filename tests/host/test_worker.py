"""A child is over at its limit, with all that it has started; and its waiter never waits for one that cannot end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from spotwatch.core.errors import WorkerFailed
from spotwatch.host.worker import run_worker

SH = "/bin/sh"


def nothing() -> None:
    """Looks at nothing."""


def run(script: str, *, limit: float = 20.0, watch: Callable[[], None] = nothing) -> int:
    return run_worker([SH, "-c", script], limit=limit, watch=watch, every=0.01)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def is_dead(pid: int) -> bool:
    return not is_alive(pid)


def wait_for(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up
        os.sched_yield()


@pytest.mark.parametrize("code", [0, 1, 69])
def test_its_exit_code_is_the_answer(code: int) -> None:
    assert run(f"exit {code}") == code


def test_it_has_a_process_group_of_its_own_and_nothing_to_read(tmp_path: Path) -> None:
    run(f"read line; echo $? $(ps -o pgid= -p $$) $$ > {tmp_path}/told")
    status, group, pid = (tmp_path / "told").read_text().split()
    assert status == "1"
    assert group == pid


def test_at_its_limit_it_is_killed_with_what_it_has_started(tmp_path: Path) -> None:
    script = f"trap '' TERM; sleep 60 & echo $! $$ > {tmp_path}/pids; wait; wait"
    with pytest.raises(WorkerFailed, match=r"had not ended after 0.3 s"):
        run(script, limit=0.3)
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        wait_for(partial(is_dead, pid))


def test_what_the_watch_raises_ends_it(tmp_path: Path) -> None:
    pids = tmp_path / "pid"

    def watch() -> None:
        if pids.exists() and pids.read_text().endswith("\n"):
            raise LookupError("the lease is lost")

    with pytest.raises(LookupError, match="the lease is lost"):
        run(f"echo $$ > {pids}; exec sleep 60", watch=watch)
    assert not is_alive(int(pids.read_text()))


def test_one_that_a_signal_ends_says_which() -> None:
    with pytest.raises(WorkerFailed, match="SIGSEGV"):
        run("kill -SEGV $$")


def test_it_inherits_the_descriptors_that_are_named() -> None:
    descriptor = os.memfd_create("told")
    try:
        run_worker(
            [SH, "-c", f"echo hello > /proc/self/fd/{descriptor}"], limit=20, watch=nothing, pass_fds=[descriptor]
        )
        assert os.pread(descriptor, 10, 0) == b"hello\n"
    finally:
        os.close(descriptor)


def test_it_has_the_environment_that_it_is_given_and_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OURS", "1")
    script = f"echo ${{OURS-none}} ${{ITS-none}} > {tmp_path}/told"
    run_worker([SH, "-c", script], limit=20, watch=nothing, environment={"ITS": "2"})
    assert (tmp_path / "told").read_text() == "none 2\n"
    run_worker([SH, "-c", script], limit=20, watch=nothing)
    assert (tmp_path / "told").read_text() == "1 none\n"


def test_it_ends_when_we_are_killed(tmp_path: Path) -> None:
    script = (
        "from spotwatch.host.worker import run_worker\n"
        f"run_worker(['{SH}', '-c', 'echo $$ > {tmp_path}/pid; exec sleep 60'], limit=60, watch=int)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as waiter:
        path = tmp_path / "pid"
        wait_for(lambda: path.exists() and path.read_text().endswith("\n"))
        waiter.send_signal(signal.SIGKILL)
    wait_for(lambda: not is_alive(int(path.read_text())))


def test_one_that_cannot_be_killed_is_left_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SIGKILL that does nothing stands for a process that waits for a disk."""
    monkeypatch.setattr(os, "killpg", lambda *_: None)
    path = tmp_path / "pid"
    began = time.monotonic()
    with pytest.raises(WorkerFailed, match="had not ended"):
        run_worker(
            [SH, "-c", f"echo $$ > {path}; exec sleep 60"], limit=0.3, watch=nothing, every=0.01, kill_seconds=0.2
        )
    assert time.monotonic() - began < 10
    os.kill(int(path.read_text()), signal.SIGKILL)
    os.waitpid(int(path.read_text()), 0)


def test_a_program_that_is_missing_says_so() -> None:
    assert run_worker(["/nonexistent"], limit=20, watch=nothing) == 1
