import pytest

from spotwatch.core.event import EVENT_NAMES, INTERRUPTIONS, EventKind


def test_the_events_are_ordered_from_the_weakest_to_the_strongest() -> None:
    order = ["start", "rebalance", "maintenance", "lifecycle", "shutdown", "stop", "hibernate", "terminate"]
    assert sorted(EventKind, key=lambda kind: kind.strength) == order
    assert list(EVENT_NAMES) == order


@pytest.mark.parametrize("kind", EventKind)
def test_every_interruption_outranks_everything_else(kind: EventKind) -> None:
    assert kind.is_interruption == (kind in {"stop", "hibernate", "terminate"})
    weakest = min(one.strength for one in INTERRUPTIONS)
    assert kind.is_interruption == (kind.strength >= weakest)
