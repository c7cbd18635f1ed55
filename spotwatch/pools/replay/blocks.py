"""More pools than a trace has: each pool-week of it is taken as a pool of its own.

A trace of 9 AZs over 45 days has 54 whole pool-weeks. A plan of K = 20 pools is replayed through 20 of them, all laid
over the same week. Which 20 is left to chance, and chance to a hash, so that everybody draws the same ones: draw d
takes the K pool-weeks with the lowest BLAKE2b hash of "d/name of the pool-week", in that order. One draw may be lucky;
so several are made, and the worst of them is told beside the middle one.

Weeks of one AZ are as alike as that AZ is to itself, so K pool-weeks are not the same as K types in K AZs. Two AZs in
the same week keep what they have in common; the same AZ in two weeks has nothing in common but its habits.
"""

from hashlib import blake2b
from typing import Final

from spotwatch.core.errors import UsageError
from spotwatch.pools.replay.trace import PoolTrace, Trace

WEEK_SECONDS: Final = 7 * 86_400.0
"""A block is a week, so that the hours of the day and the days of the week of all pools lie over each other."""

DRAWS: Final = 10
"""So many, that the worst of them is rare luck, and so few, that all strategies are compared in seconds."""


def pool_weeks(trace: Trace, seconds: float = WEEK_SECONDS) -> tuple[PoolTrace, ...]:
    """Every whole block of every pool, named `POOL week 1`, …; what remains at the end is left out."""
    return tuple(
        pool.cut(number * seconds, (number + 1) * seconds, f"{pool.name} week {number + 1}")
        for pool in trace.pools
        for number in range(int(pool.seconds // seconds))
    )


def blocks(trace: Trace, k: int, *, draws: int = DRAWS, seconds: float = WEEK_SECONDS) -> tuple[Trace, ...]:
    """`draws` traces of K pools each, drawn from the pool-weeks as the module says: the same ones on every machine.

    Raises:
        UsageError: the trace has fewer than `k` whole blocks, or nothing is asked for.
    """
    pools = pool_weeks(trace, seconds)
    if k < 1 or draws < 1:
        raise UsageError("a replay needs at least one pool and one draw", hint="ask for 1 or more of each")
    if k > len(pools):
        raise UsageError(
            f"{trace.name} has {len(pools)} blocks of {seconds / 86_400:g} days, and {k} pools are asked for",
            hint=f"ask for at most {len(pools)} pools, or give a longer trace",
        )
    return tuple(Trace(f"{trace.name} draw {draw + 1}", _draw(pools, k, draw)) for draw in range(draws))


def _draw(pools: tuple[PoolTrace, ...], k: int, draw: int) -> tuple[PoolTrace, ...]:
    return tuple(sorted(pools, key=lambda pool: blake2b(f"{draw}/{pool.name}".encode()).digest())[:k])
