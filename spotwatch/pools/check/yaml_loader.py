"""YAML as CloudFormation and Kubernetes write it: safe types, CloudFormation's short tags, no aliases."""

from typing import Any

import yaml


class TemplateLoader(yaml.SafeLoader):
    """Reads `!Ref x` as `{"Ref": "x"}` and `!Sub x` as `{"Fn::Sub": "x"}`; refuses aliases and every other tag.

    Neither CloudFormation nor kubectl's users need aliases, and a few of them unfold to gigabytes.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """As its base does, but for aliases.

        Raises:
            yaml.YAMLError: there is an alias.
        """
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has an alias (*name); aliases are not read")
        return super().compose_node(parent, index)


def _intrinsic(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    if suffix in ("Ref", "Condition"):
        return {suffix: value}
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{suffix}": value}


TemplateLoader.add_multi_constructor("!", _intrinsic)
