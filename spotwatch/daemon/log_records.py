"""What the daemon writes into the log: a record with a constant name for everything that happens."""

from collections.abc import Callable
from typing import Any

from spotwatch.core.event import Event, EventKind
from spotwatch.core.hook import FAILURES, HookOutcome
from spotwatch.core.instant import format_utc
from spotwatch.core.report import DrainReport, Verdict
from spotwatch.drain.execution import EventTaken, Progress, Settled, Signaled, Started
from spotwatch.drain.machine import Effect
from spotwatch.log import Log
from spotwatch.watch.observations import Failed, Recovered, Remark


def log_progress(log: Log, step: Progress, output_tail: Callable[[str], str]) -> None:
    """One thing that a drain did; `output_tail` gives the last lines of a hook's output."""
    match step:
        case EventTaken(event, effect):
            _log_event(log, event, effect)
        case Started(hook, pid, order):
            stage, seconds = order.hook.stage, round(order.allowed, 1)
            log.info("hook-started", hook=hook, stage=stage, pid=pid, allowed_seconds=seconds)
        case Signaled(hook, signal):
            log.warning("hook-signaled", hook=hook, signal=signal)
        case Settled(outcome):
            _log_outcome(log, outcome, output_tail)


def log_trouble(log: Log, observation: Failed | Recovered | Remark) -> None:
    """What the watcher has to say beside announcements."""
    match observation:
        case Failed(item, error):
            problem = type(error).__name__
            log.warning("metadata-failure", item=item, problem=problem, message=error.message, hint=error.hint)
        case Recovered(seconds):
            log.info("metadata-recovered", seconds_without_answer=round(seconds, 1))
        case Remark(name, message, warning, values):
            (log.warning if warning else log.info)(name, message=message, **values)


def log_report(log: Log, report: DrainReport) -> None:
    """A drain is over."""
    say = log.info if report.verdict == Verdict.DRAINED else log.warning
    say(
        "drain-ended",
        drain=report.drain,
        event_kind=report.event,
        verdict=report.verdict,
        seconds_to_spare=report.seconds_to_spare,
    )


def _log_event(log: Log, event: Event, effect: Effect) -> None:
    say = log.info if event.kind is EventKind.START else log.warning
    say(
        "drain-" + effect.value if effect is not Effect.RECORDED else "event-recorded",
        event_kind=event.kind.value,
        action=event.action,
        notice_time=format_utc(event.notice_time) if event.notice_time else None,
        seconds_left=round(event.deadline - event.seen_at, 1),
    )


def _log_outcome(log: Log, outcome: HookOutcome, output_tail: Callable[[str], str]) -> None:
    values: dict[str, Any] = {"hook": outcome.hook, "stage": outcome.stage, "status": outcome.status.value}
    if outcome.started_at is not None and outcome.ended_at is not None:
        values["seconds"] = round(outcome.ended_at - outcome.started_at, 1)
    values |= {"exit_code": outcome.exit_code, "signal": outcome.signal, "reason": outcome.reason}
    if outcome.status in FAILURES and outcome.started_at is not None:
        values["output"] = output_tail(outcome.hook)
    (log.warning if outcome.status in FAILURES else log.info)("hook-ended", **values)
