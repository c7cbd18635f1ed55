"""``spotwatch drain``: the same drain by hand, with and without a daemon, beside another and against a real notice."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from spotwatch.core.report import DrainReport
from spotwatch.core.settings import StateSettings
from spotwatch.host.journal import Journal, PastDrain
from spotwatch.host.journal_file import Access
from spotwatch.host.lock import DirectoryLock
from spotwatch.host.records import Records
from spotwatch.simulate.service import MetadataService
from tests.cli.conftest import PATIENCE, Spotwatch
from tests.daemon.process import DaemonProcess, from_now, hook, statuses

pytestmark = [pytest.mark.slow, pytest.mark.acceptance]

Main = Callable[..., tuple[int, str, str]]
Started = Callable[..., subprocess.Popen[str]]

LOOK_SECONDS = 0.01

JOIN = 'echo joined >> "$T/joined"'
WAIT = 'echo $$ > "$T/waits"; while [ ! -e "$T/go" ]; do sleep 0.02; done'


@dataclass(frozen=True)
class Place:
    """The directories of one daemon, whether it runs or not, and the words that name them."""

    directory: Path

    @property
    def state(self) -> Path:
        return self.directory / "state"

    def settle(self, *hooks: str) -> None:
        """Write the settings file; ``$T`` is the directory, as for `DaemonProcess`."""
        text = "\n".join(hooks).replace("$T", str(self.directory))
        (self.directory / "spotwatch.toml").write_text(text)

    def words(self, endpoint: str = "http://127.0.0.1:9") -> list[str]:
        values = {
            "state.directory": self.state,
            "state.runtime_directory": self.directory / "run",
            "metadata.endpoint": endpoint,
            "metadata.poll_interval": "100ms",
        }
        setting = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
        return ["drain", "--config", str(self.directory / "spotwatch.toml"), *setting]

    def past_drains(self) -> list[PastDrain]:
        with closing(Journal(str(self.state), Access.READ)) as journal:
            return journal.history()

    def wait_for(self, name: str) -> str:
        """The text of a file in the directory, as soon as there is some."""
        give_up = time.monotonic() + PATIENCE
        path = self.directory / name
        while not (path.exists() and path.read_text()):
            assert time.monotonic() < give_up, f"waited in vain for {name}"
            time.sleep(LOOK_SECONDS)
        return path.read_text()

    def go(self) -> None:
        """Let the hook that waits go on."""
        (self.directory / "go").touch()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """The exit code, the output and the complaints of a command, at its end."""
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def hooks_end(daemon: DaemonProcess) -> None:
    """Wait until the hooks that a dead daemon has left behind have ended by themselves."""
    give_up = time.monotonic() + PATIENCE
    while daemon.survivors():
        assert time.monotonic() < give_up, "its hooks do not end"
        time.sleep(LOOK_SECONDS)


class TestWithoutADaemon:
    def test_it_runs_the_hooks_itself_and_leaves_a_report_and_a_closed_drain(
        self, spotwatch: Spotwatch, place: Place
    ) -> None:
        place.settle(hook("first", 'echo "$SPOTWATCH_EVENT" > "$T/told"', stage=1), hook("second", "true", stage=2))
        done = spotwatch(*place.words())
        assert done.returncode == 0, done.stderr
        assert (place.directory / "told").read_text() == "terminate\n"
        assert "drained" in done.stdout.splitlines()[0]
        assert done.stdout.splitlines()[1:] == ["  stage 1    first: succeeded", "  stage 2    second: succeeded"]
        (drain,) = place.past_drains()
        assert (drain.closed, drain.note) == (True, "it was done by hand")
        (report,) = Records(replace(StateSettings(), directory=str(place.state))).reports()
        assert (report.drain, statuses(report)) == (drain.id, {"first": "succeeded", "second": "succeeded"})

    def test_event_and_deadline_are_what_the_hooks_are_told(self, spotwatch: Spotwatch, place: Place) -> None:
        tell = 'echo "$SPOTWATCH_EVENT $SPOTWATCH_SECONDS_LEFT" > "$T/told"'
        place.settle(hook("tell", tell, on=["rebalance"]), hook("other", "exit 1"))
        done = spotwatch(*place.words(), "--event", "rebalance", "--deadline", "90s")
        assert done.returncode == 0, done.stderr
        event, seconds = (place.directory / "told").read_text().split()
        assert event == "rebalance"
        assert 85 < float(seconds) <= 90

    def test_json_is_the_report(self, spotwatch: Spotwatch, place: Place) -> None:
        place.settle(hook("only", "true"))
        report = DrainReport.from_json(json.loads(spotwatch(*place.words(), "--json").stdout))
        assert (report.verdict, report.event, statuses(report)) == ("drained", "terminate", {"only": "succeeded"})

    @pytest.mark.parametrize(("script", "fate"), [("exit 3", "failed"), ("exec sleep 60", "timed-out")])
    def test_a_hook_that_does_not_do_its_work_is_1(
        self, spotwatch: Spotwatch, place: Place, script: str, fate: str
    ) -> None:
        place.settle(hook("work", script, timeout="300ms"))
        done = spotwatch(*place.words())
        assert done.returncode == 1
        assert f"  stage 50   work: {fate}" in done.stdout

    def test_sigint_ends_it_with_its_hooks(self, started: Started, place: Place) -> None:
        place.settle(hook("slow", WAIT, stage=1), hook("never", 'echo ran > "$T/never"', stage=2))
        process = started(*place.words())
        pid = int(place.wait_for("waits"))
        process.send_signal(signal.SIGINT)
        code, out, _ = ended(process)
        assert code == 1
        assert "slow: canceled" in out
        assert "never: canceled (the daemon was told to stop)" in out
        assert not (place.directory / "never").exists()
        assert not Path(f"/proc/{pid}").exists()

    def test_a_real_notice_upgrades_it(self, started: Started, place: Place) -> None:
        with MetadataService() as service:
            place.settle(
                hook("both", WAIT, on=["rebalance", "terminate"], stage=1),
                hook("leave", 'echo "$SPOTWATCH_EVENT" > "$T/left"', stage=2),
            )
            process = started(*place.words(service.url), "--event", "rebalance", "--json")
            place.wait_for("waits")
            service.interrupt("terminate", from_now(60))
            asked = len(service.requests)
            while len(service.requests) < asked + 10:
                time.sleep(LOOK_SECONDS)
            place.go()
            code, out, err = ended(process)
        assert code == 0, err
        report = DrainReport.from_json(json.loads(out))
        assert [(event.event, event.effect) for event in report.events] == [
            ("rebalance", "began"),
            ("terminate", "upgraded"),
        ]
        assert statuses(report) == {"both": "succeeded", "leave": "succeeded"}
        assert (place.directory / "left").read_text() == "terminate\n"

    def test_a_second_one_beside_it_is_75(self, started: Started, spotwatch: Spotwatch, place: Place) -> None:
        place.settle(hook("slow", WAIT))
        process = started(*place.words())
        place.wait_for("waits")
        second = spotwatch(*place.words())
        assert second.returncode == 75
        assert "hint: " in second.stderr
        place.go()
        assert ended(process)[0] == 0
        assert len(place.past_drains()) == 1

    def test_a_state_directory_that_cannot_be_used_keeps_no_hook_from_running(
        self, spotwatch: Spotwatch, place: Place
    ) -> None:
        place.settle(hook("work", 'echo done > "$T/worked"'))
        place.state.touch()
        done = spotwatch(*place.words(), "--json")
        assert (place.directory / "worked").read_text() == "done\n"
        report = DrainReport.from_json(json.loads(done.stdout))
        assert report.not_recorded[0].startswith(f"journal: {place.state}/journal.sqlite cannot be used: ")


class TestDryRun:
    def test_it_tells_what_would_run_and_runs_nothing(self, main: Main, place: Place) -> None:
        place.settle(hook("first", 'touch "$T/ran"', stage=1, timeout="20s"), hook("last", 'touch "$T/ran"', stage=2))
        code, out, err = main(*place.words(), "--dry-run", "--deadline", "60s")
        assert (code, err) == (0, "")
        assert out.splitlines() == [
            "terminate with 60 s to go, if every hook took all it may:",
            "  stage 1    first: from 0 s, for at most 20 s",
            "  stage 2    last: from 20 s, for at most 34.5 s",
        ]
        assert [path.name for path in place.directory.iterdir()] == ["spotwatch.toml"]

    def test_a_hook_that_there_is_no_time_for_is_named(self, main: Main, place: Place) -> None:
        place.settle(hook("long", "true", stage=1), hook("save", "true", stage=2, reserve="50s"))
        _, out, _ = main(*place.words(), "--dry-run", "--deadline", "40s")
        assert "long: given up, 40 s left, and later stages have 50 s reserved" in out.replace("52.5 s", "50 s")

    def test_as_json_it_is_what_would_become_of_each_hook(self, main: Main, place: Place) -> None:
        place.settle(hook("first", "true", timeout="20s"))
        (outcome,) = json.loads(main(*place.words(), "--dry-run", "--json")[1])
        assert (outcome["hook"], outcome["status"], outcome["allowed"]) == ("first", "succeeded", 20.0)

    def test_without_a_hook_for_the_event_it_says_so(self, main: Main, place: Place) -> None:
        place.settle(hook("leave", "true", on=["terminate"]))
        assert main(*place.words(), "--dry-run", "--event", "rebalance")[1].endswith("\n  no hook is for this event\n")


class TestCommandLine:
    @pytest.mark.parametrize(
        "words", [("--event", "flood"), ("--deadline", "0s"), ("--deadline", "soon"), ("--deadline", "-5s")]
    )
    def test_what_makes_no_sense_is_64(self, main: Main, place: Place, words: tuple[str, str]) -> None:
        place.settle(hook("work", 'touch "$T/ran"'))
        code, _, err = main(*place.words(), *words)
        assert code == 64
        assert words[0] in err
        assert not (place.directory / "ran").exists()

    def test_settings_with_mistakes_are_78(self, main: Main, place: Place) -> None:
        place.settle("[drain]\nmargn = 3\n")
        assert main(*place.words())[0] == 78


class TestWithADaemon:
    def test_the_daemon_does_it_and_arms_again(self, spotwatch: Spotwatch, place: Place) -> None:
        hooks = hook("join", JOIN, on=["start"]), hook("leave", 'echo "$PPID" > "$T/left"')
        with MetadataService() as service, DaemonProcess(place.directory, *hooks, endpoint=service.url) as daemon:
            daemon.report("start")
            done = spotwatch(*place.words(service.url), "--json", "--deadline", "30s")
            assert done.returncode == 0, done.stderr
            report = DrainReport.from_json(json.loads(done.stdout))
            assert (statuses(report), report.seconds_left) == ({"leave": "succeeded"}, 30.0)
            assert int(daemon.written("left")) == daemon.pid
            daemon.report("start", nth=2)
            assert daemon.written("joined") == "joined\njoined\n"
            assert report.drain in {drain.id for drain in place.past_drains() if drain.closed}

    def test_it_can_be_done_again(self, spotwatch: Spotwatch, place: Place) -> None:
        leave = hook("leave", 'echo left >> "$T/left"')
        with MetadataService() as service, DaemonProcess(place.directory, leave, endpoint=service.url) as daemon:
            daemon.record("instance")
            codes = [spotwatch(*place.words(service.url)).returncode for _ in range(2)]
            assert codes == [0, 0]
            assert daemon.written("left") == "left\nleft\n"

    def test_its_report_is_there_also_where_the_history_keeps_one_drain_and_the_daemon_has_armed_since(
        self, spotwatch: Spotwatch, place: Place
    ) -> None:
        hooks = hook("join", JOIN, on=["start"]), hook("leave", "true"), "[state]\nkeep_drains = 1\n"
        with MetadataService() as service, DaemonProcess(place.directory, *hooks, endpoint=service.url) as daemon:
            daemon.report("start")
            done = spotwatch(*place.words(service.url), "--json")
            assert done.returncode == 0, done.stderr
            assert statuses(DrainReport.from_json(json.loads(done.stdout))) == {"leave": "succeeded"}

    def test_a_hook_that_fails_is_1(self, spotwatch: Spotwatch, place: Place) -> None:
        fail = hook("fail", "exit 3")
        with MetadataService() as service, DaemonProcess(place.directory, fail, endpoint=service.url) as daemon:
            daemon.record("instance")
            done = spotwatch(*place.words(service.url))
            assert (done.returncode, done.stderr) == (1, "")
            assert "fail: failed" in done.stdout

    def test_while_a_drain_is_going_on_it_is_75_and_nothing_runs_twice(
        self, spotwatch: Spotwatch, place: Place
    ) -> None:
        slow = hook("slow", f'echo ran >> "$T/runs"; {WAIT}')
        with MetadataService() as service, DaemonProcess(place.directory, slow, endpoint=service.url) as daemon:
            service.interrupt("terminate", from_now(60))
            daemon.written("waits")
            refused = spotwatch(*place.words(service.url))
            assert (refused.returncode, refused.stdout) == (75, "")
            assert "a drain is going on\nhint: " in refused.stderr
            daemon.record("request-refused", level="warning")
            place.go()
            assert daemon.report().verdict == "drained"
            assert daemon.written("runs") == "ran\n"

    def test_a_real_notice_upgrades_it_and_is_not_drained_again(self, started: Started, place: Place) -> None:
        hooks = (
            hook("both", WAIT, on=["rebalance", "terminate"], stage=1),
            hook("leave", 'echo left >> "$T/left"', stage=2),
            hook("join", JOIN, on=["start"]),
        )
        with MetadataService() as service, DaemonProcess(place.directory, *hooks, endpoint=service.url) as daemon:
            daemon.report("start")
            process = started(*place.words(service.url), "--event", "rebalance", "--deadline", "5s", "--json")
            daemon.written("waits")
            service.interrupt("terminate", from_now(60))
            daemon.record("drain-upgraded")
            place.go()
            code, out, err = ended(process)
            assert code == 0, err
            assert statuses(DrainReport.from_json(json.loads(out))) == {"both": "succeeded", "leave": "succeeded"}
            daemon.pass_by(5)
            assert daemon.written("left") == "left\n"
            assert daemon.written("joined") == "joined\n", "it has armed again though the notice stands"

    def test_sigint_leaves_the_drain_to_the_daemon(self, started: Started, place: Place) -> None:
        slow = hook("slow", WAIT)
        with MetadataService() as service, DaemonProcess(place.directory, slow, endpoint=service.url) as daemon:
            daemon.record("instance")
            process = started(*place.words(service.url))
            daemon.written("waits")
            process.send_signal(signal.SIGINT)
            assert ended(process)[0] == 130
            place.go()
            assert daemon.report().verdict == "drained"

    def test_a_daemon_that_dies_meanwhile_is_69(self, started: Started, place: Place) -> None:
        slow = hook("slow", WAIT)
        with MetadataService() as service, DaemonProcess(place.directory, slow, endpoint=service.url) as daemon:
            daemon.record("instance")
            process = started(*place.words(service.url))
            daemon.written("waits")
            daemon.pass_by(1)
            daemon.signal(signal.SIGKILL)
            assert daemon.exit_code() == -signal.SIGKILL
            code, _, err = ended(process)
            assert code == 69
            assert "has left no report" in err
            place.go()
            hooks_end(daemon)

    def test_status_tells_of_it_as_of_any_drain(self, spotwatch: Spotwatch, place: Place) -> None:
        leave = hook("leave", "true")
        with MetadataService() as service, DaemonProcess(place.directory, leave, endpoint=service.url) as daemon:
            daemon.record("instance")
            spotwatch(*place.words(service.url))
            _, *words = place.words(service.url)
            told = json.loads(spotwatch("status", "--json", *words).stdout)
            (drain,) = place.past_drains()
            assert (told["last_drain"]["drain"], told["last_drain"]["verdict"]) == (drain.id, "drained")


@pytest.fixture
def held(place: Place) -> Any:
    """A daemon's lock without a daemon that would look for requests."""
    (place.directory / "run").mkdir()
    place.state.mkdir()
    place.settle(hook("work", 'touch "$T/ran"'))
    return DirectoryLock(place.directory / "run")


