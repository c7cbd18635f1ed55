"""The process ends at every point: before and after every call to EC2, every change of the kernel, every note.

Whatever was half done, the next run ends in the state in which an undisturbed one ends, and no interface is left over.
"""

from collections.abc import Callable
from typing import Any

import pytest

from spotwatch.addresses.application import Configure
from spotwatch.addresses.plan import Wish
from tests.addresses.rig import Crash, Points, Rig

pytestmark = pytest.mark.slow

COUNT = 12
"""Fills the primary interface of an m5.large and takes a second one."""


def apply(rig: Rig, points: Points) -> None:
    rig.application(points).apply(Wish(COUNT), Configure.AUTO)


def release(rig: Rig, points: Points) -> None:
    rig.application(points).release()


def ended_at(rig: Rig, point: int, work: Callable[[Rig, Points], None]) -> bool:
    """Whether the work has been ended there, and not come to its own end before."""
    try:
        work(rig, Points(end_at=point))
    except Crash:
        return True
    return False


def points_of(rig: Rig, work: Callable[[Rig, Points], None]) -> int:
    points = Points()
    work(rig, points)
    return points.reached


def prepared(rig: Rig, work: Callable[[Rig, Points], None]) -> None:
    rig.start()
    if work is release:
        rig.apply(COUNT)


def sweep(rig: Rig, work: Callable[[Rig, Points], None], step: int, *, shown: float = 0.0) -> int:
    """End the work at every `step`th point of it, and do it again; how many points that were.

    `shown` is how many seconds EC2's descriptions lag behind.
    """
    rig.aws.network.delays.shown = shown
    prepared(rig, work)
    points = points_of(rig, work)
    expected = rig.state()
    tried = 0
    for point in range(1, points + 1, step):
        prepared(rig, work)
        if not ended_at(rig, point, work):
            assert shown, point  # only where there are waits, which are random, the number of looks is, too
            break
        work(rig, Points())
        assert rig.state() == expected, f"ended at point {point} of {points}"
        if work is apply:
            rig.release()
            assert (rig.addresses(), rig.mine()) == ([1], []), f"released after an end at point {point} of {points}"
        rig.ec2.terminate_instances(InstanceIds=[rig.instance_id])
        tried += 1
    print(f"{work.__name__}: ended at {tried} of {points} points")
    return tried


@pytest.mark.parametrize("work", [apply, release], ids=["apply", "release"])
def test_an_end_at_one_point_in_seventeen_changes_nothing_in_the_end(rig: Rig, work: Any) -> None:
    assert sweep(rig, work, 17) >= 3


def test_an_end_at_some_points_changes_nothing_where_descriptions_lag_behind(rig: Rig) -> None:
    """Above all an end right after an assignment or a creation, of which the next run sees nothing at first."""
    assert sweep(rig, apply, 13, shown=5.0) >= 3


def test_an_end_at_any_point_changes_nothing_where_descriptions_lag_behind(rig: Rig) -> None:
    assert sweep(rig, apply, 1, shown=5.0) >= 20


@pytest.mark.parametrize("work", [apply, release], ids=["apply", "release"])
def test_an_end_at_any_point_changes_nothing_in_the_end(rig: Rig, work: Any) -> None:
    assert sweep(rig, work, 1) >= 20


def test_an_end_before_and_an_end_after_a_creation_leave_the_same_interface(rig: Rig) -> None:
    """Two ends in a row: the second one while the first one's creation is being found out about."""
    rig.start()
    points = points_of(rig, apply)
    expected = rig.state()
    for first in range(points // 3, points // 2, 5):
        prepared(rig, apply)
        assert ended_at(rig, first, apply)
        ended_at(rig, 5, apply)
        apply(rig, Points())
        assert rig.state() == expected
