"""The machines of the story, as a program: ``python -m spotwatch.cli.story_host VOLUME_ID DIRECTORY COMMAND …``.

It runs the real ``spotwatch hook`` or ``spotwatch ship``, on a machine that sees a directory where a real one sees the
EBS volume: mounting needs root, and the story does not. Everything else is what it is: AWS is asked where the
environment says that it is, and there the story puts its double. So hooks that call AWS do it, although a rehearsal is
on.
"""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from spotwatch import hooks
from spotwatch.cli import hook, ship
from spotwatch.cli.hook_services import Services
from spotwatch.cli.options import load_settings
from spotwatch.cli.ship.batch import run_batch
from spotwatch.cli.ship.host import ThisHost
from spotwatch.cli.ship.order import Order, order_of
from spotwatch.cli.ship.shipper import WorkerShipper
from spotwatch.core.volume import Volume
from spotwatch.host.log_volume import LogVolume
from spotwatch.ship.manifest import Manifest


class StoryServices(Services):
    """What a hook works with where a directory stands for the log volume."""

    def __init__(self, volume_id: str, directory: str) -> None:
        super().__init__(os.environ)
        self._volume = LogVolume(
            volume_ids=(volume_id,),
            attached_as=(),
            device=directory,
            mount_point=directory,
            filesystem_uuid="",
            layers=(),
            is_root=False,
        )

    def log_volume_of(self, what: str) -> LogVolume:  # noqa: ARG002 (whatever it is called, there is only one)
        """The only one."""
        return self._volume


def main(volume_id: str, directory: str, command: str, *words: str) -> int:
    """Run the command; its exit code."""
    if command == "hook":
        return _hook(StoryServices(volume_id, directory), words)
    return _ship(directory, words)


def _hook(services: StoryServices, words: Sequence[str]) -> int:
    parser = ArgumentParser(prog="spotwatch hook")
    hook.add_arguments(parser)
    arguments = parser.parse_args(words)
    return hooks.built_in(arguments.name).run(arguments, services, dry_run=False)


class StoryHost(ThisHost):
    """The machine that ships: a directory appears on it where a device should."""

    def __init__(self, directory: str, instance_id: str, claims: str) -> None:
        super().__init__(instance_id, claims)
        self._directory = directory

    def device(self, volume: Volume) -> str:  # noqa: ARG002 (there is only one)
        """The directory."""
        return self._directory


class StoryShipper(WorkerShipper):
    """Has a directory read, where its device would be."""

    def read(self, order: Order, *, renew: Callable[[], None] = lambda: None) -> Manifest:
        """See `WorkerShipper.read`."""
        return super().read(replace(order, device="", directory=order.device), renew=renew)


def _ship(directory: str, words: Sequence[str]) -> int:
    parser = ArgumentParser(prog="spotwatch ship")
    ship.add_arguments(parser)
    arguments = parser.parse_args(words)
    settings = load_settings(arguments)
    os.dup2(2, 1)  # whoever follows us reads one of them
    host = partial(StoryHost, directory)
    return run_batch(arguments, settings, order_of(arguments, settings.ship), host=host, shipper=StoryShipper)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
