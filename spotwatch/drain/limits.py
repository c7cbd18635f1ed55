"""How the time until the deadline is dealt out: from when a hook may run, until when, and when it is told to end.

All moments are on the boot clock, in seconds.
"""

from collections.abc import Collection

from spotwatch.core.hook import Hook
from spotwatch.core.settings import DrainSettings
from spotwatch.drain.progress import Phase, Progress

REAP_SECONDS = 0.5
"""From SIGKILL until a hook is counted as over even if its end was not seen: a process in uninterruptible sleep (a
hung network file system) does not die, and must not hold up the stages behind it."""

MARGIN_SHARE = 0.1
"""The margin takes at most this share of a short notice."""


class Limits:
    """The time as it is dealt out for one deadline and one set of hooks that have yet to begin.

    Args:
        settings: margin and grace.
        deadline: when the instance has to be ready.
        given_since: when the event that set it was seen.
        pending: the hooks that have yet to begin; each stage of them keeps its longest reserve for itself.
    """

    def __init__(self, settings: DrainSettings, deadline: float, given_since: float, pending: Collection[Hook]) -> None:
        self._kill_grace = settings.kill_grace
        self._margin = min(settings.margin, MARGIN_SHARE * max(0.0, deadline - given_since))
        self._deadline = deadline
        self._given_since = given_since
        self._needed = _needed(pending, settings.kill_grace + REAP_SECONDS)

    def limit(self, progress: Progress) -> float:
        """The moment by which the hook must be gone."""
        return self._deadline - self._margin - self.reserved_from(progress)

    def reserved_from(self, progress: Progress) -> float:
        """Seconds that this hook must leave to the stages that have yet to begin and wait for it.

        The hooks of a stage run side by side, so it keeps what its longest reserve takes: the reserve itself until
        SIGTERM, and what may follow until the hook is gone. One in the background runs beside the later stages too.
        """
        if progress.hook.background and not progress.in_the_way:
            return 0.0
        later = (seconds for stage, seconds in self._needed if progress.in_the_way or stage > progress.hook.stage)
        return next(later, 0.0)

    def start_at(self, hook: Hook) -> float:
        """The moment before which the hook is not to be started."""
        return self._given_since if hook.start_before is None else self._deadline - hook.start_before

    def terminate_at(self, progress: Progress) -> float:
        """The moment of SIGTERM for a hook that runs."""
        latest = self.kill_by(progress) - self.grace(progress)
        timeout = progress.hook.timeout
        return latest if timeout is None else min(progress.started_at + timeout, latest)

    def grace(self, progress: Progress) -> float:
        """Seconds between SIGTERM and SIGKILL: what is set, but at most a quarter of the hook's time."""
        return min(self._kill_grace, self._window(progress) / 4)

    def kill_by(self, progress: Progress) -> float:
        """SIGKILL at the latest: a little before the limit, so that the hook is gone by then."""
        return self.limit(progress) - min(REAP_SECONDS, self._window(progress) / 10)

    def next_change(self, progress: Progress) -> float:
        """When time alone changes what becomes of a hook that has a process."""
        if progress.phase is Phase.RUNNING:
            return self.terminate_at(progress)
        if progress.phase is Phase.TERMINATING:
            return min(progress.phase_ends_at, self.kill_by(progress))
        return min(progress.phase_ends_at, self.limit(progress))

    def _window(self, progress: Progress) -> float:
        return max(0.0, self.limit(progress) - progress.started_at)


def _needed(pending: Collection[Hook], afterwards: float) -> list[tuple[int, float]]:
    """What is reserved from each stage on, the lowest stage first, with what may follow until those hooks are gone.

    The reserves of stages add up, since they wait for one another; one in the background runs beside all of these.
    """
    awaited, beside = _longest(pending, background=False), _longest(pending, background=True)
    needed: list[tuple[int, float]] = []
    seconds = 0.0
    for stage in sorted({*awaited, *beside}, reverse=True):
        seconds += awaited[stage] + afterwards if stage in awaited else 0.0
        seconds = max(seconds, beside[stage] + afterwards if stage in beside else 0.0)
        needed.append((stage, seconds))
    return needed[::-1]


def _longest(pending: Collection[Hook], *, background: bool) -> dict[int, float]:
    """The longest reserve of each stage that has any."""
    longest: dict[int, float] = {}
    for hook in pending:
        if hook.reserve and hook.background is background:
            longest[hook.stage] = max(hook.reserve, longest.get(hook.stage, 0.0))
    return longest
