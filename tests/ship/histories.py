"""What happens to log files between an agent's last word and the power cut, with every line accounted for.

Each line is written once, with a number of its own, so a line that is found on the volume can be looked up: had the
agent delivered it or not?
"""

import gzip
import lzma
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

from tests.ship.agents.states import Followed

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}


@dataclass(slots=True)
class Inode:
    """A file, whatever it is called.

    Attributes:
        number: of the inode.
        content: what it holds now.
        offset: how much of it the agent has delivered.
        plain: what it held before it was compressed; None if it was not.
        followed: whether the agent knows of it: not of copies and of what was compressed.
    """

    number: int
    content: bytes = b""
    offset: int = 0
    plain: bytes | None = None
    followed: bool = True


@dataclass(slots=True)
class History:
    """A log that is written, rotated in every way, followed by an agent, and cut off.

    Attributes:
        files: the volume, by path; `log/app.log` is written to.
        delivered: the lines that the agent has delivered, by number.
        saved: what the agent has last written into its state.
    """

    files: dict[str, Inode] = field(default_factory=dict)
    delivered: set[bytes] = field(default_factory=set)
    saved: tuple[Followed, ...] = ()
    _lines: int = 0
    _free: list[int] = field(default_factory=lambda: list(range(140, 100, -1)))

    LOG = "log/app.log"

    def write(self, count: int) -> None:
        """So many lines more; the file is made if it is not there."""
        log = self.files.setdefault(self.LOG, Inode(0))
        log.number = log.number or self._new_inode()
        for _ in range(count):
            log.content += b"%s line %06d\n" % (b"x" * (self._lines * 7 % 60), self._lines)
            self._lines += 1

    def deliver(self, share: float) -> None:
        """The agent reads on in every file that it knows, up to a share of what is left of it."""
        for inode in self._followed().values():
            end = inode.offset + int((len(inode.content) - inode.offset) * share)
            end = inode.content.rfind(b"\n", 0, end) + 1
            if end > inode.offset:
                self.delivered |= lines_of(inode.content[inode.offset : end])
                inode.offset = end

    def save(self) -> None:
        """The agent writes its state, which reaches the disk."""
        self.saved = tuple(
            Followed(path, inode.number, inode.content, inode.offset) for path, inode in self._followed().items()
        )

    def rotate(self) -> None:
        """By renaming; the oldest is deleted, and its inode number is the next to be used."""
        for number in (2, 1):
            self._move(number)
        if log := self.files.pop(self.LOG, None):
            self.files[f"{self.LOG}.1"] = log

    def copy_and_truncate(self) -> None:
        """As logrotate's `copytruncate`: the copy has a new inode, and no agent knows of it."""
        if log := self.files.get(self.LOG):
            for number in (2, 1):
                self._move(number)
            self.files[f"{self.LOG}.1"] = Inode(self._new_inode(), log.content, followed=False)
            log.content, log.offset = b"", 0

    def compress(self, suffix: str) -> None:
        """The youngest rotated file that is not compressed; the number of its inode becomes free."""
        for path in sorted(self.files):
            if path != self.LOG and not path.endswith(tuple(COMPRESSIONS)):
                plain = self.files.pop(path)
                number = self._new_inode()
                self._free.append(plain.number)
                self.files[path + suffix] = Inode(
                    number, COMPRESSIONS[suffix](plain.content), plain=plain.content, followed=False
                )
                return

    def cut(self, bytes_lost: int, nul: bool) -> None:
        """The power goes: the end of the file that is written to was not on the disk."""
        if log := self.files.get(self.LOG):
            kept = log.content[: max(0, len(log.content) - bytes_lost)]
            log.content = kept + (b"\0" * (len(log.content) - len(kept)) if nul else b"")

    def put(self, root: Path) -> dict[str, int]:
        """Make the volume below a directory, and the inode number of each path."""
        for path, inode in self.files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(inode.content)
        return {path: inode.number for path, inode in self.files.items()}

    def undelivered(self) -> set[bytes]:
        """The whole lines that are on the volume, in any file, and were not delivered."""
        contents = [inode.content if inode.plain is None else inode.plain for inode in self.files.values()]
        return set().union(*map(lines_of, contents)) - self.delivered if contents else set()

    def _followed(self) -> dict[str, Inode]:
        return {path: inode for path, inode in self.files.items() if inode.followed}

    def _move(self, number: int) -> None:
        for suffix in ("", *COMPRESSIONS):
            if inode := self.files.pop(f"{self.LOG}.{number}{suffix}", None):
                if number == 2:
                    self._free.append(inode.number)
                else:
                    self.files[f"{self.LOG}.{number + 1}{suffix}"] = inode

    def _new_inode(self) -> int:
        return self._free.pop()


def lines_of(content: bytes) -> set[bytes]:
    """The whole lines, each different from every other; NUL bytes are none."""
    return {line for line in content.rpartition(b"\n")[0].split(b"\n") if line}


def shipped_lines(history: History, ranges: Sequence[tuple[str, int, int]]) -> set[bytes]:
    """The lines of which every byte is in one of the ranges; of compressed files, those in files shipped whole."""
    lines = set[bytes]()
    for path, inode in history.files.items():
        covered = sorted((start, end) for name, start, end in ranges if name == path)
        joined = list[list[int]]()
        for start, end in covered:
            if joined and start <= joined[-1][1]:
                joined[-1][1] = max(end, joined[-1][1])
            else:
                joined.append([start, end])
        if inode.plain is not None:
            if joined == [[0, len(inode.content)]]:
                lines |= lines_of(inode.plain)
        else:
            for start, end in joined:
                lines |= lines_of(inode.content[start:end])
    return lines
