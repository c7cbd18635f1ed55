"""What the manual says is true."""

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

from spotwatch.aws.event_bridge import DETAIL_TYPE, SOURCE
from spotwatch.cli.help import PAGES, title
from spotwatch.cli.hook import mistake_in
from spotwatch.cli.run import EPILOG
from spotwatch.config import BUILT_IN, HOOK_READERS, load
from spotwatch.core.event import EVENT_NAMES
from spotwatch.core.hook import HookStatus
from spotwatch.core.notification import FIELDS, DrainState
from spotwatch.core.quantity import parse_duration, parse_size
from spotwatch.core.settings import Settings
from spotwatch.hooks import NAMES, built_in
from spotwatch.notify.template import Template
from spotwatch.pools.formats import FORMATS
from spotwatch.pools.relaxation import ORDER
from tests.documents import ROOT, blocks, page, rows, section
from tests.notify.notifications import FAILED, notification
from tests.pools.data import DATA, needs_data

SETTINGS = page("settings")
HOOKS = page("hooks")
POOLS = page("pools")


def test_its_pages_are_those_that_help_shows() -> None:
    assert {path.stem for path in (ROOT / "spotwatch" / "manual").iterdir()} == set(PAGES)


def test_help_lists_the_pages_with_their_titles_and_shows_each() -> None:
    listed = spotwatch("help")
    for name in PAGES:
        assert f"spotwatch help {name}" in listed
        assert title(name) in listed
        assert spotwatch("help", name) == page(name)


# ---------------------------------------------------------------------------------------------------------- settings


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


@pytest.mark.parametrize(("key", "default"), defaults().items(), ids=str)
def test_every_setting_is_in_the_table_with_its_default(key: str, default: object) -> None:
    written = tomllib.loads(f"value = {rows(SETTINGS)[key][-1].strip('`')}")["value"]
    if isinstance(written, str) and isinstance(default, float):
        assert parse_duration(written) == default
    elif isinstance(written, str) and isinstance(default, int):
        assert parse_size(written) == default
    else:
        assert written == default


def test_the_table_of_settings_has_no_other_keys() -> None:
    tables = {name for name in rows(SETTINGS) if re.fullmatch(r"[a-z]+\.[a-z0-9_.]+", name)}
    assert tables == set(defaults())


@pytest.mark.parametrize("key", HOOK_READERS)
def test_every_key_of_a_hook_is_in_the_table(key: str) -> None:
    table = SETTINGS[SETTINGS.index("| a hook's key") : SETTINGS.index("| key | meaning")]
    assert f"`{key}`" in table


@pytest.mark.parametrize("event", EVENT_NAMES)
def test_every_event_is_named(event: str) -> None:
    assert f"`{event}`" in SETTINGS


def test_the_example_settings_load(tmp_path: Path) -> None:
    (example,) = blocks(SETTINGS, "toml")
    path = tmp_path / "spotwatch.toml"
    path.write_text(example)
    (hook,) = load(path, builtins=()).hooks
    assert (hook.name, hook.stage, hook.timeout, hook.reserve) == ("stop-taking-jobs", 10, 20.0, 5.0)


def test_the_variables_of_a_hook_are_those_of_the_help() -> None:
    pattern = r"SPOTWATCH_[A-Z_]+"
    told = section(SETTINGS, "What a hook is told")
    assert set(re.findall(pattern, told)) == set(re.findall(pattern, EPILOG))


# ------------------------------------------------------------------------------------------------------------- hooks


@pytest.mark.parametrize("name", NAMES)
def test_every_built_in_is_in_the_table_with_its_iam_actions(name: str) -> None:
    _, summary, actions = rows(HOOKS)[name]
    assert summary == built_in(name).SUMMARY
    assert actions == ", ".join(f"`{action}`" for action in built_in(name).IAM_ACTIONS)


def test_the_iam_policy_allows_what_preserve_volume_calls() -> None:
    (policy,) = (document for document in map(json.loads, blocks(HOOKS, "json")) if "Statement" in document)
    allowed = [statement["Action"] for statement in policy["Statement"]]
    named = {action for each in allowed for action in ([each] if isinstance(each, str) else each)}
    assert named == set(built_in("preserve-volume").IAM_ACTIONS)


@pytest.mark.parametrize("example", blocks(section(HOOKS, "Tell somebody"), "json"))
def test_the_templates_of_notifications_can_be_filled_in(example: str) -> None:
    filled = json.dumps(Template(example, "the manual").fill(notification("failed", hooks=(FAILED,))))
    assert "$" not in filled
    assert "i-0123456789abcdef0" in filled


def test_every_placeholder_of_a_template_is_named_and_no_other() -> None:
    table = section(HOOKS, "Tell somebody").partition("| placeholder |")[2]
    assert set(re.findall(r"`\$(\w+)`", table)) == set(FIELDS)


