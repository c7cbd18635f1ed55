"""The words for capacity: instance types, Spot capacity pools, and what is known of them, each fact with its date."""

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

_NAME: Final = re.compile(
    r"([a-z]+)"  # class
    r"(-[a-z0-9]*?[a-z])?"  # infix
    r"([0-9]{1,3})"  # generation
    r"([a-z]*(?:-[a-z0-9]+)?)"  # options
    r"\.([a-z0-9]+(?:-[a-z0-9]+)?)"  # size
)

_ACCELERATORS: Final = ("GpuInfo", "FpgaInfo", "InferenceAcceleratorInfo", "NeuronInfo", "MediaAcceleratorInfo")
"""What DescribeInstanceTypes says of an instance type with accelerators, and of no other."""


class Group(StrEnum):
    """What is lost together: one pool, or all pools that have this in common."""

    POOL = "pool"
    TYPE = "type"
    FAMILY = "family"
    GENERATION = "generation"
    AZ = "az"

    @property
    def word(self) -> str:
        """What a sentence calls it."""
        return self.value.upper() if self is Group.AZ else self.value


@dataclass(frozen=True, slots=True)
class TypeName:
    """The parts of an instance type's name: `c6gn.2xlarge` is class c, generation 6, options gn, size 2xlarge.

    `infix` is what a few names have between class and generation: `-6tb` in `u-6tb1.metal`, `-m` in `mac-m4.metal`
    (Amazon EC2 User Guide, "Instance type naming conventions").
    """

    instance_class: str
    generation: int
    options: str
    size: str
    infix: str = ""

    @property
    def family(self) -> str:
        """Everything before the dot."""
        return f"{self.instance_class}{self.infix}{self.generation}{self.options}"

    @classmethod
    def parse(cls, name: str) -> "TypeName":
        """The parts of a name.

        Raises:
            ValueError: it is no name of an instance type.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            raise ValueError(f'"{name}" is no instance type; one is written like c6i.2xlarge')
        instance_class, infix, generation, options, size = match.groups("")
        return cls(instance_class, int(generation), options, size, infix)


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

    @classmethod
    def described(cls, description: Mapping[str, Any]) -> "InstanceType":
        """From one element of `InstanceTypes` in the answer of DescribeInstanceTypes.

        Raises:
            ValueError: something is missing or is no number; it says what.
        """
        network = _part(description, "NetworkInfo")
        vcpus = _part(description, "VCpuInfo")
        return cls(
            name=str(description.get("InstanceType", "")),
            vcpus=_count(vcpus, "DefaultVCpus"),
            threads_per_core=_count(vcpus, "DefaultThreadsPerCore") if "DefaultThreadsPerCore" in vcpus else 1,
            memory_mib=_count(_part(description, "MemoryInfo"), "SizeInMiB"),
            architectures=_words(_part(description, "ProcessorInfo"), "SupportedArchitectures"),
            hypervisor=str(description.get("Hypervisor") or ""),
            bare_metal=bool(description.get("BareMetal")),
            burstable=bool(description.get("BurstablePerformanceSupported")),
            local_disk=bool(description.get("InstanceStorageSupported")),
            accelerators=any(description.get(key) for key in _ACCELERATORS),
            spot="spot" in _words(description, "SupportedUsageClasses"),
            enis=_count(network, "MaximumNetworkInterfaces"),
            ipv4_per_eni=_count(network, "Ipv4AddressesPerInterface"),
        )

    @property
    def flex(self) -> bool:
        """Whether it is a flex type, which gives its full performance 95 % of the time only."""
        return self.parts.options.endswith("-flex")


def _part(description: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = description.get(key)
    if not isinstance(value, Mapping):
        raise ValueError(f"{key} is missing")  # noqa: TRY004 (one kind of error for whatever is wrong)
    return value


def _count(description: Mapping[str, Any], key: str) -> int:
    value = description.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{key} is {'missing' if value is None else 'no whole number of at least 1'}")
    return value


def _words(description: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = description.get(key)
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ValueError(f"{key} is {'missing' if value is None else 'no list of words'}")
    return tuple(value)


@dataclass(frozen=True, slots=True)
class Pool:
    """A Spot capacity pool: an instance type in an Availability Zone, named by its id (`use1-az4`).

    Attributes:
        usd_per_hour: the Spot price of one instance; None where nobody has said.
        on_demand_usd_per_hour: its on-demand price; None likewise.
        interruption: the probability that an instance of the type is interrupted within a month, 0 to 1 (the Spot
            Instance Advisor's band, its middle); None likewise.
        placement_score: 1 to 10 for the request that was asked about; None likewise.
        usd_is_estimate: whether `usd_per_hour` was derived (from an on-demand price and the saving that the advisor
            states, or by a model) rather than observed.
        on_demand_is_estimate: whether `on_demand_usd_per_hour` was derived from other regions or types.
    """

    az_id: str
    type: InstanceType
    usd_per_hour: float | None = None
    on_demand_usd_per_hour: float | None = None
    interruption: float | None = None
    placement_score: int | None = None
    usd_is_estimate: bool = False
    on_demand_is_estimate: bool = False

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

    `date` is None where the origin does not say; then the plan says that it does not. `note` is what a reader has to
    know of the fact besides: that its date is the file's, that figures are estimates, that some are missing.
    """

    fact: str
    origin: str
    date: datetime.date | None = None
    note: str = ""


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
        estimated_spot_prices: the keys of `spot_prices` whose figure was derived, not observed.
        estimated_on_demand_prices: likewise of `on_demand_prices`.
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
    estimated_spot_prices: frozenset[tuple[str, str]] = frozenset()
    estimated_on_demand_prices: frozenset[str] = frozenset()
    sources: tuple[Source, ...] = ()
