"""The measures, computed by hand, and the worst window against a plain search."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotwatch.pools.replay.measure import DAY_SECONDS, History, mass_losses, measure, worst_window


def test_the_measures_of_a_day_with_one_loss() -> None:
    """Two hours at half, a fleet of 12 for a target of 10."""
    history = History(DAY_SECONDS, 12.0, [(0.0, 12.0), (3600.0, 6.0), (3600.0 + 7200.0, 12.0)], [(3600.0, 6.0)], 3.0)
    measures = measure(history, 10.0)
    assert measures.mean_availability == pytest.approx((22 * 10 + 2 * 6) / 24 / 10)
    assert measures.mean_running == pytest.approx((22 * 12 + 2 * 6) / 24 / 10)
    assert measures.worst_10_minutes == pytest.approx(0.6)
    assert measures.mass_losses_a_day == 1
    assert measures.interruptions_a_day == 1
    assert measures.interrupted_a_day == pytest.approx(0.6)
    assert measures.moved_a_day == pytest.approx(0.3)


def test_capacity_beyond_the_target_does_not_make_up_for_a_gap_where_it_is_capped() -> None:
    """Five minutes at 0.5 beside five at 1.25: 0.875 as it runs, 0.75 as it serves."""
    measures = measure(History(1200.0, 1.25, [(0.0, 1.25), (300.0, 0.5), (600.0, 1.25)]), 1.0)
    assert measures.worst_10_minutes == pytest.approx(0.875)
    assert measures.worst_10_minutes_capped == pytest.approx(0.75)


def test_a_record_shorter_than_the_window_is_a_window() -> None:
    assert worst_window([(0.0, 1.0), (50.0, 0.0)], 100.0) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("losses", "count"),
    [
        ([(0.0, 0.25)], 1),
        ([(0.0, 0.24)], 0),
        ([(0.0, 0.1), (600.0, 0.15)], 1),
        ([(0.0, 0.1), (601.0, 0.15)], 0),
        ([(0.0, 0.3), (1.0, 0.2), (2.0, 0.04)], 1),
        ([(0.0, 0.3), (1.0, 0.25)], 2),
        ([(0.0, 0.1), (500.0, 0.1), (1000.0, 0.1), (1100.0, 0.1)], 1),
    ],
)
def test_a_mass_loss_is_a_quarter_within_ten_minutes_and_each_loss_counts_once(
    losses: list[tuple[float, float]], count: int
) -> None:
    assert mass_losses(losses, 0.25) == count


STEPS = st.lists(st.tuples(st.integers(1, 99), st.integers(0, 20)), max_size=12)


@given(STEPS, st.integers(1, 40))
def test_the_worst_window_is_the_least_of_all_windows_second_by_second(
    later: list[tuple[int, int]], window: int
) -> None:
    steps = sorted({0: 10} | dict(later))
    values = {0: 10} | dict(later)
    seconds = [values[max(at for at in steps if at <= second)] for second in range(100)]
    searched = min(sum(seconds[begin : begin + window]) for begin in range(100 - window + 1)) / window
    exact = worst_window([(float(at), float(values[at])) for at in steps], 100.0, float(window))
    assert exact == pytest.approx(searched)
