"""The journal on disk: SQLite in the state directory.

What this survives:

- SIGKILL and power loss at any moment: one transaction a step, write-ahead log, ``synchronous=FULL``; what was
  committed is there, what was not is not.
- A disk that is full, read-only or gone: the reason is answered, and the drain goes on without a journal. What could
  not be written is written with the next step, if there is room by then.
- A file that is no database, or a damaged one, or one of a newer version: it is kept aside under another name, and a
  new one is begun.
- A file that is removed or damaged during a drain: a new one is begun, with all that this process knows of the drain.
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from spotwatch.core.errors import StateUnavailable

VERSION: Final = 1
"""``user_version`` of the file; a change of the tables raises it."""

BUSY_SECONDS: Final = 1.0
"""How long a writer waits for another, such as ``spotwatch history`` beside the daemon."""

_SCHEMA: Final = """
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


_TABLES: Final = frozenset({"drain", "step", "request"})


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


class Access(Enum):
    """What a process does with the journal."""

    OWN = auto()
    """Everything: the daemon, or ``spotwatch drain`` in its place. Only who holds the lock may begin a new file."""
    ASK = auto()
    """Write into the file that is there, beside its owner."""
    READ = auto()
    """Look into the file that is there."""


@dataclass(frozen=True, slots=True)
class _Record:
    """One line of a drain that is to be in the file."""

    drain: str
    sql: str
    values: tuple[object, ...]
    closes: bool = False


class _Unusable(Exception):
    """A file that is no journal of ours."""


class _NotWritten(Exception):
    """Nothing was written, and why."""


