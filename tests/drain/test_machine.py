"""The drain machine, one promise at a time. Times are seconds since the notice; see `Bench` for the words."""

from dataclasses import replace
from typing import Any

import pytest

from spotwatch.core.event import EventKind
from spotwatch.core.hook import Hook, HookStatus, OnFailure
from spotwatch.drain.machine import Effect
from spotwatch.drain.orders import EventWithdrawn, HookEnded, HookLost, HookNotStarted, StopAsked
from tests.drain.driver import Bench
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
    ("seconds", "starts"),
    [
        (120.0, ["0 start drain 94.5", "97 start flush 10", "109.5 start bye 5.125"]),
        (40.0, ["0 start drain 14.5", "17 start flush 10", "29.5 start bye 5.125"]),
        (25.0, ["0 start drain 1.625", "2.5 start flush 10", "15 start bye 5.125"]),
        (10.0, ["0 start flush 0.975", "1.5 start bye 5.125"]),
        (2.0, ["0 start bye 1.17"]),
    ],
)
def test_hooks_that_never_end_leave_the_reserves_whole(seconds: float, starts: list[str]) -> None:
    bench = Bench(*SHARING, seconds=seconds, margin=3.0)
    assert [word for word in bench.run_out() if "start" in word] == starts
    assert bench.drain.finished_at == pytest.approx(seconds - min(3.0, 0.1 * seconds))


@pytest.mark.parametrize(
    ("seconds", "reasons"),
    [
        (40.0, {}),
        (10.0, {"drain": "10 s left, and later stages have 20 s reserved"}),
        (
            2.0,
            {
                "drain": "2 s left, and later stages have 20 s reserved",
                "flush": "2 s left, and later stages have 7.5 s reserved",
            },
        ),
        (
            0.0,
            {
                "drain": "0 s left, and later stages have 20 s reserved",
                "flush": "0 s left, and later stages have 7.5 s reserved",
                "bye": "0 s left",
            },
        ),
    ],
)
def test_on_short_notice_the_earlier_hooks_are_given_up_with_the_reason(
    seconds: float, reasons: dict[str, str]
) -> None:
    bench = Bench(*SHARING, seconds=seconds)
    bench.step(0)
    assert {outcome.hook: outcome.reason for outcome in bench.drain.outcomes} == reasons
    assert set(bench.statuses.values()) <= {"given-up"}


def test_a_deadline_in_the_past_gives_every_hook_up_at_once() -> None:
    bench = Bench(hook("a", always=True), hook("b", 20, start_before=5.0), seconds=-30)
    assert bench.step(0) == []
    assert bench.statuses == {"a": "given-up", "b": "given-up"}
    assert bench.drain.finished_at == 0


def test_hooks_side_by_side_share_their_reserves() -> None:
    bench = Bench(hook("a"), hook("b", 20, reserve=10.0), hook("c", 20, reserve=4.0))
    assert bench.step(0) == ["start a 105"]


def test_a_reserve_is_free_again_when_its_stage_needs_it_no_more() -> None:
    """Here because the event for which it was kept gave way to a stronger one."""
    bench = Bench(
        hook("a", on="rebalance terminate"), hook("b", 20, on="rebalance", reserve=50.0), kind="rebalance", seconds=100
    )
    assert bench.step(0) == ["start a 45"]
    bench.come(1, "terminate", 99)
    assert bench.drain.wakeup() == 97.5


# Late starts


def test_a_late_start_waits_for_its_time_and_holds_up_the_stages_behind_it() -> None:
    bench = Bench(hook("a", 10), hook("late", 10, start_before=30.0), hook("c", 20))
    assert bench.step(0) == ["start a 117.5"]
    assert bench.end(1, "a") == []
    assert bench.drain.wakeup() == 90
    assert bench.step(89.9) == []
    assert bench.step(90) == ["start late 27.5"]
    assert bench.end(91, "late") == ["start c 26.5"]


def test_a_late_start_still_waits_for_the_stages_before_it() -> None:
    bench = Bench(hook("a", 10), hook("late", 20, start_before=100.0))
    bench.step(0)
    assert bench.step(21) == []
    assert bench.end(30, "a") == ["start late 87.5"]


def test_on_short_notice_a_late_start_is_at_once() -> None:
    assert Bench(hook("late", start_before=30.0), seconds=20).step(0) == ["start late 17.5"]


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        ([], "its start, 2 s before the deadline, lies in the margin"),
        (
            [hook("b", 20, reserve=20.0)],
            "its start, 2 s before the deadline, lies in the 22.5 s reserved for later stages",
        ),
    ],
    ids=["margin", "reserve"],
)
def test_a_start_too_late_to_be_of_use_is_given_up_before_it_holds_up_anyone(later: list[Hook], reason: str) -> None:
    bench = Bench(hook("late", start_before=2.0), *later, margin=3.0)
    bench.step(0)
    assert bench.outcome("late").status is HookStatus.GIVEN_UP
    assert bench.outcome("late").reason == reason
    assert bench.drain.running == [one.name for one in later]


