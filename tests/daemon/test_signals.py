"""Signals to the real daemon: what ends it, what it finishes first, and what it is like after a sudden death."""

import signal
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM

import pytest

from spotwatch.simulate.service import MetadataService
from tests.daemon.process import QUICK, DaemonProcess, from_now, hook, statuses

pytestmark = pytest.mark.slow

AT_ONCE = 2.0
"""Seconds within which the daemon leaves where nothing holds it up; hooks here would run for a minute."""

GATE = 'echo waiting > "$T/at-the-gate"; while [ ! -e "$T/go" ]; do sleep 0.02; done'
COUNT = 'echo "$SPOTWATCH_EVENT" >> "$T/$SPOTWATCH_HOOK"'
SLOW = "echo began > $T/began; sleep 60"


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_one_signal_ends_a_daemon_that_watches(tmp_path: Path, number: signal.Signals) -> None:
    with MetadataService() as service, DaemonProcess(tmp_path, hook("drain", COUNT), endpoint=service.url) as daemon:
        daemon.record("instance")
        daemon.signal(number)
        assert daemon.exit_code(AT_ONCE) == 0
        daemon.record("daemon-stopped")
    assert not (tmp_path / "drain").exists()


def test_one_signal_ends_a_daemon_that_waits_for_a_silent_service(tmp_path: Path) -> None:
    with (
        MetadataService(hop_limit_exceeded=True) as service,
        DaemonProcess(
            tmp_path, hook("drain", COUNT), endpoint=service.url, options=["metadata.timeout=500ms"]
        ) as daemon,
    ):
        daemon.record("daemon-started")
        daemon.signal(SIGTERM)
        assert daemon.exit_code(AT_ONCE) == 0


def test_the_first_sigterm_lets_a_drain_finish(tmp_path: Path) -> None:
    hooks = hook("gate", GATE, stage=1), hook("last", COUNT, stage=2)
    with MetadataService() as service, DaemonProcess(tmp_path, *hooks, endpoint=service.url) as daemon:
        service.interrupt("terminate", from_now(60))
        daemon.written("at-the-gate")
        daemon.signal(SIGTERM)
        assert daemon.record("stop-waits-for-drain")["seconds_left"] == pytest.approx(60, abs=3)
        (tmp_path / "go").touch()
        report = daemon.report("terminate")
        assert daemon.exit_code(AT_ONCE) == 0
    assert report.verdict == "drained"
    assert (tmp_path / "last").exists()


@pytest.mark.parametrize("defence", ["", "trap '' TERM; "], ids=["obedient hook", "stubborn hook"])
def test_the_second_sigterm_ends_a_drain(tmp_path: Path, defence: str) -> None:
    hooks = hook("slow", defence + SLOW, stage=1), hook("last", COUNT, stage=2)
    with MetadataService() as service, DaemonProcess(tmp_path, *hooks, endpoint=service.url) as daemon:
        service.interrupt("terminate", from_now(60))
        daemon.written("began")
        daemon.signal(SIGTERM)
        daemon.record("stop-waits-for-drain")
        daemon.signal(SIGTERM)
        report = daemon.report("terminate")
        assert daemon.exit_code(AT_ONCE) == 0
    assert (report.verdict, statuses(report)) == ("canceled", {"slow": "canceled", "last": "canceled"})


def test_sigterm_without_a_notice_drains_where_the_settings_ask_for_it(tmp_path: Path) -> None:
    hooks, options = hook("leave", COUNT, on=["shutdown", "terminate"]), (*QUICK, "drain.on_shutdown=true")
    with MetadataService() as service, DaemonProcess(tmp_path, hooks, endpoint=service.url, options=options) as daemon:
        daemon.record("instance")
        daemon.signal(SIGTERM)
        assert daemon.report("shutdown").verdict == "drained"
        assert daemon.exit_code(AT_ONCE) == 0
    assert (tmp_path / "leave").read_text().split() == ["shutdown"]


def test_a_second_sigterm_ends_the_drain_that_the_first_began(tmp_path: Path) -> None:
    hooks, options = hook("slow", SLOW, on=["shutdown"]), (*QUICK, "drain.on_shutdown=true")
    with MetadataService() as service, DaemonProcess(tmp_path, hooks, endpoint=service.url, options=options) as daemon:
        daemon.record("instance")
        daemon.signal(SIGTERM)
        daemon.written("began")
        daemon.signal(SIGTERM)
        assert daemon.exit_code(AT_ONCE) == 0
        assert daemon.report("shutdown").verdict == "canceled"


def test_a_notice_that_comes_while_a_shutdown_is_drained_upgrades_it(tmp_path: Path) -> None:
    hooks = hook("gate", GATE, on=["shutdown", "terminate"]), hook("last", COUNT, stage=60)
    options = (*QUICK, "drain.on_shutdown=true")
    with MetadataService() as service, DaemonProcess(tmp_path, *hooks, endpoint=service.url, options=options) as daemon:
        daemon.record("instance")
        daemon.signal(SIGTERM)
        daemon.written("at-the-gate")
        service.interrupt("terminate", from_now(60))
        daemon.record("drain-upgraded")
        (tmp_path / "go").touch()
        assert daemon.report("terminate").verdict == "drained"
        assert daemon.exit_code(AT_ONCE) == 0
    assert (tmp_path / "last").read_text().split() == ["terminate"]


