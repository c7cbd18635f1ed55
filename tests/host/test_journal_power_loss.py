"""Power loss: the journal cut off at every byte of its last transaction opens again, to before it or after it."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from spotwatch.host.journal import Journal, OpenDrain

pytestmark = pytest.mark.slow

FILE, LOG = "journal.sqlite", "journal.sqlite-wal"
LOG_HEADER, FRAME = 32, 24 + 4096
"""Bytes of a write-ahead log before its first frame, and of a frame with its page (sqlite.org/fileformat2.html)."""

EVERY = 41
"""By default only every so many bytes, and all around the borders of the frames; it is a prime, so all offsets in a
frame have their turn."""


def steps(journal: Journal, first: int, last: int) -> None:
    for number in range(first, last):
        assert journal.add_step("d-1", float(number), "x" * 900, "[]") == ""


def cuts(begin: int, end: int, every: int) -> list[int]:
    """Where to cut: some bytes between two states of the file, and all that are close to the border of a frame."""
    borders = {LOG_HEADER + frame * FRAME + near for frame in range(end // FRAME + 1) for near in range(-2, 27)}
    return sorted(cut for cut in borders | set(range(begin, end, every)) | {begin, end} if begin <= cut <= end)


class Disk:
    """What a disk holds after a power loss."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()

    def hold(self, **contents: bytes) -> None:
        """These files and nothing else; the shared memory is gone with the power."""
        for path in self.directory.iterdir():
            path.unlink()
        (self.directory / FILE).write_bytes(contents["file"])
        (self.directory / LOG).write_bytes(contents["log"])

    def state(self) -> tuple[list[OpenDrain], str]:
        """What a journal on this disk knows, and what it has to complain of."""
        with closing(Journal(str(self.directory))) as journal:
            return journal.unfinished(), journal.problem + journal.kept_aside


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk")
    yield disk
    shutil.rmtree(disk.directory)


@pytest.mark.parametrize("every", [EVERY, pytest.param(1, marks=pytest.mark.slow)])
def test_the_log_cut_off_anywhere_in_its_last_transaction_is_the_state_before_or_after_it(
    tmp_path: Path, disk: Disk, every: int
) -> None:
    with closing(Journal(str(tmp_path))) as journal:
        journal.open_drain("d-1", "a-boot", "{}")
        steps(journal, 0, 4)
        before, begin = journal.unfinished(), (tmp_path / LOG).stat().st_size
        steps(journal, 4, 5)
        after, log = journal.unfinished(), (tmp_path / LOG).read_bytes()
        file = (tmp_path / FILE).read_bytes()
    places = cuts(begin, len(log), every)
    for cut in places:
        disk.hold(file=file, log=log[:cut])
        assert disk.state() == (after if cut == len(log) else before, ""), f"cut at byte {cut}"
    print(f"{len(places)} cuts of {len(log) - begin} bytes")


@pytest.mark.parametrize("every", [EVERY * 10, pytest.param(7, marks=pytest.mark.slow)])
def test_a_checkpoint_cut_off_anywhere_is_made_again_from_the_log(tmp_path: Path, disk: Disk, every: int) -> None:
    """The main file grows and changes while the log still holds everything; the log is synced before."""
    with closing(Journal(str(tmp_path))) as journal:
        journal.open_drain("d-1", "a-boot", "{}")
        steps(journal, 0, 12)
        state, log = journal.unfinished(), (tmp_path / LOG).read_bytes()
        former = (tmp_path / FILE).read_bytes()
    latter = (tmp_path / FILE).read_bytes()
    assert len(latter) > len(former)
    places = range(0, len(latter) + 1, every)
    for cut in places:
        disk.hold(file=latter[:cut] + former[cut:], log=log)
        assert disk.state() == (state, ""), f"cut at byte {cut}"
    print(f"{len(places)} cuts of {len(latter)} bytes")
