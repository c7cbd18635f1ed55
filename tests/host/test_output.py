"""What is kept of the output, where, and what is said about the rest."""

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from spotwatch.core.process import ChildEnded, Command
from spotwatch.host.machine import Machine
from spotwatch.host.output import TAIL
from tests.host.conftest import end_of, needs_root, run, wait_until

Sh = Callable[[str], Command]

LIMIT = 100_000
NOTE = re.compile(rb"\n\[spotwatch: (\d+) bytes left out here\]\n")


def split(data: bytes) -> tuple[bytes, int, bytes]:
    """The beginning, the number of bytes left out, and the most recent part."""
    beginning, left_out, recent = NOTE.split(data)
    return beginning, int(left_out), recent


def run_unseen(machine: Machine, command: Command) -> ChildEnded:
    """Run a command to its end without a look at its output before; while it writes, a cut cannot count exactly."""
    pid = machine.start("it", command, output_limit=LIMIT)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return end_of(machine)


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.005)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = subprocess.run(("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place), capture_output=True, text=True)
    if mount.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs: {mount.stderr.strip()}")
    yield place
    subprocess.run(("umount", place), check=True)


class TestLimit:
    def test_output_within_the_limit_is_kept_whole(self, machine: Machine, sh: Sh, output: Path) -> None:
        ended = run(machine, sh("head -c 100000 /dev/zero"), LIMIT)
        assert ended.output_dropped == 0
        assert output.read_bytes() == bytes(LIMIT)

    def test_of_more_the_beginning_and_the_end_are_kept(self, machine: Machine, sh: Sh, output: Path) -> None:
        ended = run_unseen(machine, sh("echo first; seq 1 100000; echo last"))
        written = b"first\n" + b"".join(b"%d\n" % number for number in range(1, 100_001)) + b"last\n"
        beginning, left_out, recent = split(output.read_bytes())
        assert written.startswith(beginning)
        assert written.endswith(recent)
        assert len(beginning) == LIMIT // 2
        assert len(recent) == LIMIT // 4
        assert left_out == ended.output_dropped == len(written) - len(beginning) - len(recent)

    def test_a_hundred_megabytes_come_to_no_more_than_the_limit(self, machine: Machine, sh: Sh, output: Path) -> None:
        ended = run(machine, sh("echo first; head -c 100M /dev/zero; echo last"), LIMIT)
        assert ended.exit_code == 0
        beginning, left_out, recent = split(output.read_bytes())
        assert beginning.startswith(b"first\n")
        assert recent.endswith(b"\0last\n")
        assert len(beginning) + len(recent) <= LIMIT
        assert left_out == ended.output_dropped > 100_000

    def test_the_file_is_cut_while_the_child_goes_on(
        self, machine: Machine, sh: Sh, output: Path, tmp_path: Path
    ) -> None:
        script = "echo first; head -c 300000 /dev/zero; touch $T/up; until [ -e $T/go ]; do sleep 0.01; done; echo last"
        machine.start("it", sh(script), output_limit=LIMIT)
        wait_until((tmp_path / "up").exists, machine)
        machine.wait(machine.instant().boot)
        assert output.stat().st_size < LIMIT
        (tmp_path / "go").touch()
        end_of(machine)
        beginning, _, recent = split(output.read_bytes())
        assert beginning.startswith(b"first\n\0")
        assert recent.endswith(b"\0last\n")

    def test_a_second_cut_counts_what_the_first_left_out(
        self, machine: Machine, sh: Sh, output: Path, tmp_path: Path
    ) -> None:
        script = "head -c 300000 /dev/zero; touch $T/up; until [ -e $T/go ]; do sleep 0.01; done; seq 1 50000"
        pid = machine.start("it", sh(script), output_limit=LIMIT)
        wait_for(tmp_path / "up")
        machine.wait(machine.instant().boot)
        (tmp_path / "go").touch()
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        ended = end_of(machine)
        beginning, left_out, recent = split(output.read_bytes())
        written = 300_000 + sum(len(f"{number}\n") for number in range(1, 50_001))
        assert left_out == ended.output_dropped == written - len(beginning) - len(recent)

    def test_output_is_appended_to_what_is_there(self, machine: Machine, sh: Sh, output: Path) -> None:
        output.write_text("before\n")
        run(machine, sh("echo after"))
        assert output.read_text() == "before\nafter\n"

    def test_only_the_owner_can_read_the_file(self, machine: Machine, sh: Sh, output: Path) -> None:
        run(machine, sh("exit 0"))
        assert output.stat().st_mode & 0o777 == 0o600


class TestTail:
    def test_the_last_two_kilobytes_are_at_hand_when_a_child_has_ended(self, machine: Machine, sh: Sh) -> None:
        run(machine, sh("seq 1 10000"))
        tail = machine.output_tail("it")
        assert len(tail) == TAIL
        assert tail.endswith("9999\n10000\n")

    def test_bytes_that_are_no_text_do_no_harm(self, machine: Machine, sh: Sh) -> None:
        run(machine, sh(r"printf 'a\377b'"))
        assert machine.output_tail("it") == "a\N{REPLACEMENT CHARACTER}b"

    def test_it_is_forgotten_with_the_next_wait(self, machine: Machine, sh: Sh) -> None:
        run(machine, sh("echo hello"))
        machine.wait(0)
        assert machine.output_tail("it") == machine.output_tail("nobody") == ""


class TestNowhereToWrite:
    def test_a_script_that_checks_its_writes_succeeds_without_its_directory(
        self, machine: Machine, sh: Sh, tmp_path: Path
    ) -> None:
        path = tmp_path / "missing" / "output"
        ended = run(machine, replace(sh("set -e; echo hello; echo again"), output=str(path)))
        assert ended.exit_code == 0
        assert ended.output_problem == f"cannot write {path}: No such file or directory; 12 bytes of output are lost"
        assert machine.output_tail("it") == "hello\nagain\n"

    def test_what_was_kept_in_memory_is_saved_if_it_can_be_at_the_end(
        self, machine: Machine, sh: Sh, tmp_path: Path
    ) -> None:
        path = tmp_path / "late" / "output"
        ended = run(machine, replace(sh("echo hello; mkdir $T/late"), output=str(path)))
        assert ended.output_problem == ""
        assert path.read_text() == "hello\n"

    def test_memory_is_limited_like_a_file(self, machine: Machine, sh: Sh, tmp_path: Path) -> None:
        path = tmp_path / "late" / "output"
        ended = run(machine, replace(sh("seq 1 100000; mkdir $T/late"), output=str(path)), LIMIT)
        assert ended.output_dropped == split(path.read_bytes())[1]
        assert path.stat().st_size <= LIMIT

    def test_a_symbolic_link_is_not_followed(self, machine: Machine, sh: Sh, output: Path, tmp_path: Path) -> None:
        output.symlink_to(tmp_path / "target")
        assert "symbolic links" in run(machine, sh("echo hello")).output_problem
        assert not (tmp_path / "target").exists()

    @needs_root
    def test_on_a_full_disk_no_write_fails_and_the_loss_is_told(
        self, machine: Machine, sh: Sh, full_disk: Path
    ) -> None:
        (full_disk / "filler").write_bytes(bytes(64 * 1024))
        path = full_disk / "output"
        ended = run(machine, replace(sh("set -e; seq 1 1000"), output=str(path)))
        assert ended.exit_code == 0
        assert ended.output_problem == f"cannot write {path}: No space left on device; 3893 bytes of output are lost"

    @needs_root
    def test_a_disk_with_less_room_than_the_limit_gets_what_fits_at_the_end(
        self, machine: Machine, sh: Sh, full_disk: Path
    ) -> None:
        path = full_disk / "output"
        assert run(machine, replace(sh("echo hello"), output=str(path)), LIMIT).output_problem == ""
        assert path.read_text() == "hello\n"

    @needs_root
    def test_what_does_not_fit_is_not_half_written(self, machine: Machine, sh: Sh, full_disk: Path) -> None:
        path = full_disk / "output"
        path.write_text("before\n")
        ended = run(machine, replace(sh("head -c 70000 /dev/zero"), output=str(path)), LIMIT)
        assert "No space left on device" in ended.output_problem
        assert path.read_text() == "before\n"
