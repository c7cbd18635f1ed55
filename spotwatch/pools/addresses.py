"""Traffic in proportion to size by DNS alone: a bigger instance holds more addresses, and each has a record.

Every address is a record with the same name, so that a client which takes one at random reaches a vCPU, not an
instance. What this needs, and where it ends:

- An interface holds `ipv4_per_eni` IPv4 addresses, its primary one among them, and a type so many interfaces
  (DescribeInstanceTypes: NetworkInfo).
- A multivalue answer has at most eight records (Route 53 Developer Guide, "Multivalue answer routing"), and a name and
  type at most 100 weighted records (likewise, "Managing over 100 weighted records"), above which a tree of aliases is
  needed.
- A resolver caches what it was told, so that the proportion holds over many resolvers, not for each of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from types import MappingProxyType
from typing import Final

from spotwatch.core.capacity import InstanceType
from spotwatch.pools.plan import Plan

VCPUS_PER_ADDRESS: Final = 2
"""With it one interface is enough for every c, m and r type on Nitro of up to 96 vCPU."""

RECORDS_IN_AN_ANSWER: Final = 8
"""Of a multivalue answer at most."""

WEIGHTED_RECORDS: Final = 100
"""With the same name and type at most."""


@dataclass(frozen=True, slots=True)
class TypeAddresses:
    """The IPv4 addresses that an instance of a type is to hold.

    Attributes:
        instance_type: its name.
        addresses: of one instance, the primary ones of its interfaces included.
        enis: interfaces that so many addresses need.
        most_addresses: that the type can hold on all its interfaces.
        most_enis: that it can have.
    """

    instance_type: str
    addresses: int
    enis: int
    most_addresses: int
    most_enis: int

    @property
    def secondary_addresses(self) -> int:
        """What has to be assigned besides: each interface has a primary address by itself."""
        return self.addresses - self.enis

    @property
    def possible(self) -> bool:
        """Whether the type can hold them."""
        return self.enis <= self.most_enis

    @property
    def missing(self) -> int:
        """The addresses that it cannot hold."""
        return max(0, self.addresses - self.most_addresses)


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of a plan.

    Attributes:
        vcpus_per_address: as asked for.
        types: one for each type of the plan, in its order.
        records_by_type: the records of all instances of a type; a type that cannot hold all addresses makes as many as
            it can hold.
        vcpus_by_type: of all instances of a type.
    """

    vcpus_per_address: int
    types: tuple[TypeAddresses, ...]
    records_by_type: Mapping[str, int]
    vcpus_by_type: Mapping[str, int]

    @property
    def records(self) -> int:
        """DNS records in all: for each instance as many as it has addresses."""
        return sum(self.records_by_type.values())

    @property
    def traffic_shares(self) -> dict[str, float]:
        """The share of the requests that instances of a type get, if every record is answered alike."""
        return {name: count / self.records for name, count in self.records_by_type.items()}

    @property
    def unevenness(self) -> float:
        """How far a type's share of the requests is from its share of the vCPUs at most: 0.1 is a tenth more or less.

        Addresses come in whole numbers, so that odd sizes get a little more, and sizes at their limit less.
        """
        vcpus = sum(self.vcpus_by_type.values())
        return max(
            (abs(share * vcpus / self.vcpus_by_type[name] - 1) for name, share in self.traffic_shares.items()),
            default=0.0,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader has to know of the records."""
        return tuple(_notes(self))


def type_addresses(kind: InstanceType, vcpus_per_address: int = VCPUS_PER_ADDRESS) -> TypeAddresses:
    """What an instance of a type is to hold: one address for each `vcpus_per_address`, at least one.

    Raises:
        ValueError: `vcpus_per_address` is less than 1.
    """
    if vcpus_per_address < 1:
        raise ValueError(f"vcpus_per_address is {vcpus_per_address}, less than 1")
    addresses = ceil(kind.vcpus / vcpus_per_address)
    return TypeAddresses(
        kind.name,
        addresses,
        enis=ceil(addresses / kind.ipv4_per_eni),
        most_addresses=kind.enis * kind.ipv4_per_eni,
        most_enis=kind.enis,
    )


def addresses(plan: Plan, vcpus_per_address: int = VCPUS_PER_ADDRESS) -> Addresses:
    """The addresses of a plan's instances and the DNS records that they make.

    Raises:
        ValueError: `vcpus_per_address` is less than 1.
    """
    types: dict[str, TypeAddresses] = {}
    records: dict[str, int] = {}
    vcpus: dict[str, int] = {}
    for planned in plan.pools:
        name = planned.pool.type.name
        each = types.setdefault(name, type_addresses(planned.pool.type, vcpus_per_address))
        records[name] = records.get(name, 0) + planned.count * min(each.addresses, each.most_addresses)
        vcpus[name] = vcpus.get(name, 0) + planned.vcpus
    return Addresses(vcpus_per_address, tuple(types.values()), MappingProxyType(records), MappingProxyType(vcpus))


def _notes(found: Addresses) -> list[str]:
    notes = [
        f"{each.instance_type} can hold {each.most_addresses} addresses, {each.missing} fewer than it should: "
        "it gets less than its share"
        for each in found.types
        if not each.possible
    ]
    if found.records > RECORDS_IN_AN_ANSWER:
        notes.append(
            f"a multivalue answer of Route 53 has {RECORDS_IN_AN_ANSWER} of the {found.records} records at a time; "
            "traffic follows the number of addresses only over many resolvers"
        )
    if found.records > WEIGHTED_RECORDS:
        zones = ceil(found.records / WEIGHTED_RECORDS)
        notes.append(
            f"Route 53 takes {WEIGHTED_RECORDS} weighted records with one name: {found.records} need {zones} names "
            "behind weighted aliases"
        )
    return notes
