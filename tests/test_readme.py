"""What the README shows is true."""

import re
import shlex
from pathlib import Path

import pytest

from spotwatch.cli import COMMANDS, _parse
from spotwatch.cli.help import PAGES
from spotwatch.cli.hook import mistake_in
from spotwatch.config import BUILT_IN, load
from spotwatch.hooks import NAMES
from tests.documents import README, ROOT, blocks, section


@pytest.mark.parametrize(("command", "summary"), COMMANDS.items())
def test_every_command_is_listed_with_its_summary(command: str, summary: str) -> None:
    assert f"| `spotwatch {command}` | {summary} |" in README


def test_the_settings_that_it_shows_load_and_the_words_of_the_built_ins_are_right(tmp_path: Path) -> None:
    (example,) = blocks(README, "toml")
    path = tmp_path / "spotwatch.toml"
    path.write_text(example)
    hooks = load(path, builtins=NAMES).hooks
    assert [hook.name for hook in hooks] == ["preserve-volume", "leave-target-groups", "stop-application", "flush-logs"]
    for hook in hooks:
        if hook.command[: len(BUILT_IN)] == BUILT_IN:
            assert mistake_in(hook.command[len(BUILT_IN) :]) == ""


def test_the_first_two_commands_are_one_line_each_and_ci_runs_them() -> None:
    first, second = blocks(README, "sh")[:2]
    assert first.count("\n") == second.count("\n") == 1
    assert first.rstrip().endswith("spotwatch simulate")
    assert second.rstrip().endswith("pytest")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert 'bash -c "$(readme_command 1)"' in script
    assert 'bash -c "$(readme_command 2)"' in script


def test_the_files_of_the_installation_are_there() -> None:
    named = re.findall(r" (systemd/[a-z.-]+)", README)
    assert named
    for path in named:
        assert (ROOT / path).is_file(), path


def test_every_page_of_the_manual_is_linked() -> None:
    assert re.findall(r"^\| \[(\w+)\]\(spotwatch/manual/\1\.md\)", README, re.MULTILINE) == list(PAGES)


def test_every_command_line_that_it_shows_is_one() -> None:
    """Of spotwatch's own; that they do what is said is for the tests of each command."""
    shown = "".join(blocks(README, "sh"))
    lines = [line.removeprefix("sudo ") for line in shown.splitlines() if re.match(r"(sudo )?spotwatch ", line)]
    assert lines
    for line in lines:
        _parse(shlex.split(line)[1:])


def test_the_table_of_the_replay_is_the_manual_s() -> None:
    """Which tests/test_manual.py compares with what the command prints."""
    table = "".join(re.findall(r"^\|.*\n", section(README, "Plan capacity over many pools"), re.MULTILINE))
    assert table
    assert table in (ROOT / "spotwatch" / "manual" / "pools.md").read_text(encoding="utf-8")
