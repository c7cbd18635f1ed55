"""What `--catalog` names: instance types, their offerings, on-demand prices and the names of AZs, from files.

A folder with `instance_types.csv`, `offerings.csv`, `ondemand_prices.csv`, and with what these commands print (in any
file `*.json`, a file for each page if there are several):

    aws ec2 describe-instance-types
    aws ec2 describe-instance-type-offerings --location-type availability-zone-id
    aws ec2 describe-availability-zones

or one such file. Whatever it holds replaces the packaged catalogue's fact of the same kind as a whole.
"""

import functools
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from spotwatch.core.capacity import InstanceType, Source, TypeName
from spotwatch.core.errors import InputError
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
    no_region,
    object_of,
    objects,
    read,
    rows,
    word,
)

TYPES: Final = "instance types"
OFFERINGS: Final = "offerings"
ON_DEMAND: Final = "on-demand prices"
AZ_NAMES: Final = "AZ names"

OBSERVED: Final = frozenset({"aws", "api", "karpenter", "libcloud", "observed", ""})
"""Words in the column `source` of on-demand prices for a price that AWS has published; any other is an estimate."""

_FIRST_KEY: Final = re.compile(r'\s*\{\s*"(\w{1,40})"')

WANTED: Final = (
    "name a folder with instance_types.csv or offerings.csv, or with the JSON of aws ec2 describe-instance-types or "
    "describe-instance-type-offerings --location-type availability-zone-id"
)


@dataclass(slots=True)
class CatalogueFiles:
    """What was found of each kind; empty where nothing was."""

    region: str
    types: dict[str, InstanceType] = field(default_factory=dict)
    offerings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    on_demand_prices: dict[str, float] = field(default_factory=dict)
    estimated_on_demand_prices: set[str] = field(default_factory=set)
    az_names: dict[str, str] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)

    def found(self, fact: str, document: Document, note: str = "") -> None:
        """Remember where a fact comes from; of several files the last is named, with the oldest date."""
        known = self.sources.get(fact)
        date = min(document.modified, known.date) if known and known.date else document.modified
        notes = (known.note if known else "", BY_MODIFICATION, note)
        self.sources[fact] = Source(fact, document.path, date, "; ".join(dict.fromkeys(filter(None, notes))))


def catalogue_files(path: str | os.PathLike[str], region: str) -> CatalogueFiles:
    """What a folder or a file says of a region.

    Raises:
        InputError: it is missing, malformed, or says nothing of the region.
    """
    files = CatalogueFiles(region)
    if os.path.isdir(path):
        _read_folder(Path(path), files)
    else:
        _read_file(read(path), files)
    return files


def _read_folder(folder: Path, files: CatalogueFiles) -> None:
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if not entry.is_dir())
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}", hint="see its permissions") from error
    for name in names:
        if name in _TABLES:
            _TABLES[name][1](read(folder / name), files)
        elif name.endswith(".json") and _first_key(folder / name) in _ANSWERS:
            _read_answer(read(folder / name), files)
    if not files.sources:
        raise InputError(f"{folder} holds no catalogue", hint=WANTED)


