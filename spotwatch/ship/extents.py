"""Where the data of a file is: holes of sparse files, and the NUL bytes that a power cut leaves at the end.

A sparse terabyte is read in the time that its data takes. A file system that cannot tell its holes is read whole.
"""

import errno
import os
import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from spotwatch.ship.position import Range
from spotwatch.ship.tree import LogFile

SMALLEST_HOLE: Final = 64 * 1024
"""Bytes: a shorter hole is read as the zeros that it stands for, which costs less than one more range."""

MOST_RANGES: Final = 65_536
"""Of one file: somebody may have made it of nothing but holes, and each range takes memory."""

_LAST: Final = 4 * 1024
"""Bytes that are read first from the end backwards: of nearly all files they show the last byte."""

_CHUNK: Final = 64 * 1024
"""Bytes that are read at a time after those."""

COMPRESSED_OR_BINARY: Final = (
    b"\x1f\x8b",  # gzip
    b"\x28\xb5\x2f\xfd",  # zstd
    b"\xfd7zXZ\0",  # xz
    b"BZh",  # bzip2
    b"\x04\x22\x4d\x18",  # lz4
    b"\x1f\x9d",  # compress
    b"LPKSHHRH",  # the journal
    b"\xc1\x00",  # chunk files of Fluent Bit
)
"""What such files begin with: a NUL byte at their end belongs to them."""

_CONTROL: Final = re.compile(rb"[\x01-\x08\x0e-\x1a]")
"""What no text has. NUL is not among them: a writer that does not append leaves NULs where a log was truncated."""


def data_ranges(file: BinaryIO, log: LogFile) -> tuple[Range, ...]:
    """The ranges of a file that have data, in order; the bytes between are holes, and read as NUL.

    Raises:
        OSError: it cannot be read.
    """
    if log.allocated >= log.size:
        return (Range(0, log.size),) if log.size else ()
    smallest = SMALLEST_HOLE
    ranges = list[Range]()
    for extent in _extents(file, log.size):
        if ranges and extent.start - ranges[-1].end < smallest:
            ranges[-1] = Range(ranges[-1].start, extent.end)
        else:
            ranges.append(extent)
        if len(ranges) > MOST_RANGES:
            smallest *= 2
            ranges = _joined(ranges, smallest)
    return tuple(ranges)


def _joined(ranges: list[Range], smallest: int) -> list[Range]:
    joined = ranges[:1]
    for extent in ranges[1:]:
        if extent.start - joined[-1].end < smallest:
            joined[-1] = Range(joined[-1].start, extent.end)
        else:
            joined.append(extent)
    return joined


def _extents(file: BinaryIO, size: int) -> Iterator[Range]:
    """As the file system tells them (lseek(2), SEEK_DATA); the whole file where it cannot."""
    end = 0
    while end < size:
        try:
            start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            end = min(os.lseek(file.fileno(), start, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno != errno.ENXIO:  # else there is no more data up to the end
                yield Range(end, size)
            return
        if start >= end:
            return
        yield Range(start, end)


def end_of_text(file: BinaryIO, ranges: tuple[Range, ...]) -> int:
    """The byte after the last that is no NUL; 0 if there is none. The end of the last range for what is no text.

    Args:
        file: seekable; left at any place.
        ranges: of data, as `data_ranges` gives them.

    Raises:
        OSError: it cannot be read.
    """
    whole = ranges[-1].end if ranges else 0
    end = next((end for extent in reversed(ranges) if (end := _last_byte(file, extent))), 0)
    return end if end in (0, whole) or _is_text(file, ranges[0].start) else whole


def _last_byte(file: BinaryIO, extent: Range) -> int:
    """The byte after the last in the extent that is no NUL, 0 if there is none; read backwards."""
    end, most = extent.end, _LAST
    while end > extent.start:
        start = max(extent.start, end - most)
        file.seek(start)
        if data := file.read(end - start).rstrip(b"\0"):
            return start + len(data)
        end, most = start, _CHUNK
    return 0


def _is_text(file: BinaryIO, start: int) -> bool:
    """As far as the first data shows: compressed and binary files have a magic number, or control characters."""
    file.seek(start)
    head = file.read(512)
    return not head.startswith(COMPRESSED_OR_BINARY) and _CONTROL.search(head) is None
