"""A plan over Spot capacity pools, and what it says of itself: cost, shares, and what can be lost at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import log

from spotwatch.core.capacity import Group, Pool, Source
from spotwatch.pools.demand import Demand


@dataclass(frozen=True, slots=True)
class PlannedPool:
    """How many instances of one pool; `weight` is the units of capacity of one."""

    pool: Pool
    count: int
    weight: float

    @property
    def capacity(self) -> float:
        """Units of capacity of all of them."""
        return self.count * self.weight

    @property
    def vcpus(self) -> int:
        """Of all of them."""
        return self.count * self.pool.type.vcpus

    @property
    def usd_per_hour(self) -> float | None:
        """Of all of them; None if the pool has no price."""
        return None if self.pool.usd_per_hour is None else self.count * self.pool.usd_per_hour


@dataclass(frozen=True, slots=True)
class Relaxed:
    """A cap that could not hold: what was asked for, and what the plan holds instead. Shares, or numbers of pools."""

    what: str
    asked: float
    granted: float
    reason: str


@dataclass(frozen=True, slots=True)
class CapPrice:
    """What a cap costs: USD an hour that its removal would save at the most optimistic (what the bound falls by).

    `key` names the group; where it is empty, the caps of all groups of the kind are meant together.
    """

    group: Group
    key: str
    cap: float
    usd_per_hour: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, in pools, and what is known of it.

    Attributes:
        demand: what was asked for.
        pools: with at least one instance, the largest capacity first.
        objective: USD an hour with the expected loss; None without prices.
        lower_bound_usd_per_hour: no plan within the same caps costs less; None without prices.
        objective_lower_bound: no plan within the same caps has a lower objective; None without prices.
        caps: the caps that hold, after relaxation.
        cap_prices: the caps that cost something, the dearest first.
        relaxed: the caps that do not hold as asked, in the order in which they were relaxed.
        sources: of the facts, with their dates.
        notes: what the reader has to know besides: missing figures, old data.
        one_fleet_notes: the same, of what is so only where one EC2 Fleet or Spot Fleet holds the plan.
    """

    demand: Demand
    pools: tuple[PlannedPool, ...]
    objective: float | None
    lower_bound_usd_per_hour: float | None
    objective_lower_bound: float | None
    caps: Mapping[Group, float]
    cap_prices: tuple[CapPrice, ...] = ()
    relaxed: tuple[Relaxed, ...] = ()
    sources: tuple[Source, ...] = ()
    notes: tuple[str, ...] = field(default=())
    one_fleet_notes: tuple[str, ...] = ()

    @property
    def capacity(self) -> float:
        """Units of Spot capacity."""
        return sum(pool.capacity for pool in self.pools)

    @property
    def usd_per_hour(self) -> float | None:
        """Of all Spot Instances; None if one has no price."""
        return sum_of_known(pool.usd_per_hour for pool in self.pools)

    @property
    def on_demand_usd_per_hour(self) -> float | None:
        """What the same instances cost on demand; None if that of one is not known."""
        prices = [pool.pool.on_demand_usd_per_hour for pool in self.pools]
        return sum_of_known(
            None if price is None else pool.count * price for pool, price in zip(self.pools, prices, strict=True)
        )

    @property
    def interruptions_per_day(self) -> float | None:
        """Instances that are interrupted a day, as the bands have it; None if the band of one is not known.

        The bands are probabilities p within a month of 30 days, so the rate is -ln(1 - p) / 30 a day.
        """
        rates = [_daily_rate(pool.pool.interruption) for pool in self.pools]
        return sum_of_known(
            None if rate is None else pool.count * rate for pool, rate in zip(self.pools, rates, strict=True)
        )

    @property
    def effective_pools(self) -> float:
        """The effective number of pools: 1 / sum of squared shares; 0 for an empty plan."""
        total = self.capacity
        return total * total / sum(pool.capacity**2 for pool in self.pools) if total else 0.0

    def shares(self, group: Group) -> dict[str, float]:
        """The share of the capacity in each group of this kind, the largest first."""
        total = self.capacity
        sums: dict[str, float] = {}
        for pool in self.pools:
            key = pool.pool.key(group)
            sums[key] = sums.get(key, 0.0) + pool.capacity / total
        return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))

    def worst_loss(self, group: Group) -> float:
        """The share of the capacity that is lost with the largest group of this kind."""
        return max(self.shares(group).values(), default=0.0)


def sum_of_known(figures: Iterable[float | None]) -> float | None:
    """The sum; None if any of them is not known."""
    known = list(figures)
    return None if None in known else sum(figure for figure in known if figure is not None)


def _daily_rate(interruption: float | None) -> float | None:
    return None if interruption is None else -log(1 - interruption) / 30
