"""The verdict: one sentence, and everything that went wrong."""

from dataclasses import replace
from typing import Any

import pytest

from spotwatch.core.report import DrainReport, HookReport
from spotwatch.simulate.line_count import LineCount
from spotwatch.simulate.rehearsal import Course
from spotwatch.simulate.verdict import judge, with_lines
from tests.reports import make_hook_report, make_report

WELL = Course(started=True, ended_early=False, exit_code=0)


def cut(name: str = "slow", *, ran: float = 10.0, allowed: float = 10.0, timeout: float | None = 20.0) -> HookReport:
    return make_hook_report(
        name, 0.0, ran, status="killed", exit_code=None, signal=9, allowed_seconds=allowed, timeout_seconds=timeout
    )


def given_up(name: str = "late") -> HookReport:
    return make_hook_report(name, None, status="given-up", reason="0.1 s left")


def judged(*hooks: HookReport, course: Course = WELL, **values: Any) -> tuple[bool, str, tuple[str, ...]]:
    judgement = judge(course, [make_report(*hooks, **values)])
    return judgement.passed, judgement.sentence, judgement.problems


def test_hooks_that_all_succeeded_are_drained_in_time_with_so_much_to_spare() -> None:
    assert judged(make_hook_report("a"), seconds_to_spare=114.5) == (
        True,
        "drained in time, with 114.5 s to spare",
        (),
    )


def test_nothing_announced_and_nothing_drained_is_no_failure() -> None:
    assert judge(WELL, []).sentence == "nothing had to be drained"
    assert judge(WELL, []).passed


class TestCut:
    @pytest.mark.parametrize(
        ("hook", "how"),
        [
            (cut(allowed=10.0, timeout=20.0), "slow was cut after 10 s, 10 s short of its timeout of 20 s"),
            (cut(timeout=None), "slow was cut after 10 s, when its time was up"),
            (given_up(), "late was given up: 0.1 s left"),
        ],
    )
    def test_the_sentence_names_the_hook_and_by_how_much(self, hook: HookReport, how: str) -> None:
        assert judged(make_hook_report("a"), hook) == (False, f"not drained in time: {how}", (how,))

    def test_of_several_the_first_is_named_and_all_are_listed(self) -> None:
        passed, sentence, problems = judged(cut("a"), cut("b"), given_up("c"))
        assert not passed
        assert sentence == "not drained in time: a was cut after 10 s, 10 s short of its timeout of 20 s (and 2 more)"
        assert [problem.split()[0] for problem in problems] == ["a", "b", "c"]

    def test_a_hook_that_reached_its_own_timeout_had_time_to_spare(self) -> None:
        assert judged(cut(allowed=20.0, ran=22.0), seconds_to_spare=98.0) == (
            False,
            "drained with 98 s to spare, but not in good order",
            ("slow was cut after 22 s, at its own timeout of 20 s",),
        )


class TestInTheBackground:
    def test_what_is_cut_there_leaves_the_drain_in_time_and_is_told(self) -> None:
        assert judged(replace(cut(allowed=10.0, ran=10.0), background=True)) == (
            False,
            "drained with 115 s to spare, but not in good order",
            ("slow was cut after 10 s, 10 s short of its timeout of 20 s",),
        )


class TestOtherFailures:
    @pytest.mark.parametrize(
        ("values", "problem"),
        [
            ({"status": "lost", "reason": "the daemon died meanwhile"}, "a was lost: the daemon died meanwhile"),
            ({"status": "failed", "exit_code": 3}, "a failed with exit code 3"),
            ({"status": "failed", "exit_code": None, "signal": 11}, "a was ended by SIGSEGV"),
            ({"status": "failed", "exit_code": None, "signal": 99}, "a was ended by signal 99"),
            ({"status": "not-started", "reason": "no such file"}, "a was not started: no such file"),
            ({"status": "skipped", "reason": "b failed"}, "a was skipped: b failed"),
            ({"status": "canceled", "reason": "told to stop"}, "a was canceled: told to stop"),
        ],
    )
    def test_each_is_told_and_the_time_was_enough_all_the_same(self, values: dict[str, Any], problem: str) -> None:
        assert judged(make_hook_report("a", **values)) == (
            False,
            "drained with 115 s to spare, but not in good order",
            (problem,),
        )

    def test_what_could_not_be_written_down_is_a_failure(self) -> None:
        assert judged(not_recorded=("report: the disk is full",))[2] == ("not recorded: report: the disk is full",)

    def test_a_hook_whose_exit_code_nobody_knows_is_none(self) -> None:
        assert judged(make_hook_report("a", status="ended", exit_code=None))[0]

    def test_a_hook_that_a_stronger_event_made_needless_is_none(self) -> None:
        assert judged(make_hook_report("a", None, status="superseded"))[0]

    @pytest.mark.parametrize(("withdrawn", "passed"), [("rebalance", True), ("terminate", False)])
    def test_a_canceled_hook_is_right_where_the_scenario_withdrew_its_event(self, withdrawn: str, passed: bool) -> None:
        canceled = make_hook_report("a", None, status="canceled", reason="the rebalance event was withdrawn")
        course = replace(WELL, withdrawn=frozenset({withdrawn}))
        assert judged(canceled, event="rebalance", course=course)[0] is passed


