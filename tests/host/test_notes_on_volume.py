"""Notes on a volume that others may write to."""

import os
from pathlib import Path

import pytest

from spotwatch.host.notes_on_volume import write_note
from tests.host.conftest import needs_root


def test_a_note_is_written_and_replaced(tmp_path: Path) -> None:
    assert write_note(str(tmp_path), "reports/a.json", "one") == ""
    assert write_note(str(tmp_path), "reports/a.json", "two") == ""
    assert (tmp_path / ".spotwatch" / "reports" / "a.json").read_text() == "two"
    assert os.listdir(tmp_path / ".spotwatch" / "reports") == ["a.json"]


def test_others_cannot_read_it(tmp_path: Path) -> None:
    write_note(str(tmp_path), "label.json", "{}")
    assert (tmp_path / ".spotwatch").stat().st_mode & 0o777 & ~0o750 == 0
    assert (tmp_path / ".spotwatch" / "label.json").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("planted", [".spotwatch", ".spotwatch/reports"])
def test_a_link_in_the_place_of_our_directory_is_not_followed(tmp_path: Path, planted: str) -> None:
    elsewhere, volume = tmp_path / "elsewhere", tmp_path / "volume"
    elsewhere.mkdir()
    (volume / planted).parent.mkdir(parents=True)
    (volume / planted).symlink_to(elsewhere)
    assert "cannot be written: " in write_note(str(volume), "reports/a.json", "text")
    assert os.listdir(elsewhere) == []


def test_a_link_in_the_place_of_the_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / ".spotwatch").mkdir()
    (tmp_path / ".spotwatch" / "label.json").symlink_to(tmp_path / "target")
    assert write_note(str(tmp_path), "label.json", "text") == ""
    assert not (tmp_path / "target").exists()


@needs_root
def test_a_directory_of_somebody_else_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / ".spotwatch").mkdir()
    os.chown(tmp_path / ".spotwatch", 65534, 65534)
    assert write_note(str(tmp_path), "label.json", "text").endswith(".spotwatch belongs to somebody else")
    assert os.listdir(tmp_path / ".spotwatch") == []


def test_what_cannot_be_written_is_said_with_its_path(tmp_path: Path) -> None:
    problem = write_note(str(tmp_path / "missing"), "label.json", "text")
    assert problem == f"{tmp_path}/missing/.spotwatch/label.json cannot be written: No such file or directory"
