"""Bundles: many ranges of log files in one object, each its own zstd frame, so that one can be read without the rest.

An object is frames one after the other, then a skippable frame with the index of them (zstd frame format, RFC 8878,
3.1.2). `zstd -d` of a bundle gives all its ranges in a row; the manifest repeats the index, so a reader asks for the
bytes of one frame only. What goes into which bundle depends on the volume's content alone, never on the run: the same
volume yields the same objects under the same keys on every host.

What this survives:

- A file of any size: it is dealt out in pieces of `PIECE_BYTES`, and only a few pieces are in memory.
- A block that cannot be read: everything around it is shipped, and the gap is told.
- A processor or a memory that makes mistakes: each frame is unpacked again and compared with the checksum of what was
  read. That is done after whoever takes the bytes has had them, so after they were hashed for the object's checksum:
  bytes with this checksum are, wherever they are found, bytes that unpack to the content.
"""

import hashlib
import json
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from threading import local
from typing import Any, BinaryIO, Final, Protocol

from xxhash import xxh128_hexdigest
from zstandard import ZstdCompressionParameters, ZstdCompressor, ZstdDecompressor, ZstdError

from spotwatch.core.errors import PackingFailed
from spotwatch.ship.tree import LogFile, Tree, Unreadable

PIECE_BYTES: Final = 2 * 1024 * 1024
"""The most that one frame holds of a file: what is in memory is a few of these, whatever the files are. Half as much is
8 MB of memory less and 2 % more CPU time. Objects are no smaller with more: zstd's low levels look back less far."""

BUNDLE_BYTES: Final = 512 * 1024 * 1024
"""The most that one object holds, before compression: few objects, and none that takes long to send again."""

BLOCK_BYTES: Final = 4096
"""What is given up around a read error: a block of the file system."""

LEVEL: Final = 1
"""Of zstd. On logs level 3 is no smaller with frames of this size, and takes twice the time."""

HASH_LOG: Final = 12
"""Of zstd's table of what it has seen: 16 KiB stay in the processor's first cache. The 64 KiB that are level 1's own
make logs no smaller, and take a fifth more time."""

INDEX_MAGIC: Final = 0x184D2A5A
"""A skippable frame, which decompressors pass over."""

LONGEST_INDEX: Final = 256 * 1024 * 1024
"""Bytes of an index that are believed; a million files have less."""


class Segment(Protocol):
    """A range of a file that is to be shipped."""

    @property
    def file(self) -> LogFile:
        """Which."""
        ...

    @property
    def start(self) -> int:
        """The first byte."""
        ...

    @property
    def end(self) -> int:
        """The byte after the last."""
        ...


@dataclass(frozen=True, slots=True)
class Piece:
    """A range of a file that becomes one frame; an empty one stands for an empty file."""

    file: LogFile
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Frame:
    """Where one range of a file is in an object.

    Attributes:
        path: of the file, relative to the root of its file system.
        inode: of the file; two files may have had one path (a volume read in two ways).
        start, end: the range in the file.
        offset, length: the frame's place in the object.
        xxh128: checksum of the range (`xxhsum -H128`). It finds damage, at a tenth of the CPU time of SHA-256; that the
            object is the one that was stored is for the object's own SHA-256 to show.
    """

    path: str
    inode: int
    start: int
    end: int
    offset: int
    length: int
    xxh128: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """What goes into one object.

    Attributes:
        number: of the bundle in its volume, from 0.
        pieces: in the order of the frames.
    """

    number: int
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Bytes of the files' content."""
        return sum(piece.end - piece.start for piece in self.pieces)

    @property
    def digest(self) -> str:
        """What tells this bundle from every other: a hash of which ranges of which files it holds."""
        told = [
            (piece.file.path, piece.file.inode, piece.file.size, piece.file.modified_ns, piece.start, piece.end)
            for piece in self.pieces
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]

    def name(self, attempt: int) -> str:
        """What its object is called: its number for people, what is in it for the next run.

        Args:
            attempt: 1, or more if the names before are taken by something else.
        """
        return f"{self.number:05d}-{self.digest}{f'-{attempt}' if attempt > 1 else ''}.zst"


def deal_out(segments: Iterable[Segment], *, most: int = BUNDLE_BYTES) -> Iterator[Bundle]:
    """The segments in bundles of at most `most` bytes of content, in the order given."""
    number, size, pieces = 0, 0, list[Piece]()
    for piece in _pieces(segments):
        length = piece.end - piece.start
        if pieces and size + length > most:
            yield Bundle(number, tuple(pieces))
            number, size, pieces = number + 1, 0, []
        pieces.append(piece)
        size += length
    if pieces:
        yield Bundle(number, tuple(pieces))


def one_each(segments: Iterable[Segment]) -> Iterator[Bundle]:
    """A bundle for each segment."""
    for number, segment in enumerate(segments):
        yield Bundle(number, tuple(_pieces([segment])))


