"""Buying what is missing where it is cheapest, and repairing what the caps then leave short."""

from collections.abc import Container, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Final

from spotwatch.pools.allocation import Allocation, Limits

_BLOCKS: Final = 200
"""Into how many blocks the demand is cut when it is spread evenly: finer than any share that is asked for."""

_RAISES: Final = 12
_HALVINGS: Final = 7
"""Steps of the search for the least steepness that spreads enough."""

_VALUES: Final = (1.0, 0.4, 0.0)
"""What capacity may be taken to be worth when pools are opened: see `penalties`."""

_OPENINGS: Final = 10
_REPAIRS: Final = 20
"""Rounds at most, each of which comes nearer or ends it."""


def fill(allocation: Allocation) -> None:
    """Buy what is missing where a unit is cheapest, as far as caps allow, then close the gap at the least price.

    Afterwards the allocation may still be short: then the caps leave no room for another whole instance.
    """
    limits = allocation.limits
    weights, most, counts, tolerance = limits.weights, limits.most, allocation.counts, limits.tolerance
    short = allocation.short
    for i in limits.order:
        if short <= tolerance:
            return
        if counts[i] >= most[i] or weights[i] > short + tolerance:
            continue
        count = min(int((short + tolerance) / weights[i]), allocation.headroom(i))
        if count > 0:
            allocation.add(i, count)
            short = allocation.short
    _close(allocation)


def _close(allocation: Allocation) -> None:
    """Buy single instances that reach what is wanted, or come nearer to it."""
    limits = allocation.limits
    weights, prices, units, tolerance = limits.weights, limits.prices, limits.units, limits.tolerance
    while (short := allocation.short) > tolerance:
        most = limits.ceiling + tolerance - allocation.bought
        best, best_price = -1, float("inf")
        for i in limits.order:
            if units[i] * short >= best_price:
                break
            if weights[i] > most:
                continue
            price = prices[i] / min(1.0, weights[i] / short)
            if price < best_price and allocation.headroom(i) > 0:
                best, best_price = i, price
        if best < 0:
            return
        allocation.add(best, 1)


def fill_evenly(allocation: Allocation, steepness: float) -> None:
    """Buy what is missing where a unit is cheapest if each unit that a pool has already makes the next dearer.

    Args:
        allocation: which is filled.
        steepness: by how much one unit held makes the next dearer, USD an hour.
    """
    limits = allocation.limits
    weights, units, counts = limits.weights, limits.units, allocation.counts
    block = limits.floor / _BLOCKS
    waiting = [(units[i] + steepness * weights[i] * counts[i], i) for i in limits.order]
    heapify(waiting)
    short = allocation.short
    while waiting and short > limits.tolerance:
        _, i = heappop(waiting)
        weight = weights[i]
        count = min(max(1, int(block / weight)), int((short + limits.tolerance) / weight), allocation.headroom(i))
        if count > 0:
            allocation.add(i, count)
            short = allocation.short
            heappush(waiting, (units[i] + steepness * weight * counts[i], i))
    fill(allocation)


def start(limits: Limits) -> Allocation:
    """The first allocation: cheap, repaired, with as many pools and as even as the problem asks, if that was found."""
    allocation = _bought(limits, 0.0)
    if allocation.spread() or allocation.short > limits.tolerance:
        return allocation
    low, high = 0.0, 0.1 * max(limits.units[i] for i in allocation.used) / limits.floor
    for _ in range(_RAISES):
        allocation = _bought(limits, high)
        if allocation.spread():
            break
        low, high = high, 4 * high
    for _ in range(_HALVINGS if allocation.spread() else 0):
        middle = (low + high) / 2
        found = _bought(limits, middle)
        if found.sufficient():
            allocation, high = found, middle
        else:
            low = middle
    return allocation


def _bought(limits: Limits, steepness: float) -> Allocation:
    """Bought so evenly, with as many pools as the problem asks, if that was found."""
    allocation = _filled(Allocation.kept(limits), steepness)
    if len(allocation.used) >= limits.problem.least_pools or allocation.short > limits.tolerance:
        return allocation
    opened = [_opened(limits, allocation, steepness, share) for share in _VALUES]
    enough = [each for each in opened if each.short <= limits.tolerance]
    return min(
        enough, key=lambda each: (-min(len(each.used), limits.problem.least_pools), each.price), default=allocation
    )


def _opened(limits: Limits, allocation: Allocation, steepness: float, value: float) -> Allocation:
    """Another allocation, which begins with one instance each of pools that this one does not use."""
    opened, least, count = allocation, limits.problem.least_pools, 0
    dearness = penalties(allocation, value)
    for _ in range(_OPENINGS):
        if len(opened.used) >= least or opened.short > limits.tolerance:
            break
        count += least - len(opened.used)
        opened = Allocation.kept(limits)
        open_pools(opened, count, dearness, allocation.used)
        opened = _filled(opened, steepness)
    return opened


def _filled(allocation: Allocation, steepness: float) -> Allocation:
    if steepness:
        fill_evenly(allocation, steepness)
    else:
        fill(allocation)
    repair(allocation)
    return allocation


def penalties(allocation: Allocation, value: float = 1.0) -> list[float]:
    """What one instance of each candidate costs more than the capacity of an allocation that it stands in for.

    Args:
        allocation: which.
        value: that capacity's price: from 0, the mean of what is used, to 1, the dearest.
    """
    limits = allocation.limits
    mean = allocation.price / allocation.bought if allocation.bought else 0.0
    dearest = max((limits.units[i] for i in allocation.used), default=0.0)
    unit = mean + value * (dearest - mean)
    return [price - unit * weight for price, weight in zip(limits.prices, limits.weights, strict=True)]


def open_pools(allocation: Allocation, count: int, dearness: Sequence[float], without: Container[int]) -> None:
    """Add one instance each of so many pools that are not used, the least dear first, and leave room for the others."""
    limits, left = allocation.limits, count
    smallest = min((limits.weights[i] for i in limits.order), default=0.0)
    for i in sorted(limits.order, key=dearness.__getitem__):
        if left <= 0:
            return
        wanted = allocation.bought + limits.weights[i] + smallest * (left - 1)
        if i not in without and i not in allocation.used and wanted <= limits.ceiling and allocation.headroom(i):
            allocation.add(i, 1)
            left -= 1


def repair(allocation: Allocation) -> None:
    """Where caps leave it short: take a pool back, fill up with others, and so on while that brings it nearer."""
    for _ in range(_REPAIRS):
        if allocation.short <= allocation.limits.tolerance or not _repaired(allocation):
            return


def _repaired(allocation: Allocation) -> bool:
    """Whether taking back one instance of a pool, or all, let others come nearer to what is wanted."""
    short, counts, units = allocation.short, allocation.counts[:], allocation.limits.units
    for i in sorted(allocation.used, key=units.__getitem__, reverse=True):
        for count in sorted({1, allocation.loose(i)} if allocation.loose(i) else ()):
            refill(allocation, {i: count})
            if allocation.short < short - allocation.limits.tolerance:
                return True
            allocation.restore(counts)
    return False


def refill(allocation: Allocation, without: Mapping[int, int]) -> None:
    """Take instances back and fill up with others; then, if it is short, with the same again."""
    most = allocation.limits.most
    kept = {i: most[i] for i in without}
    for i, count in without.items():
        allocation.add(i, -count)
        most[i] = allocation.counts[i]
    fill(allocation)
    for i, count in kept.items():
        most[i] = count
    fill(allocation)
