"""The settings of the demonstration are settings."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from spotwatch import hooks
from spotwatch.config import load
from spotwatch.core.event import EventKind
from spotwatch.core.hook import Hook
from spotwatch.simulate import demonstration


def loaded(text: str, tmp_path: Path) -> dict[str, Hook]:
    file = tmp_path / "demonstration.toml"
    file.write_text(text, encoding="utf-8")
    return {hook.name: hook for hook in load(file, builtins=hooks.NAMES).hooks}


def story(tmp_path: Path, volume: str = "/v", without: Sequence[str] = ()) -> dict[str, Hook]:
    text = demonstration.story_settings(
        words=["/usr/bin/python3", "-m", "host"], volume=Path(volume), pid_file=Path("/run/agent.pid"), without=without
    )
    return loaded(text, tmp_path)


def test_the_drain_alone_has_hooks_that_only_pretend(tmp_path: Path) -> None:
    names = ["stop-taking-jobs", "leave-load-balancer", "finish-requests", "flush-logs"]
    assert list(loaded(demonstration.SETTINGS, tmp_path)) == names


def test_the_volume_is_preserved_at_the_start_and_again_at_the_notice(tmp_path: Path) -> None:
    found = story(tmp_path)
    arming, again = found["arm-volume"], found["preserve-volume"]
    assert arming.command == again.command
    assert (EventKind.START in arming.on, EventKind.TERMINATE in again.on) == (True, True)


def test_without_preserving_the_volume_nothing_else_is_missing(tmp_path: Path) -> None:
    assert set(story(tmp_path)) - set(story(tmp_path, without=["preserve-volume"])) == {"arm-volume", "preserve-volume"}


@pytest.mark.parametrize("volume", ["/tmp/a b", '/tmp/"quoted"', "/tmp/back\\slash", "/tmp/{braces}", "/tmp/ärger"])
def test_a_path_of_any_kind_reaches_the_hooks_as_it_is(tmp_path: Path, volume: str) -> None:
    command = story(tmp_path, volume)["flush-logs"].command
    assert command[command.index("--mount-point") + 1] == volume
