"""``spotwatch pools replay``: run-time policies through traces of pools' availability."""

import json
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from spotwatch.cli.values import count, duration, positive, share
from spotwatch.core.errors import UsageError
from spotwatch.pools.document import read_plan
from spotwatch.pools.plan import Plan
from spotwatch.pools.replay.blocks import DRAWS, WEEK_SECONDS, blocks
from spotwatch.pools.replay.compare import Row, cells, compare, markdown, usual_strategies
from spotwatch.pools.replay.planned import planned_shares, planned_trace
from spotwatch.pools.replay.policy import Policy
from spotwatch.pools.replay.trace import Trace, find_trace, read_trace

DESCRIPTION = """\
Run spotwatch's policy (soft caps, rebalancing, cool-down, over-provisioning)
and the usual strategies through a trace of pools' availability, and say how
much of the fleet was there on average and in the worst ten minutes, how often
a quarter of it was lost at once, and how much was interrupted.

Each pool and week of the trace is taken for a pool of its own, and --pools of
them are drawn, --draws times; the draws are always the same. With --plan the
pools of a plan take their place, the largest first, with the plan's shares:
that says how such shares bear such losses, not what those very pools will do.
"""

EPILOG = """\
exit codes:
  0   replayed
  64  the trace cannot be replayed like this
  65  a file is malformed

examples:
  spotwatch pools replay --trace spot_traces.csv
  spotwatch pools replay --trace spot_traces.csv --pools 10 --draws 20
  spotwatch pools replay --trace spot_traces.csv --soft-cap 20% --json
  spotwatch pools --region us-east-1 --class c --vcpus 1000 --json > plan.json
  spotwatch pools replay --trace spot_traces.csv --plan plan.json
"""

_DEFAULT = Policy()

PLAIN_POOLS: Final = 20
"""Pools of a draw where no plan says how many."""

SHORTEST_BLOCK: Final = 3600.0
"""Seconds; the ten minutes that are judged are a good part of anything shorter."""

MOST_DRAWS: Final = 1000
"""More differ from each other no more, and take minutes."""

MOST_OVER_PROVISIONING: Final = 100.0
"""A hundred fleets in the place of one is a mistake of writing."""

_HEADINGS: Final = ("strategy", "bought", "mean", "worst", "worst draw", "mass losses", "losses", "lost", "moved")
"""Those of the Markdown table, as short as a terminal needs them."""

LEGEND: Final = """\
bought, mean, worst: of what is needed; worst: of the worst 10 minutes of the middle draw and of the worst draw;
mass losses (25 % in 10 minutes), losses, what is lost and what rebalancing moves: a day"""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare its words."""
    parser.add_argument("--trace", type=Path, required=True, metavar="FILE", help="CSV of pools' availability")
    parser.add_argument("--trace-prices", type=Path, metavar="FILE", help="CSV of the pools' prices in the trace")
    parser.add_argument("--trace-name", metavar="NAME", help="one of the file's traces (default: that with most pools)")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="replay this plan, as spotwatch pools --json printed")
    _add_draws(parser)
    _add_policy(parser)
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", default=SUPPRESS, help="print the rows as JSON")
    output.add_argument("--markdown", action="store_true", help="print the table in Markdown")


def _add_draws(parser: ArgumentParser) -> None:
    pools = parser.add_mutually_exclusive_group()
    pools.add_argument("--pools", type=count, metavar="K", help="pools of a draw (default: 20, or those of the plan)")
    pools.add_argument("--as-recorded", action="store_true", help="the trace's own pools and time; nothing is drawn")
    parser.add_argument("--draws", type=count, default=DRAWS, metavar="N", help=f"draws (default: {DRAWS})")
    parser.add_argument(
        "--block", type=duration, default=WEEK_SECONDS, metavar="TIME", help="what is drawn, in time (default: 7d)"
    )


def _add_policy(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("the run-time policy")
    group.add_argument(
        "--over-provisioning",
        action="append",
        type=positive,
        metavar="FACTOR",
        help="multiple of what is needed; may be repeated (default: 1.0 and 1.25)",
    )
    group.add_argument("--soft-cap", type=share, default=_DEFAULT.soft_cap, metavar="SHARE", help="default: 10%%")
    group.add_argument(
        "--rebalance", type=share, default=_DEFAULT.rebalance_share, metavar="SHARE", help="at a time (default: 2%%)"
    )
    for name, seconds in (
        ("rebalance-every", _DEFAULT.rebalance_seconds),
        ("cool-down", _DEFAULT.cool_down_seconds),
        ("launch-time", _DEFAULT.launch_seconds),
    ):
        group.add_argument(
            f"--{name}", type=duration, default=seconds, metavar="TIME", help=f"default: {seconds / 60:.0f}m"
        )


def run(arguments: Namespace) -> int:
    """Replay."""
    planned = read_plan(arguments.plan) if arguments.plan else None
    trace = find_trace(read_trace(arguments.trace, arguments.trace_prices), arguments.trace_name)
    policy = Policy(
        soft_cap=arguments.soft_cap,
        rebalance_share=arguments.rebalance,
        rebalance_seconds=arguments.rebalance_every,
        cool_down_seconds=arguments.cool_down,
        launch_seconds=arguments.launch_time,
    )
    multiples = arguments.over_provisioning or (1.0, 1.25)
    if max(multiples) > MOST_OVER_PROVISIONING:
        raise UsageError(f"an over-provisioning of {max(multiples):g} is no fleet", hint="write a factor such as 1.25")
    draws = _draws(arguments, trace, planned)
    shares = planned_shares(planned) if planned else ()
    _print(compare(draws, policy, multiples, usual_strategies(policy, shares)), arguments)
    return 0


def _draws(arguments: Namespace, trace: Trace, planned: Plan | None) -> tuple[Trace, ...]:
    """What is replayed; with a plan, its pools in the places of the trace's."""
    wanted = arguments.pools or (len(planned.pools) if planned else PLAIN_POOLS)
    if planned and arguments.pools and arguments.pools < len(planned.pools):
        raise UsageError(f"the plan has {len(planned.pools)} pools", hint="leave out --pools, or ask for as many")
    if arguments.draws > MOST_DRAWS:
        raise UsageError(f"{arguments.draws} draws are too many", hint=f"ask for at most {MOST_DRAWS}")
    if arguments.block < SHORTEST_BLOCK:
        raise UsageError("a block is an hour at least", hint="write --block 1d")
    draws = (trace,) if arguments.as_recorded else blocks(trace, wanted, draws=arguments.draws, seconds=arguments.block)
    return tuple(planned_trace(planned, draw) for draw in draws) if planned else draws


def _print(rows: Sequence[Row], arguments: Namespace) -> None:
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    elif arguments.markdown:
        print(markdown(rows), end="")
    else:
        from spotwatch.cli.pools.table import make_console, table

        shown = table(*_HEADINGS, left=1, wrap=True)
        for row in rows:
            shown.add_row(*cells(row))
        console = make_console()
        console.print(shown)
        console.print(LEGEND, soft_wrap=True)
