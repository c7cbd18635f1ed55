"""CloudFormation: a template in JSON with one `AWS::EC2::EC2Fleet` for each share of the plan.

What it holds: the same as the EC2 Fleets themselves (`spotwatch.pools.formats.ec2_fleet`). Launch templates are
parameters, with a default where they are known, so that the template is complete in any case.
"""

import json
from typing import Any, Final

from spotwatch.pools.formats.ec2_fleet import named, request_of
from spotwatch.pools.formats.settings import LaunchTemplate, Settings, Written, architectures
from spotwatch.pools.formats.shares import share_notes, shares
from spotwatch.pools.formats.validation import require_limits, require_template
from spotwatch.pools.plan import Plan

_MOST_DESCRIPTION: Final = 1_024
"""Bytes (AWS CloudFormation User Guide, quotas)."""


def write(plan: Plan, settings: Settings) -> Written:
    """A template.

    Raises:
        UsageError: the plan does not fit into the limits of a region, or the settings not to the plan.
    """
    dealt = shares(plan)
    notes = share_notes(dealt, "EC2 Fleet")
    if not settings.subnets:
        notes.append("no subnets were given: instances start in the default VPC's subnet of each AZ")
    if missing := [name for name in architectures(plan) if name not in settings.launch_templates]:
        notes.append(f"the launch template for {' and '.join(missing)} is a parameter without a default")
    template = _template(plan, settings, notes)
    text = f"{json.dumps(template, indent=2)}\n"
    notes += require_template(text, plan.demand.region)
    require_limits([template], plan, settings)
    return Written(text, tuple(notes))


def _template(plan: Plan, settings: Settings, notes: list[str]) -> dict[str, Any]:
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "; ".join(notes)[:_MOST_DESCRIPTION],
        "Parameters": {
            key: value
            for architecture in architectures(plan)
            for key, value in _parameters(architecture, settings.launch_templates.get(architecture))
        },
        "Resources": {
            _logical_id(index, bool(share.spot)): {
                "Type": "AWS::EC2::EC2Fleet",
                "Properties": request_of(
                    share, settings, lambda architecture: _specification(architecture, settings), name
                ),
            }
            for index, (share, name) in enumerate(named(shares(plan), settings), start=1)
        },
    }


def _logical_id(index: int, spot: bool) -> str:
    return f"Fleet{index}" if spot else f"OnDemandFleet{index}"


def _parameter(architecture: str) -> str:
    return f"LaunchTemplateFor{''.join(letter for letter in architecture.title() if letter.isalnum())}"


def _parameters(architecture: str, template: LaunchTemplate | None) -> list[tuple[str, dict[str, Any]]]:
    name = _parameter(architecture)
    by = "Name" if template is not None and template.name else "Id"
    identity: dict[str, Any] = {"Type": "String", "Description": f"{by} of the launch template for {architecture}"}
    if template is not None:
        identity["Default"] = template.id or template.name
    version = {
        "Type": "String",
        "Description": f"Version of the launch template for {architecture}",
        "Default": "$Default" if template is None else template.version,
    }
    return [(name, identity), (f"{name}Version", version)]


def _specification(architecture: str, settings: Settings) -> dict[str, Any]:
    template = settings.launch_templates.get(architecture)
    key = "LaunchTemplateName" if template is not None and template.name else "LaunchTemplateId"
    name = _parameter(architecture)
    return {key: {"Ref": name}, "Version": {"Ref": f"{name}Version"}}
