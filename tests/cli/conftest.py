"""Commands as a person runs them: in a process of their own, or by their words in ours."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spotwatch import cli

PATIENCE = 30.0

Spotwatch = Callable[..., subprocess.CompletedProcess[str]]


def command_line(*words: str) -> list[str]:
    return [sys.executable, "-m", "spotwatch", *words]


def environment(directory: Path, **variables: str) -> dict[str, str]:
    """A terminal of 80 columns that knows no colors; temporary files go to the directory."""
    foreign = ("SPOTWATCH_", "PYTHONUNBUFFERED")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**inherited, "TMPDIR": str(directory), "COLUMNS": "80", "NO_COLOR": "1", **variables}


@pytest.fixture
def spotwatch(tmp_path: Path) -> Spotwatch:
    """Run a command in a process of its own to its end."""

    def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command_line(*words),
            env=environment(tmp_path, **variables),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return run


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process; its exit code, its output and what it says on standard error."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: str) -> tuple[int, str, str]:
        try:
            code = cli.main(words)
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command and leave it running; it is killed after the test if it still does."""
    processes: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command_line(*words),
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()
