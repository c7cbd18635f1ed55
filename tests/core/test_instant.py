from datetime import UTC, datetime, timedelta, timezone

import pytest

from spotwatch.core.instant import Instant, format_utc, parse_utc

NOW = Instant(1000.0, datetime(2026, 11, 22, 8, 20, 31, 125000, tzinfo=UTC))


@pytest.mark.parametrize("away", [0.0, 120.5, -999.875])
def test_the_two_clocks_run_side_by_side_from_the_instant_on(away: float) -> None:
    assert NOW.utc_of(NOW.boot + away) == NOW.utc + timedelta(seconds=away)
    assert NOW.boot_of(NOW.utc + timedelta(seconds=away)) == NOW.boot + away


def test_a_moment_is_told_in_utc_with_milliseconds_wherever_it_was_named() -> None:
    kolkata = NOW.utc.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert format_utc(NOW.utc) == format_utc(kolkata) == "2026-11-22T08:20:31.125Z"
    assert format_utc(NOW.utc.replace(microsecond=0)) == "2026-11-22T08:20:31.000Z"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T08:20:31Z",
        "2026-11-22T08:20:31.000Z",
        "2026-11-22T08:20:31+00:00",
        "2026-11-22T09:20:31+01:00",
        "2026-11-22T08:20:31",
        " 2026-11-22T08:20:31Z\n",
    ],
)
def test_a_time_is_read_as_utc_also_without_an_offset(text: str) -> None:
    moment = parse_utc(text)
    assert moment == datetime(2026, 11, 22, 8, 20, 31, tzinfo=UTC)
    assert moment.tzinfo is UTC


@pytest.mark.parametrize("text", ["", "soon", "2026-11-22T25:00:00Z", "2026-13-01T00:00:00Z", "22 Nov 2026"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_utc(text)


def test_a_moment_that_is_told_reads_back_the_same() -> None:
    assert parse_utc(format_utc(NOW.utc)) == NOW.utc
