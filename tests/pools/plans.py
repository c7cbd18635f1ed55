"""Plans for tests, built by hand: no solver, no data."""

from spotwatch.core.capacity import InstanceType, Pool
from spotwatch.pools.demand import Demand, Mode
from spotwatch.pools.plan import Plan, PlannedPool

SIZES = {"large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32, "12xlarge": 48, "16xlarge": 64}
X86_FAMILIES = ("c5a", "c6i", "c6a", "c7i", "c7a")
ARM_FAMILIES = ("c6g", "c7g", "c8g")
AZ_IDS = ("use1-az1", "use1-az2", "use1-az4", "use1-az5", "use1-az6")
SUBNETS = {az: f"subnet-0123456789abcdef{az[-1]}" for az in AZ_IDS}


def instance_type(name: str, *, hypervisor: str = "nitro", spot: bool = True) -> InstanceType:
    """A type as AWS has it in all that the formats look at."""
    family, size = name.split(".")
    return InstanceType(
        name=name,
        vcpus=SIZES[size],
        threads_per_core=2,
        memory_mib=SIZES[size] * 2048,
        architectures=("arm64",) if "g" in family[2:] else ("x86_64",),
        hypervisor=hypervisor,
        bare_metal=False,
        burstable=family.startswith("t"),
        local_disk=False,
        accelerators=False,
        spot=spot,
        enis=4,
        ipv4_per_eni=15,
    )


def planned(az: str, name: str, count: int, weight: float | None = None) -> PlannedPool:
    """So many instances of a pool; a unit is a vCPU unless it is said otherwise."""
    pool = Pool(az, instance_type(name))
    return PlannedPool(pool, count, float(pool.type.vcpus) if weight is None else weight)


def plan_of(*pools: PlannedPool, on_demand: float = 0.0, mode: Mode = Mode.FREE) -> Plan:
    """A plan of these pools."""
    ordered = tuple(sorted(pools, key=lambda pool: -pool.capacity))
    capacity = sum(pool.capacity for pool in ordered) + on_demand
    demand = Demand("us-east-1", capacity, on_demand_capacity=on_demand, mode=mode)
    return Plan(demand, ordered, objective=None, lower_bound_usd_per_hour=None, objective_lower_bound=None, caps={})


def aligned_plan(quota: int = 48, pools: int = 21, *, families: tuple[str, ...] = X86_FAMILIES) -> Plan:
    """`pools` pools of `quota` vCPU each, in types of mixed sizes that divide it."""
    sizes = [size for size, vcpus in SIZES.items() if quota % vcpus == 0]
    chosen = []
    for index in range(pools):
        az = AZ_IDS[index % len(AZ_IDS)]
        family = families[(index // len(AZ_IDS)) % len(families)]
        size = sizes[(index + index // (len(AZ_IDS) * len(families))) % len(sizes)]
        chosen.append(planned(az, f"{family}.{size}", quota // SIZES[size]))
    assert len({(pool.pool.az_id, pool.pool.type.name) for pool in chosen}) == pools
    return plan_of(*chosen, mode=Mode.ALIGNED)


def free_plan(vcpus: int, *, families: tuple[str, ...] = X86_FAMILIES, on_demand: float = 0.0) -> Plan:
    """About so many vCPU in 25 pools of mixed capacities, the largest below 5.5 %."""
    sizes = ["large", "xlarge", "2xlarge"] if vcpus < 1000 else list(SIZES)[: 5 if vcpus < 10_000 else 7]
    chosen = []
    for index in range(25):
        size = sizes[index % len(sizes)]
        az, family = AZ_IDS[index % len(AZ_IDS)], families[index // len(AZ_IDS) % len(families)]
        target = vcpus / 25 * (0.8 + index % 4 * 0.14)
        chosen.append(planned(az, f"{family}.{size}", max(1, round(target / SIZES[size]))))
    return plan_of(*chosen, on_demand=on_demand)


def performance_plan() -> Plan:
    """One whose units are vCPU times a factor, so that no capacity is a whole number."""
    factors = {"c5a": 1.0, "c6i": 1.15, "c6a": 1.23, "c7i": 1.37, "c7a": 1.91}
    base = free_plan(1000).pools
    pools = (
        PlannedPool(pool.pool, pool.count, pool.pool.type.vcpus * factors[pool.pool.type.parts.family]) for pool in base
    )
    return plan_of(*pools)
