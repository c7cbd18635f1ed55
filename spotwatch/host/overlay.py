"""A writable view of a read-only device: what is written goes to scratch space, and is forgotten in the end.

Two ways, one interface. Which one this machine has is found out by a probe.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

from spotwatch.core.errors import OverlayUnavailable

PLAIN: Final = "plain"
"""The way of a volume that was unmounted cleanly: its device is mounted itself, read-only, and needs no overlay."""


class Overlay(Protocol):
    """One such view, while it lasts."""

    @property
    def device(self) -> str:
        """The path of its block device."""
        ...

    def is_full(self) -> bool:
        """Whether a write found no more room in the scratch space; what is read afterwards may be wrong."""
        ...


class Way(Protocol):
    """A means to make overlays."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def obstacle(self) -> str:
        """Why it cannot be used on this machine; empty if it can."""
        ...

    def over(self, device: str, *, scratch: str, limit: int) -> AbstractContextManager[Overlay]:
        """An overlay over a device, which is only read. Gone afterwards, also when we are killed.

        Args:
            device: a block device.
            scratch: an existing directory, where what is written takes up room.
            limit: bytes that may be written; a little less is usable.

        Raises:
            OverlayUnavailable: it could not be made.
        """
        ...


def first_usable(ways: Sequence[Way]) -> Way:
    """The first way that has no obstacle.

    Raises:
        OverlayUnavailable: each has one.
    """
    obstacles = []
    for way in ways:
        obstacle = way.obstacle()
        if not obstacle:
            return way
        obstacles.append(f"{way.name}: {obstacle}")
    raise OverlayUnavailable(
        f"the journal cannot be replayed without writing to the volume ({'; '.join(obstacles)})",
        hint="install dmsetup and load the kernel module dm_snapshot, or install qemu-utils and qemu-storage-daemon",
    )
