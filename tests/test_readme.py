"""What the README shows is true."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

import pytest

from spotwatch.cli import COMMANDS
from spotwatch.cli.hook import mistake_in
from spotwatch.config import BUILT_IN, HOOK_READERS, load
from spotwatch.core.event import EVENT_NAMES
from spotwatch.core.hook import HookStatus
from spotwatch.core.quantity import parse_duration, parse_size
from spotwatch.core.settings import Settings
from spotwatch.hooks import NAMES, built_in
from spotwatch.pools.formats import FORMATS
from spotwatch.pools.relaxation import ORDER
from tests.pools.data import DATA, needs_data

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def defaults(kind: type = Settings, prefix: str = "") -> dict[str, object]:
    """Every key of the settings with its default."""
    hints = get_type_hints(kind)
    found: dict[str, object] = {}
    for field in fields(kind):
        path, value = f"{prefix}{field.name}", getattr(kind(), field.name)
        if is_dataclass(hints[field.name]):
            found |= defaults(type(value), f"{path}.")
        elif path != "hooks":
            found[path] = value
    return found


def rows(prefix: str = "") -> dict[str, list[str]]:
    """The tables' rows by the word in their first cell."""
    found = re.findall(rf"^\| `({prefix}[^`]*)`.*\|$", README, re.MULTILINE)
    lines = {name: line for line in README.splitlines() for name in found if line.startswith(f"| `{name}`")}
    return {name: [cell.strip() for cell in line.strip("|").split("|")] for name, line in lines.items()}


@pytest.mark.parametrize(("key", "default"), defaults().items(), ids=str)
def test_every_setting_is_in_the_table_with_its_default(key: str, default: object) -> None:
    written = tomllib.loads(f"value = {rows()[key][-1].strip('`')}")["value"]
    if isinstance(written, str) and isinstance(default, float):
        assert parse_duration(written) == default
    elif isinstance(written, str) and isinstance(default, int):
        assert parse_size(written) == default
    else:
        assert written == default


def test_the_table_of_settings_has_no_other_keys() -> None:
    tables = {name for name in rows() if re.match(r"(metadata|state|drain|log|ship)\.", name)}
    assert tables == set(defaults())


@pytest.mark.parametrize("key", HOOK_READERS)
def test_every_key_of_a_hook_is_in_the_table(key: str) -> None:
    table = README[README.index("| a hook's key") : README.index("| key | meaning")]
    assert f"`{key}`" in table


@pytest.mark.parametrize("event", EVENT_NAMES)
def test_every_event_is_named(event: str) -> None:
    assert f"`{event}`" in README


@pytest.mark.parametrize(("command", "summary"), COMMANDS.items())
def test_every_command_is_listed_with_its_summary(command: str, summary: str) -> None:
    assert f"| `spotwatch {command}` | {summary} |" in README


@pytest.mark.parametrize("name", NAMES)
def test_every_built_in_is_in_the_table_with_its_iam_actions(name: str) -> None:
    _, summary, actions = rows()[name]
    assert summary == built_in(name).SUMMARY
    assert actions == ", ".join(f"`{action}`" for action in built_in(name).IAM_ACTIONS)


def test_the_iam_policy_allows_what_preserve_volume_calls() -> None:
    (policy,) = map(json.loads, blocks("json"))
    allowed = [statement["Action"] for statement in policy["Statement"]]
    named = {action for each in allowed for action in ([each] if isinstance(each, str) else each)}
    assert named == set(built_in("preserve-volume").IAM_ACTIONS)


@pytest.mark.parametrize("example", [block for block in blocks("text") if "[[hook]]" in block])
def test_the_examples_of_built_ins_load_and_their_words_are_right(example: str, tmp_path: Path) -> None:
    path = tmp_path / "spotwatch.toml"
    path.write_text(example)
    for hook in load(path, builtins=NAMES).hooks:
        assert mistake_in(hook.command[len(BUILT_IN) :]) == ""


def test_the_example_settings_load(tmp_path: Path) -> None:
    (example,) = blocks("toml")
    path = tmp_path / "spotwatch.toml"
    path.write_text(example)
    (hook,) = load(path, builtins=()).hooks
    assert (hook.name, hook.stage, hook.timeout, hook.reserve) == ("stop-taking-jobs", 10, 20.0, 5.0)


