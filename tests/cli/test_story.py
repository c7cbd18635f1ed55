"""``spotwatch simulate`` without words: the whole story, as a newcomer runs it."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from spotwatch.cli import simulate, story
from spotwatch.core.errors import UsageError
from spotwatch.host.processes import read_process, read_processes
from spotwatch.simulate import rehearsal
from tests.cli.conftest import command_line, environment

pytestmark = pytest.mark.slow

Main = Callable[..., tuple[int, str, str]]
Started = Callable[..., subprocess.Popen[str]]
Performed = Callable[[str], subprocess.CompletedProcess[str]]

PATIENCE = 120.0
"""It takes twenty seconds on a machine with nothing else to do."""

RUNS: dict[str, tuple[str, ...]] = {
    "whole": (),
    "json": ("--json",),
    "without the volume": ("--without", "preserve-volume", "--json"),
    "without ship": ("--without", "ship", "--json"),
}


@pytest.fixture(scope="module")
def performed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Performed]:
    """The outcome of one of `RUNS`; all are played side by side, since they mostly wait."""

    def perform(name: str) -> subprocess.CompletedProcess[str]:
        foreign = {
            "AWS_PROFILE": "production",
            "HTTP_PROXY": "http://192.0.2.1:8080",
            "AWS_ENDPOINT_URL_EC2": "http://x",
        }
        return subprocess.run(
            command_line("simulate", *RUNS[name]),
            env=environment(tmp_path_factory.mktemp("story"), **foreign),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    with ThreadPoolExecutor(max_workers=2) as stage:
        futures = {name: stage.submit(perform, name) for name in RUNS}
        yield lambda name: futures[name].result()


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told


def in_order(text: str, parts: Sequence[str]) -> bool:
    places = [text.index(part) for part in parts]
    return places == sorted(places)


@pytest.mark.acceptance
class TestStory:
    def test_no_line_is_lost_and_none_is_twice(self, performed: Performed) -> None:
        done = performed("json")
        told = document(done)
        assert (done.returncode, done.stderr, told["passed"], told["problems"]) == (0, "", True, [])
        log = told["log"]
        assert (log["lost"], log["twice"], log["foreign"]) == (0, 0, 0)
        assert log["sent"] + log["shipped"] == log["written"]
        assert log["sent"] > log["shipped"] > 0, "the agent has sent most of it, and something was left"
        assert log["half_line_bytes"] > 0, "it died in the middle of a line"
        assert log["half_line_shipped"]

    def test_it_is_told_as_it_happens_in_the_order_of_the_story(self, performed: Performed) -> None:
        out = performed("whole").stdout
        happenings = [
            "log volume        vol-",
            " app    writes its log, line ",
            " AWS    interruption notice: terminate, 2 min to go\n",
            " daemon preserve-volume succeeded after ",
            " daemon flush-logs succeeded after ",
            " agent  has sent ",
            " daemon stopped\n",
            " dies in the middle of line ",
            " has survived its instance\n",
            " ship   ",
            "terminate: noticed with ",
            " log lines  written ",
            "drained in time, with ",
            "; no log line lost, none twice\n",
        ]
        assert in_order(out, happenings)
        # On a busy machine the notice comes before the volume is armed, which holds up nothing.
        assert in_order(
            out, [" app    writes its log, line ", " daemon arm-volume succeeded after ", " daemon stopped\n"]
        )

    def test_nothing_wraps_at_80_columns_and_nothing_is_colored(self, performed: Performed) -> None:
        out = performed("whole").stdout
        assert [line for line in out.splitlines() if len(line.rstrip()) > 80] == []
        assert "\x1b" not in out

    def test_a_volume_that_nobody_preserves_takes_its_lines_with_it(self, performed: Performed) -> None:
        done = performed("without the volume")
        told = document(done)
        log = told["log"]
        assert (done.returncode, told["passed"]) == (1, False)
        assert log["lost"] == log["written"] - log["sent"] > 0
        assert (log["shipped"], log["half_line_shipped"]) == (0, False)
        assert told["sentence"].endswith(f"; {log['lost']} of {log['written']} log lines lost")
        assert any(line["name"].endswith("is deleted with its instance") for line in told["lines"])

    def test_a_volume_that_nobody_ships_has_what_was_not_sent(self, performed: Performed) -> None:
        done = performed("without ship")
        log = document(done)["log"]
        assert (done.returncode, log["shipped"]) == (1, 0)
        assert log["lost"] == log["written"] - log["sent"] > 0


# While it runs


def wait_for(condition: Callable[[], object]) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, "it never came to that"
        time.sleep(0.02)


def descendants(pid: int) -> set[int]:
    table = read_processes()
    found, before = {pid}, set[int]()
    while found != before:
        before = set(found)
        found |= {process.pid for process in table.values() if process.parent in found}
    return found - {pid}


def all_gone(pids: set[int]) -> bool:
    return not any(process.is_alive for pid in pids if (process := read_process(pid)) is not None)


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    assert any(text in line for line in process.stdout), f'it never said "{text}"'


MOMENTS = {"draining": "finish-requests starts", "dying": "daemon stopped", "shipping": "has survived its instance"}


@pytest.mark.acceptance
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_ctrl_c_leaves_nothing_behind(started: Started, tmp_path: Path, moment: str) -> None:
    process = started("simulate")
    read_until(process, moment)
    pids = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (130, "")
    assert out.splitlines()[-1] == "interrupted: the rehearsal was not played to its end"
    assert all_gone(pids)
    assert list(tmp_path.glob("spotwatch-rehearsal-*")) == []


@pytest.mark.acceptance
def test_ctrl_c_before_the_first_line_leaves_nothing_behind(started: Started, tmp_path: Path) -> None:
    process = started("simulate")
    wait_for(lambda: list(tmp_path.glob("spotwatch-rehearsal-*/log-volume/log/*")))
    pids = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert pids
    assert all_gone(pids)
    assert list(tmp_path.glob("spotwatch-rehearsal-*")) == []


@pytest.mark.acceptance
def test_a_story_that_is_killed_takes_all_its_programs_with_it(started: Started) -> None:
    process = started("simulate")
    read_until(process, "daemon started")
    pids = descendants(process.pid)
    process.kill()
    wait_for(lambda: all_gone(pids))


class TestWithoutItsLibraries:
    @pytest.fixture(autouse=True)
    def nothing_is_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(story, "LIBRARIES", ("moto", "no_such_library"))

    def test_what_is_missing_is_named(self) -> None:
        assert story.what_is_missing() == "no_such_library"

    def test_the_drain_alone_is_played_and_what_is_missing_is_said(
        self, main: Main, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(simulate, "DEFAULT_STEPS", ())
        monkeypatch.setattr(rehearsal, "SETTLE_SECONDS", 0.1)
        code, out, _ = main("simulate")
        assert code == 0
        assert "log               not played without no_such_library: pip install '.[simulate]'\n" in out
        assert out.splitlines()[-1] == "nothing had to be drained"

    def test_a_part_of_the_story_cannot_be_left_out(self, main: Main) -> None:
        code, _, err = main("simulate", "--without", "ship")
        assert code == UsageError.exit_code
        assert err == (
            "spotwatch: the log's story cannot be played without no_such_library\nhint: pip install '.[simulate]'\n"
        )
