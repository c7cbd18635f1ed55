"""A drain that is going on, as one of its hooks sees it."""

from dataclasses import dataclass

from spotwatch.core.report import DrainReport, Verdict


@dataclass(frozen=True, slots=True)
class DrainSoFar:
    """What the daemon's journal says of it.

    Attributes:
        report: as things stand; a hook that has not ended is not in it.
        deadline: when the instance has to be ready (boot clock, seconds).
        ends_at: when the hook that asks is sent SIGTERM (boot clock, seconds); None if the journal does not see it run.
        awaited: the names of the hooks that are not over, but for those in the background.
        verdict: what those that are over make of it, which is final once nothing is awaited.
        in_background: whether the hook that asks is in the background, so that nothing waits for it.
        is_for_hook: whether that hook is for the event of the drain, which may be a stronger one than at its start.
    """

    report: DrainReport
    deadline: float
    ends_at: float | None
    awaited: tuple[str, ...]
    verdict: Verdict
    in_background: bool
    is_for_hook: bool
