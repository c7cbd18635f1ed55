"""Fleets and groups in CloudFormation templates, their intrinsic functions resolved as far as the template says."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from spotwatch.pools.check.document import Node, Unresolved
from spotwatch.pools.check.requests import auto_scaling_group, ec2_fleet, spot_fleet
from spotwatch.pools.limits.configuration import Configuration, Fleet

FORM: Final = "CloudFormation template"

_READERS: Final[Mapping[str, tuple[str, Callable[[Node, str], Fleet]]]] = {
    "AWS::EC2::EC2Fleet": ("Properties", ec2_fleet),
    "AWS::EC2::SpotFleet": ("Properties.SpotFleetRequestConfigData", spot_fleet),
    "AWS::AutoScaling::AutoScalingGroup": ("Properties", auto_scaling_group),
}


def is_template(document: Any) -> bool:
    """Whether it has resources of types as CloudFormation writes them."""
    resources = document.get("Resources") if isinstance(document, dict) else None
    return isinstance(resources, dict) and any(
        isinstance(resource, dict) and str(resource.get("Type", "")).count("::") >= 1 for resource in resources.values()
    )


def read_template(root: Node) -> Configuration:
    """The fleets and groups of a template.

    Raises:
        InputError: a value has the wrong type.
    """
    resources = _resolved(root)
    return Configuration(
        FORM,
        tuple(_fleets(resources)),
        subnet_azs=dict(_subnets(resources)),
        unresolved=tuple(dict.fromkeys(root.unresolved)),
    )


def _resolved(root: Node) -> Node:
    parameters = {
        name: _default(parameter) for name, parameter in root.get("Parameters").fields() if isinstance(name, str)
    }
    resources = root.get("Resources")
    names = {name for name, _ in resources.fields()}
    return resources.at("Resources", _Resolver(parameters, names).resolve(resources.value))


def _default(parameter: Node) -> Any:
    default = parameter.get("Default").value
    if isinstance(default, str) and parameter.get("Type").text().startswith(("CommaDelimitedList", "List<")):
        return [part.strip() for part in default.split(",")]
    return default


def _fleets(resources: Node) -> Iterator[Fleet]:
    for name, resource in resources.fields():
        reader = _READERS.get(resource.get("Type").text())
        if reader is not None:
            path, read = reader
            yield read(resource.get(*path.split(".")), name)


def _subnets(resources: Node) -> Iterator[tuple[str, str]]:
    for name, resource in resources.fields():
        if resource.get("Type").text() == "AWS::EC2::Subnet":
            properties = resource.get("Properties")
            az = properties.get("AvailabilityZoneId").text() or properties.get("AvailabilityZone").text()
            if az:
                yield name, az


class _Resolver:
    """Replaces intrinsic functions by what they yield; what only AWS knows becomes `Unresolved`.

    A reference to another resource becomes that resource's logical id, which is enough to tell two of them apart.
    """

    def __init__(self, parameters: Mapping[str, Any], resources: set[str]) -> None:
        self._parameters = parameters
        self._resources = resources

    def resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return self._list(value)
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument) = next(iter(value.items()))
            if name == "Ref" or str(name).startswith("Fn::"):
                return self._function(str(name), argument)
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not None}

    def _list(self, value: list[Any]) -> list[Any]:
        """`AWS::NoValue` takes an entry out."""
        resolved = ((item, self.resolve(item)) for item in value)
        return [new for old, new in resolved if new is not None or old is None]

    def _function(self, name: str, argument: Any) -> Any:
        match name:
            case "Ref":
                return self._ref(str(argument))
            case "Fn::Sub" if isinstance(argument, str):
                return self._sub(argument)
            case "Fn::Join" if isinstance(argument, list) and len(argument) == 2:
                return self._join(argument)
            case "Fn::GetAtt" if isinstance(argument, list) and argument and argument[0] in self._resources:
                # the id and the version of a launch template of this template
                return str(argument[0])
            case "Fn::Select" if isinstance(argument, list) and len(argument) == 2:
                return self._select(argument)
        return Unresolved(f"{name} {argument}"[:80])

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return None
        if name in self._resources:
            return name
        value = self._parameters.get(name)
        return Unresolved(f"Ref {name}") if value is None else value

    def _sub(self, text: str) -> Any:
        parts = re.split(r"\$\{([^}!]+)\}", text)
        values = [self._ref(part.split(".")[0]) if index % 2 else part for index, part in enumerate(parts)]
        if any(not isinstance(value, str | int | float) for value in values):
            return Unresolved(f"Fn::Sub {text}"[:80])
        return "".join(str(value) for value in values)

    def _join(self, argument: list[Any]) -> Any:
        items = self.resolve(argument[1])
        if not isinstance(items, list) or any(not isinstance(item, str | int | float) for item in items):
            return Unresolved(f"Fn::Join {argument}"[:80])
        return str(argument[0]).join(str(item) for item in items)

    def _select(self, argument: list[Any]) -> Any:
        items = self.resolve(argument[1])
        index = str(self.resolve(argument[0]))
        if isinstance(items, list) and index.isdecimal() and len(index) < 4 and int(index) < len(items):
            return items[int(index)]
        return Unresolved(f"Fn::Select {argument}"[:80])
