"""What can happen to an instance, in AWS's words, and which happening outranks which."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class EventKind(StrEnum):
    """The events that hooks are written for (``on = [...]``), from the weakest to the strongest.

    A stronger event upgrades a drain that a weaker one began; a weaker one is only recorded.
    """

    START = "start"
    """The daemon is armed: at its start, and again after a notice was withdrawn."""
    REBALANCE = "rebalance"
    """A rebalance recommendation: the instance has an elevated risk of interruption."""
    MAINTENANCE = "maintenance"
    """A scheduled event (reboot, retirement, stop) is about to begin."""
    LIFECYCLE = "lifecycle"
    """The Auto Scaling group takes the instance out of service (target lifecycle state)."""
    SHUTDOWN = "shutdown"
    """The daemon got SIGTERM without any notice; off unless the settings ask for it."""
    STOP = "stop"
    """A Spot interruption notice: the instance will be stopped."""
    HIBERNATE = "hibernate"
    """A Spot interruption notice: the instance is being hibernated, at once."""
    TERMINATE = "terminate"
    """A Spot interruption notice: the instance will be terminated."""

    @property
    def strength(self) -> int:
        """Its place in the order above; a greater one upgrades a drain of a lesser one."""
        return list(EventKind).index(self)

    @property
    def is_interruption(self) -> bool:
        """Whether a Spot interruption notice announces it."""
        return self in INTERRUPTIONS


INTERRUPTIONS = frozenset({EventKind.STOP, EventKind.HIBERNATE, EventKind.TERMINATE})

EVENT_NAMES: tuple[str, ...] = tuple(EventKind)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that calls for hooks, and the time there is for it.

    Attributes:
        kind: which hooks it is for.
        action: AWS's own word for what will be done: the instance action (``terminate``), the code of the scheduled
            event (``instance-retirement``), the target lifecycle state (``Terminated``); else the kind's name.
        notice_time: the time that AWS names for it (UTC), if it names one.
        seen_at: when it was read (boot clock, seconds).
        deadline: when the instance has to be ready for it (boot clock, seconds).
    """

    kind: EventKind
    action: str
    notice_time: datetime | None
    seen_at: float
    deadline: float
