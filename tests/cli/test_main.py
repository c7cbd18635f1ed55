"""What all commands have in common: words, exit codes, help, and what becomes of mistakes and bugs."""

import os
import re
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from spotwatch import __version__, cli
from spotwatch.core.errors import (
    AlreadyRunning,
    MetadataTimedOut,
    NotRunning,
    ScenarioError,
    SettingsError,
    SpotwatchError,
    StateUnavailable,
    UsageError,
)
from tests.cli.conftest import PATIENCE, Spotwatch, command_line, environment

Main = Callable[..., tuple[int, str, str]]


class FakeCommand:
    """A command that does what the test says."""

    DESCRIPTION = "A fake."
    EPILOG = ""

    def __init__(self, do: Callable[[], int]) -> None:
        self._do = do

    def add_arguments(self, parser: ArgumentParser) -> None:
        pass

    def run(self, _arguments: Namespace) -> int:
        return self._do()


@pytest.fixture
def fake(main: Main, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Run a command that does this."""

    def run(do: Callable[[], int]) -> tuple[int, str, str]:
        monkeypatch.setattr(cli, "COMMANDS", {"fake": "does what the test says"})
        monkeypatch.setitem(sys.modules, "spotwatch.cli.fake", FakeCommand(do))
        return main("fake")

    return run


def failing(error: BaseException) -> Callable[[], int]:
    def fail() -> int:
        raise error

    return fail


class TestWords:
    def test_without_any_the_help_says_what_there_is_and_it_is_a_mistake(self, main: Main) -> None:
        code, out, err = main()
        assert (code, out) == (64, "")
        assert all(re.search(rf"^    {name}\s", err, re.MULTILINE) for name in cli.COMMANDS)

    def test_the_version(self, main: Main) -> None:
        assert main("--version") == (0, f"spotwatch {__version__}\n", "")

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["chek"], "invalid choice: 'chek'"),
            (["--verbose"], "the following arguments are required: COMMAND"),
            (["status", "--verbose"], "unrecognized arguments: --verbose"),
            (["status", "--config"], "argument -c/--config: expected one argument"),
            (["hook"], "the following arguments are required: NAME"),
            (["hook", "run-parts"], "the following arguments are required: directory"),
            (["simulate", "--port", "99999"], "argument --port: write a number from 0 to 65535"),
            (["simulate", "--port", "http"], "argument --port: write a number from 0 to 65535"),
        ],
    )
    def test_wrong_ones_end_with_64_and_a_way_to_the_help(self, main: Main, words: list[str], message: str) -> None:
        code, out, err = main(*words)
        assert (code, out) == (64, "")
        assert message in err
        assert err.endswith("--help'\n")


class TestFailures:
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (SpotwatchError("it failed", hint="mend it"), 70),
            (UsageError("it failed", hint="mend it"), 64),
            (ScenarioError("it failed", hint="mend it"), 65),
            (NotRunning("it failed", hint="mend it"), 69),
            (MetadataTimedOut("it failed", hint="mend it"), 69),
            (StateUnavailable("it failed", hint="mend it"), 73),
            (AlreadyRunning("it failed", hint="mend it"), 75),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
    )
    def test_a_refusal_is_two_lines_and_an_exit_code(self, fake: Main, error: SpotwatchError, code: int) -> None:
        assert fake(failing(error)) == (code, "", "spotwatch: it failed\nhint: mend it\n")

    def test_a_refusal_without_a_hint_is_one_line(self, fake: Main) -> None:
        assert fake(failing(UsageError("it failed"))) == (64, "", "spotwatch: it failed\n")

    def test_every_mistake_in_the_settings_is_a_line(self, fake: Main) -> None:
        assert fake(failing(SettingsError(["a: wrong", "b: wrong"]))) == (
            78,
            "",
            "spotwatch: a: wrong\nspotwatch: b: wrong\nspotwatch: 2 mistakes in the settings; nothing was started\n",
        )

    def test_an_interruption_ends_with_130_and_says_nothing(self, fake: Main) -> None:
        assert fake(failing(KeyboardInterrupt())) == (130, "", "")

    def test_a_bug_is_one_line_and_a_record_with_the_traceback(self, fake: Main) -> None:
        code, out, err = fake(failing(ZeroDivisionError("by zero")))
        first, record, *trace = err.splitlines()
        assert (code, out) == (70, "")
        assert first == "spotwatch: this is a bug in spotwatch; the record below says where"
        assert "bug" in record
        assert f"version={__version__}" in record
        assert trace[0] == "Traceback (most recent call last):"
        assert trace[-1] == "ZeroDivisionError: by zero"

    def test_a_bug_while_a_command_is_loaded_is_no_different(self, main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cli, "COMMANDS", {"no_such": ""})
        code, _out, err = main("no_such")
        assert code == 70
        assert err.startswith("spotwatch: this is a bug in spotwatch")


def run_into(output: BinaryIO, directory: Path, *words: str) -> tuple[int, bytes]:
    """Run a command whose output goes there; its exit code and what it says on standard error."""
    done = subprocess.run(
        command_line(*words), stdout=output, stderr=subprocess.PIPE, env=environment(directory), timeout=PATIENCE
    )
    return done.returncode, done.stderr


class TestOutput:
    @pytest.mark.parametrize("words", [["--help"], ["hook", "run-parts", "--dry-run", "/bin"]], ids=["help", "hook"])
    def test_a_reader_that_has_gone_ends_it_quietly_as_it_ends_any_program(
        self, tmp_path: Path, words: list[str]
    ) -> None:
        read, write = os.pipe()
        os.close(read)
        with open(write, "wb") as pipe:
            assert run_into(pipe, tmp_path, *words) == (128 + 13, b"")

    def test_a_full_disk_is_told(self, tmp_path: Path) -> None:
        told = b"spotwatch: the output cannot be written: No space left on device\n"
        with open("/dev/full", "wb") as full:
            assert run_into(full, tmp_path, "--version") == (74, told)

    def test_a_terminal_that_lacks_a_character_gets_another(self, spotwatch: Spotwatch) -> None:
        done = spotwatch("check", "--config", "/no/such/\N{SNOWMAN}.toml", PYTHONIOENCODING="ascii")
        assert done.returncode == 78
        assert "/no/such/?.toml: there is no such file" in done.stderr

    @pytest.mark.parametrize(
        "words",
        [["simulate", "--at", "0s terminate 20s"], ["hook", "run-parts", "--dry-run", "/bin"]],
        ids=["at once", "a long one"],
    )
    def test_a_full_disk_in_the_middle_of_a_command_is_no_bug_either(self, tmp_path: Path, words: list[str]) -> None:
        told = b"spotwatch: the output cannot be written: No space left on device\n"
        with open("/dev/full", "wb") as full:
            assert run_into(full, tmp_path, *words) == (74, told)

    def test_a_reader_that_leaves_in_the_middle_is_no_failure_of_the_rehearsal(self, tmp_path: Path) -> None:
        words = command_line("simulate", "--at", "0s terminate 20s")
        with subprocess.Popen(
            words, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            process.stdout.close()
            assert process.wait(PATIENCE) == 128 + 13
            assert process.stderr is not None
            assert process.stderr.read() == b""
        assert list(tmp_path.glob("spotwatch-rehearsal-*")) == []

    def test_an_error_that_is_not_about_the_output_is_a_bug(self, fake: Main) -> None:
        assert fake(failing(PermissionError(13, "Permission denied")))[0] == 70

    def test_no_output_at_all_is_no_bug(self, tmp_path: Path) -> None:
        words = ["sh", "-c", 'exec "$@" >&-', "sh", *command_line("--version")]
        done = subprocess.run(words, stderr=subprocess.PIPE, env=environment(tmp_path), timeout=PATIENCE)
        assert done.returncode == 0
        assert b"Traceback" not in done.stderr


HELPS = [(), *((name,) for name in cli.COMMANDS), ("hook", "run-parts"), ("pools", "check"), ("pools", "replay")]


class TestHelp:
    @pytest.mark.parametrize("words", HELPS, ids=" ".join)
    def test_it_fits_a_terminal_of_80_columns(self, main: Main, words: tuple[str, ...]) -> None:
        code, out, err = main(*words, "--help")
        assert (code, err) == (0, "")
        assert [line for line in out.splitlines() if len(line) > 80] == []

    @pytest.mark.parametrize("name", cli.COMMANDS)
    def test_each_says_what_it_is_for_its_options_exit_codes_and_examples(self, main: Main, name: str) -> None:
        _, out, _ = main(name, "--help")
        places = [out.index(word) for word in (f"usage: spotwatch {name} ", "\noptions:\n", "\nexit codes:\n")]
        assert places == sorted(places)
        assert f"\nexamples:\n  {'sudo ' if name == 'check' else ''}spotwatch {name}" in out

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("run", ["--config", "--set"]),
            (
                "simulate",
                [
                    "--config",
                    "--set",
                    "--at",
                    "--scenario",
                    "--directory",
                    "--call-aws",
                    "--json",
                    "--serve",
                    "--host",
                    "--port",
                ],
            ),
            ("check", ["--config", "--set", "--json"]),
            ("status", ["--config", "--set", "--json"]),
        ],
    )
    def test_no_option_goes_without_an_explanation(self, main: Main, name: str, options: list[str]) -> None:
        _, out, _ = main(name, "--help")
        explained = out[out.index("\noptions:") :]
        assert all(f"  {option} " in explained or f", {option} " in explained for option in options)

    def test_the_overview_names_every_exit_code_that_an_error_has(self, main: Main) -> None:
        def codes(kind: type[SpotwatchError]) -> set[int]:
            return {kind.exit_code}.union(*(codes(below) for below in kind.__subclasses__()))

        _, out, _ = main("--help")
        assert all(f"\n  {code}  " in out for code in codes(SpotwatchError) | {74, 130, 141})

    @pytest.mark.parametrize("name", cli.COMMANDS)
    def test_each_names_the_exit_codes_that_every_command_has(self, main: Main, name: str) -> None:
        _, out, _ = main(name, "--help")
        assert all(f"\n  {code} " in out for code in (70, 74, 130, 141))
