"""notify in the background of a real drain: the endpoints are real servers, the daemon and its hooks real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from spotwatch.core.report import DrainReport, HookReport
from spotwatch.simulate.service import MetadataService
from tests.daemon.process import QUICK, DaemonProcess, from_now, hook, statuses

pytestmark = [pytest.mark.slow, pytest.mark.acceptance]

SECRET = "T00000000XXXXXXXX"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


class Ops:
    """Whoever is told: a server that remembers what was posted, and may be slow or fail at first."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for(f"/{SECRET}")
        self.told: list[dict[str, Any]] = []
        self.fails = 0
        self.delay = 0.0
        server.expect_request(f"/{SECRET}", method="POST").respond_with_handler(self._take)

    def _take(self, request: Request) -> Response:
        time.sleep(self.delay)
        if self.fails:
            self.fails -= 1
            return Response("later", 503)
        self.told.append(request.get_json(force=True))
        return Response("ok")

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(each["event"], each["state"]) for each in self.told]


@pytest.fixture
def ops(httpserver: HTTPServer) -> Ops:
    return Ops(httpserver)


def notify(url: str, directory: Path, *words: str, stage: int = 1, **keys: object) -> str:
    """The hook, with the URL in a file."""
    file = directory / "webhooks"
    file.write_text(f"{url}\n")
    args = json.dumps(["--webhook-file", str(file), "--limit", "2s", *words])
    others = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    head = '[[hook]]\nname = "notify"\nuse = "notify"\nbackground = true\n'
    return f"{head}args = {args}\nstage = {stage}\n{others}"


def of(report: DrainReport, name: str) -> HookReport:
    return next(each for each in report.hooks if each.name == name)


def seconds_between(earlier: str | None, later: str | None) -> float:
    assert earlier is not None
    assert later is not None
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def output(directory: Path) -> str:
    (file,) = (directory / "state" / "output").glob("*/notify.log")
    return file.read_text()


def test_notice_and_end_are_told_and_no_stage_waits(tmp_path: Path, ops: Ops) -> None:
    ops.delay = 1.0
    hooks = [notify(ops.url, tmp_path), hook("one", "sleep 5", stage=10), hook("two", "sleep 1", stage=20)]
    with MetadataService() as service, DaemonProcess(tmp_path, *hooks, endpoint=service.url) as daemon:
        service.interrupt("terminate", from_now(60))
        daemon.wait_for(lambda: ops.told, "the notice")
        assert not daemon.records("hook-ended"), "told while the first stage runs"
        report = daemon.report()
    assert ops.states == [("terminate", "noticed"), ("terminate", "drained")]
    noticed, drained = ops.told
    assert (noticed["drain"], noticed["unfinished"], noticed["verdict"]) == (report.drain, ["one", "two"], "running")
    assert [(each["name"], each["status"]) for each in drained["hooks"]] == [("one", "succeeded"), ("two", "succeeded")]
    assert drained["id"] == f"{report.drain}/terminate/drained"
    assert (report.verdict, of(report, "notify").background) == ("drained", True)
    assert seconds_between(of(report, "notify").started_at, of(report, "one").started_at) < 0.5
    assert seconds_between(of(report, "one").ended_at, of(report, "two").started_at) < 0.5
    assert SECRET not in output(tmp_path) + daemon.log


def test_a_failure_is_told_with_the_hooks_that_failed(tmp_path: Path, ops: Ops) -> None:
    hooks = [notify(ops.url, tmp_path), hook("one", "exit 3", stage=10), hook("two", "true", stage=20)]
    with MetadataService() as service, DaemonProcess(tmp_path, *hooks, endpoint=service.url) as daemon:
        service.interrupt("terminate", from_now(60))
        assert daemon.report().verdict == "failed"
    assert ops.told[-1]["state"] == "failed"
    assert ops.told[-1]["text"].endswith("one: failed with exit code 3")


def test_an_endpoint_in_trouble_is_told_later_and_the_drain_is_none_the_worse(tmp_path: Path, ops: Ops) -> None:
    ops.fails = 2
    hooks = [notify(ops.url, tmp_path), hook("one", "sleep 4", stage=10)]
    with MetadataService() as service, DaemonProcess(tmp_path, *hooks, endpoint=service.url) as daemon:
        service.interrupt("terminate", from_now(60))
        assert statuses(daemon.report()) == {"notify": "succeeded", "one": "succeeded"}
    assert ops.states == [("terminate", "noticed"), ("terminate", "drained")]


@pytest.fixture
def silence() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/{SECRET}"


