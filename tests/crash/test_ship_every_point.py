"""``spotwatch ship`` dies at every point, and the volume is shipped once and deleted once all the same.

Before and after each call to AWS that changes something, each mount, each overlay, each object and the manifest: either
everything is killed, or only the process that reads, or the first worker stands still, is taken over by another host
and wakes up later. Afterwards nothing is lost, nothing is there twice, the volume was not deleted before its manifest
was valid, and nothing of it is left: no attachment, loop device, mount, overlay or process.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from spotwatch.host.qemu_overlay import QemuOverlays
from tests.crash.ship_lives import Crash, Leftover, Story, cloud
from tests.host.test_killed_reader import wait_until_nothing_is_left
from tests.ship import images
from tests.ship.images import needs_images

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    needs_images,
    pytest.mark.skipif(bool(QemuOverlays().obstacle()), reason=f"no qemu overlay: {QemuOverlays().obstacle()}"),
]

AT_ONCE = 2
"""Volumes side by side: each takes a core for most of its time."""

Trial = Callable[[Iterable[Crash]], list[Story]]


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    """Live through crashes; nothing may be wrong with any of them."""
    image = images.dirty(tmp_path / "image", "ext4", images.logs)
    numbers = count()

    with cloud(tmp_path / "devices") as ec2, ThreadPoolExecutor(AT_ONCE) as pool:
        hosts = ec2.instance(), ec2.instance()

        def live(crash: Crash) -> Story:
            directory = tmp_path / f"volume-{next(numbers)}"
            leftover = Leftover(directory, ec2, image, hosts, crash)
            story = leftover.live() if crash.end != "both" else leftover.live_at_once()
            wait_until_nothing_is_left(directory / "scratch")
            return story

        def live_through(crashes: Iterable[Crash]) -> list[Story]:
            stories = list(pool.map(live, crashes))
            wrong = [
                f"{story.crash}, {story.died_at}: {story.complaints}\n{story.logs}"
                for story in stories
                if story.complaints
            ]
            assert not wrong, "\n".join(wrong)
            return stories

        yield live_through


def points(trial: Trial) -> range:
    """The numbers of the points of a life without a crash."""
    (story,) = trial([Crash()])
    assert len(story.points) == 1, f"it took more than one life without any crash:\n{story.logs}"
    return range(1, len(story.points[0]) + 1)


def told(stories: list[Story], capsys: pytest.CaptureFixture[str]) -> None:
    """Print how many there were; a point that is reached in one life is reached in the next."""
    crashed = [story for story in stories if story.died_at]
    assert len(crashed) == len(stories)
    with capsys.disabled():
        print(f"\n{len(crashed)} crashes of ship survived, at {len({s.died_at for s in crashed})} kinds of points")


def test_a_life_without_a_crash_reaches_every_effect(trial: Trial) -> None:
    (story,) = trial([Crash()])
    reached = " ".join(story.points[0])
    for effect in ("attach", "detach", "delete", "an object", "the manifest", "mounted", "overlay", "verify", "decide"):
        assert f"before {effect}" in reached or f"of {effect}" in reached or f"the qemu {effect}" in reached, effect


def test_two_hosts_that_begin_at_once_ship_it_once(trial: Trial) -> None:
    trial([Crash(end="both")] * 4)


@pytest.mark.parametrize(
    ("end", "elsewhere"),
    [
        pytest.param("all", False, id="everything dies, same host"),
        pytest.param("all", True, id="everything dies, other host", marks=pytest.mark.exhaustive),
        pytest.param("reader", False, id="one process dies, same host", marks=pytest.mark.exhaustive),
        pytest.param("reader", True, id="one process dies, other host", marks=pytest.mark.exhaustive),
    ],
)
def test_it_survives_death_at_every_point(
    end: str, elsewhere: bool, trial: Trial, capsys: pytest.CaptureFixture[str]
) -> None:
    told(trial([Crash(n, end, elsewhere) for n in points(trial)]), capsys)


@pytest.mark.exhaustive
def test_a_worker_that_wakes_up_after_another_has_taken_over_does_no_harm(
    trial: Trial, capsys: pytest.CaptureFixture[str]
) -> None:
    told(trial([Crash(n, "stop", elsewhere=True) for n in points(trial)]), capsys)
