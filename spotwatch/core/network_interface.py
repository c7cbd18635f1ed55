"""The words for EC2's elastic network interfaces (ENIs), their private IPv4 addresses and their limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TypeLimits:
    """What an instance type can hold (DescribeInstanceTypes: VCpuInfo, NetworkInfo).

    Attributes:
        instance_type: its name.
        vcpus: of the default CPU options.
        enis: network interfaces at most, on the network card that the primary one is on.
        ipv4_per_eni: private IPv4 addresses of one interface at most, its primary one among them.
    """

    instance_type: str
    vcpus: int
    enis: int
    ipv4_per_eni: int

    @property
    def addresses(self) -> int:
        """IPv4 addresses at most, on all interfaces."""
        return self.enis * self.ipv4_per_eni


@dataclass(frozen=True, slots=True)
class Attachment:
    """A network interface's place at an instance; `state` is `attaching`, `attached` or `detaching`."""

    id: str
    instance_id: str
    device_index: int
    state: str
    delete_on_termination: bool


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """An ENI as DescribeNetworkInterfaces shows it.

    Attributes:
        id: such as `eni-0123456789abcdef0`.
        mac: six hexadecimal bytes with colons, in lower case.
        status: `pending`, `available`, `attaching`, `in-use` or `detaching`.
        addresses: its private IPv4 addresses, the primary one first.
        prefixes: how many IPv4 prefixes are delegated to it; each takes the place of an address.
    """

    id: str
    mac: str
    subnet_id: str
    security_groups: tuple[str, ...]
    status: str
    addresses: tuple[str, ...]
    prefixes: int = 0
    attachment: Attachment | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def secondary_addresses(self) -> tuple[str, ...]:
        """All but the primary one."""
        return self.addresses[1:]

    @property
    def settled(self) -> bool:
        """Whether nothing is on its way: it is free, or attached for good."""
        return self.status == "available" if self.attachment is None else self.attachment.state == "attached"


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet; `cidr` is its IPv4 block, `available` how many addresses of it are free."""

    id: str
    cidr: str
    available: int
