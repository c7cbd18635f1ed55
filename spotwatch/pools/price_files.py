"""What `--prices` names: Spot prices, from a table or from what `aws ec2 describe-spot-price-history` prints.

The table has the columns region, az_id, type, and usd_per_hour, or usd_per_hour_spot_model for prices that a model
made; perhaps interruption_band (0 to 4), the index of the Spot Instance Advisor's band.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from spotwatch.core.advisor import MIDDLES
from spotwatch.core.capacity import Source
from spotwatch.core.errors import InputError
from spotwatch.core.instant import parse_utc
from spotwatch.core.prices import LINUX, Change, mean_price
from spotwatch.core.reading import printable
from spotwatch.pools import catalogue
from spotwatch.pools.documents import (
    BY_MODIFICATION,
    CUT,
    Document,
    Item,
    amount,
    at,
    az_id,
    count,
    header,
    is_json,
    object_of,
    objects,
    rows,
    word,
)

SPOT: Final = "Spot prices"

PRODUCTS: Final = frozenset({LINUX, f"{LINUX} (Amazon VPC)"})
"""The product whose price Linux without a licence fee pays, and its name in old accounts."""

MODELLED: Final = "usd_per_hour_spot_model"
OBSERVED: Final = "usd_per_hour"

PoolKey = tuple[str, str]
"""An AZ's id and an instance type's name."""

BANDS: Final = tuple(MIDDLES.values())
"""The probability of an interruption within a month, by the band's index."""


@dataclass(frozen=True, slots=True)
class SpotPrices:
    """Spot prices in USD an hour by AZ id and type; whether a model made them; bands of interruption, where given."""

    prices: Mapping[PoolKey, float]
    estimated: bool
    source: Source
    interruptions: Mapping[str, float] = field(default_factory=dict)


def spot_prices(
    document: Document,
    region: str,
    *,
    now: datetime.datetime,
    window: datetime.timedelta | None = None,
    az_names: Mapping[str, str],
) -> SpotPrices:
    """Read a table or a history.

    Args:
        document: the file.
        region: only its prices.
        now: changes after it are not looked at.
        window: of a history, the mean over this time until `now`, each price weighted by how long it held; None: the
            price at `now`.
        az_names: AZ names by id, for a history that names AZs by name.

    Raises:
        InputError: it is malformed, has no price of the region or of the product, or is a table and a mean is wanted.
    """
    if is_json(document):
        return _history(document, region, now, window, az_names)
    if window:
        raise InputError(
            f"{document.path} is a table, which has no history to take a mean over",
            hint="leave out --window, or name what aws ec2 describe-spot-price-history prints",
        )
    return _table(document, region)


def _table(document: Document, region: str) -> SpotPrices:
    column = MODELLED if MODELLED in header(document) else OBSERVED
    prefix = catalogue.az_prefix(region)
    prices: dict[PoolKey, float] = {}
    bands: dict[str, float] = {}
    for place, row in rows(document, ("region", "az_id", "type", column), region=region):
        with at(place):
            pool = az_id(row, "az_id", prefix), word(row, "type")
            if pool in prices:
                raise ValueError(f"{' '.join(pool)} is listed twice")
            prices[pool] = amount(row, column)
            if row.get("interruption_band"):
                _take_band(bands, pool[1], count(row, "interruption_band"))
    estimated = column == MODELLED
    note = f"{BY_MODIFICATION}; ESTIMATES: a model made them, nobody observed them" if estimated else BY_MODIFICATION
    return SpotPrices(prices, estimated, Source(SPOT, document.path, document.modified, note), bands)


def _take_band(bands: dict[str, float], name: str, band: int) -> None:
    if band >= len(BANDS):
        raise ValueError(f"interruption_band is {band}, more than {len(BANDS) - 1}")
    if bands.setdefault(name, BANDS[band]) != BANDS[band]:
        raise ValueError(f"interruption_band of {name} is {band}, and another in a row before")


