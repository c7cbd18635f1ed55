"""Built-in hooks by hand and as the settings name them."""

import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from spotwatch import hooks
from spotwatch.cli.hook import mistake_in
from spotwatch.hooks.services import Services
from tests.cli.conftest import Spotwatch

Main = Callable[..., tuple[int, str, str]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with one program, which says what event it is for and fails with 3."""
    directory = tmp_path / "drain.d"
    directory.mkdir()
    program = directory / "10-say"
    program.write_text("#!/bin/sh\necho event=$SPOTWATCH_EVENT\nexit 3\n")
    program.chmod(0o755)
    return directory


def test_a_built_in_runs_its_programs_with_its_own_environment(spotwatch: Spotwatch, directory: Path) -> None:
    done = spotwatch("hook", "run-parts", str(directory), SPOTWATCH_EVENT="terminate")
    assert done.returncode == 1
    assert done.stdout == f"event=terminate\n{directory}/10-say: failed with exit code 3\n"


def test_a_dry_run_does_nothing(main: Main, directory: Path) -> None:
    assert main("hook", "run-parts", "--dry-run", str(directory)) == (0, f"would run {directory}/10-say\n", "")


def test_a_directory_that_is_missing_is_a_mistake_of_the_words(main: Main, tmp_path: Path) -> None:
    code, _, err = main("hook", "run-parts", str(tmp_path / "missing"))
    assert code == 64
    assert "missing cannot be listed: No such file or directory\nhint: " in err


class FakeHook:
    """A built-in that calls AWS, and says whether it would."""

    SUMMARY = "call AWS"
    IAM_ACTIONS: tuple[str, ...] = ("ec2:DescribeVolumes",)

    def add_arguments(self, parser: ArgumentParser) -> None:
        pass

    def run(self, _arguments: Namespace, _services: Services, *, dry_run: bool) -> int:
        print("would call" if dry_run else "calls")
        return 0


@pytest.mark.parametrize(
    ("rehearsal", "actions", "output"),
    [
        (True, ("ec2:DescribeVolumes",), "would call\n"),
        (False, ("ec2:DescribeVolumes",), "calls\n"),
        (True, (), "calls\n"),
    ],
    ids=["AWS in a rehearsal", "AWS for real", "no AWS in a rehearsal"],
)
def test_in_a_rehearsal_only_what_calls_aws_is_held_back(
    main: Main, monkeypatch: pytest.MonkeyPatch, rehearsal: bool, actions: tuple[str, ...], output: str
) -> None:
    hook = FakeHook()
    monkeypatch.setattr(hook, "IAM_ACTIONS", actions, raising=False)
    monkeypatch.setattr(hooks, "NAMES", ("fake",))
    monkeypatch.setattr(hooks, "built_in", lambda _name: hook)
    if rehearsal:
        monkeypatch.setenv("SPOTWATCH_REHEARSAL", "1")
    assert main("hook", "fake") == (0, output, "")


def test_the_help_of_a_built_in_names_the_iam_actions_that_it_needs(
    main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "NAMES", ("fake",))
    monkeypatch.setattr(hooks, "built_in", lambda _name: FakeHook())
    assert "Call aws. Needs the IAM actions ec2:DescribeVolumes." in main("hook", "fake", "--help")[1]


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        (["run-parts", "/etc/drain.d"], ""),
        (["run-parts"], "the following arguments are required: directory"),
        (["run-parts", "/etc/drain.d", "--fast"], "unrecognized arguments: --fast"),
        (["run-part"], "argument NAME: invalid choice: 'run-part'"),
    ],
)
def test_words_in_settings_can_be_examined_without_running_them(words: list[str], mistake: str) -> None:
    assert mistake_in(words).partition(" (choose from ")[0] == mistake


@pytest.mark.parametrize(
    ("words", "module", "said"),
    [
        (("leave-dns", "update", "--name", "a.example", "--server", "127.0.0.1"), "dns", "dnspython"),
        (
            ("leave-dns", "sql", "--name", "a.example", "--database", "mysql://u@db/dns", "--schema", "mydns"),
            "pymysql",
            "PyMySQL",
        ),
        (("leave-dns", "route53", "--name", "a.example"), "boto3", "boto3"),
    ],
)
def test_an_extra_that_is_missing_is_one_exit_code_and_named_as_it_is_installed(
    words: tuple[str, ...], module: str, said: str
) -> None:
    script = f"import sys; sys.modules[{module!r}] = None; from spotwatch.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "SPOTWATCH_INSTANCE_ID": "i-0123456789abcdef0", "SPOTWATCH_REGION": "eu-west-1"}
    done = subprocess.run(
        [sys.executable, "-c", script, "hook", *words, "--address", "192.0.2.1"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert (done.returncode, f"{said} is not installed" in done.stderr) == (69, True)
    assert "extra: [" in done.stderr
