"""What is found before a hook is needed: that it would not start, and that others could change it."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from spotwatch.core.process import Command
from spotwatch.host.inspection import (
    find_program,
    only_root_could_start,
    user_name,
    who_else_could_change_command,
    why_it_could_not_be_used,
    why_it_would_not_start,
)
from tests.host.conftest import needs_root


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory of whose path only root and we can change anything."""
    place = tmp_path / "place"
    place.mkdir(mode=0o755)
    yield place
    place.chmod(0o755)


@pytest.fixture
def program(place: Path) -> Path:
    program = place / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def command(program: Path) -> Command:
    return Command((str(program),), {"PATH": "/usr/bin:/bin"})


def dangers(command: Command, below: Path) -> list[str]:
    """The dangers in and below a directory; what is above belongs to the machine under test."""
    found = who_else_could_change_command(command)
    return [danger for danger in found if Path(danger.split(" can be ")[0]).is_relative_to(below)]


def test_nothing_is_wrong_with_a_sound_command(command: Command, place: Path) -> None:
    assert list(why_it_would_not_start(command)) == []
    assert dangers(command, place) == []


class TestWhyItWouldNotStart:
    def test_the_program_is_missing(self, command: Command, program: Path) -> None:
        program.unlink()
        assert list(why_it_would_not_start(command)) == [f"{program} does not exist"]

    def test_the_program_is_missing_in_path(self, command: Command) -> None:
        assert list(why_it_would_not_start(replace(command, argv=("no-such",)))) == ["no-such does not exist"]

    def test_it_is_a_directory(self, command: Command, place: Path) -> None:
        assert list(why_it_would_not_start(replace(command, argv=(str(place),)))) == [f"{place} is not a file"]

    def test_it_is_not_executable(self, command: Command, program: Path) -> None:
        program.chmod(0o644)
        assert list(why_it_would_not_start(command)) == [f"{program} is not executable (chmod +x {program})"]

    def test_its_directory_user_and_group_are_missing(self, command: Command) -> None:
        found = list(why_it_would_not_start(replace(command, directory="/no/such", user="no-such")))
        assert found == ["its directory /no/such does not exist", 'there is no user "no-such"']
        assert list(why_it_would_not_start(replace(command, group="no-such"))) == ['there is no group "no-such"']

    def test_a_link_that_runs_in_a_circle_does_not_exist(self, command: Command, program: Path) -> None:
        program.unlink()
        program.symlink_to(program.name)
        assert list(why_it_would_not_start(command)) == [f"{program} does not exist"]
        assert list(who_else_could_change_command(command)) == []

    def test_a_path_that_is_too_long_cannot_be_looked_at(self, command: Command) -> None:
        endless = replace(command, argv=("/" + "a" * 300,))
        assert [problem.partition(" cannot be looked at: ")[2] for problem in why_it_would_not_start(endless)] == [
            "File name too long"
        ]
        assert list(who_else_could_change_command(endless)) == []


class TestWhetherOnlyRootCouldStartIt:
    @pytest.fixture
    def nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 65534)
        monkeypatch.setattr(os, "getegid", lambda: 65534)

    @pytest.mark.usefixtures("nobody")
    @pytest.mark.parametrize(
        ("user", "group", "expected"),
        [
            (None, None, False),
            ("65534", None, False),
            ("65534", "65534", False),
            ("0", None, True),
            (None, "0", True),
        ],
    )
    def test_another_user_or_group_is_for_root_to_become(
        self, command: Command, user: str | None, group: str | None, expected: bool
    ) -> None:
        assert only_root_could_start(replace(command, user=user, group=group)) is expected

    def test_root_can_become_anybody(self, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        assert not only_root_could_start(replace(command, user="65534", group="65534"))


class TestWhyItCouldNotBeUsed:
    def test_a_directory_that_is_there_or_can_be_made_is_fine_and_is_not_made(self, place: Path) -> None:
        assert why_it_could_not_be_used(place) == ""
        assert why_it_could_not_be_used(place / "a" / "b") == ""
        assert list(place.iterdir()) == []

    def test_a_file_in_its_place_or_in_its_way(self, program: Path) -> None:
        assert why_it_could_not_be_used(program) == f"{program} is not a directory"
        below = program / "a"
        assert why_it_could_not_be_used(below) == f"{below} cannot be made: {program} is not a directory"

    def test_a_directory_that_we_may_not_write_to(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "access", lambda path, _mode: path != place)
        assert why_it_could_not_be_used(place) == f"{place} cannot be written by {user_name()}"

    def test_a_user_without_a_name_is_a_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 123456789)
        assert user_name() == "123456789"


class TestWhichProgram:
    def test_a_relative_path_is_below_the_working_directory(self, command: Command, program: Path) -> None:
        assert find_program(replace(command, argv=("./program",), directory=str(program.parent))) == program
        assert find_program(replace(command, argv=("./program",))) is None

    def test_a_bare_name_is_searched_for_in_the_path_of_the_hook(self, command: Command, program: Path) -> None:
        found = replace(command, argv=("program",), environment={"PATH": f"/nowhere:{program.parent}"})
        assert find_program(found) == program

    def test_without_a_path_the_system_has_a_default(self, command: Command) -> None:
        assert find_program(replace(command, argv=("sh",), environment={})) is not None


class TestWhoElseCouldChangeIt:
    @pytest.mark.parametrize("mode", [0o757, 0o777])
    def test_everybody_could_change_the_program(self, command: Command, program: Path, place: Path, mode: int) -> None:
        program.chmod(mode)
        (danger,) = dangers(command, place)
        assert danger.startswith(f"{program} can be written by others than its owner (-rwx")

    def test_everybody_could_replace_it(self, command: Command, place: Path) -> None:
        place.chmod(0o757)
        assert dangers(command, place) == [f"{place} can be written by others than its owner (drwxr-xrwx)"]

    def test_a_directory_like_tmp_lets_nobody_replace_it(self, command: Command, place: Path) -> None:
        place.chmod(0o1777)
        assert dangers(command, place) == []

    def test_what_a_link_points_to_counts(self, command: Command, program: Path, place: Path) -> None:
        link = place / "link"
        link.symlink_to(program.name)
        program.chmod(0o757)
        assert len(dangers(replace(command, argv=(str(link),)), place)) == 1

    @needs_root
    @pytest.mark.parametrize(("group", "count"), [(0, 0), (12345, 1)], ids=["root", "another"])
    def test_a_group_that_may_write_is_others_unless_it_is_root(
        self, command: Command, program: Path, place: Path, group: int, count: int
    ) -> None:
        os.chown(program, 0, group)
        program.chmod(0o775)
        assert len(dangers(command, place)) == count

    def test_a_program_that_does_not_exist_cannot_be_changed(self, command: Command) -> None:
        assert list(who_else_could_change_command(replace(command, argv=("/no/such",)))) == []
