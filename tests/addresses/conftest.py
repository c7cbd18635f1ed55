"""AWS as it is when nobody has used it yet, with strict network interfaces."""

from collections.abc import Iterator

import pytest

from tests.addresses.rig import Rig
from tests.cloud import ManualClock
from tests.strict_network import StrictNetworkAws


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    clock = ManualClock()
    with StrictNetworkAws(clock=clock.now) as aws:
        for name, value in aws.environment().items():
            monkeypatch.setenv(name, value)
        yield Rig(aws, clock)
