"""Making an allocation cheaper: exchanging one pool's instances for another's, then taking out two pools at a time."""

from itertools import combinations
from math import ceil
from typing import Final

from spotwatch.pools.allocation import Allocation
from spotwatch.pools.greedy import refill

_NOTHING: Final = 1e-10
"""Relative to the whole price: a gain as small is rounding."""

_NEAR: Final = 1.004
"""How much dearer a rebuilt allocation may be, relatively, for exchanges to be worth trying."""


def improve(allocation: Allocation) -> None:
    """Exchange instances of one pool for those of another as long as the price falls. Nothing that holds is lost."""
    units = allocation.limits.units
    changed = True
    while changed:
        changed = False
        for i in sorted(allocation.used, key=units.__getitem__, reverse=True):
            while allocation.loose(i) and _exchange(allocation, i):
                changed = True


def _exchange(allocation: Allocation, i: int) -> bool:
    """The best exchange of instances of one pool, if any makes it cheaper."""
    limits = allocation.limits
    counts, most, weights, prices, units = allocation.counts, limits.most, limits.weights, limits.prices, limits.units
    held, weight, price = allocation.loose(i), weights[i], prices[i]
    tolerance, spread = limits.tolerance, allocation.spread()
    over = -allocation.short
    limit = price / (weight - over) if over < weight else float("inf")
    best = allocation.price * _NOTHING
    move: tuple[int, int, int] | None = None
    allocation.add(i, -held)
    short = allocation.short
    free = limits.ceiling + tolerance - allocation.bought
    keep = max(0, ceil((short - tolerance) / weight))
    if keep < held and (held - keep) * price > best:
        if not spread or _holds(allocation, (i, keep)):
            best, move = (held - keep) * price, (i, 0, keep)
    for j in limits.order:
        if units[j] >= limit:
            break
        if j == i or counts[j] >= most[j]:
            continue
        head = allocation.headroom(j)
        if head <= 0:
            continue
        other = weights[j]
        enough = max(1, ceil((short - tolerance) / other))
        for count in {head, 1, 2, enough, enough - 1}:
            if not 0 < count <= head:
                continue
            keep = max(0, ceil((short - count * other - tolerance) / weight))
            gain = (held - keep) * price - count * prices[j]
            if gain > best and keep < held and keep * weight + count * other <= free:
                if _fits(allocation, j, count, i, keep, spread):
                    best, move = gain, (j, count, keep)
    if move is None:
        allocation.add(i, held)
        return False
    j, count, keep = move
    if count:
        allocation.add(j, count)
    if keep:
        allocation.add(i, keep)
    return True


def _holds(allocation: Allocation, *adds: tuple[int, int]) -> bool:
    """Whether the pools are many and even enough with these added."""
    for i, count in adds:
        allocation.add(i, count)
    holds = allocation.spread()
    for i, count in reversed(adds):
        allocation.add(i, -count)
    return holds


def _fits(allocation: Allocation, j: int, count: int, i: int, keep: int, spread: bool) -> bool:
    """Whether both fit together, and the pools stay many and even enough if they were."""
    allocation.add(j, count)
    fits = not keep or allocation.headroom(i) >= keep
    if fits and spread:
        fits = _holds(allocation, (i, keep))
    allocation.add(j, -count)
    return fits


def deepen(allocation: Allocation, tries: int) -> Allocation:
    """The cheapest found by taking instances of two pools out, filling up and exchanging; as often as `tries` at most."""
    while tries > 0:
        cheaper, tried = _rebuilt(allocation, tries)
        if cheaper is None:
            break
        allocation, tries = cheaper, tries - tried
    return allocation


def _rebuilt(allocation: Allocation, tries: int) -> tuple[Allocation | None, int]:
    """The first that is cheaper, and how many were tried."""
    limits = allocation.limits
    used = sorted(filter(allocation.loose, allocation.used), key=limits.units.__getitem__, reverse=True)
    tried = 0
    for one, two in combinations(used, 2):
        held = allocation.loose(one), allocation.loose(two)
        for counts in sorted({held, (1, 1), (held[0], 1), (1, held[1])}):
            if tried >= tries:
                return None, tried
            tried += 1
            trial = allocation.copy()
            refill(trial, {one: counts[0], two: counts[1]})
            if trial.short <= limits.tolerance and trial.price < allocation.price * _NEAR:
                improve(trial)
                if trial.price < allocation.price * (1 - _NOTHING) and trial.sufficient():
                    return trial, tried
    return None, tried
