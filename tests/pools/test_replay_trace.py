"""Traces are read as they are written, cut into pool-weeks and drawn alike everywhere; what is malformed is named."""

from pathlib import Path

import pytest

from spotwatch.core.errors import InputError, UsageError
from spotwatch.pools.replay.blocks import WEEK_SECONDS, blocks, pool_weeks
from spotwatch.pools.replay.trace import PoolTrace, Trace, find_trace, read_trace
from tests.pools.data import DATA, needs_data

HEADER = "trace,pool,tick_seconds,ticks,start_tick,available\n"


def written(folder: Path, text: str, name: str = "trace.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_ticks_become_seconds_and_nodes_become_parts_of_the_most_nodes(tmp_path: Path) -> None:
    rows = "t,a,30,100,0,4\nt,a,30,100,10,1\nt,a,30,100,20,0\nt,b,60,80,0,0\n"
    (trace,) = read_trace(written(tmp_path, HEADER + rows))
    assert trace == Trace(
        "t",
        (
            PoolTrace("a", 3000.0, ((0.0, 1.0), (300.0, 0.25), (600.0, 0.0)), 30.0),
            PoolTrace("b", 4800.0, ((0.0, 0.0),), 60.0),
        ),
    )
    assert trace.seconds == 3000.0


def test_a_row_that_changes_nothing_is_no_change(tmp_path: Path) -> None:
    (trace,) = read_trace(written(tmp_path, HEADER + "t,a,30,100,0,1\nt,a,30,100,10,1\n"))
    assert trace.pools[0].changes == ((0.0, 1.0),)


def test_prices_are_those_of_the_last_change(tmp_path: Path) -> None:
    prices = written(tmp_path, "trace,pool,start_tick,usd_per_hour\nt,a,5,1.5\nt,a,10,2\n", "prices.csv")
    (trace,) = read_trace(written(tmp_path, HEADER + "t,a,30,100,0,1\n"), prices)
    pool = trace.pools[0]
    assert [pool.price(at) for at in (0.0, 149.0, 150.0, 299.0, 300.0)] == [None, None, 1.5, 1.5, 2.0]
    assert pool.cut(200.0, 400.0, "cut").prices == ((0.0, 1.5), (100.0, 2.0))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("", "holds no rows"),
        ("t,a,30,100,5,1\n", "row 2, column start_tick: is 5 and has to be 0"),
        ("t,a,30,100,0,1\nt,a,30,100,0,0\n", "row 3, column start_tick: is 0 and has to be from 1 to 99"),
        ("t,a,30,100,0,1\nt,a,30,100,100,0\n", "row 3, column start_tick"),
        ("t,a,30,100,0,1\nt,a,30,90,7,0\n", "row 3, column ticks: differs"),
        ("t,a,30,100,0,1\nt,a,31,100,7,0\n", "row 3, column ticks: differs"),
        ("t,a,0,100,0,1\n", 'row 2, column tick_seconds: "0" is no number above 0'),
        ("t,a,nan,100,0,1\n", "row 2, column tick_seconds"),
        ("t,a,inf,100,0,1\n", "row 2, column tick_seconds"),
        ("t,a,30,0,0,1\n", 'row 2, column ticks: "0" is no whole number from 1 on'),
        ("t,a,30," + "9" * 5000 + ",0,1\n", "row 2, column ticks"),
        ("t,a,30,100,0,-1\n", 'row 2, column available: "-1"'),
        ("t,a,30,100,0,yes\n", 'row 2, column available: "yes"'),
        ("t,a,30,100,0\n", "row 2, column available: is empty"),
        (",a,30,100,0,1\n", "row 2, column trace: is empty"),
        ("t,a,30,100,0,1,2\n", "row 2: has more cells"),
        ('t,"a,30,100,0,1\n', "is no CSV file"),
    ],
)
def test_a_malformed_row_is_named_with_its_column_and_a_cure(tmp_path: Path, rows: str, told: str) -> None:
    with pytest.raises(InputError) as refused:
        read_trace(written(tmp_path, HEADER + rows))
    assert told in refused.value.message
    assert refused.value.hint


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 1: the column available is missing"):
        read_trace(written(tmp_path, "trace,pool,tick_seconds,ticks,start_tick\n"))


