"""Notices, from the metadata service to the report, by the real daemon."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spotwatch.simulate.instance import Instance
from spotwatch.simulate.service import MetadataService
from tests.daemon.process import DaemonProcess, from_now, hook, statuses

TELL = 'env > "$T/$SPOTWATCH_HOOK"'
GATE = 'echo waiting > "$T/at-the-gate"; while [ ! -e "$T/go" ]; do sleep 0.02; done'
COUNT = 'echo "$SPOTWATCH_EVENT" >> "$T/$SPOTWATCH_HOOK"'

TOLERANCE = 3.0
"""Seconds: AWS names whole seconds, so does the ``Date`` header that the clock skew is taken from, and the daemon may
need a moment on a busy machine. The times in the tests differ by more."""


def told(daemon: DaemonProcess, name: str) -> dict[str, str]:
    """The environment that a hook was given."""
    return dict(line.split("=", 1) for line in daemon.written(name).splitlines() if line.startswith("SPOTWATCH_"))


@pytest.mark.parametrize(
    ("action", "seconds", "least", "most"),
    [
        pytest.param("terminate", 120, 117, 120, id="120 s left"),
        pytest.param("terminate", 40, 37, 41, id="40 s left"),
        pytest.param("stop", 5, 2.5, 6, id="5 s left"),
        pytest.param("terminate", -10, 2, 2, id="10 s too late"),
        pytest.param("terminate", 3600, 120, 120, id="later than AWS promises"),
        pytest.param("hibernate", 60, 10, 10, id="hibernation, which begins at once"),
    ],
)
def test_hooks_and_report_are_told_the_time_that_is_left(
    tmp_path: Path, action: str, seconds: float, least: float, most: float
) -> None:
    with MetadataService() as service, DaemonProcess(tmp_path, hook("tell", TELL), endpoint=service.url) as daemon:
        service.interrupt(action, from_now(seconds))
        report, environment = daemon.report(action), told(daemon, "tell")
    assert (report.verdict, report.action, statuses(report)) == ("drained", action, {"tell": "succeeded"})
    assert least <= report.seconds_left <= most
    assert float(environment["SPOTWATCH_SECONDS_LEFT"]) == pytest.approx(report.seconds_left, abs=0.3)
    assert 0 < float(environment["SPOTWATCH_TIMEOUT"]) < float(environment["SPOTWATCH_SECONDS_LEFT"])


def test_a_clock_that_is_an_hour_slow_changes_nothing_about_the_time_left(tmp_path: Path) -> None:
    hour = timedelta(hours=1)
    with (
        MetadataService(clock=lambda: datetime.now(UTC) + hour) as service,
        DaemonProcess(tmp_path, hook("tell", TELL), endpoint=service.url) as daemon,
    ):
        service.interrupt("terminate", from_now(40) + hour)
        report = daemon.report()
        assert daemon.record("clock-skew")["seconds_behind_aws"] == pytest.approx(3600, abs=1)
    assert report.seconds_left == pytest.approx(40, abs=TOLERANCE)
    assert report.clock_skew_seconds == pytest.approx(3600, abs=1)


def test_a_hook_is_told_all_that_the_help_promises_and_nothing_else(tmp_path: Path) -> None:
    help_text = subprocess.check_output([sys.executable, "-m", "spotwatch", "run", "--help"], text=True)
    instance, time = Instance(instance_id="i-0abc", availability_zone="eu-west-1b", region="eu-west-1"), from_now(60)
    with (
        MetadataService(instance) as service,
        DaemonProcess(tmp_path, hook("tell", TELL, stage=7, timeout="9s"), endpoint=service.url) as daemon,
    ):
        service.interrupt("stop", time)
        report, environment = daemon.report("stop"), told(daemon, "tell")
    assert set(environment) == set(re.findall(r"SPOTWATCH_\w+", help_text))
    left = float(environment.pop("SPOTWATCH_SECONDS_LEFT"))
    deadline = datetime.fromisoformat(environment.pop("SPOTWATCH_DEADLINE"))
    assert left == pytest.approx(60, abs=TOLERANCE)
    assert deadline.timestamp() == pytest.approx(time.timestamp(), abs=TOLERANCE)
    assert environment == {
        "SPOTWATCH_EVENT": "stop",
        "SPOTWATCH_ACTION": "stop",
        "SPOTWATCH_NOTICE_TIME": f"{time:%Y-%m-%dT%H:%M:%S.000Z}",
        "SPOTWATCH_TIMEOUT": "9.0",
        "SPOTWATCH_INSTANCE_ID": "i-0abc",
        "SPOTWATCH_INSTANCE_TYPE": instance.instance_type,
        "SPOTWATCH_AVAILABILITY_ZONE": "eu-west-1b",
        "SPOTWATCH_REGION": "eu-west-1",
        "SPOTWATCH_DRAIN_ID": report.drain,
        "SPOTWATCH_STAGE": "7",
        "SPOTWATCH_HOOK": "tell",
        "SPOTWATCH_STATE_DIRECTORY": str(tmp_path / "state"),
    }


def test_an_unknown_action_is_said_and_drained_as_terminate(tmp_path: Path) -> None:
    with MetadataService() as service, DaemonProcess(tmp_path, hook("tell", TELL), endpoint=service.url) as daemon:
        service.put("spot/instance-action", f'{{"action": "evaporate", "time": "{from_now(60):%Y-%m-%dT%H:%M:%SZ}"}}')
        report = daemon.report("terminate")
        assert "evaporate" in daemon.record("unusual-notice", level="warning")["body"]
    assert (report.verdict, report.action) == ("drained", "evaporate")
    assert told(daemon, "tell")["SPOTWATCH_ACTION"] == "evaporate"


def test_a_withdrawn_notice_arms_the_instance_again_for_the_next_one(tmp_path: Path) -> None:
    hooks = hook("arm", COUNT, on=["start"]), hook("drain", COUNT)
    with MetadataService() as service, DaemonProcess(tmp_path, *hooks, endpoint=service.url) as daemon:
        daemon.report("start")
        service.interrupt("terminate", from_now(60))
        daemon.report("terminate")
        service.withdraw("spot/instance-action")
        daemon.record("armed-again")
        daemon.report("start", nth=2)
        service.interrupt("stop", from_now(60))
        daemon.report("stop")
    assert (tmp_path / "arm").read_text().split() == ["start", "start"]
    assert (tmp_path / "drain").read_text().split() == ["terminate", "stop"]
    assert len(daemon.reports) == 4


def test_a_notice_upgrades_a_rebalance_drain_and_repeats_nothing(tmp_path: Path) -> None:
    both = ["rebalance", "terminate"]
    hooks = (
        hook("done", COUNT, on=both, stage=1),
        hook("running", f"{GATE}; {COUNT}", on=both, stage=2),
        hook("pending", COUNT, on=both, stage=3),
        hook("unwanted", COUNT, on=["rebalance"], stage=3),
        hook("added", COUNT, on=["terminate"], stage=3),
    )
    with MetadataService() as service, DaemonProcess(tmp_path, *hooks, endpoint=service.url) as daemon:
        service.recommend_rebalance(from_now(0))
        daemon.written("at-the-gate")
        service.interrupt("terminate", from_now(60))
        daemon.record("drain-upgraded")
        (tmp_path / "go").touch()
        report = daemon.report("terminate")
    ran = {path.name: path.read_text().split() for path in map(tmp_path.joinpath, statuses(report)) if path.exists()}
    assert ran == {"done": ["rebalance"], "running": ["rebalance"], "pending": ["terminate"], "added": ["terminate"]}
    assert statuses(report) == {**dict.fromkeys(ran, "succeeded"), "unwanted": "superseded"}
    assert [(event.event, event.effect) for event in report.events] == [
        ("rebalance", "began"),
        ("terminate", "upgraded"),
    ]
    assert daemon.reports == [f"{report.drain}.json"]


def test_a_start_hook_that_a_rebalance_recommendation_has_ended_runs_for_the_notice_that_follows(
    tmp_path: Path,
) -> None:
    keep = hook("keep", f'{COUNT}; [ "$SPOTWATCH_EVENT" = start ] && {{ {GATE}; }}; true', on=["start", "terminate"])
    with MetadataService() as service, DaemonProcess(tmp_path, keep, endpoint=service.url) as daemon:
        daemon.written("at-the-gate")
        service.recommend_rebalance(from_now(0))
        assert statuses(daemon.report("rebalance")) == {"keep": "superseded"}
        service.interrupt("terminate", from_now(60))
        report = daemon.report("terminate")
    assert (tmp_path / "keep").read_text().split() == ["start", "terminate"]
    assert (statuses(report), report.verdict) == ({"keep": "succeeded"}, "drained")


def test_a_hook_that_has_run_for_start_runs_for_a_notice_that_comes_before_the_others_have(tmp_path: Path) -> None:
    hooks = hook("keep", COUNT, on=["start", "terminate"], rerun=False), hook("gate", GATE, on=["start"], stage=99)
    with MetadataService() as service, DaemonProcess(tmp_path, *hooks, endpoint=service.url) as daemon:
        daemon.written("at-the-gate")
        service.interrupt("terminate", from_now(60))
        report = daemon.report("terminate")
    assert (tmp_path / "keep").read_text().split() == ["start", "terminate"]
    assert statuses(report) == {"keep": "succeeded", "gate": "superseded"}


def test_a_second_notice_with_a_closer_time_moves_the_deadline_of_the_drain(tmp_path: Path) -> None:
    with MetadataService() as service, DaemonProcess(tmp_path, hook("gate", GATE), endpoint=service.url) as daemon:
        service.interrupt("terminate", from_now(90))
        daemon.written("at-the-gate")
        service.interrupt("terminate", from_now(30))
        daemon.record("drain-moved")
        (tmp_path / "go").touch()
        report = daemon.report("terminate")
    assert [event.effect for event in report.events] == ["began", "moved"]
    assert [event.seconds_left for event in report.events] == pytest.approx([90, 30], abs=TOLERANCE)
    assert report.seconds_to_spare == pytest.approx(30, abs=TOLERANCE)


def test_a_stronger_notice_after_a_drain_runs_only_the_hooks_that_have_not_run(tmp_path: Path) -> None:
    hooks = hook("both", COUNT), hook("last", COUNT, on=["terminate"])
    with MetadataService() as service, DaemonProcess(tmp_path, *hooks, endpoint=service.url) as daemon:
        service.interrupt("stop", from_now(60))
        daemon.report("stop")
        service.interrupt("terminate", from_now(60))
        report = daemon.report("terminate")
    assert (tmp_path / "both").read_text().split() == ["stop"]
    assert (tmp_path / "last").read_text().split() == ["terminate"]
    assert daemon.reports == [f"{report.drain}.json"]
