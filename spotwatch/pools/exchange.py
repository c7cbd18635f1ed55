"""Making an allocation cheaper: exchanging one pool's instances for another's, then taking out two pools at a time."""

from collections.abc import Iterator
from heapq import nsmallest
from itertools import chain, combinations, zip_longest
from math import ceil
from random import Random
from typing import Final

from spotwatch.pools.allocation import Allocation
from spotwatch.pools.greedy import fill, open_pools, penalties, refill

_NOTHING: Final = 1e-10
"""Relative to the whole price: a gain as small is rounding."""

_DEARER: Final = 2.5
"""How much dearer by the unit what is put in a pool's place may be: more is worth it only for tiny plans."""

Move = tuple[tuple[int, int], ...]
"""Instances to add, by candidate."""

_REBUILDING: Final = 4
"""What rebuilding counts, in exchanges that are looked for."""

_SEED: Final = 7
"""The same problem always has the same plan."""

_SHAKEN: Final = (3, 6)
"""How many pools are taken out by chance."""

_INCOMING: Final = 40
"""How many pools are tried in the place of others."""

_NEAR: Final = 1.02
"""How much dearer a rebuilt allocation may be, relatively, for exchanges to be worth trying."""


def improve(allocation: Allocation) -> int:
    """Exchange instances of one pool for those of another as long as the price falls. Nothing that holds is lost.

    Returns how many exchanges were looked for.
    """
    units = allocation.limits.units
    changed, looked = True, 0
    while changed:
        changed = False
        for i in sorted(allocation.used, key=units.__getitem__, reverse=True):
            while allocation.loose(i) and _exchange(allocation, i):
                changed, looked = True, looked + 1
            looked += 1
    return looked


def _exchange(allocation: Allocation, i: int) -> bool:
    """Do the best exchange of instances of one pool, if any makes it cheaper."""
    held, spread, over = allocation.loose(i), allocation.spread(), -allocation.short
    allocation.add(i, -held)
    move = _best_exchange(allocation, i, held, over, spread)
    if move is None:
        allocation.add(i, held)
        return False
    for j, count in move:
        allocation.add(j, count)
    return True


def _best_exchange(allocation: Allocation, i: int, held: int, over: float, spread: bool) -> Move | None:
    """What to add once all instances of a pool are taken out, so that it is cheaper than with them.

    Args:
        allocation: without them.
        i: the pool.
        held: how many it had.
        over: units that were bought more than wanted, with them.
        spread: whether the pools were many and even enough with them, and have to stay so.
    """
    limits = allocation.limits
    weights, prices, units, tolerance = limits.weights, limits.prices, limits.units, limits.tolerance
    counts, most, headroom = allocation.counts, limits.most, allocation.headroom
    weight, price, short = weights[i], prices[i], allocation.short - tolerance
    free = limits.ceiling + tolerance - allocation.bought
    dearest = units[i] * min(_DEARER, weight / (weight - over) if over < weight else _DEARER)
    best = allocation.price * _NOTHING
    move: Move | None = None
    keep = max(0, ceil(short / weight))
    if (held - keep) * price > best and (not spread or _holds(allocation, ((i, keep),))):
        best, move = (held - keep) * price, ((i, keep),)
    for j in limits.order:
        if units[j] >= dearest:
            break
        if counts[j] >= most[j] or j == i or prices[j] >= held * price - best or (head := headroom(j)) <= 0:
            continue
        other = weights[j]
        enough = ceil(short / other)
        for count in {1, 2, head, enough, enough - 1}:
            if 0 < count <= head:
                keep = max(0, ceil((short - count * other) / weight))
                gain = (held - keep) * price - count * prices[j]
                if gain > best and keep * weight + count * other <= free:
                    adds = ((j, count), (i, keep))
                    if _fits(allocation, adds) and (not spread or _holds(allocation, adds)):
                        best, move = gain, adds
    return move


def _holds(allocation: Allocation, adds: Move) -> bool:
    """Whether the pools are many and even enough with these added."""
    for i, count in adds:
        allocation.add(i, count)
    holds = allocation.spread()
    for i, count in adds:
        allocation.add(i, -count)
    return holds


