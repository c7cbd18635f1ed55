"""A container with a real systemd, and spotwatch in it as an operator has it (tests/systemd); and commands by words."""

from tests.cli.conftest import main
from tests.systemd.conftest import container, spotwatch

__all__ = ["container", "main", "spotwatch"]
