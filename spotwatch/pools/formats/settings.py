"""What a configuration needs that no plan knows: names, launch templates, subnets, tags, roles."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from spotwatch.core.errors import UsageError
from spotwatch.pools.limits.offered import architecture_of
from spotwatch.pools.plan import Plan, PlannedPool

_NAME: Final = re.compile(r"[a-z]([a-z0-9-]{0,22}[a-z0-9])?")
"""Fits what is made of it: resource names of Kubernetes, CloudFormation and Terraform."""

_TEMPLATE_ID: Final = re.compile(r"lt-[0-9a-f]{8}([0-9a-f]{9})?")
_TEMPLATE_NAME: Final = re.compile(r"[a-zA-Z0-9().\-/_]{3,128}")
_VERSION: Final = re.compile(r"[0-9]{1,10}|\$Latest|\$Default")
_SUBNET: Final = re.compile(r"subnet-[0-9a-f]{8}([0-9a-f]{9})?")
_ROLE: Final = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/\S+")
_NODE_CLASS: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")

_MOST_TAG_KEY: Final = 128
_MOST_TAG_VALUE: Final = 256


@dataclass(frozen=True, slots=True)
class LaunchTemplate:
    """A launch template, by its id or its name, and its version: a number, `$Latest` or `$Default`.

    Raises:
        UsageError: it has both or neither, or one of them cannot be what AWS gives out.
    """

    id: str = ""
    name: str = ""
    version: str = "$Default"

    def __post_init__(self) -> None:
        if bool(self.id) == bool(self.name):
            raise UsageError("a launch template has an id or a name", hint="give one of them")
        _require(_TEMPLATE_ID, self.id, "launch template id", "lt-0123456789abcdef0")
        _require(_TEMPLATE_NAME, self.name, "launch template name", "web-x86")
        _require(_VERSION, self.version, "launch template version", "3, $Latest or $Default")

    @property
    def specification(self) -> dict[str, Any]:
        """As the API's `LaunchTemplateSpecification`."""
        key, value = ("LaunchTemplateId", self.id) if self.id else ("LaunchTemplateName", self.name)
        return {key: value, "Version": self.version}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a configuration needs besides the plan.

    Attributes:
        name: begins the names of all that is created.
        launch_templates: by architecture (`x86_64`, `arm64`).
        subnets: the subnet of each AZ, by AZ id; empty: the default VPC's. One that is given must be given for all.
        tags: of what is created.
        fleet_role: ARN of the role by which a Spot Fleet acts.
        node_class: Karpenter's EC2NodeClass.

    Raises:
        UsageError: one of them cannot be what AWS or Kubernetes takes.
    """

    name: str = "spotwatch"
    launch_templates: Mapping[str, LaunchTemplate] = field(default_factory=lambda: MappingProxyType({}))
    subnets: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    fleet_role: str = ""
    node_class: str = "default"

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise UsageError(
                f'"{self.name}" cannot begin the names of resources',
                hint="up to 24 small letters, digits and dashes, a letter first",
            )
        for subnet in self.subnets.values():
            _require(_SUBNET, subnet, "subnet", "subnet-0123456789abcdef0")
        for key, value in self.tags.items():
            if not 1 <= len(key) <= _MOST_TAG_KEY or len(value) > _MOST_TAG_VALUE or key.startswith("aws:"):
                raise UsageError(f'"{key}" cannot be a tag', hint="keys have 1 to 128 characters, values up to 256")
        _require(_ROLE, self.fleet_role, "role", "arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role")
        _require(_NODE_CLASS, self.node_class, "EC2NodeClass", "default")

    def specification(self, architecture: str) -> dict[str, Any]:
        """The `LaunchTemplateSpecification` for an architecture; a placeholder if none was given."""
        template = self.launch_templates.get(architecture)
        return (template or LaunchTemplate(name=placeholder(architecture))).specification

    def where(self, az_id: str) -> dict[str, str]:
        """How an override of EC2 Fleet and Spot Fleet names an AZ.

        Raises:
            UsageError: there are subnets, but none for this AZ.
        """
        return {"SubnetId": self.subnet(az_id)} if self.subnets else {"AvailabilityZoneId": az_id}

    def subnet(self, az_id: str) -> str:
        """The subnet of an AZ.

        Raises:
            UsageError: there is none for it.
        """
        try:
            return self.subnets[az_id]
        except KeyError:
            raise UsageError(f"no subnet is given for {az_id}", hint="give one for each AZ of the plan") from None


@dataclass(frozen=True, slots=True)
class Written:
    """A configuration as text, and what its reader has to know; the notes are also in the text if it has room."""

    text: str
    notes: tuple[str, ...]


def loop_note(command: str) -> str:
    """How to send each request of a list."""
    return f"the file is a list; jq -c '.[]' FILE | while read -r r; do aws {command} --cli-input-json \"$r\"; done"


def placeholder(architecture: str) -> str:
    """A launch template's name that AWS would take and nobody has."""
    return f"REPLACE-WITH-YOUR-LAUNCH-TEMPLATE-FOR-{architecture}"


def architecture_of_pool(pool: PlannedPool) -> str:
    """The architecture of its launch template."""
    return architecture_of(pool.pool.type)


def architectures(plan: Plan) -> list[str]:
    """Of all pools; each needs a launch template."""
    return sorted({architecture_of_pool(pool) for pool in plan.pools}, reverse=True)


def placement_notes(plan: Plan, settings: Settings) -> list[str]:
    """What has to be filled in or known of launch templates and subnets."""
    notes = [
        f"replace {placeholder(name)} by the launch template for {name}"
        for name in architectures(plan)
        if name not in settings.launch_templates
    ]
    if not settings.subnets:
        notes.append("no subnets were given: instances start in the default VPC's subnet of each AZ")
    return notes


def _require(pattern: re.Pattern[str], value: str, what: str, example: str) -> None:
    if value and pattern.fullmatch(value) is None:
        raise UsageError(f'"{value}" is no {what}', hint=f"one is written like {example}")
