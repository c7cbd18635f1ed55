"""A plan as a person reads it in a terminal."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spotwatch.core.capacity import Group, Source
from spotwatch.core.quantity import format_share
from spotwatch.core.reading import printable
from spotwatch.pools.addresses import Addresses
from spotwatch.pools.change import Step
from spotwatch.pools.comparison import Safer
from spotwatch.pools.demand import Mode, Weights
from spotwatch.pools.document import Besides
from spotwatch.pools.plan import Plan, PlannedPool
from spotwatch.pools.relaxation import figures_of

NO_FIGURE: Final = "–"
"""In the place of a figure that nobody has said."""

MOST_POINTS: Final = 3
"""Of what is safer, and of what is cheaper."""

_LEAST_WORDS: Final = 24
"""Columns for words that may be broken into lines."""

_LEAST_USD: Final = 0.005
"""An hour; what is less is shown as 0.00."""

_ALIKE: Final = 0.02
"""Relative: shares that differ less are the same, but for whole instances."""

WIDTH: Final = 110
"""Columns, where the output is no terminal."""


def make_console() -> Console:
    """As wide as the terminal; where the output is none, wide enough for any line."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def show(plan: Plan, besides: Besides) -> None:
    """Print the plan: pools, sums, losses, what caps and safety cost, addresses, and where the facts come from."""
    console = make_console()
    console.print(_pools(plan, besides))
    _say(console, (*_sums(plan), *_relaxed(plan)))
    console.print(_losses(plan))
    _say(console, (*_cap_prices(plan), *_frontier(plan, besides.frontier), *_safer(plan, besides.safer or ())))
    console.print(_addresses(besides.addresses))
    lines = (
        *_records(besides.addresses),
        *_scores(plan),
        *_change(besides.steps),
        "facts",
        *map(_source, plan.sources),
        *(f"note: {printable(note)}" for note in (*plan.notes, *plan.one_fleet_notes)),
    )
    _say(console, lines)


