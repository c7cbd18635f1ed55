"""The limits of attribute-based instance type selection, the same for groups and fleets."""

from collections.abc import Iterator
from typing import Final

from spotwatch.pools.limits.configuration import Configuration, Fleet, Override, Requirements
from spotwatch.pools.limits.rule import Breach, Facts, Rule, Severity

MOST_SETS: Final = 4
MOST_PATTERNS: Final = 400

_REQUIREMENTS: Final = "EC2 and Auto Scaling API Reference, InstanceRequirements"
_GUIDE: Final = "Amazon EC2 User Guide, attribute-based instance type selection"


def _selections(configuration: Configuration) -> Iterator[tuple[Fleet, Override, Requirements]]:
    for fleet in configuration.fleets:
        for override in fleet.overrides:
            if override.requirements is not None:
                yield fleet, override, override.requirements


def _by_attributes(configuration: Configuration) -> Iterator[Fleet]:
    return (fleet for fleet in configuration.fleets if any(override.requirements for override in fleet.overrides))


def _sets(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for fleet in _by_attributes(configuration):
        sets = sum(override.requirements is not None for override in fleet.overrides)
        if sets > MOST_SETS:
            yield Breach(fleet.path, f"{sets} sets of requirements", f"at most {MOST_SETS}: join or split them")


def _patterns(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for _fleet, override, requirements in _selections(configuration):
        longest = max(len(requirements.allowed), len(requirements.excluded))
        if longest > MOST_PATTERNS:
            yield Breach(override.path, f"{longest} patterns of instance types", f"at most {MOST_PATTERNS}")


def _types(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for fleet in _by_attributes(configuration):
        for override in fleet.overrides:
            if override.instance_type:
                yield Breach(
                    override.path,
                    f"the instance type {override.instance_type} beside requirements",
                    "name instance types or requirements, not both",
                )


def _weights(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for _fleet, override, _requirements in _selections(configuration):
        if override.weight is not None:
            yield Breach(override.path, "a weight beside requirements", "count in units of vcpu or memory-mib instead")


def _priorities(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for fleet in _by_attributes(configuration):
        if fleet.strategy == "capacity-optimized-prioritized":
            yield Breach(fleet.path, f"the strategy {fleet.strategy} beside requirements", "take capacity-optimized")
        for override in fleet.overrides:
            if override.priority is not None:
                yield Breach(override.path, "a priority beside requirements", "remove it")


def _diversified(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for fleet in _by_attributes(configuration):
        if fleet.strategy == "diversified":
            yield Breach(
                fleet.path,
                "the strategy diversified beside requirements",
                "name the instance types, or take price-capacity-optimized",
            )


def _generations(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for _fleet, override, requirements in _selections(configuration):
        if requirements.generations == ("current",):
            yield Breach(
                override.path,
                "only instance types that AWS calls current",
                "that leaves out c5, m5, r5, m6i and r6i by now: ask for previous too, and exclude by name",
            )


RULES: Final = (
    Rule("attributes-sets", "at most 4 sets of requirements", _REQUIREMENTS, _sets),
    Rule("attributes-patterns", "at most 400 patterns of instance types", _REQUIREMENTS, _patterns),
    Rule("attributes-types", "no instance types beside requirements", _REQUIREMENTS, _types),
    Rule("attributes-weights", "no weights beside requirements", _GUIDE, _weights),
    Rule("attributes-priorities", "no priorities beside requirements", _GUIDE, _priorities),
    Rule("attributes-diversified", "not with the strategy diversified", _GUIDE, _diversified),
    Rule(
        "attributes-generations",
        "the generation flag covers many common types by now",
        "EC2 API Reference, DescribeInstanceTypes (CurrentGeneration)",
        _generations,
        Severity.UNWISE,
    ),
)
