"""How long it takes to know a region's market: `python -m tests.bench.facts`.

The best of several runs in one process, after the modules are loaded. The files are those of the shared data.
"""

import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spotwatch.pools import catalogue
from spotwatch.pools.candidates import candidates
from spotwatch.pools.demand import Selection
from spotwatch.pools.files import market
from tests.pools.data import DATA

RUNS = 7
REGION = "us-east-1"
CHANGES = 200_000
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def measured(label: str, work: Callable[[], object], runs: int = RUNS) -> None:
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    print(f"{label:60} {min(times) * 1000:8.1f} ms")


def packaged(region: str) -> None:
    """From nothing: the caches are those of a process that has just begun."""
    for cached in (catalogue._document, catalogue._region, catalogue._type):
        cached.cache_clear()
    catalogue.market(region)


def every_region() -> None:
    for region in catalogue.regions():
        market(region, catalog=DATA, advisor=DATA / "spot-advisor-data.json")


def a_history(path: Path) -> Path:
    """As `aws ec2 describe-spot-price-history` prints ninety days of a large region."""
    offerings = catalogue.market(REGION).offerings
    pools = [(az_id, name) for name, az_ids in offerings.items() for az_id in az_ids]
    changes = [
        {
            "AvailabilityZone": "us-east-1a",
            "AvailabilityZoneId": pools[number % len(pools)][0],
            "InstanceType": pools[number % len(pools)][1],
            "ProductDescription": "Linux/UNIX",
            "SpotPrice": f"{0.01 + number % 97 / 1000:.6f}",
            "Timestamp": (NOW - timedelta(seconds=37 * number)).isoformat(),
        }
        for number in range(CHANGES)
    ]
    path.write_text(json.dumps({"SpotPriceHistory": changes}, indent=4))
    return path


def main() -> None:
    prices, advisor = DATA / "pool_prices_dev.csv", DATA / "spot-advisor-data.json"
    measured(f"the packaged catalogue of {REGION}, from nothing", lambda: packaged(REGION))
    found = market(REGION, prices=prices)
    measured("candidates of class c", lambda: candidates(found, Selection(classes=("c",))))
    measured("--prices", lambda: market(REGION, prices=prices))
    measured("--prices --advisor", lambda: market(REGION, prices=prices, advisor=advisor))
    measured("--catalog FOLDER", lambda: market(REGION, catalog=DATA))
    measured("all three", lambda: market(REGION, catalog=DATA, prices=prices, advisor=advisor))
    measured("--catalog FOLDER --advisor, all 30 regions one by one", every_region, 2)
    with tempfile.TemporaryDirectory() as folder:
        history = a_history(Path(folder) / "history.json")
        size = history.stat().st_size / 1e6
        measured(f"--prices, a history of {CHANGES} changes ({size:.0f} MB)", lambda: market(REGION, prices=history), 2)


if __name__ == "__main__":
    main()
