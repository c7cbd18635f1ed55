"""Which of the agents' positions are believed, and about which bytes.

A position counts for a file if all its evidence agrees and what it calls done lies within the file. If several count,
each byte is believed to be what the weakest of them says: two state files of one agent may both look right, and two
agents send to two destinations.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from io import BytesIO
from itertools import chain
from typing import BinaryIO, Final

from spotwatch.ship.compressed import compression_of, unpack
from spotwatch.ship.position import Fingerprint, Meaning, Position
from spotwatch.ship.tree import LogFile, Tree

HEAD: Final = 128 * 1024
"""Bytes of a compressed file's content in which its fingerprints are looked for; Vector's needs the most, 100 KiB."""

_CHUNK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes of a file, and what an agent is believed to have done with them.

    Attributes:
        start, end: the range.
        meaning: acknowledged, or only read.
        proven: whether the content shows that it is the agent's file; else only an inode number or a name does.
    """

    start: int
    end: int
    meaning: Meaning
    proven: bool


class Beliefs:
    """The positions of all agents, found for a file by its inode, its path and its content.

    Attributes:
        refuted: the positions that looked as if they were about a file and are not, each a sentence.
    """

    def __init__(self, tree: Tree, mount_point: str, positions: Iterable[Position], files: Sequence[LogFile]) -> None:
        self.refuted: list[str] = []
        self._tree = tree
        self._root = mount_point.rstrip("/") + "/"
        self._by_inode = defaultdict[int, list[Position]](list)
        self._by_path = defaultdict[str, list[Position]](list)
        self._by_content = defaultdict[Fingerprint, list[Position]](list)
        for position in positions:
            self._file_away(position)
        self._found = self._find_by_content(files)

    def missing(self, files: Sequence[LogFile]) -> Iterator[str]:
        """The positions whose file should be on the volume and is not, each a sentence."""
        inodes, paths = {file.inode for file in files}, {file.path for file in files}
        for position in chain.from_iterable(self._by_inode.values()):
            if position.path is not None and position.done and position.inode not in inodes:
                yield f"{position.state_file}: there is no inode {position.inode}, once {position.path}"
        for path, positions in self._by_path.items():
            if path not in paths:
                yield from (f"{each.state_file}: there is no {path}" for each in positions if each.done)

    def of(self, log: LogFile) -> tuple[Held, ...]:
        """What is believed of a file, in order, not overlapping.

        Raises:
            OSError: the file cannot be read, so nothing is known of it.
        """
        claims = self._found.get(log.path, [])
        named = [*self._by_inode.get(log.inode, ()), *self._by_path.get(log.path, ())]
        if named:
            with self._tree.open(log.path) as file:
                claims = claims + [_claim(each) for each in named if self._agrees(each, file, log)]
        weakest: list[Held] = reduce(_weaker, claims) if claims else []
        return tuple(weakest)

    def _file_away(self, position: Position) -> None:
        path = self._relative(position.path)
        for fingerprint in position.fingerprints:
            self._by_content[fingerprint].append(position)
        if position.inode is not None and (position.path is None or path is not None):
            self._by_inode[position.inode].append(position)
        elif position.inode is None and not position.fingerprints and path is not None:
            self._by_path[path].append(position)

    def _relative(self, path: str | None) -> str | None:
        """The path on the volume; None for paths elsewhere."""
        return path[len(self._root) :].lstrip("/") if path and path.startswith(self._root) else None

    def _agrees(self, position: Position, file: BinaryIO, log: LogFile) -> bool:
        if position.end > log.size:
            return self._refute(position, f"{log.path} is only {log.size} bytes long")
        if not all(evidence.agrees(file, log.size) for evidence in position.evidence):
            return self._refute(position, f"{log.path} has other content")
        return True

    def _refute(self, position: Position, why: str) -> bool:
        self.refuted.append(f"{position.state_file}: {position.end} bytes done are not believed, {why}")
        return False

    def _find_by_content(self, files: Sequence[LogFile]) -> dict[str, list[list[Held]]]:
        """For each path what the positions that go by content alone say of it."""
        matches = defaultdict[Position, list[_Match]](list)
        kinds = {type(fingerprint) for fingerprint in self._by_content}
        for log in files if kinds else ():
            try:
                for position, match in self._matching(log, kinds):
                    matches[position].append(match)
            except OSError:  # of a file that is only looked at; told by whoever ships it
                continue
        claims = defaultdict[str, list[list[Held]]](list)
        for position, those in matches.items():
            for match in those if self._is_clear(position, those) else ():
                claims[match.log.path].append(_claim(position, match.log.size if match.compression else None))
        return claims

    def _matching(self, log: LogFile, kinds: set[type[Fingerprint]]) -> Iterator[tuple[Position, "_Match"]]:
        with self._tree.open(log.path) as file:
            compression = compression_of(file)
            match = _Match(log, compression)
            content = BytesIO(_unpacked_head(file, compression)) if compression else file
            size = len(content.getbuffer()) if isinstance(content, BytesIO) else log.size
            fingerprints = {kind(value) for kind in kinds for value in kind.of(content, size)}
            positions = {each for one in fingerprints for each in self._by_content.get(one, ())}
            for position in positions:
                if _is_all(position, file, compression) if compression else self._fits(position, log):
                    yield position, match

    def _fits(self, position: Position, log: LogFile) -> bool:
        """Whether a file that is not compressed can be meant; a position with an inode is found by that instead."""
        if position.inode is not None:
            return False
        return position.end <= log.size or self._refute(position, f"{log.path} is only {log.size} bytes long")

    def _is_clear(self, position: Position, matches: "list[_Match]") -> bool:
        """Whether it does not matter which of the files is meant: what is done of them is the same."""
        if len(matches) == 1:
            return True
        try:
            contents = {_digest(self._tree, match, position.end) for match in matches}
        except OSError:
            contents = set()
        first, last = matches[0].log.path, matches[-1].log.path
        return len(contents) == 1 or self._refute(position, f"{first} and {last} begin alike")


