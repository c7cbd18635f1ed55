"""What gives way, in which order, and how far."""

from dataclasses import replace

import pytest

from spotwatch.core.capacity import Group, Pool
from spotwatch.core.errors import PlanInfeasible
from spotwatch.pools.plan import Relaxed
from spotwatch.pools.problem import Candidate, Problem
from spotwatch.pools.relaxation import ORDER, Relaxation, refuse_relaxed, relax
from spotwatch.pools.solver import solve
from tests.pools.plans import instance_type
from tests.pools.verification import violations


def problem(*names: str, azs: int = 4, demand: float = 100.0, **caps: float) -> Problem:
    kinds = [instance_type(name) for name in names]
    candidates = tuple(
        Candidate(Pool(f"use1-az{az}", kind), kind.vcpus, kind.vcpus * 0.01, kind.vcpus * 0.01)
        for kind in kinds
        for az in range(1, azs + 1)
    )
    return Problem(candidates, demand, {Group(kind): cap for kind, cap in caps.items()})


def given_up(relaxation: Relaxation) -> dict[str, float]:
    return {each.what: round(each.granted, 3) for each in relaxation.relaxed}


def test_what_can_hold_is_not_touched() -> None:
    asked = problem("c6i.large", "c6a.large", "c7i.large", pool=0.1, type=0.4)
    assert relax(asked) == Relaxation(asked, ())


def test_generation_gives_way_before_family_as_far_as_it_must() -> None:
    """Two of three families are of generation 6: 60 % of it would hold if families held 50 %."""
    asked = problem("c6i.large", "c6a.large", "c7i.large", generation=0.5, family=0.34)
    assert given_up(relax(asked)) == {"generation": 0.66}


def test_the_order_is_generation_family_az_type_pool() -> None:
    assert [str(kind) for kind in ORDER] == ["generation", "family", "az", "type", "pool"]
    asked = problem("c6i.large", azs=2, generation=0.5, family=0.25, az=0.25, type=0.1, pool=0.05)
    relaxation = relax(asked)
    assert [each.what for each in relaxation.relaxed] == ["generation", "family", "az", "type", "pool"]
    assert given_up(relaxation) == {"generation": 1.0, "family": 1.0, "az": 0.5, "type": 1.0, "pool": 0.5}


def test_a_later_cap_is_kept_where_giving_up_an_earlier_one_is_enough() -> None:
    asked = problem("c6i.large", "c6i.xlarge", azs=5, demand=80.0, family=0.25, type=0.5, pool=0.1)
    assert given_up(relax(asked)) == {"family": 1.0}


def test_a_demand_too_small_for_20_pools_has_fewer() -> None:
    asked = replace(
        problem("c6i.large", "c6a.large", "c7i.large", azs=4, demand=12.0, pool=0.05),
        least_pools=20,
        least_effective_pools=20.0,
    )
    relaxation = relax(asked)
    assert given_up(relaxation) == {"pool": 0.167, "pools": 6, "effective pools": 6.0}
    assert violations(relaxation.problem, solve(relaxation.problem)) == []


def test_the_slack_gives_way_last_and_only_to_the_next_whole_instance() -> None:
    assert given_up(relax(problem("c6i.xlarge", demand=10.0))) == {"slack": 0.4}


def test_every_relaxation_has_a_reason() -> None:
    asked = problem("c6i.large", azs=2, generation=0.5, family=0.25, az=0.25, type=0.1, pool=0.05)
    assert all(each.reason for each in relax(asked).relaxed)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Problem((), 10.0, {}), "no pool"),
        (problem("c6i.xlarge", demand=3.0), "less than the smallest instance"),
        (replace(problem("c6i.large"), quotas={"standard": 99.0}), "the Spot quotas allow 99 units"),
    ],
)
def test_what_nothing_can_help_is_refused_with_the_reason(asked: Problem, words: str) -> None:
    with pytest.raises(PlanInfeasible, match=words) as refusal:
        relax(asked)
    assert refusal.value.hint


def test_a_strict_demand_is_told_what_it_would_take() -> None:
    relaxation = Relaxation(problem("c6i.large"), (Relaxed("family", 0.25, 0.4, "because"),))
    with pytest.raises(PlanInfeasible, match=r"family 40\.0 % instead of 25\.0 %"):
        refuse_relaxed(relaxation)