class TestADaemonThatCannotBeAsked:
    def test_one_that_has_no_journal_is_73(self, spotwatch: Spotwatch, place: Place, held: DirectoryLock) -> None:
        with held:
            refused = spotwatch(*place.words())
        assert refused.returncode == 73
        assert "journal.sqlite cannot be used" in refused.stderr
        assert list(place.state.iterdir()) == []

    def test_one_whose_number_nobody_knows_is_69_and_nobody_is_signaled(
        self, spotwatch: Spotwatch, place: Place, held: DirectoryLock
    ) -> None:
        """Number 0 would be our own process group: the script that called us."""
        Journal(str(place.state)).close()
        with held:
            os.truncate(place.directory / "run" / "lock", 0)
            refused = spotwatch(*place.words())
        assert refused.returncode == 69
        assert "does not say which process it is" in refused.stderr
        assert not (place.directory / "ran").exists()

    def test_a_request_that_nobody_took_is_withdrawn(
        self, spotwatch: Spotwatch, place: Place, held: DirectoryLock
    ) -> None:
        Journal(str(place.state)).close()
        with held:
            os.truncate(place.directory / "run" / "lock", 0)
            spotwatch(*place.words())
        with closing(Journal(str(place.state))) as journal:
            assert journal.requests.waiting() == []