def test_the_first_two_commands_are_one_line_each_and_ci_runs_them() -> None:
    first, second = blocks("sh")[:2]
    assert first.count("\n") == second.count("\n") == 1
    assert first.rstrip().endswith("spotwatch simulate")
    assert second.rstrip().endswith("pytest")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert 'bash -c "$(readme_command 1)"' in script
    assert 'bash -c "$(readme_command 2)"' in script


def test_the_variables_of_a_hook_are_those_of_the_help() -> None:
    from spotwatch.cli.run import EPILOG

    pattern = r"SPOTWATCH_[A-Z_]+"
    section = README[README.index("## What a hook is told") : README.index("## How the time")]
    assert set(re.findall(pattern, section)) == set(re.findall(pattern, EPILOG))


def test_the_files_of_the_installation_are_there() -> None:
    for path in re.findall(r" (systemd/[a-z.-]+)", README):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("status", list(HookStatus))
def test_every_status_of_a_hook_is_explained(status: str) -> None:
    section = README[README.index("## The report of a drain") : README.index("## Commands")]
    assert f"`{status}`" in section


# ------------------------------------------------------------------------------------------------------------- pools

POOLS = README[README.index("## Plan capacity over many pools") : README.index("## Commands")]


def spotwatch(*words: str, directory: Path | None = None) -> str:
    """What a command prints; it must succeed."""
    command = [sys.executable, "-m", "spotwatch", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=directory).stdout


def pools_commands() -> list[list[str]]:
    """The words of every command line of the section."""
    shown = "".join(re.findall(r"^```sh\n(.*?)^```$", POOLS, re.MULTILINE | re.DOTALL))
    return [shlex.split(line)[1:] for line in shown.splitlines()]


def test_every_word_of_pools_in_the_readme_is_one() -> None:
    known = "".join(spotwatch("pools", *action, "--help") for action in ([], ["check"], ["replay"]))
    written = {word for text in re.findall(r"`([^`]*)`", POOLS) for word in re.findall(r"--[a-z-]+", text)}
    assert written - set(re.findall(r"--[a-z-]+", known)) == set()


def test_every_format_is_named() -> None:
    assert [name for name in FORMATS if f"`{name}`" not in POOLS and f"--format {name}" not in POOLS] == []


def test_what_gives_way_is_in_the_order_that_the_readme_says() -> None:
    assert f"({', '.join('AZ' if kind == 'az' else kind for kind in ORDER)})" in " ".join(POOLS.split())


def test_every_iam_action_is_of_a_call_that_is_made() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "spotwatch" / "aws").glob("*.py"))
    actions = re.findall(r"`(?:ec2|servicequotas):(\w+)`", POOLS)
    assert len(actions) == 8
    assert [action for action in actions if f'"{action}"' not in source] == []


@needs_data
def test_the_commands_about_pools_work_and_print_what_is_shown(tmp_path: Path) -> None:
    """All but those that ask AWS, which tests/cli/test_pools_live.py does."""
    plan, _, priced, check, replay, planned = pools_commands()
    for file in ("pool_prices_dev.csv", "spot_traces.csv"):
        (tmp_path / file).symlink_to(DATA / file)
    spotwatch(*plan, directory=tmp_path)
    printed = {line.rstrip() for line in spotwatch(*priced, directory=tmp_path).splitlines()}
    (shown,) = re.findall(r"^```text\n(.*?)^```$", POOLS, re.MULTILINE | re.DOTALL)
    assert [line for line in shown.splitlines() if line.strip() not in ("", "…") and line not in printed] == []
    (tmp_path / "plan.json").write_text(spotwatch(*priced, "--json", directory=tmp_path))
    fleet = spotwatch(*priced, "--mode", "aligned", "--format", "ec2-fleet", directory=tmp_path)
    (tmp_path / "fleet.json").write_text(fleet)
    assert "no limit is broken" in spotwatch(*check, directory=tmp_path)
    assert spotwatch(*replay, "--markdown", directory=tmp_path) in POOLS
    assert spotwatch(*planned, "--draws", "1", directory=tmp_path)
