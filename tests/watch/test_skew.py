"""From ``Date`` headers, which name whole seconds, to a skew that deadlines can be reckoned with."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotwatch.core.instant import Instant
from spotwatch.watch.skew import ClockSkew

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


class Clocks:
    """The system's clock and AWS's, which is ahead of it by `ahead` seconds."""

    def __init__(self, ahead: float) -> None:
        self.ahead = ahead
        self.boot = 0.0
        self.set_by = 0.0

    def instant(self) -> Instant:
        return Instant(self.boot, NOON + seconds(self.boot + self.set_by))

    def header(self) -> datetime:
        """AWS's clock at this moment, in whole seconds."""
        return (NOON + seconds(self.boot + self.set_by + self.ahead)).replace(microsecond=0)

    def set_system(self, by: float) -> None:
        self.set_by += by
        self.ahead -= by

    def exchange(self, skew: ClockSkew, *, there: float = 0.0005, back: float = 0.0005, set_by: float = 0.0) -> None:
        """One request and its answer; the system's clock may be set while the answer is under way."""
        asked = self.instant()
        self.boot += there
        date = self.header()
        self.set_system(set_by)
        self.boot += back
        skew.observe(date, asked, self.instant())

    def error(self, skew: ClockSkew) -> float:
        return abs(skew.estimate.total_seconds() - self.ahead)


def test_without_an_answer_nothing_is_known_and_nothing_is_allowed_for() -> None:
    skew = ClockSkew()
    assert not skew.known
    assert skew.estimate == timedelta()


@pytest.mark.parametrize("ahead", [0.0, 0.7, -0.7, 90.0, -90.0, 3600.0 * 24 * 400])
def test_one_answer_tells_it_to_half_a_second(ahead: float) -> None:
    skew, clocks = ClockSkew(), Clocks(ahead)
    clocks.exchange(skew)
    assert skew.known
    assert clocks.error(skew) <= 0.501


def test_more_answers_tell_it_to_some_milliseconds() -> None:
    skew, clocks = ClockSkew(), Clocks(41.8371)
    for _ in range(200):
        clocks.exchange(skew)
        clocks.boot += 2.0037
    assert clocks.error(skew) < 0.02


@given(
    ahead=st.floats(-1e6, 1e6),
    exchanges=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 10)), min_size=1, max_size=30),
)
def test_however_slow_the_answers_it_is_never_off_by_more_than_half_the_best_of_them(
    ahead: float, exchanges: list[tuple[float, float, float]]
) -> None:
    skew, clocks = ClockSkew(), Clocks(ahead)
    for there, back, pause in exchanges:
        clocks.exchange(skew, there=there, back=back)
        clocks.boot += pause
    best = min(there + back for there, back, _ in exchanges)
    assert clocks.error(skew) <= (1 + best) / 2 + 1e-4


@pytest.mark.parametrize("set_by", [3600.0, -3600.0, 5.0, -5.0])
def test_after_the_systems_clock_was_set_the_next_answer_puts_it_right(set_by: float) -> None:
    skew, clocks = ClockSkew(), Clocks(0.25)
    for _ in range(50):
        clocks.exchange(skew)
        clocks.boot += 2.0037
    clocks.set_system(set_by)
    clocks.exchange(skew)
    assert clocks.error(skew) <= 0.501


@pytest.mark.parametrize("set_by", [3600.0, -3600.0])
@pytest.mark.parametrize("known", [False, True])
def test_if_the_clock_is_set_during_a_request_its_own_answer_puts_it_right(set_by: float, known: bool) -> None:
    skew, clocks = ClockSkew(), Clocks(0.25)
    if known:
        clocks.exchange(skew)
    clocks.exchange(skew, back=0.0, set_by=set_by)
    assert clocks.error(skew) <= 0.501


def test_a_clock_that_drifts_is_followed() -> None:
    """100 millionths, a cheap crystal that nothing disciplines."""
    skew, clocks = ClockSkew(), Clocks(0.0)
    for _ in range(20_000):
        clocks.exchange(skew)
        clocks.boot += 2.0037
        clocks.ahead += 2.0037 * 1e-4
        assert clocks.error(skew) <= 0.502


@pytest.mark.parametrize("year", [1, 1970, 2005, 2201, 9999])
@pytest.mark.parametrize("known", [False, True])
def test_a_date_that_no_clock_shows_is_no_date(year: int, known: bool) -> None:
    skew, now = ClockSkew(), Instant(100.0, NOON)
    if known:
        skew.observe(NOON + seconds(30), now, now)
    before = skew.estimate
    skew.observe(datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC), now, now)
    assert (skew.known, skew.estimate) == (known, before)
