"""From what is asked for and what is known to a plan."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, log
from typing import Final

from spotwatch.core.capacity import Group, Market, Pool
from spotwatch.core.errors import PlanInfeasible, UsageError
from spotwatch.pools import caps, performance, replacement
from spotwatch.pools.aligned import MOST_UNEVENNESS, alignable, solve_aligned
from spotwatch.pools.bound import Bound, lower_bound
from spotwatch.pools.change import Existing, solve_change
from spotwatch.pools.demand import Demand, Mode, Weights
from spotwatch.pools.plan import CapPrice, Plan, PlannedPool
from spotwatch.pools.problem import Candidate, Problem, Solution
from spotwatch.pools.relaxation import refuse_impossible, refuse_relaxed, relax
from spotwatch.pools.solver import feasible, find, solve
from spotwatch.pools.survival import reserve_bound, with_reserve
from spotwatch.pools.unpriced import without_prices

_DAYS: Final = 30
"""The Spot Instance Advisor's bands are per month; the rate is -ln(1 - probability) / 30 a day."""

_CERTAIN: Final = 0.999
"""A probability of 1 would be an infinite rate."""

_NOTHING: Final = 1e-6
"""Relative to the bound: a cap that saves as little costs nothing."""

_SINGLE_GROUPS: Final = 5
"""For how many single groups, those with the highest multipliers, it is said what their cap costs."""

_FRONTIER: Final = (0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5)
"""The pool caps of the cost-against-risk curve."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """The candidates, and what a reader has to know of them."""

    candidates: tuple[Candidate, ...]
    priced: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What no plan goes below."""

    cost: float
    objective: Bound


def plan(
    demand: Demand,
    candidates: Sequence[Pool],
    market: Market,
    existing: Existing | None = None,
    *,
    factors: Mapping[str, float] | None = None,
) -> Plan:
    """The cheapest spread that was found for a demand.

    Args:
        demand: what is asked for.
        candidates: the pools that may be used, each once.
        market: its quotas and sources count; prices and interruptions are the pools' own.
        existing: what runs already; then the plan is the one with the smallest change.
        factors: of families, where the demand counts performance (`spotwatch.pools.performance`).

    Raises:
        UsageError: the demand contradicts itself.
        PlanInfeasible: no plan does what is asked, or only one with relaxed caps does and the demand is strict.
    """
    _check(demand)
    facts = _facts(demand, candidates, factors or {})
    asked = _problem(demand, facts.candidates, market)
    aligned = demand.mode is Mode.ALIGNED
    possible = partial(alignable, unevenness=demand.unevenness) if aligned else feasible
    relaxation = relax(replace(asked, survive={}), possible)
    if demand.strict:
        refuse_relaxed(relaxation)
    within = replace(relaxation.problem, survive=asked.survive)
    problem = with_reserve(within)
    solution = _solution(demand, problem, existing)
    bounds = _bounds(within, problem.demand) if facts.priced else None
    pools = _pools(problem, solution)
    return Plan(
        demand=demand,
        pools=pools,
        objective=solution.objective(problem) if facts.priced else None,
        lower_bound_usd_per_hour=bounds.cost if bounds else None,
        objective_lower_bound=bounds.objective.value if bounds else None,
        caps=dict(problem.caps),
        cap_prices=_cap_prices(problem, bounds.objective) if bounds else (),
        relaxed=relaxation.relaxed,
        sources=market.sources,
        notes=(*facts.notes, *_notes(asked, problem, existing)),
        one_fleet_notes=tuple(replacement.notes(pools)) if aligned else (),
    )


def frontier(
    demand: Demand, candidates: Sequence[Pool], market: Market, *, factors: Mapping[str, float] | None = None
) -> tuple[tuple[float, float], ...]:
    """What it costs to be safer: the share lost with the largest pool, and USD an hour, of plans from safe to cheap.

    The cap of pools is varied and the number of pools with it; a wider one widens the other caps in proportion, a
    tighter one leaves them. Points that have no plan are left out; without prices there is none.

    Raises:
        UsageError: the demand contradicts itself.
        PlanInfeasible: it cannot be planned at all.
    """
    _check(demand)
    facts = _facts(demand, candidates, factors or {})
    if not facts.priced:
        return ()
    asked = _problem(demand, facts.candidates, market)
    refuse_impossible(asked)
    points: dict[float, float] = {}
    for cap in _FRONTIER:
        point = _point(_capped(asked, cap))
        if point is not None:
            points[point[0]] = min(point[1], points.get(point[0], point[1]))
    return tuple(sorted(points.items()))


