"""The fake metadata service in a process of its own, so that its CPU is not the client's."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def served(*words: str) -> Iterator[str]:
    """The address of a service that ends with the context."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "spotwatch", "simulate", "--serve", *words], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        yield next(word.rstrip(",") for word in first.split() if word.startswith("http"))
    finally:
        process.terminate()
        process.communicate()
