"""The journal on disk: SQLite in the state directory.

What this survives:

- SIGKILL and power loss at any moment: one transaction a step, write-ahead log, ``synchronous=FULL``; what was
  committed is there, what was not is not.
- A disk that is full, read-only or gone: the reason is answered, and the drain goes on without a journal.
- A file that is no database, or a damaged one, or one of a newer version: it is kept aside under another name, and a
  new one is begun.
"""

import os
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from spotwatch.core.errors import StateUnavailable

VERSION: Final = 1
"""``user_version`` of the file; a change of the tables raises it."""

BUSY_SECONDS: Final = 1.0
"""How long a writer waits for another, such as ``spotwatch history`` beside the daemon."""

_TABLES: Final = """
CREATE TABLE drain (
    id TEXT PRIMARY KEY,
    boot TEXT NOT NULL,
    opening TEXT NOT NULL,
    report TEXT,
    note TEXT,
    closed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE step (
    drain TEXT NOT NULL REFERENCES drain (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    at REAL NOT NULL,
    happening TEXT NOT NULL,
    orders TEXT NOT NULL,
    PRIMARY KEY (drain, number)
) STRICT;
CREATE TABLE request (
    number INTEGER PRIMARY KEY,
    event TEXT NOT NULL,
    seconds REAL NOT NULL,
    drain TEXT
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class OpenDrain:
    """A drain without an end, as it was written: JSON texts."""

    id: str
    boot: str
    opening: str
    steps: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class DrainRequest:
    """Somebody has asked the daemon for a drain."""

    number: int
    event: str
    seconds: float


@dataclass(frozen=True, slots=True)
class PastDrain:
    """A drain of the history."""

    id: str
    report: str | None
    note: str
    closed: bool


class Journal:
    """One connection to the journal of a state directory.

    Attributes:
        problem: why nothing is journalled, or an empty text.
        kept_aside: where a file that could not be used was put, or an empty text.
    """

    def __init__(self, directory: str) -> None:
        self._path = Path(directory, "journal.sqlite")
        self.problem = ""
        self.kept_aside = ""
        self._connection: sqlite3.Connection | None = None
        try:
            self._connection = self._open()
        except (sqlite3.Error, OSError) as error:
            self.problem = f"{self._path} cannot be used: {error}"

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def open_drain(self, drain: str, boot: str, opening: str) -> str:
        """Write that a drain begins; why it could not be written, or an empty text."""
        return self._write("INSERT INTO drain (id, boot, opening) VALUES (?, ?, ?)", drain, boot, opening)

    def add_step(self, drain: str, at: float, happening: str, orders: str) -> str:
        """Write one step of the machine; why it could not be written, or an empty text."""
        number = "(SELECT coalesce(max(number), 0) + 1 FROM step WHERE drain = ?1)"
        return self._write(f"INSERT INTO step VALUES (?1, {number}, ?2, ?3, ?4)", drain, at, happening, orders)  # noqa: S608 (no input in it)

    def keep_report(self, drain: str, report: str) -> str:
        """Write the report of a drain; why it could not be written, or an empty text."""
        return self._write("UPDATE drain SET report = ? WHERE id = ?", report, drain)

    def close_drain(self, drain: str, note: str) -> str:
        """Write that a drain will not go on, and why; why it could not be written, or an empty text."""
        return self._write("UPDATE drain SET closed = 1, note = ? WHERE id = ?", note, drain)

    def unfinished(self) -> list[OpenDrain]:
        """The drains without an end, the oldest first; none if the file cannot be read."""
        rows = self._read("SELECT id, boot, opening FROM drain WHERE closed = 0 ORDER BY id")
        return [self._open_drain(*row) for row in rows]

    def history(self) -> list[PastDrain]:
        """All drains that the journal knows, the oldest first."""
        rows = self._read("SELECT id, report, note, closed FROM drain ORDER BY id")
        return [PastDrain(drain, report, note or "", bool(closed)) for drain, report, note, closed in rows]

    def add_request(self, event: str, seconds: float) -> int:
        """Ask the daemon for a drain; the number of the request.

        Raises:
            StateUnavailable: it could not be written.
        """
        problem = self._write("INSERT INTO request (event, seconds) VALUES (?, ?)", event, seconds)
        if problem:
            raise StateUnavailable(problem, hint="run as the daemon's user, or as root")
        return int(self._read("SELECT max(number) FROM request")[0][0])

    def requests(self) -> list[DrainRequest]:
        """The requests that nobody has taken, the oldest first."""
        rows = self._read("SELECT number, event, seconds FROM request WHERE drain IS NULL ORDER BY number")
        return [DrainRequest(*row) for row in rows]

    def take_request(self, number: int, drain: str) -> str:
        """Write which drain a request became, an empty id if it was refused; why it could not be written."""
        return self._write("UPDATE request SET drain = ? WHERE number = ?", drain, number)

    def answer(self, number: int) -> str | None:
        """The drain that a request became, an empty text if it was refused, None while nobody has taken it."""
        rows = self._read("SELECT drain FROM request WHERE number = ?", number)
        return rows[0][0] if rows else None

    def report(self, drain: str) -> str | None:
        """The report of a drain, None while there is none."""
        rows = self._read("SELECT report FROM drain WHERE id = ?", drain)
        return rows[0][0] if rows else None

    def prune(self, *, keep: int, not_before: str, at_most_bytes: int) -> str:
        """Forget closed drains; why it could not be done, or an empty text.

        Args:
            keep: no more than the newest so many stay.
            not_before: drains with a lower id go; an id begins with the time.
            at_most_bytes: the oldest go while the file is larger.
        """
        problem = self._write(
            "DELETE FROM drain WHERE closed AND (id < ? OR id NOT IN (SELECT id FROM drain ORDER BY id DESC LIMIT ?))",
            not_before,
            keep,
        )
        while not problem and self._size() > at_most_bytes:
            count = len(self._read("SELECT id FROM drain WHERE closed"))
            if not count:
                break
            oldest = "SELECT id FROM drain WHERE closed ORDER BY id LIMIT ?"
            problem = self._write(f"DELETE FROM drain WHERE id IN ({oldest})", (count + 1) // 2)  # noqa: S608 (no input in it)
        return problem

    def _open_drain(self, drain: str, boot: str, opening: str) -> OpenDrain:
        steps = self._read("SELECT at, happening FROM step WHERE drain = ? ORDER BY number", drain)
        return OpenDrain(drain, boot, opening, tuple((at, happening) for at, happening in steps))

    def _size(self) -> int:
        """Bytes in use, without free pages."""
        (pages,), (free,), (size,) = (
            self._read(f"PRAGMA {name}")[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        if self._connection is None:
            return []
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            self.problem = f"{self._path} cannot be read: {error}"
            return []

    def _write(self, sql: str, *values: object) -> str:
        if self._connection is None:
            return self.problem
        try:
            with self._connection:
                self._connection.execute(sql, values)
        except sqlite3.Error as error:
            return f"{self._path} cannot be written: {error}"
        return ""

    def _open(self) -> sqlite3.Connection:
        """The file, ready for use; one that is no journal of ours is kept aside first."""
        try:
            return self._connect()
        except _Unusable as unusable:
            aside = f"{self._path}.{datetime.now(UTC):%Y%m%dT%H%M%S}.unusable"
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.rename(f"{self._path}{suffix}", f"{aside}{suffix}")
            self.kept_aside = f"{self._path} {unusable}; it is kept as {aside}"
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        # Openings hold the hooks' environments, which are nobody else's business.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS)
        try:
            _prepare(connection)
        except _Unusable:
            connection.close()
            raise
        except sqlite3.DatabaseError as error:
            connection.close()
            if error.sqlite_errorname in _DAMAGE:
                raise _Unusable(f"is damaged ({error})") from None
            raise
        return connection


_DAMAGE: Final = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CORRUPT_VTAB", "SQLITE_CORRUPT_INDEX"})


class _Unusable(Exception):
    """A file that is no journal of ours."""


def _prepare(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise _Unusable(f"was written by a newer spotwatch (its version is {version})")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    if version == 0:
        connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
    (sound,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if sound != "ok":
        raise _Unusable(f"is damaged ({sound})")