def _history(
    document: Document,
    region: str,
    now: datetime.datetime,
    window: datetime.timedelta | None,
    az_names: Mapping[str, str],
) -> SpotPrices:
    content = object_of(document)
    history = _History(document, region, {name: zone for zone, name in az_names.items()})
    for place, item in objects(document, content, "SpotPriceHistory"):
        with at(place):
            history.take(item)
    history.check()
    end = now.timestamp()
    start = end - window.total_seconds() if window else end
    prices = {pool: price for pool, each in history.pools.items() if (price := mean_price(each, start, end))}
    if not prices:
        raise InputError(f"{document.path}: every price is of after {now:%Y-%m-%d %H:%M} UTC", hint="see the clock")
    newest = max(time for changes in history.pools.values() for time, _ in changes if time <= end)
    date = datetime.datetime.fromtimestamp(newest, datetime.UTC).date()
    return SpotPrices(prices, False, Source(SPOT, document.path, date, _notes(content, window)))


def _notes(content: Item, window: datetime.timedelta | None) -> str:
    notes = []
    if window:
        notes.append(f"mean over {window.total_seconds() / 3600:g} hours")
    if content.get("NextToken"):
        notes.append(CUT)
    return "; ".join(notes)


class _History:
    """The changes of a region and of the wanted product, and what else a file holds, to say it if that is all."""

    def __init__(self, document: Document, region: str, az_ids: Mapping[str, str]) -> None:
        self.document = document
        self.region = region
        self.prefix = catalogue.az_prefix(region)
        self.az_ids = az_ids
        self.pools: dict[PoolKey, list[Change]] = {}
        self.products: set[str] = set()
        self.zones: set[str] = set()

    def take(self, item: Item) -> None:
        """Take one change in.

        Raises:
            ValueError: it is malformed.
            InputError: its AZ has a name only, and nothing says which id that is.
        """
        product = word(item, "ProductDescription")
        if product not in PRODUCTS:
            self.products.add(product)
        elif not self._is_here(item):
            self.zones.add(word(item, "AvailabilityZone" if "AvailabilityZone" in item else "AvailabilityZoneId"))
        else:
            time = parse_utc(word(item, "Timestamp")).timestamp()
            pool = self._az_id(item), word(item, "InstanceType")
            self.pools.setdefault(pool, []).append((time, amount(item, "SpotPrice")))

    def _az_id(self, item: Item) -> str:
        if "AvailabilityZoneId" in item:
            return word(item, "AvailabilityZoneId")
        name = word(item, "AvailabilityZone")
        if name not in self.az_ids:
            raise self._unnamed(name)
        return self.az_ids[name]

    def _is_here(self, item: Item) -> bool:
        """Whether the change's AZ is in the region."""
        if "AvailabilityZoneId" in item:
            return word(item, "AvailabilityZoneId").startswith(self.prefix)
        name = word(item, "AvailabilityZone")
        return name.startswith(self.region) and not name[len(self.region) :][:1].isdigit()

    def _unnamed(self, name: str) -> InputError:
        return InputError(
            printable(f"{self.document.path} names AZs by name ({name}), which differ by account, not by id"),
            hint=f"save what aws ec2 describe-availability-zones --region {self.region} prints as a .json file in the "
            "folder of --catalog; or ask for the prices with a current AWS CLI, which prints AvailabilityZoneId",
        )

    def check(self) -> None:
        """Whether there is anything.

        Raises:
            InputError: no.
        """
        if self.pools:
            return
        path = self.document.path
        if self.zones:
            raise InputError(
                printable(f"{path} has no prices of {self.region}, but of {', '.join(sorted(self.zones)[:6])}"),
                hint=f"ask with --region {self.region}",
            )
        if self.products:
            raise InputError(
                printable(f"{path} has no prices of {LINUX}, but of {', '.join(sorted(self.products)[:6])}"),
                hint=f"ask with --product-descriptions {LINUX}",
            )
        raise InputError(f"{path}: SpotPriceHistory is empty", hint="ask for an earlier --start-time or another region")
