"""The limits of what is asked and answered around a plan: placement scores, price history, addresses, DNS records."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from spotwatch.core.capacity import InstanceType
from spotwatch.pools.limits.rule import Finding, Severity

MOST_SCORED_TYPES: Final = 1_000
LEAST_SCORED_TYPES: Final = 3
MOST_SCORED_REGIONS: Final = 10
MOST_SCORE: Final = 10
PRICE_HISTORY_DAYS: Final = 90
PRICE_PRODUCT: Final = "Linux/UNIX"
MOST_DNS_RECORDS: Final = 8

_SCORES: Final = "EC2 API Reference, GetSpotPlacementScores"
_HISTORY: Final = "EC2 API Reference, DescribeSpotPriceHistory"


@dataclass(frozen=True, slots=True)
class PlacementScoreRequest:
    """What GetSpotPlacementScores is asked: the instance types, and the regions (none: all that there are)."""

    instance_types: Sequence[str]
    regions: Sequence[str] = ()


def placement_score_findings(request: PlacementScoreRequest) -> Iterator[Finding]:
    """Which limits of GetSpotPlacementScores a request breaks."""
    types, regions = len(set(request.instance_types)), len(set(request.regions))
    if not 1 <= types <= MOST_SCORED_TYPES:
        yield Finding(
            "scores-types", Severity.REFUSED, "InstanceTypes", f"{types} instance types",
            f"ask about 1 to {MOST_SCORED_TYPES:,}", _SCORES,
        )  # fmt: skip
    elif types < LEAST_SCORED_TYPES:
        yield Finding(
            "scores-few-types", Severity.UNWISE, "InstanceTypes", f"{types} instance types always score low",
            f"ask about {LEAST_SCORED_TYPES} or more", _SCORES,
        )  # fmt: skip
    if regions > MOST_SCORED_REGIONS:
        yield Finding(
            "scores-regions", Severity.REFUSED, "RegionNames", f"{regions} regions",
            f"ask about {MOST_SCORED_REGIONS} at most", _SCORES,
        )  # fmt: skip


def score_findings(score: int) -> Iterator[Finding]:
    """Whether a score can be one."""
    if not 1 <= score <= MOST_SCORE:
        yield Finding(
            "scores-range", Severity.REFUSED, "Score", f"a placement score of {score}",
            f"a score is 1 to {MOST_SCORE}, for the very request that it answers", _SCORES,
        )  # fmt: skip


def price_history_findings(days: float, products: Sequence[str]) -> Iterator[Finding]:
    """Whether DescribeSpotPriceHistory can answer for a window of so many days, with one product's prices."""
    if days > PRICE_HISTORY_DAYS:
        yield Finding(
            "price-history-window", Severity.REFUSED, "StartTime", f"a window of {days:g} days",
            f"AWS keeps the price changes of {PRICE_HISTORY_DAYS} days", _HISTORY,
        )  # fmt: skip
    if list(products) != [PRICE_PRODUCT]:
        yield Finding(
            "price-history-product", Severity.UNWISE, "ProductDescriptions",
            f"prices of {', '.join(products) or 'all products'}", f"ask for {PRICE_PRODUCT} alone", _HISTORY,
        )  # fmt: skip


def address_findings(instance_type: InstanceType, addresses: int) -> Iterator[Finding]:
    """Whether an instance of a type can hold so many IPv4 addresses."""
    most = instance_type.enis * instance_type.ipv4_per_eni
    if addresses > most:
        yield Finding(
            "addresses", Severity.REFUSED, instance_type.name, f"{addresses} IPv4 addresses on one instance",
            f"it holds {most}: {instance_type.enis} interfaces with {instance_type.ipv4_per_eni} each",
            "EC2 API, DescribeInstanceTypes (NetworkInfo)",
        )  # fmt: skip


def dns_findings(name: str, records: int) -> Iterator[Finding]:
    """Whether a client sees all records of a name with the routing policy multivalue answer."""
    if records > MOST_DNS_RECORDS:
        yield Finding(
            "dns-multivalue", Severity.UNWISE, name, f"{records} records",
            f"an answer carries {MOST_DNS_RECORDS} of them, chosen at random: the load is shared on average only",
            "Amazon Route 53 Developer Guide, multivalue answer routing",
        )  # fmt: skip