def _pieces(segments: Iterable[Segment]) -> Iterator[Piece]:
    for segment in segments:
        for start in range(segment.start, segment.end, PIECE_BYTES):
            yield Piece(segment.file, start, min(start + PIECE_BYTES, segment.end))
        if segment.start == segment.end:
            yield Piece(segment.file, segment.start, segment.end)


@dataclass(frozen=True, slots=True)
class _Packed:
    """What became of some pieces.

    Attributes:
        frames: each run of bytes that could be read, with its place in `data`.
        data: the frames' own bytes; none if they were not asked for.
        lost: what could not be read.
    """

    frames: tuple[Frame, ...]
    data: bytes
    lost: tuple[Unreadable, ...]

    @property
    def size(self) -> int:
        """Bytes of content."""
        return sum(frame.end - frame.start for frame in self.frames)


class Packer:
    """Turns bundles into the bytes of objects, on several cores; a context manager.

    Attributes:
        lost: what could not be read, in the order in which it was met.
        done: bytes of content that were read since this was set to 0.
    """

    def __init__(self, tree: Tree, *, workers: int) -> None:
        self.lost: list[Unreadable] = []
        self.done = 0
        self._tree = tree
        self._ahead = workers + 1
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="pack")
        self._own = _Own()

    def __enter__(self) -> "Packer":
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.shutdown(cancel_futures=True)

    def pack(self, bundle: Bundle, index: list[Frame]) -> Iterator[bytes]:
        """The object's bytes, some frames at a time and the index at last; `index` is filled on the way.

        Raises:
            PackingFailed: a frame does not unpack to what was read.
        """
        offset, taken = 0, deque[_Packed]()
        work = (partial(self._compress, some, taken.popleft() if taken else None) for some in _together(bundle.pieces))
        for packed in self._in_order(work):
            self.lost += packed.lost
            self.done += packed.size
            index += (replace(frame, offset=offset + frame.offset) for frame in packed.frames)
            offset += len(packed.data)
            yield packed.data
            taken.append(packed)
        for packed in taken:
            self._check(packed)
        yield encode_index(index)

    def hash(self, bundle: Bundle) -> Iterator[Frame]:
        """What `pack` would fill the index with, but for the places in the object."""
        for packed in self._in_order(partial(self._hash, some) for some in _together(bundle.pieces)):
            self.lost += packed.lost
            yield from packed.frames

    def _in_order(self, work: Iterable[Callable[[], _Packed]]) -> Iterator[_Packed]:
        """Done side by side, answered in order, and never more than a few ahead of who takes the answers."""
        coming = iter(work)
        running = deque(self._workers.submit(each) for each in islice(coming, self._ahead))
        while running:
            yield running.popleft().result()
            running.extend(self._workers.submit(each) for each in islice(coming, 1))

    def _hash(self, pieces: Sequence[Piece]) -> _Packed:
        return self._packed(pieces, lambda _: b"")

    def _compress(self, pieces: Sequence[Piece], taken: _Packed | None) -> _Packed:
        """Pack some, and check others: to hand over work takes time, so both are handed over at once."""
        if taken is not None:
            self._check(taken)
        return self._packed(pieces, self._own.compressor.compress)

    def _packed(self, pieces: Sequence[Piece], pack: Callable[[bytes | memoryview], bytes]) -> _Packed:
        frames, chunks, lost, offset = list[Frame](), list[bytes](), list[Unreadable](), 0
        for piece in pieces:
            runs, missing = self._read(piece)
            lost += missing
            for start, content in runs:
                checksum, data = xxh128_hexdigest(content), pack(content)
                end = start + len(content)
                frames.append(Frame(piece.file.path, piece.file.inode, start, end, offset, len(data), checksum))
                chunks.append(data)
                offset += len(data)
        return _Packed(tuple(frames), b"".join(chunks), tuple(lost))

    def _check(self, packed: _Packed) -> None:
        data = memoryview(packed.data)
        for frame in packed.frames:
            try:
                self._own.unpacker.unpack(frame, data[frame.offset : frame.offset + frame.length])
            except ValueError as error:
                raise PackingFailed(
                    f"what was packed does not unpack to what was read: {error}",
                    hint="see whether the memory and the processor of this machine are sound",
                ) from None

    def _read(self, piece: Piece) -> "_Runs":
        """The runs of a piece that can be read, until this thread reads the next one; and what cannot."""
        try:
            return _whole(self._tree, piece)
        except OSError:
            return _around_errors(self._tree, piece)


class _Own(local):
    """What each thread has for itself.

    To make a compressor for each frame costs more than small files do.
    """

    def __init__(self) -> None:
        self.compressor = ZstdCompressor(compression_params=_parameters())
        self.unpacker = Unpacker()


