"""Rotated logs that were compressed: their content, a little at a time, whatever it unpacks to."""

import gzip
import lzma
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from zstandard import ZstdDecompressor, ZstdError

MAGIC: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\0": "xz"}
"""What the files begin with (RFC 1952, RFC 8878, the .xz format)."""

WINDOW: Final = 128 * 1024 * 1024
"""Bytes of memory that a zstd or xz file may ask for: `zstd -d` has the same limit, and `xz -9` needs 65 MB."""

_CHUNK: Final = 256 * 1024
_LONGEST_MAGIC: Final = max(map(len, MAGIC))


class Damaged(OSError):
    """A compressed file that cannot be unpacked."""


def compression_of(file: BinaryIO) -> str | None:
    """How a file is compressed, by its first bytes; None if it is not."""
    file.seek(0)
    head = file.read(_LONGEST_MAGIC)
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)


def unpack(file: BinaryIO, compression: str) -> Iterator[bytes]:
    """The content of a compressed file, in pieces.

    Raises:
        Damaged: it cannot be unpacked, ends too early, or asks for too much memory.
    """
    file.seek(0)
    try:
        match compression:
            case "gzip":
                with gzip.GzipFile(fileobj=file) as stream:
                    yield from iter(lambda: stream.read(_CHUNK), b"")
            case "xz":
                yield from _unpack_xz(file)
            case _:
                with ZstdDecompressor(max_window_size=WINDOW).stream_reader(
                    file, read_across_frames=True, closefd=False
                ) as reader:
                    yield from iter(lambda: reader.read(_CHUNK), b"")
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, ZstdError) as error:
        raise Damaged(f"cannot be unpacked: {error}") from error


def _unpack_xz(file: BinaryIO) -> Iterator[bytes]:
    """`lzma.LZMAFile` has no limit for the memory; files of several streams count as damaged."""
    unpacking = lzma.LZMADecompressor(memlimit=WINDOW)
    while not unpacking.eof:
        data = file.read(_CHUNK) if unpacking.needs_input else b""
        if unpacking.needs_input and not data:
            raise EOFError("it ends too early")
        if piece := unpacking.decompress(data, _CHUNK):
            yield piece
    if unpacking.unused_data or file.read(1):
        raise EOFError("it has more than one stream")
