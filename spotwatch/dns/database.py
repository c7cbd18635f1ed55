"""A database that a name server reads its records from: MySQL and MariaDB, PostgreSQL, SQLite.

What this survives:

- Silence and locks: connecting, reading and waiting for a lock each have a limit of a few seconds.
- Foreign exceptions: whatever a driver raises comes out as a `NameServiceError`, with what to do about it.
- A file that is not there: SQLite would make an empty one; here it is refused.

Drivers are imported when a database of theirs is opened.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote, unquote, urlsplit

from spotwatch.core.errors import (
    InputError,
    NameServerBusy,
    NameServerUnreachable,
    NameServiceDenied,
    NameServiceError,
    NameServiceRefused,
    UsageError,
)

LIMIT_SECONDS: Final = 5
"""To connect, for an answer, and for a lock: each transaction here takes milliseconds, and so do a name server's."""

PORTS: Final[Mapping[str, int]] = {"mysql": 3306, "postgresql": 5432}

_FORMS: Final = "write mysql://USER@HOST/DATABASE, postgresql://USER@HOST/DATABASE or sqlite:///PATH"

Row = Mapping[str, Any]
"""A row by the names of its columns, in lower case."""


@dataclass(frozen=True, slots=True)
class Database:
    """Which, and how it is reached.

    Attributes:
        kind: `mysql` (MariaDB too), `postgresql` or `sqlite`.
        name: of the database; for SQLite the path of the file.
        host: where it listens.
        port: likewise.
        user: whom to be there.
        password: empty: none is sent.
        ca: the file with the certificate authorities of a server that is spoken to by TLS; `system`: those of this
            machine; empty: TLS is not asked for.
    """

    kind: str
    name: str
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    ca: str = ""

    @classmethod
    def parse(cls, url: str, *, password_file: Path | None = None, ca: str = "") -> Self:
        """One out of a URL.

        Raises:
            UsageError: the URL is none of a database that is known here, or has a password in it.
            InputError: the file with the password cannot be read.
        """
        try:
            parts = urlsplit(url)
            kind, port = parts.scheme.lower(), parts.port
        except ValueError as error:
            raise UsageError(f'"{url}": {error}', hint=_FORMS) from None
        if kind == "sqlite":
            return cls(kind, unquote(parts.path))
        name = unquote(parts.path.removeprefix("/"))
        if kind not in PORTS or not name or not parts.hostname:
            raise UsageError(f'"{parts._replace(netloc=parts.hostname or "").geturl()}" names no database', hint=_FORMS)
        if parts.password is not None:
            raise UsageError(
                "the URL of the database has a password in it, which every user of this machine could see",
                hint="write the password into a file, and name it with --password-file",
            )
        password = "" if password_file is None else _first_line(password_file)
        return cls(kind, name, parts.hostname, port or PORTS[kind], unquote(parts.username or ""), password, ca)

    def __str__(self) -> str:
        return self.name if self.kind == "sqlite" else f"{self.kind}://{self.host}:{self.port}/{self.name}"

    def load_driver(self) -> None:
        """Import what speaks to it.

        Raises:
            ModuleNotFoundError: it is not installed.
        """
        _error(self.kind)

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """Statements that are carried out together or, if an exception ends the block, not at all.

        Tables of an engine without transactions (MyISAM, as MyDNS makes them) get each statement at once.

        Raises:
            NameServiceError: as its subclasses say.
        """
        try:
            connection = self._connect()
            try:
                yield Transaction(self, connection)
                connection.commit()
            finally:
                connection.close()  # what is not committed is rolled back
        except (_error(self.kind), OSError) as error:
            raise self._mapped(error) from error

    def _connect(self) -> Any:
        if self.kind == "mysql":
            return self._connect_mysql()
        return self._connect_postgresql() if self.kind == "postgresql" else self._connect_sqlite()

    def _connect_mysql(self) -> Any:
        import ssl

        import pymysql

        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=self.user or None,
            password=self.password,
            database=self.name,
            connect_timeout=LIMIT_SECONDS,
            read_timeout=2 * LIMIT_SECONDS,  # so that the server's own limit for locks comes first
            write_timeout=LIMIT_SECONDS,
            init_command=f"SET SESSION innodb_lock_wait_timeout = {LIMIT_SECONDS}",
            ssl=ssl.create_default_context(cafile=None if self.ca == "system" else self.ca) if self.ca else None,
        )

    def _connect_postgresql(self) -> Any:
        import psycopg

        tls = {"sslmode": "verify-full", "sslrootcert": self.ca} if self.ca else {}
        limit = LIMIT_SECONDS * 1000
        return psycopg.connect(
            host=self.host,
            port=self.port,
            user=self.user or None,
            password=self.password or None,
            dbname=self.name,
            connect_timeout=LIMIT_SECONDS,
            options=f"-c lock_timeout={limit} -c statement_timeout={limit}",
            tcp_user_timeout=limit,
            **tls,  # type: ignore[arg-type]  # parameters of libpq
        )

    def _connect_sqlite(self) -> Any:
        address = f"file://{quote(self.name)}?mode=rw"  # the empty authority, for a path may begin with two slashes
        connection = sqlite3.connect(address, uri=True, timeout=LIMIT_SECONDS, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        return connection

    def _mapped(self, error: Exception) -> NameServiceError:
        """What a driver's exception means for us."""
        code, words = _code_and_words(error)
        said = f"{self}: {words}"
        if isinstance(error, OSError) or code in _SILENT or code.startswith("08"):
            return NameServerUnreachable(said, hint="see whether the database can be reached from here")
        if code in _BUSY:
            return NameServerBusy(said, hint="see what holds a lock there")
        if code in _DENIED or code.startswith("28"):
            return NameServiceDenied(said, hint=_GRANT_HINT)
        hint = "see whether the file is there" if code == "SQLITE_CANTOPEN" else "see whether --schema fits the tables"
        return NameServiceRefused(said, hint=hint)


class Transaction:
    """Runs statements, with `%s` for a parameter in all databases."""

    def __init__(self, database: Database, connection: Any) -> None:
        self._sqlite = database.kind == "sqlite"
        self._connection = connection

    def rows(self, statement: str, *parameters: object, lock: bool = False) -> Sequence[Row]:
        """What a SELECT finds.

        Args:
            statement: it.
            parameters: for its `%s`.
            lock: keep others from changing these rows, and from locking them, until the end. In SQLite they are kept
                from it anyway.
        """
        cursor = self.run(statement + (" FOR UPDATE" if lock and not self._sqlite else ""), *parameters)
        names = [str(column[0]).lower() for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def run(self, statement: str, *parameters: object) -> Any:
        """Carry out any statement; its cursor."""
        cursor = self._connection.cursor()
        cursor.execute(statement.replace("%s", "?") if self._sqlite else statement, parameters)
        return cursor


_SILENT: Final = frozenset({"2002", "2003", "2006", "2013", "57P01", "57P03", "connection"})
"""MySQL's: cannot connect, server has gone away, lost connection; PostgreSQL's: shutting down, starting up."""

_BUSY: Final = frozenset(
    {"1040", "1062", "1205", "1213", "23505", "40001", "40P01", "53300", "55P03", "57014", "SQLITE_BUSY"}
)
"""Too many connections, lock timeout, deadlock, serialisation failure, statement timeout; and a row that somebody has
added between our look and our own adding, which the next look sees."""

_DENIED: Final = frozenset(
    {"1044", "1045", "1130", "1142", "1143", "1698", "42501", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH"}
)

_GRANT_HINT: Final = (
    "see user and password; the user needs SELECT, INSERT, UPDATE and DELETE on the tables of the records (MyDNS: rr, "
    "and SELECT and UPDATE on soa; PowerDNS: records and comments, and SELECT on domains); an SQLite file and its "
    "directory have to be writable"
)


def _error(kind: str) -> type[Exception]:
    """The base of a driver's exceptions."""
    if kind == "mysql":
        import pymysql

        return pymysql.MySQLError
    if kind == "postgresql":
        import psycopg

        return psycopg.Error
    return sqlite3.Error


def _code_and_words(error: Exception) -> tuple[str, str]:
    """The error's number or SQLSTATE, and what it says, on one line."""
    if isinstance(error, sqlite3.Error):
        return str(getattr(error, "sqlite_errorname", "")), str(error)
    if error.args and isinstance(error.args[0], int):  # PyMySQL: (number, words)
        return str(error.args[0]), " ".join(str(each) for each in error.args[1:])
    state = getattr(error, "sqlstate", None)
    words = " ".join(str(error).split())
    if state is None and type(error).__name__ == "OperationalError":  # psycopg: libpq's words before there is a session
        denied = any(word in words for word in ("password", "authentication", "does not exist", "pg_hba"))
        return ("28000" if denied else "connection"), words
    return str(state or ""), words


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", hint="write the password into it, on one line") from error
