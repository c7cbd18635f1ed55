"""``spotwatch pools``: the plan, and what it is written as."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from spotwatch.cli.pools import configuration, facts
from spotwatch.cli.pools import demand as demand_words
from spotwatch.cli.values import count
from spotwatch.core.capacity import Market, Pool
from spotwatch.core.errors import FileNotWritten, UsageError
from spotwatch.core.reading import printable
from spotwatch.host.files import write_atomically
from spotwatch.pools.addresses import VCPUS_PER_ADDRESS, addresses
from spotwatch.pools.age import warnings
from spotwatch.pools.candidates import candidates
from spotwatch.pools.change import Existing, steps
from spotwatch.pools.comparison import safer
from spotwatch.pools.demand import Demand, Weights
from spotwatch.pools.document import Besides, document
from spotwatch.pools.performance import factors as read_factors
from spotwatch.pools.plan import Plan
from spotwatch.pools.planning import frontier, plan
from spotwatch.pools.relaxation import figures_of


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the words of a plan."""
    demand_words.add_arguments(parser)
    facts.add_arguments(parser)
    group = parser.add_argument_group("what is printed", "a table, or instead of it")
    output = group.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="the plan as JSON")
    output.add_argument(
        "--format",
        choices=configuration.FORMATS,
        metavar="FORMAT",
        help=f"the configuration that creates the plan, validated: {', '.join(configuration.FORMATS)}",
    )
    group.add_argument("--html", type=Path, metavar="FILE", help="write a report to look at in a browser, too")
    group.add_argument(
        "--compare", action="store_true", help="say what it costs to survive the loss of any one pool, type, …, too"
    )
    group.add_argument(
        "--vcpus-per-address",
        type=count,
        default=VCPUS_PER_ADDRESS,
        metavar="N",
        help="an address for each so many vCPU (default: 2)",
    )
    configuration.add_arguments(parser)


@dataclass(frozen=True, slots=True)
class _Planned:
    """A plan, and what it was made of."""

    asked: Demand
    market: Market
    pools: Sequence[Pool]
    running: Existing | None
    factors: Mapping[str, float] | None
    made: Plan

    def frontier(self) -> tuple[tuple[float, float], ...]:
        """What other caps of the pools cost; it is of free shares."""
        return frontier(self.asked, self.pools, self.market, factors=self.factors)


def run(arguments: Namespace) -> int:
    """Plan, write, print: what can fail comes before anything is written, and the printing last."""
    planned = _planned(arguments)
    if arguments.format is not None:
        written = configuration.configuration(arguments, planned.made)
        _write_report(arguments.html, planned)
        print(written.text.rstrip("\n"))
        for note in (*written.notes, *_relaxed(planned.made), *planned.made.notes):
            print(printable(f"note: {note}"), file=sys.stderr)
        return 0
    besides = _besides(arguments, planned)
    _write_report(arguments.html, planned)
    if arguments.json:
        print(json.dumps(document(planned.made, besides), indent=2))
    else:
        from spotwatch.cli.pools.table import show

        show(planned.made, besides)
    return 0


def _planned(arguments: Namespace) -> _Planned:
    asked = demand_words.demand(arguments)
    factors = _factors(arguments, asked)
    market, notes = facts.market(arguments, asked)
    pools = candidates(market, asked.selection)
    market = facts.with_quotas(market, arguments.quota, pools)
    running = facts.running(arguments, market)
    made = plan(asked, pools, market, running, factors=factors)
    old = warnings(made.sources, datetime.now(UTC).date())
    made = replace(made, notes=(*made.notes, *notes, *old))
    return _Planned(asked, market, pools, running, factors, made)


def _besides(arguments: Namespace, planned: _Planned) -> Besides:
    compared = safer(planned.asked, planned.pools, planned.market, factors=planned.factors)
    return Besides(
        addresses(planned.made, arguments.vcpus_per_address),
        planned.market.az_names,
        None if planned.running is None else steps(planned.made.pools, planned.running),
        planned.frontier(),
        tuple(compared) if arguments.compare else None,
    )


def _relaxed(made: Plan) -> list[str]:
    figures = [(each, *figures_of(each)) for each in made.relaxed]
    return [f"RELAXED {each.what} from {asked} to {granted}: {each.reason}" for each, asked, granted in figures]


def _factors(arguments: Namespace, asked: Demand) -> Mapping[str, float] | None:
    if arguments.performance is None:
        return None
    if asked.weights is not Weights.PERFORMANCE:
        raise UsageError("--performance says what performance is", hint="add --weights performance")
    return read_factors(arguments.performance)


def _write_report(path: Path | None, planned: _Planned) -> None:
    if path is None:
        return
    from spotwatch.pools.html_report import render

    page = render(planned.made, planned.frontier())
    if path.is_dir():
        raise FileNotWritten(f"{printable(str(path))} is a folder", hint="name a file in it")
    try:
        write_atomically(str(path), page, mode=0o644)
    except OSError as error:
        raise FileNotWritten(
            printable(f"{path} cannot be written: {error.strerror}"), hint="name a file in a directory of yours"
        ) from None
