"""Reads records of pool availability: CSV, run-length coded, one row for each change.

The columns are `trace,pool,tick_seconds,ticks,start_tick,available`: from `start_tick` on, `available` nodes could be
had in the pool, until the next row of the same pool or until `ticks`. Prices, if there are any, are in a second file
(`trace,pool,start_tick,usd_per_hour`). This is how the traces of skypilot-org/spot-traces are kept here.
"""

import csv
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from spotwatch.core.errors import InputError, UsageError

TRACE_COLUMNS: Final = ("trace", "pool", "tick_seconds", "ticks", "start_tick", "available")
PRICE_COLUMNS: Final = ("trace", "pool", "start_tick", "usd_per_hour")

_MOST_DIGITS: Final = 15
"""A whole number that a float holds exactly, and far more ticks than anyone has recorded."""


@dataclass(frozen=True, slots=True)
class PoolTrace:
    """When one pool was available.

    Attributes:
        name: as the trace names it, `us-east-1a_v100_1`.
        seconds: how long the record is.
        changes: (seconds from the start, the part of the nodes that can be had, 0 to 1), each with another part than
            the one before; the first is at 0.
        tick_seconds: how exact the times are.
        prices: (seconds from the start, USD an hour); empty where nobody has said.
        interruption: the probability that an instance is interrupted within a month, 0 to 1 (the Spot Instance
            Advisor's band); None where nobody has said.
    """

    name: str
    seconds: float
    changes: tuple[tuple[float, float], ...]
    tick_seconds: float = 1.0
    prices: tuple[tuple[float, float], ...] = ()
    interruption: float | None = None

    def price(self, at: float) -> float | None:
        """USD an hour at a time (seconds from the start); None if it is not known."""
        found = bisect_right(self.prices, at, key=lambda change: change[0])
        return self.prices[found - 1][1] if found else None

    def cut(self, begin: float, end: float, name: str) -> "PoolTrace":
        """The part from `begin` to `end` (seconds) as a record of its own."""
        return replace(
            self, name=name, seconds=end - begin, changes=_cut(self.changes, begin, end),
            prices=_cut(self.prices, begin, end),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trace:
    """Pools that were watched at the same time."""

    name: str
    pools: tuple[PoolTrace, ...]

    @property
    def seconds(self) -> float:
        """How long all of its pools were watched; what single pools have beyond is not replayed."""
        return min(pool.seconds for pool in self.pools)


def _cut(changes: tuple[tuple[float, float], ...], begin: float, end: float) -> tuple[tuple[float, float], ...]:
    before = [value for at, value in changes if at <= begin][-1:]
    return (*((0.0, value) for value in before), *((at - begin, value) for at, value in changes if begin < at < end))


def find_trace(traces: tuple[Trace, ...], name: str | None = None) -> Trace:
    """The trace whose name ends with `name`; without one, the trace with the most pools (the first of them).

    Raises:
        UsageError: none has the name, or several have.
    """
    if name is None:
        return max(traces, key=lambda trace: len(trace.pools))
    found = [trace for trace in traces if trace.name.endswith(name)]
    if len(found) != 1:
        count = "no trace" if not found else "more than one trace"
        raise UsageError(f'{count} ends with "{name}"', hint="name one of: " + ", ".join(each.name for each in traces))
    return found[0]


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of a CSV file, and where it stands, for the message when something is wrong with it."""

    path: Path
    line: int
    cells: Mapping[str, str | None]

    def mistake(self, column: str, what: str, hint: str) -> InputError:
        return InputError(f"{self.path}, row {self.line}, column {column}: {what}", hint=hint)

    def text(self, column: str) -> str:
        value = self.cells[column]
        if not value:
            raise self.mistake(column, "is empty", "give every row a value in each of the columns")
        return value

    def whole(self, column: str, least: int = 0) -> int:
        text = self.text(column)
        if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS) or int(text) < least:
            raise self.mistake(column, f'"{text}" is no whole number from {least} on', "correct the number")
        return int(text)

    def positive(self, column: str) -> float:
        text = self.text(column)
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0.0 < value < float("inf"):
            raise self.mistake(column, f'"{text}" is no number above 0', "correct the number")
        return value


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[_Row]:
    """The rows of a CSV file that has at least these columns.

    Raises:
        InputError: it cannot be read, is no CSV in UTF-8, lacks a column, or a row has too many cells.
    """
    hint = "give a CSV file in UTF-8 whose first line is " + ",".join(columns)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"{path}, row 1: the column {missing[0]} is missing", hint=hint)
            for cells in reader:
                row = _Row(path, reader.line_num, cells)
                if None in cells:
                    raise InputError(f"{path}, row {row.line}: has more cells than the first line", hint=hint)
                yield row
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint="give a file that can be read") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no CSV file in UTF-8: {error}", hint=hint) from error


@dataclass(slots=True)
class _Record:
    """What has been read of one pool: ticks, not yet seconds."""

    tick_seconds: float
    ticks: int
    changes: list[tuple[int, int]]

    def add(self, row: _Row) -> None:
        if (row.positive("tick_seconds"), row.whole("ticks", 1)) != (self.tick_seconds, self.ticks):
            raise row.mistake("ticks", "differs from the pool's first row, or tick_seconds does", "keep them the same")
        start, nodes = row.whole("start_tick"), row.whole("available")
        least = self.changes[-1][0] + 1 if self.changes else 0
        if not least <= start < self.ticks or (not self.changes and start):
            wanted = f"be from {least} to {self.ticks - 1}" if self.changes else "be 0 in the pool's first row"
            raise row.mistake("start_tick", f"is {start} and has to {wanted}", "sort the rows of a pool by start_tick")
        if not self.changes or self.changes[-1][1] != nodes:
            self.changes.append((start, nodes))

    def pool(self, name: str) -> PoolTrace:
        most = max(nodes for _, nodes in self.changes) or 1
        changes = tuple((start * self.tick_seconds, nodes / most) for start, nodes in self.changes)
        return PoolTrace(name, self.ticks * self.tick_seconds, changes, self.tick_seconds)


def read_trace(path: Path, prices: Path | None = None) -> tuple[Trace, ...]:
    """Every trace of a file, and its pools, in the order of the file.

    The nodes of a pool are the most that were ever available in it.

    Raises:
        InputError: a file cannot be read or is malformed; the message names the row and the column.
    """
    records: dict[str, dict[str, _Record]] = {}
    for row in _rows(path, TRACE_COLUMNS):
        pools = records.setdefault(row.text("trace"), {})
        empty = _Record(row.positive("tick_seconds"), row.whole("ticks", 1), [])
        pools.setdefault(row.text("pool"), empty).add(row)
    if not records:
        raise InputError(f"{path} holds no rows", hint="give a file with at least one trace")
    traces = tuple(
        Trace(name, tuple(record.pool(pool) for pool, record in pools.items())) for name, pools in records.items()
    )
    return traces if prices is None else _with_prices(traces, prices)


def _with_prices(traces: tuple[Trace, ...], path: Path) -> tuple[Trace, ...]:
    known = {(trace.name, pool.name): pool for trace in traces for pool in trace.pools}
    prices: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in _rows(path, PRICE_COLUMNS):
        key = (row.text("trace"), row.text("pool"))
        if key not in known:
            raise row.mistake("pool", f"{key[1]} of {key[0]} is not in the trace", "give the prices of this trace")
        changes = prices.setdefault(key, [])
        at = row.whole("start_tick") * known[key].tick_seconds
        if changes and at <= changes[-1][0]:
            raise row.mistake("start_tick", "is not above the one before", "sort the rows of a pool by start_tick")
        changes.append((at, row.positive("usd_per_hour")))
    return tuple(
        replace(
            trace,
            pools=tuple(replace(pool, prices=tuple(prices.get((trace.name, pool.name), ()))) for pool in trace.pools),
        )
        for trace in traces
    )
