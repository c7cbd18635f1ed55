"""What the layer remembers beside moto: changes on their way, what is mounted, who wants to know of attachments."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from threading import RLock


@dataclass(slots=True)
class Delays:
    """Seconds that changes take, and by which reads lag; 0: done when the answer is out.

    Attributes:
        running: of an instance that was started, from pending.
        terminated: of an instance that is terminated, from shutting-down.
        created: of a volume, from creating.
        deleted: of a volume, from deleting.
        attached: of an attachment, from attaching.
        detached: of an attachment, from detaching.
        snapshot: of a snapshot, from pending.
        tags: until a tag shows.
        attribute: until a changed DeleteOnTermination shows; what it means holds at once.
    """

    running: float = 0.0
    terminated: float = 0.0
    created: float = 0.0
    deleted: float = 0.0
    attached: float = 0.0
    detached: float = 0.0
    snapshot: float = 0.0
    tags: float = 0.0
    attribute: float = 0.0


class Schedule:
    """Changes that are due later, on a clock of the caller's; carried out in the order of their times."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._number = count()
        self._due: list[tuple[float, int, str, Callable[[], None]]] = []

    def after(self, seconds: float, do: Callable[[], None], about: str = "") -> None:
        """Plan a change; `about` names what it changes, for `finish`."""
        heapq.heappush(self._due, (self._clock() + seconds, next(self._number), about, do))

    def settle(self) -> None:
        """Carry out what is due."""
        while self._due and self._due[0][0] <= self._clock():
            heapq.heappop(self._due)[3]()

    def finish(self, about: str) -> None:
        """Carry out what is planned about something, due or not."""
        mine = sorted(entry for entry in self._due if entry[2] == about)
        self._due = [entry for entry in self._due if entry[2] != about]
        heapq.heapify(self._due)
        for entry in mine:
            entry[3]()


def _nobody_asks(*_: str) -> None:
    """The default of the hooks."""


@dataclass
class World:
    """Shared by all requests; `lock` is held while one of EC2's is answered.

    Attributes:
        schedule: changes on their way.
        delays: how long they take; may be changed at any time.
        page: the most entries of a page, whatever was asked for; 0: as asked for.
        mounted: the volumes that their instance has mounted: a detachment of one of them sticks in `busy`.
        on_attached: told volume, instance and device name when an attachment is made.
        on_detached: told the volume when one has ended.
        states: volumes that are neither available nor in use: creating, deleting.
        answers: what was answered to a request with a client token.
    """

    schedule: Schedule
    delays: Delays
    page: int = 0
    mounted: set[str] = field(default_factory=set)
    on_attached: Callable[[str, str, str], None] = _nobody_asks
    on_detached: Callable[[str], None] = _nobody_asks
    states: dict[str, str] = field(default_factory=dict)
    answers: dict[tuple[str, str], tuple[str, object]] = field(default_factory=dict)
    lock: RLock = field(default_factory=RLock)
