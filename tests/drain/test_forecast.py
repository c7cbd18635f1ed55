"""Whether the time adds up, before it matters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotwatch.core.event import EventKind
from spotwatch.core.hook import Hook, HookOutcome, HookStatus, OnFailure
from spotwatch.core.settings import DrainSettings
from spotwatch.drain.forecast import falls_short, forecast
from tests.drain.driver import make_hook as hook

SETTINGS = DrainSettings()


def outcomes(*hooks: Hook, seconds: float = 120.0) -> dict[str, HookOutcome]:
    return {outcome.hook: outcome for outcome in forecast(hooks, SETTINGS, EventKind.TERMINATE, seconds)}


def short(*hooks: Hook, seconds: float = 120.0) -> list[str]:
    return [name for name, outcome in outcomes(*hooks, seconds=seconds).items() if falls_short(outcome)]


def test_no_hooks_fall_into_no_trouble() -> None:
    assert outcomes() == {}


def test_hooks_take_all_of_their_timeouts_one_stage_after_the_other() -> None:
    found = outcomes(hook("a", 10, timeout=20.0), hook("b", 10, timeout=5.0), hook("c", 20, timeout=30.0))
    spans = {name: (outcome.started_at, outcome.ended_at) for name, outcome in found.items()}
    assert spans == {"a": (0.0, 20.0), "b": (0.0, 5.0), "c": (20.0, 50.0)}


def test_a_hook_with_all_of_its_timeout_does_not_fall_short() -> None:
    assert short(hook("a", timeout=110.0)) == []


def test_a_hook_with_less_than_its_timeout_falls_short() -> None:
    assert short(hook("a", timeout=110.0), seconds=40.0) == ["a"]


def test_a_hook_without_a_timeout_takes_what_it_gets() -> None:
    assert outcomes(hook("a"))["a"].status is HookStatus.KILLED
    assert short(hook("a")) == []


def test_a_hook_without_a_timeout_leaves_nothing_to_later_ones_that_reserve_nothing() -> None:
    assert short(hook("a", 10), hook("b", 20)) == ["b"]


def test_a_reserve_keeps_time_free() -> None:
    assert short(hook("a", 10), hook("b", 20, timeout=10.0, reserve=10.0)) == []


@pytest.mark.parametrize(("seconds", "fallen"), [(120.0, []), (40.0, ["a", "b"])])
def test_what_fits_two_minutes_may_not_fit_a_late_notice(seconds: float, fallen: list[str]) -> None:
    hooks = hook("a", 10, timeout=60.0), hook("b", 20, timeout=40.0)
    assert short(*hooks, seconds=seconds) == fallen


def test_a_hook_whose_reserves_leave_no_time_is_given_up() -> None:
    found = outcomes(hook("a", 10), hook("b", 20, reserve=39.0), seconds=40.0)
    assert found["a"].status is HookStatus.GIVEN_UP
    assert falls_short(found["a"])


def test_a_hook_behind_one_that_has_too_little_and_stops_the_drain_falls_short_too() -> None:
    stopping = hook("a", 10, timeout=60.0, on_failure=OnFailure.STOP)
    assert short(stopping, hook("b", 20, timeout=1.0, reserve=1.0), seconds=40.0) == ["a", "b"]


def test_hooks_for_other_events_take_no_time() -> None:
    assert list(outcomes(hook("a", on="rebalance"), hook("b"))) == ["b"]


def test_a_hook_that_starts_late_is_waited_for() -> None:
    assert outcomes(hook("a", timeout=5.0, start_before=30.0))["a"].started_at == 90.0


DURATIONS = st.floats(0.5, 200.0)


@st.composite
def some_hooks(draw: st.DrawFn) -> list[Hook]:
    return [
        hook(
            f"hook-{number}",
            draw(st.integers(0, 3)),
            timeout=draw(st.none() | DURATIONS),
            reserve=draw(st.just(0.0) | DURATIONS),
            start_before=draw(st.none() | DURATIONS),
            on_failure=draw(st.sampled_from(OnFailure)),
            background=draw(st.booleans()),
        )
        for number in range(draw(st.integers(0, 5)))
    ]


@given(hooks=some_hooks(), seconds=st.floats(2.0, 120.0))
def test_every_forecast_comes_to_an_end_in_time_with_an_outcome_for_each_hook(
    hooks: list[Hook], seconds: float
) -> None:
    found = outcomes(*hooks, seconds=seconds)
    assert set(found) == {hook.name for hook in hooks}
    assert all(outcome.ended_at is not None and outcome.ended_at <= seconds for outcome in found.values())
