"""What the journal adds between a notice and the first hook, and a drain of 200 hooks in 20 stages.

    python -m tests.bench.journal [--runs 200] [--directory DIR]

Before the first hook is executed the journal commits twice: the opening of the drain and its first step. Both are
measured as the daemon does them, on the disk of DIR (default: the working directory's). The drain is the real daemon's,
every hook is ``/bin/true``.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spotwatch.core.event import Event, EventKind
from spotwatch.core.hook import Hook
from spotwatch.core.instant import Instant
from spotwatch.core.report import InstanceFacts
from spotwatch.core.settings import DrainSettings
from spotwatch.drain.journal import Opening, encode_happening, encode_opening, encode_orders
from spotwatch.drain.machine import Drain
from spotwatch.drain.orders import TimePassed
from spotwatch.host.journal import Journal
from spotwatch.simulate.service import MetadataService

HOOKS, STAGES = 200, 20


def first_commits(directory: str, runs: int) -> list[float]:
    """Seconds that the journal takes before the first hook, for each of many drains."""
    journal = Journal(directory)
    taken = []
    for run in range(runs):
        event = Event(EventKind.TERMINATE, "terminate", None, 0.0, 120.0)
        hooks = tuple(Hook(f"hook-{n}", frozenset({EventKind.TERMINATE}), ("/bin/true",)) for n in range(5))
        opening = Opening(
            f"{run:08}", "boot", Instant(0.0, datetime.now(UTC)), InstanceFacts(), event, hooks, DrainSettings()
        )
        orders = Drain(event, hooks, DrainSettings()).step(TimePassed(), 0.0)
        began = time.perf_counter()
        journal.open_drain(opening.drain, opening.boot, encode_opening(opening))
        journal.add_step(opening.drain, 0.0, encode_happening(TimePassed()), encode_orders(orders))
        taken.append(time.perf_counter() - began)
    journal.close()
    return sorted(taken)


def settings_text() -> str:
    hooks = [
        f'[[hook]]\nname = "hook-{number}"\nstage = {number * STAGES // HOOKS}\ncommand = ["/bin/true"]\n'
        for number in range(HOOKS)
    ]
    return "\n".join(hooks)


def large_drain(directory: str) -> dict[str, object]:
    """The report of a drain of many hooks."""
    config = Path(directory, "spotwatch.toml")
    config.write_text(settings_text(), encoding="utf-8")
    with MetadataService() as service:
        settings = {
            "metadata.endpoint": service.url,
            "metadata.poll_interval": "100ms",
            "state.directory": f"{directory}/state",
            "state.runtime_directory": f"{directory}/run",
            "log.level": "error",
        }
        words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        process = subprocess.Popen([sys.executable, "-m", "spotwatch", "run", "--config", str(config), *words])
        try:
            time.sleep(1.0)
            service.interrupt("terminate", datetime.now(UTC) + timedelta(seconds=120))
            while not (reports := list(Path(directory, "state", "reports").glob("*.json"))):
                time.sleep(0.05)
        finally:
            process.terminate()
            process.wait()
    report: dict[str, object] = json.loads(reports[0].read_text(encoding="utf-8"))
    return report


def seconds_of(report: dict[str, object]) -> float:
    began, ended = (datetime.fromisoformat(str(report[key])) for key in ("began_at", "ended_at"))
    return (ended - began).total_seconds()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--directory", default=".")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=words.directory) as directory:
        taken = first_commits(directory, words.runs)
    p50, p99 = statistics.median(taken), taken[round(0.99 * len(taken)) - 1]
    print(f"journal before the first hook over {words.runs} drains, ms: p50 {p50 * 1000:.1f}, p99 {p99 * 1000:.1f}")
    print("  (wanted: p50 at most 10)")
    with tempfile.TemporaryDirectory(dir=words.directory) as directory:
        report = large_drain(directory)
    print(f"{HOOKS} hooks in {STAGES} stages: {report['verdict']} in {seconds_of(report):.2f} s")


if __name__ == "__main__":
    main()
