"""What the report's figures show, as numbers ready to be drawn: where, how long, how dark. No markup.

Positions across are percentages, so that a figure takes the width that there is and its lettering keeps its size;
positions down are pixels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor, log10
from typing import Final

from spotwatch.core.capacity import Group
from spotwatch.pools.plan import Plan, PlannedPool

LEVELS: Final = 8
"""Of darkness in the heat map."""

_ROWS_IN_A_COLUMN: Final = 26
"""More instance types than this are shown in two tables side by side, where the window is wide enough for them."""

_GROUPS: Final = 6
"""Bars of one kind of group; what is smaller is summed up."""

_SAME_SHARE: Final = 0.0005
_SAME_COST: Final = 0.005
"""Plans closer than this, the latter relative, are one point in the chart."""

_TICKS: Final = 5
"""On an axis, about."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One pool in the heat map; `level` is 1 to `LEVELS`."""

    planned: PlannedPool
    share: float
    level: int


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One instance type: what it holds in each AZ, None where nothing, and in all of them."""

    instance_type: str
    cells: tuple[Cell | None, ...]
    share: float
    begins_family: bool


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Instance types down, by family and size, and AZs across.

    Attributes:
        az_ids: of the columns.
        az_shares: of the Spot capacity, of each column.
        parts: the rows, in one table or two.
        full: the largest share of a pool, which is darkest.
    """

    az_ids: tuple[str, ...]
    az_shares: tuple[float, ...]
    parts: tuple[tuple[HeatRow, ...], ...]
    full: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One group: its share of the Spot capacity, and how long its bar is in percent."""

    key: str
    share: float
    length: float
    above_cap: bool


@dataclass(frozen=True, slots=True)
class LossBars:
    """The largest groups of one kind; `others` are not shown and hold `others_share`. `cap_at` is in percent."""

    group: Group
    bars: tuple[Bar, ...]
    cap: float | None
    cap_at: float | None
    others: int
    others_share: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A value on an axis, and where it stands."""

    value: float
    at: float


@dataclass(frozen=True, slots=True)
class Point:
    """A plan in the cost-against-risk chart: a share lost at once, USD an hour, and where it stands."""

    worst_loss: float
    usd_per_hour: float
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class FrontierChart:
    """Cost against risk.

    Attributes:
        points: of the frontier, from safe to cheap; where the report's plan is one of them, it stands in its place.
        this: the plan of the report.
        bound_y: where its proven lower bound is, if it lies in the chart.
        x_ticks, y_ticks: of the axes.
        height: in pixels.
    """

    points: tuple[Point, ...]
    this: Point | None
    bound_y: float | None
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    height: float

    @property
    def segments(self) -> tuple[tuple[Point, Point], ...]:
        """The line through the points, from each to the next."""
        return tuple(zip(self.points, self.points[1:], strict=False))

    @property
    def table(self) -> tuple[Point, ...]:
        """All plans, safe ones first, with that of the report."""
        beside = [self.this] if self.this and self.this not in self.points else []
        return tuple(sorted([*self.points, *beside], key=lambda point: point.worst_loss))


def heat_map(plan: Plan) -> HeatMap:
    """The share of the Spot capacity in each pool. The plan has pools."""
    total = plan.capacity
    full = plan.worst_loss(Group.POOL)
    by_az = plan.shares(Group.AZ)
    az_ids = tuple(sorted(by_az))
    rows = []
    family = ""
    for name, pools in groupby(sorted(plan.pools, key=_by_type), key=lambda planned: planned.pool.type.name):
        cells = {planned.pool.az_id: _cell(planned, total, full) for planned in pools}
        kind = next(iter(cells.values())).planned.pool.type.parts.family
        share = sum(cell.share for cell in cells.values())
        rows.append(HeatRow(name, tuple(cells.get(az) for az in az_ids), share, bool(family) and kind != family))
        family = kind
    return HeatMap(az_ids, tuple(by_az[az] for az in az_ids), _parts(rows), full)


