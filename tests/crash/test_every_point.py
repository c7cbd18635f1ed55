"""The real daemon dies at every point, and the drain is what it should be all the same.

A point is the moment before or after an order to a hook, a commit of the journal or the writing of a report. Either
the daemon dies alone and its hooks live on, as when the kernel is out of memory and chooses it, or everything dies, as
systemd sees to when the main process of a service is gone.

One thing is given up on purpose: a hook with ``rerun = false`` whose start was committed and not yet carried out is
lost without having run, since nobody can know that it has not.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, cycle
from pathlib import Path

import pytest

from tests.crash.invariants import complaints
from tests.crash.lives import Crash, Death, Instance, Story
from tests.crash.scenarios import SCENARIOS, STAGES, UPGRADE, Scenario

pytestmark = pytest.mark.slow

AT_ONCE = 6
"""Instances side by side: each waits most of its time, for hooks and polls."""

MISSED_SHARE = 0.05
"""Of the points of a first life, at most so many may not be reached when it is lived again: where time is short, a
slow machine gives up a hook more. Second deaths that do not come about are not counted."""

FIRST_DEATHS = slice(4, None, 9)
"""The points of the first life after which the second life dies, too, at each of its own."""

Try = tuple[Scenario, Crash]
Trial = Callable[[Iterable[Try]], list[Story]]


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    """Live through crashes side by side; nothing may be wrong with any of them."""
    numbers = count()

    def live(attempt: Try) -> Story:
        directory = tmp_path / str(next(numbers))
        directory.mkdir()
        return Instance(directory, tmp_path / "bytecode", *attempt).live()

    def live_through(attempts: Iterable[Try]) -> list[Story]:
        stories = list(pool.map(live, attempts))
        wrong = [text for story in stories if (text := _what_is_wrong(story))]
        assert not wrong, "\n".join(wrong)
        return stories

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield live_through


def _what_is_wrong(story: Story) -> str:
    if not (found := complaints(story)):
        return ""
    deaths = [names[-1:] for names in story.points[:-1]]
    head = f"{story.scenario}, {story.crash}, died {deaths}:"
    return "\n".join([head, *(f"  {complaint}" for complaint in found), story.hooks_log, story.logs])


def points_of(scenario: Scenario, trial: Trial) -> range:
    """The numbers of the points of a life without a crash."""
    (story,) = trial([(scenario, Crash((), Death.ALL))])
    return range(1, len(story.points[0]) + 1)


def crashed(stories: Sequence[Story]) -> int:
    """How many of them died at every point where they were to."""
    return sum(len(story.crashed_at) == len(story.crash.points) for story in stories)


def _crashes_after(story: Story) -> list[Crash]:
    """A crash at each point that the last life of a story has reached."""
    before, points = story.crash, range(1, len(story.points[-1]) + 1)
    return [Crash((*before.points, point), before.death) for point in points]


def told(scenario: Scenario, stories: Sequence[Story], what: str) -> str:
    adoptions = sum(len(story.adoptions()) for story in stories)
    return f"\n{scenario}: {crashed(stories)} {what} survived, {adoptions} hooks adopted"


@pytest.mark.parametrize(("scenario", "step"), [(STAGES, 6), (UPGRADE, 8)], ids=str)
def test_a_drain_survives_death_at_some_points(
    scenario: Scenario, step: int, trial: Trial, capsys: pytest.CaptureFixture[str]
) -> None:
    points = points_of(scenario, trial)[1::step]
    stories = trial((scenario, Crash((point,), death)) for death in Death for point in points)
    with capsys.disabled():
        print(told(scenario, stories, "deaths at some points"))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_drain_survives_death_at_every_point(
    scenario: Scenario, trial: Trial, capsys: pytest.CaptureFixture[str]
) -> None:
    points = points_of(scenario, trial)
    stories = trial((scenario, Crash((point,), death)) for death in Death for point in points)
    assert crashed(stories) >= (1 - MISSED_SHARE) * len(stories)
    with capsys.disabled():
        print(told(scenario, stories, "deaths at every point"))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_drain_survives_a_second_death_at_every_point_of_the_second_life(
    scenario: Scenario, trial: Trial, capsys: pytest.CaptureFixture[str]
) -> None:
    firsts = points_of(scenario, trial)[FIRST_DEATHS]
    once = trial((scenario, Crash((first,), death)) for first, death in zip(firsts, cycle(Death), strict=False))
    twice = trial((scenario, again) for story in once for again in _crashes_after(story))
    with capsys.disabled():
        print(told(scenario, twice, "second deaths"))
