"""The daemon's loop in virtual time: a whole life of an instance in milliseconds, with no process and no socket."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from signal import SIGHUP, SIGTERM, SIGUSR1
from typing import Any

import pytest
import structlog

from spotwatch.core.errors import MetadataUnreachable, SettingsError
from spotwatch.core.event import EventKind
from spotwatch.core.hook import Hook, OnFailure
from spotwatch.core.instant import format_utc
from spotwatch.core.report import DrainReport
from spotwatch.core.settings import DrainSettings, Settings
from spotwatch.daemon.loop import Daemon
from spotwatch.host.journal import OpenDrain
from spotwatch.host.requests import DrainRequest
from spotwatch.log import Log
from spotwatch.watch.exchange import Request, Response
from spotwatch.watch.watcher import Watcher
from tests.manual_machine import START, ManualMachine

T0 = START.boot


class ScriptedMetadata:
    """A metadata service as a dictionary of items; `well` is False while it cannot be reached."""

    def __init__(self) -> None:
        self.items = {"instance-id": "i-1", "instance-type": "c6i.xlarge", "events/maintenance/scheduled": "[]"}
        self.well = True
        self.limits: list[float] = []

    def send(self, request: Request) -> Response:
        self.limits.append(request.limit)
        if not self.well:
            raise MetadataUnreachable("refused")
        if request.method == "PUT":
            return Response(200, "a-token")
        body = self.items.get(request.path.removeprefix("/latest/meta-data/"))
        return Response(404, "") if body is None else Response(200, body)

    def close(self) -> None:
        pass


class RecordingManager:
    """Remembers what systemd would be told, without repetitions of the status."""

    def __init__(self, watchdog_interval: float | None = None) -> None:
        self.watchdog_interval = watchdog_interval
        self.told: list[str] = []
        self.alive_at: list[float] = []
        self.clock: Callable[[], float] = lambda: 0.0

    def ready(self, _status: str) -> None:
        self.told.append("READY")

    def status(self, status: str) -> None:
        self.last_status = status

    def watchdog(self) -> None:
        self.alive_at.append(self.clock())

    def reloading(self) -> None:
        self.told.append("RELOADING")

    def stopping(self, _status: str) -> None:
        self.told.append("STOPPING")

    def extend_timeout(self, seconds: float) -> None:
        self.told.append(f"EXTEND {seconds:.0f}")


class MemoryRecords:
    """Keeps reports and statuses in memory; `problem` is what a full disk would answer."""

    def __init__(self) -> None:
        self.reports: dict[str, DrainReport] = {}
        self.statuses: list[Mapping[str, Any]] = []
        self.problem = ""

    def output_directory(self, drain: str) -> str:
        return f"/output/{drain}"

    def keep_report(self, report: DrainReport, *, keep: int) -> str:
        assert keep > 0
        if not self.problem:
            self.reports[report.drain] = report
        return self.problem

    def show_status(self, status: Mapping[str, Any]) -> str:
        self.statuses.append(status)
        return self.problem


class MemoryRequests:
    """Requests in memory."""

    def __init__(self) -> None:
        self.left: list[DrainRequest] = []

    def waiting(self) -> list[DrainRequest]:
        return self.left

    def take(self, number: int, _drain: str) -> str:
        self.left = [request for request in self.left if request.number != number]
        return ""


class MemoryJournal:
    """A journal in memory; it outlives a `Life`, as the file outlives a daemon."""

    def __init__(self) -> None:
        self.drains: dict[str, dict[str, Any]] = {}
        self.requests = MemoryRequests()
        self.problem = ""

    def open_drain(self, drain: str, boot: str, opening: str) -> str:
        self.drains[drain] = {"boot": boot, "opening": opening, "steps": [], "note": None, "report": None}
        return self.problem

    def add_step(self, drain: str, at: float, happening: str, _orders: str) -> str:
        self.drains[drain]["steps"].append((at, happening))
        return self.problem

    def keep_report(self, drain: str, report: str) -> str:
        self.drains[drain]["report"] = report
        return self.problem

    def close_drain(self, drain: str, note: str) -> str:
        self.drains[drain]["note"] = note
        return self.problem

    def unfinished(self) -> list[OpenDrain]:
        left = [(name, drain) for name, drain in self.drains.items() if drain["note"] is None]
        return [OpenDrain(name, drain["boot"], drain["opening"], tuple(drain["steps"])) for name, drain in left]

    def report(self, drain: str) -> str | None:
        report: str | None = self.drains[drain]["report"]
        return report

    def prune(self, *, keep: int, not_before: str, at_most_bytes: int) -> str:
        assert keep > 0 < at_most_bytes
        assert not_before
        return ""


class Life:
    """One daemon from its start to its SIGTERM; a test arranges what happens when, and looks at what came of it."""

    def __init__(
        self,
        *hooks: Hook,
        drain: DrainSettings | None = None,
        watchdog: float | None = None,
        journal: MemoryJournal | None = None,
        machine: ManualMachine | None = None,
    ) -> None:
        self.machine = machine or ManualMachine()
        self.metadata = ScriptedMetadata()
        self.manager = RecordingManager(watchdog)
        self.manager.clock = lambda: self.machine.instant().boot
        self.records = MemoryRecords()
        self.journal = journal or MemoryJournal()
        self.said: list[dict[str, Any]] = []
        self.settings = Settings(hooks=hooks, drain=drain or DrainSettings())
        self.load: Callable[[], Settings] = lambda: self.settings

    def at(self, seconds: float, happening: Callable[[], object]) -> None:
        self.machine.at(T0 + seconds, happening)

    def signal(self, seconds: float, number: int) -> None:
        self.machine.signal_at(T0 + seconds, number)

    def announce(self, seconds: float, action: str, left: float) -> None:
        def put() -> None:
            time = format_utc(self.machine.instant().utc + timedelta(seconds=left))
            self.metadata.items["spot/instance-action"] = f'{{"action": "{action}", "time": "{time}"}}'

        self.at(seconds, put)

    def withdraw(self, seconds: float, item: str = "spot/instance-action") -> None:
        self.at(seconds, lambda: self.metadata.items.pop(item))

    def live(self, seconds: float) -> None:
        """Live until SIGTERM after this many seconds."""
        self.signal(seconds, SIGTERM)
        self.daemon().run()

    def daemon(self) -> Daemon:
        watcher = Watcher(
            lambda _: self.metadata,
            self.settings.metadata,
            self.settings.drain.limit,
            self.machine.instant,
            jitter=lambda: 0.5,
        )
        return Daemon(
            self.settings,
            load=lambda: self.load(),
            machine=self.machine,
            watcher=watcher,
            manager=self.manager,
            records=self.records,
            journal=self.journal,
            environment={"PATH": "/bin"},
            log=self._log(),
        )

    def started(self) -> list[tuple[str, float]]:
        """Each hook that was started, with its second."""
        starts = [order for order in self.machine.orders if order.what == "start"]
        return [(order.name.rpartition("/")[2], round(order.at - T0, 1)) for order in starts]

    def names(self) -> list[str]:
        return [record["event"] for record in self.said]

    def reports(self) -> list[DrainReport]:
        return list(self.records.reports.values())

    def _log(self) -> Log:
        def keep(_logger: object, level: str, record: Any) -> Any:
            self.said.append({**record, "level": level})
            raise structlog.DropEvent

        log: Log = structlog.wrap_logger(
            structlog.PrintLogger(), processors=[keep], wrapper_class=structlog.make_filtering_bound_logger(0)
        )
        return log


def hook(name: str, *on: str, stage: int = 50, **rest: Any) -> Hook:
    events = frozenset(EventKind(kind) for kind in on or ("terminate",))
    return Hook(name, events, (f"/hooks/{name}",), stage=stage, **rest)


def test_a_notice_is_drained_stage_by_stage_and_reported() -> None:
    life = Life(hook("first", stage=10), hook("beside", stage=10), hook("last", stage=20))
    life.announce(3, "terminate", 120)
    life.live(60)
    assert life.started() == [("first", 4.0), ("beside", 4.0), ("last", 5.0)]
    (report,) = life.reports()
    assert (report.verdict, report.event, report.seconds_left) == ("drained", "terminate", 119.0)


def test_the_first_poll_is_at_once() -> None:
    life = Life(hook("leave"))
    life.live(0)
    assert life.metadata.limits


def test_start_hooks_run_once_the_instance_is_known() -> None:
    life = Life(hook("join", "start"))
    life.live(10)
    assert life.started() == [("join", 0.0)]
    assert life.machine.orders[0].command is not None
    assert life.machine.orders[0].command.environment["SPOTWATCH_INSTANCE_ID"] == "i-1"


def test_start_hooks_do_not_wait_for_ever_for_a_service_that_is_down() -> None:
    life = Life(hook("join", "start"))
    life.metadata.well = False
    life.live(30)
    assert life.started() == [("join", 10.0)]


def test_start_hooks_are_not_run_when_the_first_poll_brings_a_notice() -> None:
    life = Life(hook("join", "start"), hook("leave", "terminate"))
    life.metadata.items["spot/instance-action"] = '{"action": "terminate"}'
    life.live(10)
    assert life.started() == [("leave", 0.0)]


def test_a_notice_ends_a_start_hook_before_the_drain_begins() -> None:
    life = Life(hook("join", "start"), hook("leave", "terminate", stage=1))
    life.machine.script("join", ends_after=None, ends_after_term=0.5)
    life.announce(3, "terminate", 120)
    life.live(60)
    assert life.started() == [("join", 0.0), ("leave", 4.5)]


def test_a_rebalance_drain_is_upgraded_and_nothing_runs_twice() -> None:
    life = Life(hook("stop-jobs", "rebalance", "terminate", stage=1), hook("leave", "terminate", stage=2))
    life.at(1, lambda: life.metadata.items.update({"events/recommendations/rebalance": '{"noticeTime": "x"}'}))
    life.announce(20, "terminate", 120)
    life.live(60)
    assert [name for name, _ in life.started()] == ["stop-jobs", "leave"]
    (report,) = life.reports()
    assert [event.effect for event in report.events] == ["began", "upgraded"]


def test_a_withdrawn_notice_arms_again_after_the_drain() -> None:
    life = Life(hook("join", "start"), hook("leave", "terminate"))
    life.announce(3, "terminate", 120)
    life.withdraw(20)
    life.live(60)
    assert [name for name, _ in life.started()] == ["join", "leave", "join"]
    assert "armed-again" in life.names()


def test_a_notice_after_a_withdrawn_one_is_a_drain_of_its_own() -> None:
    life = Life(hook("leave", "terminate"))
    life.announce(3, "terminate", 120)
    life.withdraw(20)
    life.announce(40, "terminate", 120)
    life.live(60)
    assert [name for name, _ in life.started()] == ["leave", "leave"]
    assert len(life.reports()) == 2


def test_a_withdrawn_rebalance_recommendation_does_not_arm_again_while_a_notice_stands() -> None:
    life = Life(hook("join", "start"), hook("stop-jobs", "rebalance"), hook("leave", "terminate"))
    life.machine.script("stop-jobs", ends_after=60.0)
    life.at(1, lambda: life.metadata.items.update({"events/recommendations/rebalance": "{}"}))
    life.withdraw(8, "events/recommendations/rebalance")
    life.announce(40, "terminate", 120)
    life.live(140)
    assert [name for name, _ in life.started()] == ["join", "stop-jobs", "leave"]


def test_a_withdrawal_during_the_drain_does_not_stop_it() -> None:
    life = Life(hook("slow", stage=1), hook("last", stage=2))
    life.machine.script("slow", ends_after=20.0)
    life.announce(3, "terminate", 120)
    life.withdraw(6)
    life.live(60)
    assert [name for name, _ in life.started()] == ["slow", "last"]


def test_a_canceled_maintenance_does_not_start_what_has_not_started() -> None:
    life = Life(hook("first", "maintenance", stage=1), hook("second", "maintenance", stage=2))
    life.machine.script("first", ends_after=120.0)
    entry = '[{"EventId": "e", "Code": "instance-stop", "State": "active", "NotBefore": "22 Nov 2026 08:05:00 GMT"}]'
    life.at(1, lambda: life.metadata.items.update({"events/maintenance/scheduled": entry}))
    life.at(40, lambda: life.metadata.items.update({"events/maintenance/scheduled": "[]"}))
    life.live(200)
    (report,) = life.reports()
    assert [(h.name, h.status) for h in report.hooks] == [("first", "succeeded"), ("second", "canceled")]


def test_the_first_sigterm_lets_the_drain_finish() -> None:
    life = Life(hook("slow"))
    life.machine.script("slow", ends_after=50.0)
    life.announce(3, "terminate", 120)
    life.live(10)
    assert life.reports()[0].verdict == "drained"
    assert life.manager.told == ["READY", "STOPPING", "EXTEND 123"]


def test_the_second_sigterm_ends_the_drain() -> None:
    life = Life(hook("slow", stage=1), hook("never", stage=2))
    life.machine.script("slow", ends_after=50.0)
    life.announce(3, "terminate", 120)
    life.signal(20, SIGTERM)
    life.live(10)
    assert [(h.name, h.status) for h in life.reports()[0].hooks] == [("slow", "canceled"), ("never", "canceled")]
    assert life.machine.instant().boot - T0 < 25


def test_sigterm_without_a_drain_leaves_at_once() -> None:
    life = Life(hook("leave"))
    life.live(10)
    assert life.machine.instant().boot - T0 == pytest.approx(10)
    assert life.manager.told == ["READY", "STOPPING"]


def test_sigterm_does_not_wait_for_start_hooks() -> None:
    life = Life(hook("join", "start"))
    life.machine.script("join", ends_after=300.0)
    life.live(10)
    assert life.machine.instant().boot - T0 < 12


def test_a_shutdown_is_drained_if_the_settings_say_so() -> None:
    life = Life(hook("leave", "shutdown"), drain=DrainSettings(on_shutdown=True))
    life.live(10)
    assert life.started() == [("leave", 10.0)]
    assert life.reports()[0].event == "shutdown"


def test_a_shutdown_is_not_drained_by_default() -> None:
    life = Life(hook("leave", "shutdown"))
    life.live(10)
    assert life.started() == []


def test_metadata_trouble_never_ends_the_daemon_and_is_said_once() -> None:
    life = Life(hook("leave"))
    life.at(5, lambda: setattr(life.metadata, "well", False))
    life.at(100, lambda: setattr(life.metadata, "well", True))
    life.announce(110, "terminate", 120)
    life.live(200)
    assert life.names().count("metadata-failure") == 1
    assert life.names().count("metadata-recovered") == 1
    assert life.started()[0][0] == "leave"


def test_a_reload_with_mistakes_leaves_the_old_settings_in_force() -> None:
    def broken() -> Settings:
        raise SettingsError(["a.toml: x: wrong"])

    life = Life(hook("leave"))
    life.load = broken
    life.signal(3, SIGHUP)
    life.announce(5, "terminate", 120)
    life.live(60)
    assert "settings-mistake" in life.names()
    assert [name for name, _ in life.started()] == ["leave"]
    assert life.manager.told[:3] == ["READY", "RELOADING", "READY"]


def test_a_reload_brings_new_hooks_into_the_next_drain() -> None:
    life = Life(hook("old"))
    life.load = lambda: replace(life.settings, hooks=(hook("new"),))
    life.signal(3, SIGHUP)
    life.announce(5, "terminate", 120)
    life.live(60)
    assert [name for name, _ in life.started()] == ["new"]


def test_a_reload_during_a_drain_leaves_the_drain_alone() -> None:
    life = Life(hook("first", stage=1), hook("second", stage=2))
    life.load = lambda: replace(life.settings, hooks=())
    life.machine.script("first", ends_after=10.0)
    life.announce(3, "terminate", 120)
    life.signal(6, SIGHUP)
    life.live(60)
    assert [name for name, _ in life.started()] == ["first", "second"]


def test_the_loop_shows_systemd_that_it_lives() -> None:
    life = Life(watchdog=5.0)
    life.live(60)
    gaps = [later - earlier for earlier, later in zip(life.manager.alive_at, life.manager.alive_at[1:], strict=False)]
    assert gaps
    assert max(gaps) <= 5.0


def test_a_hook_that_cannot_be_started_is_reported_and_holds_nothing_up() -> None:
    life = Life(hook("missing", stage=1), hook("next", stage=2))
    life.machine.script("missing", cannot_start="there is no such program")
    life.announce(3, "terminate", 120)
    life.live(60)
    assert [(h.name, h.status) for h in life.reports()[0].hooks] == [("missing", "not-started"), ("next", "succeeded")]


def test_a_stage_after_a_failure_that_stops_is_skipped() -> None:
    life = Life(
        hook("guard", stage=1, on_failure=OnFailure.STOP), hook("rest", stage=2), hook("end", stage=3, always=True)
    )
    life.machine.script("guard", exit_code=1)
    life.announce(3, "terminate", 120)
    life.live(60)
    statuses = {h.name: h.status for h in life.reports()[0].hooks}
    assert statuses == {"guard": "failed", "rest": "skipped", "end": "succeeded"}


def test_what_could_not_be_kept_is_said_and_the_report_is_in_the_log() -> None:
    life = Life(hook("leave"))
    life.records.problem = "the disk is full"
    life.announce(3, "terminate", 120)
    life.live(60)
    report = next(record["report"] for record in life.said if record["event"] == "report")
    assert report["not_recorded"] == ("report: the disk is full",)
    assert life.names().count("status-not-shown") == 1


def test_during_a_drain_a_poll_may_take_only_the_time_until_the_next_step() -> None:
    """So a metadata service that hangs delays no SIGTERM and no SIGKILL."""
    life = Life(hook("stubborn", timeout=4.5))
    life.machine.script("stubborn", ends_after=None, ignores_term=True)
    life.announce(3, "terminate", 120)
    life.live(60)
    ends = [order.at - T0 for order in life.machine.orders if order.what in {"terminate", "kill"}]
    assert ends == [pytest.approx(8.5), pytest.approx(10.5)]
    assert min(life.metadata.limits) == pytest.approx(0.5)


def test_the_status_says_what_is_going_on() -> None:
    life = Life(hook("slow"))
    life.machine.script("slow", ends_after=10.0)
    life.announce(3, "terminate", 120)
    life.live(60)
    doings = {str(status["doing"]).split(",")[0] for status in life.records.statuses}
    assert doings == {"watching", "draining for terminate", "drained for terminate"}
    assert life.records.statuses[-1]["announced"] == ["terminate"]


def test_every_record_has_a_constant_name() -> None:
    life = Life(hook("join", "start"), hook("leave"))
    life.announce(3, "terminate", 120)
    life.withdraw(20)
    life.live(60)
    assert set(life.names()) <= {
        "daemon-started",
        "metadata-service",
        "instance",
        "drain-began",
        "hook-started",
        "hook-ended",
        "drain-ended",
        "event-withdrawn",
        "drain-closed",
        "armed-again",
        "daemon-stopped",
    }


def test_after_a_notice_nothing_else_is_asked_before_the_hooks_have_started() -> None:
    life = Life(hook("leave"))
    life.metadata.items["spot/instance-action"] = '{"action": "terminate"}'
    asked_before_start: list[int] = []
    life.machine.script("leave", ends_after=5.0)
    start = life.machine.start

    def watched_start(*words: Any, **named: Any) -> int:
        asked_before_start.append(len(life.metadata.limits))
        return start(*words, **named)

    life.machine.start = watched_start  # type: ignore[method-assign]  # a probe on our own fake
    life.live(20)
    token, notice, facts = 1, 1, 4
    assert asked_before_start == [token + notice + facts]


def test_a_notice_that_turned_into_another_and_is_withdrawn_arms_again() -> None:
    life = Life(hook("join", "start"), hook("leave", "terminate", "stop"))
    life.announce(3, "terminate", 120)
    life.announce(8, "stop", 120)
    life.withdraw(20)
    life.live(60)
    assert [name for name, _ in life.started()] == ["join", "leave", "join"]


def test_the_end_of_a_drain_is_said_once_however_many_weaker_events_follow() -> None:
    life = Life(hook("leave"))
    life.announce(3, "terminate", 120)
    life.at(20, lambda: life.metadata.items.update({"events/recommendations/rebalance": "{}"}))
    life.live(60)
    assert life.names().count("drain-ended") == 1
    assert [event.effect for event in life.reports()[0].events] == ["began", "recorded"]


def test_a_restarted_daemon_goes_on_with_the_drain_and_runs_nothing_twice() -> None:
    before = Life(hook("one", stage=1), hook("two", stage=2))
    before.announce(3, "terminate", 120)
    before.live(10)
    after = Life(*before.settings.hooks, journal=before.journal, machine=before.machine)
    after.metadata = before.metadata
    after.live(before.machine.instant().boot - T0 + 10)
    assert [name for name, _ in after.started()] == ["one", "two"]
    assert "drain-resumed" in after.names()


class Crash(Exception):
    """The daemon is no more."""


def crash() -> None:
    raise Crash


def next_life(before: Life) -> Life:
    """The daemon on the same machine, after it has died."""
    after = Life(*before.settings.hooks, journal=before.journal, machine=before.machine)
    after.metadata = before.metadata
    return after


def test_a_drain_by_hand_is_not_taken_for_withdrawn_by_the_next_life() -> None:
    before = Life(hook("one", "rebalance", stage=1), hook("two", "rebalance", stage=2), hook("join", "start"))
    before.machine.script("one", ends_after=20.0)
    before.at(5, lambda: before.journal.requests.left.append(DrainRequest(1, "rebalance", 60.0)))
    before.signal(5, SIGUSR1)
    before.at(10, crash)
    with pytest.raises(Crash):
        before.live(100)
    after = next_life(before)
    after.live(100)
    assert [name for name, _ in after.started()] == ["join", "one", "two", "join"]
    assert [(report.event, report.verdict) for report in after.reports()][:1] == [("rebalance", "drained")]


def test_a_report_that_was_not_kept_is_kept_by_the_next_life() -> None:
    before = Life(hook("leave"))
    before.announce(3, "terminate", 120)
    before.records.keep_report = lambda *_, **__: crash()  # type: ignore[assignment,method-assign]
    with pytest.raises(Crash):
        before.live(100)
    after = next_life(before)
    after.live(100)
    assert [hook.status for hook in after.reports()[0].hooks] == ["succeeded"]
    assert [name for name, _ in after.started()] == ["leave"]


def test_a_report_that_was_kept_is_not_written_again_by_the_next_life() -> None:
    before = Life(hook("leave"))
    before.announce(3, "terminate", 120)
    before.at(50, crash)
    with pytest.raises(Crash):
        before.live(100)
    after = next_life(before)
    after.live(100)
    assert after.reports() == []
    assert after.records.statuses[-1]["doing"] == before.records.statuses[-1]["doing"]


def test_the_status_names_the_trouble() -> None:
    life = Life(hook("leave"))
    life.at(5, lambda: setattr(life.metadata, "well", False))
    life.live(10)
    assert life.records.statuses[-1]["trouble"] == ["the metadata service: refused"]


def test_a_drain_by_hand_finishes_what_a_dead_daemon_has_left_and_begins_none_beside_it() -> None:
    before = Life(hook("one", stage=1), hook("two", stage=2))
    before.announce(3, "terminate", 120)
    before.at(4.5, crash)
    with pytest.raises(Crash):
        before.live(100)
    after = next_life(before)
    report = after.daemon().run_one_drain(EventKind.TERMINATE, 60)
    assert [name for name, _ in after.started()] == ["one", "two"]
    assert list(after.journal.drains) == [report.drain]
