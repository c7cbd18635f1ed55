"""What a replay is judged by."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

DAY_SECONDS: Final = 86_400.0

WINDOW_SECONDS: Final = 600.0
"""Ten minutes: over 92 % of the real interruptions of a type and AZ fell within 3 minutes (arXiv 2604.16457), so that
this holds a whole loss and the begin of its repair."""

MASS_LOSS: Final = 0.25
"""The part of the fleet that a mass loss takes within the window."""


@dataclass(slots=True)
class History:
    """What happened in a replay.

    Attributes:
        seconds: how long it was.
        capacity: units that the fleet should have had in service.
        steps: (seconds from the start, units in service from then on).
        losses: (seconds from the start, units that were lost at that moment).
        moved: units that rebalancing has moved.
    """

    seconds: float
    capacity: float
    steps: list[tuple[float, float]] = field(default_factory=list)
    losses: list[tuple[float, float]] = field(default_factory=list)
    moved: float = 0.0

    def add(self, now: float, running: float, lost: float) -> None:
        """Writes down a moment."""
        if not self.steps or self.steps[-1][1] != running:
            self.steps.append((now, running))
        if lost:
            self.losses.append((now, lost))


@dataclass(frozen=True, slots=True)
class Measures:
    """What came of it. Shares are of the target (which over-provisioning goes beyond), 1 is all of it.

    Attributes:
        mean_availability: the mean over time of what is in service, capped at the target at every moment: what is
            beyond it at one moment is of no use at another.
        mean_running: the mean over time of what is in service, not capped.
        worst_10_minutes: the least that was in service on average over any 10 minutes in a row, not capped.
        worst_10_minutes_capped: the same, capped at the target at every moment.
        mass_losses_a_day: how often 25 % of the fleet (target times over-provisioning) or more were lost within 10
            minutes; what was counted is not counted again.
        interruptions_a_day: how many moments a day there were at which something in service was lost.
        interrupted_a_day: what is lost in a day, as a share of the target: 1 is as much as the target.
        moved_a_day: what rebalancing moves in a day, likewise; these instances end in good order.
    """

    mean_availability: float
    mean_running: float
    worst_10_minutes: float
    worst_10_minutes_capped: float
    mass_losses_a_day: float
    interruptions_a_day: float
    interrupted_a_day: float
    moved_a_day: float


def measure(history: History, target: float) -> Measures:
    """The measures of a replay whose fleet serves a target (units)."""
    days = history.seconds / DAY_SECONDS
    served = [(at, min(running, target)) for at, running in history.steps]
    return Measures(
        mean_availability=_integral(served, history.seconds)[-1] / history.seconds / target,
        mean_running=_integral(history.steps, history.seconds)[-1] / history.seconds / target,
        worst_10_minutes=worst_window(history.steps, history.seconds) / target,
        worst_10_minutes_capped=worst_window(served, history.seconds) / target,
        mass_losses_a_day=mass_losses(history.losses, MASS_LOSS * history.capacity) / days,
        interruptions_a_day=len(history.losses) / days,
        interrupted_a_day=sum(lost for _, lost in history.losses) / days / target,
        moved_a_day=history.moved / days / target,
    )


def _integral(steps: list[tuple[float, float]], seconds: float) -> list[float]:
    """The area under the steps up to each of them, and up to the end."""
    areas = [0.0]
    for (at, value), (after, _) in zip(steps, [*steps[1:], (seconds, 0.0)], strict=True):
        areas.append(areas[-1] + value * (after - at))
    return areas


def worst_window(steps: list[tuple[float, float]], seconds: float, window: float = WINDOW_SECONDS) -> float:
    """The least mean over any `window` seconds in a row that lie wholly within 0 and `seconds`.

    Between steps the mean changes evenly, so that its least is where the window begins or ends at a step (or at an end
    of the record). A record that is shorter than the window is a window of its own.
    """
    window = min(window, seconds)
    areas = _integral(steps, seconds)
    times = [at for at, _ in steps]
    begins = sorted({0.0, seconds - window, *(at for at in times if at <= seconds - window),
                     *(at - window for at in times if at >= window)})  # fmt: skip
    left, right = _Area(steps, areas), _Area(steps, areas)
    return min(right.until(begin + window) - left.until(begin) for begin in begins) / window


@dataclass(slots=True)
class _Area:
    """The area under the steps up to a time; asked in the order of time."""

    steps: list[tuple[float, float]]
    areas: list[float]
    step: int = 0

    def until(self, at: float) -> float:
        while self.step + 1 < len(self.steps) and self.steps[self.step + 1][0] <= at:
            self.step += 1
        begin, value = self.steps[self.step]
        return self.areas[self.step] + value * (at - begin)


def mass_losses(losses: list[tuple[float, float]], least: float, window: float = WINDOW_SECONDS) -> int:
    """How often losses that are at most `window` seconds apart add up to `least`; each loss is counted once."""
    recent: deque[tuple[float, float]] = deque()
    count = 0
    for at, lost in losses:
        while recent and at - recent[0][0] > window:
            recent.popleft()
        recent.append((at, lost))
        if sum(part for _, part in recent) >= least * (1 - 1e-9):
            count += 1
            recent.clear()
    return count
