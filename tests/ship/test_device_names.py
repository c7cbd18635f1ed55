"""Names for attachments: none twice, none that is in use, the one just freed last."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from spotwatch.core.errors import AwsRefused
from spotwatch.ship.device_names import NAMES, DeviceNames


def names(*taken: str) -> DeviceNames:
    return DeviceNames(lambda: set(taken))


def test_the_recommended_names_come_first_and_then_the_others() -> None:
    assert NAMES[0] == "/dev/sdf"
    assert NAMES[10:12] == ("/dev/sdp", "/dev/xvdba")
    assert len(NAMES) == len(set(NAMES)) == 11 + 52


def test_a_name_in_use_is_not_given() -> None:
    free = names("/dev/sdf", "/dev/sdg", "/dev/xvda")
    with free.one() as name:
        assert name == "/dev/sdh"


def test_a_name_is_not_given_twice_at_a_time() -> None:
    free = names()
    with free.one() as first, free.one() as second:
        assert first != second


def test_the_name_that_was_freed_last_comes_last() -> None:
    free = names()
    given = []
    for _ in range(len(NAMES) + 1):
        with free.one() as name:
            given.append(name)
    assert given == [*NAMES, NAMES[0]]


def test_when_all_are_in_use_that_is_said() -> None:
    free = names(*NAMES)
    with pytest.raises(AwsRefused, match="no device name left"), free.one():
        pass


def test_many_threads_get_each_another() -> None:
    used: set[str] = set()
    free = DeviceNames(lambda: set(used))

    def take(_: int) -> str:
        with free.one() as name:
            used.add(name)
            return name

    with ThreadPoolExecutor(8) as threads:
        given = list(threads.map(take, range(len(NAMES))))
    assert sorted(given) == sorted(NAMES)
