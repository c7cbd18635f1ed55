"""Fleets and groups in Terraform's JSON: `.tf.json` files, and what `terraform show -json` prints of a plan or a state.

Native `.tf` files are not read: what their variables, modules and functions yield is Terraform's to say, and
`terraform show -json` says it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from spotwatch.pools.check.document import Node, Unresolved
from spotwatch.pools.check.requests import auto_scaling_group, ec2_fleet, spot_fleet
from spotwatch.pools.limits.configuration import Configuration, Fleet

FORM: Final = "Terraform JSON"

_READERS: Final[Mapping[str, Callable[[Node, str], Fleet]]] = {
    "aws_ec2_fleet": ec2_fleet,
    "aws_autoscaling_group": auto_scaling_group,
    "aws_spot_fleet_request": spot_fleet,
}

_LISTS: Final = {
    "launch_template_config": "LaunchTemplateConfigs",
    "override": "Overrides",
    "overrides": "Overrides",
    "launch_specification": "LaunchSpecifications",
}
"""Blocks that may be repeated: the API's lists have other names."""

_NAMES: Final = {
    "name": "AutoScalingGroupName",
    "allowed_instance_types": "AllowedInstanceTypes",
    "vpc_zone_identifier": "VPCZoneIdentifier",
    "on_demand_percentage_above_base_capacity": "OnDemandPercentageAboveBaseCapacity",
}

_TEMPLATE_NAMES: Final = {"id": "LaunchTemplateId", "name": "LaunchTemplateName"}
"""In `aws_spot_fleet_request`'s `launch_template_specification`, which abbreviates."""

_AZ_ID: Final = re.compile(r"[a-z0-9-]+-az\d+")
_REFERENCE: Final = re.compile(r"\$\{([^{}]+)\}")


def is_terraform(document: Any) -> bool:
    """Whether it has Terraform resources, or is what `terraform show -json` prints."""
    return isinstance(document, dict) and ("resource" in document or "format_version" in document)


def read_terraform(root: Node) -> Configuration:
    """The fleets and groups of a `.tf.json` file, or of a plan or state.

    Raises:
        InputError: a value has the wrong type.
    """
    resources = _shown(root) if root.get("format_version").present else _written(root)
    fleets = tuple(_READERS[kind](node, name) for kind, name, node in resources if kind in _READERS)
    return Configuration(FORM, fleets, unresolved=tuple(dict.fromkeys(root.unresolved)))


def _written(root: Node) -> Iterator[tuple[str, str, Node]]:
    known = dict(_known(root))
    for kind, resources in root.get("resource").fields():
        if kind in _READERS:
            for name, node in resources.fields():
                value = _api(_one(_resolved(node.value, known)))
                yield kind, name, node.at(f"resource.{kind}.{name}", value)


def _known(root: Node) -> Iterator[tuple[str, Any]]:
    """What references in the same file lead to: variables with defaults, locals, AZs that are named by id."""
    for name, variable in root.get("variable").fields():
        yield f"var.{name}", variable.get("default").value
    for name, local in root.get("locals").fields():
        yield f"local.{name}", local.value
    for name, az in root.get("data", "aws_availability_zone").fields():
        value = az.get("zone_id").text() or az.get("name").text()
        for attribute in ("name", "zone_id", "id"):
            yield f"data.aws_availability_zone.{name}.{attribute}", value


def _shown(root: Node) -> Iterator[tuple[str, str, Node]]:
    values = root.get("planned_values")
    waiting = [(values if values.present else root.get("values")).get("root_module")]
    while waiting:
        module = waiting.pop()
        waiting.extend(module.get("child_modules").items())
        for resource in module.get("resources").items():
            kind = resource.get("type").text()
            address = resource.get("address").text() or resource.get("name").text()
            yield kind, address, resource.at(address, _api(_one(resource.get("values").value)))


def _resolved(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(item, known) for key, item in value.items() if key != "//"}
    if isinstance(value, list):
        return [_resolved(item, known) for item in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    return _text(value, known)


def _text(value: str, known: Mapping[str, Any]) -> Any:
    whole = _REFERENCE.fullmatch(value)
    if whole is not None:
        name = whole[1].strip()
        found = known.get(name)
        # an id of another resource is not known, but tells two of them apart
        return found if found is not None else name if name.startswith("aws_") else Unresolved(value[:80])
    text = _REFERENCE.sub(lambda match: str(known.get(match[1].strip()) or match[0]), value)
    return Unresolved(value[:80]) if "${" in text else text


def _one(value: Any) -> Any:
    """A block that is written once may be an object or a list of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _api(value: Any, parent: str = "") -> Any:
    """The same values with the API's names."""
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    for key, item in value.items():
        if key in _LISTS:
            blocks = item if isinstance(item, list) else [item]
            result[_LISTS[key]] = [_api(block, key) for block in blocks if block is not None]
        elif item is not None and item != []:
            # a reference to data.aws_availability_zone has become the id that it asks by
            by_id = key == "availability_zone" and isinstance(item, str) and _AZ_ID.fullmatch(item)
            result["AvailabilityZoneId" if by_id else _api_name(key, parent)] = _api_value(key, item)
    return result


def _api_name(key: str, parent: str) -> str:
    if parent == "launch_template_specification" and key in _TEMPLATE_NAMES:
        return _TEMPLATE_NAMES[key]
    return _NAMES.get(key) or "".join(part.capitalize() for part in key.split("_"))


def _api_value(key: str, item: Any) -> Any:
    if key in ("tags", "tag"):
        return None
    block = _one(item)
    return _api(block, key) if isinstance(block, dict) else item
