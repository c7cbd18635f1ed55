"""The boot clock for commands that only have to wait, and need no `Machine`."""

import time


class Clock:
    """Implements `spotwatch.aws.session.Clock`."""

    def now(self) -> float:
        """Seconds on the boot clock, which goes on while the instance hibernates."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)
