"""Spot prices for the tests of `spotwatch pools`: of every pool of the packaged catalogue, by a rule of ours."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from spotwatch.pools import catalogue

REGION = "us-east-1"
Main = Callable[..., tuple[int, str, str]]


def price(az_id: str, name: str, vcpus: int) -> float:
    """About 0.015 USD for each vCPU, a little more or less for each pool."""
    (chance,) = blake2b(f"{az_id} {name}".encode(), digest_size=1).digest()
    return round(vcpus * (0.012 + chance / 40_000), 6)


def pools_of(region: str, classes: str = "cmrt") -> list[tuple[str, str, float]]:
    market = catalogue.market(region)
    return [
        (az_id, name, price(az_id, name, market.types[name].vcpus))
        for name, az_ids in sorted(market.offerings.items())
        if market.types[name].parts.instance_class in classes
        for az_id in az_ids
    ]


def price_table(path: Path, *regions: str, classes: str = "cmrt") -> Path:
    """A file for `--prices`; half of the types are in the lowest band of interruptions, half in the next."""
    lines = ["region,az_id,type,usd_per_hour,interruption_band"]
    for region in regions or (REGION,):
        for az_id, name, usd in pools_of(region, classes):
            lines.append(f"{region},{az_id},{name},{usd},{sum(name.encode()) % 2}")
    path.write_text("\n".join(lines) + "\n")
    return path


def price_history(path: Path, *, product: str = "Linux/UNIX", now: datetime | None = None) -> Path:
    """A file as `aws ec2 describe-spot-price-history` prints it."""
    time = (now or datetime.now(UTC)).isoformat()
    changes = [
        {
            "AvailabilityZoneId": az_id,
            "InstanceType": name,
            "ProductDescription": product,
            "SpotPrice": str(usd),
            "Timestamp": time,
        }
        for az_id, name, usd in pools_of(REGION, "c")
    ]
    path.write_text(json.dumps({"SpotPriceHistory": changes}))
    return path


def planned(main: Main, *words: object) -> dict[str, Any]:
    """The plan as JSON; the command must succeed and say nothing on standard error."""
    code, out, err = main("pools", *map(str, words), "--json")
    assert (code, err) == (0, ""), err
    document: dict[str, Any] = json.loads(out)
    return document
