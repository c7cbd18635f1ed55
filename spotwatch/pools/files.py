"""The market of a region as files describe it: what `--catalog`, `--prices`, `--advisor` and `--existing` name.

What a file says is stronger than what the packaged catalogue, or whatever else the files are laid over, says of the
same fact. Nothing is made up: a price that no file has is missing from the market.
"""

import datetime
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from spotwatch.core.capacity import InstanceType, Market, Source
from spotwatch.core.errors import InputError, UsageError
from spotwatch.core.reading import printable
from spotwatch.pools import catalogue
from spotwatch.pools.advisor_file import INTERRUPTIONS, Advice, advice
from spotwatch.pools.catalogue_files import AZ_NAMES, OFFERINGS, ON_DEMAND, TYPES, CatalogueFiles, catalogue_files
from spotwatch.pools.documents import Document, read
from spotwatch.pools.price_files import SPOT, SpotPrices, spot_prices

FilePath = str | os.PathLike[str]

_ORDER: Final = (TYPES, OFFERINGS, AZ_NAMES, ON_DEMAND, SPOT, INTERRUPTIONS)
"""In which a plan names its sources."""


def market(
    region: str,
    *,
    catalog: FilePath | None = None,
    prices: FilePath | None = None,
    advisor: FilePath | None = None,
    base: Market | None = None,
    now: datetime.datetime | None = None,
    window: datetime.timedelta | None = None,
    estimate_prices: bool = False,
) -> Market:
    """What the files say of a region.

    Args:
        region: such as `ap-northeast-1`.
        catalog: see `spotwatch.pools.catalogue_files`.
        prices: see `spotwatch.pools.price_files`.
        advisor: see `spotwatch.pools.advisor_file`.
        base: what the files are laid over; None: the packaged catalogue.
        now: up to when price changes count; None: the clock's time.
        window: the mean of a price history over this time; None: the price at `now`.
        estimate_prices: whether a pool without a Spot price gets the on-demand price less the saving that the advisor
            states, marked as an estimate.

    Raises:
        InputError: a file is missing, malformed or says nothing of the region.
        UsageError: neither the files nor the packaged catalogue know the region; or prices are to be estimated from
            nothing.
    """
    files = catalogue_files(catalog, region) if catalog is not None else CatalogueFiles(region)
    found = _with_catalogue(_base(region, base, files), files)
    if prices is not None:
        time = now or datetime.datetime.now(datetime.UTC)
        document = read(prices)
        named = spot_prices(document, region, now=time, window=window, az_names=found.az_names)
        found = _with_prices(found, named, document)
    advised = advice(read(advisor), region) if advisor is not None else None
    if advised is not None:
        found = _with_sources(replace(found, interruptions=advised.interruptions), advised.source)
    return _with_estimates(found, advised) if estimate_prices else found


def _base(region: str, base: Market | None, files: CatalogueFiles) -> Market:
    if base is not None:
        return base
    if region in catalogue.regions():
        return catalogue.market(region)
    if files.types and files.offerings:
        return Market(region, {}, {})
    if files.sources:
        missing = OFFERINGS if files.types else TYPES
        raise UsageError(
            f'the packaged catalogue has no region "{region}", and --catalog has no {missing}',
            hint="add them to the folder that --catalog names",
        )
    return catalogue.market(region)  # which refuses it and names the nearest


def _with_catalogue(base: Market, files: CatalogueFiles) -> Market:
    if not files.sources:
        return base
    types: Mapping[str, InstanceType] = files.types or base.types
    offerings = files.offerings or base.offerings
    offered = {name: az_ids for name, az_ids in offerings.items() if name in types}
    if not offered:
        named = files.sources.get(OFFERINGS) or files.sources[TYPES]
        raise InputError(
            f"{named.origin}: no instance type of it is both described and offered in {base.region}",
            hint="see whether instance types and offerings belong together",
        )
    found = replace(
        base,
        types={name: types[name] for name in offered},
        offerings=offered,
        az_names=files.az_names or base.az_names,
        on_demand_prices=files.on_demand_prices or base.on_demand_prices,
        estimated_on_demand_prices=frozenset(files.estimated_on_demand_prices)
        if files.on_demand_prices
        else base.estimated_on_demand_prices,
    )
    return _with_sources(found, *_noting(files, len(offerings) - len(offered)))


def _noting(files: CatalogueFiles, undescribed: int) -> list[Source]:
    """The files' sources; where types are offered of which nothing is known, they are said to be left out."""
    said = f"{undescribed} offered types are left out: nothing describes them" if undescribed else ""
    return [
        replace(source, note="; ".join(filter(None, (source.note, said)))) if source.fact == TYPES else source
        for source in files.sources.values()
    ]


def _with_sources(found: Market, *sources: Source) -> Market:
    """A source takes the place of the one of the same fact."""
    by_fact = {source.fact: source for source in (*found.sources, *sources)}
    order = {fact: place for place, fact in enumerate(_ORDER)}
    return replace(found, sources=tuple(sorted(by_fact.values(), key=lambda each: order.get(each.fact, len(order)))))


def _with_prices(found: Market, named: SpotPrices, document: Document) -> Market:
    offered = {pool: price for pool, price in named.prices.items() if pool[0] in found.offerings.get(pool[1], ())}
    if not offered:
        example = " ".join(next(iter(named.prices)))
        raise InputError(
            printable(f"{document.path}: none of its pools ({example}, …) is offered in {found.region}"),
            hint="see whether prices and catalogue belong together",
        )
    total = sum(len(az_ids) for az_ids in found.offerings.values())
    note = "; ".join(filter(None, (named.source.note, f"{len(offered)} of {total} offered pools have one")))
    found = replace(
        found,
        spot_prices=offered,
        estimated_spot_prices=frozenset(offered) if named.estimated else frozenset(),
    )
    found = _with_sources(found, replace(named.source, note=note))
    if not named.interruptions:
        return found
    bands = replace(named.source, fact=INTERRUPTIONS, note="from the prices' file")
    return _with_sources(replace(found, interruptions=named.interruptions), bands)


def _with_estimates(found: Market, advised: Advice | None) -> Market:
    if advised is None or not found.on_demand_prices:
        missing = "--advisor" if advised is None else "a --catalog with ondemand_prices.csv"
        raise UsageError("prices cannot be estimated without savings and on-demand prices", hint=f"name {missing} too")
    estimates = _estimates(found, advised.savings)
    named = next((source for source in found.sources if source.fact == SPOT), None)
    said = f"{len(estimates)} are ESTIMATES: the on-demand price less the saving that the advisor states"
    source = (
        replace(named, note="; ".join(filter(None, (named.note, said))))
        if named
        else Source(SPOT, advised.source.origin, advised.source.date, said)
    )
    return _with_sources(
        replace(
            found,
            spot_prices={**estimates, **found.spot_prices},
            estimated_spot_prices=found.estimated_spot_prices | estimates.keys(),
        ),
        source,
    )


def _estimates(found: Market, savings: Mapping[str, float]) -> dict[tuple[str, str], float]:
    """Of the pools that have no price, and whose type has an on-demand price and a saving above 0 and below 1."""
    by_type = {
        name: price * (1 - savings[name])
        for name, price in found.on_demand_prices.items()
        if 0.0 < savings.get(name, 0.0) < 1.0
    }
    return {
        (az_id, name): by_type[name]
        for name, az_ids in found.offerings.items()
        if name in by_type
        for az_id in az_ids
        if (az_id, name) not in found.spot_prices
    }
