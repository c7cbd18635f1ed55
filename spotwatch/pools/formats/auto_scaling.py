"""Auto Scaling: a JSON list of requests for `aws autoscaling create-auto-scaling-group --cli-input-json`.

What it holds: a group balances its AZs first and then lets the strategy choose among its types in each AZ; there is no
`diversified`, so that a group of several types may put an AZ's whole share into one. A plan is therefore one group for
each instance type and number of instances, over all the AZs where the plan has that number: the balance over AZs makes
each of them a pool of the planned size, at worst as well. Sizes are counted in instances, which every weight allows;
`MaxSize` is the cap. While a pool is empty, the group's other AZs hold its share (`balanced-best-effort`).
"""

import json
import math
from collections.abc import Iterator
from typing import Any, Final

from spotwatch.core.errors import UsageError
from spotwatch.pools.formats.ec2_fleet import tags_of
from spotwatch.pools.formats.settings import Settings, Written, architecture_of_pool, loop_note, placement_notes
from spotwatch.pools.formats.validation import require_limits, require_model
from spotwatch.pools.limits.auto_scaling import MOST_TYPES, MOST_WEIGHT
from spotwatch.pools.plan import Plan, PlannedPool

_WEIGHTS_IN_DESIRED: Final = 3
"""A group's desired capacity should be two to three times its largest weight (Amazon EC2 Auto Scaling User Guide)."""


def write(plan: Plan, settings: Settings) -> Written:
    """A JSON list of CreateAutoScalingGroup requests.

    Raises:
        UsageError: the plan has no pools, or the settings do not fit it.
    """
    if not plan.pools:
        raise UsageError("the plan has no pools", hint="ask for more capacity or for more candidates")
    requests = [*_spot_groups(plan, settings), *_on_demand_group(plan, settings)]
    require_model("autoscaling", "CreateAutoScalingGroup", requests)
    require_limits(list(requests), plan, settings)
    return Written(f"{json.dumps(requests, indent=2)}\n", tuple(_notes(plan, settings, len(requests))))


def _notes(plan: Plan, settings: Settings, groups: int) -> list[str]:
    notes = [
        f"{groups} groups hold the plan, each of one type over the AZs with the same number of it; MaxSize is the cap",
        "a group of several types could put the whole share of an AZ into one of them",
        *placement_notes(plan, settings),
        loop_note("autoscaling create-auto-scaling-group"),
    ]
    if plan.demand.on_demand_capacity:
        notes.insert(1, "on-demand capacity: the group with on-demand in its name")
    return notes


def _spot_groups(plan: Plan, settings: Settings) -> Iterator[dict[str, Any]]:
    by_size: dict[tuple[str, int], list[PlannedPool]] = {}
    for pool in plan.pools:
        by_size.setdefault((pool.pool.type.name, pool.count), []).append(pool)
    for (name, count), pools in by_size.items():
        override = {"InstanceType": name}
        distribution = {
            "OnDemandBaseCapacity": 0,
            "OnDemandPercentageAboveBaseCapacity": 0,
            "SpotAllocationStrategy": "price-capacity-optimized",
        }
        group_name = f"{settings.name}-{name.replace('.', '-')}-{count}"
        specification = settings.specification(architecture_of_pool(pools[0]))
        yield _group(group_name, count * len(pools), pools, settings, _policy(specification, [override], distribution))


def _on_demand_group(plan: Plan, settings: Settings) -> Iterator[dict[str, Any]]:
    """The on-demand capacity over all types of the plan that are small enough for it, weighed as the plan does."""
    units = math.ceil(plan.demand.on_demand_capacity)
    if not units:
        return
    pools = {pool.pool.type.name: pool for pool in sorted(plan.pools, key=lambda pool: pool.weight)}
    lightest = list(pools.values())
    fitting = [pool for pool in lightest if _weight(pool) * _WEIGHTS_IN_DESIRED <= units] or lightest[:1]
    overrides = [
        {
            "InstanceType": pool.pool.type.name,
            "WeightedCapacity": str(_weight(pool)),
            "LaunchTemplateSpecification": settings.specification(architecture_of_pool(pool)),
        }
        for pool in fitting[:MOST_TYPES]
    ]
    if len(overrides) == 1:
        del overrides[0]["WeightedCapacity"]
        units = math.ceil(units / _weight(fitting[0]))
    distribution = {
        "OnDemandAllocationStrategy": "lowest-price",
        "OnDemandBaseCapacity": units,
        "OnDemandPercentageAboveBaseCapacity": 100,
    }
    policy = _policy(settings.specification(architecture_of_pool(fitting[0])), overrides, distribution)
    yield _group(f"{settings.name}-on-demand", units, list(plan.pools), settings, policy)


def _weight(pool: PlannedPool) -> int:
    """Groups take whole numbers only."""
    return min(MOST_WEIGHT, max(1, round(pool.weight)))


def _policy(
    specification: dict[str, Any], overrides: list[dict[str, Any]], distribution: dict[str, Any]
) -> dict[str, Any]:
    return {
        "LaunchTemplate": {"LaunchTemplateSpecification": specification, "Overrides": overrides},
        "InstancesDistribution": distribution,
    }


def _group(
    name: str, size: int, pools: list[PlannedPool], settings: Settings, policy: dict[str, Any]
) -> dict[str, Any]:
    azs = sorted({pool.pool.az_id for pool in pools})
    where: dict[str, Any] = (
        {"VPCZoneIdentifier": ",".join(settings.subnet(az) for az in azs)}
        if settings.subnets
        else {"AvailabilityZoneIds": azs}
    )
    return {
        "AutoScalingGroupName": name,
        "MinSize": size,
        "MaxSize": size,
        "DesiredCapacity": size,
        **where,
        "AvailabilityZoneDistribution": {"CapacityDistributionStrategy": "balanced-best-effort"},
        "CapacityRebalance": True,
        "MixedInstancesPolicy": policy,
        "Tags": [{**tag, "PropagateAtLaunch": tag["Key"] != "Name"} for tag in tags_of(settings, name)],
    }