# In the background


def beside(name: str, stage: int = 10, **settings: Any) -> Hook:
    return hook(name, stage, background=True, **settings)


def test_a_hook_in_the_background_begins_with_its_stage_and_holds_up_no_other() -> None:
    bench = Bench(hook("a", 10), beside("b", 20), hook("c", 20), hook("d", 30))
    assert bench.step(0) == ["start a 117.5"]
    assert bench.end(1, "a") == ["start b 116.5", "start c 116.5"]
    assert bench.end(2, "c") == ["start d 115.5"]
    assert bench.drain.awaited == ["d"]


def test_a_drain_is_not_over_before_its_background_is() -> None:
    bench = Bench(hook("a", 10), beside("b", 10))
    bench.step(0)
    bench.end(1, "a")
    assert (bench.drain.finished_at, bench.drain.awaited, bench.drain.running) == (None, [], ["b"])
    bench.end(2, "b")
    assert bench.drain.finished_at == 2


def test_with_nothing_to_wait_for_the_background_of_all_stages_begins_at_once() -> None:
    assert Bench(beside("a", 10), beside("b", 20)).step(0) == ["start a 117.5", "start b 117.5"]


def test_the_background_may_run_through_the_time_that_later_stages_have_reserved() -> None:
    bench = Bench(beside("a", 10), hook("b", 10), hook("c", 20, reserve=30.0))
    assert bench.step(0) == ["start a 117.5", "start b 85"]
    assert bench.run_out(until=90) == ["85 term b", "87 kill b", "87.5 start c 30"]
    assert bench.drain.running == ["a", "c"]


@pytest.mark.parametrize(
    ("reserve", "allowed"),
    [(20.0, 85.0), (30.0, 85.0), (40.0, 75.0)],
    ids=["shorter than those that it runs beside", "as long as they", "longer"],
)
def test_earlier_stages_leave_the_background_its_reserve_beside_those_of_the_later(
    reserve: float, allowed: float
) -> None:
    bench = Bench(hook("a", 10), beside("b", 20, reserve=reserve), hook("c", 30, reserve=30.0))
    assert bench.step(0) == [f"start a {allowed:g}"]


def test_a_late_start_in_the_background_holds_up_nothing() -> None:
    bench = Bench(beside("a", 10, start_before=60.0), hook("b", 10), hook("c", 20))
    assert bench.step(0) == ["start b 117.5"]
    assert bench.end(1, "b") == ["start c 116.5"]
    assert bench.run_out(until=61) == ["60 start a 57.5"]


def test_an_arming_hook_in_the_background_is_gone_before_anything_starts_too() -> None:
    bench = Bench(beside("a", 10, on="start"), hook("b", 20), kind="start")
    bench.step(0)
    assert bench.come(1, "terminate", 100) == ["term a"]
    assert bench.end(2, "a", None, 15) == ["start b 96.5"]


def test_of_a_hook_that_runs_it_is_known_when_it_will_be_told_to_end() -> None:
    bench = Bench(beside("a", 10, timeout=30.0), beside("b", 10), hook("c", 20), hook("d", 30, on="stop"))
    bench.step(5)
    bench.end(6, "c")
    assert [bench.drain.terminate_at(name) for name in "abcd"] == [35, 117.5, None, None]


def test_after_an_upgrade_the_background_goes_on_with_its_new_limit() -> None:
    bench = Bench(beside("a", 10, on="rebalance terminate"), hook("b", 10, reserve=20.0), kind="rebalance", seconds=600)
    assert bench.step(0) == ["start a 597.5"]
    assert bench.come(10, "terminate", 110) == ["start b 107.5"]
    assert bench.run_out(until=118) == ["117.5 term a", "117.5 term b"]


def test_the_background_is_skipped_after_a_stopping_failure_unless_it_is_for_all_cases() -> None:
    bench = Bench(hook("a", 10, on_failure=STOPPING), beside("b", 20), beside("c", 20, always=True))
    bench.step(0)
    assert bench.end(1, "a", 1) == ["start c 116.5"]
    assert bench.statuses == {"a": "failed", "b": "skipped"}


# Failures


@pytest.mark.parametrize("how", ["fails", "cannot be started", "times out", "is killed", "is given up"])
def test_after_a_stopping_hook_fails_only_always_hooks_run(how: str) -> None:
    bench = Bench(
        hook("a", 10, on_failure=STOPPING, timeout=10.0),
        hook("b", 20),
        hook("c", 30, always=True, reserve=120.0 if how == "is given up" else 0.0),
    )
    bench.step(0)
    if how == "fails":
        bench.end(1, "a", exit_code=1)
    elif how == "cannot be started":
        bench.step(1, HookNotStarted("a", "no such file"))
    elif how == "times out":
        bench.step(10)
        bench.end(11, "a", None, 15)
    elif how == "is killed":
        bench.run_out(until=13)
    assert bench.statuses["b"] == "skipped"
    assert bench.outcome("b").reason == "a (stage 10) failed"
    assert bench.drain.running == ["c"]


