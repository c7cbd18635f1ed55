"""The machine of the daemon's own tests does what the real one does, as far as they can tell."""

from datetime import timedelta
from signal import SIGHUP, SIGKILL, SIGTERM

import pytest

from spotwatch.core.errors import CommandNotStarted
from spotwatch.core.process import ChildEnded, Command, SignalCame
from tests.manual_machine import FIRST_PID, START, ManualMachine, Order

COMMAND = Command(("/bin/true",))


@pytest.fixture
def manual() -> ManualMachine:
    return ManualMachine()


def start(manual: ManualMachine, name: str = "it") -> int:
    return manual.start(name, COMMAND, output_limit=1000)


def test_time_passes_only_in_a_wait(manual: ManualMachine) -> None:
    assert manual.instant() == START
    assert manual.wait(START.boot + 2.5) == []
    assert manual.instant().boot == START.boot + 2.5
    assert manual.instant().utc == START.utc + timedelta(seconds=2.5)


def test_a_time_in_the_past_does_not_turn_the_clock_back(manual: ManualMachine) -> None:
    assert manual.wait(START.boot - 5) == []
    assert manual.instant() == START


def test_a_child_ends_as_its_script_says(manual: ManualMachine) -> None:
    manual.script("it", ends_after=3.0, exit_code=7, output_tail="oh", output_dropped=5, output_problem="full")
    assert start(manual) == FIRST_PID
    assert manual.wait(START.boot + 2) == []
    assert manual.wait(None) == [ChildEnded("it", 7, None, 5, "full")]
    assert manual.instant().boot == START.boot + 3
    assert manual.output_tail("it") == "oh"
    manual.wait(0)
    assert manual.output_tail("it") == ""


def test_a_child_can_be_ended_by_a_signal_that_nobody_sent(manual: ManualMachine) -> None:
    manual.script("it", signal=11)
    start(manual)
    assert manual.wait(None) == [ChildEnded("it", None, 11)]


def test_a_child_without_script_succeeds_after_a_second(manual: ManualMachine) -> None:
    start(manual)
    assert manual.wait(None) == [ChildEnded("it", 0, None)]
    assert manual.instant().boot == START.boot + 1


def test_a_script_is_for_every_drain_that_has_none_of_its_own(manual: ManualMachine) -> None:
    manual.script("it", exit_code=1)
    manual.script("second/it", exit_code=2)
    start(manual, "first/it")
    start(manual, "second/it")
    assert manual.wait(None) == [ChildEnded("first/it", 1, None), ChildEnded("second/it", 2, None)]


def test_sigterm_ends_a_child_at_once(manual: ManualMachine) -> None:
    manual.script("it", ends_after=None)
    start(manual)
    manual.terminate("it")
    assert manual.wait(START.boot) == [ChildEnded("it", None, SIGTERM)]


def test_a_child_can_take_its_time_to_leave(manual: ManualMachine) -> None:
    manual.script("it", ends_after=None, ends_after_term=2.0, exit_code_after_term=0)
    start(manual)
    manual.terminate("it")
    assert manual.wait(None) == [ChildEnded("it", 0, None)]
    assert manual.instant().boot == START.boot + 2


def test_a_child_that_ignores_sigterm_is_ended_by_sigkill(manual: ManualMachine) -> None:
    manual.script("it", ends_after=60.0, ignores_term=True)
    start(manual)
    manual.terminate("it")
    assert manual.wait(START.boot + 5) == []
    manual.kill("it")
    assert manual.wait(None) == [ChildEnded("it", None, SIGKILL)]
    assert manual.wait(START.boot + 100) == []


def test_a_child_that_cannot_start_says_why(manual: ManualMachine) -> None:
    manual.script("it", cannot_start="no such file")
    with pytest.raises(CommandNotStarted, match="no such file"):
        start(manual)
    assert manual.wait(START.boot + 5) == []


def test_a_name_is_taken_until_its_child_has_ended(manual: ManualMachine) -> None:
    start(manual)
    with pytest.raises(ValueError, match="is running"):
        start(manual)
    manual.wait(None)
    start(manual)


def test_what_is_due_at_one_moment_comes_in_one_answer(manual: ManualMachine) -> None:
    manual.signal_at(START.boot + 1, SIGTERM)
    manual.signal_at(START.boot + 1, SIGHUP)
    start(manual)
    assert manual.wait(None) == [SignalCame(SIGTERM), SignalCame(SIGHUP), ChildEnded("it", 0, None)]


def test_a_callback_runs_at_its_time_and_ends_no_wait(manual: ManualMachine) -> None:
    seen: list[float] = []
    for seconds in (2.0, 1.0):
        manual.at(START.boot + seconds, lambda: seen.append(manual.instant().boot - START.boot))
    assert manual.wait(START.boot + 5) == []
    assert seen == [1.0, 2.0]
    assert manual.instant().boot == START.boot + 5


def test_a_callback_can_arrange_more(manual: ManualMachine) -> None:
    manual.at(START.boot + 1, lambda: manual.signal_at(START.boot + 2, SIGTERM))
    assert manual.wait(None) == [SignalCame(SIGTERM)]
    assert manual.instant().boot == START.boot + 2


def test_a_wait_that_would_never_end_is_a_mistake_of_the_test(manual: ManualMachine) -> None:
    with pytest.raises(AssertionError, match="never end"):
        manual.wait(None)


def test_every_order_is_on_record(manual: ManualMachine) -> None:
    with manual:
        start(manual)
        manual.wait(START.boot + 0.5)
        manual.terminate("it")
        manual.kill("nobody")
    assert manual.is_closed
    assert manual.orders == [
        Order(START.boot, "start", "it", COMMAND),
        Order(START.boot + 0.5, "terminate", "it"),
        Order(START.boot + 0.5, "kill", "nobody"),
    ]
