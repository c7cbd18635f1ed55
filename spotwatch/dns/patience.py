"""Trying again, and waiting for an effect, until a deadline."""

import random
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from spotwatch.core.errors import SpotwatchError, Transient

FIRST_WAIT: Final = 0.1
"""Seconds; a name server on the same network has done most things by then. Doubled after each further attempt."""

LONGEST_WAIT: Final = 2.0
"""Seconds; a look at a server's answer costs it next to nothing, and clients wait for ours."""

_Answer = TypeVar("_Answer")


class Clock(Protocol):
    """Who knows the time and can let it pass."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...


def patiently(attempt: Callable[[], _Answer], until: float, clock: Clock) -> _Answer:
    """What an attempt answers that raises no `Transient` error; at least one is made, and none begun after `until`.

    Raises:
        SpotwatchError: one that is not `Transient`, or the last one.
    """
    longest = FIRST_WAIT
    while True:
        try:
            return attempt()
        except SpotwatchError as error:
            wait = random.uniform(longest / 2, longest)  # noqa: S311 (spreads attempts, keeps no secret)
            if not isinstance(error, Transient) or clock.now() + wait >= until:
                raise
        clock.sleep(wait)
        longest = min(2 * longest, LONGEST_WAIT)
