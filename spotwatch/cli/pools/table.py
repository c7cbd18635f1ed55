"""A plan as a person reads it in a terminal."""

from collections.abc import Iterator, Mapping, Sequence
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
from spotwatch.pools.plan import Plan, PlannedPool

NO_FIGURE: Final = "–"
"""In the place of a figure that nobody has said."""

MOST_CAP_PRICES: Final = 5
"""The dearest caps; those that cost hundredths of them are in the JSON."""

WIDTH: Final = 110
"""Columns, where the output is no terminal."""


def make_console() -> Console:
    """As wide as the terminal; where the output is none, wide enough for any line."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def show(plan: Plan, addresses: Addresses, az_names: Mapping[str, str], steps: Sequence[Step] | None) -> None:
    """Print the plan: pools, sums, losses, what caps cost, addresses, and where the facts come from."""
    console = make_console()
    console.print(_pools(plan, addresses, az_names))
    console.print(_sums(plan))
    console.print(_losses(plan))
    for line in (*_relaxed(plan), *_cap_prices(plan), *_addresses(addresses), *_change(steps)):
        console.print(Text(line))
    console.print(Text("\n".join(("facts", *map(_source, plan.sources)))))
    for note in plan.notes:
        console.print(Text(f"note: {printable(note)}"))


def _pools(plan: Plan, addresses: Addresses, az_names: Mapping[str, str]) -> Table:
    per_type = {each.instance_type: each for each in addresses.types}
    shown = table("AZ", "type", *(("count", "vCPU", "share", "USD/h", "interrupted a month", "addresses, ENIs")))
    for planned in plan.pools:
        held = per_type[planned.pool.type.name]
        name = az_names.get(planned.pool.az_id)
        shown.add_row(
            f"{planned.pool.az_id}{f' ({name})' if name else ''}",
            planned.pool.type.name,
            str(planned.count),
            str(planned.vcpus),
            format_share(planned.capacity / plan.capacity),
            _price(planned),
            NO_FIGURE if planned.pool.interruption is None else format_share(planned.pool.interruption),
            f"{held.addresses}, {held.enis}",
        )
    return shown


def _price(planned: PlannedPool) -> str:
    if planned.usd_per_hour is None:
        return NO_FIGURE
    return f"{'~' if planned.pool.usd_is_estimate else ''}{planned.usd_per_hour:.3f}"


def table(*headings: str, left: int = 2) -> Table:
    """An empty table; the first `left` columns are words, the others figures."""
    empty = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        empty.add_column(
            heading,
            justify="left" if number < left else "right",
            no_wrap=number < left,
            min_width=max(map(len, heading.split())),
        )
    return empty


def _sums(plan: Plan) -> Text:
    return Text("\n".join(_sum_lines(plan)))


def _sum_lines(plan: Plan) -> Iterator[str]:
    vcpus, instances = sum(pool.vcpus for pool in plan.pools), sum(pool.count for pool in plan.pools)
    yield (
        f"{vcpus:,} vCPU in {instances:,} instances of {len(plan.pools)} pools, "
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
        shown.add_row(f"one {group}", key, format_share(share), NO_FIGURE if cap is None else format_share(cap))
    return shown


def _relaxed(plan: Plan) -> Iterator[str]:
    for relaxed in plan.relaxed:
        yield f"RELAXED {relaxed.what}: {relaxed.asked:g} asked, {relaxed.granted:.4g} granted; {relaxed.reason}"


def _cap_prices(plan: Plan) -> Iterator[str]:
    for price in plan.cap_prices[:MOST_CAP_PRICES]:
        yield (
            f"dropping the {price.group} cap of {format_share(price.cap)} on {price.key} would save up to "
            f"{price.usd_per_hour:.2f} USD/h"
        )


def _addresses(addresses: Addresses) -> Iterator[str]:
    yield (
        f"{addresses.records:,} addresses with a DNS record each, one for {addresses.vcpus_per_address} vCPU; traffic "
        f"follows the vCPU within {format_share(addresses.unevenness)}"
    )
    yield from addresses.notes


def _change(steps: Sequence[Step] | None) -> Iterator[str]:
    if steps is None:
        return
    started = sum(step.count for step in steps if step.count > 0)
    stopped = -sum(step.count for step in steps if step.count < 0)
    yield f"change: {started} instances to start, {stopped} to stop"
    for step in steps:
        yield f"  {step.count:+d}  {step.az_id} {step.instance_type}"


def _source(source: Source) -> str:
    date = f"of {source.date.isoformat()}" if source.date else "of a date that it does not say"
    return printable(f"  {source.fact}: {source.origin}, {date}{f'; {source.note}' if source.note else ''}")