def test_an_endpoint_that_never_answers_makes_no_drain_late_and_none_fail(tmp_path: Path, silence: str) -> None:
    hooks = [notify(silence, tmp_path), hook("one", "sleep 1", stage=10), hook("two", "true", stage=20)]
    with MetadataService() as service, DaemonProcess(tmp_path, *hooks, endpoint=service.url) as daemon:
        service.interrupt("terminate", from_now(60))
        report = daemon.report()
    notified = of(report, "notify")
    assert (report.verdict, notified.status, notified.exit_code) == ("drained", "failed", 75)
    assert seconds_between(of(report, "one").ended_at, of(report, "two").started_at) < 0.5
    assert seconds_between(of(report, "two").ended_at, notified.ended_at) < 3.5, "the limit, and a look"
    assert "has not answered" in output(tmp_path)
    assert SECRET not in output(tmp_path) + daemon.log


def test_before_a_near_deadline_it_is_told_that_the_drain_is_not_over(tmp_path: Path, ops: Ops) -> None:
    hooks = [notify(ops.url, tmp_path), hook("one", "sleep 60", stage=10)]
    with MetadataService() as service, DaemonProcess(tmp_path, *hooks, endpoint=service.url) as daemon:
        service.interrupt("terminate", from_now(16))
        daemon.wait_for(lambda: daemon.records("drain-ended"), "the end of the drain", within=30)
        report = daemon.report()
    assert (report.verdict, of(report, "notify").status) == ("cut", "succeeded")
    assert ops.states == [("terminate", "noticed"), ("terminate", "unfinished")]
    assert ops.told[-1]["unfinished"] == ["one"]


def test_a_hook_that_dies_with_the_daemon_tells_nothing_twice(tmp_path: Path, ops: Ops) -> None:
    hooks = [notify(ops.url, tmp_path), hook("one", "sleep 3", stage=10)]
    with MetadataService() as service, DaemonProcess(tmp_path, *hooks, endpoint=service.url) as first:
        service.interrupt("terminate", from_now(60))
        first.wait_for(lambda: (tmp_path / "state" / "output").glob("*/notify.told"), "the record")
        first.wait_for(lambda: ops.told, "the notice")
        time.sleep(0.2)
        os.kill(first.pid, signal.SIGKILL)
        os.kill(int(first.record("hook-started", hook="notify")["pid"]), signal.SIGKILL)
        assert first.exit_code() == -signal.SIGKILL
        with DaemonProcess(tmp_path, *hooks, endpoint=service.url) as second:
            report = second.report()
    assert (report.verdict, of(report, "notify").status) == ("drained", "succeeded")
    assert ops.states == [("terminate", "noticed"), ("terminate", "drained")]


def test_a_hook_that_outlives_the_daemon_goes_on(tmp_path: Path, ops: Ops) -> None:
    hooks = [notify(ops.url, tmp_path), hook("one", "sleep 3", stage=10)]
    with MetadataService() as service, DaemonProcess(tmp_path, *hooks, endpoint=service.url) as first:
        service.interrupt("terminate", from_now(60))
        first.wait_for(lambda: ops.told, "the notice")
        os.kill(first.pid, signal.SIGKILL)
        assert first.exit_code() == -signal.SIGKILL
        with DaemonProcess(tmp_path, *hooks, endpoint=service.url) as second:
            assert second.report().verdict == "drained"
    assert ops.states == [("terminate", "noticed"), ("terminate", "drained")]


def test_an_upgrade_is_told_and_the_end_is_that_of_the_stronger_event(tmp_path: Path, ops: Ops) -> None:
    on = ["rebalance", "terminate"]
    hooks = [notify(ops.url, tmp_path, on=on), hook("one", "sleep 3", stage=10, on=on)]
    with MetadataService() as service, DaemonProcess(tmp_path, *hooks, endpoint=service.url, options=QUICK) as daemon:
        service.recommend_rebalance(datetime.now(UTC))
        daemon.wait_for(lambda: ops.told, "the recommendation")
        service.interrupt("terminate", from_now(60))
        assert daemon.report().verdict == "drained"
    assert ops.states == [("rebalance", "noticed"), ("terminate", "noticed"), ("terminate", "drained")]


def test_in_a_drain_by_hand_it_tells_the_end_too(tmp_path: Path, ops: Ops) -> None:
    settings = tmp_path / "spotwatch.toml"
    settings.write_text("\n".join([notify(ops.url, tmp_path), hook("one", "sleep 1", stage=10)]))
    words = [f"state.directory={tmp_path}/state", f"state.runtime_directory={tmp_path}/run"]
    words += ["metadata.endpoint=http://127.0.0.1:9"]
    options = [part for word in words for part in ("--set", word)]
    done = subprocess.run(
        [sys.executable, "-m", "spotwatch", "drain", "--config", str(settings), "--deadline", "60s", *options],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done
    assert ops.states == [("terminate", "noticed"), ("terminate", "drained")]
