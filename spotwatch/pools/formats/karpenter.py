"""Karpenter: one NodePool (`karpenter.sh/v1`) for each pool of the plan, in YAML.

What it holds: `limits.cpu` is a cap, the only real one among the formats, so every pool of the plan is a NodePool with
one instance type, one AZ id and the planned vCPU as its limit. Karpenter adds nodes only as pods need them, chooses
among NodePools of the same weight as it likes, and may exceed a limit for a moment when many nodes start at once. Which
AMI a node of either architecture gets is said by the EC2NodeClass.

Source: Karpenter documentation, NodePools (`spec.limits`, well-known labels).
"""

import math
from collections.abc import Iterator
from typing import Any, Final

from spotwatch.core.errors import UsageError
from spotwatch.pools.check.karpenter import ARCHITECTURE, CAPACITY_TYPE, INSTANCE_TYPE, ZONE_ID
from spotwatch.pools.formats.settings import Settings, Written, architecture_of_pool
from spotwatch.pools.formats.validation import require_limits
from spotwatch.pools.plan import Plan, PlannedPool

_KUBERNETES_ARCHITECTURES: Final = {"x86_64": "amd64", "arm64": "arm64"}


def write(plan: Plan, settings: Settings) -> Written:
    """The NodePools as a YAML stream, the notes in front as comments.

    Raises:
        UsageError: the plan has no pools, or a type that Kubernetes has no architecture for.
    """
    import yaml  # only YAML needs it

    if not plan.pools:
        raise UsageError("the plan has no pools", hint="ask for more capacity or for more candidates")
    documents = [*(_node_pool(pool, settings) for pool in plan.pools), *_on_demand(plan, settings)]
    require_limits(list(documents), plan, settings)
    notes = _notes(plan, settings)
    comments = "".join(f"# {note}\n" for note in notes)
    return Written(f"{comments}{yaml.safe_dump_all(documents, sort_keys=False)}", tuple(notes))


def _notes(plan: Plan, settings: Settings) -> list[str]:
    notes = [
        f"{len(plan.pools)} NodePools hold the plan, one for each pool: limits.cpu is its cap",
        "nodes start only as pods need them; spread the pods with topologySpreadConstraints",
        f"the EC2NodeClass {settings.node_class} has to select a subnet in each of these AZs",
    ]
    if settings.tags:
        notes.append("tags of instances belong into the EC2NodeClass; the tags that were given are left out")
    return notes


def _node_pool(pool: PlannedPool, settings: Settings) -> dict[str, Any]:
    name = f"{settings.name}-{pool.pool.az_id}-{pool.pool.type.name.replace('.', '-')}"
    requirements = {
        INSTANCE_TYPE: [pool.pool.type.name],
        ZONE_ID: [pool.pool.az_id],
        CAPACITY_TYPE: ["spot"],
        ARCHITECTURE: [_architecture(pool)],
    }
    return _document(name, requirements, pool.vcpus, settings)


def _on_demand(plan: Plan, settings: Settings) -> Iterator[dict[str, Any]]:
    """One NodePool over all types and AZs; units that are no vCPU become as many as the plan's pools have."""
    vcpus = sum(pool.vcpus for pool in plan.pools)
    limit = math.ceil(plan.demand.on_demand_capacity * vcpus / plan.capacity)
    if limit:
        requirements = {
            INSTANCE_TYPE: sorted({pool.pool.type.name for pool in plan.pools}),
            ZONE_ID: sorted({pool.pool.az_id for pool in plan.pools}),
            CAPACITY_TYPE: ["on-demand"],
            ARCHITECTURE: sorted({_architecture(pool) for pool in plan.pools}),
        }
        yield _document(f"{settings.name}-on-demand", requirements, limit, settings)


def _architecture(pool: PlannedPool) -> str:
    architecture = architecture_of_pool(pool)
    try:
        return _KUBERNETES_ARCHITECTURES[architecture]
    except KeyError:
        raise UsageError(
            f"{pool.pool.type.name} is {architecture}, which Karpenter does not start", hint="leave the type out"
        ) from None


def _document(name: str, requirements: dict[str, list[str]], cpus: int, settings: Settings) -> dict[str, Any]:
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": name},
        "spec": {
            "template": {
                "spec": {
                    "nodeClassRef": {
                        "group": "karpenter.k8s.aws",
                        "kind": "EC2NodeClass",
                        "name": settings.node_class,
                    },
                    "requirements": [
                        {"key": key, "operator": "In", "values": values} for key, values in requirements.items()
                    ],
                }
            },
            "limits": {"cpu": cpus},
        },
    }