def test_a_failure_that_does_not_stop_changes_nothing_for_the_others() -> None:
    bench = Bench(hook("a", 10), hook("b", 20))
    bench.step(0)
    assert bench.end(1, "a", exit_code=1) == ["start b 116.5"]


def test_a_stopping_hook_that_succeeds_stops_nothing() -> None:
    bench = Bench(hook("a", 10, on_failure=STOPPING), hook("b", 20))
    bench.step(0)
    assert bench.end(1, "a") == ["start b 116.5"]


def test_a_stopping_failure_spares_its_own_stage() -> None:
    bench = Bench(hook("a", 10, on_failure=STOPPING), hook("late", 10, start_before=20.0), hook("c", 20))
    bench.step(0)
    bench.end(1, "a", exit_code=1)
    assert bench.statuses == {"a": "failed", "c": "skipped"}
    assert bench.step(100) == ["start late 17.5"]


def test_a_hook_that_cannot_be_started_never_ran_and_the_next_stage_begins() -> None:
    bench = Bench(hook("a", 10), hook("b", 20))
    bench.step(0)
    assert bench.step(0, HookNotStarted("a", "no such file")) == ["start b 117.5"]
    outcome = bench.outcome("a")
    assert (outcome.status, outcome.reason) == (HookStatus.NOT_STARTED, "no such file")
    assert (outcome.started_at, outcome.allowed) == (None, None)


# Upgrades


def test_an_upgrade_before_the_first_step_supersedes_what_is_not_for_it() -> None:
    bench = Bench(hook("a", on="rebalance"), hook("b", on="rebalance terminate"), kind="rebalance", seconds=600)
    assert bench.come(0, "terminate", 100) == ["start b 97.5"]
    assert bench.statuses == {"a": "superseded"}
    assert bench.outcome("a").reason == "not for terminate"


def test_an_upgrade_lets_running_hooks_go_on_with_their_new_limit() -> None:
    both, weak = hook("both", on="rebalance terminate"), hook("weak", on="rebalance")
    bench = Bench(both, weak, kind="rebalance", seconds=600)
    assert bench.step(0) == ["start both 597.5", "start weak 597.5"]
    assert bench.come(50, "terminate", 100) == []
    assert bench.run_out(until=150) == ["147.5 term both", "147.5 term weak", "149.5 kill both", "149.5 kill weak"]


def test_an_upgrade_that_leaves_no_time_ends_running_hooks_for_the_sake_of_the_reserves() -> None:
    bench = Bench(
        hook("a", 10, on="rebalance"), hook("b", 20, on="terminate", reserve=10.0), kind="rebalance", seconds=600
    )
    bench.step(0)
    assert bench.come(50, "terminate", 12.5) == ["term a", "kill a", "start b 10"]
    assert bench.statuses == {"a": "killed"}


def test_an_upgrade_keeps_a_terminating_hook_terminating() -> None:
    bench = Bench(hook("a", 10, on="rebalance terminate", timeout=5.0), hook("b", 20), kind="rebalance", seconds=600)
    bench.step(0)
    assert bench.step(5) == ["term a"]
    assert bench.come(6, "terminate", 100) == []
    assert bench.step(7) == ["kill a"]
    assert bench.end(7.1, "a", None, 9) == ["start b 96.4"]
    assert bench.statuses == {"a": "killed"}


def test_an_upgrade_of_a_finished_drain_starts_what_has_not_run_yet() -> None:
    bench = Bench(hook("a", on="rebalance terminate"), hook("b"), kind="rebalance", seconds=600)
    bench.step(0)
    bench.end(1, "a")
    assert bench.drain.finished_at == 1
    assert bench.come(200, "terminate", 100) == ["start b 97.5"]
    assert bench.drain.finished_at is None
    bench.end(201, "b")
    assert (bench.statuses, bench.drain.finished_at) == ({"a": "succeeded", "b": "succeeded"}, 201)


def test_an_upgrade_with_nothing_left_to_do_finishes_at_once() -> None:
    bench = Bench(hook("a", on="rebalance terminate"), kind="rebalance", seconds=600)
    bench.step(0)
    bench.end(1, "a", exit_code=1)
    assert bench.come(200, "terminate", 100) == []
    assert (bench.drain.wakeup(), bench.statuses) == (None, {"a": "failed"})