class Journal:
    """One connection to the journal of a state directory.

    Attributes:
        problem: why the file cannot be used, or an empty text.
        is_missing: whether the problem is that there is no file, which only its owner may begin.
        kept_aside: where a file that could not be used was put, or an empty text.
    """

    def __init__(self, directory: str, access: Access = Access.OWN) -> None:
        self._path = Path(directory, "journal.sqlite")
        self._access = access
        self.problem = ""
        self.is_missing = False
        self.kept_aside = ""
        self._remark = ""
        self._connection: sqlite3.Connection | None = None
        self._file: _FileId | None = None
        self._unclosed: list[_Record] = []
        self._written = 0
        self._ready()
        self._remark = ""  # who opens it reads `kept_aside`

    def close(self) -> None:
        """Close the file; it is opened again when it is needed again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # What a drain writes

    def open_drain(self, drain: str, boot: str, opening: str) -> str:
        """Write that a drain begins; why it could not be written, or an empty text."""
        sql = "INSERT INTO drain (id, boot, opening) VALUES (?, ?, ?)"
        return self._record(_Record(drain, sql, (drain, boot, opening)))

    def add_step(self, drain: str, at: float, happening: str, orders: str) -> str:
        """Write one step of the machine; why it could not be written, or an empty text."""
        number = "(SELECT coalesce(max(number), 0) + 1 FROM step WHERE drain = ?1)"
        sql = f"INSERT INTO step VALUES (?1, {number}, ?2, ?3, ?4)"  # noqa: S608 (no input in it)
        return self._record(_Record(drain, sql, (drain, at, happening, orders)))

    def keep_report(self, drain: str, report: str) -> str:
        """Write the report of a drain; why it could not be written, or an empty text."""
        return self._record(_Record(drain, "UPDATE drain SET report = ? WHERE id = ?", (report, drain)))

    def close_drain(self, drain: str, note: str) -> str:
        """Write that a drain will not go on, and why; why it could not be written, or an empty text."""
        sql = "UPDATE drain SET closed = 1, note = ? WHERE id = ?"
        return self._record(_Record(drain, sql, (note, drain), closes=True))

    # What is read again

    def unfinished(self) -> list[OpenDrain]:
        """The drains without an end, the oldest first; none if the file cannot be read.

        One question for all, so that no drain is ever answered with a part of its steps.
        """
        rows = self._read(
            "SELECT id, boot, opening, at, happening FROM drain LEFT JOIN step ON step.drain = drain.id"
            " WHERE closed = 0 ORDER BY drain.rowid, number"
        )
        return [
            OpenDrain(drain, boot, opening, tuple((at, text) for *_, at, text in steps if text is not None))
            for (drain, boot, opening), steps in groupby(rows, key=lambda row: row[:3])
        ]

    def history(self) -> list[PastDrain]:
        """All drains that the journal knows, the oldest first."""
        rows = self._read("SELECT id, report, note, closed FROM drain ORDER BY rowid")
        return [PastDrain(drain, report, note or "", bool(closed)) for drain, report, note, closed in rows]

    def report(self, drain: str) -> str | None:
        """The report of a drain, None while there is none."""
        rows = self._read("SELECT report FROM drain WHERE id = ?", drain)
        return rows[0][0] if rows else None

    # Requests

    def add_request(self, event: str, seconds: float) -> int:
        """Ask the daemon for a drain; the number of the request.

        Raises:
            StateUnavailable: it could not be written.
        """
        number = "(SELECT coalesce(max(number), 0) + 1 FROM request)"
        problem = self._write(f"INSERT INTO request VALUES ({number}, ?, ?, NULL)", event, seconds)  # noqa: S608 (no input in it)
        rows = self._read("SELECT last_insert_rowid()")
        if problem or not rows:
            raise StateUnavailable(problem or self.problem, hint="run as the daemon's user, or as root")
        return int(rows[0][0])

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

    # Forgetting

    def prune(self, *, keep: int, not_before: str, at_most_bytes: int) -> str:
        """Forget closed drains, and old requests; why it could not be done, or an empty text.

        Args:
            keep: no more than the newest so many stay.
            not_before: drains with a lower id go; an id begins with the time.
            at_most_bytes: the oldest go while the file is larger.
        """
        newest = "SELECT id FROM drain ORDER BY rowid DESC LIMIT ?"
        problem = self._write(
            f"DELETE FROM drain WHERE closed AND (id < ? OR id NOT IN ({newest}))",  # noqa: S608 (no input in it)
            not_before,
            keep,
        ) or self._write("DELETE FROM request WHERE number <= (SELECT max(number) FROM request) - ?", keep)
        while not problem and self._size() > at_most_bytes and (count := self._count_closed()):
            oldest = "SELECT id FROM drain WHERE closed ORDER BY rowid LIMIT ?"
            problem = self._write(f"DELETE FROM drain WHERE id IN ({oldest})", (count + 1) // 2)  # noqa: S608 (no input in it)
        return problem

    def _count_closed(self) -> int:
        return len(self._read("SELECT id FROM drain WHERE closed"))

    def _size(self) -> int:
        """Bytes in use, without free pages; 0 if the file cannot be read."""
        pages, free, size = (
            next(iter(self._read(f"PRAGMA {name}")), (0,))[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    # The file

    def _read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        connection = self._ready()
        if connection is None:
            return []
        try:
            return connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            self._take_failure(connection, error)
            self.problem = f"{self._path} cannot be read: {error}"
            return []

    def _write(self, sql: str, *values: object) -> str:
        """Write what is of use only now; why it could not be written, or an empty text."""
        try:
            self._transact([_Record("", sql, values)])
        except _NotWritten as reason:
            return str(reason)
        return ""

    def _record(self, record: _Record) -> str:
        """Write this, and what could not be written before; why it could not be done, or an empty text."""
        self._unclosed.append(record)
        self._ready()  # a new file has to hear of the whole drain, not only of what is new
        try:
            unknown = self._transact(self._unclosed[self._written :])
        except _NotWritten as reason:
            return str(reason)
        closed = {record.drain for record in self._unclosed if record.closes}
        self._unclosed = [record for record in self._unclosed if record.drain not in closed]
        self._written = len(self._unclosed)
        remark, self._remark = self._remark, ""
        return f"{self._path} does not know the drain {unknown[0]}" if unknown else remark

    def _transact(self, records: Sequence[_Record]) -> list[str]:
        """Write all of this or nothing; the drains that the file should know and does not."""
        connection = self._ready()
        if connection is None:
            raise _NotWritten(self.problem)
        try:
            with connection:
                unknown = [record.drain for record in records if not _execute(connection, record) and record.drain]
        except sqlite3.Error as error:
            self._take_failure(connection, error)
            raise _NotWritten(f"{self._path} cannot be written: {error}") from None
        _wait_for_others(connection, BUSY_SECONDS)
        return unknown

    def _take_failure(self, connection: sqlite3.Connection, error: sqlite3.Error) -> None:
        """Give a damaged file up; wait only once for somebody who holds the file for long."""
        if _is_damage(error):
            self._give_up()
        elif _is_a(error, sqlite3.SQLITE_BUSY):
            _wait_for_others(connection, 0.0)

    def _ready(self) -> sqlite3.Connection | None:
        """The connection to the file that has this name now; None, and a problem, if it cannot be used."""
        if self._connection is not None and _file_id(self._path) != self._file:
            self._remark = f"{self._path} was removed; a new one is begun"
            self._give_up()
        if self._connection is None:
            try:
                self._connection, self.problem, self.is_missing = self._open(), "", False
                self._file = _file_id(self._path)
            except (sqlite3.Error, OSError) as error:
                self.is_missing = isinstance(error, FileNotFoundError)
                self.problem = f"{self._path} cannot be used: {error}"
            except _Unusable as unusable:
                self.problem = f"{self._path} {unusable}"
        return self._connection

    def _give_up(self) -> None:
        """This file is none any more; whatever the next one is, nothing is in it."""
        self.close()
        self._written = 0

    def _open(self) -> sqlite3.Connection:
        """The file, ready for use; its owner keeps one that is no journal of ours aside and begins a new one."""
        if self._access is not Access.OWN:
            self._path.stat()
            return _connect(self._path, self._access, lambda _: None)
        _create(self._path)
        try:
            return _connect(self._path, self._access, self._keep_aside)
        except _Unusable:
            _create(self._path)
            return _connect(self._path, self._access, lambda _: None)

    def _keep_aside(self, unusable: _Unusable) -> None:
        """Give the file, and what SQLite has put beside it, another name."""
        aside = f"{self._path}.{datetime.now(UTC):%Y%m%dT%H%M%S.%f}.unusable"
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.rename(f"{self._path}{suffix}", f"{aside}{suffix}")
        self.kept_aside = self._remark = f"{self._path} {unusable}; it is kept as {aside}"


_FileId = tuple[int, int]


def _file_id(path: Path) -> _FileId | None:
    """What tells this file from every other, whatever their names; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _execute(connection: sqlite3.Connection, record: _Record) -> bool:
    """Write one record; whether the file knows the drain that it is about."""
    try:
        return connection.execute(record.sql, record.values).rowcount > 0
    except sqlite3.IntegrityError:
        return False


