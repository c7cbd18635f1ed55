"""run-parts: what is run, in which order, and what becomes of failures."""

from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import pytest

from spotwatch.core.errors import CommandNotStarted, UsageError
from spotwatch.hooks import NAMES, built_in, run_parts
from tests.hooks import services


class FakePrograms(services.FakePrograms):
    """Runs nothing; the exit code is what `ends` says for a program's name, 0 if it says nothing."""

    def __init__(self, **ends: int) -> None:
        self.started: list[str] = []
        self._ends = ends

    def run(self, argv: tuple[str, ...], *, limit: float | None = None) -> int:  # noqa: ARG002
        name = Path(argv[0]).name
        if name == "broken":
            raise CommandNotStarted(f"{name} cannot be executed: Exec format error")
        self.started.append(name)
        return self._ends.get(name, 0)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def put(directory: Path) -> Callable[..., None]:
    """Make programs of these names."""

    def put(*names: str, mode: int = 0o755) -> None:
        for name in names:
            (directory / name).touch()
            (directory / name).chmod(mode)

    return put


def run(programs: FakePrograms, *words: str, dry_run: bool = False) -> int:
    parser = ArgumentParser()
    run_parts.add_arguments(parser)
    return run_parts.run(parser.parse_args(words), services.FakeServices(programs=programs), dry_run=dry_run)


def test_programs_run_in_the_order_of_their_names(directory: Path, put: Callable[..., None]) -> None:
    put("20-b", "10-a", "30_c.sh")
    programs = FakePrograms()
    assert run(programs, str(directory)) == 0
    assert programs.started == ["10-a", "20-b", "30_c.sh"]


@pytest.mark.parametrize("name", ["a~", "a.bak", "a.dpkg-old", ".hidden", "#a#", "a b", "a.sh.orig"])
def test_left_overs_of_editors_and_packages_are_not_run(directory: Path, put: Callable[..., None], name: str) -> None:
    put(name)
    programs = FakePrograms()
    assert run(programs, str(directory)) == 0
    assert programs.started == []


def test_only_executable_files_are_run(directory: Path, put: Callable[..., None]) -> None:
    put("data", mode=0o644)
    (directory / "folder").mkdir()
    (directory / "nowhere").symlink_to("missing")
    programs = FakePrograms()
    assert run(programs, str(directory)) == 0
    assert programs.started == []


@pytest.mark.parametrize("dry_run", [False, True])
def test_that_there_is_nothing_to_run_is_said(
    directory: Path, put: Callable[..., None], capsys: pytest.CaptureFixture[str], dry_run: bool
) -> None:
    put("a~")
    assert run(FakePrograms(), str(directory), dry_run=dry_run) == 0
    said = f"{directory} holds no executable with a fitting name: nothing to run\n"
    assert capsys.readouterr().out == said


def test_a_failure_does_not_keep_the_others_from_running(
    directory: Path, put: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    put("a", "b")
    programs = FakePrograms(a=3)
    assert run(programs, str(directory)) == 1
    assert programs.started == ["a", "b"]
    assert capsys.readouterr().out == f"{directory}/a: failed with exit code 3\n{directory}/b: ok\n"


def test_with_exit_on_error_nothing_runs_after_a_failure(directory: Path, put: Callable[..., None]) -> None:
    put("a", "b")
    programs = FakePrograms(a=3)
    assert run(programs, "--exit-on-error", str(directory)) == 1
    assert programs.started == ["a"]


def test_a_program_that_cannot_be_executed_is_a_failure_like_any_other(
    directory: Path, put: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    put("broken", "c")
    programs = FakePrograms()
    assert run(programs, str(directory)) == 1
    assert programs.started == ["c"]
    assert "broken cannot be executed: Exec format error" in capsys.readouterr().out


def test_a_dry_run_only_names_them(
    directory: Path, put: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    put("a")
    programs = FakePrograms()
    assert run(programs, str(directory), dry_run=True) == 0
    assert programs.started == []
    assert capsys.readouterr().out == f"would run {directory}/a\n"


def test_an_empty_directory_is_a_success(directory: Path) -> None:
    assert run(FakePrograms(), str(directory)) == 0


@pytest.mark.parametrize(("name", "reason"), [("missing", "No such file or directory"), ("file", "Not a directory")])
def test_what_cannot_be_listed_is_refused(directory: Path, name: str, reason: str) -> None:
    (directory / "file").touch()
    with pytest.raises(UsageError, match=f"{name} cannot be listed: {reason}"):
        run(FakePrograms(), str(directory / name))


@pytest.mark.parametrize("name", NAMES)
def test_every_built_in_says_what_it_does_and_which_iam_actions_it_needs(name: str) -> None:
    hook = built_in(name)
    assert hook.SUMMARY
    assert not hook.SUMMARY.endswith(".")
    assert all(":" in action for action in hook.IAM_ACTIONS)
