"""Real, tiny programs; and after every test nothing of them is left."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from spotwatch.core.process import ChildEnded, Command
from spotwatch.host.machine import Machine

Test = TypeVar("Test", bound=Callable[..., Any])

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE = 5.0


def needs_root(test: Test) -> Test:
    """Mark a test that only root can run."""
    marked: Test = pytest.mark.root(pytest.mark.skipif(os.geteuid() != 0, reason="needs root")(test))
    return marked


def open_descriptors() -> set[int]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            os.fstat(int(name))
        except OSError:  # the one of this very listing
            continue
        found.add(int(name))
    return found


def child_processes() -> set[str]:
    """The ids of our children, also of those that have ended and were not waited for (proc_pid_task(5))."""
    threads = Path("/proc/self/task").iterdir()
    return {child for thread in threads for child in (thread / "children").read_text(encoding="ascii").split()}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No test leaves a child process or an open descriptor behind."""
    before, children = open_descriptors(), child_processes()  # some are servers that tests of other rooms have started
    yield
    assert open_descriptors() - before == set()
    assert child_processes() - children == set()


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine() as machine:
        yield machine


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output"


@pytest.fixture
def sh(output: Path, tmp_path: Path) -> Callable[[str], Command]:
    """A shell script as a command; its variable $T is the test's directory."""

    def make(script: str) -> Command:
        return Command(("/bin/sh", "-c", script), {"PATH": PATH, "T": str(tmp_path)}, str(output))

    return make


def run(machine: Machine, command: Command, limit: int = 1_000_000) -> ChildEnded:
    """Start a command and wait for its end."""
    machine.start("it", command, output_limit=limit)
    return end_of(machine)


def end_of(machine: Machine) -> ChildEnded:
    """The next thing that happens, which has to be a child's end."""
    happened = machine.wait(machine.instant().boot + PATIENCE)
    assert len(happened) == 1
    (ended,) = happened
    assert isinstance(ended, ChildEnded)
    return ended


def wait_until(condition: Callable[[], object], machine: Machine) -> None:
    """Let the machine look every few milliseconds until something is so; nothing else may happen."""
    give_up = machine.instant().boot + PATIENCE
    while not condition():
        assert machine.wait(machine.instant().boot + 0.005) == []
        assert machine.instant().boot < give_up, "it never came to that"
