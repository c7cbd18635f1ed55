"""The two languages of the drain machine: what happened (fed to it) and what to do (its answer)."""

from dataclasses import dataclass

from spotwatch.core.event import Event, EventKind
from spotwatch.core.hook import Hook


@dataclass(frozen=True, slots=True)
class EventCame:
    """The metadata service, or systemd, announced something."""

    event: Event


@dataclass(frozen=True, slots=True)
class EventWithdrawn:
    """What was announced is no longer."""

    kind: EventKind


@dataclass(frozen=True, slots=True)
class HookEnded:
    """A hook that was started is over; at most one of exit code and signal says how.

    Attributes:
        output_dropped: bytes of its output left out of its file because of the size limit.
        output_problem: why its output could not be kept, or an empty text.
    """

    hook: str
    exit_code: int | None
    signal: int | None
    output_dropped: int = 0
    output_problem: str = ""


@dataclass(frozen=True, slots=True)
class HookNotStarted:
    """An ordered start could not be carried out."""

    hook: str
    reason: str


@dataclass(frozen=True, slots=True)
class HookLost:
    """A hook was to be started, or had been, when the daemon died; now there is no process of it."""

    hook: str


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Nothing happened but time."""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """End the drain now (the second SIGTERM)."""


Happening = EventCame | EventWithdrawn | HookEnded | HookNotStarted | HookLost | TimePassed | StopAsked


@dataclass(frozen=True, slots=True)
class StartHook:
    """Execute the hook's command; it gets SIGTERM after `allowed` seconds."""

    hook: Hook
    allowed: float


@dataclass(frozen=True, slots=True)
class TerminateHook:
    """Send SIGTERM to the hook's process group."""

    hook: str


@dataclass(frozen=True, slots=True)
class KillHook:
    """Send SIGKILL to everything the hook has started."""

    hook: str


Order = StartHook | TerminateHook | KillHook
