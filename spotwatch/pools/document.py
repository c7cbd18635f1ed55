"""A plan as JSON: what `spotwatch pools --json` prints."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from spotwatch.core.capacity import Group, Source
from spotwatch.pools.addresses import Addresses
from spotwatch.pools.change import Step
from spotwatch.pools.plan import Plan, PlannedPool


def document(
    plan: Plan, addresses: Addresses, az_names: Mapping[str, str], steps: tuple[Step, ...] | None = None
) -> dict[str, Any]:
    """The plan, ready for a JSON encoder. What is not known is null.

    Args:
        plan: the plan.
        addresses: of its instances.
        az_names: the AZs' names in the account, by id, as far as they are known.
        steps: from what runs already to the plan; None if nobody asked.
    """
    total = plan.capacity
    return {
        "region": plan.demand.region,
        "mode": plan.demand.mode,
        "asked": {
            "capacity": plan.demand.capacity,
            "on_demand_capacity": plan.demand.on_demand_capacity,
            "weights": plan.demand.weights,
        },
        "vcpus": sum(pool.vcpus for pool in plan.pools),
        "capacity": total,
        "instances": sum(pool.count for pool in plan.pools),
        "usd_per_hour": plan.usd_per_hour,
        "on_demand_usd_per_hour": plan.on_demand_usd_per_hour,
        "lower_bound_usd_per_hour": plan.lower_bound_usd_per_hour,
        "objective": plan.objective,
        "objective_lower_bound": plan.objective_lower_bound,
        "effective_pools": plan.effective_pools,
        "interruptions_per_day": plan.interruptions_per_day,
        "worst_loss": {group.value: plan.worst_loss(group) for group in Group},
        "caps": {group.value: cap for group, cap in plan.caps.items()},
        "cap_prices": [{**asdict(price), "group": price.group.value} for price in plan.cap_prices],
        "relaxed": [asdict(relaxed) for relaxed in plan.relaxed],
        "pools": [_pool(pool, total, az_names) for pool in plan.pools],
        "addresses": _addresses(addresses),
        "change": None if steps is None else [asdict(step) for step in steps],
        "sources": [_source(source) for source in plan.sources],
        "notes": list(plan.notes),
    }


def _pool(planned: PlannedPool, total: float, az_names: Mapping[str, str]) -> dict[str, Any]:
    pool = planned.pool
    return {
        "az_id": pool.az_id,
        "az": az_names.get(pool.az_id),
        "instance_type": pool.type.name,
        "count": planned.count,
        "vcpus": planned.vcpus,
        "share": planned.capacity / total,
        "usd_per_hour": planned.usd_per_hour,
        "usd_per_instance_hour": pool.usd_per_hour,
        "usd_is_estimate": pool.usd_is_estimate,
        "on_demand_usd_per_instance_hour": pool.on_demand_usd_per_hour,
        "on_demand_is_estimate": pool.on_demand_is_estimate,
        "interruption_per_month": pool.interruption,
        "placement_score": pool.placement_score,
    }


def _addresses(found: Addresses) -> dict[str, Any]:
    return {
        "vcpus_per_address": found.vcpus_per_address,
        "records": found.records,
        "types": [
            {**asdict(each), "possible": each.possible, "records": found.records_by_type[each.instance_type]}
            for each in found.types
        ],
        "notes": list(found.notes),
    }


def _source(source: Source) -> dict[str, Any]:
    return {**asdict(source), "date": source.date.isoformat() if source.date else None}
