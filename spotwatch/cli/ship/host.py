"""The machine that volumes are attached to; implements `spotwatch.ship.job.Host`."""

import os
import time
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Final

from spotwatch.core.errors import VolumeUnreadable
from spotwatch.core.volume import Volume
from spotwatch.host.block_devices import BlockDevices
from spotwatch.host.claims import Claims

DEVICE_SECONDS: Final = 60.0
"""From AWS's "attached" until the device has to be there; udev takes a second."""

LOOK_SECONDS: Final = 0.25
"""Between two looks for it."""


class ThisHost:
    """This machine, as one worker.

    Args:
        instance_id: its EC2 instance id.
        directory: for the claims.
        devices: where its block devices are seen.
    """

    def __init__(self, instance_id: str, directory: str, devices: BlockDevices | None = None) -> None:
        self._instance_id = instance_id
        self._claims = Claims(directory)
        self._devices = devices or BlockDevices()
        self._worker = f"{instance_id}/{_boot()}/{os.getpid()}"

    @property
    def instance_id(self) -> str:
        """See `Host.instance_id`."""
        return self._instance_id

    @property
    def worker(self) -> str:
        """See `Host.worker`: its instance, the boot and the process."""
        return self._worker

    def claim(self, volume_id: str) -> AbstractContextManager[bool]:
        """See `Host.claim`."""
        return self._claims.held(volume_id)

    def device(self, volume: Volume) -> str:
        """See `Host.device`."""
        give_up = self.elapsed() + DEVICE_SECONDS
        while (found := self._devices.of_volume(volume.id, volume.device)) is None:
            if self.elapsed() >= give_up:
                raise VolumeUnreadable(
                    f"{volume.id} is attached as {volume.device}, and no device of its serial has appeared",
                    hint="see lsblk -o NAME,SERIAL and the kernel log",
                )
            time.sleep(LOOK_SECONDS)
        return found

    def now(self) -> datetime:
        """See `Host.now`."""
        return datetime.now(UTC)

    def elapsed(self) -> float:
        """See `Host.elapsed`."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


def _boot() -> str:
    """The first part of what tells this boot from every other (random(4)); with the process it is enough."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().partition("-")[0]
