"""Planning problems out of the shared data: those with known optima, and others at will."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from math import log

from spotwatch.core.capacity import Group, InstanceType, Pool, TypeName
from spotwatch.pools.problem import Candidate, Problem, Solution
from tests.pools.data import DATA

MIDDLES = (0.025, 0.075, 0.125, 0.175, 0.3)
"""Of the Spot Instance Advisor's bands: the probability of an interruption within a month."""

RHO = 0.02


@dataclass(frozen=True)
class Reference:
    """A row of reference_optima_dev.csv."""

    problem: Problem
    name: str
    demand: int
    lp_objective: float
    lp_cost: float
    milp_objective: float
    milp_cost: float


def read(name: str) -> Iterator[dict[str, str]]:
    with (DATA / name).open(newline="") as file:
        yield from csv.DictReader(file)


@cache
def instance_types() -> dict[str, InstanceType]:
    return {row["type"]: instance_type(row) for row in read("instance_types.csv") if readable(row["type"])}


def readable(name: str) -> bool:
    try:
        TypeName.parse(name)
    except ValueError:
        return False
    return True


def instance_type(row: dict[str, str]) -> InstanceType:
    return InstanceType(
        name=row["type"],
        vcpus=int(row["vcpu"]),
        threads_per_core=int(row["threads_per_core"]),
        memory_mib=int(row["mem_mib"]),
        architectures=(row["arch"],),
        hypervisor=row["hypervisor"],
        bare_metal=row["bare_metal"] == "1",
        burstable=row["burstable"] == "1",
        local_disk=row["instance_store"] == "1",
        accelerators=row["accelerator"] == "1",
        spot="spot" in row["usage"],
        enis=int(row["eni_max"]),
        ipv4_per_eni=int(row["ipv4_per_eni"]),
    )


def eligible(kind: InstanceType) -> bool:
    """The filter of the reference optima."""
    plain = not (kind.bare_metal or kind.burstable or kind.accelerators)
    return kind.hypervisor == "nitro" and plain and 2 <= kind.vcpus <= 48 and kind.architectures == ("x86_64",)


@cache
def dev_pools(region: str, letter: str) -> tuple[Pool, ...]:
    """The pools of a region and class with modelled prices."""
    types = instance_types()
    rows = (row for row in read("pool_prices_dev.csv") if row["region"] == region)
    return tuple(
        Pool(
            az_id=row["az_id"],
            type=types[row["type"]],
            usd_per_hour=float(row["usd_per_hour_spot_model"]),
            interruption=MIDDLES[int(row["interruption_band"])],
        )
        for row in rows
        if types[row["type"]].parts.instance_class == letter and eligible(types[row["type"]])
    )


def candidates_of(pools: Iterable[Pool], *, rho: float = RHO) -> tuple[Candidate, ...]:
    """Weighted by vCPU; every pool has a price and a band."""
    found = []
    for pool in pools:
        assert pool.usd_per_hour is not None
        assert pool.interruption is not None
        loss = rho * pool.type.vcpus * -log(1 - pool.interruption) / 30
        found.append(Candidate(pool, float(pool.type.vcpus), pool.usd_per_hour, pool.usd_per_hour + loss))
    return tuple(found)


def objective_of(problem: Problem, solution: Solution) -> float:
    return sum(count * each.objective for count, each in zip(solution.counts, problem.candidates, strict=True))


def references() -> list[Reference]:
    return [_reference(row) for row in read("reference_optima_dev.csv")]


def _reference(row: dict[str, str]) -> Reference:
    names = {"cap_pool": Group.POOL, "cap_type": Group.TYPE, "cap_family": Group.FAMILY, "cap_gen": Group.GENERATION}
    caps = {group: float(row[name]) for name, group in {**names, "cap_az": Group.AZ}.items()}
    least = int(row["min_pools"])
    candidates = candidates_of(dev_pools(row["region"], row["class"]), rho=float(row["rho_usd_per_vcpu_lost_day"]))
    return Reference(
        problem=Problem(candidates, float(row["vcpu"]), caps, least_pools=least, least_effective_pools=float(least)),
        name=f"{row['region']} {row['class']} {row['vcpu']}",
        demand=int(row["vcpu"]),
        lp_objective=float(row["lp_objective"]),
        lp_cost=float(row["lp_cost"]),
        milp_objective=float(row["milp_objective"]),
        milp_cost=float(row["milp_cost"]),
    )
