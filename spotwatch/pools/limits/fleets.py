"""The limits of EC2 Fleet and Spot Fleet."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from spotwatch.pools.limits.configuration import Configuration, Fleet
from spotwatch.pools.limits.rule import Breach, Facts, Rule, Severity

MOST_OVERRIDES: Final = 300
MOST_TEMPLATE_CONFIGS: Final = 50
MOST_UNITS: Final = 10_000
MOST_UNITS_IN_REGION: Final = 100_000

TYPES: Final = ("maintain", "request", "instant")

STRATEGIES: Final = frozenset(
    {"lowest-price", "diversified", "capacity-optimized", "capacity-optimized-prioritized", "price-capacity-optimized"}
)

_SOURCES_OF_POOLS: Final = ("LaunchTemplateConfigs", "LaunchSpecifications")

_QUOTAS: Final = "Amazon EC2 User Guide, Fleet quotas"
_FLEETS: Final = "EC2 API Reference, CreateFleet and RequestSpotFleet"
_OVERRIDES: Final = "EC2 API Reference, FleetLaunchTemplateOverridesRequest"
_SPOT_OPTIONS: Final = "EC2 API Reference, SpotOptionsRequest"


def _fleets(configuration: Configuration) -> Iterator[Fleet]:
    return (fleet for fleet in configuration.fleets if fleet.is_fleet)


def _overrides(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for fleet in _fleets(configuration):
        if fleet.fleet_type != "instant" and len(fleet.overrides) > MOST_OVERRIDES:
            yield Breach(
                fleet.path,
                f"{len(fleet.overrides)} overrides over all launch templates",
                f"at most {MOST_OVERRIDES}: split the fleet",
            )


def _some_pool(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for fleet in _fleets(configuration):
        if not fleet.overrides and not _left_open(fleet, configuration.unresolved):
            yield Breach(
                fleet.path,
                "it names no launch template and no instance type",
                "give it LaunchTemplateConfigs with at least one launch template",
            )


def _left_open(fleet: Fleet, unresolved: Sequence[str]) -> bool:
    """Whether what the file leaves open can be the launch templates of the fleet."""
    places = (fleet.path, *(f"{fleet.path}.{key}".lstrip(".") for key in _SOURCES_OF_POOLS))
    return any(gap.startswith(f"{place}: ") for gap in unresolved for place in places)


def _template_configs(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for fleet in _fleets(configuration):
        if fleet.template_configs > MOST_TEMPLATE_CONFIGS:
            yield Breach(
                fleet.path,
                f"{fleet.template_configs} launch template configurations",
                f"at most {MOST_TEMPLATE_CONFIGS}: join those that share a launch template, or split the fleet",
            )


def _target(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for fleet in _fleets(configuration):
        if (fleet.target or 0) > MOST_UNITS:
            yield Breach(
                fleet.path,
                f"a target of {fleet.target:,.0f} units",
                f"at most {MOST_UNITS:,}: divide the target and all weights by the same number, or split the fleet",
            )


def _whole_target(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for fleet in _fleets(configuration):
        target = fleet.target or 0
        if target < 0 or target != int(target):
            yield Breach(fleet.path, f"a target of {target:g} units", "a target is a whole number, 0 or more")


def _type(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for fleet in _fleets(configuration):
        if fleet.fleet_type not in ("", *TYPES):
            yield Breach(fleet.path, f'there is no fleet type "{fleet.fleet_type}"', f"take one of {', '.join(TYPES)}")


def _region_target(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    units = sum(fleet.target or 0 for fleet in _fleets(configuration))
    if units > MOST_UNITS_IN_REGION:
        yield Breach(
            "",
            f"all fleets together ask for {units:,.0f} units",
            f"at most {MOST_UNITS_IN_REGION:,} in a region: divide the targets and the weights by the same number",
        )


def _subnets(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for fleet in _fleets(configuration):
        pairs = set()
        for override in fleet.overrides:
            for subnet in override.subnets:
                az = configuration.subnet_azs.get(subnet) or override.az_id or override.az_name
                pairs |= {(az, subnet)} if az else set()
        for az, group in groupby(sorted(pairs), key=lambda pair: pair[0]):
            subnets = [subnet for _, subnet in group]
            if len(subnets) > 1:
                yield Breach(
                    fleet.path, f"{' and '.join(subnets)} are in the same AZ {az}", "name one subnet of each AZ"
                )


def _az_name_or_id(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for fleet in _fleets(configuration):
        for override in fleet.overrides:
            if override.az_id and override.az_name:
                yield Breach(
                    override.path,
                    f"both the AZ name {override.az_name} and the AZ id {override.az_id}",
                    "keep the id: the name means another AZ in another account",
                )


def _strategy(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for fleet in _fleets(configuration):
        if fleet.strategy and fleet.strategy not in STRATEGIES:
            yield Breach(fleet.path, f'there is no strategy "{fleet.strategy}"', "take diversified to spread evenly")


def _weights(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for fleet in _fleets(configuration):
        for override in fleet.overrides:
            if override.weight is not None and override.weight <= 0:
                yield Breach(override.path, f"a weight of {override.weight:g}", "a weight is a number above 0")


def _pools_to_use(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for fleet in _fleets(configuration):
        if fleet.pools_to_use is None:
            continue
        if fleet.strategy not in ("lowest-price", ""):
            yield Breach(
                fleet.path,
                f"InstancePoolsToUseCount beside the strategy {fleet.strategy}",
                "remove it, or take the strategy lowest-price",
            )
        elif fleet.pools_to_use < 1:
            yield Breach(fleet.path, f"InstancePoolsToUseCount is {fleet.pools_to_use}", "it is at least 1")


def _instant_only(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for fleet in _fleets(configuration):
        for path in fleet.instant_only:
            if fleet.fleet_type != "instant":
                kind = fleet.fleet_type or "maintain"
                yield Breach(path, f"a fleet of the type {kind} cannot have it", "remove it, or take the type instant")


def _rounding(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    """`diversified` deals the target out evenly and rounds each pool's instances up."""
    for fleet in _fleets(configuration):
        if fleet.strategy != "diversified" or fleet.spot is None or fleet.spot <= 0 or not fleet.overrides:
            continue
        largest = max(override.weight or 1.0 for override in fleet.overrides)
        if math.ceil(fleet.spot / largest) < len(fleet.overrides):
            share = fleet.spot / len(fleet.overrides)
            yield Breach(
                fleet.path,
                f"each pool's share is {share:.4g} units and one instance has up to {largest:.4g}",
                "AWS rounds up, so that some pools stay empty: raise the target, or take fewer pools or smaller types",
            )


