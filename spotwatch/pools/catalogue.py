"""The instance types and their offerings that are packaged with spotwatch, for someone without an AWS account.

`catalogue.json` beside this file is made by `.ci/make_catalogue.py`. Its layout, which keeps it small, readable as a
difference, and quick to load one region of:

    format, origin, date
    types    a list: name, architectures, hypervisor, flags (`FLAGS`), vCPU, threads per core, MiB, ENIs, IPv4 per ENI
    regions  by name: `az_ids`; and `offered`, one character for each of the types: which of the AZs offer it (`MASKS`)

It holds no prices.
"""

import datetime
import functools
import json
import string
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from spotwatch.core.capacity import InstanceType, Market, Source
from spotwatch.core.errors import UsageError
from spotwatch.pools.near import near

FORMAT: Final = 1

FLAGS: Final = MappingProxyType(
    {"m": "bare_metal", "b": "burstable", "d": "local_disk", "a": "accelerators", "s": "spot"}
)
"""The letter of each attribute of `InstanceType` that is true or false."""

MASKS: Final = "." + string.digits + string.ascii_uppercase + string.ascii_lowercase + "_"
"""The character for each set of AZs: bit n of its index is AZ n. Six AZs, the most that a region has, need 64."""


def regions() -> tuple[str, ...]:
    """The regions that it knows, by name."""
    return tuple(_document()["regions"])


def date() -> datetime.date:
    """When what it holds was gathered."""
    return datetime.date.fromisoformat(_document()["date"])


def origin() -> str:
    """What it was made from: a package and its version."""
    return str(_document()["origin"])


def az_prefix(region: str) -> str:
    """What the ids of a region's AZs begin with (`use1-`); empty if it does not know the region."""
    entry = _document()["regions"].get(region)
    return str(entry["az_ids"][0]).partition("-")[0] + "-" if entry else ""


def market(region: str) -> Market:
    """What it says of a region: types and offerings, no prices.

    Raises:
        UsageError: it does not know the region; the hint names the nearest that it does.
    """
    known = _document()["regions"]
    if region not in known:
        raise UsageError(f'the packaged catalogue has no region "{region}"', hint=near(region, known))
    types, offerings = _region(region)
    facts = ("instance types", "offerings")
    sources = tuple(Source(fact, f"the packaged catalogue, from {origin()}", date()) for fact in facts)
    return Market(region, types, offerings, sources=sources)


@functools.cache
def _region(region: str) -> tuple[Mapping[str, InstanceType], Mapping[str, tuple[str, ...]]]:
    entry = _document()["regions"][region]
    az_ids = _az_ids_by_mask(entry["az_ids"])
    offered = [(_type(index), az_ids[mask]) for index, mask in enumerate(entry["offered"]) if mask != MASKS[0]]
    types = {kind.name: kind for kind, _ in offered}
    return MappingProxyType(types), MappingProxyType({kind.name: ids for kind, ids in offered})


def _az_ids_by_mask(az_ids: list[str]) -> dict[str, tuple[str, ...]]:
    return {
        letter: tuple(az_id for bit, az_id in enumerate(az_ids) if mask >> bit & 1) for mask, letter in enumerate(MASKS)
    }


@functools.cache
def _type(index: int) -> InstanceType:
    """A type is the same in all regions, and made when the first of them is asked for."""
    name, architectures, hypervisor, flags, vcpus, threads, memory, enis, ipv4 = _document()["types"][index]
    return InstanceType(
        name=name,
        vcpus=vcpus,
        threads_per_core=threads,
        memory_mib=memory,
        architectures=tuple(architectures.split("|")),
        hypervisor=hypervisor,
        enis=enis,
        ipv4_per_eni=ipv4,
        **{attribute: letter in flags for letter, attribute in FLAGS.items()},
    )


@functools.cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(__file__).with_name("catalogue.json").read_bytes())
    return document
