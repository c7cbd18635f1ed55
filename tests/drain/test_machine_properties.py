"""What holds for every drain, whatever happens: hundreds of generated ones, watched after every step."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.drain.scenarios import Scenario, scenarios, seconds
from tests.drain.witness import Witness

HUNDREDS = settings(max_examples=300, deadline=None, derandomize="CI" in os.environ)
"""In CI the same examples every time: a red build is then about the change it tests."""

LATENESS = st.lists(st.one_of(st.just(0.0), seconds(0, 5), st.just(3 * 3600.0)), min_size=1, max_size=30).map(tuple)


@HUNDREDS
@given(scenarios())
def test_every_promise_holds_after_every_step(scenario: Scenario) -> None:
    drain = scenario.drain()
    scenario.play(drain, Witness(scenario, drain).check)
    assert drain.finished_at is not None


@HUNDREDS
@given(scenarios(LATENESS))
def test_late_wakeups_cost_time_but_never_order(scenario: Scenario) -> None:
    """A loop that is served seconds late, or hours (hibernated), still ends every hook and starts none twice."""
    drain = scenario.drain()
    scenario.play(drain, Witness(scenario, drain).check)
    assert drain.finished_at is not None
