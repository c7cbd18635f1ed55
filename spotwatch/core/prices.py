"""From price changes, which is what AWS remembers, to a price."""

from collections.abc import Iterable
from typing import Final

LINUX: Final = "Linux/UNIX"
"""The product whose Spot price is that of the instance alone, without a licence."""

Change = tuple[float, float]
"""When, in seconds since 1970, and the price from then on."""


def mean_price(changes: Iterable[Change], start: float, end: float) -> float | None:
    """The mean price from `start` to `end`, each weighted by how long it held; if they are equal, the price then.

    The price at a moment is that of the last change before it, however old. What was before the first change is not
    known and left out. None if nothing is known by `end`.
    """
    known = sorted(change for change in changes if change[0] <= end)
    if not known:
        return None
    total, until = 0.0, end
    for time, price in reversed(known):
        since = max(time, start)
        total += price * (until - since)
        until = since
        if time <= start:
            break
    return total / (end - until) if end > until else known[-1][1]
