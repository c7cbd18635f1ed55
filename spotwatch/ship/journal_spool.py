"""Exports of journals as files beside those of the volume, so that they are packed and shipped like any other.

What `journalctl` exports has no size until it is at its end, and it may fail there; so it is first written to a scratch
file, which has no name and so is gone with us, however we end. One that fails is left out, and the journal's own files
are shipped as they are.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import BinaryIO, Final

from spotwatch.ship.decision import Decision, FileDecision, JournalEntries, JournalExport, Reason, Segment
from spotwatch.ship.tree import LogFile, Tree, Unreadable

EXPORT_NAME: Final = "after-cursor.export"
"""What the export of a directory of journals is called, in that directory."""


class _TreeWithExports:
    """A tree with some more files, which lie elsewhere."""

    def __init__(self, tree: Tree, exports: Mapping[str, int]) -> None:
        self._tree = tree
        self._exports = exports

    def files(self) -> Iterator[LogFile | Unreadable]:
        return self._tree.files()

    def open(self, path: str) -> BinaryIO:
        if path in self._exports:
            return open(f"/proc/self/fd/{self._exports[path]}", "rb")  # with a place of its own in it
        return self._tree.open(path)

    def read(self, path: str, start: int, end: int) -> memoryview:
        if path in self._exports:
            return memoryview(os.pread(self._exports[path], end - start, start))
        return self._tree.read(path, start, end)

    def find(self, path: str) -> LogFile | None:
        return self._tree.find(path)

    def list(self, path: str) -> "list[str]":
        return self._tree.list(path)


@contextmanager
def spooled(
    tree: Tree, decision: Decision, journal_export: JournalExport, scratch: str
) -> Iterator[tuple[Tree, Decision]]:
    """The decision with a file in the place of each journal that is to be exported, and the tree to read it from.

    Args:
        tree: the volume.
        decision: about it.
        journal_export: who exports.
        scratch: a directory for the exports, which are gone when the context is left.
    """
    exports: dict[str, int] = {}
    files = list(decision.files)
    anomalies = list(decision.anomalies)
    with ExitStack() as stack:
        for journal in decision.journals:
            try:
                spool = stack.enter_context(tempfile.TemporaryFile(dir=scratch))
                with journal_export.entries(journal.directory, journal.cursor) as entries:
                    shutil.copyfileobj(entries, spool)
                spool.flush()
            except OSError as error:
                anomalies.append(
                    f"{journal.directory or '/'}: the journal cannot be exported: {error.strerror or error}"
                )
                files = [_as_it_is(file) if file.file in journal.files else file for file in files]
                continue
            exported = _exported(tree, journal, os.fstat(spool.fileno()).st_size)
            exports[exported.path] = spool.fileno()
            segment = Segment(exported, 0, exported.size, Reason.JOURNAL)
            files.append(FileDecision(exported, (segment,)))
        files.sort(key=lambda file: file.file.path)
        yield _TreeWithExports(tree, exports), replace(decision, files=tuple(files), anomalies=tuple(anomalies))


def _exported(tree: Tree, journal: JournalEntries, size: int) -> LogFile:
    """Its times are those of the journal, so that it is the same file in the next run; its name is no other file's."""
    path = f"{journal.directory}/{EXPORT_NAME}".lstrip("/")
    while tree.find(path) is not None:
        path = path.removesuffix(".export") + "-.export"
    return LogFile(path, 0, size, size, max((file.modified_ns for file in journal.files), default=0))


def _as_it_is(file: FileDecision) -> FileDecision:
    return replace(file, segments=tuple(replace(segment, shipped=True) for segment in file.segments))
