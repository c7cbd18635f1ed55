"""Telling one recipient, in a thread of its own, so that nobody has to wait for one that does not answer."""

import queue
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from spotwatch.core.errors import Transient
from spotwatch.core.notification import Notification
from spotwatch.hooks.services import Clock, Recipient

FIRST_WAIT: Final = 0.5
"""Seconds before the second attempt, doubled before each further one."""

LONGEST_WAIT: Final = 8.0
"""Seconds; what comes back is then told soon."""


@dataclass(slots=True)
class Fate:
    """What became of telling somebody something: an error, or none."""

    number: int
    notification: Notification
    error: BaseException | None


class Courier:
    """Tells one recipient, one notification after the other.

    Args:
        number: of the recipient.
        recipient: whom.
        clock: measures the time.
        give_up_at: when no attempt is worth beginning any more (boot clock, seconds); it may come closer.
        fates: where it is written what became of each notification.
    """

    def __init__(
        self,
        number: int,
        recipient: Recipient,
        clock: Clock,
        give_up_at: Callable[[], float],
        fates: "queue.SimpleQueue[Fate]",
    ) -> None:
        self.name = recipient.name
        self.number = number
        self._recipient = recipient
        self._clock = clock
        self._give_up_at = give_up_at
        self._fates = fates
        self._inbox: queue.SimpleQueue[Notification] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def tell(self, notification: Notification) -> None:
        """Begin it."""
        self._inbox.put(notification)

    def _work(self) -> None:
        notification = self._inbox.get()
        while True:
            notification = self._deliver(notification) or self._inbox.get()

    def _deliver(self, notification: Notification) -> Notification | None:
        """Until it is told, cannot be, or there is a newer one, which is answered."""
        longest = FIRST_WAIT
        while True:
            try:
                self._recipient.tell(notification)
            except BaseException as error:  # raised again, or told, by who waits for it
                wait = max(random.uniform(longest / 2, longest), getattr(error, "after", 0.0))  # noqa: S311 (no secret)
                if not isinstance(error, Transient) or self._clock.now() + wait >= self._give_up_at():
                    self._fates.put(Fate(self.number, notification, error))
                    return None
                failure = error
            else:
                self._fates.put(Fate(self.number, notification, None))
                return None
            try:
                newer = self._inbox.get(timeout=wait)
            except queue.Empty:
                longest = min(2 * longest, LONGEST_WAIT)
            else:
                self._fates.put(Fate(self.number, notification, failure))
                return newer
