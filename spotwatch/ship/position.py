"""What a log agent's state says of a file, in one form for all agents.

A position says "read", and only of some agents "acknowledged by the destination". It is believed for a file only where
the file is the one that it was about: inode numbers are reused, names move with every rotation, and after a power cut
the state is older or newer than the file. So each position carries evidence, which is compared with the file's content.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, Protocol

from spotwatch.core.volume import AgentKind


class Meaning(StrEnum):
    """What the agent knew of the bytes before its position."""

    ACKNOWLEDGED = "acknowledged"
    """The destination has confirmed them."""
    READ = "read"
    """The agent has read them; where they went from there it does not say."""


class Evidence(Protocol):
    """Shows whether a file is the one that a position was about."""

    def agrees(self, file: BinaryIO, size: int) -> bool:
        """Whether the content is what the agent saw.

        Args:
            file: seekable; left at any place.
            size: bytes of the file.
        """
        ...


@dataclass(frozen=True, slots=True)
class Fingerprint(ABC):
    """Evidence that is computed from a file alone, so that the file can be found by it, whatever its name and inode.

    Attributes:
        value: what the agent has noted.
    """

    value: int | str

    @classmethod
    @abstractmethod
    def of(cls, file: BinaryIO, size: int) -> frozenset[int | str]:
        """Every value under which the agent may have noted this content; none if there is too little of it."""

    def agrees(self, file: BinaryIO, size: int) -> bool:
        """Whether the content is what the agent saw."""
        return self.value in self.of(file, size)


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes of a file, from `start` up to but not including `end`."""

    start: int
    end: int


def in_order(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same bytes in ranges that are sorted, apart from each other and not empty."""
    joined = list[Range]()
    for piece in sorted((piece for piece in ranges if piece.start < piece.end), key=lambda piece: piece.start):
        if joined and piece.start <= joined[-1].end:
            joined[-1] = Range(joined[-1].start, max(joined[-1].end, piece.end))
        else:
            joined.append(piece)
    return tuple(joined)


def up_to(offset: int) -> tuple[Range, ...]:
    """Everything before an offset; nothing if that is 0."""
    return in_order([Range(0, offset)])


@dataclass(frozen=True, slots=True)
class Position:
    """What an agent has done with one file.

    Attributes:
        agent: who says so.
        done: the bytes that it has read or that were acknowledged; in order, not overlapping.
        meaning: which of the two.
        inode: of the file; None where the agent does not note it.
        path: of the file as the agent saw it, absolute on the instance; None likewise.
        evidence: all of it has to agree. With none the position proves nothing: inode numbers and names are used again.
        state_file: where it was read from, relative to the root of the file system.
    """

    agent: AgentKind
    done: tuple[Range, ...]
    meaning: Meaning
    state_file: str
    inode: int | None = None
    path: str | None = None
    evidence: tuple[Evidence, ...] = ()

    @property
    def end(self) -> int:
        """The byte after the last that is done; 0 if none is."""
        return self.done[-1].end if self.done else 0

    @property
    def fingerprints(self) -> tuple[Fingerprint, ...]:
        """The evidence by which a file can be found."""
        return tuple(evidence for evidence in self.evidence if isinstance(evidence, Fingerprint))


@dataclass(frozen=True, slots=True)
class AgentState:
    """All that one agent has left on the volume.

    Attributes:
        positions: see `Position`; several may be about one file.
        buffers: files with records that were read and not yet delivered, relative to the root; shipped whole.
        own_files: everything that belongs to the agent and is no log.
        cursor: for a reader of the journal, the last entry that was sent (`journalctl --after-cursor`); else None.
        anomalies: what could not be understood, each a sentence naming the file. What it may have said is taken as
            unread.
    """

    positions: tuple[Position, ...] = ()
    buffers: tuple[str, ...] = ()
    own_files: tuple[str, ...] = ()
    cursor: str | None = None
    anomalies: tuple[str, ...] = ()
