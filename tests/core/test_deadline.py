from datetime import UTC, datetime, timedelta

import pytest

from spotwatch.core.deadline import LEAST_SECONDS, PROMISED_SECONDS, UNNAMED_SECONDS, deadline
from spotwatch.core.event import EventKind
from spotwatch.core.instant import Instant

SEEN = Instant(5000.0, datetime(2026, 11, 22, 8, 20, 31, tzinfo=UTC))


def seconds_left(
    named: float | None, *, kind: str = "terminate", skew: float = 0.0, limit: float = PROMISED_SECONDS
) -> float:
    """What is left when AWS names a time this many seconds after the notice was seen, by the system's clock."""
    notice_time = None if named is None else SEEN.utc + timedelta(seconds=named)
    return deadline(EventKind(kind), notice_time, SEEN, skew=timedelta(seconds=skew), limit=limit) - SEEN.boot


@pytest.mark.parametrize(
    ("named", "left"),
    [
        (118.0, 118.0),
        (120.0, 120.0),
        (121.0, PROMISED_SECONDS),
        (3600.0, PROMISED_SECONDS),
        (LEAST_SECONDS, LEAST_SECONDS),
        (1.0, LEAST_SECONDS),
        (-3600.0, LEAST_SECONDS),
    ],
)
def test_the_named_time_is_believed_between_two_seconds_and_two_minutes(named: float, left: float) -> None:
    assert seconds_left(named) == left


@pytest.mark.parametrize(("skew", "left"), [(30.0, 70.0), (-15.0, 115.0), (-60.0, 120.0), (99.5, 2.0)])
def test_a_clock_that_differs_from_awss_does_not_move_the_deadline(skew: float, left: float) -> None:
    """If AWS's clock is ahead of ours, less time is left than our clock makes believe."""
    assert seconds_left(100.0, skew=skew) == left


@pytest.mark.parametrize("kind", ["stop", "hibernate", "terminate"])
def test_an_interruption_without_a_time_gets_what_is_left_as_a_rule(kind: str) -> None:
    assert seconds_left(None, kind=kind) == UNNAMED_SECONDS
    assert seconds_left(None, kind=kind, limit=10.0) == 10.0


@pytest.mark.parametrize("kind", ["start", "rebalance", "maintenance", "lifecycle", "shutdown"])
def test_another_event_without_a_time_gets_all_that_the_settings_allow(kind: str) -> None:
    assert seconds_left(None, kind=kind, limit=600.0) == 600.0


def test_the_least_is_dealt_out_even_where_the_settings_allow_less() -> None:
    assert seconds_left(60.0, limit=0.5) == LEAST_SECONDS


def test_the_system_clock_has_no_part_in_the_deadline_but_for_the_named_time() -> None:
    wrong = Instant(SEEN.boot, SEEN.utc + timedelta(days=365))
    assert deadline(EventKind.TERMINATE, None, wrong, skew=timedelta(), limit=120.0) == SEEN.boot + UNNAMED_SECONDS
