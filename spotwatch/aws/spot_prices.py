"""The changes of Spot prices that EC2 remembers for 90 days, and the prices that they amount to."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, Final

from spotwatch.aws.session import Api
from spotwatch.core.errors import AwsBroken, AwsNotFound, UsageError
from spotwatch.core.prices import LINUX, Change, mean_price

REMEMBERED: Final = timedelta(days=90)
"""How far back DescribeSpotPriceHistory goes (Amazon EC2 API Reference)."""

_CHANGES_A_PAGE: Final = 1000

Pool = tuple[str, str]
"""An AZ's id and an instance type's name."""


def spot_prices(
    ec2: Api, az_ids: Mapping[str, str], *, now: datetime, window: timedelta, types: Sequence[str] = ()
) -> dict[Pool, float]:
    """USD an hour in each pool that has a price (DescribeSpotPriceHistory, product Linux/UNIX).

    The answer for a window also has, for each pool, the last change before it: the price at its start.

    Args:
        ec2: the API of the region.
        az_ids: of the zones that are of interest, by name.
        now: in UTC.
        window: the price is its mean over this time up to `now`, weighted by how long each held; 0: the price of now.
        types: patterns of type names such as `c6i.*`; empty: all.

    Raises:
        UsageError: the window begins before what AWS remembers.
        AwsNotFound: no pool has a price.
        AwsError: as its subclasses say.
    """
    if not timedelta(0) <= window <= REMEMBERED:
        raise UsageError(
            f"Spot prices can be had for a window of 0 to {REMEMBERED.days} days", hint="ask for a shorter window"
        )
    changes: dict[Pool, list[Change]] = {}
    for description in _history(ec2, now - window, now, types):
        pool, change = _read(description, az_ids)
        if pool[0] in az_ids.values():
            changes.setdefault(pool, []).append(change)
    start, end = (now - window).timestamp(), now.timestamp()
    prices = {pool: price for pool, each in changes.items() if (price := mean_price(each, start, end)) is not None}
    if not prices:
        raise AwsNotFound(
            f"AWS has no Spot prices of {LINUX} in {ec2.region} for {', '.join(types) or 'any type'}",
            hint="see the region and the wanted types, or give a file of prices",
        )
    return prices


def _history(ec2: Api, start: datetime, end: datetime, types: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    wanted: dict[str, Any] = {"Filters": [{"Name": "instance-type", "Values": list(types)}]} if types else {}
    pages = ec2.pages(
        "DescribeSpotPriceHistory",
        StartTime=start,
        EndTime=end,
        ProductDescriptions=[LINUX],
        MaxResults=_CHANGES_A_PAGE,
        **wanted,
    )
    for page in pages:
        # AWS has filtered already; a stand-in for it may not have.
        yield from (one for one in page.get("SpotPriceHistory", ()) if one.get("ProductDescription") == LINUX)


def _read(description: Mapping[str, Any], az_ids: Mapping[str, str]) -> tuple[Pool, Change]:
    """The pool and its change; an empty AZ id for a zone that is not of interest."""
    name, time = description.get("InstanceType"), description.get("Timestamp")
    az_id = description.get("AvailabilityZoneId") or az_ids.get(description.get("AvailabilityZone", ""), "")
    usd = _amount(description.get("SpotPrice"))
    if not name or time is None or usd is None:
        raise AwsBroken(
            f"ec2:DescribeSpotPriceHistory: the answer makes no sense: {dict(description)!r}",
            hint="see what answers at the endpoint",
        )
    return (az_id, name), (time.timestamp(), usd)


def _amount(text: object) -> float | None:
    try:
        amount = float(str(text))
    except ValueError:
        return None
    return amount if isfinite(amount) and amount > 0 else None
