"""Drain reports for tests of what reads them. Times are seconds after the drain began."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from spotwatch.core.instant import format_utc
from spotwatch.core.report import DrainReport, EventReport, HookReport, InstanceFacts

BEGAN = datetime(2026, 11, 22, 8, 20, tzinfo=UTC)


def moment(seconds: float) -> str:
    return format_utc(BEGAN + timedelta(seconds=seconds))


def make_hook_report(name: str, start: float | None = 0.0, end: float = 1.0, **values: Any) -> HookReport:
    """A hook that ran from start to end and succeeded, unless the values say otherwise; None: it never started."""
    report = HookReport(
        name=name,
        stage=10,
        status="succeeded",
        reason="",
        started_at=None if start is None else moment(start),
        ended_at=moment(end),
        seconds=None if start is None else end - start,
        allowed_seconds=None if start is None else 20.0,
        timeout_seconds=20.0,
        exit_code=None if start is None else 0,
        signal=None,
        output=None,
    )
    return replace(report, **values)


def make_report(*hooks: HookReport, event: str = "terminate", drain: str = "d-1", **values: Any) -> DrainReport:
    """A drain with 120 s to go that ended after 5 s."""
    report = DrainReport(
        drain=drain,
        verdict="drained",
        event=event,
        action=event,
        notice_time=moment(120),
        notice_seen_at=moment(0),
        seconds_left=120.0,
        deadline=moment(120),
        began_at=moment(0),
        ended_at=moment(5),
        seconds_to_spare=115.0,
        clock_skew_seconds=0.0,
        instance=InstanceFacts(id="i-0123456789abcdef0", type="c6i.xlarge", availability_zone="eu-west-1a"),
        events=(EventReport(event, event, "began", moment(120), moment(0), 120.0),),
        hooks=hooks,
        not_recorded=(),
        spotwatch="0.1.0",
    )
    return replace(report, **values)
