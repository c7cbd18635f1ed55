"""A program that is followed line by line, and of which nothing is left."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from spotwatch.host import followed
from spotwatch.host.followed import FollowedProcess

PATIENCE = 5.0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a test of stubborn programs takes no seconds."""
    monkeypatch.setattr(followed, "PATIENCE_SECONDS", 0.1)


def sh(script: str, *words: str) -> FollowedProcess:
    return FollowedProcess(("/bin/sh", "-c", script, "sh", *words), os.environ)


def lines(process: FollowedProcess) -> Iterator[str]:
    """All lines until the program has closed its standard error."""
    limit = time.monotonic() + PATIENCE
    while not process.ended:
        assert time.monotonic() < limit, "it never ended"
        yield from process.read_lines(time.monotonic() + 0.05)


def wait_for(path: Path) -> str:
    limit = time.monotonic() + PATIENCE
    while not path.exists() or not path.read_text().endswith("\n"):
        assert time.monotonic() < limit, f"{path} never came"
        time.sleep(0.01)
    return path.read_text().strip()


def stop(process: FollowedProcess, *, hurry: bool) -> tuple[int, list[str]]:
    """Its exit code, and its last lines."""
    heard: list[str] = []
    return process.stop(heard.extend, hurry=hurry), heard


def is_alive(pid: str) -> bool:
    return Path("/proc", pid).exists()


def test_lines_come_as_they_are_written() -> None:
    with sh("echo one >&2; sleep 60; echo never >&2") as process:
        assert process.read_lines(time.monotonic() + PATIENCE) == ["one"]


def test_what_is_written_in_pieces_is_one_line() -> None:
    with sh("printf o >&2; sleep 0.05; printf 'ne\\ntwo\\n' >&2") as process:
        assert list(lines(process)) == ["one", "two"]


def test_a_last_line_without_an_end_and_bytes_that_are_no_text_are_read() -> None:
    with sh(r"printf 'a\377b' >&2") as process:
        assert list(lines(process)) == ["a\N{REPLACEMENT CHARACTER}b"]


def test_reading_waits_no_longer_than_it_may() -> None:
    with sh("sleep 60") as process:
        began = time.monotonic()
        assert process.read_lines(began + 0.05) == []
        assert 0.04 < time.monotonic() - began < 1.0


def test_reading_after_the_end_waits_all_the_same_so_that_nobody_spins() -> None:
    with sh("exit 0") as process:
        assert list(lines(process)) == []
        began = time.monotonic()
        assert process.read_lines(began + 0.05) == []
        assert time.monotonic() - began > 0.04


def test_a_program_that_obeys_the_first_signal_says_its_last_words() -> None:
    with sh("trap 'echo bye >&2; exit 3' TERM; echo up >&2; while :; do sleep 0.01; done") as process:
        assert process.read_lines(time.monotonic() + PATIENCE) == ["up"]
        assert stop(process, hurry=False) == (3, ["bye"])


def test_its_last_words_are_heard_when_they_are_said() -> None:
    heard: dict[str, float] = {}

    def hear(lines: Sequence[str]) -> None:
        heard.update(dict.fromkeys(lines, time.monotonic()))

    script = "trap 'echo first >&2; sleep 0.3; echo second >&2; exit' TERM; echo up >&2; while :; do sleep 0.01; done"
    with sh(script) as process:
        assert process.read_lines(time.monotonic() + PATIENCE) == ["up"]
        process.stop(hear, hurry=False)
    assert heard["second"] - heard["first"] > 0.2


def test_a_program_that_has_ended_keeps_its_exit_code() -> None:
    with sh("exit 4") as process:
        assert list(lines(process)) == []
        assert stop(process, hurry=False) == (4, [])


def test_a_program_that_obeys_only_the_second_sigterm_gets_it_soon_if_one_hurries() -> None:
    script = "trap 'n=$((n+1)); [ $n = 2 ] && exit 5' TERM; echo up >&2; while :; do sleep 0.01; done"
    with sh(script) as process:
        assert process.read_lines(time.monotonic() + PATIENCE) == ["up"]
        assert stop(process, hurry=True) == (5, [])


@pytest.mark.usefixtures("impatient")
def test_a_program_that_obeys_no_sigterm_is_killed() -> None:
    with sh("trap '' TERM; echo up >&2; while :; do sleep 0.01; done") as process:
        assert process.read_lines(time.monotonic() + PATIENCE) == ["up"]
        assert stop(process, hurry=False) == (-signal.SIGKILL, [])


@pytest.mark.usefixtures("impatient")
def test_a_program_that_has_closed_its_standard_error_is_stopped_like_any_other() -> None:
    with sh("exec 2>&-; sleep 60") as process:
        assert list(lines(process)) == []
        assert stop(process, hurry=False) == (-signal.SIGTERM, [])


@pytest.mark.parametrize("leave", ["", "setsid "], ids=["in its session", "in a session of its own"])
def test_nothing_is_left_of_a_program_that_was_killed(tmp_path: Path, leave: str) -> None:
    script = f'{leave}sh -c \'echo $$ > "$1"; exec sleep 60\' sh "$1" & wait'
    with sh(script, str(tmp_path / "pid")) as process:
        grandchild = wait_for(tmp_path / "pid")
        os.kill(process.pid, signal.SIGKILL)
        assert stop(process, hurry=False)[0] == -signal.SIGKILL
        assert is_alive(grandchild)
    assert not is_alive(grandchild)


def test_nothing_is_left_when_the_reader_fails(tmp_path: Path) -> None:
    class Unexpected(Exception):
        pass

    process = sh('echo $$ > "$1"; exec sleep 60', str(tmp_path / "pid"))
    pid = wait_for(tmp_path / "pid")
    with pytest.raises(Unexpected), process:
        raise Unexpected
    assert not is_alive(pid)


def test_it_gets_the_environment_that_it_is_given_and_no_other() -> None:
    script = "import os, sys; print(sorted(os.environ), file=sys.stderr)"
    with FollowedProcess((sys.executable, "-c", script), {"A": "1", "LC_CTYPE": "C.UTF-8"}) as process:
        assert list(lines(process)) == ["['A', 'LC_CTYPE']"]
