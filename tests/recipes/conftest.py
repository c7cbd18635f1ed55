"""A container with a real systemd, and spotwatch in it as an operator has it (tests/systemd); and commands by words."""

from collections.abc import Iterator

import pytest

from tests.cli.conftest import main
from tests.recipes.machine import Machine, machine_of
from tests.systemd.conftest import container, spotwatch
from tests.systemd.installed import Installed

__all__ = ["container", "machine", "main", "spotwatch"]


@pytest.fixture
def machine(spotwatch: Installed) -> Iterator[Machine]:
    with machine_of(spotwatch) as machine:
        yield machine
