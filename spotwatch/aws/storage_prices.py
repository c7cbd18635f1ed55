"""What EBS volumes cost a month, from the AWS Price List: never guessed, None where it cannot be had.

Sources: AWS Price List API (GetProducts; On-Demand prices in USD), EBS user guide ("Understand codes for Amazon EBS in
billing and usage reports": which usage types there are and from what on performance is billed).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from spotwatch.aws.price_list import Product, products
from spotwatch.aws.session import Api
from spotwatch.core.volume import Volume

_STORAGE: Final = "Storage"
_IOPS: Final = "System Operation"
_THROUGHPUT: Final = "Provisioned Throughput"

_UNITS: Final = {"GB-Mo": _STORAGE, "GB-month": _STORAGE, "IOPS-Mo": _IOPS, "GiBps-mo": _THROUGHPUT}
"""The units of what is billed for as long as the volume exists, and whose family they are."""

_FREE_IOPS: Final = {"gp3": 3000, "io1": 0, "io2": 0}
"""IOPS that the storage's price includes; kinds that are missing here are not billed for IOPS."""

_FREE_MIB_A_SECOND: Final = {"gp3": 125}
"""Throughput that the storage's price includes; kinds that are missing here are not billed for throughput."""

_TIERS: Final = ((0, ""), (32_000, ".tier2"), (64_000, ".tier3"))
"""From how many IOPS on of an io2 volume which tier is billed, and how its usage type ends."""


@dataclass(frozen=True, slots=True)
class _Price:
    family: str
    usage: str
    usd: Decimal


class StoragePrices:
    """The prices of one region, each kind of volume asked for once."""

    def __init__(self, pricing: Api, region: str) -> None:
        """Nothing is asked yet.

        Args:
            pricing: the Price List's API.
            region: whose prices.
        """
        self._pricing = pricing
        self._region = region
        self._known: dict[str, tuple[_Price, ...]] = {}

    def usd_a_month(self, volume: Volume) -> Decimal | None:
        """What a volume costs a month, with provisioned IOPS and throughput; None if AWS lists no such price.

        Raises:
            AwsError: the Price List cannot be asked.
        """
        if volume.kind not in self._known:
            self._known[volume.kind] = tuple(self._prices(volume.kind))
        prices = self._known[volume.kind]
        parts = [
            _times(_one(prices, _STORAGE, ""), volume.size_gib),
            _iops(prices, volume),
            _throughput(prices, volume),
        ]
        known = [part for part in parts if part is not None]
        return sum(known, Decimal(0)) if len(known) == len(parts) else None

    def _prices(self, kind: str) -> Iterator[_Price]:
        for product in products(self._pricing, regionCode=self._region, volumeApiName=kind):
            yield from _by_the_month(product)


def _by_the_month(product: Product) -> Iterator[_Price]:
    """The prices of a product, as far as they are for what is billed by the month."""
    for unit, usd in product.prices:
        if _UNITS.get(unit) == product.family:
            yield _Price(product.family, str(product.attributes.get("usagetype", "")), usd)


def _one(prices: tuple[_Price, ...], family: str, tier: str) -> Decimal | None:
    """The price of a family and tier, if AWS tells one and no more than one."""
    suffixes = tuple(suffix for _, suffix in _TIERS[1:])
    fits = [price for price in prices if price.family == family]
    found = {
        price.usd for price in fits if (price.usage.endswith(tier) if tier else not price.usage.endswith(suffixes))
    }
    return found.pop() if len(found) == 1 else None


def _times(usd: Decimal | None, amount: Decimal | int) -> Decimal | None:
    return Decimal(0) if not amount else None if usd is None else usd * amount


def _iops(prices: tuple[_Price, ...], volume: Volume) -> Decimal | None:
    if volume.kind not in _FREE_IOPS:
        return Decimal(0)
    if volume.iops is None:
        return None
    billed = max(0, volume.iops - _FREE_IOPS[volume.kind])
    if volume.kind != "io2":
        return _times(_one(prices, _IOPS, ""), billed)
    ends = [start for start, _ in _TIERS[1:]] + [billed]
    total = Decimal(0)
    for (start, tier), end in zip(_TIERS, ends, strict=True):
        part = _times(_one(prices, _IOPS, tier), max(0, min(billed, end) - start))
        if part is None:
            return None
        total += part
    return total


def _throughput(prices: tuple[_Price, ...], volume: Volume) -> Decimal | None:
    if volume.kind not in _FREE_MIB_A_SECOND:
        return Decimal(0)
    if volume.throughput_mib is None:
        return None
    billed = max(0, volume.throughput_mib - _FREE_MIB_A_SECOND[volume.kind])
    return _times(_one(prices, _THROUGHPUT, ""), Decimal(billed) / 1024)
