"""The words for capacity: instance types, Spot capacity pools, and what is known of them, each fact with its date."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final

_NAME: Final = re.compile(r"(?P<class>[a-z]+?)(?P<generation>\d+)(?P<options>[a-z-]*)\.(?P<size>[a-z0-9-]+)")


class Group(StrEnum):
    """What is lost together: one pool, or all pools that have this in common."""

    POOL = "pool"
    TYPE = "type"
    FAMILY = "family"
    GENERATION = "generation"
    AZ = "az"


@dataclass(frozen=True, slots=True)
class TypeName:
    """The parts of an instance type's name: `c6gn.2xlarge` is class c, generation 6, options gn, size 2xlarge."""

    instance_class: str
    generation: int
    options: str
    size: str

    @property
    def family(self) -> str:
        """Everything before the dot."""
        return f"{self.instance_class}{self.generation}{self.options}"

    @classmethod
    def parse(cls, name: str) -> "TypeName":
        """The parts of a name.

        Raises:
            ValueError: it is no name of an instance type.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            raise ValueError(f'"{name}" is no instance type; one is written like c6i.2xlarge')
        return cls(match["class"], int(match["generation"]), match["options"], match["size"])


@dataclass(frozen=True, slots=True)
class InstanceType:
    """What AWS says of an instance type (DescribeInstanceTypes).

    Attributes:
        name: such as `c6i.2xlarge`.
        vcpus: of the default CPU options; threads, not cores, where `threads_per_core` is 2.
        memory_mib: MiB.
        architectures: `x86_64`, `arm64`, `i386`, ….
        hypervisor: `nitro` or `xen`; empty for bare metal.
        local_disk: whether it has instance store volumes.
        accelerators: whether it has GPUs, inference or training chips, FPGAs.
        spot: whether it can be had as a Spot Instance.
        enis: network interfaces at most.
        ipv4_per_eni: IPv4 addresses of one interface at most.
    """

    name: str
    vcpus: int
    threads_per_core: int
    memory_mib: int
    architectures: tuple[str, ...]
    hypervisor: str
    bare_metal: bool
    burstable: bool
    local_disk: bool
    accelerators: bool
    spot: bool
    enis: int
    ipv4_per_eni: int
    parts: TypeName = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", TypeName.parse(self.name))

    @property
    def flex(self) -> bool:
        """Whether it is a flex type, which gives its full performance 95 % of the time only."""
        return self.parts.options.endswith("-flex")


@dataclass(frozen=True, slots=True)
class Pool:
    """A Spot capacity pool: an instance type in an Availability Zone, named by its id (`use1-az4`).

    Attributes:
        usd_per_hour: the Spot price of one instance; None where nobody has said.
        on_demand_usd_per_hour: its on-demand price; None likewise.
        interruption: the probability that an instance of the type is interrupted within a month, 0 to 1 (the Spot
            Instance Advisor's band, its middle); None likewise.
        placement_score: 1 to 10 for the request that was asked about; None likewise.
    """

    az_id: str
    type: InstanceType
    usd_per_hour: float | None = None
    on_demand_usd_per_hour: float | None = None
    interruption: float | None = None
    placement_score: int | None = None

    def key(self, group: Group) -> str:
        """The name of the group of this kind that the pool belongs to."""
        match group:
            case Group.POOL:
                return f"{self.az_id} {self.type.name}"
            case Group.TYPE:
                return self.type.name
            case Group.FAMILY:
                return self.type.parts.family
            case Group.GENERATION:
                return str(self.type.parts.generation)
            case Group.AZ:
                return self.az_id


@dataclass(frozen=True, slots=True)
class Source:
    """Where a fact comes from: `fact` (`spot prices`), its `origin` (a file, an API, a feed) and its `date`.

    `date` is None where the origin does not say; then the plan says that it does not.
    """

    fact: str
    origin: str
    date: date | None = None


@dataclass(frozen=True, slots=True)
class Market:
    """What is known of one region, and from where. What is missing in a mapping is not known.

    Attributes:
        region: such as `ap-northeast-1`.
        types: by name.
        offerings: the ids of the AZs that offer a type, by its name.
        spot_prices: USD an hour, by AZ id and type name.
        on_demand_prices: USD an hour, by type name.
        interruptions: the probability of an interruption within a month, by type name.
        placement_scores: 1 to 10, by AZ id.
        quotas: vCPU, by quota class (`spotwatch.pools.quota`); empty if not asked for.
        az_names: the AZ's name in the account that was asked, by id; empty where no account was.
        sources: of all of these.
    """

    region: str
    types: Mapping[str, InstanceType]
    offerings: Mapping[str, tuple[str, ...]]
    spot_prices: Mapping[tuple[str, str], float] = field(default_factory=dict)
    on_demand_prices: Mapping[str, float] = field(default_factory=dict)
    interruptions: Mapping[str, float] = field(default_factory=dict)
    placement_scores: Mapping[str, int] = field(default_factory=dict)
    quotas: Mapping[str, float] = field(default_factory=dict)
    az_names: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
