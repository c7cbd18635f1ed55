"""A configuration that somebody has: read it, say which limits it breaks, and what it can lose at once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from spotwatch.core.errors import InputError
from spotwatch.pools.check.cloudformation import is_template, read_template
from spotwatch.pools.check.document import Node, load
from spotwatch.pools.check.karpenter import is_karpenter, read_node_pools
from spotwatch.pools.check.losses import Loss, Losses, losses_of
from spotwatch.pools.check.requests import fleets_of_api
from spotwatch.pools.check.terraform import is_terraform, read_terraform
from spotwatch.pools.limits import Configuration, Facts, Finding, Severity, examine

__all__ = ["Checked", "Loss", "Losses", "check", "read_configuration"]

KNOWN: Final = (
    "EC2 Fleet, Spot Fleet and Auto Scaling JSON (a request, or what describe-fleets, describe-spot-fleet-requests and"
    " describe-auto-scaling-groups print), CloudFormation templates, .tf.json, the output of terraform show -json, and"
    " Karpenter NodePools"
)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found.

    Attributes:
        configuration: what was read.
        findings: the limits that it breaks, what AWS refuses first.
        losses: what can be lost at once, and under which assumptions.
    """

    configuration: Configuration
    findings: tuple[Finding, ...]
    losses: Losses

    @property
    def refused(self) -> bool:
        """Whether AWS would not take it."""
        return any(finding.severity is Severity.REFUSED for finding in self.findings)


def check(path: Path, facts: Facts | None = None, subnet_azs: Mapping[str, str] | None = None) -> Checked:
    """Read a file, and examine what it creates.

    Args:
        path: a file of one of the forms in `KNOWN`.
        facts: what is known besides: instance types, quotas. What needs them is left out without them.
        subnet_azs: the AZ of each subnet, by its id.

    Raises:
        InputError: the file cannot be read, is none of these, or is malformed.
    """
    known = facts or Facts()
    configuration = read_configuration(path, subnet_azs)
    return Checked(configuration, examine(configuration, known), losses_of(configuration, known.types))


def read_configuration(path: Path, subnet_azs: Mapping[str, str] | None = None) -> Configuration:
    """What a file creates.

    Args:
        path: a file of one of the forms in `KNOWN`.
        subnet_azs: the AZ of each subnet, by its id.

    Raises:
        InputError: the file cannot be read, is none of these, or is malformed.
    """
    if path.suffix == ".tf":
        raise InputError(
            f"{path}: Terraform's native syntax is not read",
            hint="write a plan with terraform plan -out FILE, and check the output of terraform show -json FILE",
        )
    return configuration_of(load(path), str(path), subnet_azs)


def configuration_of(documents: list[Any], file: str, subnet_azs: Mapping[str, str] | None = None) -> Configuration:
    """The same of documents that are already parsed; `file` names them in messages.

    Raises:
        InputError: they are none of the forms in `KNOWN`, or malformed.
    """
    unresolved: list[str] = []
    roots = [Node(file, path, document, unresolved) for path, document in _objects(documents)]
    configuration = _configuration(roots, file)
    if not configuration.fleets:
        raise InputError(f"{file}: it creates no fleet, group or NodePool", hint=f"what is read: {KNOWN}")
    return replace(configuration, subnet_azs={**configuration.subnet_azs, **(subnet_azs or {})})


def _objects(documents: list[Any]) -> list[tuple[str, Any]]:
    """The objects of a file, with the path of each: a list of requests, a Kubernetes `List`, several documents."""
    if len(documents) != 1:
        return [(f"[{index}]", document) for index, document in enumerate(documents)]
    (document,) = documents
    if isinstance(document, list):
        return [(f"[{index}]", item) for index, item in enumerate(document)]
    if isinstance(document, dict) and document.get("kind") == "List" and isinstance(document.get("items"), list):
        return [(f"items[{index}]", item) for index, item in enumerate(document["items"])]
    return [("", document)]


def _configuration(roots: list[Node], file: str) -> Configuration:
    if len(roots) == 1 and is_template(roots[0].value):
        return read_template(roots[0])
    if len(roots) == 1 and is_terraform(roots[0].value):
        return read_terraform(roots[0])
    node_pools = [root for root in roots if is_karpenter(root.value)]
    if node_pools:
        return read_node_pools(node_pools)
    fleets = tuple(fleet for root in roots if isinstance(root.value, dict) for fleet in fleets_of_api(root))
    if not fleets:
        raise InputError(f"{file}: it is no configuration that is known here", hint=f"what is read: {KNOWN}")
    return Configuration(" and ".join(dict.fromkeys(fleet.kind.value for fleet in fleets)), fleets)
