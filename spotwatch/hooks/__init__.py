"""The built-in hooks, one file each. Every one is also a command that a person can run: ``spotwatch hook NAME``.

Settings name one with ``use = "NAME"`` and pass the words of its command line in ``args``. It runs as a child process
like any other hook, with the same environment, limits and output file.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:
    from spotwatch.hooks.services import Services  # the daemon, which knows only the names of hooks, does not load it


class BuiltIn(Protocol):
    """A built-in hook, as its module offers it.

    Attributes:
        SUMMARY: one line for the list of hooks.
        IAM_ACTIONS: the AWS actions that it calls, as an IAM policy names them. One with any is only shown as what it
            would do while a rehearsal is on (``SPOTWATCH_REHEARSAL``); one with none sees to it itself that it does
            nothing then that a developer's machine should be spared.
        SPARES_REHEARSAL: of those few of the latter that only say what they would do.
        FOLLOWS_DRAIN: of those few that do their work beside all stages, and so belong into the background.
    """

    SUMMARY: str
    IAM_ACTIONS: tuple[str, ...]

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the words of its command line, and describe the hook."""
        ...

    def run(self, arguments: Namespace, services: "Services", *, dry_run: bool) -> int:
        """Do it, or say what would be done; the exit code.

        Raises:
            SpotwatchError: what was asked for cannot be done at all.
        """
        ...


_MODULES: Final[Mapping[str, str]] = {
    "drain-ecs": "spotwatch.hooks.drain_ecs",
    "flush-logs": "spotwatch.hooks.flush_logs",
    "join-dns": "spotwatch.hooks.join_dns",
    "leave-auto-scaling": "spotwatch.hooks.leave_auto_scaling",
    "leave-dns": "spotwatch.hooks.leave_dns",
    "leave-target-groups": "spotwatch.hooks.leave_target_groups",
    "notify": "spotwatch.hooks.notify",
    "preserve-volume": "spotwatch.hooks.preserve_volume",
    "run-parts": "spotwatch.hooks.run_parts",
    "stop-units": "spotwatch.hooks.stop_units",
}

NAMES: Final[tuple[str, ...]] = tuple(_MODULES)
"""What ``use`` may say."""


def built_in(name: str) -> BuiltIn:
    """The built-in of this name, imported only now: the daemon knows names, not modules.

    Raises:
        KeyError: there is none of this name; see `NAMES`.
    """
    return cast("BuiltIn", import_module(_MODULES[name]))


def only_says_in_rehearsal(name: str) -> bool:
    """Whether the built-in of this name does nothing in a rehearsal but say what it would do."""
    hook = built_in(name)
    return bool(hook.IAM_ACTIONS) or bool(getattr(hook, "SPARES_REHEARSAL", False))


def follows_drain(name: str) -> bool:
    """Whether the built-in of this name does its work beside all stages."""
    return bool(getattr(built_in(name), "FOLLOWS_DRAIN", False))
