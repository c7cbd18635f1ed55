"""The journal on disk: what every drain was fed, what it ordered, and what came of it.

A disk that is full, read-only or gone keeps no drain from going on: the reason is answered, and what could not be
written is written with the next step, if there is room by then. A file that is removed or damaged during a drain is
begun anew, with all that this process knows of the drain; `spotwatch.host.journal_file` sees to the file itself.
"""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from spotwatch.host.journal_file import Access, JournalFile, NotWritten, Statement
from spotwatch.host.requests import Requests


@dataclass(frozen=True, slots=True)
class OpenDrain:
    """A drain without an end, as it was written: JSON texts."""

    id: str
    boot: str
    opening: str
    steps: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class PastDrain:
    """A drain of the history."""

    id: str
    report: str | None
    note: str
    closed: bool


@dataclass(frozen=True, slots=True)
class _Record:
    """One line of a drain that is to be in the file."""

    drain: str
    statement: Statement
    closes: bool = False


_AWAITED: Final = "(SELECT drain FROM request WHERE drain IS NOT NULL)"
"""The drains whose reports somebody waits for."""

_FORGETTABLE: Final = f"closed AND id NOT IN {_AWAITED}"


class Journal:
    """The journal of a state directory.

    Attributes:
        requests: those for a drain by hand, which are in the same file.
    """

    def __init__(self, directory: str, access: Access = Access.OWN) -> None:
        self._file = JournalFile(Path(directory, "journal.sqlite"), access)
        self.requests = Requests(self._file)
        self._unclosed: list[_Record] = []
        self._written = 0
        self._file.open()
        self._file.remark = ""  # who opens it reads `kept_aside`
        self._generation = self._file.generation

    @property
    def problem(self) -> str:
        """Why the file cannot be used, or an empty text."""
        return self._file.problem

    @property
    def is_missing(self) -> bool:
        """Whether the problem is that there is no file, which only its owner may begin."""
        return self._file.is_missing

    @property
    def kept_aside(self) -> str:
        """Where a file that could not be used was put, or an empty text."""
        return self._file.kept_aside

    def close(self) -> None:
        """Close the file; it is opened again when it is needed again."""
        self._file.close()

    # What a drain writes

    def open_drain(self, drain: str, boot: str, opening: str) -> str:
        """Write that a drain begins; why it could not be written, or an empty text."""
        sql = "INSERT INTO drain (id, boot, opening) VALUES (?, ?, ?)"
        return self._record(_Record(drain, (sql, (drain, boot, opening))))

    def add_step(self, drain: str, at: float, happening: str, orders: str) -> str:
        """Write one step of the machine; why it could not be written, or an empty text."""
        number = "(SELECT coalesce(max(number), 0) + 1 FROM step WHERE drain = ?1)"
        sql = f"INSERT INTO step VALUES (?1, {number}, ?2, ?3, ?4)"  # noqa: S608 (no input in it)
        return self._record(_Record(drain, (sql, (drain, at, happening, orders))))

    def keep_report(self, drain: str, report: str) -> str:
        """Write the report of a drain; why it could not be written, or an empty text."""
        return self._record(_Record(drain, ("UPDATE drain SET report = ? WHERE id = ?", (report, drain))))

    def close_drain(self, drain: str, note: str) -> str:
        """Write that a drain will not go on, and why; why it could not be written, or an empty text."""
        sql = "UPDATE drain SET closed = 1, note = ? WHERE id = ?"
        return self._record(_Record(drain, (sql, (note, drain)), closes=True))

    # What is read again

    def unfinished(self) -> list[OpenDrain]:
        """The drains without an end, the oldest first; none if the file cannot be read.

        One question for all, so that no drain is ever answered with a part of its steps.
        """
        rows = self._file.read(
            "SELECT id, boot, opening, at, happening FROM drain LEFT JOIN step ON step.drain = drain.id"
            " WHERE closed = 0 ORDER BY drain.rowid, number"
        )
        return [
            OpenDrain(drain, boot, opening, tuple((at, text) for *_, at, text in steps if text is not None))
            for (drain, boot, opening), steps in groupby(rows, key=lambda row: row[:3])
        ]

    def history(self) -> list[PastDrain]:
        """All drains that the journal knows, the oldest first."""
        rows = self._file.read("SELECT id, report, note, closed FROM drain ORDER BY rowid")
        return [PastDrain(drain, report, note or "", bool(closed)) for drain, report, note, closed in rows]

    def report(self, drain: str) -> str | None:
        """The report of a drain, None while there is none."""
        rows = self._file.read("SELECT report FROM drain WHERE id = ?", drain)
        return rows[0][0] if rows else None

    # Forgetting

    def prune(self, *, keep: int, not_before: str, at_most_bytes: int) -> str:
        """Forget closed drains, and old requests; why it could not be done, or an empty text.

        A drain whose report somebody waits for stays.

        Args:
            keep: no more than the newest so many stay.
            not_before: drains with a lower id go; an id begins with the time.
            at_most_bytes: the oldest go while the file is larger.
        """
        newest = "SELECT id FROM drain ORDER BY rowid DESC LIMIT ?"
        problem = self._file.write(
            f"DELETE FROM drain WHERE {_FORGETTABLE} AND (id < ? OR id NOT IN ({newest}))",  # noqa: S608 (no input in it)
            not_before,
            keep,
        ) or self.requests.prune(keep)
        while not problem and self._file.size() > at_most_bytes and (count := self._count_forgettable()):
            oldest = f"SELECT id FROM drain WHERE {_FORGETTABLE} ORDER BY rowid LIMIT ?"  # noqa: S608 (no input in it)
            problem = self._file.write(f"DELETE FROM drain WHERE id IN ({oldest})", (count + 1) // 2)  # noqa: S608 (no input in it)
        return problem

    def _count_forgettable(self) -> int:
        return len(self._file.read(f"SELECT id FROM drain WHERE {_FORGETTABLE}"))  # noqa: S608 (no input in it)

    # Writing

    def _record(self, record: _Record) -> str:
        """Write this, and what could not be written before; why it could not be done, or an empty text."""
        self._unclosed.append(record)
        self._look_at_the_file()
        records = self._unclosed[self._written :]
        try:
            done = self._file.write_all([record.statement for record in records])
        except NotWritten as reason:
            return str(reason)
        closed = {record.drain for record in self._unclosed if record.closes}
        self._unclosed = [record for record in self._unclosed if record.drain not in closed]
        self._written = len(self._unclosed)
        remark, self._file.remark = self._file.remark, ""
        unknown = [record.drain for record, is_done in zip(records, done, strict=True) if not is_done]
        return f"{self._file} does not know the drain {unknown[0]}" if unknown else remark

    def _look_at_the_file(self) -> None:
        """A new file has to hear of the whole drain, not only of what is new."""
        self._file.open()
        if self._file.generation != self._generation:
            self._generation, self._written = self._file.generation, 0
