"""Replays a plan: its pools take the place of a trace's, by rank.

The pools of a trace are other types in other AZs than those of a plan, so nothing says which stands for which. By rank
means: the planned pool with the largest capacity is lost and comes back when the first pool of the trace does, the
second with the second, and so on; in a draw of blocks the order is chance. What a replay tells of a plan is therefore
how its shares and its policy bear losses like those in the trace, not what those very pools will do.
"""

from collections.abc import Sequence
from dataclasses import replace

from spotwatch.core.errors import UsageError
from spotwatch.pools.plan import Plan, PlannedPool
from spotwatch.pools.replay.engine import replay
from spotwatch.pools.replay.measure import Measures
from spotwatch.pools.replay.policy import Policy, SoftCaps
from spotwatch.pools.replay.trace import PoolTrace, Trace


def planned_trace(plan: Plan, trace: Trace, mapping: Sequence[int] | None = None) -> Trace:
    """A trace with one pool for each planned one, the largest first, named and priced as the plan says.

    Args:
        plan: with at least one pool.
        trace: with at least as many pools as the plan; `blocks` makes more out of few.
        mapping: for each planned pool, the number of the trace's pool that stands for it; None: by rank.

    Raises:
        UsageError: the plan has no pools, the trace too few, or the mapping does not give each its own.
    """
    planned = _by_rank(plan)
    numbers = tuple(range(len(planned))) if mapping is None else tuple(mapping)
    if not planned:
        raise UsageError("the plan has no pools", hint="replay a plan that holds Spot capacity")
    if len(planned) > len(trace.pools):
        raise UsageError(
            f"the plan has {len(planned)} pools and {trace.name} {len(trace.pools)}",
            hint="replay it through blocks of a longer trace, or plan fewer pools",
        )
    if len(set(numbers)) != len(planned) or not set(numbers) <= set(range(len(trace.pools))):
        raise UsageError(
            "the mapping does not give each planned pool a pool of the trace of its own",
            hint=f"name {len(planned)} different numbers from 0 to {len(trace.pools) - 1}",
        )
    pools = tuple(_as_planned(each, trace.pools[number]) for each, number in zip(planned, numbers, strict=True))
    return Trace(trace.name, pools)


def planned_shares(plan: Plan) -> tuple[float, ...]:
    """The capacity of each planned pool in units, the largest first: the shares for `SoftCaps` and `Static`."""
    return tuple(each.capacity for each in _by_rank(plan))


def replay_plan(
    plan: Plan,
    trace: Trace,
    mapping: Sequence[int] | None = None,
    *,
    policy: Policy | None = None,
    over_provisioning: float = 1.0,
) -> Measures:
    """Replays a plan with its run-time policy. The target is the plan's Spot capacity.

    Raises:
        UsageError: as `planned_trace` and `replay`.
    """
    policy = policy or Policy()
    shares = planned_shares(plan)
    pools = planned_trace(plan, trace, mapping)
    return replay(pools, SoftCaps(policy, shares), sum(shares), over_provisioning, launch_seconds=policy.launch_seconds)


def _by_rank(plan: Plan) -> list[PlannedPool]:
    """The pools of a plan that hold something, the largest first."""
    return sorted((each for each in plan.pools if each.capacity > 0.0), key=lambda each: -each.capacity)


def _as_planned(planned: PlannedPool, pool: PoolTrace) -> PoolTrace:
    """The record of a pool of the trace with what the plan knows: its name, price of a unit and band."""
    price = planned.pool.usd_per_hour
    return replace(
        pool,
        name=f"{planned.pool.az_id} {planned.pool.type.name}",
        prices=() if price is None else ((0.0, price / planned.weight),),
        interruption=planned.pool.interruption,
    )