def _capped(asked: Problem, cap: float) -> Problem:
    wider = max(1.0, cap / asked.caps[Group.POOL])
    widened = {kind: min(1.0, share * wider) for kind, share in asked.caps.items()}
    return replace(
        asked,
        caps={**widened, Group.POOL: cap},
        least_pools=min(asked.least_pools, ceil(1 / cap)),
        least_effective_pools=min(asked.least_effective_pools, 1 / cap),
    )


def _point(problem: Problem) -> tuple[float, float] | None:
    """The largest pool's share and the cost of a plan; None if there is none."""
    try:
        problem = with_reserve(problem)
    except PlanInfeasible:
        return None
    found = find(problem, effort=0)
    if found is None:
        return None
    pools = _pools(problem, found)
    total = sum(pool.capacity for pool in pools)
    return round(pools[0].capacity / total, 6), found.cost(problem)


def _check(demand: Demand) -> None:
    """Refuse a demand that contradicts itself; the caps are checked where they are merged."""
    if not 0 < demand.capacity < float("inf"):
        raise UsageError(f"a capacity of {demand.capacity:g} cannot be planned", hint="ask for more than 0")
    if not 0 <= demand.on_demand_capacity < demand.capacity:
        raise UsageError(
            f"of {demand.capacity:g} units {demand.on_demand_capacity:g} are to be on demand; nothing is left for Spot",
            hint="ask for less on-demand capacity",
        )
    if demand.least_pools < 1 or demand.least_effective_pools < 1:
        raise UsageError("a plan has at least one pool", hint="ask for 1 pool or more")
    if not 0 <= demand.slack <= 1:
        raise UsageError(f"a slack of {demand.slack:g} is no share from 0 to 1", hint="write 2% or 0.02")
    if not 0 <= demand.unevenness <= MOST_UNEVENNESS:
        raise UsageError(
            f"an unevenness of {demand.unevenness:g} is no share from 0 to {MOST_UNEVENNESS:g}",
            hint="write 10%; beyond 30% one pool would be two",
        )
    if demand.loss_usd_per_vcpu < 0:
        raise UsageError("the loss of a vCPU cannot earn anything", hint="give 0 USD or more")
    for kind, share in demand.survive.items():
        caps.check_share(f"what is to survive the loss of one {kind.word}", share)


def _facts(demand: Demand, pools: Sequence[Pool], factors: Mapping[str, float]) -> _Facts:
    """The candidates with what they weigh and cost; where some have a price, those that have none are left out."""
    notes: list[str] = []
    known = [pool for pool in pools if pool.usd_per_hour is not None]
    if known and len(known) < len(pools):
        notes.append(f"{len(pools) - len(known)} of {len(pools)} pools have no price and are left out")
    if not known:
        notes.append("there are no prices: the plan spreads without them, and says nothing of cost")
    used = known or list(pools)
    rates = _rates(used, notes)
    weights = [_weight(demand, pool, factors) for pool in used]
    if demand.weights is Weights.PERFORMANCE:
        notes.append(_performance_note(used, factors))
    if known:
        losses = [demand.loss_usd_per_vcpu * pool.type.vcpus * rate for pool, rate in zip(used, rates, strict=True)]
        costs = [pool.usd_per_hour or 0.0 for pool in used]
        objectives = [cost + loss for cost, loss in zip(costs, losses, strict=True)]
    else:
        costs = [0.0] * len(used)
        objectives = without_prices(used, weights, rates)
    rows = zip(used, weights, costs, objectives, strict=True)
    return _Facts(tuple(Candidate(*row) for row in rows), bool(known), tuple(notes))


def _weight(demand: Demand, pool: Pool, factors: Mapping[str, float]) -> float:
    if demand.weights is Weights.VCPUS:
        return float(pool.type.vcpus)
    return pool.type.vcpus * performance.factor(pool.type, factors)


def _performance_note(pools: Sequence[Pool], factors: Mapping[str, float]) -> str:
    derived = {pool.type.parts.family for pool in pools} - factors.keys()
    if not derived:
        return "capacity counts vCPU times the given factors of performance"
    return (
        f"capacity counts performance: of {len(derived)} families without a given factor a vCPU that is a whole core "
        "counts 2, one that is a thread of two 1; nothing else of their speed is known"
    )


