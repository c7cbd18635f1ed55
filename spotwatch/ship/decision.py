"""What of a volume has to be shipped: every byte of its logs, but for what an agent is known to have delivered.

What this survives without losing a line:

- A position about another file: an inode number that was used again, a name that moved with a rotation, a state that is
  older than the file after a power cut. Where the content does not show that the file is the agent's, the position is a
  hint, and hints are shipped over unless the settings say otherwise.
- A copy made by copytruncate, which no agent knows of: it is a file of its own and unread.
- An agent whose buffers did not survive: then nothing that it had only read is left out.
- NUL bytes that a power cut has left at the end of a text, and files that are mostly holes.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import StrEnum
from io import BytesIO
from typing import BinaryIO, Final, Protocol

from spotwatch.core.volume import Agent
from spotwatch.ship.belief import Beliefs, Held
from spotwatch.ship.extents import data_ranges, end_of_text
from spotwatch.ship.patterns import LogPatterns
from spotwatch.ship.position import AgentState, Meaning, Range
from spotwatch.ship.tree import LogFile, Tree, Unreadable

LOST_AND_FOUND: Final = "lost+found/"
"""Where a repair of the file system puts what has lost its name (e2fsck(8), xfs_repair(8))."""

SMALL: Final = 64 * 1024
"""Bytes of a file that is looked at whole; of a larger one only its two ends are."""

JOURNAL_MAGIC: Final = b"LPKSHHRH"
"""The first bytes of a journal file (systemd, JOURNAL_FILE_FORMAT)."""


class Reason(StrEnum):
    """Why a range is shipped or is not."""

    UNREAD = "unread"
    """No position that is believed covers it."""
    READ = "read"
    """An agent had read it; whether it was delivered nobody knows. A hint."""
    ACKNOWLEDGED = "acknowledged"
    """The destination of an agent has confirmed it."""
    ACKNOWLEDGED_BY_NAME = "acknowledged by name"
    """Confirmed for a file with this inode number or name, which may have been another file. A hint."""
    BUFFER = "buffer"
    """An agent's own file with records that it had read and not delivered."""
    JOURNAL = "journal"
    """The entries after an agent's cursor are exported instead. A hint."""
    HOLE = "hole"
    """It has no data; whoever reads it gets zeros."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done where it is not known whether something was delivered.

    Attributes:
        ship_read: ship what an agent had only read. If not, what it had read and then lost is lost.
        ship_unproven: ship what a position calls done of a file that it knows by its inode number or its name alone.
            If not, a file that has taken over the name or the number of another loses its beginning.
    """

    ship_read: bool = True
    ship_unproven: bool = True

    def leaves_out(self, held: Held) -> bool:
        """Whether bytes with which an agent has done this are not shipped."""
        return (held.meaning is Meaning.ACKNOWLEDGED or not self.ship_read) and (held.proven or not self.ship_unproven)


@dataclass(frozen=True, slots=True)
class Segment:
    """A range of a file, and what is to be done with it.

    Attributes:
        file: whose.
        start, end: its bytes; both 0 for an empty file, which is shipped so that it is known to have been there.
        reason: why.
        shipped: whether it has to be shipped.
    """

    file: LogFile
    start: int
    end: int
    reason: Reason
    shipped: bool = True

    @property
    def hint(self) -> bool:
        """Whether an agent's position speaks of it that proves no delivery."""
        return self.reason in {Reason.READ, Reason.ACKNOWLEDGED_BY_NAME, Reason.JOURNAL}


