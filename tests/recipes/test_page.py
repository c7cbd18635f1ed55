"""The page of recipes: everything that is shown can be pasted. What it does is for the other files here."""

import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from spotwatch.cli import _parse
from spotwatch.config import load
from spotwatch.core.event import EventKind
from spotwatch.hooks import NAMES
from spotwatch.simulate.service import MetadataService
from tests.documents import blocks
from tests.recipes.recipe import PAGE, Recipe, recipes

ASKED_FOR = (
    "HAProxy on another machine",
    "HAProxy on the instance",
    "nginx",
    "Docker",
    "Kubernetes",
    "Nomad",
    "Consul",
    "GitLab Runner",
    "GitHub Actions runner",
)

OWN = "/usr/local/bin/"
"""Where the page puts programs."""

every_recipe = pytest.mark.parametrize("recipe", recipes().values(), ids=lambda recipe: recipe.title)


def commands(recipe: Recipe) -> dict[str, list[str]]:
    """The commands of its hooks, by their names."""
    return {hook["name"]: hook["command"] for hook in tomllib.loads(recipe.settings)["hook"]}


def scripts() -> dict[str, str]:
    """Every script that is shown: the files, and the shell commands of hooks."""
    found: dict[str, str] = {}
    for recipe in recipes().values():
        found |= {path: text for path, text in recipe.files.items() if path.startswith(OWN)}
        found |= {name: words[2] for name, words in commands(recipe).items() if words[:2] == ["/bin/sh", "-c"]}
    return found


def written(directory: Path, settings: str) -> Path:
    path = directory / "spotwatch.toml"
    path.write_text(settings)
    return path


def test_there_is_a_recipe_for_all_that_was_asked_for() -> None:
    assert tuple(recipes()) == ASKED_FOR


@every_recipe
def test_a_recipe_says_what_it_needs_and_waits_for_what_the_deadline_does_how_it_is_undone_and_was_tested(
    recipe: Recipe,
) -> None:
    said = ("- Needs:", "- Waits for:", "- At ", "- Undone:", "- Tested:")
    assert [word for word in said if word not in recipe.text] == []


@every_recipe
def test_every_wait_has_a_limit_or_leaves_later_hooks_what_they_reserve_and_one_hook_undoes_it_all(
    recipe: Recipe, tmp_path: Path
) -> None:
    hooks = load(written(tmp_path, recipe.settings), builtins=NAMES).hooks
    for_the_end = [hook for hook in hooks if EventKind.TERMINATE in hook.on]
    (undo,) = (hook for hook in hooks if hook not in for_the_end)
    assert undo.on == {EventKind.START}
    assert undo.timeout is not None
    for hook in for_the_end:
        later = [other for other in for_the_end if other.stage > hook.stage]
        assert hook.timeout is not None or hook.reserve or any(other.reserve for other in later), hook.name


@every_recipe
def test_a_recipe_is_accepted_by_check_once_its_programs_are_there(
    recipe: Recipe, tmp_path: Path, main: Callable[..., tuple[int, str, str]]
) -> None:
    """Its own programs are looked for below a directory of the test's."""
    settings = written(tmp_path, recipe.settings.replace(OWN, f"{tmp_path}/"))
    for words in commands(recipe).values():
        if words[0].startswith(OWN):
            (tmp_path / Path(words[0]).name).touch(0o755)
    ours = (f"state.directory={tmp_path}/state", f"state.runtime_directory={tmp_path}/run")
    with MetadataService() as service:
        options = [word for value in (*ours, f"metadata.endpoint={service.url}") for word in ("--set", value)]
        code, out, _ = main("check", "--json", "-c", str(settings), *options)
    found = json.loads(out)
    assert (code, [each for each in found if each["grade"] == "problem"]) == (0, [])
    warnings = [each["text"] for each in found if each["grade"] == "warning" and each["subject"] != "budget"]
    assert warnings == []


def test_all_recipes_together_are_one_set_of_hooks(tmp_path: Path) -> None:
    settings = "\n".join(recipe.settings for recipe in recipes().values())
    assert len(load(written(tmp_path, settings), builtins=NAMES).hooks) == settings.count("[[hook]]")


@pytest.mark.parametrize("script", scripts().values(), ids=scripts())
def test_a_script_is_one_for_every_sh(script: str) -> None:
    done = subprocess.run(["/bin/sh", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@every_recipe
def test_every_program_of_a_recipe_s_own_is_shown(recipe: Recipe) -> None:
    named = {words[0] for words in commands(recipe).values() if words[0].startswith(OWN)}
    assert named - {f"{OWN}consul"} <= set(recipe.files)


def test_what_is_for_other_programs_is_yaml() -> None:
    shown = [yaml.safe_load(block) for block in blocks(PAGE, "yaml")]
    assert [isinstance(document, dict) for document in shown] == [True, True]


def test_every_command_line_of_spotwatch_is_one() -> None:
    lines = re.findall(r"`spotwatch ((?!simulate)[a-z]+ -[^`]*)`", PAGE)
    assert lines
    for line in lines:
        _parse(shlex.split(line))


def test_a_token_is_never_in_the_settings() -> None:
    for recipe in recipes().values():
        environments = [hook.get("environment", {}) for hook in tomllib.loads(recipe.settings)["hook"]]
        named = {name: value for environment in environments for name, value in environment.items()}
        assert [name for name, value in named.items() if "TOKEN" in name and not value.startswith("/etc/")] == [], PAGE