@dataclass(frozen=True, slots=True)
class _Match:
    """A file with the fingerprint that a position speaks of, and how it is compressed, if it is."""

    log: LogFile
    compression: str | None


def _claim(position: Position, compressed_size: int | None = None) -> list[Held]:
    """What a position says; of a compressed file, all of whose content is done, it says it of all its bytes."""
    proven = bool(position.evidence)
    if compressed_size is not None:
        return [Held(0, compressed_size, position.meaning, proven)]
    return [Held(piece.start, piece.end, position.meaning, proven) for piece in position.done]


def _weaker(one: list[Held], other: list[Held]) -> list[Held]:
    """The bytes of which both say something, and of each the less."""
    both = list[Held]()
    left, right = 0, 0
    while left < len(one) and right < len(other):
        a, b = one[left], other[right]
        start, end = max(a.start, b.start), min(a.end, b.end)
        if start < end:
            meaning = a.meaning if a.meaning is b.meaning else Meaning.READ
            both.append(Held(start, end, meaning, a.proven and b.proven))
        left, right = (left + 1, right) if a.end <= b.end else (left, right + 1)
    return both


def _unpacked_head(file: BinaryIO, compression: str) -> bytes:
    head = b""
    for piece in unpack(file, compression):
        head += piece
        if len(head) >= HEAD:
            break
    return head[:HEAD]


def _is_all(position: Position, file: BinaryIO, compression: str) -> bool:
    """Whether everything in a compressed file is done: its content ends where the position does."""
    length = 0
    for piece in unpack(file, compression):
        length += len(piece)
        if length > position.end:
            return False
    return length == position.end and len(position.done) == 1 and position.done[0].start == 0


def _digest(tree: Tree, match: _Match, end: int) -> bytes:
    """A hash of the first bytes of a file's content."""
    digest = hashlib.sha256()
    left = end
    with tree.open(match.log.path) as file:
        for piece in unpack(file, match.compression) if match.compression else _pieces(file):
            digest.update(piece[:left])
            left -= min(left, len(piece))
            if not left:
                break
    return digest.digest()


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    return iter(lambda: file.read(_CHUNK), b"")
