"""A file is replaced whole or not at all."""

import os
from pathlib import Path

import pytest

from spotwatch.host.files import write_atomically


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "status.json"
    path.write_text("a longer text than the new one")
    write_atomically(path, "grüße", durable=durable)
    assert path.read_bytes() == "grüße".encode()
    assert os.listdir(tmp_path) == ["status.json"]


def test_its_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "open", "")
        write_atomically(tmp_path / "closed", "", mode=0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "open").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "closed").stat().st_mode & 0o777 == 0o600


def test_a_reader_keeps_the_file_that_it_has_opened(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text("old")
    with path.open() as reader:
        write_atomically(path, "new")
        assert reader.read() == "old"


def test_a_name_without_directory_is_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_atomically("here", "text", durable=True)
    assert (tmp_path / "here").read_text() == "text"


def test_after_a_failure_the_old_content_stands_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \udcff")
    (tmp_path / "directory").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "directory", "new")
    assert path.read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["directory", "status.json"]


def test_a_missing_directory_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "file", "text")