def _rates(pools: Sequence[Pool], notes: list[str]) -> list[float]:
    """Interruptions a day of an instance of each pool; where it is not known, the worst that is known of another."""
    known = [pool.interruption for pool in pools if pool.interruption is not None]
    worst = max(known, default=0.0)
    if not known:
        notes.append("nothing is known of interruptions: all pools count as equal")
    elif len(known) < len(pools):
        missing = len(pools) - len(known)
        notes.append(
            f"{missing} of {len(pools)} pools have no interruption figure; each counts as the worst known: {worst:.0%}"
        )
    return [-log(1 - min(_of(pool.interruption, worst), _CERTAIN)) / _DAYS for pool in pools]


def _of(figure: float | None, otherwise: float) -> float:
    return otherwise if figure is None else figure


def _problem(demand: Demand, candidates: tuple[Candidate, ...], market: Market) -> Problem:
    spot = demand.capacity - demand.on_demand_capacity
    azs = {candidate.pool.az_id for candidate in candidates}
    left = {
        kind: (share * demand.capacity - demand.on_demand_capacity) / spot for kind, share in demand.survive.items()
    }
    return Problem(
        candidates=candidates,
        demand=spot,
        caps=caps.merged(demand.caps, len(azs)),
        slack=demand.slack,
        least_pools=demand.least_pools,
        least_effective_pools=demand.least_effective_pools,
        quotas=market.quotas,
        survive={kind: share for kind, share in left.items() if share > 0},
    )


def _solution(demand: Demand, problem: Problem, existing: Existing | None) -> Solution:
    if demand.mode is Mode.ALIGNED:
        if existing:
            raise UsageError(
                "equal shares cannot be reached by a small change from what runs", hint="plan free shares (mode free)"
            )
        return solve_aligned(problem, demand.unevenness)
    return solve_change(problem, existing) if existing else solve(problem)


def _pools(problem: Problem, solution: Solution) -> tuple[PlannedPool, ...]:
    planned = [
        PlannedPool(candidate.pool, count, candidate.weight)
        for candidate, count in zip(problem.candidates, solution.counts, strict=True)
        if count
    ]
    return tuple(sorted(planned, key=lambda each: (-each.capacity, each.pool.type.name, each.pool.az_id)))


def _bounds(within: Problem, likely: float) -> _Bounds:
    """The lower bounds of cost and objective."""
    objective = reserve_bound(within, lambda each: each.objective, likely)
    cost = reserve_bound(within, lambda each: each.cost, likely, objective.prices)
    return _Bounds(cost.value, objective)


def _cap_prices(problem: Problem, known: Bound) -> tuple[CapPrice, ...]:
    """What the bound falls by without the caps of a kind, and without that of a single group; the dearest first."""
    bound = lower_bound(problem, start=known.prices) if problem.survive else known
    found = []
    binding = {Group.POOL, *(kind for kind, _ in bound.prices.caps)}
    for kind, cap in problem.caps.items():
        if kind not in binding:
            continue
        others = {other: share for other, share in problem.caps.items() if other is not kind}
        left = {other: share for other, share in problem.survive.items() if other is not kind}
        without = lower_bound(replace(problem, caps=others, survive=left), start=bound.prices)
        found.append(CapPrice(kind, "", cap, bound.value - without.value))
    dearest = sorted(bound.prices.caps.items(), key=lambda item: -item[1])
    for (kind, key), _ in dearest[:_SINGLE_GROUPS]:
        if kind in problem.caps:
            without = lower_bound(problem, start=bound.prices, without=(kind, key))
            found.append(CapPrice(kind, key, problem.caps[kind], bound.value - without.value))
    nothing = abs(bound.value) * _NOTHING
    return tuple(sorted((each for each in found if each.usd_per_hour > nothing), key=lambda each: -each.usd_per_hour))


def _notes(asked: Problem, problem: Problem, existing: Existing | None) -> Iterator[str]:
    if problem.demand > asked.demand:
        yield (
            f"{problem.demand - asked.demand:.0f} units more than the demand are bought, so that enough is left when a "
            "group is lost; the caps are shares of what is bought"
        )
    if existing:
        known = {(each.pool.az_id, each.pool.type.name) for each in problem.candidates}
        foreign = sum(count for pool, count in existing.items() if pool not in known)
        if foreign:
            yield f"{foreign} running instances are in pools that are no candidates; the plan stops them"
