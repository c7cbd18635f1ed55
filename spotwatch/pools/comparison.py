"""What it would cost to be safer: the same demand planned so that it also survives any one loss of a kind."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from spotwatch.core.capacity import Group, Market, Pool
from spotwatch.core.errors import PlanInfeasible
from spotwatch.pools.demand import Demand
from spotwatch.pools.planning import plan


@dataclass(frozen=True, slots=True)
class Safer:
    """A plan that has all of the capacity left whichever one group of a kind is lost.

    Attributes:
        group: the kind.
        capacity: units of Spot capacity that it buys; None if there is no such plan.
        usd_per_hour: what it costs; None if there is none, or no prices.
        worst_loss: the largest share that one group of the kind holds; None if there is none.
        why_not: why there is none; empty if there is.
    """

    group: Group
    capacity: float | None
    usd_per_hour: float | None
    worst_loss: float | None
    why_not: str = ""


def safer(
    demand: Demand, pools: Sequence[Pool], market: Market, *, factors: Mapping[str, float] | None = None
) -> Iterator[Safer]:
    """What each kind of loss costs that the demand does not have to survive yet; the arguments are those of `plan`."""
    for group in Group:
        if group not in demand.survive:
            yield _safer(replace(demand, survive={**demand.survive, group: 1.0}), group, pools, market, factors)


def _safer(
    demand: Demand, group: Group, pools: Sequence[Pool], market: Market, factors: Mapping[str, float] | None
) -> Safer:
    try:
        made = plan(demand, pools, market, factors=factors)
    except PlanInfeasible as error:
        return Safer(group, None, None, None, error.message)
    return Safer(group, made.capacity, made.usd_per_hour, made.worst_loss(group))
