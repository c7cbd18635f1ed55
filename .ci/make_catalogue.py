#!/usr/bin/env python
"""Make `spotwatch/pools/catalogue.json` from what the PyPI package moto bundles of AWS's answers.

moto (Apache-2.0) carries the answers of DescribeInstanceTypes, and of DescribeInstanceTypeOfferings by AZ id for thirty
regions, which its maintainers fetch before a release. They say no date themselves, so it is given here: the day on
which the release's wheel was built (`unzip -l` of the wheel shows it).

    .venv/bin/python .ci/make_catalogue.py --date 2026-10-27

The same moto and the same date give the same bytes. `spotwatch/pools/catalogue.py` says how the file is laid out.
"""

import argparse
import datetime
import gzip
import json
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from spotwatch.core.capacity import InstanceType
from spotwatch.pools.catalogue import FLAGS, FORMAT, MASKS

PACKAGED = Path(__file__).resolve().parent.parent / "spotwatch" / "pools" / "catalogue.json"


def catalogue(date: datetime.date) -> str:
    """The text of the packaged file, from the moto that is installed.

    Args:
        date: when its release was made.
    """
    resources = files("moto") / "ec2" / "resources"
    described: Mapping[str, Mapping[str, Any]] = _read(resources / "instance_types.json.gz")
    types = [InstanceType.described(described[name]) for name in sorted(described)]
    folder = resources / "instance_type_offerings" / "availability-zone-id"
    regions = {
        file.name.removesuffix(".json.gz"): _region([kind.name for kind in types], _read(file))
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
    }
    return _written(f"moto {version('moto')}", date, [_row(kind) for kind in types], regions)


def _read(file: Traversable) -> Any:
    return json.loads(gzip.decompress(file.read_bytes()))


def _row(kind: InstanceType) -> list[object]:
    flags = "".join(letter for letter, attribute in FLAGS.items() if getattr(kind, attribute))
    words = "|".join(kind.architectures)
    numbers = (kind.vcpus, kind.threads_per_core, kind.memory_mib, kind.enis, kind.ipv4_per_eni)
    return [kind.name, words, kind.hypervisor, flags, *numbers]


def _region(names: list[str], offerings: list[Mapping[str, str]]) -> dict[str, object]:
    az_ids = sorted({offering["Location"] for offering in offerings})
    masks = dict.fromkeys(names, 0)
    for offering in offerings:
        masks[offering["InstanceType"]] |= 1 << az_ids.index(offering["Location"])
    return {"az_ids": az_ids, "offered": "".join(MASKS[mask] for mask in masks.values())}


def _written(origin: str, date: datetime.date, rows: list[list[object]], regions: Mapping[str, object]) -> str:
    """One line for each type and for each region, so that a new release shows as a readable difference."""
    types = ",\n".join(_compact(row) for row in rows)
    places = ",\n".join(f"{_compact(name)}:{_compact(region)}" for name, region in regions.items())
    head = f'"format":{FORMAT},"origin":{_compact(origin)},"date":"{date}"'
    return f'{{{head},\n"types":[\n{types}\n],\n"regions":{{\n{places}\n}}}}\n'


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--date", type=datetime.date.fromisoformat, required=True, help="when moto's release was made")
    PACKAGED.write_text(catalogue(parser.parse_args().date), encoding="ascii")


if __name__ == "__main__":
    main()
