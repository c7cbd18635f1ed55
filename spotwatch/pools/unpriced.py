"""Spreading without prices: the pools that are interrupted least, and in turn another AZ, family and type."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

from spotwatch.core.capacity import Pool

_UNIT: Final = 0.001
"""What a unit of capacity counts besides its interruptions a day, so that no more is bought than is needed."""

_TURN: Final = 1e-6
"""What being the last in turn counts: it only decides between pools that are interrupted alike."""


def without_prices(pools: Sequence[Pool], weights: Sequence[float], rates: Sequence[float]) -> list[float]:
    """What a solver that buys the cheapest first is to take for the price of one instance of each pool.

    Args:
        pools: of which no price is known.
        weights: units of capacity of one instance.
        rates: interruptions a day.
    """
    turns = in_turn(pools)
    return [
        weight * (_UNIT + rate + _TURN * turn / len(pools))
        for weight, rate, turn in zip(weights, rates, turns, strict=True)
    ]


def in_turn(pools: Sequence[Pool]) -> list[int]:
    """The place of each pool in an order in which neighbours differ in AZ, and then in family and type.

    Newer generations come first.
    """
    by_az: defaultdict[str, list[int]] = defaultdict(list)
    for number in _families_in_turn(pools):
        by_az[pools[number].az_id].append(number)
    queues = []
    for place, az_id in enumerate(sorted(by_az)):
        shift = place * len(by_az[az_id]) // len(by_az)  # each AZ begins with other types
        queues.append(by_az[az_id][shift:] + by_az[az_id][:shift])
    places = [0] * len(pools)
    order = (number for round_ in zip_longest(*queues) for number in round_ if number is not None)
    for place, number in enumerate(order):
        places[number] = place
    return places


def _families_in_turn(pools: Sequence[Pool]) -> list[int]:
    """The pools' numbers: the smallest size of each family first, then the next of each, newer generations first."""
    sizes: defaultdict[str, set[tuple[int, str]]] = defaultdict(set)
    for pool in pools:
        sizes[pool.type.parts.family].add((pool.type.vcpus, pool.type.name))
    nth = {name: place for types in sizes.values() for place, (_, name) in enumerate(sorted(types))}

    def key(number: int) -> tuple[int, int, str]:
        kind = pools[number].type
        return nth[kind.name], -kind.parts.generation, kind.name

    return sorted(range(len(pools)), key=key)
