"""Exports of journals are shipped as files; an export that fails leaves the journal to be shipped as it is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from spotwatch.ship.decision import Decision, FileDecision, JournalEntries, Reason, Segment, Source, decide
from spotwatch.ship.journal_spool import spooled
from spotwatch.ship.tree import LogFile
from tests.ship.store import written

CURSOR = "s=1;i=2;b=3;m=4;t=5;x=6"


class Export:
    """A `journalctl` that exports this, or fails after it."""

    def __init__(self, content: bytes, failure: OSError | None = None) -> None:
        self._content = content
        self._failure = failure

    def available(self) -> bool:
        return True

    @contextmanager
    def entries(self, directory: str, cursor: str) -> Iterator[BinaryIO]:
        assert (directory, cursor) == ("journal", CURSOR)
        yield BytesIO(self._content)
        if self._failure:
            raise self._failure


def decision_about(tree_root: Path, *names: str) -> Decision:
    tree = written(tree_root, **{f"journal__{name}": b"binary" for name in names})
    whole = decide(tree, Source("/"))
    journals = tuple(file.file for file in whole.files)
    return Decision(tuple(map(_left_out, journals)), (JournalEntries("journal", CURSOR, journals),))


def _left_out(file: LogFile) -> FileDecision:
    return FileDecision(file, (Segment(file, 0, file.size, Reason.JOURNAL, shipped=False),))


def test_the_export_is_a_file_beside_the_journal(tmp_path: Path) -> None:
    decision = decision_about(tmp_path / "v", "a.journal")
    tree = written(tmp_path / "v")
    with spooled(tree, decision, Export(b"__CURSOR=x\n"), str(tmp_path)) as (both, whole):
        (segment,) = whole.segments
        assert segment.file.path == "journal/after-cursor.export"
        with both.open(segment.file.path) as one, both.open(segment.file.path) as other:
            assert (one.read(), other.read()) == (b"__CURSOR=x\n", b"__CURSOR=x\n")
    assert os.listdir(tmp_path) == ["v"]


def test_its_identity_is_the_same_in_the_next_run(tmp_path: Path) -> None:
    decision = decision_about(tmp_path / "v", "a.journal", "b.journal")
    tree = written(tmp_path / "v")
    found = []
    for _ in range(2):
        with spooled(tree, decision, Export(b"x"), str(tmp_path)) as (_, whole):
            found.append(whole.segments)
    assert found[0] == found[1]


def test_an_export_that_fails_at_its_end_leaves_the_journal_s_own_files(tmp_path: Path) -> None:
    decision = decision_about(tmp_path / "v", "a.journal")
    tree = written(tmp_path / "v")
    with spooled(tree, decision, Export(b"half", OSError("it is torn")), str(tmp_path)) as (_, whole):
        assert [segment.file.path for segment in whole.segments] == ["journal/a.journal"]
        assert whole.anomalies == ("journal: the journal cannot be exported: it is torn",)


def test_a_file_of_that_name_on_the_volume_keeps_it(tmp_path: Path) -> None:
    decision = decision_about(tmp_path / "v", "a.journal")
    tree = written(tmp_path / "v", **{"journal__after-cursor.export": b"theirs"})
    with spooled(tree, decision, Export(b"ours"), str(tmp_path)) as (both, whole):
        assert [segment.file.path for segment in whole.segments] == ["journal/after-cursor-.export"]
        with both.open("journal/after-cursor.export") as file:
            assert file.read() == b"theirs"