def test_sigterm_during_the_start_hooks_ends_them(tmp_path: Path) -> None:
    hooks = hook("arm", SLOW, on=["start"])
    with MetadataService() as service, DaemonProcess(tmp_path, hooks, endpoint=service.url) as daemon:
        daemon.written("began")
        daemon.signal(SIGTERM)
        assert daemon.exit_code(AT_ONCE) == 0
        assert statuses(daemon.report("start")) == {"arm": "canceled"}


def test_sighup_brings_the_new_settings_into_force(tmp_path: Path) -> None:
    with MetadataService() as service, DaemonProcess(tmp_path, hook("old", COUNT), endpoint=service.url) as daemon:
        daemon.record("instance")
        daemon.settle(hook("new", COUNT), hook("another", COUNT))
        daemon.signal(SIGHUP)
        assert daemon.record("settings-reloaded")["hooks"] == 2
        service.interrupt("terminate", from_now(60))
        assert statuses(daemon.report("terminate")) == {"new": "succeeded", "another": "succeeded"}


def test_sighup_with_mistakes_names_them_all_and_changes_nothing(tmp_path: Path) -> None:
    with MetadataService() as service, DaemonProcess(tmp_path, hook("old", COUNT), endpoint=service.url) as daemon:
        daemon.record("instance")
        daemon.settle(hook("new", COUNT, reserv="2s"), "[drain]\nmargin = 3\n")
        daemon.signal(SIGHUP)
        daemon.record("reload-refused", level="error")
        mistakes = [record["mistake"] for record in daemon.records("settings-mistake", level="error")]
        service.interrupt("terminate", from_now(60))
        assert statuses(daemon.report("terminate")) == {"old": "succeeded"}
    assert len(mistakes) == 2
    assert all("spotwatch.toml" in mistake for mistake in mistakes)
    assert any('did you mean "reserve"?' in mistake for mistake in mistakes)


def test_sighup_during_a_drain_leaves_the_drain_as_it_was(tmp_path: Path) -> None:
    hooks = hook("gate", GATE, stage=1), hook("last", COUNT, stage=2)
    with MetadataService() as service, DaemonProcess(tmp_path, *hooks, endpoint=service.url) as daemon:
        service.interrupt("terminate", from_now(60))
        daemon.written("at-the-gate")
        daemon.settle(hook("new", COUNT))
        daemon.signal(SIGHUP)
        daemon.record("settings-reloaded")
        (tmp_path / "go").touch()
        assert statuses(daemon.report("terminate")) == {"gate": "succeeded", "last": "succeeded"}


def test_a_daemon_that_was_killed_in_a_drain_goes_on_with_it_when_it_is_started_again(tmp_path: Path) -> None:
    hooks = hook("gate", GATE, stage=1), hook("last", COUNT, stage=2)
    with MetadataService() as service:
        service.interrupt("terminate", from_now(60))
        with DaemonProcess(tmp_path, *hooks, endpoint=service.url) as killed:
            killed.written("at-the-gate")
            killed.signal(SIGKILL)
            assert killed.exit_code(AT_ONCE) == -SIGKILL
            with DaemonProcess(tmp_path, *hooks, endpoint=service.url) as restarted:
                restarted.record("drain-resumed")
                (tmp_path / "go").touch()
                report = restarted.report("terminate")
                restarted.wait_for(lambda: not killed.survivors(), "the end of the hook that was left alone")
    assert report.verdict == "drained"
    assert report.seconds_left < 61
    assert (tmp_path / "last").read_text().split() == ["terminate"]


def test_a_daemon_that_was_killed_while_it_wrote_can_be_started_again(tmp_path: Path) -> None:
    for name in ("run/status.json", "run/lock", "state/reports/20261122T000000.000Z-terminate.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("\0\0\0{")
    with MetadataService() as service, DaemonProcess(tmp_path, hook("drain", COUNT), endpoint=service.url) as daemon:
        service.interrupt("terminate", from_now(60))
        assert daemon.report("terminate").verdict == "drained"


def test_a_second_daemon_on_the_same_directory_is_turned_away_and_told_by_whom(tmp_path: Path) -> None:
    with MetadataService() as service, DaemonProcess(tmp_path, hook("drain", COUNT), endpoint=service.url) as first:
        first.record("instance")
        with DaemonProcess(tmp_path, endpoint=service.url) as second:
            assert second.exit_code() == 75
            assert f"{tmp_path}/run is in use by process {first.pid}" in second.log
            assert "hint: stop that daemon" in second.log
        service.interrupt("terminate", from_now(60))
        assert first.report("terminate").verdict == "drained"
