"""A directory as a destination: an object is there whole or not at all, and never changes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spotwatch.core.errors import DestinationError, DestinationFull
from spotwatch.ship.destination import Directory


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def target(root: Path) -> Directory:
    return Directory(root)


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_what_was_put_can_be_read_whole_and_in_part(target: Directory) -> None:
    assert target.put("a/b", [b"hel", b"lo"])
    assert b"".join(target.read("a/b")) == b"hello"
    assert b"".join(target.read("a/b", 1, 3)) == b"ell"
    found = target.find("a/b")
    assert found is not None
    assert found.size == 5


def test_a_key_that_is_taken_stays_and_its_content_is_not_asked_for(target: Directory) -> None:
    target.put("k", [b"first"])

    def chunks() -> Iterator[bytes]:
        raise AssertionError("nobody needs this")
        yield b""

    assert not target.put("k", chunks())
    assert b"".join(target.read("k")) == b"first"


def test_one_that_came_first_while_we_wrote_stays(target: Directory, root: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"ours"
        (root / "k").write_bytes(b"theirs")

    assert not target.put("k", chunks())
    assert files(root) == {"k"}
    assert b"".join(target.read("k")) == b"theirs"


def test_content_that_ends_with_an_error_leaves_nothing(target: Directory, root: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise LookupError

    with pytest.raises(LookupError):
        target.put("k", chunks())
    assert files(root) == set()


def test_one_that_is_killed_in_the_middle_leaves_nothing(root: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from spotwatch.ship.destination import Directory\n"
        "def chunks():\n    yield b'half'\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "Directory(Path(sys.argv[1])).put('k', chunks())\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(root)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert files(root) == set()


@pytest.mark.parametrize("key", ["../x", "a/../x", "/x", "a//b", ".", "a/."])
def test_a_key_that_leads_out_is_refused(target: Directory, key: str) -> None:
    with pytest.raises(DestinationError, match="is no key"):
        target.put(key, [b""])


def test_what_is_not_there_is_not_found_and_cannot_be_read(target: Directory) -> None:
    assert target.find("a/b") is None
    assert list(target.below("")) == []
    with pytest.raises(DestinationError):
        list(target.read("a/b"))


def test_an_object_that_ends_too_early_is_told(target: Directory) -> None:
    target.put("k", [b"abc"])
    with pytest.raises(DestinationError, match="ends 2 bytes too early"):
        list(target.read("k", 0, 5))


def test_objects_are_listed_in_the_order_of_their_keys(target: Directory) -> None:
    for key in ("b/2", "a/1", "b/1", "ba"):
        target.put(key, [b""])
    assert [found.key for found in target.below("b")] == ["b/1", "b/2", "ba"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_told_as_such(target: Directory, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Any = os.open

    def onto_a_full_disk(path: Any, flags: int, *more: Any, **named: Any) -> Any:
        wants_a_new_file = flags & os.O_TMPFILE == os.O_TMPFILE
        return real("/dev/full", os.O_WRONLY) if wants_a_new_file else real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", onto_a_full_disk)
    with pytest.raises(DestinationFull, match="No space left"):
        target.put("k", [b"x"])
    monkeypatch.undo()
    assert files(root) == set()
