"""Programs that live and die together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spotwatch.host.process_group import ProcessGroup

PATIENCE = 20.0

WRITER = """\
import sys, time
with open(sys.argv[1], "ab", buffering=0) as file:
    while True:
        file.write(b"half ")
        time.sleep(0.002)
        file.write(b"whole\\n")
        time.sleep(0.002)
"""


def wait_for(condition: Callable[[], object]) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, "it never came to that"
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def group() -> Iterator[ProcessGroup]:
    with ProcessGroup({"PATH": os.environ["PATH"]}) as group:
        yield group


def start_writer(group: ProcessGroup, tmp_path: Path) -> Path:
    file = tmp_path / "file"
    group.start([sys.executable, "-c", WRITER, str(file)], tmp_path / "output")
    wait_for(file.exists)
    return file


def test_they_are_killed_at_the_moment_that_was_asked_for(group: ProcessGroup, tmp_path: Path) -> None:
    file = start_writer(group, tmp_path)
    group.kill_at(lambda: file.read_bytes().endswith(b"half "))
    assert file.read_bytes().endswith(b"half ")
    assert group.exit_codes() == [-signal.SIGKILL]


def test_all_of_them_and_what_they_have_started_are_gone_after_the_context(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"echo $$ >> {pids}; sleep 100 & echo $! >> {pids}; wait"
    with ProcessGroup({"PATH": os.environ["PATH"]}) as group:
        for _ in range(2):
            group.start(["/bin/sh", "-c", script], tmp_path / "output")
        wait_for(lambda: pids.exists() and pids.read_text().count("\n") == 4)
        assert group.exit_codes() == [None, None]
    wait_for(lambda: all(is_gone(int(pid)) for pid in pids.read_text().split()))


def test_a_first_program_that_has_ended_is_the_moment(group: ProcessGroup, tmp_path: Path) -> None:
    group.start(["/bin/sh", "-c", "echo no; exit 3"], tmp_path / "output")
    group.start(["/bin/sleep", "100"], tmp_path / "output")
    wait_for(lambda: group.exit_codes()[0] is not None)
    group.kill_at(lambda: False)
    assert group.exit_codes() == [3, -signal.SIGKILL]
    assert (tmp_path / "output").read_text() == "no\n"


def test_a_first_program_that_ends_while_the_moment_is_awaited_is_the_moment(
    group: ProcessGroup, tmp_path: Path
) -> None:
    group.start(["/bin/sleep", "0.2"], tmp_path / "output")
    group.kill_at(lambda: False)
    assert group.exit_codes() == [0]


def test_they_end_with_us_even_if_we_are_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"""
import time
from pathlib import Path
from spotwatch.host.process_group import ProcessGroup
with ProcessGroup({{}}) as group:
    group.start(["/bin/sh", "-c", "echo $$ > {pid}; exec sleep 100"], Path("/dev/null"))
    time.sleep(100)
"""
    with subprocess.Popen([sys.executable, "-c", script]) as starter:
        wait_for(lambda: pid.exists() and pid.read_text().endswith("\n"))
        starter.kill()
    wait_for(lambda: is_gone(int(pid.read_text())) or "Z" in Path(f"/proc/{int(pid.read_text())}/stat").read_text())