def test_new_hooks_of_a_lower_stage_start_beside_a_running_one_of_a_higher_stage() -> None:
    bench = Bench(hook("high", 50, on="rebalance"), hook("low", 10), hook("later", 60), kind="rebalance", seconds=600)
    bench.step(0)
    assert bench.come(5, "terminate", 100) == ["start low 97.5"]
    assert bench.end(6, "low") == ["start later 96.5"]


def test_what_still_runs_for_a_weaker_event_holds_up_no_stage_of_the_stronger() -> None:
    bench = Bench(hook("migrate", 10, on="rebalance"), hook("leave", 20), kind="rebalance", seconds=600)
    bench.step(0)
    assert bench.come(5, "terminate", 100) == ["start leave 97.5"]
    assert bench.end(6, "leave") == []
    assert bench.drain.running == ["migrate"]


def test_a_hook_that_runs_already_has_its_reserve_and_takes_no_more() -> None:
    bench = Bench(hook("high", 50, on="rebalance", reserve=30.0), hook("low", 10), kind="rebalance", seconds=600)
    bench.step(0)
    assert bench.come(5, "terminate", 100) == ["start low 97.5"]


def test_the_margin_is_a_share_of_the_time_since_the_stronger_event() -> None:
    bench = Bench(hook("a"), kind="rebalance", seconds=600, margin=3.0)
    bench.step(0)
    assert bench.come(300, "terminate", 10) == ["start a 6.5"]


class TestAHookThatNeverBeganHasItsChanceUnderAStrongerEvent:
    """Done stays done, but these are not: the instance goes away, and the hook is there for that."""

    def test_superseded(self) -> None:
        bench = Bench(hook("arm", 10, on="start"), hook("it", 20, on="start terminate"), kind="start")
        bench.step(0)
        bench.come(1, "maintenance", 100)
        assert bench.statuses == {"it": "superseded"}
        bench.end(2, "arm")
        assert bench.come(3, "terminate", 100) == ["start it 97.5"]

    def test_canceled(self) -> None:
        bench = Bench(*self.hooks(), kind="maintenance")
        bench.step(0)
        bench.step(1, EventWithdrawn(EventKind.MAINTENANCE))
        assert bench.statuses == {"it": "canceled"}
        bench.end(2, "first")
        assert bench.come(3, "terminate", 100) == ["start it 97.5"]

    def test_skipped(self) -> None:
        bench = Bench(*self.hooks(), kind="maintenance")
        bench.step(0)
        bench.end(2, "first", exit_code=1)
        assert bench.statuses == {"first": "failed", "it": "skipped"}
        assert bench.come(3, "terminate", 100) == ["start it 97.5"]

    def test_given_up(self) -> None:
        first, it = self.hooks()
        bench = Bench(replace(first, on_failure=OnFailure.CONTINUE), it, kind="maintenance", seconds=60)
        bench.run_out()
        assert bench.statuses == {"first": "killed", "it": "given-up"}
        assert bench.come(70, "terminate", 100) == ["start it 97.5"]

    def test_skipped_again_if_the_failure_counts_for_the_stronger_event_too(self) -> None:
        first, it = self.hooks(on="maintenance terminate")
        bench = Bench(first, it, kind="maintenance")
        bench.step(0)
        bench.end(2, "first", exit_code=1)
        assert bench.come(3, "terminate", 100) == []
        assert bench.statuses == {"first": "failed", "it": "skipped"}

    def hooks(self, on: str = "maintenance") -> tuple[Hook, Hook]:
        return hook("first", 10, on=on, on_failure=STOPPING), hook("it", 20, on="maintenance terminate")


def test_a_hook_that_could_not_be_started_is_not_tried_again() -> None:
    bench = Bench(hook("a", on="rebalance terminate"), kind="rebalance")
    bench.step(0)
    bench.step(0, HookNotStarted("a", "no such file"))
    assert bench.come(1, "terminate", 100) == []
    assert bench.statuses == {"a": "not-started"}


@pytest.mark.parametrize(
    ("kind", "seconds", "effect", "deadline"),
    [
        ("terminate", 90.0, Effect.MOVED, 100.0),
        ("terminate", 110.0, Effect.RECORDED, 120.0),
        ("terminate", 115.0, Effect.RECORDED, 120.0),
        ("rebalance", 5.0, Effect.RECORDED, 120.0),
        ("hibernate", 5.0, Effect.RECORDED, 120.0),
    ],
    ids=["closer", "same", "later", "weaker", "hibernate"],
)
def test_after_a_terminate_notice_only_a_closer_one_matters(
    kind: str, seconds: float, effect: Effect, deadline: float
) -> None:
    bench = Bench(hook("a"), hook("weak", on="rebalance hibernate"))
    bench.step(0)
    assert bench.come(10, kind, seconds) == []
    assert bench.drain.deadline == deadline
    assert [one for _, one in bench.drain.history] == [Effect.BEGAN, effect]
    assert bench.run_out(until=deadline) == [f"{deadline - 2.5:g} term a", f"{deadline - 0.5:g} kill a"]


