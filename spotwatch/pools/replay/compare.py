"""The policy beside the usual strategies, over several draws of blocks: the rows of a table."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, median

from spotwatch.pools.replay.engine import replay
from spotwatch.pools.replay.policy import Policy, SoftCaps
from spotwatch.pools.replay.strategies import (
    CapacityOptimized,
    Diversified,
    Failover,
    LowestPrice,
    Static,
    Strategy,
)
from spotwatch.pools.replay.trace import Trace


@dataclass(frozen=True, slots=True)
class Row:
    """One strategy at one over-provisioning, over all draws. See `Measures` for what the figures mean.

    Attributes:
        strategy: its name.
        over_provisioning: a multiple of the target.
        mean_availability: the mean of the draws.
        worst_10_minutes: of the middle draw (the median): what to expect of the worst ten minutes of a week.
        worst_10_minutes_of_all: of the worst draw.
        mass_losses_a_day, interruptions_a_day, interrupted_a_day, moved_a_day: the means of the draws.
    """

    strategy: str
    over_provisioning: float
    mean_availability: float
    worst_10_minutes: float
    worst_10_minutes_of_all: float
    mass_losses_a_day: float
    interruptions_a_day: float
    interrupted_a_day: float
    moved_a_day: float


def usual_strategies(policy: Policy, shares: tuple[float, ...] = ()) -> tuple[Strategy, ...]:
    """The policy, and what people do otherwise; `shares` are a plan's, for those that know shares."""
    return (
        SoftCaps(policy, shares),
        Diversified(),
        Static(shares),
        LowestPrice(20),
        LowestPrice(5),
        CapacityOptimized(),
        Failover(),
    )


def compare(
    traces: Iterable[Trace],
    policy: Policy | None = None,
    over_provisionings: Iterable[float] = (1.0, 1.25),
    strategies: Iterable[Strategy] | None = None,
) -> tuple[Row, ...]:
    """Replays every strategy at every over-provisioning through every trace.

    Args:
        traces: the draws (`blocks`), or a single trace.
        policy: of the fleet; its launch time holds for all strategies. None: the default.
        over_provisionings: multiples of the target.
        strategies: None: the policy and the usual ones.

    Raises:
        UsageError: an over-provisioning is below 1.
    """
    draws = tuple(traces)
    policy = policy or Policy()
    chosen = usual_strategies(policy) if strategies is None else tuple(strategies)
    multiples = tuple(over_provisionings)
    return tuple(_row(draws, strategy, multiple, policy) for strategy in chosen for multiple in multiples)


def _row(draws: tuple[Trace, ...], strategy: Strategy, multiple: float, policy: Policy) -> Row:
    every = [replay(draw, strategy, 1.0, multiple, launch_seconds=policy.launch_seconds) for draw in draws]
    worst = [each.worst_10_minutes for each in every]
    return Row(
        strategy=strategy.name,
        over_provisioning=multiple,
        mean_availability=fmean(each.mean_availability for each in every),
        worst_10_minutes=median(worst),
        worst_10_minutes_of_all=min(worst),
        mass_losses_a_day=fmean(each.mass_losses_a_day for each in every),
        interruptions_a_day=fmean(each.interruptions_a_day for each in every),
        interrupted_a_day=fmean(each.interrupted_a_day for each in every),
        moved_a_day=fmean(each.moved_a_day for each in every),
    )


HEADINGS = (
    "strategy",
    "over-provisioning",
    "mean availability",
    "worst 10 minutes, middle draw",
    "worst 10 minutes, worst draw",
    "mass losses a day",
    "interruptions a day",
    "interrupted a day",
    "moved a day",
)
"""Of the cells of a row."""


def cells(row: Row) -> tuple[str, ...]:
    """A row as a person reads it."""
    return (
        row.strategy,
        f"{row.over_provisioning:.2f}x",
        f"{row.mean_availability:.1%}",
        f"{row.worst_10_minutes:.0%}",
        f"{row.worst_10_minutes_of_all:.0%}",
        f"{row.mass_losses_a_day:.2f}",
        f"{row.interruptions_a_day:.1f}",
        f"{row.interrupted_a_day:.0%}",
        f"{row.moved_a_day:.0%}",
    )


def markdown(rows: Iterable[Row]) -> str:
    """The rows as a table in Markdown, as the README shows it."""
    lines = [HEADINGS, ("---",) * 2 + ("---:",) * (len(HEADINGS) - 2), *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
