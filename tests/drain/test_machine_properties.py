"""What holds for every drain, whatever happens: hundreds of generated ones, watched after every step.

The promises themselves are the methods of `Witness`; a failure names the one that was broken.
"""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.drain.scenarios import Scenario, scenarios, seconds
from tests.drain.witness import Witness

HUNDREDS = settings(max_examples=150, deadline=None, derandomize="CI" in os.environ)
"""In CI the same examples every time: a red build is then about the change that it tests."""

LATENESS = st.lists(st.just(0.0) | seconds(0, 5) | st.just(3 * 3600.0), min_size=1, max_size=30).map(tuple)


@HUNDREDS
@given(scenarios())
def test_every_promise_holds_after_every_step(scenario: Scenario) -> None:
    drain = scenario.drain()
    scenario.play(drain, Witness(scenario, drain).check)
    assert drain.finished_at is not None


@HUNDREDS
@given(scenarios(LATENESS))
def test_a_loop_that_is_late_loses_time_but_no_promise_else(scenario: Scenario) -> None:
    """By seconds, or by hours (hibernated): hooks are still started once, in order, and all ended."""
    drain = scenario.drain()
    scenario.play(drain, Witness(scenario, drain).check)
    assert drain.finished_at is not None


@HUNDREDS
@given(scenarios(LATENESS))
def test_the_same_happenings_at_the_same_times_give_the_same_orders(scenario: Scenario) -> None:
    """So a journal of the inputs is enough to rebuild a drain."""
    drain, rebuilt = scenario.drain(), scenario.drain()
    for step in scenario.play(drain):
        assert tuple(rebuilt.step(step.happening, step.now)) == step.orders
        assert rebuilt.wakeup() == step.wakeup
    assert rebuilt.outcomes == drain.outcomes