def test_every_event_upgrades_the_drains_of_all_weaker_ones() -> None:
    bench = Bench(kind="start")
    for kind in list(EventKind)[1:]:
        bench.come(0, kind, 100)
        assert bench.drain.event.kind is kind
    assert [effect for _, effect in bench.drain.history] == [Effect.BEGAN] + [Effect.UPGRADED] * 7


# Arming hooks and their opposite


def armed(timeout: float | None = None, reserve: float = 0.0) -> Bench:
    """A drain that arms the instance, with a hook that undoes the arming."""
    arm, more = hook("arm", 50, on="start", timeout=timeout), hook("more", 60, on="start")
    return Bench(arm, more, hook("disarm", 10, reserve=reserve), kind="start", seconds=300)


def test_nothing_starts_until_the_arming_hooks_are_gone() -> None:
    bench = armed()
    bench.step(0)
    assert bench.come(5, "terminate", 100) == ["term arm"]
    assert bench.statuses == {"more": "superseded"}
    assert bench.step(6) == []
    assert bench.end(6.5, "arm", None, 15) == ["start disarm 96"]
    assert bench.statuses == {"arm": "superseded", "more": "superseded"}


def test_an_arming_hook_that_does_not_go_is_killed_and_then_no_longer_waited_for() -> None:
    bench = armed()
    bench.step(0)
    assert bench.come(5, "terminate", 100) == ["term arm"]
    assert bench.run_out(until=8) == ["7 kill arm", "7.5 start disarm 95"]


@pytest.mark.parametrize(
    ("seen_at", "orders"),
    [(21.0, ["22 kill arm", "22.5 start disarm 96"]), (22.2, ["22.5 start disarm 97.2"])],
    ids=["terminating", "killed"],
)
def test_an_arming_hook_whose_time_was_up_anyway_is_waited_for_as_well(seen_at: float, orders: list[str]) -> None:
    bench = armed(timeout=20.0)
    bench.run_out(until=seen_at)
    assert bench.come(seen_at, "terminate", 100) == []
    assert bench.run_out(until=23) == orders


def test_arming_hooks_do_not_eat_the_reserves_of_any_stage() -> None:
    bench = armed(reserve=7.5)
    bench.step(0)
    assert bench.come(5, "terminate", 11) == ["term arm"]
    assert bench.run_out(until=7) == ["5.5 kill arm", "6 start disarm 7.5"]