@dataclass(frozen=True, slots=True)
class FileDecision:
    """What is to be done with one file.

    Attributes:
        file: which.
        segments: in order; with the NUL bytes at its end they are the whole file.
        trailing_nul_bytes: at its end, where a power cut leaves them; they are not shipped.
        other_names: further paths of the same file (hard links), in order; it is shipped under one.
    """

    file: LogFile
    segments: tuple[Segment, ...]
    trailing_nul_bytes: int = 0
    other_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JournalEntries:
    """Entries of the journal that are to be exported (`JournalExport`); its files are not shipped as they are.

    Attributes:
        directory: with the journal's files, relative to the root of the file system; empty for the root.
        cursor: of the last entry that was sent.
        files: the journal's files in it: shipped as they are if the export fails.
    """

    directory: str
    cursor: str
    files: tuple[LogFile, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What of a volume has to be shipped.

    Attributes:
        files: every log file and every buffer, in the order of their paths.
        journals: what is exported instead of shipped.
        anomalies: what was wrong, each a sentence: a reason to keep the volume.
        refuted: positions that were not believed, each a sentence; ordinary after rotations.
    """

    files: tuple[FileDecision, ...] = ()
    journals: tuple[JournalEntries, ...] = ()
    anomalies: tuple[str, ...] = ()
    refuted: tuple[str, ...] = ()

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Everything that has to be shipped, in the order of paths and offsets."""
        return tuple(segment for file in self.files for segment in file.segments if segment.shipped)

    @property
    def hints(self) -> tuple[Segment, ...]:
        """The ranges, shipped or not, about which a position speaks that proves nothing."""
        return tuple(segment for file in self.files for segment in file.segments if segment.hint)


class JournalExport(Protocol):
    """Reads journals; the host's `journalctl`."""

    def available(self) -> bool:
        """Whether there is a `journalctl` on this host."""
        ...

    def entries(self, directory: str, cursor: str) -> AbstractContextManager[BinaryIO]:
        """The entries after a cursor (`journalctl --directory D --after-cursor=C -o export`).

        Args:
            directory: relative to the root of the volume's file system.
            cursor: in journald's form.

        Raises:
            OSError: the journal cannot be read, or `journalctl` failed, also at the end of reading.
        """
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of a volume besides its content; the fields are those of `VolumeLabel`."""

    mount_point: str
    log_paths: tuple[str, ...] = ()
    agents: tuple[Agent, ...] = ()


def decide(
    tree: Tree, source: Source, policy: Policy | None = None, journal_export: JournalExport | None = None
) -> Decision:
    """What has to be shipped of a volume. Nothing in it makes this raise: what is wrong is an anomaly."""
    return _Deciding(tree, source, policy or Policy(), journal_export).decision()


class _Deciding:
    """One run over a volume."""

    def __init__(self, tree: Tree, source: Source, policy: Policy, journal_export: JournalExport | None) -> None:
        self._tree = tree
        self._policy = policy
        self._anomalies = list[str]()
        self._other_names = dict[str, list[str]]()
        self._all = self._listed(tree)
        self._states = [self._state(agent) for agent in source.agents]
        self._buffers = {path for state in self._states for path in state.buffers}
        own = {path for state in self._states for path in state.own_files}
        patterns = LogPatterns(source.log_paths)
        self._logs = [
            file
            for file in self._all
            if file.path not in self._buffers
            and file.path not in own
            and (file.path.startswith(LOST_AND_FOUND) or patterns.match(file.path))
        ]
        self._logs = self._once(self._logs)
        positions = [position for state in self._states for position in state.positions]
        self._beliefs = Beliefs(tree, source.mount_point, positions, self._logs)
        self._journals = self._exported(journal_export)
        self._distrusted = self._with_lost_buffers()

    def decision(self) -> Decision:
        wanted = [file for file in self._all if file.path in self._buffers]
        exported = {file.path for journal in self._journals for file in journal.files}
        decided = [self._buffer(file) for file in wanted]
        decided += [self._journal(file) if file.path in exported else self._log(file) for file in self._logs]
        decided.sort(key=lambda file: file.file.path)
        self._anomalies += self._beliefs.missing(self._all)
        return Decision(
            tuple(map(self._with_names, decided)), self._journals, tuple(self._anomalies), tuple(self._beliefs.refuted)
        )

    def _with_names(self, decided: FileDecision) -> FileDecision:
        names = self._other_names.get(decided.file.path)
        return replace(decided, other_names=tuple(names)) if names else decided

    def _listed(self, tree: Tree) -> list[LogFile]:
        files = list[LogFile]()
        for entry in tree.files():
            if isinstance(entry, Unreadable):
                self._anomalies.append(f"{entry.path} cannot be read: {entry.reason}")
                continue
            files.append(entry)
            if entry.path.startswith(LOST_AND_FOUND):
                self._anomalies.append(f"{entry.path} has lost its name")
        return files

    def _once(self, logs: Iterable[LogFile]) -> list[LogFile]:
        """A file with several names (hard links) is shipped under the first of them."""
        first: dict[int, LogFile] = {}
        for log in logs:
            if (named := first.setdefault(log.inode, log)) is not log:
                self._other_names.setdefault(named.path, []).append(log.path)
        return list(first.values())

    def _state(self, agent: Agent) -> AgentState:
        from spotwatch.ship.agents import READERS  # most volumes have no agent, and YAML takes a while to import

        state = READERS[agent.kind](self._tree, agent.state)
        self._anomalies += [f"{agent.kind}: {anomaly}" for anomaly in state.anomalies]
        return state

    def _with_lost_buffers(self) -> bool:
        """Whether an agent's buffer is gone: then what it had read may have been nowhere else."""
        return any(self._is_all_nul(path) for path in sorted(self._buffers))

    def _is_all_nul(self, path: str) -> bool:
        log = self._tree.find(path)
        try:
            return log is None or self._measure(log)[1] == 0
        except OSError:
            return True

    def _measure(self, log: LogFile) -> tuple[tuple[Range, ...], int]:
        """Where a file has data, and where what it says ends."""
        with self._opened(log) as file:
            ranges = data_ranges(file, log)
            return ranges, end_of_text(file, ranges)

    def _opened(self, log: LogFile) -> BinaryIO:
        """A small file without holes is read at once: there may be very many of them."""
        if log.size <= min(SMALL, log.allocated):
            return BytesIO(self._tree.read(log.path, 0, log.size))
        return self._tree.open(log.path)

    def _buffer(self, log: LogFile) -> FileDecision:
        """Whole: a NUL byte may belong to a record; but nothing of what holds nothing else."""
        try:
            ranges, end = self._measure(log)
        except OSError as error:
            return self._unreadable(log, error, Reason.BUFFER)
        if end == 0:
            return FileDecision(log, (Segment(log, 0, 0, Reason.BUFFER),), log.size)
        return FileDecision(log, _pieces(log, ranges, [(Range(0, log.size), Reason.BUFFER, True)]))

    def _journal(self, log: LogFile) -> FileDecision:
        return FileDecision(log, (Segment(log, 0, log.size, Reason.JOURNAL, shipped=False),))

    def _log(self, log: LogFile) -> FileDecision:
        try:
            ranges, end = self._measure(log)
            held = self._beliefs.of(log) if end else ()
        except OSError as error:
            return self._unreadable(log, error, Reason.UNREAD)
        if end == 0:
            return FileDecision(log, (Segment(log, 0, 0, Reason.UNREAD),), log.size)
        return FileDecision(log, _pieces(log, ranges, self._wanted(held, end)), log.size - end)

    def _unreadable(self, log: LogFile, error: OSError, reason: Reason) -> FileDecision:
        """Shipped as far as it can be read."""
        self._anomalies.append(f"{log.path} cannot be read: {error.strerror or error}")
        return FileDecision(log, (Segment(log, 0, log.size, reason),))

    def _wanted(self, held: Sequence[Held], end: int) -> list[tuple[Range, Reason, bool]]:
        """All of a file up to `end`: each range, why, and whether it is shipped."""
        wanted = list[tuple[Range, Reason, bool]]()
        done = 0
        for each in held:
            if each.start >= end:
                break
            if done < each.start:
                wanted.append((Range(done, each.start), Reason.UNREAD, True))
            done = min(each.end, end)
            wanted.append((Range(each.start, done), _reason(each), not self._leaves_out(each)))
        if done < end:
            wanted.append((Range(done, end), Reason.UNREAD, True))
        return wanted

    def _leaves_out(self, held: Held) -> bool:
        if self._distrusted and held.meaning is Meaning.READ:
            return False
        return self._policy.leaves_out(held)

    def _exported(self, journal_export: JournalExport | None) -> tuple[JournalEntries, ...]:
        """The journals with exactly one cursor; with several nobody knows which of them is the earliest."""
        cursors = {state.cursor for state in self._states if state.cursor is not None}
        if len(cursors) != 1 or journal_export is None or not journal_export.available():
            return ()
        directories: dict[str, list[LogFile]] = {}
        for log in self._logs:
            if log.path.endswith((".journal", ".journal~")) and self._is_journal(log):
                directories.setdefault(os.path.dirname(log.path), []).append(log)
        cursor = cursors.pop()
        return tuple(JournalEntries(path, cursor, tuple(files)) for path, files in directories.items())

    def _is_journal(self, log: LogFile) -> bool:
        try:
            with self._tree.open(log.path) as file:
                return file.read(len(JOURNAL_MAGIC)) == JOURNAL_MAGIC
        except OSError:
            return False


def _reason(held: Held) -> Reason:
    if held.meaning is Meaning.READ:
        return Reason.READ
    return Reason.ACKNOWLEDGED if held.proven else Reason.ACKNOWLEDGED_BY_NAME


def _pieces(log: LogFile, data: Sequence[Range], wanted: Iterable[tuple[Range, Reason, bool]]) -> tuple[Segment, ...]:
    """The wanted ranges, without the holes, which are told as such."""
    segments = list[Segment]()
    extent = 0
    for piece, reason, shipped in wanted:
        done = piece.start
        while done < piece.end:
            while extent < len(data) and data[extent].end <= done:
                extent += 1
            start = min(data[extent].start, piece.end) if extent < len(data) else piece.end
            if done < start:
                segments.append(Segment(log, done, start, Reason.HOLE, shipped=False))
                done = start
            else:
                end = min(data[extent].end, piece.end)
                segments.append(Segment(log, done, end, reason, shipped))
                done = end
    return tuple(segments)
