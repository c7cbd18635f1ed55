"""Spot Fleet: requests for `aws ec2 request-spot-fleet --cli-input-json`.

What it holds: the same as an EC2 Fleet (`spotwatch.pools.formats.ec2_fleet`). AWS invests no longer in this API and
recommends EC2 Fleet or Auto Scaling; it is for those who have it.
"""

import json
from typing import Any, Final

from spotwatch.pools.formats.ec2_fleet import launch_template_configs, named, tags_of
from spotwatch.pools.formats.settings import Settings, Written, loop_note, placement_notes
from spotwatch.pools.formats.shares import Share, share_notes, shares
from spotwatch.pools.formats.validation import require_limits, require_model
from spotwatch.pools.plan import Plan

_PARTITIONS: Final = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("eusc-", "aws-eusc"))

_ROLE: Final = "role/aws-ec2-spot-fleet-tagging-role"


def write(plan: Plan, settings: Settings) -> Written:
    """The request of the only fleet, or a JSON list of the requests of several.

    Raises:
        UsageError: the plan does not fit into the limits of a region, or the settings not to the plan.
    """
    dealt = shares(plan)
    role = settings.fleet_role or _placeholder_role(plan.demand.region)
    requests = [_request(share, settings, role, name) for share, name in named(dealt, settings)]
    require_model("ec2", "RequestSpotFleet", requests)
    require_limits(list(requests), plan, settings)
    notes = [
        *share_notes(dealt, "Spot Fleet"),
        *placement_notes(plan, settings),
        "AWS recommends EC2 Fleet or Auto Scaling in the place of Spot Fleet",
    ]
    if not settings.fleet_role:
        notes.append(f"replace the account 000000000000 in {role} by yours")
    if len(requests) > 1:
        notes.append(loop_note("ec2 request-spot-fleet"))
    text = json.dumps(requests[0] if len(requests) == 1 else requests, indent=2)
    return Written(f"{text}\n", tuple(notes))


def _request(share: Share, settings: Settings, role: str, name: str) -> dict[str, Any]:
    config: dict[str, Any] = {
        "IamFleetRole": role,
        "Type": "maintain",
        "TargetCapacity": share.spot + share.on_demand,
        "OnDemandTargetCapacity": share.on_demand,
        "AllocationStrategy": "diversified",
        "LaunchTemplateConfigs": launch_template_configs(share, settings, settings.specification),
        "TagSpecifications": [{"ResourceType": "spot-fleet-request", "Tags": tags_of(settings, name)}],
    }
    if share.spot:
        config["SpotMaintenanceStrategies"] = {"CapacityRebalance": {"ReplacementStrategy": "launch"}}
    if share.on_demand:
        config["OnDemandAllocationStrategy"] = "lowestPrice"
    return {"SpotFleetRequestConfig": config}


def _placeholder_role(region: str) -> str:
    partition = next((name for prefix, name in _PARTITIONS if region.startswith(prefix)), "aws")
    return f"arn:{partition}:iam::000000000000:{_ROLE}"
