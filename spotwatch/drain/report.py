"""From a drain to its report."""

from dataclasses import dataclass, field

from spotwatch import __version__
from spotwatch.core.event import Event
from spotwatch.core.hook import CUT, FAILURES, Hook, HookOutcome, HookStatus
from spotwatch.core.instant import Instant, format_utc
from spotwatch.core.report import DrainReport, EventReport, HookReport, InstanceFacts, Verdict
from spotwatch.drain.machine import Drain, Effect


@dataclass(slots=True)
class Notes:
    """What the report says beyond the machine's own state.

    Attributes:
        drain: the drain's id.
        began: when it began, on both clocks.
        instance: what is known of the instance.
        clock_skew: seconds that AWS's clock is ahead of ours, None if it was never seen.
        outputs: where the output of each hook is, by its name.
        dropped: bytes left out of an output because of the size limit.
        not_recorded: what could not be written down, and why.
    """

    drain: str
    began: Instant
    instance: InstanceFacts
    clock_skew: float | None = None
    outputs: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    not_recorded: list[str] = field(default_factory=list)


def verdict(drain: Drain) -> Verdict:
    """The drain in one word; a hook that a stronger event made unnecessary does not count."""
    return Verdict.RUNNING if drain.finished_at is None else verdict_so_far(drain)


def verdict_so_far(drain: Drain) -> Verdict:
    """What the hooks that are over would make of it; those in the background are no part of it."""
    statuses = {outcome.status for outcome in drain.outcomes if not drain.hook(outcome.hook).background}
    if statuses & CUT:
        return Verdict.CUT
    if HookStatus.CANCELED in statuses:
        return Verdict.CANCELED
    if statuses & (FAILURES | {HookStatus.SKIPPED}):
        return Verdict.FAILED
    return Verdict.DRAINED


def report(drain: Drain, notes: Notes) -> DrainReport:
    """The report as things stand; complete once the drain has finished."""
    began, ended = notes.began, drain.finished_at
    return DrainReport(
        drain=notes.drain,
        verdict=verdict(drain),
        event=drain.event.kind,
        action=drain.event.action,
        notice_time=format_utc(drain.event.notice_time) if drain.event.notice_time else None,
        notice_seen_at=format_utc(began.utc_of(drain.event.seen_at)),
        seconds_left=round(drain.deadline - drain.event.seen_at, 3),
        deadline=format_utc(began.utc_of(drain.deadline)),
        began_at=format_utc(began.utc),
        ended_at=_utc(began, ended),
        seconds_to_spare=None if ended is None else round(drain.deadline - ended, 3),
        clock_skew_seconds=None if notes.clock_skew is None else round(notes.clock_skew, 3),
        instance=notes.instance,
        events=tuple(_event(event, effect, began) for event, effect in drain.history),
        hooks=tuple(_hook(drain.hook(outcome.hook), outcome, notes) for outcome in drain.outcomes),
        not_recorded=tuple(notes.not_recorded),
        spotwatch=__version__,
    )


def _event(event: Event, effect: Effect, began: Instant) -> EventReport:
    return EventReport(
        event=event.kind,
        action=event.action,
        effect=effect.value,
        notice_time=format_utc(event.notice_time) if event.notice_time else None,
        seen_at=format_utc(began.utc_of(event.seen_at)),
        seconds_left=round(event.deadline - event.seen_at, 3),
    )


def _hook(hook: Hook, outcome: HookOutcome, notes: Notes) -> HookReport:
    began = notes.began
    ran = outcome.started_at is not None and outcome.ended_at is not None
    return HookReport(
        name=outcome.hook,
        stage=outcome.stage,
        status=outcome.status,
        reason=outcome.reason,
        started_at=_utc(began, outcome.started_at),
        ended_at=_utc(began, outcome.ended_at),
        seconds=round((outcome.ended_at or 0.0) - (outcome.started_at or 0.0), 3) if ran else None,
        allowed_seconds=None if outcome.allowed is None else round(outcome.allowed, 3),
        timeout_seconds=outcome.timeout,
        exit_code=outcome.exit_code,
        signal=outcome.signal,
        output=notes.outputs.get(outcome.hook),
        output_dropped_bytes=notes.dropped.get(outcome.hook, 0),
        background=hook.background,
    )


def _utc(began: Instant, boot: float | None) -> str | None:
    return None if boot is None else format_utc(began.utc_of(boot))