_Runs = tuple[Sequence[tuple[int, bytes | memoryview]], Sequence[Unreadable]]
"""Where each run begins in its file, and its bytes; and what could not be read."""


def _parameters() -> ZstdCompressionParameters:
    return ZstdCompressionParameters.from_level(
        LEVEL, source_size=PIECE_BYTES, hash_log=HASH_LOG, write_checksum=False, write_content_size=True
    )  # zstd's own checksum (XXH64) would be a second one of the same bytes, for a twentieth of all time


def _together(pieces: Iterable[Piece]) -> Iterator[Sequence[Piece]]:
    """Small pieces are worked on together, as many as are no more than one large one: to hand over work takes time."""
    some, size = list[Piece](), 0
    for piece in pieces:
        length = piece.end - piece.start
        if some and size + length > PIECE_BYTES:
            yield some
            some, size = [], 0
        some.append(piece)
        size += length
    if some:
        yield some


def _whole(tree: Tree, piece: Piece) -> _Runs:
    data = tree.read(piece.file.path, piece.start, piece.end)
    short = piece.end - piece.start - len(data)
    lost = [Unreadable(piece.file.path, f"it ends {short} bytes before its size says")] if short else []
    return [(piece.start, data)], lost


def _around_errors(tree: Tree, piece: Piece) -> _Runs:
    """A block at a time."""
    try:
        with tree.open(piece.file.path) as file:
            return _blocks(file, piece)
    except OSError as error:
        return [], [Unreadable(piece.file.path, _reason(piece.start, piece.end, error))]


def _blocks(file: BinaryIO, piece: Piece) -> _Runs:
    runs: list[tuple[int, bytearray]] = []
    lost: list[Unreadable] = []
    for start in range(piece.start, piece.end, BLOCK_BYTES):
        end = min(start + BLOCK_BYTES, piece.end)
        try:
            file.seek(start)
            data = file.read(end - start)
        except OSError as error:
            lost.append(Unreadable(piece.file.path, _reason(start, end, error)))
            continue
        if runs and runs[-1][0] + len(runs[-1][1]) == start:
            runs[-1][1].extend(data)
        else:
            runs.append((start, bytearray(data)))
    return [(start, bytes(data)) for start, data in runs], lost


def _reason(start: int, end: int, error: OSError) -> str:
    return f"bytes {start} to {end}: {error.strerror}"


def encode_index(index: Sequence[Frame]) -> bytes:
    """The skippable frame at the end of an object; its last four bytes are its own length, for who reads backwards."""
    content = ZstdCompressor(level=LEVEL).compress(json.dumps(index, default=members).encode())
    length = len(content) + 4
    return struct.pack("<II", INDEX_MAGIC, length) + content + struct.pack("<I", length + 8)


def members(part: Any) -> dict[str, Any]:
    """A dataclass with slots as JSON's encoder wants it; `dataclasses.asdict` takes ten times as long."""
    return {name: getattr(part, name) for name in part.__slots__}


def decode_index(tail: bytes) -> tuple[Frame, ...]:
    """The index in the last bytes of an object, as many as `index_length` says.

    Raises:
        ValueError: there is none.
    """
    try:
        magic, length = struct.unpack_from("<II", tail)
        if magic != INDEX_MAGIC or length + 8 != len(tail):
            raise ValueError("it does not end with an index")
        told = json.loads(ZstdDecompressor().decompress(tail[8:-4], max_output_size=LONGEST_INDEX))
        return tuple(Frame(**frame) for frame in told)
    except (struct.error, ZstdError, TypeError, RecursionError) as error:
        raise ValueError(f"its index cannot be read: {error}") from None


def index_length(end: bytes) -> int:
    """How many of an object's last bytes are its index, told by the last four of them."""
    return int.from_bytes(end[-4:], "little")


def unpack(frame: Frame, data: bytes | memoryview) -> bytes:
    """The content of a frame, verified.

    Raises:
        ValueError: it is not what was packed.
    """
    return bytes(Unpacker().unpack(frame, data))


class Unpacker:
    """Unpacks frames one after the other, into memory of its own: for one thread."""

    def __init__(self) -> None:
        self._zstd = ZstdDecompressor()
        self._content = memoryview(bytearray(PIECE_BYTES + 1))  # one too many is noticed

    def unpack(self, frame: Frame, data: bytes | memoryview) -> memoryview:
        """The content of a frame, verified; it is there until the next one is unpacked.

        Raises:
            ValueError: it is not what was packed.
        """
        try:
            with self._zstd.stream_reader(data) as stream:
                content = self._content[: stream.readinto(self._content)]
        except ZstdError as error:
            raise ValueError(f"{frame.path}, bytes {frame.start} to {frame.end}: {error}") from None
        if len(content) != frame.end - frame.start or xxh128_hexdigest(content) != frame.xxh128:
            raise ValueError(f"{frame.path}, bytes {frame.start} to {frame.end}: the checksum is another one")
        return content
