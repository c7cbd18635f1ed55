"""What the listener of GitHub's runner does, as far as its end goes: ``Runner.Listener DIRECTORY``.

A file in DIRECTORY/queue is a job, with the label that it asks for and the seconds that it takes. GitHub gives it to
the runner if DIRECTORY/labels has the label; a worker of its own runs it, one job at a time. SIGINT: the job is
cancelled, and the listener ends. What becomes of a job goes to DIRECTORY/log.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

DIRECTORY = Path(sys.argv[1])
asked: list[int] = []


def note(what: str) -> None:
    with (DIRECTORY / "log").open("a") as log:
        log.write(f"{what}\n")


def assigned() -> tuple[str, str]:
    """The name of the next job that is for this runner, and its seconds; or none."""
    labels = json.loads((DIRECTORY / "labels").read_text())
    for file in sorted((DIRECTORY / "queue").iterdir()):
        label, seconds = file.read_text().split()
        if label in labels:
            file.unlink()
            return file.name, seconds
    return "", ""


def run(name: str, seconds: str) -> None:
    """Wait for the worker, or cancel the job."""
    note(f"{name} taken")
    worker = subprocess.Popen([Path(__file__).with_name("Runner.Worker"), seconds])
    while worker.poll() is None and not asked:
        time.sleep(0.05)
    if worker.poll() is None:
        worker.kill()
    note(f"{name} {'success' if worker.wait() == 0 else 'cancelled'}")


def on_signal(number: int, _: FrameType | None) -> None:
    asked.append(number)


def main() -> None:
    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    while not asked:
        name, seconds = assigned()
        if name:
            run(name, seconds)
        time.sleep(0.05)


if __name__ == "__main__":
    main()
