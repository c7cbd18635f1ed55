"""The built-in hooks, one file each. Every one is also a command that a person can run: ``spotwatch hook NAME``.

Settings name one with ``use = "NAME"`` and pass the words of its command line in ``args``. It runs as a child process
like any other hook, with the same environment, limits and output file.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from importlib import import_module
from typing import Final, Protocol, cast


class Programs(Protocol):
    """Somebody who can run a program in the foreground."""

    def run(self, argv: tuple[str, ...]) -> int:
        """Run it to its end in our own process group and environment; its exit code, 128 + N for signal N.

        Raises:
            CommandNotStarted: it could not be executed.
        """
        ...


class BuiltIn(Protocol):
    """A built-in hook, as its module offers it.

    Attributes:
        SUMMARY: one line for the list of hooks.
        IAM_ACTIONS: the AWS actions that it calls, as an IAM policy names them. One with any is only shown as what it
            would do while a rehearsal is on (``SPOTWATCH_REHEARSAL``).
    """

    SUMMARY: str
    IAM_ACTIONS: tuple[str, ...]

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the words of its command line, and describe the hook."""
        ...

    def run(self, arguments: Namespace, programs: Programs, *, dry_run: bool) -> int:
        """Do it, or say what would be done; the exit code."""
        ...


_MODULES: Final[Mapping[str, str]] = {
    "run-parts": "spotwatch.hooks.run_parts",
}

NAMES: Final[tuple[str, ...]] = tuple(_MODULES)
"""What ``use`` may say."""


def built_in(name: str) -> BuiltIn:
    """The built-in of this name, imported only now: the daemon knows names, not modules.

    Raises:
        KeyError: there is none of this name; see `NAMES`.
    """
    return cast("BuiltIn", import_module(_MODULES[name]))
