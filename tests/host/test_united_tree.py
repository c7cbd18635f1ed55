"""Two ways to read a damaged volume, as one tree."""

import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from spotwatch.core.log_file import LogFile, Unreadable
from spotwatch.host.tree import DirectoryTree
from spotwatch.host.united_tree import UnitedTree


class Damaged:
    """A tree in which some paths cannot be read."""

    def __init__(self, tree: DirectoryTree, *unreadable: str) -> None:
        self._tree = tree
        self._unreadable = unreadable

    def files(self) -> Iterator[LogFile | Unreadable]:
        for found in self._tree.files():
            yield Unreadable(found.path, "Bad message") if found.path in self._unreadable else found

    def open(self, path: str) -> BinaryIO:
        if path in self._unreadable:
            raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
        return self._tree.open(path)

    def read(self, path: str, start: int, end: int) -> memoryview:
        if path in self._unreadable:
            raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
        return self._tree.read(path, start, end)

    def find(self, path: str) -> LogFile | None:
        return None if path in self._unreadable else self._tree.find(path)

    def list(self, path: str) -> list[str]:
        return [found for found in self._tree.list(path) if found not in self._unreadable]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Path, Path, DirectoryTree, DirectoryTree]]:
    one, other = tmp_path / "one", tmp_path / "other"
    descriptors = []
    for path in (one, other):
        path.mkdir()
        descriptors.append(os.open(path, os.O_RDONLY))
    yield one, other, *map(DirectoryTree, descriptors)  # type: ignore[misc]  # two of them
    for descriptor in descriptors:
        os.close(descriptor)


def content(tree: UnitedTree, path: str) -> bytes:
    with tree.open(path) as file:
        return file.read()


Two = tuple[Path, Path, DirectoryTree, DirectoryTree]


def test_an_undamaged_volume_is_read_without_a_repair(two: Two) -> None:
    one, _, first, _ = two
    (one / "a").write_bytes(b"x" * 300_000)
    tree = UnitedTree(first, lambda: pytest.fail("a repair"), lambda *_: pytest.fail("a note"))
    assert [found.path for found in tree.files()] == ["a"] == tree.list("")
    with tree.open("a") as file:
        assert file.read(3) == b"xxx"
        assert file.seek(-1, io.SEEK_END) == 299_999
        assert (file.read(), file.tell()) == (b"x", 300_000)
    with pytest.raises(FileNotFoundError):
        tree.open("b")


def test_what_only_the_repair_shows_is_listed_in_its_place(two: Two) -> None:
    one, other, first, second = two
    for name in ("a", "c", "e"):
        (one / name).write_text(f"first {name}")
    for name in ("a", "b", "d", "f"):
        (other / name).write_text(f"other {name}")
    tree = UnitedTree(first, lambda: second, lambda *_: None, damaged=True)
    assert [found.path for found in tree.files()] == ["a", "b", "c", "d", "e", "f"] == tree.list("")
    assert [content(tree, name) for name in "abc"] == [b"first a", b"other b", b"first c"]


def test_of_two_files_at_one_path_the_longer_is_taken(two: Two) -> None:
    one, other, first, second = two
    (one / "a").write_text("short")
    (other / "a").write_text("longer")
    tree = UnitedTree(first, lambda: second, lambda *_: None, damaged=True)
    (found,) = tree.files()
    assert isinstance(found, LogFile)
    assert found.size == 6
    assert found == tree.find("a")
    assert content(tree, "a") == b"longer"


def test_a_file_that_the_repair_has_only_moved_is_told_once(two: Two) -> None:
    one, other, first, second = two
    (one / "a").write_text("x")
    (other / "lost+found").mkdir()
    (other / "lost+found" / "#12").hardlink_to(one / "a")
    tree = UnitedTree(first, lambda: second, lambda *_: None, damaged=True)
    assert [found.path for found in tree.files()] == ["a"]


def test_a_file_that_cannot_be_opened_is_noted_and_taken_from_the_repair(two: Two) -> None:
    one, other, first, second = two
    for root in (one, other):
        (root / "a").write_text(root.name)
    notes = []
    damaged = Damaged(first, "a")
    tree = UnitedTree(damaged, lambda: second, lambda path, reason: notes.append((path, reason)))
    assert content(tree, "a") == b"other"
    assert notes == [("a", "Bad message")]
    assert [type(found) for found in tree.files()] == [LogFile]


def test_without_a_repair_the_error_is_the_reader_s(two: Two) -> None:
    one, _, first, _ = two
    (one / "a").write_text("x")
    tree = UnitedTree(Damaged(first, "a"), lambda: None, lambda *_: None, damaged=True)
    with pytest.raises(OSError, match="Bad message"):
        tree.open("a")
    assert list(tree.files()) == [Unreadable("a", "Bad message")]
