"""Where the data of a file is."""

import os
from io import BytesIO
from pathlib import Path

import pytest

from spotwatch.ship import extents
from spotwatch.ship.extents import data_ranges, end_of_text
from spotwatch.ship.position import Range
from spotwatch.ship.tree import LogFile


def log(size: int, allocated: int) -> LogFile:
    return LogFile("a.log", 1, size, allocated, 0)


def test_a_file_without_holes_is_one_range_and_an_empty_one_is_none() -> None:
    assert data_ranges(BytesIO(b"abc"), log(3, 4096)) == (Range(0, 3),)
    assert data_ranges(BytesIO(b""), log(0, 0)) == ()


def test_a_file_system_that_cannot_tell_holes_is_read_whole() -> None:
    assert data_ranges(BytesIO(b"abc"), log(3, 0)) == (Range(0, 3),)


def test_a_file_of_holes_alone_has_no_data(tmp_path: Path) -> None:
    path = tmp_path / "holes"
    path.touch()
    os.truncate(path, 2**40)
    with path.open("rb") as file:
        ranges = data_ranges(file, log(2**40, 0))
        assert ranges == ()
        assert end_of_text(file, ranges) == 0


def test_a_file_of_too_many_holes_is_told_in_few_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that has data is left out when ranges are joined."""
    monkeypatch.setattr(extents, "MOST_RANGES", 8)
    path = tmp_path / "holes"
    starts = range(0, 100 * 2**20, 2**20)
    with path.open("wb") as file:
        for start in starts:
            file.seek(start)
            file.write(b"data\n")
    with path.open("rb") as file:
        ranges = data_ranges(file, log(path.stat().st_size, path.stat().st_blocks * 512))
    assert len(ranges) <= 9
    assert all(any(each.start <= start and start + 5 <= each.end for each in ranges) for start in starts)


@pytest.mark.parametrize(
    ("content", "end"),
    [
        (b"text\n\0\0", 5),
        (b"\0\0text\n\0", 7),
        (b"\0" * 10, 0),
        (b"\x1f\x8b\x08\0\0\0", 6),
        (b"LPKSHHRH\0\0", 10),
        (b"\x01\0\0", 3),
        (b"", 0),
    ],
    ids=["text", "begins with NUL", "nothing else", "gzip", "journal", "binary", "empty"],
)
def test_the_nul_bytes_after_a_text_are_not_part_of_it(content: bytes, end: int) -> None:
    ranges = data_ranges(BytesIO(content), log(len(content), 4096))
    assert end_of_text(BytesIO(content), ranges) == end
