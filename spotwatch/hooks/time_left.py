"""How long a hook may work, from what the daemon has told it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from spotwatch.hooks.services import Services

END_SECONDS: Final = 1.0
"""Kept free before SIGTERM, so that a hook ends by itself, with its last line written."""

BY_HAND_SECONDS: Final = 60.0
"""For who runs the hook in a shell: AWS's read-backs lag for tens of seconds."""


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """The times of a hook, in seconds on the boot clock.

    Attributes:
        until: when it should be done.
        deadline: when the instance has to be ready; None outside a drain.
    """

    until: float
    deadline: float | None

    @classmethod
    def of(cls, services: Services) -> Self:
        """As the environment says; both spans count from the start of our process."""
        timeout = _seconds(services.environment, "SPOTWATCH_TIMEOUT")
        left = _seconds(services.environment, "SPOTWATCH_SECONDS_LEFT")
        if timeout is None and left is None:
            return cls(services.clock.now() + BY_HAND_SECONDS, None)
        shorter = min(seconds for seconds in (timeout, left) if seconds is not None)
        return cls(services.born + shorter - END_SECONDS, None if left is None else services.born + left)


def _seconds(environment: Mapping[str, str], name: str) -> float | None:
    try:
        return float(environment[name])
    except (KeyError, ValueError):
        return None