RULES: Final = (
    Rule("fleet-pools", "at least one launch template", _FLEETS, _some_pool),
    Rule("fleet-overrides", "at most 300 overrides, unless the type is instant", _QUOTAS, _overrides),
    Rule("fleet-launch-template-configs", "at most 50 launch template configurations", _QUOTAS, _template_configs),
    Rule("fleet-target", "at most 10,000 units in a fleet", _QUOTAS, _target),
    Rule("fleet-whole-target", "a target is a whole number of units", _FLEETS, _whole_target),
    Rule("fleet-type", "maintain, request or instant", _FLEETS, _type),
    Rule("region-target", "at most 100,000 units in all fleets of a region", _QUOTAS, _region_target),
    Rule("fleet-subnets", "one subnet of each AZ in one request", _QUOTAS, _subnets),
    Rule("fleet-az-name-or-id", "an AZ's name or its id, not both", _OVERRIDES, _az_name_or_id),
    Rule("fleet-strategy", "one of the five allocation strategies", _SPOT_OPTIONS, _strategy),
    Rule("fleet-weight", "a weight is a number above 0", _OVERRIDES, _weights),
    Rule("fleet-pools-to-use", "InstancePoolsToUseCount only with lowest-price", _SPOT_OPTIONS, _pools_to_use),
    Rule(
        "fleet-instant-only",
        "MinTargetCapacity, SingleInstanceType and SingleAvailabilityZone only for instant",
        _SPOT_OPTIONS,
        _instant_only,
    ),
    Rule(
        "fleet-share-below-weight",
        "with diversified, instances = ceil(share / weight) of each pool",
        _OVERRIDES,
        _rounding,
        Severity.UNWISE,
    ),
)