class TestWhatAHookDidForStartCountsForStartOnly:
    """It was told so; the stronger event that it is for as well finds it as if it had never run."""

    def test_one_that_has_run_is_run_for_the_stronger_event(self) -> None:
        bench = self.bench(hook("arm", on="start"))
        bench.end(1, "both")
        assert bench.come(5, "terminate", 100) == ["term arm"]
        assert bench.end(6, "arm", None, 15) == ["start both 96.5"]
        bench.end(7, "both")
        assert bench.statuses == {"both": "succeeded", "arm": "superseded"}
        assert bench.drain.finished_at == 7

    @pytest.mark.parametrize("exit_code", [0, 1])
    def test_however_it_ended(self, exit_code: int) -> None:
        bench = self.bench(hook("arm", on="start"), timeout=2.0)
        if exit_code:
            bench.end(1, "both", exit_code)
        else:
            bench.run_out(until=5)
        bench.come(5, "terminate", 100)
        if not exit_code:
            bench.end(5, "both", None, 9)
        assert bench.end(6, "arm", None, 15) == ["start both 2"]

    def test_one_that_could_not_be_started_is_tried_for_the_stronger_event(self) -> None:
        bench = self.bench(hook("arm", on="start"))
        bench.step(0, HookNotStarted("both", "not mounted yet"))
        bench.come(5, "terminate", 100)
        assert bench.end(6, "arm", None, 15) == ["start both 96.5"]

    def test_one_that_still_runs_is_ended_first_and_then_run(self) -> None:
        bench = self.bench(hook("b"))
        assert bench.come(5, "terminate", 100) == ["term both"]
        assert bench.end(6, "both", None, 15) == ["start both 96.5", "start b 96.5"]
        bench.end(7, "both")
        assert bench.statuses == {"both": "succeeded"}

    def test_one_that_is_killed_first_is_run_when_its_end_is_seen(self) -> None:
        bench = self.bench()
        bench.come(5, "terminate", 100)
        assert bench.step(7) == ["kill both"]
        assert bench.end(7.125, "both", None, 9) == ["start both 95.375"]

    def test_one_that_a_weaker_event_has_superseded_is_run_for_the_stronger(self) -> None:
        """The volume with the logs is kept, though a rebalance recommendation came in between."""
        bench = self.bench()
        assert bench.come(5, "rebalance", 600) == ["term both"]
        bench.end(6, "both", None, 15)
        assert (bench.statuses, bench.drain.finished_at) == ({"both": "superseded"}, 6)
        assert bench.come(9, "terminate", 100) == ["start both 97.5"]
        assert (bench.drain.running, bench.drain.finished_at) == (["both"], None)

    def test_one_that_is_being_ended_at_the_stronger_event_is_run_when_its_end_is_seen(self) -> None:
        bench = self.bench()
        bench.come(5, "rebalance", 600)
        assert bench.come(6, "terminate", 100) == []
        assert bench.end(6.5, "both", None, 15) == ["start both 97"]

    def test_one_that_the_event_after_is_not_for_stays_superseded(self) -> None:
        bench = Bench(hook("both", on="start rebalance"), kind="start")
        bench.step(0)
        bench.come(5, "rebalance", 600)
        bench.come(6, "terminate", 100)
        assert bench.end(6.5, "both", None, 15) == []
        assert (bench.statuses, bench.drain.finished_at) == ({"both": "superseded"}, 6.5)

    def test_its_rerun_is_about_the_daemons_death_only(self) -> None:
        bench = self.bench(rerun=False)
        bench.come(5, "terminate", 100)
        assert bench.end(6, "both", None, 15) == ["start both 96.5"]

    def test_one_that_is_lost_with_the_daemon_while_it_is_ended_is_run(self) -> None:
        bench = self.bench(rerun=False)
        bench.come(5, "terminate", 100)
        assert bench.step(6, HookLost("both")) == ["start both 96.5"]

    def test_one_that_was_lost_at_the_start_is_run(self) -> None:
        bench = self.bench(rerun=False)
        bench.step(5, HookLost("both"))
        assert bench.statuses == {"both": "lost"}
        assert bench.come(6, "terminate", 100) == ["start both 97.5"]

    def test_it_runs_for_all_stronger_events_once(self) -> None:
        bench = Bench(hook("both", on="start rebalance terminate"), kind="start")
        bench.step(0)
        bench.come(5, "rebalance", 600)
        assert bench.end(6, "both", None, 15) == ["start both 596.5"]
        assert bench.come(7, "terminate", 100) == []
        bench.end(8, "both")
        assert (bench.statuses, bench.drain.finished_at) == ({"both": "succeeded"}, 8)

    def test_it_keeps_its_stage_and_its_reserve(self) -> None:
        bench = Bench(hook("both", 20, on="start terminate", reserve=10.0), hook("first", 10), kind="start")
        bench.step(0)
        bench.come(5, "terminate", 100)
        assert bench.end(5, "both", None, 15) == ["start first 85"]
        assert bench.end(6, "first") == ["start both 96.5"]

    def test_it_is_not_run_while_its_first_run_may_be_alive_and_has_failed_then(self) -> None:
        bench = self.bench(hook("b", 20))
        bench.come(5, "terminate", 100)
        assert bench.run_out(until=8) == ["7 kill both", "7.5 start b 95"]
        assert (bench.outcome("both").status, bench.outcome("both").reason) == (
            HookStatus.KILLED,
            f"{NOT_SEEN}, so it was not run for terminate",
        )
        bench.end(9, "b")
        assert (bench.drain.finished_at, bench.drain.unseen) == (9, ["both"])

    def test_if_that_ends_at_last_it_is_run_even_if_the_drain_had_finished(self) -> None:
        bench = self.bench()
        bench.come(5, "terminate", 100)
        bench.run_out(until=8)
        assert bench.drain.finished_at == 7.5
        assert bench.end(30, "both", None, 9) == ["start both 72.5"]
        assert (bench.drain.running, bench.drain.unseen) == (["both"], [])
        bench.end(31, "both")
        assert (bench.statuses, bench.drain.finished_at) == ({"both": "succeeded"}, 31)

    def test_one_that_did_not_die_under_a_weaker_event_is_no_success_of_the_stronger(self) -> None:
        bench = self.bench()
        bench.come(5, "rebalance", 600)
        bench.run_out(until=9)
        assert bench.statuses == {"both": "superseded"}
        assert bench.come(9, "terminate", 100) == []
        assert bench.statuses == {"both": "killed"}
        assert bench.end(10, "both", None, 9) == ["start both 96.5"]

    def test_told_to_stop_it_is_not_run(self) -> None:
        bench = self.bench()
        bench.come(5, "terminate", 100)
        bench.step(6, StopAsked())
        assert bench.end(6.5, "both", None, 15) == []
        assert (bench.outcome("both").status, bench.outcome("both").reason) == (
            HookStatus.CANCELED,
            "the daemon was told to stop; it ran for start",
        )

    def test_for_a_withdrawn_event_it_is_not_run(self) -> None:
        bench = Bench(hook("both", on="start maintenance"), kind="start")
        bench.step(0)
        bench.come(5, "maintenance", 600)
        bench.step(6, EventWithdrawn(EventKind.MAINTENANCE))
        assert bench.end(6.5, "both", None, 15) == []
        assert (bench.outcome("both").status, bench.outcome("both").reason) == (
            HookStatus.CANCELED,
            "the maintenance event was withdrawn; it ran for start",
        )

    def test_if_there_is_no_time_for_it_the_report_says_that_it_ran_for_start(self) -> None:
        bench = self.bench(hook("last", 20, reserve=60.0))
        bench.end(1, "both")
        bench.come(5, "terminate", 50)
        assert bench.outcome("both").status is HookStatus.GIVEN_UP
        assert bench.outcome("both").reason == "50 s left, and later stages have 62.5 s reserved; it ran for start"

    def test_its_end_gives_no_other_hook_a_second_chance(self) -> None:
        bench = Bench(
            hook("both", 30, on="start terminate"),
            hook("long", 10, start_before=1.0),
            hook("fails", 10),
            hook("after", 20, reserve=1.0),
            kind="start",
        )
        bench.step(0)
        bench.come(5, "terminate", 100)
        assert bench.statuses == {"long": "given-up"}
        assert bench.end(6, "both", None, 15) == ["start fails 93"]
        assert bench.statuses == {"long": "given-up"}

    def bench(self, *others: Hook, **settings: Any) -> Bench:
        """A drain that arms the instance, with a hook that is for terminate, too."""
        bench = Bench(hook("both", on="start terminate", **settings), *others, kind="start", seconds=300)
        bench.step(0)
        return bench


