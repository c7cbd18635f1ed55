"""``spotwatch pools replay``: run-time policies through traces of pools' availability."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from spotwatch.cli.values import duration, positive, share
from spotwatch.core.errors import UsageError
from spotwatch.pools.replay.blocks import blocks
from spotwatch.pools.replay.compare import Row, cells, compare, markdown
from spotwatch.pools.replay.policy import Policy
from spotwatch.pools.replay.trace import find_trace, read_trace

DESCRIPTION = """\
Run spotwatch's policy (soft caps, rebalancing, cool-down, over-provisioning)
and the usual strategies through a trace of pools' availability, and say how
much of the fleet was there on average and in the worst ten minutes, how often
a quarter of it was lost at once, and how much was interrupted.

Each pool and week of the trace is taken for a pool of its own, and --pools of
them are drawn, --draws times; the draws are always the same.
"""

EPILOG = """\
exit codes:
  0   replayed
  64  the trace cannot be replayed like this
  65  the file is malformed

examples:
  spotwatch pools replay --trace spot_traces.csv
  spotwatch pools replay --trace spot_traces.csv --pools 10 --over-provisioning 1.1
  spotwatch pools replay --trace spot_traces.csv --soft-cap 20% --json
"""

_DEFAULT = Policy()

_HEADINGS = ("strategy", "bought", "mean", "worst 10 min", "worst draw", "mass losses", "interruptions", "lost", "moved")
"""Those of the Markdown table, as short as a terminal needs them."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare its words."""
    parser.add_argument("--trace", type=Path, required=True, metavar="FILE", help="CSV of pools' availability")
    parser.add_argument("--trace-prices", type=Path, metavar="FILE", help="CSV of the pools' prices in the trace")
    parser.add_argument("--trace-name", metavar="NAME", help="one of the file's traces (default: that with most pools)")
    parser.add_argument("--pools", type=int, default=20, metavar="K", help="pools of a draw (default: 20)")
    parser.add_argument("--draws", type=int, default=10, metavar="N", help="draws (default: 10)")
    parser.add_argument(
        "--over-provisioning",
        action="append",
        type=positive,
        metavar="FACTOR",
        help="multiple of what is needed; may be repeated (default: 1.0 and 1.25)",
    )
    parser.add_argument("--soft-cap", type=share, default=_DEFAULT.soft_cap, help="default: 10%%")
    parser.add_argument("--rebalance", type=share, default=_DEFAULT.rebalance_share, help="default: 2%% at a time")
    for name, seconds in (
        ("rebalance-every", _DEFAULT.rebalance_seconds),
        ("cool-down", _DEFAULT.cool_down_seconds),
        ("launch-time", _DEFAULT.launch_seconds),
    ):
        parser.add_argument(
            f"--{name}", type=duration, default=seconds, metavar="TIME", help=f"default: {seconds / 60:.0f}m"
        )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print the rows as JSON")
    output.add_argument("--markdown", action="store_true", help="print the table in Markdown")


def run(arguments: Namespace) -> int:
    """Replay."""
    trace = find_trace(read_trace(arguments.trace, arguments.trace_prices), arguments.trace_name)
    if arguments.draws < 1 or arguments.pools < 1:
        raise UsageError("--draws and --pools are at least 1", hint="write whole numbers")
    policy = Policy(
        soft_cap=arguments.soft_cap,
        rebalance_share=arguments.rebalance,
        rebalance_seconds=arguments.rebalance_every,
        cool_down_seconds=arguments.cool_down,
        launch_seconds=arguments.launch_time,
    )
    draws = blocks(trace, arguments.pools, draws=arguments.draws)
    _print(compare(draws, policy, arguments.over_provisioning or (1.0, 1.25)), arguments)
    return 0


def _print(rows: Sequence[Row], arguments: Namespace) -> None:
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    elif arguments.markdown:
        print(markdown(rows), end="")
    else:
        from spotwatch.cli.pools.table import make_console, table

        shown = table(*_HEADINGS, left=1)
        for row in rows:
            shown.add_row(*cells(row))
        console = make_console()
        console.print(shown)
        console.print(
            "mean and worst: what was in service, of what is needed; worst 10 min: in the middle draw;\n"
            "mass losses (25 % in 10 minutes), interruptions, lost and moved: a day"
        )