def _fits(allocation: Allocation, adds: tuple[tuple[int, int], tuple[int, int]]) -> bool:
    """Whether the caps allow both together, if they allow the first."""
    (j, count), (i, keep) = adds
    if not keep:
        return True
    allocation.add(j, count)
    fits = allocation.headroom(i) >= keep
    allocation.add(j, -count)
    return fits


def deepen(allocation: Allocation, effort: int) -> Allocation:
    """The cheapest found by rebuilding parts of it and exchanging, until `effort` exchanges were looked for."""
    chance = Random(_SEED)  # noqa: S311 (it keeps no secret)
    trials = _trials(allocation, chance)
    while effort > 0 and (trial := next(trials, None)) is not None:
        effort -= _REBUILDING
        if trial.short > trial.limits.tolerance or trial.price > allocation.price * _NEAR:
            continue
        effort -= improve(trial)
        if trial.price < allocation.price * (1 - _NOTHING) and trial.sufficient():
            allocation = trial
            trials = _trials(allocation, chance)
    return allocation


def _trials(allocation: Allocation, chance: Random) -> Iterator[Allocation]:
    return chain(_rebuilt(allocation), _shaken(allocation, chance))


def _rebuilt(allocation: Allocation) -> Iterator[Allocation]:
    """With other pools: by turns one pool in another's place, and two pools' instances replaced by the cheapest."""
    return (trial for pair in zip_longest(_replaced(allocation), _refilled(allocation)) for trial in pair if trial)


def _replaced(allocation: Allocation) -> Iterator[Allocation]:
    """One instance of another pool in the place of one, or all, of a pool; the most promising first."""
    limits, counts, dearness = allocation.limits, allocation.counts, penalties(allocation)
    incoming = nsmallest(_INCOMING, (j for j in limits.order if counts[j] < limits.most[j]), key=dearness.__getitem__)
    outgoing = [(i, count) for i in allocation.used for count in sorted({1, allocation.loose(i)}) if count]
    swaps = [(dearness[j] - count * dearness[i], j, i, count) for j in incoming for i, count in outgoing if i != j]
    for _, j, i, count in sorted(swaps):
        trial = allocation.copy()
        trial.add(i, -count)
        if trial.headroom(j):
            trial.add(j, 1)
            fill(trial)
            yield trial


def _refilled(allocation: Allocation) -> Iterator[Allocation]:
    """Without instances of two pools, and filled up with others."""
    limits, dearness = allocation.limits, penalties(allocation)
    used = sorted(filter(allocation.loose, allocation.used), key=dearness.__getitem__, reverse=True)
    for one, two in combinations(used, 2):
        held = allocation.loose(one), allocation.loose(two)
        for counts in sorted({held, (1, 1), (held[0], 1), (1, held[1])}):
            trial = allocation.copy()
            trial.add(one, -counts[0])
            trial.add(two, -counts[1])
            open_pools(trial, limits.problem.least_pools - len(trial.used), dearness, (one, two))
            trial.add(one, counts[0])
            trial.add(two, counts[1])
            refill(trial, {one: counts[0], two: counts[1]})
            yield trial


def _shaken(allocation: Allocation, chance: Random) -> Iterator[Allocation]:
    """Without several pools picked by chance, and filled up with others; without end."""
    limits = allocation.limits
    used = sorted(filter(allocation.loose, allocation.used))
    while used:
        dearness = penalties(allocation, chance.random())
        spread = sum(abs(dearness[i]) for i in used) / len(used)
        out = {i: allocation.loose(i) for i in chance.sample(used, min(len(used), chance.randint(*_SHAKEN)))}
        trial = allocation.copy()
        for i, count in out.items():
            trial.add(i, -count)
        noisy = [penalty + chance.uniform(0, spread) for penalty in dearness]
        open_pools(trial, limits.problem.least_pools - len(trial.used), noisy, out)
        for i, count in out.items():
            trial.add(i, count)
        refill(trial, out)
        yield trial
