"""The exact answer, by HiGHS: what the planner's own solver and bound are held against."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import highspy
import numpy as np

from spotwatch.core.capacity import Group
from spotwatch.pools.problem import Candidate, Problem
from spotwatch.pools.quota import quota_class

INFINITY = highspy.kHighsInf


@dataclass(frozen=True)
class Answer:
    """`objective` is the best plan found, `bound` what none goes below; both None if there is no plan."""

    objective: float | None
    bound: float | None
    counts: tuple[float, ...] = ()


@dataclass
class Model:
    """Rows of a problem: variables are instances, then one 0/1 for each candidate if pools are to be counted."""

    lows: list[float]
    highs: list[float]
    rows: list[dict[int, float]]

    def row(self, low: float, entries: dict[int, float], high: float) -> None:
        self.rows.append(entries)
        self.lows.append(low)
        self.highs.append(high)


def milp(problem: Problem, *, seconds: float = 10.0) -> Answer:
    """The cheapest plan; the effective number is reached by cutting planes."""
    return _solved(problem, whole=True, price=lambda candidate: candidate.objective, seconds=seconds)


def lp(
    problem: Problem, *, price: Callable[[Candidate], float] = lambda c: c.objective, seconds: float = 10.0
) -> Answer:
    """The cheapest plan in fractions of instances, without the wish for many pools."""
    return _solved(problem, whole=False, price=price, seconds=seconds)


def _rows(problem: Problem, *, whole: bool) -> Model:
    model = Model([], [], [])
    weights = [candidate.weight for candidate in problem.candidates]
    count = len(weights)
    everything = dict(enumerate(weights))
    model.row(problem.demand, everything, problem.demand * (1 + problem.slack))
    for kind in Group:
        members: defaultdict[str, list[int]] = defaultdict(list)
        for i, candidate in enumerate(problem.candidates):
            members[candidate.pool.key(kind)].append(i)
        for group in members.values():
            if kind in problem.caps:
                model.row(-INFINITY, {i: weights[i] for i in group}, problem.caps[kind] * problem.demand)
            if kind in problem.survive:
                rest = everything.copy()
                for i in group:
                    del rest[i]
                model.row(problem.survive[kind] * problem.demand, rest, INFINITY)
    for name, quota in problem.quotas.items():
        vcpus = {
            i: float(candidate.pool.type.vcpus)
            for i, candidate in enumerate(problem.candidates)
            if quota_class(candidate.pool.type.parts) == name
        }
        model.row(-INFINITY, vcpus, quota)
    if whole and problem.least_pools > 1:
        for i in range(count):
            model.row(0.0, {i: 1.0, count + i: -1.0}, INFINITY)
        model.row(problem.least_pools, {count + i: 1.0 for i in range(count)}, INFINITY)
    return model


def _solved(problem: Problem, *, whole: bool, price: Callable[[Candidate], float], seconds: float) -> Answer:
    model = _rows(problem, whole=whole)
    counted = whole and problem.least_pools > 1
    weights = np.array([candidate.weight for candidate in problem.candidates])
    began, answer = time.monotonic(), Answer(None, None)
    while (left := seconds - (time.monotonic() - began)) > 0:
        answer = _run(model, [price(candidate) for candidate in problem.candidates], counted, whole, left)
        if not whole or answer.objective is None:
            return answer
        held = np.array(answer.counts) * weights
        norm, total = float(np.linalg.norm(held)), float(held.sum())
        if norm * problem.least_effective_pools**0.5 <= total * (1 + 1e-9):
            return answer
        direction = held / norm  # |held| >= direction . held for every plan, so this row cuts off no good one
        row = weights * (direction - problem.least_effective_pools**-0.5)
        model.row(-INFINITY, {i: float(entry) for i, entry in enumerate(row)}, 0.0)
    return Answer(None, answer.bound)


def _run(model: Model, prices: list[float], counted: bool, whole: bool, seconds: float) -> Answer:
    count = len(prices)
    columns = count * 2 if counted else count
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("time_limit", seconds)
    solver.setOptionValue("mip_rel_gap", 1e-3)
    highs = highspy.HighsLp()
    highs.num_col_, highs.num_row_ = columns, len(model.rows)
    highs.col_cost_ = np.array([*prices, *[0.0] * (columns - count)])
    highs.col_lower_ = np.zeros(columns)
    highs.col_upper_ = np.array([INFINITY] * count + [1.0] * (columns - count))
    highs.row_lower_, highs.row_upper_ = np.array(model.lows), np.array(model.highs)
    highs.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    highs.a_matrix_.start_ = np.cumsum([0, *(len(row) for row in model.rows)])
    highs.a_matrix_.index_ = np.array([i for row in model.rows for i in row])
    highs.a_matrix_.value_ = np.array([value for row in model.rows for value in row.values()])
    if whole:
        highs.integrality_ = [highspy.HighsVarType.kInteger] * columns
    solver.passModel(highs)
    solver.run()
    status, info = solver.getModelStatus(), solver.getInfo()
    if status == highspy.HighsModelStatus.kInfeasible:
        return Answer(None, None)
    found = info.primal_solution_status == 2
    bound = info.mip_dual_bound if whole else info.objective_function_value
    if not found:
        return Answer(None, bound)
    values = tuple(solver.getSolution().col_value[:count])
    return Answer(info.objective_function_value, bound, values)
