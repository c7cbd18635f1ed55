"""Terraform: a `.tf.json` file with one `aws_ec2_fleet` for each share of the plan.

What it holds: the same as the EC2 Fleets themselves (`spotwatch.pools.formats.ec2_fleet`). The provider's resource
knows AZs by name only, and names differ from account to account: the file asks for each name by the AZ's id with
`data.aws_availability_zone`. Launch templates are variables, with a default where they are known.
"""

import json
import re
from typing import Any

from spotwatch.pools.formats.ec2_fleet import launch_template_configs, named
from spotwatch.pools.formats.settings import Settings, Written, architectures
from spotwatch.pools.formats.shares import Share, share_notes, shares
from spotwatch.pools.formats.validation import require_limits
from spotwatch.pools.plan import Plan


def write(plan: Plan, settings: Settings) -> Written:
    """A `.tf.json` file.

    Raises:
        UsageError: the plan does not fit into the limits of a region, or the settings not to the plan.
    """
    dealt = shares(plan)
    notes = share_notes(dealt, "EC2 Fleet")
    if not settings.subnets:
        notes.append("no subnets were given: instances start in the default VPC's subnet of each AZ")
    if missing := [name for name in architectures(plan) if name not in settings.launch_templates]:
        notes.append(f"the launch template for {' and '.join(missing)} is a variable without a default")
    document = _document(plan, settings, dealt, notes)
    require_limits([document], plan, settings)
    return Written(f"{json.dumps(document, indent=2)}\n", tuple(notes))


def _document(plan: Plan, settings: Settings, dealt: list[Share], notes: list[str]) -> dict[str, Any]:
    document: dict[str, Any] = {"//": notes, "variable": _variables(plan, settings)}
    if not settings.subnets:
        document["data"] = {
            "aws_availability_zone": {
                _identifier(az): {"zone_id": az} for az in sorted({pool.pool.az_id for pool in plan.pools})
            }
        }
    fleets = {_identifier(name): _fleet(share, settings, name) for share, name in named(dealt, settings)}
    document["resource"] = {"aws_ec2_fleet": fleets}
    return document


def _identifier(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", text)


def _variables(plan: Plan, settings: Settings) -> dict[str, Any]:
    variables = {}
    for architecture in architectures(plan):
        template = settings.launch_templates.get(architecture)
        by = "name" if template is not None and template.name else "id"
        variable = {"type": "string", "description": f"{by} of the launch template for {architecture}"}
        version = {"type": "string", "description": f"version of the launch template for {architecture}"}
        if template is not None:
            variable["default"] = template.id or template.name
        version["default"] = "$Default" if template is None else template.version
        variables[f"launch_template_{architecture}"] = variable
        variables[f"launch_template_version_{architecture}"] = version
    return variables


def _fleet(share: Share, settings: Settings, name: str) -> dict[str, Any]:
    fleet: dict[str, Any] = {
        "type": "maintain",
        "target_capacity_specification": {
            "default_target_capacity_type": "spot" if share.spot else "on-demand",
            "total_target_capacity": share.spot + share.on_demand,
            "spot_target_capacity": share.spot,
            "on_demand_target_capacity": share.on_demand,
        },
        "launch_template_config": _configs(share, settings),
        "tags": {**{key: _literal(value) for key, value in settings.tags.items()}, "Name": name},
    }
    if share.spot:
        fleet["spot_options"] = {
            "allocation_strategy": "diversified",
            "maintenance_strategies": {"capacity_rebalance": {"replacement_strategy": "launch"}},
        }
    if share.on_demand:
        fleet["on_demand_options"] = {"allocation_strategy": "lowestPrice"}
    return fleet


def _configs(share: Share, settings: Settings) -> list[dict[str, Any]]:
    configs = launch_template_configs(share, settings, lambda architecture: {"architecture": architecture})
    return [
        {
            "launch_template_specification": _specification(
                config["LaunchTemplateSpecification"]["architecture"], settings
            ),
            "override": [_override(override) for override in config["Overrides"]],
        }
        for config in configs
    ]


def _specification(architecture: str, settings: Settings) -> dict[str, str]:
    template = settings.launch_templates.get(architecture)
    key = "launch_template_name" if template is not None and template.name else "launch_template_id"
    return {
        key: f"${{var.launch_template_{architecture}}}",
        "version": f"${{var.launch_template_version_{architecture}}}",
    }


def _override(override: dict[str, Any]) -> dict[str, Any]:
    az = override.get("AvailabilityZoneId")
    where = (
        {"subnet_id": override["SubnetId"]}
        if az is None
        else {"availability_zone": f"${{data.aws_availability_zone.{_identifier(az)}.name}}"}
    )
    return {
        "instance_type": override["InstanceType"],
        **where,
        "weighted_capacity": override["WeightedCapacity"],
    }


def _literal(text: str) -> str:
    """Terraform reads `${` and `%{` in strings as templates."""
    return text.replace("${", "$${").replace("%{", "%%{")
