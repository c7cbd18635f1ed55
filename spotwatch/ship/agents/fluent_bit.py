"""Fluent Bit: the SQLite database of `in_tail`, and the files in which it keeps what it has not delivered.

The database is in WAL mode, and after a power cut most of it is in the `-wal` file alone: both are copied and SQLite
recovers them there. (The `-shm` file is rebuilt from the `-wal`; a torn one would only be in the way.) The offset moves
when a line is read. `storage.type filesystem` and the S3 output's `store_dir` keep chunk files, whose form is
chunkio's: `c1 00`, a checksum, at 22 the length of the metadata, then the content.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from spotwatch.core.volume import AgentKind
from spotwatch.ship.agents.evidence import TailMarker
from spotwatch.ship.agents.state_files import (
    Findings,
    Unusable,
    below,
    directory_of,
    files_of,
    head,
    is_offset,
    name_of,
)
from spotwatch.ship.position import AgentState, Meaning, Position, up_to
from spotwatch.ship.tree import LogFile, Tree

LARGEST: Final = 1024 * 1024 * 1024
"""Bytes of a database or its WAL; SQLite checkpoints at 4 MB."""

MOST_STEPS: Final = 50_000_000
"""Of SQLite's virtual machine, about a second: a database may be made to answer for ever."""

MOST_ROWS: Final = 100_000
"""Of files that one agent can follow; what comes after counts as unread."""

SQLITE: Final = b"SQLite format 3\0"
CHUNK: Final = b"\xc1\x00"
_SIDES: Final = ("-wal", "-shm", "-journal")
_COPIED: Final = ("", "-wal", "-journal")
_COLUMNS: Final = ("name", "offset", "inode", "offset_marker", "offset_marker_size")


def read(tree: Tree, state: str) -> AgentState:
    """What Fluent Bit has left; `state` is its database, or the directory with it, `storage.path` and `store_dir`."""
    findings = Findings()
    files = files_of(tree, state, findings)
    single = [file.path for file in files] == [state.strip("/")]
    databases = [file.path for file in files if single or _is_database(tree, file)]
    for path in databases:
        if _database(tree, path, findings):
            findings.own_files += [path, *(path + side for side in _SIDES if tree.find(path + side))]
    _buffers(tree, _around(tree, state, findings) if single else files, not single, findings)
    return findings.state()


def _around(tree: Tree, state: str, findings: Findings) -> list[LogFile]:
    return below(tree, directory_of(state.strip("/")), findings)


def _is_database(tree: Tree, file: LogFile) -> bool:
    """By its content, or by its name: one that was never synced is empty, and all of it is in the WAL."""
    return head(tree, file.path, len(SQLITE)) == SQLITE or tree.find(f"{file.path}-wal") is not None


def _buffers(tree: Tree, files: list[LogFile], all_of_them: bool, findings: Findings) -> None:
    """In a directory of its own everything else is a buffer; beside a database only what looks like one."""
    own = set(findings.own_files)
    for file in files:
        if file.path not in own and (all_of_them or _is_chunk(tree, file)):
            findings.buffers.append(file.path)


def _is_chunk(tree: Tree, file: LogFile) -> bool:
    return name_of(file.path).endswith(".flb") or head(tree, file.path, len(CHUNK)) == CHUNK


def _database(tree: Tree, path: str, findings: Findings) -> bool:
    """Read a database; whether it is Fluent Bit's, or may have been."""
    try:
        with TemporaryDirectory(prefix="spotwatch-") as scratch:
            copy = Path(scratch) / "state.db"
            for side in _COPIED:
                _copy(tree, path + side, Path(f"{copy}{side}"))
            return _tables(copy, path, findings)
    except Unusable as error:
        findings.anomalies.append(str(error))
    except sqlite3.Error as error:
        findings.anomalies.append(f"{path} cannot be read as a database: {error}")
    return True


def _copy(tree: Tree, path: str, to: Path) -> None:
    if not (file := tree.find(path)):
        return
    if file.size > LARGEST:
        raise Unusable(f"{path} is larger than {LARGEST} bytes, which no such database is")
    try:
        with tree.open(path) as source, to.open("wb") as copy:
            while data := source.read(1 << 20):
                copy.write(data)
    except OSError as error:
        raise Unusable(f"{path} cannot be copied: {error.strerror or error}") from error


def _tables(copy: Path, path: str, findings: Findings) -> bool:
    with closing(sqlite3.connect(copy)) as database:
        database.set_progress_handler(lambda: 1, MOST_STEPS)
        database.text_factory = lambda text: text.decode(errors="surrogateescape")
        database.execute("PRAGMA trusted_schema = OFF")
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if "in_tail_files" in tables:
            for row in list(_rows(database)):  # all of them, or none: each may refute another
                _position(path, row, findings)
        if "in_systemd_cursor" in tables:
            cursors = [cursor for (cursor,) in database.execute("SELECT cursor FROM in_systemd_cursor")]
            findings.cursor = cursors[0] if len(cursors) == 1 and isinstance(cursors[0], str) else None
    return not tables or not tables.isdisjoint({"in_tail_files", "in_systemd_cursor"})


def _rows(database: sqlite3.Connection) -> Iterator[tuple[object, ...]]:
    """The columns of `_COLUMNS`; older databases have no markers, which is the same as empty ones."""
    known = {column[1] for column in database.execute("PRAGMA table_info(in_tail_files)")}
    wanted = ", ".join(column if column in known else "0" for column in _COLUMNS)
    yield from database.execute(f"SELECT {wanted} FROM in_tail_files LIMIT {MOST_ROWS}")  # noqa: S608 (names of our own)


def _position(path: str, row: tuple[object, ...], findings: Findings) -> None:
    name, offset, inode, marker, length = row
    if not isinstance(name, str) or not is_offset(offset) or not is_offset(inode):
        findings.anomalies.append(f"{path}: a row of in_tail_files is no position")
        return
    evidence: tuple[TailMarker, ...] = ()
    if isinstance(marker, int) and is_offset(length) and length:
        evidence = (TailMarker(offset, length, marker),)
    findings.positions.append(Position(AgentKind.FLUENT_BIT, up_to(offset), Meaning.READ, path, inode, name, evidence))