class TestWhichDrain:
    def drain(self, event: str, spare: float) -> DrainReport:
        return make_report(event=event, seconds_to_spare=spare)

    def test_the_last_interruption_counts_and_not_what_came_around_it(self) -> None:
        drains = [self.drain("terminate", 1), self.drain("stop", 2), self.drain("rebalance", 3)]
        assert judge(WELL, drains).sentence == "drained in time, with 2 s to spare"

    def test_without_one_the_last_drain_counts_but_never_the_arming(self) -> None:
        drains = [self.drain("rebalance", 1), self.drain("maintenance", 2), self.drain("start", 3)]
        assert judge(WELL, drains).sentence == "drained in time, with 2 s to spare"
        assert judge(WELL, drains[2:]).sentence == "nothing had to be drained"

    def test_a_hook_that_failed_in_any_drain_is_a_failure(self) -> None:
        failed = make_report(make_hook_report("arm", status="failed", exit_code=1), event="start")
        assert judge(WELL, [failed, self.drain("terminate", 1)]).problems == ("arm failed with exit code 1",)


class TestTheDaemon:
    @pytest.mark.parametrize(
        ("course", "sentence"),
        [
            (Course(started=False, ended_early=True, exit_code=78), "the daemon did not start: exit code 78"),
            (Course(started=False, ended_early=True, exit_code=-9), "the daemon did not start: killed by SIGKILL"),
            (Course(started=False, ended_early=False, exit_code=-15), "the daemon was not up within 10 s"),
            (
                Course(started=True, ended_early=True, exit_code=-9, draining="terminate"),
                "not drained: the daemon ended in the middle of the rehearsal (killed by SIGKILL)",
            ),
            (
                Course(started=True, ended_early=True, exit_code=70),
                "not drained: the daemon ended in the middle of the rehearsal (exit code 70)",
            ),
            (replace(WELL, draining="terminate"), "not drained"),
            (replace(WELL, unnoticed=("terminate",)), "not drained"),
            (replace(WELL, exit_code=-9), "not drained"),
        ],
    )
    def test_what_it_did_wrong_is_a_failure(self, course: Course, sentence: str) -> None:
        judgement = judge(course, [])
        assert not judgement.passed
        assert judgement.sentence == sentence

    def test_everything_is_listed(self) -> None:
        course = Course(True, False, -9, unnoticed=("rebalance", "terminate"), draining="maintenance")
        assert judge(course, []).problems == (
            "the daemon did not leave in good order: killed by SIGKILL",
            "the drain for maintenance did not end",
            "rebalance was announced, and the daemon took no notice of it",
            "terminate was announced, and the daemon took no notice of it",
        )


class TestTheLog:
    drained = judge(WELL, [make_report(seconds_to_spare=100.0)])

    def test_a_drain_in_good_order_is_not_enough_if_a_line_is_lost(self) -> None:
        judgement = with_lines(self.drained, LineCount(written=9, sent=5, shipped=2, lost=2, twice=0))
        assert not judgement.passed
        assert judgement.sentence == "drained in time, with 100 s to spare; 2 of 9 log lines lost"
        assert judgement.problems == ("2 log lines were neither sent nor shipped",)

    def test_a_log_that_is_all_there_does_not_make_up_for_a_failed_hook(self) -> None:
        failed = judge(WELL, [make_report(make_hook_report("a", status="failed", exit_code=3))])
        judgement = with_lines(failed, LineCount(written=9, sent=5, shipped=4, lost=0, twice=0))
        assert not judgement.passed
        assert judgement.sentence.endswith("not in good order; no log line lost, none twice")
        assert judgement.problems == ("a failed with exit code 3",)

    def test_all_is_well_if_both_are(self) -> None:
        judgement = with_lines(self.drained, LineCount(written=9, sent=5, shipped=4, lost=0, twice=0))
        assert (judgement.passed, judgement.problems) == (True, ())

    def test_a_line_that_arrived_twice_is_a_failure(self) -> None:
        judgement = with_lines(self.drained, LineCount(written=9, sent=5, shipped=5, lost=0, twice=1))
        assert not judgement.passed
        assert judgement.sentence.endswith("; its log has not arrived as it was written")

    def test_a_trouble_of_the_story_is_a_failure_although_no_line_is_lost(self) -> None:
        lines = LineCount(written=9, sent=9, shipped=0, lost=0, twice=0)
        judgement = with_lines(self.drained, lines, ["ship has ended with 69"])
        assert (judgement.passed, judgement.problems) == (False, ("ship has ended with 69",))
