"""What `spotwatch pools` costs from exec to exit, in CPU seconds: `python -m tests.bench.pools_command [--runs 5]`.

The prices are those of the shared data. `pass` is what the interpreter alone takes, `--version` our command line.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.pools.data import DATA

PLAN = ("pools", "--region", "us-east-1", "--class", "c", "--vcpus", "1000")
PRICES = ("--prices", str(DATA / "pool_prices_dev.csv"))


def cpu_seconds(words: list[str]) -> float:
    """User and system time of a command that succeeds."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(words)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs: int = parser.parse_args().runs
    spotwatch = [sys.executable, "-m", "spotwatch"]
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "pass": [sys.executable, "-c", "pass"],
            "--version": [*spotwatch, "--version"],
            "pools, no prices, --json": [*spotwatch, *PLAN, "--json"],
            "pools --prices --json": [*spotwatch, *PLAN, *PRICES, "--json"],
            "pools --prices, the table": [*spotwatch, *PLAN, *PRICES],
            "pools --prices --html": [*spotwatch, *PLAN, *PRICES, "--html", str(Path(folder) / "report.html")],
            "pools --prices --format ec2-fleet": [*spotwatch, *PLAN, *PRICES, "--format", "ec2-fleet"],
            "pools --prices --compare": [*spotwatch, *PLAN, *PRICES, "--compare"],
        }
        for name, words in commands.items():
            taken = [cpu_seconds(words) for _ in range(runs)]
            print(f"{name:36} median {statistics.median(taken):.3f} s, least {min(taken):.3f} s")


if __name__ == "__main__":
    main()
