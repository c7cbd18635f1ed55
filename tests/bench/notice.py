"""From the notice being readable to the first hook's exec, over N notices at random moments of the poll interval.

    python -m tests.bench.notice [--runs 200] [--interval 0.2]

The hook is ``date +%s%N`` itself, so its output is the moment right after its exec. Between two runs the notice is
withdrawn, and the daemon arms again.
"""

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spotwatch.simulate.service import MetadataService

SETTINGS = """
[[hook]]
name = "now"
command = ["/bin/date", "+%s%N"]
"""


def await_output(outputs: Path, known: set[Path]) -> tuple[Path, float]:
    """The output that is new, and the moment in it."""
    while True:
        for path in set(outputs.glob("*/now.log")) - known:
            text = path.read_text(encoding="utf-8")
            if text.endswith("\n"):
                return path, int(text) / 1e9
        time.sleep(0.002)


def measure(service: MetadataService, outputs: Path, runs: int, interval: float) -> list[float]:
    """Seconds beyond each notice."""
    known: set[Path] = set()
    delays = []
    for _ in range(runs):
        time.sleep(random.uniform(0, interval))
        noticed = time.time()
        service.interrupt("terminate", datetime.now(UTC) + timedelta(seconds=120))
        path, executed = await_output(outputs, known)
        known.add(path)
        delays.append(executed - noticed)
        service.withdraw("spot/instance-action")
        time.sleep(5 * interval)
    return delays


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--interval", type=float, default=0.2)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, MetadataService() as service:
        config = Path(directory, "spotwatch.toml")
        config.write_text(SETTINGS, encoding="utf-8")
        settings = {
            "metadata.endpoint": service.url,
            "metadata.poll_interval": f"{words.interval * 1000:.0f}ms",
            "state.directory": f"{directory}/state",
            "state.runtime_directory": f"{directory}/run",
            "state.keep_drains": words.runs + 1,
            "log.level": "error",
        }
        overrides = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        process = subprocess.Popen([sys.executable, "-m", "spotwatch", "run", "--config", str(config), *overrides])
        try:
            time.sleep(2.0)
            delays = sorted(measure(service, Path(directory, "state", "output"), words.runs, words.interval))
        finally:
            process.terminate()
            process.wait()
    p99 = delays[min(len(delays) - 1, round(0.99 * len(delays)) - 1)]
    print(f"notice to exec over {len(delays)} runs, ms, poll interval {words.interval * 1000:.0f}:")
    print(f"  p50 {statistics.median(delays) * 1000:.1f}, p99 {p99 * 1000:.1f}, max {delays[-1] * 1000:.1f}")
    print(f"  p99 beyond the interval: {(p99 - words.interval) * 1000:+.1f} (wanted: at most +20)")


if __name__ == "__main__":
    main()
