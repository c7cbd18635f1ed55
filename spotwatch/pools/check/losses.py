"""What a configuration can lose at once: with one pool, type, family, generation or AZ.

Two figures each. `worst` is the largest share of the Spot capacity that the allocation strategies allow to be in one
group; `even` is its share when the capacity is spread as evenly as the strategies allow. What each strategy does:

- `diversified`: the target is dealt out evenly over all pools, each rounded up to whole instances. How many these are
  is known, so that where all types are, their vCPU are compared: weights need not be vCPU.
- `lowest-price` over N pools (1 where nothing is said; 2 in each AZ of an Auto Scaling group): evenly over the N
  cheapest, whichever these are; so a group with m of the pools holds up to min(m, N) / N.
- `capacity-optimized`, `price-capacity-optimized`: everything may be in one pool.
- An Auto Scaling group balances its AZs first, and the strategy acts inside each AZ.
- A Karpenter NodePool holds up to its limit, all of it in any one of its types and AZs.

Sources: Amazon EC2 User Guide, allocation strategies for EC2 Fleet; Amazon EC2 Auto Scaling User Guide, allocation
strategies for multiple instance types; Karpenter documentation, NodePools. Each holds while its pools have capacity: a
fleet that finds a pool empty buys the difference from its others.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from spotwatch.core.capacity import Group, InstanceType
from spotwatch.pools.limits.configuration import Configuration, Fleet, Kind, azs_of
from spotwatch.pools.limits.offered import parts

UNKNOWN: Final = "unknown"
"""The key of what the file does not name: an AZ, or a type that AWS selects by attributes."""

_DEFAULT_POOLS: Final = {Kind.EC2_FLEET: 1, Kind.SPOT_FLEET: 1, Kind.AUTO_SCALING_GROUP: 2}
"""Over how many pools `lowest-price` spreads where nothing is said (API references)."""

_ROUNDING: Final = 1e-9
"""Floats that should be whole may be this much above it."""


_LEAST_WEIGHT: Final = 1e-6
"""What a weight of 0 or less, which the limits find, counts as."""


@dataclass(frozen=True, slots=True)
class Loss:
    """The most that is lost at once with one group of a kind.

    Attributes:
        group: which kind.
        worst: a share of the Spot capacity, 0 to 1.
        worst_key: which group that is; of several, the first.
        even: the same, spread as evenly as the strategies allow; None if the sizes of the fleets are not known.
        even_key: which group that is.
    """

    group: Group
    worst: float
    worst_key: str
    even: float | None
    even_key: str


@dataclass(frozen=True, slots=True)
class Losses:
    """All losses, the unit in which fleets are compared, and what was assumed."""

    losses: tuple[Loss, ...]
    unit: str
    assumptions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Member:
    """A pool of a fleet."""

    az: str
    instance_type: str
    weight: float
    vcpus: int | None

    def key(self, group: Group) -> str:
        name = parts(self.instance_type)
        az = self.az or UNKNOWN
        match group:
            case Group.POOL:
                return f"{az} {self.instance_type or UNKNOWN}"
            case Group.TYPE:
                return self.instance_type or UNKNOWN
            case Group.FAMILY:
                return UNKNOWN if name is None else name.family
            case Group.GENERATION:
                return UNKNOWN if name is None else str(name.generation)
            case Group.AZ:
                return az


def losses_of(configuration: Configuration, types: Mapping[str, InstanceType]) -> Losses:
    """What can be lost at once; without Spot capacity, nothing.

    Args:
        configuration: what was read.
        types: instance types by name, to compare fleets that count in different units.
    """
    spot = [fleet for fleet in configuration.fleets if fleet.spot is None or fleet.spot > 0]
    members = [(fleet, _members(fleet, configuration, types)) for fleet in spot]
    members = [(fleet, pools) for fleet, pools in members if pools]
    if not members:
        return Losses((), "", ("there is no Spot capacity in it",))
    unit = _unit(members)
    unsized = [(fleet, pools) for fleet, pools in members if fleet.spot is None]
    if unsized and len(members) > 1:
        losses = tuple(_loss_of_unsized(group, unsized, unit) for group in Group)
    else:
        losses = tuple(_loss(group, members, unit) for group in Group)
    return Losses(losses, unit, tuple(_assumptions(members, unit, len(members) > 1 and bool(unsized))))


def _members(fleet: Fleet, configuration: Configuration, types: Mapping[str, InstanceType]) -> list[_Member]:
    group_azs = tuple(dict.fromkeys(configuration.subnet_azs.get(az, az) for az in fleet.azs)) or ("",)
    members = []
    for override in fleet.overrides:
        azs = group_azs if fleet.kind is Kind.AUTO_SCALING_GROUP else azs_of(override, configuration)
        weight = 1.0 if override.weight is None else max(override.weight, _LEAST_WEIGHT)
        known = types.get(override.instance_type)
        members += [_Member(az, override.instance_type, weight, known.vcpus if known else None) for az in azs]
    return members


def _loss(group: Group, members: list[tuple[Fleet, list[_Member]]], unit: str) -> Loss:
    worst: defaultdict[str, float] = defaultdict(float)
    even: defaultdict[str, float] = defaultdict(float)
    sizes = [_size(fleet, pools, unit) for fleet, pools in members]
    total = sum(sizes)
    for (fleet, pools), size in zip(members, sizes, strict=True):
        for key, (most, evenly) in _fractions(fleet, pools, group, unit).items():
            worst[key] += most * size / total
            even[key] += evenly * size / total
    worst_key, even_key = _largest(worst), _largest(even)
    return Loss(group, min(1.0, worst[worst_key]), worst_key, min(1.0, even[even_key]), even_key)


def _loss_of_unsized(group: Group, unsized: list[tuple[Fleet, list[_Member]]], unit: str) -> Loss:
    worst: dict[str, float] = {}
    for fleet, pools in unsized:
        for key, (most, _) in _fractions(fleet, pools, group, unit).items():
            worst[key] = max(worst.get(key, 0.0), most)
    key = _largest(worst)
    return Loss(group, worst[key], key, None, "")


def _largest(shares: Mapping[str, float]) -> str:
    return min(shares, key=lambda key: (-round(shares[key], 12), key))


def _fractions(fleet: Fleet, pools: list[_Member], group: Group, unit: str) -> dict[str, tuple[float, float]]:
    """The fraction of a fleet that each group holds: at worst, and evenly."""
    if fleet.kind is not Kind.AUTO_SCALING_GROUP:
        return _spread(fleet, pools, group, unit)
    by_az: defaultdict[str, list[_Member]] = defaultdict(list)
    for pool in pools:
        by_az[pool.az].append(pool)
    sums: dict[str, tuple[float, float]] = {}
    for members in by_az.values():
        for key, (most, evenly) in _spread(fleet, members, group, unit).items():
            before = sums.get(key, (0.0, 0.0))
            sums[key] = (before[0] + most / len(by_az), before[1] + evenly / len(by_az))
    return sums


def _spread(fleet: Fleet, pools: list[_Member], group: Group, unit: str) -> dict[str, tuple[float, float]]:
    keys = [pool.key(group) for pool in pools]
    if _is_diversified(fleet):
        return _diversified(fleet, pools, keys, unit)
    used = _pools_used(fleet, len(pools))
    return {key: (min(keys.count(key), used) / used, keys.count(key) / len(keys)) for key in dict.fromkeys(keys)}


def _pools_used(fleet: Fleet, pools: int) -> int:
    """Over how many pools the strategy spreads at least."""
    if fleet.strategy in ("lowest-price", "") and fleet.kind in _DEFAULT_POOLS:
        return max(1, min(fleet.pools_to_use or _DEFAULT_POOLS[fleet.kind], pools))
    return 1


def _is_diversified(fleet: Fleet) -> bool:
    return fleet.strategy == "diversified" and fleet.is_fleet


def _diversified(fleet: Fleet, pools: list[_Member], keys: list[str], unit: str) -> dict[str, tuple[float, float]]:
    inside = unit if unit == "vCPU" else "units"
    amounts = [1.0] * len(pools) if fleet.spot is None else _amounts(_instances(fleet, pools), pools, inside)
    total = sum(amounts)
    sums: defaultdict[str, float] = defaultdict(float)
    for key, amount in zip(keys, amounts, strict=True):
        sums[key] += amount / total
    return {key: (fraction, fraction) for key, fraction in sums.items()}


def _instances(fleet: Fleet, pools: list[_Member]) -> list[float]:
    """Of each pool, if the target is spread evenly."""
    share = (fleet.spot or 0.0) / len(pools)
    if _is_diversified(fleet):
        return [math.ceil(share / pool.weight - _ROUNDING) for pool in pools]
    return [share / pool.weight for pool in pools]


def _amounts(instances: list[float], pools: list[_Member], unit: str) -> list[float]:
    """What so many instances of each pool are in the unit."""
    if unit == "instances":
        return instances
    of_one = [pool.weight if unit == "units" else pool.vcpus or 0 for pool in pools]
    return [number * each for number, each in zip(instances, of_one, strict=True)]


def _unit(members: list[tuple[Fleet, list[_Member]]]) -> str:
    known = all(pool.vcpus is not None for _, pools in members for pool in pools)
    if all(fleet.kind is Kind.NODE_POOL for fleet, _ in members):
        return "vCPU"
    if known and all(_is_diversified(fleet) for fleet, _ in members):
        return "vCPU"
    if all(_weighted(fleet) for fleet, _ in members):
        return "units"
    return "vCPU" if known else "instances"


def _weighted(fleet: Fleet) -> bool:
    return fleet.kind is Kind.NODE_POOL or all(override.weight is not None for override in fleet.overrides)


def _size(fleet: Fleet, pools: list[_Member], unit: str) -> float:
    """The Spot capacity of a fleet, spread evenly, in the common unit."""
    if fleet.spot is None or fleet.kind is Kind.NODE_POOL or unit == "units":
        return 1.0 if fleet.spot is None else fleet.spot
    return sum(_amounts(_instances(fleet, pools), pools, unit))


def _assumptions(members: list[tuple[Fleet, list[_Member]]], unit: str, unsized: bool) -> Iterator[str]:
    yield from dict.fromkeys(_assumption(fleet) for fleet, _ in members)
    if any(not pool.instance_type for _, pools in members for pool in pools):
        yield "where AWS or a launch template chooses the types, they count as one type"
    if any(not pool.az for _, pools in members for pool in pools):
        yield "where no AZ and no subnet is named, all of it counts as one AZ"
    if any(pool.az.startswith("subnet-") for _, pools in members for pool in pools):
        yield "a subnet whose AZ is not known counts as an AZ of its own"
    if unit == "instances" and len(members) > 1:
        yield "not all fleets count in the same unit, so they are compared by instances"
    if unsized:
        yield "without a target or a limit a fleet may grow over all others: it is taken for the whole"


def _assumption(fleet: Fleet) -> str:
    if fleet.kind is Kind.NODE_POOL:
        return "NodePool: up to its limit in any one of its types and AZs"
    where = "each AZ has the same share, and inside it " if fleet.kind is Kind.AUTO_SCALING_GROUP else ""
    if _is_diversified(fleet):
        return "diversified: every pool has the same share, rounded up to whole instances, while it has capacity"
    if fleet.strategy in ("lowest-price", ""):
        pools = fleet.pools_to_use or _DEFAULT_POOLS[fleet.kind]
        return f"lowest-price: {where}the {pools} cheapest pools have the same share, whichever they are"
    return f"{fleet.strategy}: {where}everything may be in one pool"
