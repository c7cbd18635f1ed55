"""A plan as one HTML file: it opens without a network, without JavaScript, on paper, and says what is not known.

All figures are drawn by the template from numbers (`spotwatch.pools.charts`); everything is escaped by it, and nothing
here makes markup. A Content-Security-Policy in the file forbids whatever is not in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spotwatch import __version__
from spotwatch.core.capacity import Group
from spotwatch.pools.charts import frontier_chart, heat_map, loss_bars
from spotwatch.pools.demand import Demand, Selection, Weights
from spotwatch.pools.plan import Plan
from spotwatch.pools.report_asked import asked, gave_way
from spotwatch.pools.report_words import (
    NAMES,
    all_of,
    any_of,
    axis,
    cell,
    counted,
    number,
    percent,
    position,
    signed,
    unit,
    usd,
)

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATE: Final = "html_report.html.j2"

HOURS_PER_MONTH: Final = 730
"""As AWS counts a month in its price lists and calculators."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the figures at the head: what it is, how much, and what there is to say of it."""

    label: str
    value: str
    unit: str = ""
    said: str = ""
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Worst:
    """The largest group of a kind: what is lost with it, the cap, and the share that was asked to be left."""

    name: str
    key: str
    share: float
    lost: float
    cap: float | None
    survive: float | None
    length: float
    cap_at: float | None


def render(plan: Plan, frontier: Sequence[tuple[float, float]] = ()) -> str:
    """The report, a whole HTML document.

    Args:
        plan: with at least one pool.
        frontier: of plans from safe to cheap, the share lost with the largest pool and USD an hour
            (`spotwatch.pools.planning.frontier`); empty where it was not made, as without prices.
    """
    cost = plan.usd_per_hour
    worst = plan.worst_loss(Group.POOL)
    template = _environment().get_template(_TEMPLATE)
    return template.render(
        plan=plan,
        version=__version__,
        title=_title(plan.demand),
        summary=_summary(plan),
        unit=unit(plan.demand),
        figures=_figures(plan),
        worst=[_worst(plan, group) for group in Group],
        heat=heat_map(plan),
        losses=[loss_bars(plan, group) for group in Group],
        names=NAMES,
        chart=frontier_chart(frontier, None if cost is None else (worst, cost), plan.lower_bound_usd_per_hour),
        asked=asked(plan),
        relaxed=[gave_way(relaxed) for relaxed in plan.relaxed],
        missing=_missing(plan),
        estimated=_estimated(plan),
        scored=any(planned.pool.placement_score is not None for planned in plan.pools),
    ).lstrip()


