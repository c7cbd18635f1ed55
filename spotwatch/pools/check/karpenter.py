"""Karpenter's NodePools, of the API `karpenter.sh/v1` and its betas."""

import re
from collections.abc import Iterator
from itertools import product
from typing import Any, Final

from spotwatch.pools.check.document import Node
from spotwatch.pools.limits.configuration import Configuration, Fleet, Kind, Override

FORM: Final = "Karpenter NodePools"

INSTANCE_TYPE: Final = "node.kubernetes.io/instance-type"
ZONE: Final = "topology.kubernetes.io/zone"
ZONE_ID: Final = "topology.k8s.aws/zone-id"
CAPACITY_TYPE: Final = "karpenter.sh/capacity-type"
ARCHITECTURE: Final = "kubernetes.io/arch"

MOST_POOLS: Final = 10_000
"""Types times AZs of one NodePool; all that AWS has in a region are about 6,000."""

_QUANTITY: Final = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|)")
_FACTORS: Final = {"m": 0.001, "": 1.0, "k": 1e3, "M": 1e6}


def is_karpenter(document: Any) -> bool:
    """Whether it is an object of Karpenter's."""
    return isinstance(document, dict) and "karpenter" in str(document.get("apiVersion", ""))


def read_node_pools(roots: list[Node]) -> Configuration:
    """The NodePools among the documents, also those in a `List`; other objects of Karpenter's say nothing of capacity.

    Raises:
        InputError: a value has the wrong type.
    """
    pools = [root for root in roots if root.get("kind").text() == "NodePool"]
    unresolved = tuple(dict.fromkeys(text for root in roots for text in root.unresolved))
    return Configuration(FORM, tuple(node_pool(root) for root in pools), unresolved=unresolved)


def node_pool(root: Node) -> Fleet:
    """One NodePool: every type in every AZ that its requirements name, and its limit of vCPU."""
    requirements = dict(_requirements(root))
    limit = _quantity(root.get("spec", "limits", "cpu"))
    capacity_types = requirements.get(CAPACITY_TYPE, ("on-demand",))
    name = root.get("metadata", "name").text() or "NodePool"
    azs = requirements.get(ZONE_ID) or requirements.get(ZONE) or ()
    return Fleet(
        Kind.NODE_POOL,
        name,
        root.path or f"NodePool {name}",
        overrides=tuple(_overrides(root, requirements)),
        target=limit,
        spot=limit if "spot" in capacity_types else 0.0,
        azs=azs,
    )


def _requirements(root: Node) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What each label may be; only the operator In names values."""
    for item in root.get("spec", "template", "spec", "requirements").items():
        if item.get("operator").text() == "In":
            yield item.get("key").text(), item.get("values").texts()


def _overrides(root: Node, requirements: dict[str, tuple[str, ...]]) -> Iterator[Override]:
    types = requirements.get(INSTANCE_TYPE) or ("",)
    ids, names = requirements.get(ZONE_ID), requirements.get(ZONE)
    if len(types) * len(ids or names or ("",)) > MOST_POOLS:
        root.fail(f"at most {MOST_POOLS:,} instance types times AZs are expected")
    for instance_type, az in product(types, ids or names or ("",)):
        yield Override(
            root.path,
            instance_type=instance_type,
            az_id=az if ids else "",
            az_name="" if ids else az,
        )


def _quantity(node: Node) -> float | None:
    """A Kubernetes quantity of CPUs: `48`, `"48"`, `"1k"`, `"500m"`."""
    if isinstance(node.value, str):
        match = _QUANTITY.fullmatch(node.value)
        if match is None:
            node.fail("a number of CPUs is expected")
        return float(match[1]) * _FACTORS[match[2]]
    return node.number()
