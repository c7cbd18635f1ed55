"""How long a replay takes: 54 pools for 45 days, and the K = 20 blocks with every strategy.

    python -m tests.bench.replay [--runs 5] [--table]

The trace is the real 9-AZ one. The 54 pools of 45 days are its 9 pools, each six times, begun a week later each time
and carried on from its beginning. ``--table`` prints the comparison over the default draws of K = 20 blocks, which is
the one that the README shows.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from spotwatch.pools.replay.blocks import WEEK_SECONDS, blocks
from spotwatch.pools.replay.compare import compare, markdown, usual_strategies
from spotwatch.pools.replay.engine import replay
from spotwatch.pools.replay.policy import Policy
from spotwatch.pools.replay.trace import PoolTrace, Trace, find_trace, read_trace
from tests.pools.data import DATA


def begun_at(pool: PoolTrace, begin: float) -> PoolTrace:
    """The record from `begin` on, carried on from its beginning."""
    late = pool.cut(begin, pool.seconds, f"{pool.name} from {begin:g}")
    early = pool.cut(0.0, begin, "")
    return replace(late, seconds=pool.seconds, changes=late.changes + tuple((at + late.seconds, part)
                                                                            for at, part in early.changes))  # fmt: skip


def seconds_of(what: Callable[[], object], runs: int) -> float:
    """The median of some runs, in CPU seconds: other work on the machine does not count."""
    taken = []
    for _ in range(runs):
        began = time.process_time()
        what()
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"no shared data in {DATA}; SPOTWATCH_SHARED_DATA names its folder")
    trace = find_trace(read_trace(DATA / "spot_traces.csv"), "aws-02-15-2023")
    if arguments.table:
        print(markdown(compare(blocks(trace, 20))), end="")
        return
    many = Trace("54 pools", tuple(begun_at(pool, n * WEEK_SECONDS) for pool in trace.pools for n in range(6)))
    week = blocks(trace, 20, draws=1)[0]
    changes = sum(len(pool.changes) for pool in many.pools)
    print(f"read: {seconds_of(lambda: read_trace(DATA / 'spot_traces.csv'), arguments.runs):.3f} s")
    print(f"{len(many.pools)} pools, {many.seconds / 86_400:.1f} days, {changes} changes; 20 pools, 7 days:")
    for strategy in usual_strategies(Policy()):
        long, short = (seconds_of(partial(replay, each, strategy), arguments.runs) for each in (many, week))
        print(f"  {strategy.name:42} {long:.3f} s   {short:.3f} s")


if __name__ == "__main__":
    main()
