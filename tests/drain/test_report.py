"""What the report says of a drain."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from spotwatch import __version__
from spotwatch.core.event import EventKind
from spotwatch.core.hook import OnFailure
from spotwatch.core.instant import Instant
from spotwatch.core.report import DrainReport, InstanceFacts
from spotwatch.core.settings import DrainSettings
from spotwatch.drain.machine import Drain
from spotwatch.drain.orders import EventWithdrawn, HookNotStarted, StopAsked
from spotwatch.drain.report import Notes, report, verdict, verdict_so_far
from tests.core.schema import as_published, complaints
from tests.drain.driver import Bench, Step, make_event
from tests.drain.driver import make_hook as hook
from tests.drain.scenarios import Scenario, scenarios

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def notes(**more: Any) -> Notes:
    return Notes("2026-11-22-1", Instant(0.0, NOON), InstanceFacts(id="i-0123456789abcdef0"), **more)


def told(bench: Bench, **more: Any) -> DrainReport:
    return report(bench.drain, notes(**more))


def fields(row: object, *names: str) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in names)


# The verdict


def test_a_drain_is_running_until_its_last_hook_is_over() -> None:
    bench = Bench(hook("a", 10), hook("b", 20))
    assert verdict(bench.drain) == "running"
    bench.step(0)
    bench.end(1, "a", exit_code=1)
    assert verdict(bench.drain) == "running"
    bench.end(2, "b")
    assert verdict(bench.drain) == "failed"


def test_a_drain_without_hooks_is_drained() -> None:
    bench = Bench()
    bench.step(0)
    assert verdict(bench.drain) == "drained"


@pytest.mark.parametrize(
    ("exit_code", "other", "expected"),
    [
        (0, "succeeds", "drained"),
        (1, "succeeds", "failed"),
        (0, "cannot be started", "failed"),
        (0, "never ends", "cut"),
        (1, "never ends", "cut"),
        (0, "is stopped", "canceled"),
        (1, "is stopped", "canceled"),
    ],
)
def test_a_shortage_of_time_outranks_a_cancellation_and_that_a_failure(
    exit_code: int, other: str, expected: str
) -> None:
    bench = Bench(hook("a"), hook("other"))
    bench.step(0)
    bench.end(1, "a", exit_code)
    if other == "cannot be started":
        bench.step(1, HookNotStarted("other", "no such file"))
    elif other == "is stopped":
        bench.step(1, StopAsked())
    if other == "never ends":
        bench.run_out()
    else:
        bench.end(2, "other")
    assert verdict(bench.drain) == expected


def test_hooks_skipped_after_a_failure_are_part_of_the_failure() -> None:
    bench = Bench(hook("a", 10, on_failure=OnFailure.STOP), hook("b", 20))
    bench.step(0)
    bench.end(1, "a", exit_code=1)
    assert (verdict(bench.drain), bench.statuses["b"]) == ("failed", "skipped")


def test_a_hook_given_up_for_lack_of_time_cuts_the_drain() -> None:
    bench = Bench(hook("a", 10), hook("b", 20, reserve=200.0))
    bench.step(0)
    bench.end(1, "b")
    assert (verdict(bench.drain), bench.statuses["a"]) == ("cut", "given-up")


@pytest.mark.parametrize("exit_code", [0, 1, 75])
@pytest.mark.parametrize("is_last", [True, False])
def test_what_becomes_of_the_background_is_no_part_of_the_verdict(exit_code: int, is_last: bool) -> None:
    bench = Bench(hook("a", 10), hook("b", 10, background=True))
    bench.step(0)
    ends = [("a", 0), ("b", exit_code)] if is_last else [("b", exit_code), ("a", 0)]
    for number, (name, code) in enumerate(ends):
        bench.end(number, name, code)
    assert verdict(bench.drain) == "drained"


def test_before_the_end_the_verdict_is_only_that_of_the_hooks_that_are_over() -> None:
    bench = Bench(hook("a", 10), hook("b", 20), hook("c", 10, background=True))
    bench.step(0)
    bench.end(1, "a", 1)
    assert (verdict(bench.drain), verdict_so_far(bench.drain)) == ("running", "failed")


def test_hooks_that_a_stronger_event_made_unnecessary_do_not_count() -> None:
    bench = Bench(hook("a", on="start"), hook("b", 20, on="start"), hook("c"), kind="start")
    bench.step(0)
    bench.come(1, "terminate", 100)
    bench.end(2, "a", None, 15)
    bench.end(3, "c")
    assert bench.statuses == {"a": "superseded", "c": "succeeded", "b": "superseded"}
    assert verdict(bench.drain) == "drained"


def test_a_withdrawn_event_is_canceled_if_hooks_were_still_to_run() -> None:
    bench = Bench(hook("a", 10, on="maintenance"), hook("b", 20, on="maintenance"), kind="maintenance")
    bench.step(0)
    bench.step(1, EventWithdrawn(EventKind.MAINTENANCE))
    bench.end(2, "a")
    assert verdict(bench.drain) == "canceled"


# The rest


def test_times_are_told_in_utc_and_spans_in_seconds() -> None:
    bench = Bench(hook("a", timeout=30.0))
    bench.step(0.5)
    bench.end(10.75, "a", exit_code=3)
    whole = told(bench)
    assert fields(whole, "began_at", "notice_seen_at", "ended_at", "deadline") == (
        "2026-11-22T12:00:00.000Z",
        "2026-11-22T12:00:00.000Z",
        "2026-11-22T12:00:10.750Z",
        "2026-11-22T12:02:00.000Z",
    )
    assert fields(whole, "seconds_left", "seconds_to_spare", "spotwatch") == (120.0, 109.25, __version__)
    [row] = whole.hooks
    assert fields(row, "started_at", "ended_at") == ("2026-11-22T12:00:00.500Z", "2026-11-22T12:00:10.750Z")
    assert fields(row, "seconds", "allowed_seconds", "exit_code", "signal") == (10.25, 30.0, 3, None)


def test_a_hook_that_never_ran_has_no_times_of_running() -> None:
    bench = Bench(hook("a"))
    bench.step(0)
    bench.step(0, HookNotStarted("a", "no such file"))
    [row] = told(bench).hooks
    assert fields(row, "status", "reason") == ("not-started", "no such file")
    assert fields(row, "started_at", "seconds", "allowed_seconds") == (None, None, None)


def test_an_upgrade_is_told_with_every_event_and_what_it_did() -> None:
    bench = Bench(kind="rebalance", seconds=600)
    for now, kind, left in [(10.0, "terminate", 120.0), (20.0, "rebalance", 600.0), (30.0, "terminate", 60.0)]:
        bench.come(now, kind, left)
    whole = told(bench)
    assert [fields(row, "event", "effect", "seconds_left") for row in whole.events] == [
        ("rebalance", "began", 600.0),
        ("terminate", "upgraded", 120.0),
        ("rebalance", "recorded", 600.0),
        ("terminate", "moved", 60.0),
    ]
    assert fields(whole, "event", "notice_seen_at", "seconds_left", "deadline") == (
        "terminate",
        "2026-11-22T12:00:10.000Z",
        80.0,
        "2026-11-22T12:01:30.000Z",
    )


def test_what_the_daemon_noted_is_told_with_the_hook_that_it_is_about() -> None:
    bench = Bench(hook("a", 10), hook("b", 20))
    bench.step(0)
    bench.end(1, "a")
    bench.end(2, "b")
    whole = told(
        bench, clock_skew=-0.12345, outputs={"b": "output/b"}, dropped={"b": 7}, not_recorded=["a.log: disk full"]
    )
    assert [fields(row, "name", "output", "output_dropped_bytes") for row in whole.hooks] == [
        ("a", None, 0),
        ("b", "output/b", 7),
    ]
    assert fields(whole, "clock_skew_seconds", "not_recorded") == (-0.123, ("a.log: disk full",))
    assert whole.instance.id == "i-0123456789abcdef0"


def test_a_running_drain_has_no_end_yet() -> None:
    bench = Bench(hook("a"))
    bench.step(0)
    assert fields(told(bench), "verdict", "ended_at", "seconds_to_spare", "hooks") == ("running", None, None, ())


def test_the_time_that_aws_named_is_told_as_utc() -> None:
    event = replace(make_event(), notice_time=NOON + timedelta(seconds=119))
    whole = report(Drain(event, (), DrainSettings()), notes())
    assert {whole.notice_time, whole.events[0].notice_time} == {"2026-11-22T12:01:59.000Z"}


@settings(max_examples=50, deadline=None, derandomize="CI" in os.environ)
@given(scenarios())
def test_every_report_of_every_drain_is_as_the_schema_says_and_reads_back_the_same(scenario: Scenario) -> None:
    """After every step: a report is also written while the drain runs."""
    drain = scenario.drain()

    def check(_: Step) -> None:
        whole = report(drain, notes())
        document = as_published(whole)
        assert complaints(document) == []
        assert DrainReport.from_json(document) == whole

    scenario.play(drain, check)
