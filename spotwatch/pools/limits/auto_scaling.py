"""The limits of an Auto Scaling group with a MixedInstancesPolicy."""

from collections.abc import Iterator
from typing import Final

from spotwatch.pools.limits.configuration import Configuration, Fleet, Kind
from spotwatch.pools.limits.rule import Breach, Facts, Rule, Severity

MOST_TYPES: Final = 40
MOST_TEMPLATES: Final = 20
MOST_WEIGHT: Final = 999
MOST_POOLS: Final = 20
LEAST_WEIGHTS_IN_DESIRED: Final = 2
"""AWS asks for a desired capacity of at least two to three times the largest weight."""

STRATEGIES: Final = frozenset(
    {"lowest-price", "capacity-optimized", "capacity-optimized-prioritized", "price-capacity-optimized"}
)

_OVERRIDES: Final = "Auto Scaling API Reference, LaunchTemplateOverrides"
_DISTRIBUTION: Final = "Auto Scaling API Reference, InstancesDistribution"
_WEIGHTS: Final = "Amazon EC2 Auto Scaling User Guide, Configure an Auto Scaling group to use instance weights"


def _groups(configuration: Configuration) -> Iterator[Fleet]:
    return (fleet for fleet in configuration.fleets if fleet.kind is Kind.AUTO_SCALING_GROUP)


def _types(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for group in _groups(configuration):
        types = {override.instance_type for override in group.overrides if override.instance_type}
        if len(types) > MOST_TYPES:
            yield Breach(group.path, f"{len(types)} instance types", f"at most {MOST_TYPES}: split the group")


def _templates(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for group in _groups(configuration):
        templates = set(group.launch_templates)
        if len(templates) > MOST_TEMPLATES:
            yield Breach(group.path, f"{len(templates)} launch templates", f"at most {MOST_TEMPLATES}: split the group")


def _weights(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for group in _groups(configuration):
        for override in group.overrides:
            weight = override.weight
            if weight is not None and not (1 <= weight <= MOST_WEIGHT and weight == int(weight)):
                yield Breach(
                    override.path, f"a weight of {weight:g}", f'a weight is a whole number, "1" to "{MOST_WEIGHT}"'
                )


def _all_weights(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for group in _groups(configuration):
        missing = [override for override in group.overrides if override.weight is None]
        if missing and len(missing) < len(group.overrides):
            yield Breach(missing[0].path, "it has no weight, others have one", "weigh all instance types, or none")


def _strategy(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for group in _groups(configuration):
        if group.strategy == "diversified":
            yield Breach(
                group.path,
                "Auto Scaling has no strategy diversified",
                "take an EC2 Fleet, or one group for each instance type",
            )
        elif group.strategy and group.strategy not in STRATEGIES:
            yield Breach(
                group.path, f'there is no strategy "{group.strategy}"', f"take one of {', '.join(sorted(STRATEGIES))}"
            )


def _pools(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for group in _groups(configuration):
        if group.pools_to_use is not None and not 1 <= group.pools_to_use <= MOST_POOLS:
            yield Breach(group.path, f"SpotInstancePools is {group.pools_to_use}", f"it is 1 to {MOST_POOLS}")


def _pools_strategy(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for group in _groups(configuration):
        if group.pools_to_use is not None and group.strategy not in ("lowest-price", ""):
            yield Breach(
                group.path,
                f"SpotInstancePools beside the strategy {group.strategy}",
                "remove it, or take the strategy lowest-price",
            )


def _desired(configuration: Configuration, _: Facts) -> Iterator[Breach]:
    for group in _groups(configuration):
        largest = max((override.weight or 0 for override in group.overrides), default=0)
        if group.target and group.target < LEAST_WEIGHTS_IN_DESIRED * largest:
            yield Breach(
                group.path,
                f"a desired capacity of {group.target:g} with a largest weight of {largest:g}",
                "raise it to two or three times that weight, or leave the large types or the weights out",
            )


RULES: Final = (
    Rule("group-instance-types", "at most 40 instance types", _OVERRIDES, _types),
    Rule("group-launch-templates", "at most 20 launch templates", _OVERRIDES, _templates),
    Rule("group-weight", 'a weight is "1" to "999"', _OVERRIDES, _weights),
    Rule("group-all-weights", "all instance types have a weight, or none", _OVERRIDES, _all_weights),
    Rule("group-strategy", "one of the four allocation strategies", _DISTRIBUTION, _strategy),
    Rule("group-spot-pools", "SpotInstancePools is 1 to 20", _DISTRIBUTION, _pools),
    Rule("group-spot-pools-strategy", "SpotInstancePools only with lowest-price", _DISTRIBUTION, _pools_strategy),
    Rule(
        "group-desired-capacity",
        "a desired capacity of at least 2 to 3 times the largest weight",
        _WEIGHTS,
        _desired,
        Severity.UNWISE,
    ),
)
