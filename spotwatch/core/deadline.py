"""From the time that AWS names to a deadline on the boot clock that it is safe to work towards."""

from datetime import datetime, timedelta

from spotwatch.core.event import EventKind
from spotwatch.core.instant import Instant

PROMISED_SECONDS = 120.0
"""AWS gives a Spot interruption notice two minutes before it stops or terminates the instance (EC2 user guide, "Spot
Instance interruption notices"); a notice that names a later time is not believed beyond that."""

UNNAMED_SECONDS = 105.0
"""For an interruption notice without a readable time: what is left of the two minutes when such notices were read on
real instances (108 s, twice), less a poll."""

LEAST_SECONDS = 2.0
"""Dealt out even if the named time has passed: it is approximate, and while we run the instance is still there."""


def deadline(kind: EventKind, notice_time: datetime | None, seen: Instant, *, skew: timedelta, limit: float) -> float:
    """When the instance has to be ready (boot clock, seconds).

    Args:
        kind: what is going to happen.
        notice_time: when, in the words of AWS's clock; None where AWS names no time.
        seen: when the notice was read.
        skew: how far AWS's clock is ahead of the system's.
        limit: the longest that the settings allow for this kind of event, in seconds from `seen`.

    A time in the past, or closer than `LEAST_SECONDS`, yields `LEAST_SECONDS`; one beyond the limit, the limit.
    """
    if notice_time is None:
        named = UNNAMED_SECONDS if kind.is_interruption else limit
    else:
        named = (notice_time - (seen.utc + skew)).total_seconds()
    return seen.boot + max(LEAST_SECONDS, min(named, limit))
