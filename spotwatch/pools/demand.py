"""What is asked for: how much capacity, of which instance types, and how much of it may be lost at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from spotwatch.core.capacity import Group


class Mode(StrEnum):
    """How a plan deals out the capacity."""

    FREE = "free"
    """Any whole number of instances in any pool; one fleet or group for each share holds it."""
    ALIGNED = "aligned"
    """Every pool holds about the same capacity, as one EC2 Fleet with the strategy `diversified` deals it out."""


class Weights(StrEnum):
    """What a unit of capacity is."""

    VCPUS = "vcpus"
    PERFORMANCE = "performance"
    """vCPUs times the factor of the family (`spotwatch.pools.performance`)."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which instance types and AZs are candidates. An empty tuple allows all.

    Attributes:
        classes: such as `c`; the letters before the generation.
        families: such as `c6i`.
        generations: such as 6.
        sizes: such as `2xlarge`.
        least_vcpus, most_vcpus: the range of one instance.
        least_gib_per_vcpu, most_gib_per_vcpu: memory; None: no limit.
        architectures: `x86_64`, `arm64` or both. Two need two launch templates.
        hypervisors: `nitro`, `xen`.
        local_disk: True: only with, False: only without; None: either.
        burstable, bare_metal, flex, accelerators: whether such types are candidates.
        allow, deny: shell patterns of type names; deny is stronger.
        az_ids: such as `apne1-az1`.
    """

    classes: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    generations: tuple[int, ...] = ()
    sizes: tuple[str, ...] = ()
    least_vcpus: int = 2
    most_vcpus: int = 48
    least_gib_per_vcpu: float | None = None
    most_gib_per_vcpu: float | None = None
    architectures: tuple[str, ...] = ("x86_64",)
    hypervisors: tuple[str, ...] = ("nitro",)
    local_disk: bool | None = None
    burstable: bool = False
    bare_metal: bool = False
    flex: bool = False
    accelerators: bool = False
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    az_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Demand:
    """What to plan.

    Attributes:
        region: such as `ap-northeast-1`.
        capacity: units (`weights`), Spot and on-demand together.
        selection: the candidates.
        caps: the most of the Spot capacity that one group of each kind may hold, as a share; a kind that is missing
            has its default (`spotwatch.pools.caps`).
        least_pools: how many pools at least.
        least_effective_pools: the least effective number of pools (1 / sum of squared shares).
        slack: how much more than `capacity` may be bought because instances come in whole numbers, as a share.
        loss_usd_per_vcpu: what the interruption of one vCPU is taken to cost, in USD.
        survive: for each kind of group, the share of the capacity that must be left when any one group of it is lost.
        on_demand_capacity: units of `capacity` that are bought on demand and are no part of the plan's shares.
        mode: free or aligned.
        unevenness: of an aligned plan, how much less than the mean a pool may hold, as a share. It is also how much
            less capacity there is at most when the fleet has replaced what was lost: it counts all pools as equal.
            0.2 is what sizes that double need (32 and 48 vCPU are 20 % from their middle), and is used only where
            equal pools are dear.
        weights: what a unit is.
        strict: refuse rather than relax a cap.
    """

    region: str
    capacity: float
    selection: Selection = field(default_factory=Selection)
    caps: Mapping[Group, float] = field(default_factory=lambda: MappingProxyType({}))
    least_pools: int = 20
    least_effective_pools: float = 20.0
    slack: float = 0.02
    loss_usd_per_vcpu: float = 0.02
    survive: Mapping[Group, float] = field(default_factory=lambda: MappingProxyType({}))
    on_demand_capacity: float = 0.0
    mode: Mode = Mode.FREE
    unevenness: float = 0.2
    weights: Weights = Weights.VCPUS
    strict: bool = False