def _by_type(planned: PlannedPool) -> tuple[object, ...]:
    kind = planned.pool.type
    return kind.parts.instance_class, kind.parts.generation, kind.parts.family, kind.vcpus, kind.name


def _cell(planned: PlannedPool, total: float, full: float) -> Cell:
    share = planned.capacity / total
    return Cell(planned, share, min(LEVELS, max(1, ceil(share / full * LEVELS - 1e-9))))


def _parts(rows: Sequence[HeatRow]) -> tuple[tuple[HeatRow, ...], ...]:
    """The rows in one table, or in two cut between families, as near to the middle as that goes."""
    if len(rows) <= _ROWS_IN_A_COLUMN:
        return (tuple(rows),)
    middle = ceil(len(rows) / 2)
    cuts = [number for number, row in enumerate(rows) if row.begins_family] or [middle]
    cut = min(cuts, key=lambda number: abs(number - middle))
    return tuple(rows[:cut]), tuple(rows[cut:])


def loss_bars(plan: Plan, group: Group) -> LossBars:
    """What is lost with each of the largest groups of a kind, and the cap."""
    shares = list(plan.shares(group).items())
    cap = plan.caps.get(group)
    reach = max([cap or 0.0, *(share for _, share in shares[:1])]) * 1.08 or 1.0
    bars = tuple(
        Bar(key, share, 100 * share / reach, cap is not None and share > cap + 1e-9) for key, share in shares[:_GROUPS]
    )
    others = shares[_GROUPS:]
    return LossBars(
        group,
        bars,
        cap,
        None if cap is None else 100 * cap / reach,
        len(others),
        sum(share for _, share in others),
    )


def frontier_chart(
    frontier: Iterable[tuple[float, float]],
    this: tuple[float, float] | None,
    bound: float | None = None,
    *,
    height: float = 300,
) -> FrontierChart | None:
    """Where the plans of a frontier stand; None if there are none.

    Args:
        frontier: of each plan the share that is lost at once, and USD an hour.
        this: likewise of the report's plan; None without prices.
        bound: USD an hour that no plan within the caps of this one can go below.
        height: of the chart, in pixels.
    """
    plans = sorted(frontier)
    if not plans:
        return None
    shown = [*plans, *([this] if this else [])]
    costs = [cost for _, cost in shown]
    low, high = min(costs), max(costs)
    margin = (high - low) * 0.12 or high * 0.05 or 1.0
    if bound is not None and low - 3 * margin < bound < low:
        low = bound
    x_ticks = _ticks(0.0, max(share for share, _ in shown) * 1.05)
    y_ticks = _ticks(max(0.0, low - margin), high + margin)
    right = x_ticks[-1]
    bottom, top = y_ticks[0], y_ticks[-1]

    def across(share: float) -> float:
        return 100 * share / right

    def down(cost: float) -> float:
        return height * (top - cost) / (top - bottom)

    def point(plan: tuple[float, float]) -> Point:
        share, cost = plan
        return Point(share, cost, across(share), down(cost))

    mine = point(this) if this else None
    others = [point(plan) for plan in plans if this is None or not _same(plan, this)]
    on_it = [mine] if mine and len(others) < len(plans) else []
    return FrontierChart(
        points=tuple(sorted([*others, *on_it], key=lambda each: each.worst_loss)),
        this=mine,
        bound_y=down(bound) if bound is not None and bottom <= bound <= top else None,
        x_ticks=tuple(Tick(value, across(value)) for value in x_ticks),
        y_ticks=tuple(Tick(value, down(value)) for value in y_ticks),
        height=height,
    )


def _same(plan: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two plans are one point on paper."""
    return abs(plan[0] - other[0]) < _SAME_SHARE and abs(plan[1] - other[1]) < _SAME_COST * other[1]


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, evenly spaced, from at most `low` to at least `high`."""
    rough = (high - low) / _TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]
