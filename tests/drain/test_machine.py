"""The drain machine, one promise at a time. Times are seconds since the notice; see `Bench` for the words."""

import pytest

from spotwatch.core.event import EventKind
from spotwatch.core.hook import Hook, HookStatus, OnFailure
from spotwatch.drain.machine import Effect
from spotwatch.drain.orders import EventWithdrawn, HookEnded, HookNotStarted, StopAsked
from tests.drain.driver import Bench, Driver, make_event
from tests.drain.driver import make_hook as hook

NOT_SEEN = "its end was not seen after SIGKILL"
HOURS = 3 * 3600.0

STOPPING = OnFailure.STOP


# Stages


def test_the_hooks_of_one_stage_start_together_in_the_order_of_the_settings() -> None:
    bench = Bench(hook("b"), hook("a"), hook("c"))
    assert bench.step(0) == ["start b 117.5", "start a 117.5", "start c 117.5"]


def test_a_stage_begins_when_the_last_hook_of_the_one_before_is_over() -> None:
    bench = Bench(hook("a", 10), hook("b", 10), hook("c", 20))
    bench.step(0)
    assert bench.end(1, "b") == []
    assert bench.end(5, "a", exit_code=1) == ["start c 112.5"]
    assert bench.end(6, "c") == []
    assert bench.drain.finished_at == 6


def test_stages_run_by_number_and_not_by_place_in_the_settings() -> None:
    bench = Bench(hook("last", 90), hook("first", 1))
    assert bench.step(0) == ["start first 117.5"]
    assert [*bench.end(1, "first"), *bench.end(2, "last")] == ["start last 116.5"]
    assert list(bench.statuses) == ["first", "last"]


def test_only_hooks_for_the_event_run() -> None:
    bench = Bench(hook("a", on="rebalance"), hook("b", on="rebalance terminate"))
    assert bench.step(0) == ["start b 117.5"]


@pytest.mark.parametrize("hooks", [[], [hook("a", on="stop")]], ids=["none", "none for this event"])
def test_a_drain_without_hooks_asks_to_be_stepped_at_once_and_finishes_there(hooks: list[Hook]) -> None:
    bench = Bench(*hooks)
    assert bench.drain.wakeup() == 0
    assert bench.step(0.5) == []
    assert (bench.drain.finished_at, bench.drain.wakeup()) == (0.5, None)


def test_a_new_drain_asks_to_be_stepped_at_once() -> None:
    assert Bench(hook("a")).drain.wakeup() == 0


# Time limits


@pytest.mark.parametrize(
    ("exit_code", "signal", "status"),
    [(0, None, "succeeded"), (3, None, "failed"), (None, 11, "failed"), (None, 15, "failed")],
)
def test_a_hook_that_ends_within_its_time_succeeds_with_zero_only(
    exit_code: int | None, signal: int | None, status: str
) -> None:
    bench = Bench(hook("a"))
    bench.step(0)
    bench.end(7, "a", exit_code, signal)
    assert bench.statuses == {"a": status}
    outcome = bench.outcome("a")
    assert (outcome.exit_code, outcome.signal, outcome.started_at, outcome.ended_at) == (exit_code, signal, 0, 7)


def test_a_hook_is_sent_term_then_kill_then_counted_as_over() -> None:
    bench = Bench(hook("a", timeout=20.0))
    assert bench.step(0) == ["start a 20"]
    assert [bench.step(bench.drain.wakeup() or 0) for _ in range(3)] == [["term a"], ["kill a"], []]
    assert bench.outcome("a").ended_at == 22.5
    assert (bench.outcome("a").status, bench.outcome("a").reason) == (HookStatus.KILLED, NOT_SEEN)


@pytest.mark.parametrize(
    ("ends_at", "status"),
    [(19.9, "succeeded"), (20.1, "timed-out"), (22.1, "killed")],
    ids=["before SIGTERM", "after SIGTERM", "after SIGKILL"],
)
def test_how_a_hook_ended_depends_on_what_it_took(ends_at: float, status: str) -> None:
    bench = Bench(hook("a", timeout=20.0))
    for now in (0.0, 20.0, 22.0):
        if now < ends_at:
            bench.step(now)
    bench.end(ends_at, "a")
    assert bench.statuses == {"a": status}


def test_an_end_that_is_seen_too_late_still_counts_as_the_hooks_own() -> None:
    """The loop woke late, but it was never the machine that ended the hook."""
    bench = Bench(hook("a", timeout=20.0))
    bench.step(0)
    assert bench.end(23, "a") == []
    assert bench.statuses == {"a": "succeeded"}


def test_ends_of_hooks_that_are_over_or_never_began_are_ignored() -> None:
    bench = Bench(hook("a", timeout=1.0), hook("b", 20))
    for now in (0, 1, 3, 3.5):
        bench.step(now)
    before = bench.outcome("a")
    assert bench.step(4, HookEnded("a", None, 9), HookNotStarted("a", "late")) == []
    assert bench.outcome("a") is before
    bench = Bench(hook("a"), hook("b", 20))
    assert bench.step(0, HookEnded("b", 0, None), HookNotStarted("b", "early")) == ["start a 117.5"]
    assert bench.statuses == {}


@pytest.mark.parametrize(
    ("seconds", "allowed"),
    [(120.0, 114.5), (40.0, 34.5), (10.0, 6.5), (2.0, 1.17), (0.2, 0.117)],
)
def test_a_short_notice_shortens_margin_and_grace_in_proportion(seconds: float, allowed: float) -> None:
    """The margin takes a tenth at most, SIGTERM to SIGKILL a quarter of the rest, the kill a tenth."""
    bench = Bench(hook("a"), seconds=seconds, margin=3.0)
    assert bench.step(0) == [f"start a {allowed:g}"]


def test_a_hook_with_a_timeout_leaves_the_rest_to_the_next_stage() -> None:
    bench = Bench(hook("a", timeout=5.0), hook("b", 20))
    bench.step(0)
    assert bench.step(5) == ["term a"]
    assert bench.end(5.5, "a", None, 15) == ["start b 112"]


# Late notices and reserves

SHARING = [hook("drain", 10), hook("flush", 20, reserve=10.0), hook("bye", 30, reserve=5.0)]
"""The later stages keep 10 s and 5 s, and 2.5 s each for being ended."""


@pytest.mark.parametrize(
    ("seconds", "allowed"),
    [
        (120.0, {"drain": 94.5, "flush": 10.0, "bye": 5.0}),
        (40.0, {"drain": 14.5, "flush": 10.0, "bye": 5.0}),
        (25.0, {"drain": 1.625, "flush": 10.0, "bye": 5.0}),
        (10.0, {"flush": 0.975, "bye": 5.0}),
        (2.0, {"bye": 1.17}),
    ],
)
def test_hooks_that_use_all_their_time_leave_the_reserves_whole(seconds: float, allowed: dict[str, float]) -> None:
    bench = Bench(*SHARING, seconds=seconds, margin=3.0)
    endless = {name: [] for name in allowed}
    words = [word for now in _wakeups(bench) for word in bench.step(now) if word.startswith("start")]
    assert words == [f"start {name} {seconds:g}" for name, seconds in allowed.items()]
    assert bench.drain.finished_at is not None
    assert len(endless) == len(allowed)
