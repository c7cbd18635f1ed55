"""A directory as an untrusted tree: what it lists, in which order, and what it never opens."""

import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spotwatch.core.log_file import LogFile, Unreadable
from spotwatch.host import tree as tree_module
from spotwatch.host.syscalls import syscall
from spotwatch.host.tree import DirectoryTree
from tests.host.conftest import needs_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture(params=["openat2", "stepwise"])
def tree(root: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[DirectoryTree]:
    """Both ways of opening have to keep the same promises."""
    if request.param == "stepwise":
        monkeypatch.setattr(tree_module, "OPENAT2", 9999)  # a number that no kernel has: ENOSYS
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    yield DirectoryTree(descriptor)
    os.close(descriptor)


def paths(tree: DirectoryTree) -> list[str]:
    return [found.path for found in tree.files()]


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def test_a_number_that_is_no_system_call_is_enosys() -> None:
    with pytest.raises(OSError, match="not implemented"):
        syscall(9999, 0)


def test_files_come_in_the_order_of_their_whole_paths(tree: DirectoryTree, root: Path) -> None:
    names = ["a.b", "a/c", "a/b/z", "a/b.c", "a0", "Z", "a-"]
    write(root, *names)
    assert paths(tree) == sorted(names)


def test_what_is_known_of_a_file_is_what_stat_says(tree: DirectoryTree, root: Path) -> None:
    write(root, "d/one.log")
    status = (root / "d/one.log").stat()
    known = LogFile("d/one.log", status.st_ino, 9, status.st_blocks * 512, status.st_mtime_ns)
    assert list(tree.files()) == [known]
    assert tree.find("d/one.log") == known
    assert tree.find("d/two.log") is None
    assert tree.find("d") is None


def test_a_directory_s_own_files_are_listed_without_those_below(tree: DirectoryTree, root: Path) -> None:
    write(root, "d/two", "d/one", "d/e/three", "four")
    assert tree.list("d") == ["d/one", "d/two"]
    assert tree.list("d/") == ["d/one", "d/two"]
    assert tree.list("") == ["four"]
    assert tree.list(".") == ["four"]
    assert tree.list("four") == []
    assert tree.list("missing") == []
    assert tree.list("../root") == []


def test_two_walks_at_the_same_time_see_the_same(tree: DirectoryTree, root: Path) -> None:
    write(root, "a", "b", "c/d")
    assert [(one.path, other.path) for one, other in zip(tree.files(), tree.files(), strict=True)] == [
        (path, path) for path in ("a", "b", "c/d")
    ]


def test_links_are_neither_listed_nor_followed(tree: DirectoryTree, root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    write(root, "inside")
    (root / "out").symlink_to("../secret")
    (root / "in").symlink_to("inside")
    (root / "up").symlink_to("..")
    assert paths(tree) == ["inside"]
    for path in ("out", "in", "up/secret", "../secret", str(tmp_path / "secret"), "up/root/inside", ""):
        with pytest.raises(OSError, match=r"\w"):
            tree.open(path)


def test_a_pipe_keeps_nobody_waiting(tree: DirectoryTree, root: Path) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        tree.open("pipe")
    assert tree.find("pipe") is None


@pytest.mark.parametrize("size", [0, 1, 4096, 200_000, 1024 * 1024 + 1])
@pytest.mark.parametrize("start", [0, 1, 4096, 150_001])
def test_any_range_is_read_whole_and_ends_with_the_file(tree: DirectoryTree, root: Path, size: int, start: int) -> None:
    content = random.Random(size).randbytes(size)
    (root / "file").write_bytes(content)
    for end in (start, start + 1, start + 4096, start + 1024 * 1024):
        assert tree.read("file", start, end) == content[start:end]


def test_each_thread_reads_into_memory_of_its_own(tree: DirectoryTree, root: Path) -> None:
    for name in "ab":
        (root / name).write_bytes(name.encode() * 200_000)
    here = tree.read("a", 0, 200_000)
    with ThreadPoolExecutor(1) as other:
        there = other.submit(tree.read, "b", 0, 200_000).result()
    assert bytes(here) == b"a" * 200_000
    assert there == b"b" * 200_000


def test_only_a_regular_file_is_read(tree: DirectoryTree, root: Path) -> None:
    os.mkfifo(root / "pipe")
    for length in (1, 200_000):
        with pytest.raises(OSError, match="regular file"):
            tree.read("pipe", 0, length)


def test_a_directory_cannot_be_opened_as_a_file(tree: DirectoryTree, root: Path) -> None:
    (root / "d").mkdir()
    with pytest.raises(OSError, match="no regular file"):
        tree.open("d")


def test_a_nul_in_a_path_is_an_error_of_the_path(tree: DirectoryTree) -> None:
    with pytest.raises(OSError, match="NUL"):
        tree.open("a\0b")


def test_names_that_are_no_utf_8_are_opened_by_what_is_listed(tree: DirectoryTree, root: Path) -> None:
    name = b"caf\xe9\n\x1b[31m"
    with open(os.path.join(os.fsencode(root), name), "wb") as file:
        file.write(b"x")
    (path,) = paths(tree)
    assert os.fsencode(path) == name
    with tree.open(path) as found:
        assert found.read() == b"x"


def test_what_lies_too_deep_is_told_and_not_walked(tree: DirectoryTree, root: Path) -> None:
    root.joinpath(*["d"] * 200).mkdir(parents=True)
    (root / "d/file").write_text("x")
    deepest = "/".join(["d"] * 129)
    assert set(tree.files()) == {
        Unreadable(deepest, "more than 128 directories deep"),
        *(found for found in tree.files() if found.path == "d/file"),
    }


def test_a_path_longer_than_the_kernel_takes_at_once_is_opened_all_the_same(tree: DirectoryTree, root: Path) -> None:
    name = "n" * 200
    here = os.open(root, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    (path,) = paths(tree)
    assert len(path) > 6000
    tree.open(path).close()


@needs_root
def test_a_mount_below_the_root_is_not_crossed(tree: DirectoryTree, root: Path) -> None:
    (root / "mnt").mkdir()
    write(root, "here")
    if os.system(f"mount -t tmpfs tmpfs {root}/mnt") != 0:  # noqa: S605 (a path of pytest's)
        pytest.skip("cannot mount here")
    try:
        write(root, "mnt/there")
        with pytest.raises(OSError, match="cross-device"):
            tree.open("mnt/there")
        assert tree.find("mnt/there") is None
        assert [type(found) for found in tree.files()] == [LogFile, Unreadable]
    finally:
        os.system(f"umount --lazy {root}/mnt")  # noqa: S605 (likewise)
