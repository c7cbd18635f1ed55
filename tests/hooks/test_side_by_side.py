"""Several jobs at once, and an end at the deadline whatever they do."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from spotwatch.core.errors import AwsThrottled, NotInTime
from spotwatch.hooks.side_by_side import AT_ONCE, in_time, side_by_side


class RealClock:
    def now(self) -> float:
        return time.monotonic()

    def utc(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nobody sleeps here ({seconds})")


CLOCK = RealClock()


def soon() -> float:
    return CLOCK.now() + 30


def fail() -> int:
    raise AwsThrottled("later")


def test_answers_and_errors_come_back_by_their_names() -> None:
    jobs: dict[str, Callable[[], int]] = {"a": lambda: 1, "b": fail}
    answers = side_by_side(jobs, soon(), CLOCK)
    assert answers.found == {"a": 1}
    assert answers.failed["b"].message == "later"
    assert not answers.missing


def test_jobs_run_at_the_same_time() -> None:
    together = threading.Barrier(AT_ONCE, timeout=10)
    answers = side_by_side(dict.fromkeys(range(AT_ONCE), together.wait), soon(), CLOCK)
    assert sorted(answers.found.values()) == list(range(AT_ONCE))


def test_there_may_be_more_jobs_than_run_at_once() -> None:
    answers = side_by_side({number: (lambda: 1) for number in range(100)}, soon(), CLOCK)
    assert sum(answers.found.values()) == 100


def test_a_job_that_hangs_is_left_behind_at_the_deadline() -> None:
    forever = threading.Event()
    began = CLOCK.now()
    answers = side_by_side({"hangs": forever.wait, "works": lambda: True}, began + 0.2, CLOCK)
    assert answers.missing == {"hangs"}
    assert answers.found == {"works": True}
    assert CLOCK.now() - began >= 0.2
    forever.set()


def test_no_job_is_begun_after_the_deadline() -> None:
    begun: list[int] = []
    answers = side_by_side({1: lambda: begun.append(1)}, CLOCK.now() - 1, CLOCK)
    assert answers.missing == {1}
    assert begun == []


def test_what_nobody_planned_for_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        side_by_side({1: lambda: 1 / 0}, soon(), CLOCK)


def test_one_job_gives_its_answer_or_raises_its_error() -> None:
    assert in_time(lambda: 1, soon(), CLOCK, "one") == 1
    with pytest.raises(AwsThrottled):
        in_time(fail, soon(), CLOCK, "one")


def test_one_job_without_an_answer_is_cut_by_the_deadline() -> None:
    forever = threading.Event()
    with pytest.raises(NotInTime, match="cut by the deadline: no answer yet to ec2:DescribeInstances") as raised:
        in_time(forever.wait, CLOCK.now() + 0.1, CLOCK, "ec2:DescribeInstances")
    assert raised.value.exit_code == 75
    forever.set()
