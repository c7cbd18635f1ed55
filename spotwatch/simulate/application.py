"""The application of the story, a program: ``python -m spotwatch.simulate.application DIRECTORY PROGRESS``.

It writes numbered lines into ``app.log``, each in two pieces with a pause between them, and renames the file when it
is full, as logrotate(8) does. It knows of no notice: it writes until it is killed. How far it has come is in the file
PROGRESS, which is not on the log volume: the count of what was written rests on nothing that can get lost with it.
"""

import os
import sys
import time
from collections.abc import Sequence
from io import FileIO
from itertools import count
from pathlib import Path
from typing import Final

from spotwatch.simulate.log_lines import log_line

LOG: Final = "app.log"

PAUSE_SECONDS: Final = 0.0025
"""After each half of a line: about 200 lines a second."""

LINES_IN_A_FILE: Final = 600
"""About three seconds: the story sees some rotations, also one after the agent has read for the last time."""

_PROGRESS_DIGITS: Final = 20


def main(directory: str, progress: str) -> None:
    """Write lines until the end."""
    Path(directory).mkdir(parents=True, exist_ok=True)
    descriptor = os.open(progress, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    for first in count(1, LINES_IN_A_FILE):
        with (Path(directory) / LOG).open("ab", buffering=0) as log:
            for number in range(first, first + LINES_IN_A_FILE):
                _write(log, log_line(number))
                os.pwrite(descriptor, f"{number:{_PROGRESS_DIGITS}d}\n".encode(), 0)
                time.sleep(PAUSE_SECONDS)
        rotate(Path(directory))


def _write(log: FileIO, line: bytes) -> None:
    """Half a line, and a pause later the rest of it."""
    half = len(line) // 2
    log.write(line[:half])
    time.sleep(PAUSE_SECONDS)
    log.write(line[half:])


def rotate(directory: Path) -> None:
    """Rename ``app.log`` to ``app.log.1``, that to ``app.log.2`` and so on; none is deleted."""
    for path in reversed(log_files(directory)):
        number = int(path.suffix[1:]) if path.suffix[1:].isdigit() else 0
        path.rename(directory / f"{LOG}.{number + 1}")


def log_files(directory: Path) -> Sequence[Path]:
    """The log and what became of it by rotation, the youngest first."""
    rotated = [path for path in directory.glob(f"{LOG}.*") if path.suffix[1:].isdigit()]
    current = [directory / LOG] if (directory / LOG).exists() else []
    return [*current, *sorted(rotated, key=lambda path: int(path.suffix[1:]))]


def lines_written(progress: Path) -> int:
    """The number of the last line that was written whole; 0 before the first."""
    try:
        return int(progress.read_bytes() or b"0")
    except FileNotFoundError:
        return 0


if __name__ == "__main__":
    main(*sys.argv[1:])
