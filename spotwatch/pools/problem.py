"""The planning problem as the solver sees it: numbers, and the groups that the candidates belong to.

minimise   sum of count x objective
so that    demand <= sum of count x weight <= demand x (1 + slack)
           the weight in any one group <= its cap x demand
           at least `least_pools` pools are used, and their effective number is at least `least_effective_pools`
           the vCPU of a quota class <= its quota
           what is left without any one group of a kind in `survive` >= its share x demand
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spotwatch.core.capacity import Group, Pool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pool that instances may be taken from.

    Attributes:
        pool: which.
        weight: units of capacity of one instance.
        cost: USD an hour of one instance; without prices 0, and `objective` spreads alone.
        objective: what the solver pays for one instance: its cost, and the expected loss by interruptions.
        instances: so many of the pool that can only be taken together count as one.
    """

    pool: Pool
    weight: float
    cost: float
    objective: float
    instances: int = 1

    @property
    def vcpus(self) -> int:
        """Of one: what a quota counts."""
        return self.instances * self.pool.type.vcpus


@dataclass(frozen=True, slots=True)
class Problem:
    """See the module. Caps are shares of `demand`; a kind that is missing has none."""

    candidates: tuple[Candidate, ...]
    demand: float
    caps: Mapping[Group, float]
    slack: float = 0.02
    least_pools: int = 1
    least_effective_pools: float = 1.0
    quotas: Mapping[str, float] = field(default_factory=dict)
    survive: Mapping[Group, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Solution:
    """How many instances of each candidate, in the order of the problem's candidates."""

    counts: tuple[int, ...]

    def objective(self, problem: Problem) -> float:
        """What the problem minimises."""
        return sum(count * each.objective for count, each in zip(self.counts, problem.candidates, strict=True))

    def cost(self, problem: Problem) -> float:
        """USD an hour."""
        return sum(count * each.cost for count, each in zip(self.counts, problem.candidates, strict=True))
