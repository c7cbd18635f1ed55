"""The pools that a plan may choose from: those of the market that a selection leaves."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from spotwatch.core.capacity import InstanceType, Market, Pool
from spotwatch.core.errors import UsageError
from spotwatch.pools.demand import Selection
from spotwatch.pools.near import near

NO_SPOT: Final = frozenset({"t2", "c8ine", "m8ine"})
"""Families that nobody can have as Spot Instances although some answers of DescribeInstanceTypes say so."""

NO_SPOT_CLASSES: Final = frozenset({"hpc", "mac", "u"})
"""Classes likewise."""

BURSTABLE_CLASS: Final = "t"

MIB_PER_GIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Removed:
    """How many instance types a filter has removed from what the filters before it had left, and because of what."""

    because: str
    types: int


Filter = tuple[str, Callable[[InstanceType], bool]]
"""What is wrong with the types that it removes, in words; and whether it leaves a type."""


def candidates(market: Market, selection: Selection) -> tuple[Pool, ...]:
    """The pools that the selection leaves, by type and AZ id, with what the market knows of each.

    Raises:
        UsageError: a name in the selection does not exist in the region; or nothing is left, and it says which filter
            has removed how many types.
    """
    _check(market, selection)
    filters = _filters(selection)
    wanted = set(selection.az_ids)
    pools = tuple(
        _pool(market, az_id, kind)
        for name, az_ids in sorted(market.offerings.items())
        if all(leaves(kind := market.types[name]) for _, leaves in filters)
        for az_id in az_ids
        if not wanted or az_id in wanted
    )
    if not pools:
        raise _nothing(market, selection)
    return pools


def why_none(market: Market, selection: Selection) -> tuple[Removed, ...]:
    """What each filter removes, in the order in which they are applied; filters that remove nothing are left out."""
    left = [market.types[name] for name in market.offerings]
    steps = []
    for because, leaves in (*_filters(selection), _az_filter(market, selection)):
        remaining = [kind for kind in left if leaves(kind)]
        if len(remaining) < len(left):
            steps.append(Removed(because, len(left) - len(remaining)))
        left = remaining
    return tuple(steps)


def architectures(pools: Iterable[Pool]) -> tuple[str, ...]:
    """The architectures that the pools need: an AMI is of one, so that each needs a launch template of its own."""
    return tuple(sorted({architecture(pool.type) for pool in pools}))


def architecture(kind: InstanceType) -> str:
    """The architecture that an AMI for the type is best of: the 64-bit one where it has two."""
    return next((name for name in kind.architectures if name != "i386"), kind.architectures[0])


def _pool(market: Market, az_id: str, kind: InstanceType) -> Pool:
    key = az_id, kind.name
    return Pool(
        az_id,
        kind,
        usd_per_hour=market.spot_prices.get(key),
        on_demand_usd_per_hour=market.on_demand_prices.get(kind.name),
        interruption=market.interruptions.get(kind.name),
        placement_score=market.placement_scores.get(az_id),
        usd_is_estimate=key in market.estimated_spot_prices,
        on_demand_is_estimate=kind.name in market.estimated_on_demand_prices,
    )


def _filters(selection: Selection) -> list[Filter]:
    """From what is in the nature of a type to what somebody has written, so that a refusal names the likely cause."""
    return [
        ("cannot be had as Spot Instances", has_spot),
        *_by_name(selection),
        *_by_kind(selection),
        *_by_size(selection),
    ]


def has_spot(kind: InstanceType) -> bool:
    """Whether the type can be had as a Spot Instance."""
    parts = kind.parts
    return kind.spot and parts.instance_class not in NO_SPOT_CLASSES and parts.family not in NO_SPOT


def is_burstable(kind: InstanceType) -> bool:
    """Whether the type gives its full performance on credit only: all of class t, though t8i is not described so."""
    return kind.burstable or kind.parts.instance_class == BURSTABLE_CLASS


def _by_name(selection: Selection) -> Iterable[Filter]:
    if selection.classes:
        yield (
            f"are of another class than {_or(selection.classes)}",
            lambda kind: kind.parts.instance_class in selection.classes,
        )
    if selection.families:
        yield (
            f"are of another family than {_or(selection.families)}",
            lambda kind: kind.parts.family in selection.families,
        )
    if selection.generations:
        yield (
            f"are of another generation than {_or(map(str, selection.generations))}",
            lambda kind: kind.parts.generation in selection.generations,
        )
    if selection.sizes:
        yield f"are of another size than {_or(selection.sizes)}", lambda kind: kind.parts.size in selection.sizes
    if selection.allow:
        yield f"are not allowed by {_or(selection.allow)}", lambda kind: _matches(kind.name, selection.allow)
    if selection.deny:
        yield f"are denied by {_or(selection.deny)}", lambda kind: not _matches(kind.name, selection.deny)


def _by_kind(selection: Selection) -> Iterable[Filter]:
    if selection.architectures:
        yield (
            f"are not for {_or(selection.architectures)}",
            lambda kind: bool(set(kind.architectures) & set(selection.architectures)),
        )
    if not selection.bare_metal:
        yield "are bare metal", lambda kind: not kind.bare_metal
    if selection.hypervisors:  # bare metal has none, and is asked for by its own switch
        yield (
            f"are not on the hypervisor {_or(selection.hypervisors)}",
            lambda kind: kind.bare_metal or kind.hypervisor in selection.hypervisors,
        )
    if not selection.burstable:
        yield "are burstable", lambda kind: not is_burstable(kind)
    if not selection.flex:
        yield "are flex", lambda kind: not kind.flex
    if not selection.accelerators:
        yield "have accelerators", lambda kind: not kind.accelerators
    if selection.local_disk is not None:
        yield (
            f"have {'no ' if selection.local_disk else ''}local disks",
            lambda kind: kind.local_disk == selection.local_disk,
        )


def _by_size(selection: Selection) -> Iterable[Filter]:
    least, most = selection.least_gib_per_vcpu, selection.most_gib_per_vcpu
    yield (
        f"have fewer than {selection.least_vcpus} or more than {selection.most_vcpus} vCPU",
        lambda kind: selection.least_vcpus <= kind.vcpus <= selection.most_vcpus,
    )
    if least is not None:
        yield f"have less than {least:g} GiB per vCPU", lambda kind: gib_per_vcpu(kind) >= least
    if most is not None:
        yield f"have more than {most:g} GiB per vCPU", lambda kind: gib_per_vcpu(kind) <= most


def gib_per_vcpu(kind: InstanceType) -> float:
    """Memory, in GiB for each vCPU."""
    return kind.memory_mib / MIB_PER_GIB / kind.vcpus


def _az_filter(market: Market, selection: Selection) -> Filter:
    wanted = set(selection.az_ids)
    return (
        f"are not offered in {_or(selection.az_ids)}",
        lambda kind: not wanted or not wanted.isdisjoint(market.offerings[kind.name]),
    )


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _or(words: Iterable[str]) -> str:
    return " or ".join(words)


def _nothing(market: Market, selection: Selection) -> UsageError:
    steps = [f"{step.types} {step.because}" for step in why_none(market, selection)]
    return UsageError(
        f"no Spot capacity pool of {market.region} is left of {len(market.offerings)} instance types: "
        f"{', then '.join(steps) or 'none is offered'}",
        hint="loosen the filter that removes the most of what you want",
    )


def _check(market: Market, selection: Selection) -> None:
    """Every name that is written exists in the region: a typing mistake must not silently narrow the plan."""
    parts = [market.types[name].parts for name in market.offerings]
    _check_names("instance class", market, selection.classes, {part.instance_class for part in parts})
    _check_names("instance family", market, selection.families, {part.family for part in parts})
    _check_names("generation", market, map(str, selection.generations), {str(part.generation) for part in parts})
    _check_names("size", market, selection.sizes, {part.size for part in parts})
    zones = {az_id for az_ids in market.offerings.values() for az_id in az_ids}
    _check_names("AZ id", market, selection.az_ids, zones, by_name={v: k for k, v in market.az_names.items()})
    types = market.types.values()
    if selection.architectures:
        known = {name for kind in types for name in kind.architectures}
        _check_names("architecture", market, selection.architectures, known)
    if selection.hypervisors:
        _check_names("hypervisor", market, selection.hypervisors, {"nitro", "xen"})
    for pattern in selection.allow:
        if not any(fnmatchcase(name, pattern) for name in market.offerings):
            raise _unknown("instance type", market, pattern, market.offerings)


def _check_names(
    what: str, market: Market, written: Iterable[str], known: Iterable[str], by_name: Mapping[str, str] | None = None
) -> None:
    names = set(known)
    for name in written:
        if name in (by_name or {}):
            raise UsageError(f'"{name}" is the name of an AZ', hint=f"write its id, {(by_name or {})[name]}")
        if name not in names:
            raise _unknown(what, market, name, names)


def _unknown(what: str, market: Market, name: str, known: Iterable[str]) -> UsageError:
    return UsageError(f'no {what} "{name}" is offered in {market.region}', hint=near(name, known))