def test_a_file_that_is_missing_or_no_text_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_trace(tmp_path / "nowhere.csv")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no CSV file in UTF-8"):
        read_trace(tmp_path / "binary")


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("t,z,0,1\n", "row 2, column pool: z of t is not in the trace"),
        ("t,a,0,0\n", "row 2, column usd_per_hour"),
        ("t,a,3,1\nt,a,3,2\n", "row 3, column start_tick"),
    ],
)
def test_a_malformed_price_is_named(tmp_path: Path, rows: str, told: str) -> None:
    prices = written(tmp_path, "trace,pool,start_tick,usd_per_hour\n" + rows, "prices.csv")
    with pytest.raises(InputError, match=told):
        read_trace(written(tmp_path, HEADER + "t,a,30,100,0,1\n"), prices)


def test_a_trace_is_found_by_the_end_of_its_name_and_the_largest_without_one() -> None:
    pool = PoolTrace("a", 10.0, ((0.0, 1.0),))
    small, large = Trace("x/one", (pool,)), Trace("x/two", (pool, pool))
    assert find_trace((small, large)) is large
    assert find_trace((small, large), "one") is small
    with pytest.raises(UsageError, match="no trace"):
        find_trace((small, large), "three")
    with pytest.raises(UsageError, match="more than one"):
        find_trace((small, small), "one")


def three_weeks(count: int) -> Trace:
    changes = ((0.0, 1.0), (WEEK_SECONDS / 2, 0.0), (1.5 * WEEK_SECONDS, 1.0))
    return Trace("t", tuple(PoolTrace(f"p{n}", 3.9 * WEEK_SECONDS, changes) for n in range(count)))


def test_a_pool_week_begins_as_the_pool_was_and_the_rest_of_the_record_is_left_out() -> None:
    weeks = pool_weeks(three_weeks(1))
    assert [week.name for week in weeks] == ["p0 week 1", "p0 week 2", "p0 week 3"]
    assert [week.changes for week in weeks] == [
        ((0.0, 1.0), (WEEK_SECONDS / 2, 0.0)),
        ((0.0, 0.0), (WEEK_SECONDS / 2, 1.0)),
        ((0.0, 1.0),),
    ]
    assert {week.seconds for week in weeks} == {WEEK_SECONDS}


def test_a_draw_takes_no_pool_week_twice_and_draws_differ() -> None:
    draws = blocks(three_weeks(9), 20, draws=5)
    names = [tuple(pool.name for pool in draw.pools) for draw in draws]
    assert all(len(set(each)) == 20 for each in names)
    assert len(set(names)) == 5


def test_draws_are_the_same_on_every_machine() -> None:
    """Written down once; a change of it would make published tables wrong."""
    (draw,) = blocks(three_weeks(3), 4, draws=1)
    assert [pool.name for pool in draw.pools] == ["p1 week 1", "p0 week 3", "p0 week 2", "p2 week 3"]
    assert blocks(three_weeks(3), 4, draws=3)[0] == draw


@pytest.mark.parametrize(("k", "draws"), [(10, 1), (0, 1), (1, 0)])
def test_more_pools_than_blocks_or_nothing_at_all_is_refused(k: int, draws: int) -> None:
    with pytest.raises(UsageError):
        blocks(three_weeks(3), k, draws=draws)


@needs_data
def test_the_nine_zones_of_the_real_trace_make_54_pool_weeks() -> None:
    traces = read_trace(DATA / "spot_traces.csv", DATA / "spot_trace_prices.csv")
    trace = find_trace(traces)
    assert (len(traces), len(trace.pools), len(pool_weeks(trace))) == (3, 9, 54)
    assert len(find_trace(traces, "aws-08-27-2023").pools) == 3
    assert all(pool.prices for pool in find_trace(traces, "aws-04-19-2023").pools)
