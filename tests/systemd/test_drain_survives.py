"""A drain under a real systemd that restarts, stops and kills the daemon in the middle of it."""

from typing import Any

import pytest

from tests.systemd.container import missing, wait_for
from tests.systemd.installed import MET, Installed, hook

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing() or "everything is there"),
]

RUNS = "/var/tmp/runs"
"""Every hook of these tests writes a line when it begins and one when it ends."""


def noted(name: str, seconds: float = 2.0, **keys: str | int | bool) -> str:
    """A hook that notes its beginning and its end."""
    script = f"echo {name} begins >> {RUNS}; touch {MET}; sleep {seconds}; echo {name} ends >> {RUNS}"
    return hook(script, name, **keys)


@pytest.fixture
def draining(spotwatch: Installed) -> Installed:
    """In the middle of the second of three hooks."""
    spotwatch.container.run("rm", "-f", RUNS)
    spotwatch.drop_in("[Service]\nRestartSec=100ms\n")
    spotwatch.hooks(noted("one", 0.1, stage=1), noted("two", 3.0, stage=2), noted("three", 0.1, stage=3))
    spotwatch.start()
    spotwatch.announce()
    wait_for(lambda: "two begins" in runs(spotwatch), "the second hook", seconds=10)
    return spotwatch


def runs(spotwatch: Installed) -> list[str]:
    file = spotwatch.container.path(RUNS)
    return file.read_text().splitlines() if file.exists() else []


def statuses(report: dict[str, Any]) -> dict[str, str]:
    return {hook["name"]: hook["status"] for hook in report["hooks"]}


def kill(spotwatch: Installed, whom: str, signal: str = "KILL") -> None:
    spotwatch.systemctl("kill", f"--kill-whom={whom}", f"--signal={signal}", "spotwatch.service")


ONCE_EACH = ["one begins", "one ends", "two begins", "two ends", "three begins", "three ends"]


def test_a_daemon_that_is_killed_alone_finds_its_hook_again(draining: Installed) -> None:
    kill(draining, "main")
    report = draining.wait_for_report()
    assert statuses(report) == {"one": "succeeded", "two": "ended", "three": "succeeded"}
    assert runs(draining) == ONCE_EACH
    assert draining.property("NRestarts") == "1"


def test_a_hook_that_is_killed_with_the_daemon_is_run_again(draining: Installed) -> None:
    kill(draining, "all")
    report = draining.wait_for_report()
    assert statuses(report) == {"one": "succeeded", "two": "succeeded", "three": "succeeded"}
    assert runs(draining) == [*ONCE_EACH[:3], *ONCE_EACH[2:]]


def test_a_daemon_that_hangs_is_replaced_and_the_hook_adopted(spotwatch: Installed) -> None:
    """With a shorter watchdog than the unit's, for the test."""
    spotwatch.container.run("rm", "-f", RUNS)
    spotwatch.drop_in("[Service]\nWatchdogSec=2s\nRestartSec=100ms\n")
    spotwatch.hooks(noted("one", 8.0))
    spotwatch.start()
    spotwatch.announce()
    spotwatch.wait_for_hook()
    kill(spotwatch, "main", "STOP")
    spotwatch.wait_for_property("NRestarts", "1")
    assert statuses(spotwatch.wait_for_report()) == {"one": "ended"}
    assert runs(spotwatch) == ["one begins", "one ends"]


def test_a_restart_waits_for_the_drain_and_does_not_repeat_it(draining: Installed) -> None:
    draining.systemctl("restart", "spotwatch.service")
    assert statuses(draining.wait_for_report())["three"] == "succeeded"
    draining.wait_for_line("drain-resumed")
    draining.stop()
    assert runs(draining) == ONCE_EACH
    assert len(draining.reports()) == 1


def test_a_package_that_stops_and_starts_the_daemon_does_not_repeat_the_drain(draining: Installed) -> None:
    draining.stop()
    draining.start()
    draining.wait_for_line("drain-resumed")
    assert runs(draining) == ONCE_EACH


def test_it_is_killed_three_times_in_one_drain(draining: Installed) -> None:
    for restarts in ("1", "2", "3"):
        kill(draining, "main")
        draining.wait_for_property("NRestarts", restarts)
        draining.wait_for_property("ActiveState", "active")
    report = draining.wait_for_report()
    assert report["verdict"] == "drained"
    assert runs(draining) == ONCE_EACH
