"""When facts are too old to plan with: a plan shows the dates of all of them, and warns of those that are."""

import datetime
from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Final

from spotwatch.core.capacity import Source

OLDEST_DAYS: Final = MappingProxyType(
    {
        "placement scores": 1,
        "Spot prices": 14,
        "Spot quotas": 30,
        "interruption bands": 90,
        "on-demand prices": 365,
        "instance types": 365,
        "offerings": 365,
    }
)
"""By the fact's name in the sources. Placement scores are of the moment. The lowest Spot prices of us-east-1 rose by
61 % (median) from February to August 2023, so that two weeks are 4 %. The bands of 2021 and of 2025 have a correlation
of 0.35. What AWS offers grows, and what it offered a year ago is nearly always still there."""


def warnings(sources: Iterable[Source], today: datetime.date) -> Iterator[str]:
    """A sentence for each fact that is older than it should be, or of the future."""
    for source in sources:
        if source.date is None or source.fact not in OLDEST_DAYS:
            continue
        days = (today - source.date).days
        if days > OLDEST_DAYS[source.fact]:
            yield f"OLD DATA: the {source.fact} are of {source.date.isoformat()}, {days:,} days ago"
        elif days < -1:  # the clocks of two machines are in two time zones at worst
            yield f"the {source.fact} are of {source.date.isoformat()}, which is in the future: see the clock"