def _say(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _pools(plan: Plan, besides: Besides) -> Table:
    shown = table("AZ", "type", "count", "vCPU", "share", "USD/h", "interrupted a month")
    for planned in plan.pools:
        name = besides.az_names.get(planned.pool.az_id)
        shown.add_row(
            f"{planned.pool.az_id}{f' ({name})' if name else ''}",
            planned.pool.type.name,
            f"{planned.count:,}",
            f"{planned.vcpus:,}",
            format_share(planned.capacity / plan.capacity),
            _price(planned),
            NO_FIGURE if planned.pool.interruption is None else format_share(planned.pool.interruption),
        )
    return shown


def _price(planned: PlannedPool) -> str:
    if planned.usd_per_hour is None:
        return NO_FIGURE
    return f"{'~' if planned.pool.usd_is_estimate else ''}{planned.usd_per_hour:.3f}"


def table(*headings: str, left: int = 2, wrap: bool = False) -> Table:
    """An empty table of a width that a terminal has.

    Args:
        headings: of the columns.
        left: so many columns, the first, are words, the others figures.
        wrap: whether the words may be broken into lines.
    """
    empty = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for number, heading in enumerate(headings):
        empty.add_column(
            heading,
            justify="left" if number < left else "right",
            no_wrap=number < left and not wrap,
            min_width=_LEAST_WORDS if wrap and number < left else max(map(len, heading.split())),
        )
    return empty


def _sums(plan: Plan) -> Iterator[str]:
    vcpus, instances = sum(pool.vcpus for pool in plan.pools), sum(pool.count for pool in plan.pools)
    units = "" if plan.demand.weights is Weights.VCPUS else f" ({plan.capacity:,.0f} units of performance)"
    yield (
        f"{vcpus:,} vCPU{units} in {_counted(instances, 'instance')} of {_counted(len(plan.pools), 'pool')}, "
        f"effective number of pools {plan.effective_pools:.1f}"
    )
    if plan.demand.on_demand_capacity:
        yield f"and {plan.demand.on_demand_capacity:g} on demand, which are not in the figures below"
    if plan.usd_per_hour is None:
        yield "no prices: it is spread without them"
    else:
        yield _cost(plan)
    interruptions = plan.interruptions_per_day
    if interruptions is None:
        yield "no interruption bands of all types: how many are interrupted is not known"
    else:
        yield f"{interruptions:.1f} instances interrupted a day, as the advisor's bands have it"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _cost(plan: Plan) -> str:
    usd = plan.usd_per_hour or 0.0
    estimated = any(pool.pool.usd_is_estimate for pool in plan.pools)
    words = [f"{usd:.2f} USD/h{' (ESTIMATED prices, ~)' if estimated else ''}"]
    if plan.on_demand_usd_per_hour:
        saved = format_share(1 - usd / plan.on_demand_usd_per_hour)
        words.append(f"{saved} less than on demand ({plan.on_demand_usd_per_hour:.2f})")
    if plan.lower_bound_usd_per_hour:
        above = format_share(usd / plan.lower_bound_usd_per_hour - 1)
        words.append(f"{above} above the least that any plan within the caps can cost")
    return ", ".join(words)


def _losses(plan: Plan) -> Table:
    shown = table("lost at once", "the worst", "share", "cap")
    for group in Group:
        key, share = next(iter(plan.shares(group).items()))
        cap = plan.caps.get(group)
        shown.add_row(f"one {group.word}", key, format_share(share), NO_FIGURE if cap is None else format_share(cap))
    return shown


def _relaxed(plan: Plan) -> Iterator[str]:
    for relaxed in plan.relaxed:
        asked, granted = figures_of(relaxed)
        yield f"RELAXED {relaxed.what}: {asked} asked, {granted} granted; {relaxed.reason}"


def _cap_prices(plan: Plan) -> Iterator[str]:
    """Of each kind of cap as a whole; what the cap of a single family or AZ costs is in the JSON."""
    for price in plan.cap_prices:
        if not price.key and price.usd_per_hour >= _LEAST_USD:
            cap = format_share(price.cap)
            yield f"dropping the {price.group.word} cap of {cap} would save up to {price.usd_per_hour:.2f} USD/h"


def _frontier(plan: Plan, frontier: Sequence[tuple[float, float]]) -> Iterator[str]:
    """The nearest caps of pools that are tighter, and the nearest that is wider."""
    usd = plan.usd_per_hour
    if not usd:
        return
    worst, aligned = plan.worst_loss(Group.POOL), plan.demand.mode is Mode.ALIGNED
    tighter = [(share, cost) for share, cost in frontier if share < worst * (1 - _ALIKE) and cost > usd]
    wider = [(share, cost) for share, cost in frontier if share > worst * (1 + _ALIKE) and cost < usd]
    for what, points in (("safer", tighter[::-1][:MOST_POINTS]), ("cheaper", wider[:MOST_POINTS])):
        words = [f"{format_share(share)} for {cost:.2f} USD/h ({_more(cost / usd)})" for share, cost in points]
        if words:
            yield f"{what}{' with free shares' if aligned else ''}: the largest pool {', '.join(words)}"


def _more(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.1f} %"


def _safer(plan: Plan, kinds: Sequence[Safer]) -> Iterator[str]:
    unit = "vCPU" if plan.demand.weights is Weights.VCPUS else "units"
    for each in kinds:
        surviving = f"to have all that is needed left without any one {each.group.word}"
        if each.capacity is None:
            yield f"{surviving}: not possible: {each.why_not}"
            continue
        price = ""
        if each.usd_per_hour is not None and plan.usd_per_hour:
            price = f", {each.usd_per_hour:.2f} USD/h ({_more(each.usd_per_hour / plan.usd_per_hour)})"
        yield f"{surviving}: {each.capacity:,.0f} {unit}{price}"


def _addresses(addresses: Addresses) -> Table:
    """What an instance of each type is to hold, of what it can, and the records of all instances of the type."""
    shown = table("type", "addresses of one", "ENIs of one", "DNS records", left=1)
    for each in addresses.types:
        shown.add_row(
            each.instance_type,
            f"{each.addresses} of {each.most_addresses}",
            f"{each.enis} of {each.most_enis}",
            f"{addresses.records_by_type[each.instance_type]:,}",
        )
    return shown


def _records(addresses: Addresses) -> Iterator[str]:
    yield (
        f"{addresses.records:,} addresses with a DNS record each, one for {addresses.vcpus_per_address} vCPU; traffic "
        f"follows the vCPU within {format_share(addresses.unevenness)}"
    )
    yield from addresses.notes


def _scores(plan: Plan) -> Iterator[str]:
    scores = {pool.pool.az_id: pool.pool.placement_score for pool in plan.pools}
    words = [f"{az_id} {score}" for az_id, score in sorted(scores.items()) if score is not None]
    if words:
        yield f"Spot placement scores (1 to 10): {', '.join(words)}"


def _change(steps: Sequence[Step] | None) -> Iterator[str]:
    if steps is None:
        return
    started = sum(step.count for step in steps if step.count > 0)
    stopped = -sum(step.count for step in steps if step.count < 0)
    yield f"change: {_counted(started, 'instance')} to start, {stopped:,} to stop"
    for step in steps:
        yield f"  {step.count:+d}  {step.az_id} {step.instance_type}"


def _source(source: Source) -> str:
    date = f"of {source.date.isoformat()}" if source.date else "of a date that it does not say"
    return printable(f"  {source.fact}: {source.origin}, {date}{f'; {source.note}' if source.note else ''}")
