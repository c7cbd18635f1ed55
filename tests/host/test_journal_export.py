"""A real journal, exported by the real `journalctl` from open files."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotwatch.host.journal_export import JournalctlExport
from spotwatch.host.tree import DirectoryTree
from tests.ship.data import needs_data, shared, unpack

pytestmark = [
    needs_data,
    pytest.mark.skipif(shutil.which("journalctl") is None, reason="not installed: journalctl"),
]


CURSOR = "s=044c2c9f8d1a477f8208a24b94ec84c4;i=1f5;b=0123456789abcdef0123456789abcdef;m=53f048;t=65bfeda2d8508;x=0"


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    return unpack(shared("agents", "journald.tar.zst"), tmp_path) / "journald"


@pytest.fixture
def export(volume: Path) -> Iterator[JournalctlExport]:
    root = os.open(volume, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield JournalctlExport(DirectoryTree(root))
    finally:
        os.close(root)


def test_the_entries_after_the_cursor_are_exported(export: JournalctlExport, volume: Path) -> None:
    with export.entries("", (volume / "cursor.txt").read_text().strip()) as entries:
        assert entries.read().count(b"__CURSOR=") == 499


def test_a_cursor_that_is_none_is_an_error(export: JournalctlExport) -> None:
    with pytest.raises(OSError, match="cursor"), export.entries("", "rubbish") as entries:
        entries.read()


def test_a_link_out_of_the_volume_is_not_followed_and_this_host_s_own_journal_is_not_read(
    export: JournalctlExport, volume: Path
) -> None:
    (volume / "sample.journal").rename(volume.parent / "outside.journal")
    (volume / "link.journal").symlink_to(volume.parent / "outside.journal")
    with pytest.raises(OSError, match="there is no journal"), export.entries("", CURSOR):
        pass


def test_a_reader_that_stops_early_waits_for_nothing(export: JournalctlExport, volume: Path) -> None:
    with export.entries("", (volume / "cursor.txt").read_text().strip()) as entries:
        assert len(entries.read(1)) == 1