# Withdrawals


def test_a_withdrawn_maintenance_cancels_what_is_pending_and_lets_the_running_end() -> None:
    bench = Bench(hook("a", 10, on="maintenance"), hook("b", 20, on="maintenance", always=True), kind="maintenance")
    bench.step(0)
    assert bench.step(5, EventWithdrawn(EventKind.MAINTENANCE)) == []
    assert bench.statuses == {"b": "canceled"}
    assert bench.outcome("b").reason == "the maintenance event was withdrawn"
    bench.end(6, "a")
    assert (bench.statuses["a"], bench.drain.finished_at) == ("succeeded", 6)


@pytest.mark.parametrize(
    ("drain", "withdrawn"),
    [("terminate", "terminate"), ("stop", "stop"), ("terminate", "maintenance"), ("rebalance", "maintenance")],
)
def test_other_withdrawals_change_nothing(drain: str, withdrawn: str) -> None:
    """An interruption notice is not taken back, and of a weaker event the drain is independent by now."""
    bench = Bench(hook("a", 10, on=drain), hook("b", 20, on=drain), kind=drain)
    bench.step(0)
    assert bench.step(5, EventWithdrawn(EventKind(withdrawn))) == []
    assert bench.statuses == {}
    assert bench.end(6, "a") == ["start b 111.5"]


@pytest.mark.parametrize("kind", ["maintenance", "rebalance", "terminate"], ids=["same", "weaker", "stronger"])
def test_after_a_withdrawal_the_next_event_counts_whatever_its_strength(kind: str) -> None:
    events = f"maintenance {kind}"
    bench = Bench(hook("a", 10, on=events), hook("b", 20, on=events), kind="maintenance")
    bench.step(0)
    bench.step(5, EventWithdrawn(EventKind.MAINTENANCE))
    assert bench.come(6, kind, 600) == []
    assert (bench.drain.event.kind, bench.drain.history[-1][1]) == (kind, Effect.UPGRADED)
    bench.come(6, "start", 5)
    assert bench.drain.history[-1][1] is Effect.RECORDED
    assert bench.end(7, "a") == ["start b 596.5"]


# Told to stop


def test_told_to_stop_all_running_hooks_are_ended_and_the_pending_canceled() -> None:
    bench = Bench(hook("a", 10), hook("b", 10), hook("c", 20, always=True), hook("late", 10, start_before=1.0))
    bench.step(0)
    assert bench.step(5, StopAsked()) == ["term a", "term b"]
    assert bench.statuses == {"late": "canceled", "c": "canceled"}
    assert bench.end(5.1, "a", None, 15) == []
    assert bench.run_out() == ["7 kill b"]
    assert bench.statuses == {"a": "canceled", "b": "canceled", "late": "canceled", "c": "canceled"}
    assert bench.drain.finished_at == 7.5


def test_told_to_stop_twice_a_hook_is_sent_term_once() -> None:
    bench = Bench(hook("a"))
    bench.step(0)
    assert bench.step(5, StopAsked(), StopAsked()) == ["term a"]


