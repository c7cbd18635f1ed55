"""The device names that volumes are attached under. NVMe devices are found by their serial; EC2 wants a name anyhow."""

from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from string import ascii_lowercase
from threading import Lock
from typing import Final

from spotwatch.core.errors import AwsRefused

NAMES: Final = (
    *(f"/dev/sd{letter}" for letter in ascii_lowercase[5:16]),
    *(f"/dev/xvd{first}{second}" for first in "bc" for second in ascii_lowercase),
)
"""What AWS recommends for data volumes, and what else it accepts (EC2 user guide, "Device names for volumes")."""


class DeviceNames:
    """Hands out names that nobody uses. A name just freed comes last: it may stick in `attaching` for a while."""

    def __init__(self, used: Callable[[], Set[str]]) -> None:
        """Nothing is asked yet.

        Args:
            used: tells which names the instance uses now.
        """
        self._used = used
        self._order = list(NAMES)
        self._lock = Lock()
        self._given: set[str] = set()

    @contextmanager
    def one(self) -> Iterator[str]:
        """A name, held against other threads until the attachment has begun.

        Raises:
            AwsRefused: all are in use.
        """
        name = self._take()
        try:
            yield name
        finally:
            with self._lock:
                self._given.discard(name)

    def _take(self) -> str:
        used = self._used()
        with self._lock:
            free = (name for name in self._order if name not in used | self._given)
            name = next(free, None)
            if name is None:
                raise AwsRefused("the instance has no device name left", hint="ship fewer volumes at once")
            self._order.remove(name)
            self._order.append(name)
            self._given.add(name)
            return name
