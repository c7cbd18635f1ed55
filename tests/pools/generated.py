"""Planning problems at will: real regions with other prices, caps and wishes; one for each number."""

import random
from dataclasses import replace

from spotwatch.core.capacity import Group, Pool
from spotwatch.pools.problem import Problem
from tests.pools.problems import candidates_of, dev_pools

CAPS = {
    Group.POOL: (0.03, 0.12),
    Group.TYPE: (0.06, 0.3),
    Group.FAMILY: (0.15, 0.5),
    Group.GENERATION: (0.35, 0.8),
    Group.AZ: (0.36, 0.7),
}
"""The ranges of the caps."""

SMALLEST, LARGEST = 500, 20_000
"""Demands, in vCPU. Smaller ones that want 20 pools are puzzles of one or two instances a pool, where the solver was
seen up to 4 % above the exact one; `test_solver` holds the reference optima at 200 vCPU to half a percent."""


def generated(number: int) -> Problem:
    """The problem with this number: some have no plan."""
    chance = random.Random(number)
    pools = _market(chance)
    demand = float(round(SMALLEST * (LARGEST / SMALLEST) ** chance.random()))
    caps = {kind: round(chance.uniform(*span), 3) for kind, span in CAPS.items() if chance.random() < 0.85}
    pools_wanted = chance.choice([1, 1, 5, 10, 20])
    survive = {}
    if chance.random() < 0.2:
        survive[chance.choice(list(Group))] = round(chance.uniform(0.5, 0.9), 2)
    return Problem(
        candidates_of(pools, rho=chance.choice([0.0, 0.02, 0.2])),
        demand,
        caps,
        slack=chance.choice([0.02, 0.02, 0.05]),
        least_pools=pools_wanted,
        least_effective_pools=float(chance.choice([1, pools_wanted])),
        quotas={"standard": demand * chance.choice([1.01, 1.5])} if chance.random() < 0.3 else {},
        survive=survive,
    )


def _market(chance: random.Random) -> list[Pool]:
    """Some pools of a region and of one or two classes, each a bit cheaper or dearer than it is."""
    region = chance.choice(["us-east-1", "ap-northeast-1"])
    known = [pool for letter in chance.sample("cmr", chance.choice([1, 1, 2])) for pool in dev_pools(region, letter)]
    some = chance.sample(known, chance.randint(60, len(known)))
    return [replace(pool, usd_per_hour=(pool.usd_per_hour or 0.0) * chance.lognormvariate(0.0, 0.1)) for pool in some]
