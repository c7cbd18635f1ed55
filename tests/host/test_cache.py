"""An answer is kept with its age, and nothing that happens to the disk is worse than asking again."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotwatch.host.cache import Cache, cache_directory
from spotwatch.host.files import write_atomically
from tests.host.conftest import needs_root

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
QUESTION = ("spot prices", "us-east-1", "123456789012", "https://ec2.us-east-1.amazonaws.com")


class Kept:
    """A cache of one hour, the time of which the test sets, and what it has remarked."""

    def __init__(self, directory: Path | None) -> None:
        self.remarks: list[str] = []
        self.time = NOON
        self.cache = Cache(
            None if directory is None else str(directory),
            max_age=3600,
            now=lambda: self.time,
            remark=self.remarks.append,
        )

    def read(self) -> tuple[Any, datetime] | None:
        return self.cache.read(QUESTION)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "cache")


def only_file(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "cache").iterdir()
    return path


def test_what_was_never_asked_is_not_there_and_that_is_not_worth_a_remark(kept: Kept) -> None:
    assert kept.read() is None
    assert kept.remarks == []


def test_an_answer_comes_back_with_the_time_it_was_kept_at(kept: Kept) -> None:
    kept.cache.write(QUESTION, {"use1-az4 c6i.large": 0.0312})
    kept.time += timedelta(minutes=59)
    assert kept.read() == ({"use1-az4 c6i.large": 0.0312}, NOON)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_whatever_json_can_hold_comes_back_the_same(tmp_path_factory: pytest.TempPathFactory, answer: object) -> None:
    kept = Kept(tmp_path_factory.getbasetemp() / "any-json")
    kept.cache.write(QUESTION, answer)
    assert kept.read() == (answer, NOON)


def test_an_answer_that_is_too_old_is_there_only_for_who_takes_any_age(kept: Kept) -> None:
    kept.cache.write(QUESTION, 1)
    kept.time += timedelta(hours=1, seconds=1)
    assert kept.read() is None
    assert kept.cache.read(QUESTION, any_age=True) == (1, NOON)
    assert kept.remarks == []


def test_an_answer_of_the_future_is_not_used(kept: Kept) -> None:
    kept.cache.write(QUESTION, 1)
    kept.time -= timedelta(seconds=1)
    assert kept.read() is None


@pytest.mark.parametrize("index", range(len(QUESTION)))
def test_another_fact_region_account_or_endpoint_is_another_question(kept: Kept, index: int) -> None:
    kept.cache.write(QUESTION, 1)
    other = [*QUESTION]
    other[index] += "x"
    assert kept.cache.read(other) is None


def test_words_do_not_run_into_each_other(kept: Kept) -> None:
    kept.cache.write(("ab", "c"), 1)
    assert kept.cache.read(("a", "bc")) is None


DAMAGES: dict[str, str | bytes] = {
    "empty": "",
    "cut short": '{"format":1,"question":["spot pr',
    "no object": "[]",
    "not text": b"\xff\xfe\x00",
    "a number as time": json.dumps({"format": 1, "question": [*QUESTION], "kept": 12, "answer": 1}),
    "no time": json.dumps({"format": 1, "question": [*QUESTION], "kept": "noon", "answer": 1}),
    "no answer": json.dumps({"format": 1, "question": [*QUESTION], "kept": "2026-11-22T12:00:00Z"}),
    "another question": json.dumps({"format": 1, "question": ["x"], "kept": "2026-11-22T12:00:00Z", "answer": 1}),
    "nested too deep": '{"a":' * 100_000,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_ignored_and_said_and_replaced_by_the_next_answer(
    kept: Kept, tmp_path: Path, damage: str | bytes
) -> None:
    kept.cache.write(QUESTION, 1)
    path = only_file(tmp_path)
    path.write_bytes(damage if isinstance(damage, bytes) else damage.encode())
    assert kept.read() is None
    assert [str(path) in remark for remark in kept.remarks] == [True]
    kept.cache.write(QUESTION, 2)
    assert kept.read() == (2, NOON)


def test_a_file_of_another_format_counts_as_missing(kept: Kept, tmp_path: Path) -> None:
    kept.cache.write(QUESTION, 1)
    path = only_file(tmp_path)
    path.write_text(path.read_text().replace('"format":1', '"format":99'))
    assert kept.read() is None
    assert kept.remarks == []


@pytest.mark.parametrize("kind", ["directory", "link", "pipe"])
def test_what_is_no_file_is_ignored_and_said(kept: Kept, tmp_path: Path, kind: str) -> None:
    kept.cache.write(QUESTION, 1)
    path = only_file(tmp_path)
    path.rename(tmp_path / "elsewhere")
    match kind:
        case "directory":
            path.mkdir()
        case "link":
            path.symlink_to(tmp_path / "elsewhere")
        case "pipe":
            os.mkfifo(path)
    assert kept.read() is None
    assert len(kept.remarks) == 1


def test_a_place_that_cannot_be_written_is_no_error_but_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = Kept(tmp_path / "file" / "cache")
    kept.cache.write(QUESTION, 1)
    assert kept.read() is None
    assert [remark.partition(": ")[2] for remark in kept.remarks] == ["Not a directory"]


@needs_root
def test_a_read_only_disk_is_no_error_but_said() -> None:
    kept = Kept(Path("/proc/cache"))
    kept.cache.write(QUESTION, 1)
    assert len(kept.remarks) == 1


def test_without_a_directory_nothing_is_kept() -> None:
    kept = Kept(None)
    kept.cache.write(QUESTION, 1)
    assert kept.read() is None
    assert kept.remarks == []


def test_what_json_cannot_hold_is_a_mistake_of_the_caller_and_leaves_nothing(kept: Kept, tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        kept.cache.write(QUESTION, {"type": object()})
    assert not (tmp_path / "cache").exists()


def test_only_its_owner_reads_it(kept: Kept, tmp_path: Path) -> None:
    kept.cache.write(QUESTION, 1)
    assert only_file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert only_file(tmp_path).parent.stat().st_mode & 0o777 == 0o700


def test_a_reader_sees_the_old_or_the_new_answer_while_another_process_writes(kept: Kept, tmp_path: Path) -> None:
    kept.cache.write(QUESTION, "old")
    with only_file(tmp_path).open() as reader:
        kept.cache.write(QUESTION, "new")
        assert json.load(reader)["answer"] == "old"
    assert kept.read() == ("new", NOON)


def test_a_writer_that_died_leaves_nothing_that_is_read(kept: Kept, tmp_path: Path) -> None:
    kept.cache.write(QUESTION, "whole")
    path = only_file(tmp_path)
    write_atomically(path.parent / f".{path.name}.1.new", "half")
    assert kept.read() == ("whole", NOON)


PLACES = {
    "stated": ({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, True, "/c/spotwatch"),
    "stated relative": ({"XDG_CACHE_HOME": "c", "HOME": "/h"}, False, "/h/.cache/spotwatch"),
    "root": ({"HOME": "/root"}, True, "/var/cache/spotwatch"),
    "a user": ({"HOME": "/h"}, False, "/h/.cache/spotwatch"),
    "nobody": ({}, False, None),
}


@pytest.mark.parametrize(("environment", "root", "place"), PLACES.values(), ids=PLACES.keys())
def test_the_place_is_the_stated_one_or_root_s_or_the_user_s(
    environment: dict[str, str], root: bool, place: str | None
) -> None:
    assert cache_directory(environment, root=root) == place
