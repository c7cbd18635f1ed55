"""The caps that hold if nobody asks for others.

Why they are what they are: a pool is lost whole, within minutes; the same type in another AZ is not independent of it,
so type and family are capped across AZs too. A 5 % cap of pools implies an effective number of 20.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from spotwatch.core.capacity import Group
from spotwatch.core.errors import UsageError

DEFAULTS: Final[Mapping[Group, float]] = MappingProxyType(
    {Group.POOL: 0.05, Group.TYPE: 0.10, Group.FAMILY: 0.25, Group.GENERATION: 0.50}
)
"""Shares of the Spot capacity. The AZs' depends on how many there are."""

_LEAST_AZ: Final = 0.25
_AZ_HEADROOM: Final = 1.2
"""An AZ may hold a fifth more than its even share: enough to buy where it is cheap, and three AZs still hold 120 %."""


def merged(asked: Mapping[Group, float], azs: int) -> dict[Group, float]:
    """The caps asked for, with the default of each kind that is missing.

    Args:
        asked: shares, above 0 and at most 1.
        azs: how many AZs have candidates.

    Raises:
        UsageError: a share is not in its range.
    """
    for kind, share in asked.items():
        check_share(f"the cap of one {kind.word}", share)
    return {**DEFAULTS, Group.AZ: of_az(azs), **asked}


def of_az(azs: int) -> float:
    """The default cap of one AZ, as a share, where there are so many."""
    return min(1.0, max(_LEAST_AZ, _AZ_HEADROOM / max(azs, 1)))


def check_share(what: str, share: float) -> None:
    """Refuse what is no share.

    Raises:
        UsageError: it is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise UsageError(f"{what} is {share:g}; it is a share above 0 and at most 1", hint="write 5% or 0.05")
