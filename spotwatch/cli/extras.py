"""What is said of a library that is not installed: its distribution, and the extra of spotwatch that brings it."""

from collections.abc import Mapping
from typing import Final

_DISTRIBUTIONS: Final[Mapping[str, str]] = {"dns": "dnspython", "pymysql": "PyMySQL"}
"""Where the name differs from that of the module."""


def not_installed(error: ModuleNotFoundError) -> str:
    """The distribution that an import did not find, in words."""
    module = (error.name or str(error)).partition(".")[0]
    return f"{_DISTRIBUTIONS.get(module, module)} is not installed"


def install_hint(extra: str) -> str:
    """What to do about it."""
    return f"install spotwatch with its extra: [{extra}]"
