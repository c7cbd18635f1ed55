"""EC2 Fleet: requests for `aws ec2 create-fleet --cli-input-json`.

What it holds: of the type `maintain` and with the strategy `diversified`, a fleet gives all its pools the same share. A
quota-aligned plan is one fleet. A free plan is one fleet for each capacity that its pools have
(`spotwatch.pools.formats.shares`). No fleet holds a cap: while a pool is empty, the fleet buys from its others, and a
fleet of one pool waits. An override names a pool by its AZ id or by the subnet.
"""

import json
from collections.abc import Callable
from typing import Any

from spotwatch.pools.formats.settings import Settings, Written, architecture_of_pool, loop_note, placement_notes
from spotwatch.pools.formats.shares import Share, share_notes, shares
from spotwatch.pools.formats.validation import require_limits, require_model
from spotwatch.pools.plan import Plan

Specification = Callable[[str], dict[str, Any]]
"""The `LaunchTemplateSpecification` for an architecture."""


def write(plan: Plan, settings: Settings) -> Written:
    """The request of the only fleet, or a JSON list of the requests of several.

    Raises:
        UsageError: the plan does not fit into the limits of a region, or the settings not to the plan.
    """
    dealt = shares(plan)
    requests = [request_of(share, settings, settings.specification, name) for share, name in named(dealt, settings)]
    require_model("ec2", "CreateFleet", requests)
    require_limits(list(requests), plan, settings)
    notes = [*share_notes(dealt, "EC2 Fleet"), *placement_notes(plan, settings)]
    if len(requests) > 1:
        notes.append(loop_note("ec2 create-fleet"))
    text = json.dumps(requests[0] if len(requests) == 1 else requests, indent=2)
    return Written(f"{text}\n", tuple(notes))


def named(dealt: list[Share], settings: Settings) -> list[tuple[Share, str]]:
    """Each share with the name of its fleet."""
    if len(dealt) == 1:
        return [(dealt[0], settings.name)]
    return [
        (share, f"{settings.name}-{index}" if share.spot else f"{settings.name}-on-demand-{index}")
        for index, share in enumerate(dealt, start=1)
    ]


def request_of(share: Share, settings: Settings, specification: Specification, name: str) -> dict[str, Any]:
    """A CreateFleet request, which is also what CloudFormation's `AWS::EC2::EC2Fleet` has as properties."""
    request: dict[str, Any] = {
        "Type": "maintain",
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": share.spot + share.on_demand,
            "SpotTargetCapacity": share.spot,
            "OnDemandTargetCapacity": share.on_demand,
            "DefaultTargetCapacityType": "spot" if share.spot else "on-demand",
        },
    }
    if share.spot:
        request["SpotOptions"] = {
            "AllocationStrategy": "diversified",
            # a new instance before the old one is reclaimed; the old one runs until then
            "MaintenanceStrategies": {"CapacityRebalance": {"ReplacementStrategy": "launch"}},
        }
    if share.on_demand:
        request["OnDemandOptions"] = {"AllocationStrategy": "lowest-price"}
    request["LaunchTemplateConfigs"] = launch_template_configs(share, settings, specification)
    request["TagSpecifications"] = [{"ResourceType": "fleet", "Tags": tags_of(settings, name)}]
    return request


def launch_template_configs(share: Share, settings: Settings, specification: Specification) -> list[dict[str, Any]]:
    """One configuration for each architecture, with its pools; EC2 Fleet and Spot Fleet write them alike."""
    by_architecture: dict[str, list[dict[str, Any]]] = {}
    for pool in share.pools:
        by_architecture.setdefault(architecture_of_pool(pool), []).append(
            {
                "InstanceType": pool.pool.type.name,
                **settings.where(pool.pool.az_id),
                "WeightedCapacity": share.weight(pool),
            }
        )
    return [
        {"LaunchTemplateSpecification": specification(architecture), "Overrides": overrides}
        for architecture, overrides in by_architecture.items()
    ]


def tags_of(settings: Settings, name: str) -> list[dict[str, str]]:
    """The tags that were given, and the name."""
    return [{"Key": key, "Value": value} for key, value in {**settings.tags, "Name": name}.items()]
