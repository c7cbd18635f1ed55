"""What GitLab Runner's documentation says of its signals, of the shell executor: ``gitlab_runner DIRECTORY``.

A file in DIRECTORY/queue is a job that takes as many seconds as it says. SIGQUIT: take no more, end when none is left.
SIGTERM: abort those that there are, as a failure of the runner's system. What becomes of a job goes to DIRECTORY/log.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

DIRECTORY = Path(sys.argv[1])
asked: set[int] = set()


def note(what: str) -> None:
    with (DIRECTORY / "log").open("a") as log:
        log.write(f"{what}\n")


def take(jobs: dict[str, subprocess.Popen[bytes]]) -> None:
    for file in sorted((DIRECTORY / "queue").iterdir()):
        note(f"{file.name} taken")
        jobs[file.name] = subprocess.Popen(["sleep", file.read_text()])
        file.unlink()


def look(jobs: dict[str, subprocess.Popen[bytes]]) -> None:
    for name, process in list(jobs.items()):
        if process.poll() is not None:
            note(f"{name} {'success' if process.returncode == 0 else 'script_failure'}")
            del jobs[name]


def on_signal(number: int, _: FrameType | None) -> None:
    asked.add(number)


def main() -> None:
    for number in (signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, on_signal)
    jobs: dict[str, subprocess.Popen[bytes]] = {}
    while not asked or (jobs and signal.SIGTERM not in asked):
        look(jobs)
        if not asked:
            take(jobs)
        time.sleep(0.05)
    for name, process in jobs.items():
        process.kill()
        note(f"{name} runner_system_failure")


if __name__ == "__main__":
    main()