def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only the report needs it

    environment = Environment(
        loader=PackageLoader("spotwatch", "pools"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        {
            "usd": usd,
            "percent": percent,
            "number": number,
            "signed": signed,
            "cell": cell,
            "px": position,
            "axis": axis,
        }
    )
    return environment


def _title(demand: Demand) -> str:
    return f"{number(demand.capacity)} {unit(demand)} of {_kinds(demand.selection)} in {demand.region}"


def _kinds(selection: Selection) -> str:
    """The instance types that were asked for, in a few words."""
    if selection.families:
        return counted("family", "families", selection.families)
    if selection.classes:
        return counted("class", "classes", selection.classes)
    return f"types like {any_of(selection.allow)}" if selection.allow else "any class"


def _summary(plan: Plan) -> str:
    """The plan in two sentences."""
    instances = sum(planned.count for planned in plan.pools)
    cost, full = plan.usd_per_hour, plan.on_demand_usd_per_hour
    guess = "about " if _estimated(plan) else ""
    price = f"for {guess}{usd(cost)} USD an hour" if cost is not None else "at a cost that is not known"
    if cost is not None and full and cost <= full:
        price += f", {percent(1 - cost / full, 0)} less than on demand"
    lost = [f"{percent(plan.worst_loss(group))} with any one {NAMES[group]}" for group in Group]
    return (
        f"{number(instances)} instances in {len(plan.pools)} Spot capacity pools, {price}. "
        f"At most lost at once: {all_of(lost)}."
    )


def _figures(plan: Plan) -> list[Figure]:
    return [
        _capacity(plan),
        _instances(plan),
        _pools(plan),
        _effective(plan),
        _cost(plan),
        _against_on_demand(plan),
        _against_bound(plan),
        _interruptions(plan),
    ]


def _capacity(plan: Plan) -> Figure:
    """Of the Spot Instances, whose share of what was asked for is what is not bought on demand."""
    demand = plan.demand
    asked = demand.capacity - demand.on_demand_capacity
    said = f"{number(asked)} asked for"
    if demand.on_demand_capacity:
        said += f", and {number(demand.on_demand_capacity)} on demand, which no figure here contains"
    if demand.weights is not Weights.VCPUS:
        said += f"; {number(sum(planned.vcpus for planned in plan.pools))} vCPU"
    return Figure("Spot capacity", number(plan.capacity), unit(demand), said)


def _instances(plan: Plan) -> Figure:
    types, azs = len(plan.shares(Group.TYPE)), len(plan.shares(Group.AZ))
    instances = sum(planned.count for planned in plan.pools)
    return Figure("Instances", number(instances), "", f"of {types} types in {azs} AZs")


def _cost(plan: Plan) -> Figure:
    cost = plan.usd_per_hour
    if cost is None:
        without = sum(planned.pool.usd_per_hour is None for planned in plan.pools)
        return _not_known("Cost", "no price", f"{without} of {len(plan.pools)} pools have none")
    guess = "≈ " if any(planned.pool.usd_is_estimate for planned in plan.pools) else ""
    month = f"{guess}{cost * HOURS_PER_MONTH:,.0f} USD in a month of {HOURS_PER_MONTH} h"
    return Figure("Cost", f"{guess}{usd(cost)}", "USD/h", month)


def _against_on_demand(plan: Plan) -> Figure:
    label = "Against on demand"
    cost, full = plan.usd_per_hour, plan.on_demand_usd_per_hour
    if cost is None or not full:
        lacking = "the same instances have no on-demand price" if cost is not None else "there is no cost to compare"
        return _not_known(label, "no price", lacking)
    estimates = any(planned.pool.on_demand_is_estimate or planned.pool.usd_is_estimate for planned in plan.pools)
    guess = "≈ " if estimates else ""
    return Figure(label, guess + _change(cost, full), "", f"the same instances cost {usd(full)} USD/h there")


def _against_bound(plan: Plan) -> Figure:
    label = "Against the least possible"
    cost, bound = plan.usd_per_hour, plan.lower_bound_usd_per_hour
    if cost is None or not bound:
        return _not_known(label, "no bound", "there are no prices to prove one with")
    return Figure(label, _change(cost, bound), "", f"proven: no plan within these caps is below {usd(bound)} USD/h")


def _change(amount: float, reference: float) -> str:
    """By how much more or less an amount is, with a sign."""
    sign = "+" if amount >= reference else "\N{MINUS SIGN}"
    return f"{sign}{percent(abs(amount / reference - 1))}"


def _pools(plan: Plan) -> Figure:
    return Figure("Pools", str(len(plan.pools)), "", f"at least {plan.demand.least_pools} asked for")


def _effective(plan: Plan) -> Figure:
    least = number(plan.demand.least_effective_pools)
    said = f"1 / sum of squared shares; at least {least} asked for"
    return Figure("Effective number of pools", f"{plan.effective_pools:.1f}", "", said)


def _interruptions(plan: Plan) -> Figure:
    label = "Expected interruptions"
    rate = plan.interruptions_per_day
    if rate is None:
        without = sum(planned.pool.interruption is None for planned in plan.pools)
        return _not_known(label, "no figure", f"{without} of {len(plan.pools)} pools have no interruption band")
    return Figure(label, f"≈ {rate:.2f}", "a day", "instances, estimated from the Spot Instance Advisor's bands")


def _not_known(label: str, value: str, said: str) -> Figure:
    return Figure(label, value, "", said, missing=True)


def _worst(plan: Plan, group: Group) -> Worst:
    """All bars have one scale: the whole Spot capacity is 100 %."""
    key, share = next(iter(plan.shares(group).items()))
    cap = plan.caps.get(group)
    return Worst(
        NAMES[group],
        key,
        share,
        share * plan.capacity,
        cap,
        plan.demand.survive.get(group),
        100 * share,
        None if cap is None else 100 * cap,
    )


def _missing(plan: Plan) -> dict[str, int]:
    """How many of the plan's pools lack a figure, by what it is; only where some do."""
    pools = [planned.pool for planned in plan.pools]
    counts = {
        "Spot price": sum(pool.usd_per_hour is None for pool in pools),
        "on-demand price": sum(pool.on_demand_usd_per_hour is None for pool in pools),
        "interruption band": sum(pool.interruption is None for pool in pools),
    }
    return {what: count for what, count in counts.items() if count}


def _estimated(plan: Plan) -> dict[str, int]:
    """How many of the plan's pools have a figure that is an estimate; only where some have."""
    pools = [planned.pool for planned in plan.pools]
    counts = {
        "Spot price": sum(pool.usd_is_estimate for pool in pools),
        "on-demand price": sum(pool.on_demand_is_estimate for pool in pools),
    }
    return {what: count for what, count in counts.items() if count}
