"""What `--existing` names: the Spot Instances that run already, by pool.

A table or a JSON list with az_id, instance_type and count, the plan that `spotwatch pools --json` has printed (its
`pools`), or what `aws ec2 describe-instances` prints, of which the Spot Instances that are pending or running count.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Final

from spotwatch.core.capacity import Market
from spotwatch.core.errors import InputError
from spotwatch.pools.documents import Document, Item, at, count, is_json, json_of, objects, read, rows, word
from spotwatch.pools.near import near

ALIVE: Final = frozenset({"pending", "running"})

Existing = Mapping[tuple[str, str], int]
"""Instances, by AZ id and type."""

_COLUMNS: Final = ("az_id", "instance_type", "count")


def existing(path: str | os.PathLike[str], market: Market) -> Existing:
    """What runs already.

    Args:
        path: the file.
        market: of the region; its pools are the ones that are known, its `az_names` are needed where the file names
            AZs by name only.

    Raises:
        InputError: it is malformed, names a pool that the market does not know, or does not say in which AZ an
            instance is.
    """
    document = read(path)
    counts: dict[tuple[str, str], int] = {}
    for place, item in _items(document, market):
        with at(place):
            pool = _known(market, word(item, "az_id"), word(item, "instance_type"))
            counts[pool] = counts.get(pool, 0) + count(item, "count")
    return {pool: number for pool, number in counts.items() if number}


def _known(market: Market, zone: str, name: str) -> tuple[str, str]:
    if name not in market.offerings:
        raise ValueError(f'"{name}" is no instance type of {market.region}; {near(name, market.offerings)}')
    if zone not in market.offerings[name]:
        raise ValueError(f'{name} is not offered in "{zone}", but in {", ".join(market.offerings[name])}')
    return zone, name


def _items(document: Document, market: Market) -> Iterator[tuple[str, Item]]:
    if not is_json(document):
        yield from rows(document, _COLUMNS)
        return
    content = json_of(document)
    if isinstance(content, list):
        content = {"pools": content}
    if not isinstance(content, dict):
        raise _unknown(document)
    if "pools" in content:
        yield from objects(document, content, "pools")
    elif "Reservations" in content:
        yield from _instances(document, content, market)
    else:
        raise _unknown(document)


def _unknown(document: Document) -> InputError:
    return InputError(
        f"{document.path} does not list what runs in which AZ",
        hint="write a table with az_id, instance_type, count, or save what aws ec2 describe-instances prints "
        "(describe-fleet-instances does not say the AZ)",
    )


def _instances(document: Document, content: Item, market: Market) -> Iterator[tuple[str, Item]]:
    az_ids = {name: zone for zone, name in market.az_names.items()}
    for number, (_, reservation) in enumerate(objects(document, content, "Reservations")):
        for place, item in objects(document, reservation, f"Reservations[{number}]", "Instances"):
            with at(place):
                state = word(_of(item, "State"), "Name")
                if state not in ALIVE or item.get("InstanceLifecycle") != "spot":
                    continue
                zone = _zone(_of(item, "Placement"), az_ids)
                yield place, {"az_id": zone, "instance_type": item.get("InstanceType"), "count": 1}


def _of(item: Item, key: str) -> Item:
    value = item.get(key)
    if not isinstance(value, dict):
        raise ValueError(f"{key} is missing")  # noqa: TRY004 (one kind of error for whatever is wrong)
    return value


def _zone(placement: Item, az_ids: Mapping[str, str]) -> str:
    if "AvailabilityZoneId" in placement:
        return word(placement, "AvailabilityZoneId")
    name = word(placement, "AvailabilityZone")
    if name not in az_ids:
        raise ValueError(
            f"the AZ has a name only ({name}); save what aws ec2 describe-availability-zones prints as a .json file in "
            "the folder of --catalog"
        )
    return az_ids[name]
