"""Two workers of a host never have the same volume, and a dead one has none."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from spotwatch.core.errors import StateUnavailable
from spotwatch.host.claims import Claims


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "state" / "ship")


def test_a_name_is_held_once_and_free_afterwards(directory: str) -> None:
    with Claims(directory).held("vol-1") as first, Claims(directory).held("vol-1") as second:
        assert (first, second) == (True, False)
    with Claims(directory).held("vol-1") as again:
        assert again
    assert os.listdir(directory) == []


def test_another_name_is_another_claim(directory: str) -> None:
    with ExitStack() as stack:
        assert all(stack.enter_context(Claims(directory).held(name)) for name in ("vol-1", "vol-2"))


HOLDER = """
import sys
from spotwatch.host.claims import Claims
with Claims(sys.argv[1]).held("vol-1") as held:
    print(held, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(directory: str) -> Iterator["subprocess.Popen[str]"]:
    argv = [sys.executable, "-c", HOLDER, directory]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


def test_what_a_killed_worker_held_is_free(holder: "subprocess.Popen[str]", directory: str) -> None:
    with Claims(directory).held("vol-1") as held:
        assert not held
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with Claims(directory).held("vol-1") as held:
        assert held


def test_a_directory_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateUnavailable, match="file"), Claims(str(tmp_path / "file" / "ship")).held("vol-1"):
        pass
