"""What is not to be had: types without Spot, a legacy AZ, quotas; and what one launch template can start."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from spotwatch.core.capacity import InstanceType, TypeName
from spotwatch.pools.limits.configuration import Configuration, Fleet, Kind, Override
from spotwatch.pools.limits.rule import Breach, Facts, Rule, Severity
from spotwatch.pools.quota import quota_class

LEGACY_AZ: Final = "use1-az3"
_LEGACY_LAST_GENERATION: Final = 4
"""The last generation of c, m and r that it has; they are Xen."""

_NO_SPOT_CLASSES: Final = ("hpc", "mac", "u")
_NO_SPOT_FAMILIES: Final = frozenset({"t2", "c8ine", "m8ine"})

_TYPES: Final = "EC2 API, DescribeInstanceTypes"
_TEMPLATES: Final = "Amazon EC2 User Guide, launch templates: one AMI, one architecture"


def parts(name: str) -> TypeName | None:
    """The parts of an instance type's name; None if it is none."""
    try:
        return TypeName.parse(name)
    except ValueError:
        return None


def _spot_overrides(configuration: Configuration) -> Iterator[tuple[Fleet, Override]]:
    for fleet in configuration.fleets:
        if fleet.spot != 0:
            for override in fleet.overrides:
                yield fleet, override


def _names(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for fleet in configuration.fleets:
        for override in fleet.overrides:
            if override.instance_type and parts(override.instance_type) is None:
                yield Breach(
                    override.path, f'"{override.instance_type}" is no instance type', "one is written like c6i.2xlarge"
                )


def _unknown(configuration: Configuration, facts: Facts) -> Iterator[Breach]:
    for fleet in configuration.fleets:
        for override in fleet.overrides:
            name = override.instance_type
            if facts.types and parts(name) is not None and name not in facts.types:
                yield Breach(
                    override.path,
                    f"{name} is not among the instance types that are known there",
                    "see how it is written, and whether the region offers it; it may be newer than the catalogue",
                )


def _no_spot(configuration: Configuration, facts: Facts) -> Iterator[Breach]:
    for _fleet, override in _spot_overrides(configuration):
        name = parts(override.instance_type)
        known = facts.types.get(override.instance_type)
        if name is None or (known is not None and known.spot):
            continue
        if known is not None or name.instance_class in _NO_SPOT_CLASSES or name.family in _NO_SPOT_FAMILIES:
            yield Breach(
                override.path, f"{override.instance_type} is not to be had as a Spot Instance", "take another type"
            )


def _legacy_az(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for fleet in configuration.fleets:
        for override in fleet.overrides:
            name = parts(override.instance_type)
            azs = {override.az_id} if override.az_id or fleet.kind is not Kind.AUTO_SCALING_GROUP else set(fleet.azs)
            old = name is None or name.instance_class not in ("c", "m") or name.generation <= _LEGACY_LAST_GENERATION
            if LEGACY_AZ in azs and not old:
                yield Breach(override.path, f"{LEGACY_AZ} has no {override.instance_type}", "take another AZ")


def _by_template(fleet: Fleet, facts: Facts) -> Iterator[tuple[str, list[InstanceType]]]:
    """The known types of each launch template; a NodePool's AMIs follow the architecture by themselves."""
    groups: defaultdict[str, list[InstanceType]] = defaultdict(list)
    for override in fleet.overrides:
        if override.instance_type in facts.types:
            groups[override.launch_template].append(facts.types[override.instance_type])
    if fleet.kind is not Kind.NODE_POOL:
        yield from groups.items()


def architecture_of(instance_type: InstanceType) -> str:
    """What its AMI is built for; those that also start i386 are x86_64."""
    return next((name for name in ("arm64", "x86_64") if name in instance_type.architectures), "i386")


def _architectures(configuration: Configuration, facts: Facts) -> Iterator[Breach]:
    for fleet in configuration.fleets:
        for template, types in _by_template(fleet, facts):
            architectures = sorted({architecture_of(instance_type) for instance_type in types})
            if len(architectures) > 1:
                yield Breach(
                    fleet.path,
                    f"{template} starts {' and '.join(architectures)}, and its AMI is built for one",
                    "give each architecture its own launch template",
                )


def _hypervisors(configuration: Configuration, facts: Facts) -> Iterator[Breach]:
    for fleet in configuration.fleets:
        for template, types in _by_template(fleet, facts):
            xen = sorted({instance_type.name for instance_type in types if instance_type.hypervisor == "xen"})
            if xen and len(xen) < len({instance_type.name for instance_type in types}):
                yield Breach(
                    fleet.path,
                    f"{template} starts Nitro types and Xen types ({', '.join(xen[:3])})",
                    "see that its AMI has both kinds of drivers and device names, or leave the Xen types out",
                )


def _burstable(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for _fleet, override in _spot_overrides(configuration):
        name = parts(override.instance_type)
        if name is not None and (name.instance_class == "t" or name.options.endswith("-flex")):
            yield Breach(
                override.path,
                f"a vCPU of {override.instance_type} is not a whole one all the time",
                "leave it out, or give it a smaller weight",
            )


def vcpus_by_quota(fleet: Fleet, facts: Facts) -> dict[str, float]:
    """The most vCPU of each quota class that a fleet's Spot target can become; only types that are known count."""
    most: dict[str, float] = {}
    for override in fleet.overrides:
        known = facts.types.get(override.instance_type)
        if known is None or not fleet.spot:
            continue
        vcpus = fleet.spot if fleet.kind is Kind.NODE_POOL else fleet.spot / (override.weight or 1.0) * known.vcpus
        name = quota_class(known.parts)
        most[name] = max(most.get(name, 0.0), vcpus)
    return most


def _quotas(configuration: Configuration, facts: Facts) -> Iterator[Breach]:
    if facts.quotas is None:
        return
    needed: defaultdict[str, float] = defaultdict(float)
    for fleet in configuration.fleets:
        for name, vcpus in vcpus_by_quota(fleet, facts).items():
            needed[name] += vcpus
    for name, vcpus in sorted(needed.items()):
        quota = facts.quotas.get(name)
        if quota is not None and vcpus > quota:
            yield Breach(
                "",
                f"up to {vcpus:,.0f} vCPU of the Spot quota {name}, which is {quota:,.0f}",
                "ask for a higher quota in the Service Quotas console",
            )


RULES: Final = (
    Rule("type-name", "an instance type is written like c6i.2xlarge", _TYPES, _names),
    Rule("type-unknown", "an instance type that the catalogue has", _TYPES, _unknown, Severity.UNWISE),
    Rule("no-spot", "hpc, mac, u, t2, c8ine and m8ine have no Spot", _TYPES, _no_spot),
    Rule(
        "legacy-az",
        "use1-az3 has no c or m of generation 5 or later",
        "EC2 API, DescribeInstanceTypeOfferings",
        _legacy_az,
    ),
    Rule("one-architecture", "one launch template starts one architecture", _TEMPLATES, _architectures),
    Rule("one-hypervisor", "Xen and Nitro need different drivers", _TEMPLATES, _hypervisors, Severity.UNWISE),
    Rule(
        "burstable",
        "burstable and flex types give less than a whole vCPU",
        "Amazon EC2 User Guide, burstable performance and flex instances",
        _burstable,
        Severity.UNWISE,
    ),
    Rule("spot-quota", "vCPU of Spot Instances, by class", "Amazon EC2 User Guide, Spot Instance quotas", _quotas),
)