def _create(path: Path) -> None:
    """Begin an empty file, unless there is one; openings hold the hooks' environments, which are nobody's business."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _connect(path: Path, access: Access, take_away: Callable[[_Unusable], None]) -> sqlite3.Connection:
    """The file, ready for use.

    One that is no journal of ours is taken away before it is closed: SQLite empties and removes the write-ahead log
    of a file that it closes, but not of one that has moved.
    """
    mode = "ro" if access is Access.READ else "rw"
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", timeout=BUSY_SECONDS, uri=True)
    # A byte that is no text is damage in one value; who decodes the value says so.
    connection.text_factory = lambda text: text.decode(errors="replace")
    try:
        _prepare(connection, access)
    except (sqlite3.Error, _Unusable) as error:
        with closing(connection):
            if unusable := _as_unusable(error):
                take_away(unusable)
                raise unusable from None
        raise
    return connection


def _as_unusable(error: sqlite3.Error | _Unusable) -> _Unusable | None:
    if isinstance(error, _Unusable):
        return error
    return _Unusable(f"is damaged ({error})") if _is_damage(error) else None


def _wait_for_others(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")


def _is_damage(error: sqlite3.Error) -> bool:
    return _is_a(error, sqlite3.SQLITE_CORRUPT) or _is_a(error, sqlite3.SQLITE_NOTADB)


def _is_a(error: sqlite3.Error, code: int) -> bool:
    """Whether an error is of a kind; errors that Python itself raises have no code."""
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY == code


_PRIMARY: Final = 0xFF
"""The bits of an extended error code that say which kind it is of (sqlite.org/rescode.html)."""


def _prepare(connection: sqlite3.Connection, access: Access) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if version > VERSION:
        raise _Unusable(f"was written by a newer spotwatch (its version is {version})")
    if tables != (_TABLES if version else set()):
        raise _Unusable(f"is no journal of spotwatch (it holds the tables {', '.join(sorted(tables)) or 'none'})")
    if access is not Access.READ:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    if access is Access.OWN and version == 0:
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    (sound,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if sound != "ok":
        raise _Unusable(f"is damaged ({sound.splitlines()[-1]})")
