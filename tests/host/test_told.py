"""What was told whom, in a file that outlives the hook."""

from pathlib import Path

from spotwatch.host.told import Told


def test_what_was_told_is_known_to_the_next_hook(tmp_path: Path) -> None:
    file = str(tmp_path / "notify.told")
    told = Told(file)
    assert not told.has("1 a")
    assert told.add("1 a") == ""
    assert told.add("2 b c") == ""
    again = Told(file)
    assert [again.has(key) for key in ("1 a", "2 b c", "1")] == [True, True, False]


def test_half_a_line_is_none_and_does_not_damage_the_next(tmp_path: Path) -> None:
    file = tmp_path / "notify.told"
    file.write_text("\n1 a\n\n2 b and mo")
    told = Told(str(file))
    assert (told.has("1 a"), told.has("2 b and mo")) == (True, False)
    told.add("2 b and more")
    assert Told(str(file)).has("2 b and more")


def test_where_nothing_can_be_written_it_is_said_and_remembered_meanwhile(tmp_path: Path) -> None:
    told = Told(str(tmp_path / "missing" / "notify.told"))
    assert told.add("1 a").endswith("notify.told cannot be written: No such file or directory")
    assert told.has("1 a")


def test_without_a_file_it_is_only_remembered() -> None:
    told = Told("")
    assert told.add("1 a") == ""
    assert told.has("1 a")
