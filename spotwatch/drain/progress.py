"""Where one hook of a drain stands."""

from dataclasses import dataclass
from enum import Enum, auto

from spotwatch.core.event import EventKind
from spotwatch.core.hook import Hook, HookOutcome, HookStatus


class Phase(Enum):
    """Where a hook stands."""

    PENDING = auto()
    RUNNING = auto()
    TERMINATING = auto()
    KILLED = auto()
    OVER = auto()


@dataclass(slots=True)
class Progress:
    """One hook on its way.

    Attributes:
        phase_ends_at: when time alone ends the phase (boot clock, seconds), of one that was told to end.
        allowed: the seconds that it was given at its start, until SIGTERM.
        ending: the status it will have if it was us who ended it.
        began_for: the event that it was told of at its start.
        in_the_way: it does the opposite of what the stronger event asks for: nothing starts until it is gone.
        earlier: what is to be said of a run before this one, if there was one or may have been.
        end_unseen: it was counted as over although nobody saw its end.
    """

    hook: Hook
    phase: Phase = Phase.PENDING
    started_at: float = 0.0
    allowed: float = 0.0
    phase_ends_at: float = 0.0
    ending: HookStatus = HookStatus.TIMED_OUT
    began_for: EventKind | None = None
    in_the_way: bool = False
    earlier: str = ""
    end_unseen: bool = False
    outcome: HookOutcome | None = None

    @property
    def alive(self) -> bool:
        """Whether it has a process, as far as is known."""
        return self.phase in {Phase.RUNNING, Phase.TERMINATING, Phase.KILLED}

    def counts_for(self, kind: EventKind) -> bool:
        """Whether its run is one for this event: what it does when it is told ``start`` is not what others ask for."""
        return self.began_for is not EventKind.START or kind is EventKind.START

    def undone_for(self, kind: EventKind) -> bool:
        """Whether it is over and has yet to run for this event.

        So it is if no start was ever tried, if it was ended because it was in the way, or if it ran for ``start``.
        """
        if self.outcome is None:
            return False
        if self.outcome.status is HookStatus.SUPERSEDED or not self.counts_for(kind):
            return True
        return self.outcome.started_at is None and self.outcome.status is not HookStatus.NOT_STARTED
