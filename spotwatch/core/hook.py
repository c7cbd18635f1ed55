"""A hook as the settings describe it, and what became of it in a drain."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from spotwatch.core.event import INTERRUPTIONS, EventKind


class OnFailure(StrEnum):
    """What the failure of a hook means for the stages after its own."""

    CONTINUE = "continue"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Hook:
    """One thing to do when something happens; all times in seconds.

    Attributes:
        name: unique, and the name of its output file.
        on: the events it is for.
        stage: stages run in ascending order, the hooks of one stage side by side.
        command: the argument list to execute; no shell sees it.
        timeout: from its start to SIGTERM; None means all the time that is left.
        reserve: time before the deadline that no hook of an earlier stage may use.
        start_before: start it this long before the deadline, not as soon as its stage begins.
        always: run it also after a hook with ``on_failure = "stop"`` has failed.
        rerun: whether it is run again if the daemon died while it ran and its end was not seen.
        background: it starts with its stage and holds up no other one; it may run until the deadline, and what becomes
            of it is no part of the verdict.
    """

    name: str
    on: frozenset[EventKind]
    command: tuple[str, ...]
    stage: int = 50
    timeout: float | None = None
    reserve: float = 0.0
    start_before: float | None = None
    on_failure: OnFailure = OnFailure.CONTINUE
    always: bool = False
    rerun: bool = True
    background: bool = False
    user: str | None = None
    group: str | None = None
    directory: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


DEFAULT_EVENTS = frozenset(INTERRUPTIONS)
"""A hook that does not say what it is for is for every Spot interruption."""


class HookStatus(StrEnum):
    """How a hook ended, or why it never began."""

    SUCCEEDED = "succeeded"
    """Exit code 0 within its time."""
    FAILED = "failed"
    """A non-zero exit code, or ended by a signal that was not ours, within its time."""
    TIMED_OUT = "timed-out"
    """Its time was up; it ended after SIGTERM."""
    KILLED = "killed"
    """Its time was up; it ignored SIGTERM and was killed."""
    NOT_STARTED = "not-started"
    """The command could not be executed."""
    ENDED = "ended"
    """A restarted daemon waited for its end; the exit code of a child that it did not start is not to be had."""
    LOST = "lost"
    """It may have run while the daemon was dead, nobody knows how far; with ``rerun = false`` it is not run again."""
    GIVEN_UP = "given-up"
    """There was no time left for it beside what later hooks have reserved."""
    SKIPPED = "skipped"
    """An earlier hook with ``on_failure = "stop"`` failed."""
    SUPERSEDED = "superseded"
    """A stronger event came first, and this hook is not for that one."""
    CANCELED = "canceled"
    """The event was withdrawn, or the daemon was told twice to stop."""


CUT = frozenset({HookStatus.TIMED_OUT, HookStatus.KILLED, HookStatus.GIVEN_UP})
"""The time was too short for these."""

FAILURES = CUT | {HookStatus.FAILED, HookStatus.NOT_STARTED, HookStatus.LOST}
"""What ``on_failure`` reacts to: the hook has not done what it is there for."""


@dataclass(frozen=True, slots=True)
class HookOutcome:
    """What became of one hook; times on the boot clock, in seconds, None where it never came to that.

    Attributes:
        hook: its name.
        stage: its stage.
        status: how it ended.
        reason: in words, where the status alone does not say it.
        started_at: when its command was executed.
        ended_at: when it was over, or given up.
        exit_code: of a command that exited.
        signal: the number of the signal that ended it, if one did.
        allowed: the seconds it was given at its start, until SIGTERM.
        timeout: the seconds that its settings grant it, if they set a limit.
    """

    hook: str
    stage: int
    status: HookStatus
    reason: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    allowed: float | None = None
    timeout: float | None = None
