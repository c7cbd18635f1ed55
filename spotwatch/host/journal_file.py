"""One SQLite file in the state directory: opened, checked, kept aside when it is damaged, begun anew.

What this survives:

- SIGKILL and power loss at any moment: a write is one transaction, write-ahead log, ``synchronous=FULL``; what was
  committed is there, what was not is not.
- A disk that is full, read-only or gone: the reason is answered, and the next use tries again.
- A file that is no database, or a damaged one, or one of a newer version: it is kept aside under another name, and a
  new one is begun.
- A file that is removed or damaged while it is used: a new one is begun, and `generation` says so.
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

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


class Access(Enum):
    """What a process does with the journal."""

    OWN = auto()
    """Everything: the daemon, or ``spotwatch drain`` in its place. Only who holds the lock may begin a new file."""
    ASK = auto()
    """Write into the file that is there, beside its owner."""
    READ = auto()
    """Look into the file that is there."""


class _Unusable(Exception):
    """A file that is no journal of ours."""


class NotWritten(Exception):
    """Nothing was written, and why."""


Statement = tuple[str, Sequence[object]]
"""SQL and its values."""


class JournalFile:
    """One connection to the file; it is opened again whenever it is needed and was closed.

    Attributes:
        problem: why the file cannot be used, or an empty text.
        is_missing: whether the problem is that there is no file, which only its owner may begin.
        kept_aside: where a file that could not be used was put, or an empty text.
        generation: raised when what was written before may not be in the file any more.
        remark: what has befallen the file and was not told yet, or an empty text.
    """

    def __init__(self, path: Path, access: Access) -> None:
        self._path = path
        self._access = access
        self.problem = ""
        self.is_missing = False
        self.kept_aside = ""
        self.generation = 0
        self.remark = ""
        self._connection: sqlite3.Connection | None = None
        self._file: _FileId | None = None

    def __str__(self) -> str:
        return str(self._path)

    def close(self) -> None:
        """Close the file; it is opened again when it is needed again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def open(self) -> sqlite3.Connection | None:
        """The connection to the file that has this name now; None, and a problem, if it cannot be used."""
        if self._connection is not None and _file_id(self._path) != self._file:
            self.remark = f"{self._path} was removed; a new one is begun"
            self._give_up()
        if self._connection is None:
            try:
                self._connection, self.problem, self.is_missing = self._connect(), "", False
                self._file = _file_id(self._path)
            except (sqlite3.Error, OSError) as error:
                self.is_missing = isinstance(error, FileNotFoundError)
                self.problem = f"{self._path} cannot be used: {error}"
            except _Unusable as unusable:
                self.problem = f"{self._path} {unusable}"
        return self._connection

    def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of an answer; none, and a problem, if the file cannot be read."""
        connection = self.open()
        if connection is None:
            return []
        try:
            return connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            self._take_failure(connection, error)
            self.problem = f"{self._path} cannot be read: {error}"
            return []

    def write(self, sql: str, *values: object) -> str:
        """Write one thing; why it could not be written, or an empty text."""
        try:
            self.write_all([(sql, values)])
        except NotWritten as reason:
            return str(reason)
        return ""

    def write_all(self, statements: Sequence[Statement]) -> list[bool]:
        """Write all of this or nothing, durably; for each, whether there was a row that it is about.

        Raises:
            NotWritten: and why.
        """
        connection = self.open()
        if connection is None:
            raise NotWritten(self.problem)
        try:
            with connection:
                done = [_execute(connection, statement) for statement in statements]
        except sqlite3.Error as error:
            self._take_failure(connection, error)
            raise NotWritten(f"{self._path} cannot be written: {error}") from None
        _wait_for_others(connection, BUSY_SECONDS)
        return done

    def size(self) -> int:
        """Bytes in use, without free pages; 0 if the file cannot be read."""
        pages, free, size = (
            next(iter(self.read(f"PRAGMA {name}")), (0,))[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _take_failure(self, connection: sqlite3.Connection, error: sqlite3.Error) -> None:
        """Give a damaged file up; wait only once for somebody who holds the file for long."""
        if _is_damage(error):
            self._give_up()
        elif _is_a(error, sqlite3.SQLITE_BUSY):
            _wait_for_others(connection, 0.0)

    def _give_up(self) -> None:
        """This file is none any more; whatever the next one is, nothing is in it."""
        self.close()
        self.generation += 1

    def _connect(self) -> sqlite3.Connection:
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
        self.kept_aside = self.remark = f"{self._path} {unusable}; it is kept as {aside}"


_FileId = tuple[int, int]


def _file_id(path: Path) -> _FileId | None:
    """What tells this file from every other, whatever their names; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _execute(connection: sqlite3.Connection, statement: Statement) -> bool:
    """Write one thing; whether there was a row that it is about."""
    try:
        return connection.execute(*statement).rowcount > 0
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
