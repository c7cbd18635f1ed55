"""Where one hook of a drain stands."""

from dataclasses import dataclass
from enum import Enum, auto

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
        in_the_way: it does the opposite of what the stronger event asks for: nothing starts until it is gone.
        lost: it was to be started, or had been, when the daemon died.
        end_unseen: it was counted as over although nobody saw its end.
    """

    hook: Hook
    phase: Phase = Phase.PENDING
    started_at: float = 0.0
    allowed: float = 0.0
    phase_ends_at: float = 0.0
    ending: HookStatus = HookStatus.TIMED_OUT
    in_the_way: bool = False
    lost: bool = False
    end_unseen: bool = False
    outcome: HookOutcome | None = None

    @property
    def alive(self) -> bool:
        """Whether it has a process, as far as is known."""
        return self.phase in {Phase.RUNNING, Phase.TERMINATING, Phase.KILLED}

    @property
    def never_began(self) -> bool:
        """Whether it is over without a start ever having been tried."""
        if self.outcome is None or self.outcome.status is HookStatus.NOT_STARTED:
            return False
        return self.outcome.started_at is None