def _first_key(path: Path) -> str:
    """The first key of a JSON object; such a folder may hold much that is no catalogue, and large."""
    try:
        with path.open("rb") as file:
            match = _FIRST_KEY.match(file.read(4096).decode("utf-8-sig", errors="ignore"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint="see its permissions") from error
    return match[1] if match else ""


def _read_file(document: Document, files: CatalogueFiles) -> None:
    if is_json(document):
        _read_answer(document, files)
        return
    columns = set(header(document))
    for needed, reader in _TABLES.values():
        if needed <= columns:
            reader(document, files)
            return
    raise InputError(f"{document.path} is no catalogue", hint=WANTED)


def _read_answer(document: Document, files: CatalogueFiles) -> None:
    content = object_of(document)
    known = [key for key in _ANSWERS if key in content]
    if not known:
        raise InputError(f"{document.path} has none of the keys {', '.join(_ANSWERS)}", hint=WANTED)
    for key in known:
        _ANSWERS[key](document, content, files)


def _cut(content: Item) -> str:
    return CUT if content.get("NextToken") else ""


def _types_answer(document: Document, content: Item, files: CatalogueFiles) -> None:
    for place, item in objects(document, content, "InstanceTypes"):
        with at(place):
            described = InstanceType.described(item)
        files.types[described.name] = described
    if not files.types:
        raise InputError(f"{document.path}: InstanceTypes is empty", hint="ask without filters")
    files.found(TYPES, document, _cut(content))


def _offerings_answer(document: Document, content: Item, files: CatalogueFiles) -> None:
    prefix = catalogue.az_prefix(files.region)
    offered: dict[str, set[str]] = {name: set(az_ids) for name, az_ids in files.offerings.items()}
    for place, item in objects(document, content, "InstanceTypeOfferings"):
        with at(place):
            _by_az_id(document, item)
            offered.setdefault(_type_name(item, "InstanceType"), set()).add(az_id(item, "Location", prefix))
    if not offered:
        raise InputError(f"{document.path}: InstanceTypeOfferings is empty", hint=f"ask with --region {files.region}")
    files.offerings = {name: tuple(sorted(az_ids)) for name, az_ids in offered.items()}
    files.found(OFFERINGS, document, _cut(content))


def _by_az_id(document: Document, item: Item) -> None:
    kind = item.get("LocationType", "availability-zone-id")
    if kind != "availability-zone-id":
        raise InputError(
            f"{document.path} lists offerings by {printable(str(kind)[:30])}, not by AZ id",
            hint="ask with --location-type availability-zone-id",
        )


def _zones_answer(document: Document, content: Item, files: CatalogueFiles) -> None:
    regions: set[str] = set()
    for place, item in objects(document, content, "AvailabilityZones"):
        with at(place):
            zone, name = word(item, "ZoneId"), word(item, "ZoneName")
            regions.add(region := word(item, "RegionName"))
        if region == files.region:
            files.az_names[zone] = name
    if not files.az_names:
        raise no_region(document, files.region, regions)
    files.found(AZ_NAMES, document)


def _types_table(document: Document, files: CatalogueFiles) -> None:
    for place, row in rows(document, ("type", "vcpu")):
        with at(place):
            described = _described(row)
        if described.name in files.types:
            raise InputError(f"{place}: {described.name} is listed twice", hint="leave one of the rows out")
        files.types[described.name] = described
    if not files.types:
        raise InputError(f"{document.path} has no rows", hint="see whether the file is complete")
    files.found(TYPES, document)


def _described(row: Item) -> InstanceType:
    hypervisor = str(row.get("hypervisor", ""))
    return InstanceType(
        name=word(row, "type"),
        vcpus=count(row, "vcpu", least=1),
        threads_per_core=count(row, "threads_per_core", least=1),
        memory_mib=count(row, "mem_mib", least=1),
        architectures=tuple(word(row, "arch").split("|")),
        hypervisor="" if hypervisor == "metal" else hypervisor,
        bare_metal=_flag(row, "bare_metal"),
        burstable=_flag(row, "burstable"),
        local_disk=_flag(row, "instance_store"),
        accelerators=_flag(row, "accelerator"),
        spot="spot" in word(row, "usage").split("|"),
        enis=count(row, "eni_max", least=1),
        ipv4_per_eni=count(row, "ipv4_per_eni", least=1),
    )


def _flag(row: Item, key: str) -> bool:
    value = word(row, key)
    if value not in ("0", "1"):
        raise ValueError(f'{key} is "{value}", neither 0 nor 1')
    return value == "1"


def _offerings_table(document: Document, files: CatalogueFiles) -> None:
    az_ids = functools.cache(functools.partial(_az_ids, catalogue.az_prefix(files.region)))  # few are different
    for place, row in rows(document, ("region", "type", "az_ids"), region=files.region):
        with at(place):
            files.offerings[_type_name(row, "type")] = az_ids(word(row, "az_ids"))
    files.found(OFFERINGS, document)


def _az_ids(prefix: str, text: str) -> tuple[str, ...]:
    return tuple(sorted({az_id({"az_ids": each}, "az_ids", prefix) for each in text.split("|")}))


def _type_name(item: Item, key: str) -> str:
    name = word(item, key)
    TypeName.parse(name)
    return name


def _on_demand_table(document: Document, files: CatalogueFiles) -> None:
    """Prices are a help, so that a file without any of the region is no mistake: they are said to be missing."""
    columns = ("region", "type", "usd_per_hour")
    for place, row in rows(document, columns, region=files.region, none_of_region=True):
        with at(place):
            name = _type_name(row, "type")
            files.on_demand_prices[name] = amount(row, "usd_per_hour")
        if str(row.get("source", "")) not in OBSERVED:
            files.estimated_on_demand_prices.add(name)
    if files.on_demand_prices:
        files.found(ON_DEMAND, document, _estimates(files))


def _estimates(files: CatalogueFiles) -> str:
    estimates, prices = len(files.estimated_on_demand_prices), len(files.on_demand_prices)
    return f"{estimates} of {prices} are ESTIMATES, from ratios between regions or types" if estimates else ""


_TABLES: Final[Mapping[str, tuple[frozenset[str], Callable[[Document, CatalogueFiles], None]]]] = MappingProxyType(
    {
        "instance_types.csv": (frozenset({"type", "vcpu"}), _types_table),
        "offerings.csv": (frozenset({"region", "type", "az_ids"}), _offerings_table),
        "ondemand_prices.csv": (frozenset({"region", "type", "usd_per_hour"}), _on_demand_table),
    }
)
"""The tables that a folder may hold, the columns by which such a file is known under another name, and who reads it."""

_ANSWERS: Final[Mapping[str, Callable[[Document, Item, CatalogueFiles], None]]] = MappingProxyType(
    {
        "InstanceTypes": _types_answer,
        "InstanceTypeOfferings": _offerings_answer,
        "AvailabilityZones": _zones_answer,
    }
)
"""The answers of AWS that a file may hold, by their first key, and who reads each."""