def test_told_to_stop_before_the_first_step_nothing_starts() -> None:
    bench = Bench(hook("a"))
    assert bench.step(0, StopAsked()) == []
    assert (bench.statuses, bench.drain.finished_at) == ({"a": "canceled"}, 0)


def test_told_to_stop_a_hook_that_was_being_ended_keeps_its_status() -> None:
    bench = Bench(hook("a", timeout=5.0))
    bench.step(0)
    bench.step(5)
    assert bench.step(6, StopAsked()) == []
    bench.end(6.5, "a", None, 15)
    assert bench.statuses == {"a": "timed-out"}


def test_told_to_stop_a_hook_that_had_to_be_killed_is_canceled_nonetheless() -> None:
    bench = Bench(hook("a"))
    bench.step(0)
    bench.step(5, StopAsked())
    assert bench.step(7) == ["kill a"]
    bench.end(7.1, "a", None, 9)
    assert bench.statuses == {"a": "canceled"}


def test_told_to_stop_a_finished_drain_stays_as_it_is() -> None:
    bench = Bench(hook("a"))
    bench.step(0)
    bench.end(1, "a")
    assert bench.step(2, StopAsked()) == []
    assert (bench.statuses, bench.drain.finished_at) == ({"a": "succeeded"}, 1)


def test_once_told_to_stop_no_event_starts_anything_again() -> None:
    bench = Bench(hook("a", on="rebalance"), hook("b"), kind="rebalance")
    bench.step(0)
    bench.step(5, StopAsked())
    assert bench.come(6, "terminate", 100) == []
    assert bench.drain.history[-1][1] is Effect.RECORDED
    assert bench.end(6.5, "a", None, 15) == []
    assert bench.drain.finished_at == 6.5


# Order of orders, lateness, processes that do not die


def test_one_step_ends_hooks_before_it_starts_others() -> None:
    bench = Bench(
        hook("x", 30, on="rebalance", timeout=5.0), hook("a", 10), hook("b", 10), kind="rebalance", seconds=600
    )
    bench.step(0)
    assert bench.come(5, "terminate", 100) == ["term x", "start a 97.5", "start b 97.5"]


def test_a_process_that_cannot_be_killed_does_not_hold_up_the_next_stage() -> None:
    """Uninterruptible sleep: a hung network file system, say."""
    bench = Bench(hook("hung", 10, timeout=10.0), hook("b", 20))
    assert bench.run_out(until=13) == ["0 start hung 10", "10 term hung", "12 kill hung", "12.5 start b 105"]
    assert bench.outcome("hung").reason == NOT_SEEN
    assert bench.end(60, "hung", None, 9) == []
    assert bench.drain.running == ["b"]


def test_woken_hours_after_the_deadline_the_drain_ends_everything_in_one_step() -> None:
    bench = Bench(hook("a", 10), hook("b", 10, start_before=10.0), hook("c", 20, always=True, reserve=5.0))
    bench.step(0)
    assert bench.step(HOURS) == ["term a", "kill a"]
    assert bench.statuses == {"a": "killed", "b": "given-up", "c": "given-up"}
    assert (bench.drain.finished_at, bench.drain.wakeup()) == (HOURS, None)


def test_woken_seconds_late_the_time_that_is_left_is_dealt_out_afresh() -> None:
    bench = Bench(hook("a", 10, timeout=10.0), hook("b", 20, reserve=10.0))
    bench.step(0)
    assert bench.step(14) == ["term a"]
    assert bench.step(20) == ["kill a"]
    assert bench.step(110) == ["start b 7.5"]


def test_a_finished_drain_orders_nothing_more() -> None:
    bench = Bench(hook("a"))
    bench.step(0)
    bench.end(1, "a")
    assert bench.step(500) == []
    assert bench.step(501, HookEnded("a", 0, None), HookNotStarted("a", "")) == []
    assert bench.drain.finished_at == 1


class TestAHookThatWasLostWithTheDaemon:
    """Its event may be over by the time that the next daemon takes over."""

    def test_is_not_run_again_for_an_event_that_a_stronger_one_has_followed(self) -> None:
        bench = Bench(hook("migrate", 10, on="rebalance"), hook("leave", 20), kind="rebalance", seconds=600)
        bench.step(0)
        bench.come(5, "terminate", 100)
        assert bench.step(6, HookLost("migrate")) == []
        bench.end(7, "leave")
        assert (bench.drain.wakeup(), bench.statuses) == (None, {"migrate": "superseded", "leave": "succeeded"})

    def test_is_not_run_again_for_an_event_that_was_withdrawn(self) -> None:
        bench = Bench(hook("first", 10, on="maintenance"), kind="maintenance", seconds=600)
        bench.step(0)
        bench.step(5, EventWithdrawn(EventKind.MAINTENANCE))
        assert bench.step(6, HookLost("first")) == []
        assert (bench.drain.wakeup(), bench.statuses) == (None, {"first": "canceled"})
