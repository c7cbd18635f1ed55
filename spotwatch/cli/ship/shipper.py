"""The process that waits for the one that reads a volume; implements `spotwatch.ship.job.Shipper`."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Final

from spotwatch.cli.destinations import destination
from spotwatch.cli.ship.draft import ProgressFile, manifest_in
from spotwatch.cli.ship.order import Order
from spotwatch.cli.ship.relay import relayed
from spotwatch.cli.ship.view import View
from spotwatch.core.errors import WorkerFailed
from spotwatch.core.volume import Volume, VolumeLabel
from spotwatch.host.worker import run_worker
from spotwatch.ship import shipper
from spotwatch.ship.destination import Destination
from spotwatch.ship.manifest import Manifest

SPOTWATCH: Final = (sys.executable, "-P", "-m", "spotwatch")
"""How we are started once more. Without -P a module in the working directory could take the place of one of ours."""


class WorkerShipper:
    """Has volumes read by processes with a time limit, and publishes what they draft.

    Args:
        order: for all volumes; each has its own device, names and label.
        view: is told how far each volume has come.
        program: how the process that reads is started; the words of the order follow.

    Attributes:
        interrupted: set to end every reading that goes on.
    """

    def __init__(self, order: Order, view: View, program: Sequence[str] = SPOTWATCH) -> None:
        self._order = order
        self._view = view
        self._program = program
        self.interrupted = False

    @cached_property
    def destination(self) -> Destination:
        """The one of the order.

        Raises:
            UsageError, AwsError: it cannot be made.
        """
        return destination(self._order.to, self._order.kept)

    def ship(self, device: str, volume: Volume, label: VolumeLabel, *, renew: Callable[[], None]) -> Manifest:
        """See `Shipper.ship`."""
        order = replace(
            self._order,
            device=device,
            volume_id=volume.id,
            instance_id=label.instance_id,
            mount_point=label.mount_point,
            log_paths=label.log_paths or None,
            agents=label.agents or None,
        )
        return self.read(order, renew=renew)

    def read(self, order: Order, *, renew: Callable[[], None] = lambda: None) -> Manifest:
        """Have a volume read as ordered; what was not ordered is looked for on the volume.

        Raises:
            WorkerFailed: the process that reads it was stopped or killed.
            SpotwatchError: whatever that process ended with.
        """
        name = order.volume_id or order.device or order.directory
        with (
            self._view.volume(name) as told,
            _nameless("draft") as draft,
            _nameless("progress") as progress,
            relayed(lambda: self.destination) as relay,
        ):
            progress_file = ProgressFile(progress)

            def watch() -> None:
                if self.interrupted:
                    raise WorkerFailed("it was interrupted", hint="the next run goes on with it")
                told(progress_file.read())
                renew()

            files = [f"--draft={_path(draft)}", f"--progress={_path(progress)}", f"--relay={relay.fileno()}"]
            argv = [*self._program, *order.words(), *files]
            code = run_worker(
                argv,
                limit=order.time_limit,
                watch=watch,
                pass_fds=(draft, progress, relay.fileno()),
                environment=_without_aws(os.environ),
            )
            told(progress_file.read())
            with open(_path(draft), "rb") as file:
                return manifest_in(file.read(), code)

    def publish(self, manifest: Manifest) -> str:
        """See `Shipper.publish`."""
        return shipper.publish(manifest, self.destination)

    def published(self, key: str) -> Manifest:
        """See `Shipper.published`."""
        manifest = shipper.read_manifest(self.destination, key)
        shipper.look_for_all(manifest, self.destination)
        return manifest

    def verify(self, manifest: Manifest, *, renew: Callable[[], None] = lambda: None) -> None:
        """See `Shipper.verify`."""
        shipper.verify(manifest, self.destination, renew=renew)


@contextmanager
def _nameless(name: str) -> Iterator[int]:
    """A descriptor of a file in memory, which is gone with its last user."""
    descriptor = os.memfd_create(name)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    """It for a process that asks AWS nothing: without keys, tokens and where they are."""
    return {name: value for name, value in environment.items() if not name.startswith("AWS_")}


def _path(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"
