"""Children of an earlier life, which was killed: who of them is taken over, and what becomes of the rest."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGKILL

import pytest

import spotwatch
from spotwatch.core.process import ChildEnded
from spotwatch.host.machine import Machine
from tests.host.conftest import PATH, PATIENCE, end_of, wait_until

EARLIER_LIFE = """
import json, os, sys
from spotwatch.core.process import Command
from spotwatch.host.machine import Machine
machine = Machine()
machine.start("it", Command(("/bin/sh", "-c", sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]), output_limit=1000)
os.kill(os.getpid(), 9)
"""
LEAVE = 'setsid sleep 60 & echo $! > "$T/left"; '
WAIT = 'while [ ! -e "$T/go" ]; do sleep 0.01; done'


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    marks = {"SPOTWATCH_STATE_DIRECTORY": str(tmp_path), "SPOTWATCH_DRAIN_ID": "a-drain", "SPOTWATCH_HOOK": "it"}
    return {"PATH": PATH, "T": str(tmp_path), **marks}


@pytest.fixture
def left_by(environment: dict[str, str], output: Path) -> Callable[[str], None]:
    """A life that starts a script and is killed at once."""

    def live(script: str) -> None:
        root = str(Path(spotwatch.__file__).parents[1])
        argv = (sys.executable, "-c", EARLIER_LIFE, script, json.dumps(environment), f"{output}.log")
        earlier = subprocess.run(argv, env={**os.environ, "PYTHONPATH": root}, check=False, timeout=PATIENCE)
        assert earlier.returncode == -SIGKILL

    return live


@pytest.fixture
def adopt(environment: dict[str, str], output: Path) -> Callable[[Machine], bool]:
    return lambda machine: machine.adopt("it", environment, f"{output}.log", output_limit=1000)


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def pid_in(path: Path, machine: Machine) -> int:
    wait_until(lambda: path.exists() and path.read_text(), machine)
    return int(path.read_text())


def test_a_child_that_lives_is_adopted_and_its_end_is_told(
    left_by: Callable[[str], None], adopt: Callable[[Machine], bool], tmp_path: Path
) -> None:
    left_by(WAIT)
    with Machine() as machine:
        assert adopt(machine)
        (tmp_path / "go").touch()
        assert end_of(machine) == ChildEnded("it", exit_code=None, signal=None)


def test_what_a_dead_child_has_left_behind_is_killed_and_not_taken_for_it(
    left_by: Callable[[str], None], adopt: Callable[[Machine], bool], tmp_path: Path
) -> None:
    left_by(LEAVE + 'echo $$ > "$T/child"')
    with Machine() as machine:
        child, left = pid_in(tmp_path / "child", machine), pid_in(tmp_path / "left", machine)
        wait_until(lambda: not is_alive(child), machine)
        assert is_alive(left)
        assert not adopt(machine)
        assert not is_alive(left)


def test_without_a_note_of_its_birth_the_eldest_is_taken_for_the_child(
    left_by: Callable[[str], None], adopt: Callable[[Machine], bool], tmp_path: Path, output: Path
) -> None:
    left_by(LEAVE + WAIT)
    Path(f"{output}.pid").unlink()
    with Machine() as machine:
        left = pid_in(tmp_path / "left", machine)
        assert adopt(machine)
        (tmp_path / "go").touch()
        assert end_of(machine).name == "it"
        wait_until(lambda: not is_alive(left), machine)


def test_the_note_of_its_birth_is_gone_with_the_child(
    left_by: Callable[[str], None], adopt: Callable[[Machine], bool], tmp_path: Path, output: Path
) -> None:
    left_by(WAIT)
    assert Path(f"{output}.pid").exists()
    with Machine() as machine:
        adopt(machine)
        (tmp_path / "go").touch()
        end_of(machine)
    assert not Path(f"{output}.pid").exists()


@pytest.fixture
def neighbor(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A hook of another daemon, whose drain began in the same millisecond and so has the same name."""
    its_environment = {**environment, "SPOTWATCH_STATE_DIRECTORY": "/elsewhere"}
    with subprocess.Popen(("/bin/sleep", "60"), env=its_environment, start_new_session=True) as process:
        yield process
        process.kill()


def test_a_child_of_another_daemon_s_drain_of_the_same_name_is_not_taken_for_ours(
    neighbor: subprocess.Popen[bytes], adopt: Callable[[Machine], bool]
) -> None:
    with Machine() as machine:
        assert not adopt(machine)
        assert neighbor.poll() is None


def test_the_signals_for_an_adopted_child_reach_none_of_another_daemon(
    left_by: Callable[[str], None], neighbor: subprocess.Popen[bytes], adopt: Callable[[Machine], bool]
) -> None:
    left_by(WAIT)
    with Machine() as machine:
        assert adopt(machine)
        machine.terminate("it")
        end_of(machine)
        assert neighbor.poll() is None


def test_a_child_that_nobody_has_adopted_is_ended_with_what_it_has_started(
    left_by: Callable[[str], None], tmp_path: Path
) -> None:
    left_by(LEAVE + 'echo $$ > "$T/child"; trap "" TERM; ' + WAIT)
    with Machine() as machine:
        child, left = pid_in(tmp_path / "child", machine), pid_in(tmp_path / "left", machine)
        assert machine.end_strays(str(tmp_path)) >= 2
        assert not is_alive(child)
        assert not is_alive(left)
        assert machine.end_strays(str(tmp_path)) == 0


def test_a_child_that_was_adopted_or_is_another_daemon_s_is_no_stray(
    left_by: Callable[[str], None],
    neighbor: subprocess.Popen[bytes],
    adopt: Callable[[Machine], bool],
    tmp_path: Path,
) -> None:
    left_by(LEAVE + WAIT)
    with Machine() as machine:
        left = pid_in(tmp_path / "left", machine)
        assert adopt(machine)
        assert machine.end_strays(str(tmp_path)) == 0
        assert is_alive(left)
        assert neighbor.poll() is None