def test_every_state_and_its_words_on_events_are_told() -> None:
    told = " ".join(section(HOOKS, "Tell somebody").split())
    assert [state for state in DrainState if f"`{state}`" not in told] == []
    assert f"source `{SOURCE}`, detail type `{DETAIL_TYPE}`" in told


@pytest.mark.parametrize("example", blocks(HOOKS, "toml"))
def test_the_examples_of_built_ins_load_and_their_words_are_right(example: str, tmp_path: Path) -> None:
    path = tmp_path / "spotwatch.toml"
    path.write_text(example)
    for hook in load(path, builtins=NAMES).hooks:
        assert mistake_in(hook.command[len(BUILT_IN) :]) == ""


# ------------------------------------------------------------------------------------------------------------- drain


@pytest.mark.parametrize("status", list(HookStatus))
def test_every_status_of_a_hook_is_explained(status: str) -> None:
    assert f"`{status}`" in section(page("drain"), "The report of a drain")


# ------------------------------------------------------------------------------------------------------------- pools


def spotwatch(*words: str, directory: Path | None = None) -> str:
    """What a command prints; it must succeed."""
    command = [sys.executable, "-m", "spotwatch", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=directory).stdout


def pools_commands() -> list[list[str]]:
    """The words of every command line of the page."""
    return [shlex.split(line)[1:] for line in "".join(blocks(POOLS, "sh")).splitlines()]


def test_every_word_of_pools_on_its_page_is_one() -> None:
    known = "".join(spotwatch("pools", *action, "--help") for action in ([], ["check"], ["replay"]))
    written = {word for text in re.findall(r"`([^`]*)`", POOLS) for word in re.findall(r"--[a-z-]+", text)}
    assert written - set(re.findall(r"--[a-z-]+", known)) == set()


def test_every_format_is_named() -> None:
    assert [name for name in FORMATS if f"`{name}`" not in POOLS and f"--format {name}" not in POOLS] == []


def test_what_gives_way_is_in_the_order_that_the_manual_says() -> None:
    assert f"({', '.join('AZ' if kind == 'az' else kind for kind in ORDER)})" in " ".join(POOLS.split())


def test_every_iam_action_is_of_a_call_that_is_made() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "spotwatch" / "aws").glob("*.py"))
    actions = re.findall(r"`(?:ec2|servicequotas|pricing):(\w+)`", POOLS)
    assert len(actions) == 9
    assert [action for action in actions if f'"{action}"' not in source] == []


@needs_data
def test_what_equal_pools_cost_and_miss_is_as_the_table_says() -> None:
    words = shlex.split("--region ap-northeast-1 --class m --vcpus 1000 --json --prices")
    shown = {name: cells for name, cells in rows(POOLS).items() if re.match(r"--mode \w+( --unevenness 0%)?$", name)}
    assert len(shown) == 3
    for name, (_, usd, held, missing) in shown.items():
        told = json.loads(spotwatch("pools", *words, str(DATA / "pool_prices_dev.csv"), *shlex.split(name)))
        vcpus = [pool["vcpus"] for pool in told["pools"]]
        assert f"{told['usd_per_hour']:.2f}" == usd
        assert " to ".join(map(str, sorted({min(vcpus), max(vcpus)}))) == held
        (note,) = [note for note in told["notes"] if "missing" in note] or [""]
        assert re.findall(r"\d+\.\d%", note) == re.findall(r"\d+\.\d%", missing)


@pytest.mark.slow
@needs_data
def test_the_commands_about_pools_work_and_print_what_is_shown(tmp_path: Path) -> None:
    """All but those that ask AWS, which tests/cli/test_pools_live.py does."""
    plan, _, priced, check, replay, planned = pools_commands()
    for file in ("pool_prices_dev.csv", "spot_traces.csv"):
        (tmp_path / file).symlink_to(DATA / file)
    spotwatch(*plan, directory=tmp_path)
    printed = {line.rstrip() for line in spotwatch(*priced, directory=tmp_path).splitlines()}
    (shown,) = blocks(POOLS, "text")
    assert [line for line in shown.splitlines() if line.strip() not in ("", "…") and line not in printed] == []
    (tmp_path / "plan.json").write_text(spotwatch(*priced, "--json", directory=tmp_path))
    fleet = spotwatch(*priced, "--mode", "aligned", "--format", "ec2-fleet", directory=tmp_path)
    (tmp_path / "fleet.json").write_text(fleet)
    assert "no limit is broken" in spotwatch(*check, directory=tmp_path)
    assert spotwatch(*replay, "--markdown", directory=tmp_path) in POOLS
    assert spotwatch(*planned, "--draws", "1", directory=tmp_path)
