"""A plan as JSON: what `spotwatch pools --json` prints, and `spotwatch pools replay --plan` reads again.

What is not known is null. Shares and probabilities are from 0 to 1, money is USD an hour.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from spotwatch.core.capacity import Group, InstanceType, Pool, Source
from spotwatch.core.errors import InputError
from spotwatch.pools.addresses import Addresses
from spotwatch.pools.change import Step
from spotwatch.pools.comparison import Safer
from spotwatch.pools.demand import Demand
from spotwatch.pools.documents import Document, Item, amount, at, count, object_of, objects, read, word
from spotwatch.pools.plan import Plan, PlannedPool


@dataclass(frozen=True, slots=True)
class Besides:
    """What is said of a plan besides the plan.

    Attributes:
        addresses: of its instances.
        az_names: the AZs' names in the account, by id, as far as they are known.
        steps: from what runs already to the plan; None if nobody asked.
        frontier: what other caps of the pools cost: the largest pool's share, and USD an hour.
        safer: what surviving losses costs; None if nobody asked.
    """

    addresses: Addresses
    az_names: Mapping[str, str]
    steps: tuple[Step, ...] | None = None
    frontier: tuple[tuple[float, float], ...] = ()
    safer: tuple[Safer, ...] | None = None


def document(plan: Plan, besides: Besides) -> dict[str, Any]:
    """The plan, ready for a JSON encoder."""
    total = plan.capacity
    return {
        "region": plan.demand.region,
        "mode": plan.demand.mode,
        "asked": _asked(plan.demand),
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
        "pools": [_pool(pool, total, besides.az_names) for pool in plan.pools],
        "instance_types": {pool.pool.type.name: _type(pool.pool.type) for pool in plan.pools},
        "addresses": _addresses(besides.addresses),
        "change": None if besides.steps is None else [asdict(step) for step in besides.steps],
        "frontier": [{"worst_loss_of_a_pool": share, "usd_per_hour": usd} for share, usd in besides.frontier],
        "safer": None
        if besides.safer is None
        else [{**asdict(each), "group": each.group.value} for each in besides.safer],
        "sources": [_source(source) for source in plan.sources],
        "notes": [*plan.notes, *plan.one_fleet_notes],
    }


def _asked(demand: Demand) -> dict[str, Any]:
    return {
        "capacity": demand.capacity,
        "on_demand_capacity": demand.on_demand_capacity,
        "weights": demand.weights,
        "selection": asdict(demand.selection),
        "caps": {group.value: cap for group, cap in demand.caps.items()},
        "survive": {group.value: share for group, share in demand.survive.items()},
        "least_pools": demand.least_pools,
        "least_effective_pools": demand.least_effective_pools,
        "slack": demand.slack,
        "unevenness": demand.unevenness,
        "loss_usd_per_vcpu": demand.loss_usd_per_vcpu,
        "strict": demand.strict,
    }


def _pool(planned: PlannedPool, total: float, az_names: Mapping[str, str]) -> dict[str, Any]:
    pool = planned.pool
    return {
        "az_id": pool.az_id,
        "az": az_names.get(pool.az_id),
        "instance_type": pool.type.name,
        "count": planned.count,
        "vcpus": planned.vcpus,
        "weight": planned.weight,
        "share": planned.capacity / total,
        "usd_per_hour": planned.usd_per_hour,
        "usd_per_instance_hour": pool.usd_per_hour,
        "usd_is_estimate": pool.usd_is_estimate,
        "on_demand_usd_per_instance_hour": pool.on_demand_usd_per_hour,
        "on_demand_is_estimate": pool.on_demand_is_estimate,
        "interruption_per_month": pool.interruption,
        "placement_score": pool.placement_score,
    }


_TYPE_FIELDS: Final = {
    field.name: field.type if field.type in (int, bool, str) else list
    for field in fields(InstanceType)
    if field.init and field.name != "name"
}
"""What is written of a type, and as which type of JSON."""


def _type(kind: InstanceType) -> dict[str, Any]:
    return {name: getattr(kind, name) for name in _TYPE_FIELDS}


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


def read_plan(path: str | os.PathLike[str]) -> Plan:
    """The pools of a plan that was printed, with what is known of each; neither its caps nor its sources.

    Raises:
        InputError: the file cannot be read, or is none that `document` made.
    """
    file = read(path)
    content = object_of(file)
    types = content.get("instance_types")
    if not isinstance(types, dict):
        raise _no_plan(file, "instance_types")
    with at(file.path):
        region = word(content, "region")
    pools = []
    for place, item in objects(file, content, "pools"):
        with at(place):
            pools.append(_planned(item, types))
    if not pools:
        raise _no_plan(file, "pools")
    capacity = sum(pool.capacity for pool in pools)
    return Plan(Demand(region, capacity), tuple(pools), None, None, None, caps={})


def _no_plan(file: Document, key: str) -> InputError:
    return InputError(f"{file.path} is no plan: {key} is missing", hint="save what spotwatch pools --json prints")


def _planned(item: Item, types: Mapping[str, Any]) -> PlannedPool:
    name = word(item, "instance_type")
    price, band = item.get("usd_per_instance_hour"), item.get("interruption_per_month")
    if band is not None and not (isinstance(band, int | float) and 0 <= band <= 1):
        raise ValueError("interruption_per_month is no probability")
    pool = Pool(
        word(item, "az_id"),
        _type_of(name, types.get(name)),
        usd_per_hour=None if price is None else amount(item, "usd_per_instance_hour"),
        interruption=band,
    )
    return PlannedPool(pool, count(item, "count", least=1), amount(item, "weight"))


def _type_of(name: str, described: object) -> InstanceType:
    """The type as `_type` has written it.

    Raises:
        ValueError: it was written by something else.
    """
    if not isinstance(described, dict) or {key: type(value) for key, value in described.items()} != _TYPE_FIELDS:
        raise ValueError(f"instance_types does not describe {name}")
    return InstanceType(name, **{**described, "architectures": tuple(map(str, described["architectures"]))})
