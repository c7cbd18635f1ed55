"""From the daemon's exec to READY=1 on systemd's socket.

python -m tests.bench.start [--runs 20]
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.service import served


def start_to_ready(url: str, directory: str) -> float:
    """Seconds from exec to READY=1."""
    path = f"{directory}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        settings = {"metadata.endpoint": url, "state.directory": directory, "state.runtime_directory": directory}
        empty = Path(directory, "spotwatch.toml")
        empty.touch()
        words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "spotwatch", "run", "--config", str(empty), "--set", "log.level=error", *words],
            env={**os.environ, "NOTIFY_SOCKET": path},
        )
        try:
            while b"READY=1" not in notify.recv(4096):
                pass
            return time.monotonic() - began
        finally:
            process.terminate()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20)
    words = parser.parse_args()
    with served() as url:
        taken = []
        for _ in range(words.runs):
            with tempfile.TemporaryDirectory() as directory:
                taken.append(start_to_ready(url, directory))
    print(
        f"start to READY over {words.runs} runs, s: median {statistics.median(taken):.3f}, max {max(taken):.3f}"
        " (wanted: under 0.5)"
    )


if __name__ == "__main__":
    main()
