"""What is missing when one EC2 Fleet has replaced what an aligned plan has lost.

The fleet counts each of its K pools as 1/K of its units, whatever they hold. If it loses m pools, it spreads their
units over the others, each of which then holds K / (K - m) of what was planned. So with the share s of the capacity
lost, (1 - s) K / (K - m) of it is there again: less than all where the lost pools held more than the mean. Whole
instances are rounded up, which is not counted here.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from spotwatch.core.capacity import Group
from spotwatch.pools.plan import PlannedPool

_NOTHING: Final = 1e-9
"""Relative to the mean: capacities that differ less are equal."""


def missing(pools: Sequence[PlannedPool], group: Group) -> float:
    """The largest share that is missing after one group of a kind was lost and replaced.

    A group that holds all pools is left out: nothing can replace it.
    """
    total = sum(pool.capacity for pool in pools)
    members: dict[str, list[float]] = {}
    for pool in pools:
        members.setdefault(pool.pool.key(group), []).append(pool.capacity)
    there = [
        (1 - sum(lost) / total) * len(pools) / (len(pools) - len(lost))
        for lost in members.values()
        if len(lost) < len(pools)
    ]
    return max(0.0, 1 - min(there, default=1.0))


def notes(pools: Sequence[PlannedPool]) -> Iterator[str]:
    """What a reader has to know of an aligned plan whose pools are not equal."""
    held = [pool.capacity for pool in pools]
    mean = sum(held) / len(held)
    if max(held) - min(held) <= mean * _NOTHING:
        return
    losses = ", ".join(f"{missing(pools, group):.1%} after one {group.word}" for group in Group)
    yield (
        f"pools hold {min(held):g} to {max(held):g}, and the fleet counts them alike: when it has replaced what was "
        f"lost, up to so much is missing: {losses}; whatever is lost, no more than {1 - min(held) / mean:.1%}"
    )
