"""What was asked for, and what of it gave way, in the words of a report."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from spotwatch.core.capacity import Group
from spotwatch.pools.demand import Demand, Mode, Selection, Weights
from spotwatch.pools.plan import Plan, Relaxed
from spotwatch.pools.relaxation import EFFECTIVE_POOLS, POOLS
from spotwatch.pools.report_words import NAMES, all_of, any_of, number, percent, unit, usd


def asked(plan: Plan) -> list[tuple[str, str]]:
    """What was asked for, as pairs of what it is and how much or which."""
    demand = plan.demand
    chosen = demand.selection
    asked_caps = _shares(demand.caps.items(), "at most")
    rows = [
        ("Region", demand.region),
        ("Capacity", _asked_capacity(demand)),
        ("Instance types", _selected(chosen)),
        ("AZs", all_of(chosen.az_ids) or "all of the region"),
        ("Spread", f"at least {demand.least_pools} pools, effectively {number(demand.least_effective_pools)}"),
        ("Caps", f"{asked_caps}; the defaults for the others" if asked_caps else "the defaults"),
        ("What is left after a loss", _shares(demand.survive.items(), "at least", "without any one")),
        ("Slack", f"at most {percent(demand.slack)} more than asked for, as instances are whole"),
        ("Price of a loss", _price_of_loss(plan)),
        ("Mode", _mode(demand)),
        ("Caps that cannot hold", "refuse" if demand.strict else "give way, and it is said"),
    ]
    return [(what, said) for what, said in rows if said]


def _mode(demand: Demand) -> str:
    if demand.mode is Mode.FREE:
        return "free shares: any number of instances in any pool"
    alike = f"no pool more than {percent(demand.unevenness)} below the mean" if demand.unevenness else "all pools alike"
    return f"aligned: one EC2 Fleet holds it; {alike}"


def _asked_capacity(demand: Demand) -> str:
    said = f"{number(demand.capacity)} {unit(demand)}"
    if demand.weights is Weights.PERFORMANCE:
        said += " (vCPU times the factor of the family)"
    if demand.on_demand_capacity:
        said += f", {number(demand.on_demand_capacity)} of it on demand"
    return said


def _price_of_loss(plan: Plan) -> str:
    said = f"the interruption of one vCPU is taken to cost {plan.demand.loss_usd_per_vcpu:g} USD"
    if plan.objective is not None:
        said += f", with which the plan comes to {usd(plan.objective)} USD/h"
    if plan.objective_lower_bound is not None:
        said += f"; proven: none within these caps comes to less than {usd(plan.objective_lower_bound)}"
    return said


def _shares(shares: Iterable[tuple[Group, float]], least_or_most: str, of: str = "in one") -> str:
    return "; ".join(f"{least_or_most} {percent(share)} {of} {NAMES[group]}" for group, share in shares)


def _selected(chosen: Selection) -> str:
    """The selection in words. What is no candidate unless asked for is named only where it was."""
    lists: tuple[tuple[str, Sequence[object]], ...] = (
        ("class", chosen.classes),
        ("family", chosen.families),
        ("generation", chosen.generations),
        ("size", chosen.sizes),
        ("architecture", chosen.architectures),
        ("hypervisor", chosen.hypervisors),
        ("like", chosen.allow),
        ("not like", chosen.deny),
    )
    words = [f"{what} {any_of([str(each) for each in named])}" for what, named in lists if named]
    words.append(f"{chosen.least_vcpus} to {chosen.most_vcpus} vCPU each")
    words.extend(_memory(chosen))
    if chosen.local_disk is not None:
        words.append("with local disks" if chosen.local_disk else "without local disks")
    extras = ("burstable", "bare_metal", "flex", "accelerators")
    words.extend(f"{extra.replace('_', ' ')} too" for extra in extras if getattr(chosen, extra))
    return "; ".join(words)


def _memory(chosen: Selection) -> Iterable[str]:
    if chosen.least_gib_per_vcpu is not None:
        yield f"at least {chosen.least_gib_per_vcpu:g} GiB for each vCPU"
    if chosen.most_gib_per_vcpu is not None:
        yield f"at most {chosen.most_gib_per_vcpu:g} GiB for each vCPU"


def gave_way(relaxed: Relaxed) -> tuple[str, str, str, str]:
    """What, asked, granted, reason; shares as percentages, numbers of pools as numbers."""
    counts = relaxed.what in (POOLS, EFFECTIVE_POOLS)
    written: Callable[[float], str] = number if counts else percent
    return _RELAXED.get(relaxed.what, relaxed.what), written(relaxed.asked), written(relaxed.granted), relaxed.reason


_RELAXED: Final = {
    **{str(group): f"cap of one {name}" for group, name in NAMES.items()},
    POOLS: "number of pools",
    EFFECTIVE_POOLS: "effective number of pools",
}
