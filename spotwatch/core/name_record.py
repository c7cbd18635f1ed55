"""Address records: what an instance has under a name, and what became of it. No word of any protocol."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

RECORD_TYPES: Final = ("A", "AAAA")
"""The types of address records, for IPv4 and for IPv6."""


def record_type(address: str) -> str:
    """The type of the record that holds an address.

    Raises:
        ValueError: it is no address.
    """
    return "A" if ip_address(address).version == 4 else "AAAA"


def parents(name: str) -> tuple[str, ...]:
    """A name and what it may be in, the longest first: `a.b.c`, `b.c`, `c`."""
    labels = name.split(".")
    return tuple(".".join(labels[start:]) for start in range(len(labels)))


@dataclass(frozen=True, slots=True)
class Registration:
    """What one instance has, or is to have, under one name.

    Attributes:
        instance_id: whose.
        name: lower case, without a dot at its end.
        addresses: as `ipaddress` writes them.
        ttl: seconds that others may remember an answer for.
        weight: the instance's share of the answers, where the name service knows weights.
    """

    instance_id: str
    name: str
    addresses: tuple[str, ...]
    ttl: int = 30
    weight: int = 1

    def addresses_of(self, kind: str) -> tuple[str, ...]:
        """Those of one record type."""
        return tuple(address for address in self.addresses if record_type(address) == kind)


@dataclass(frozen=True, slots=True)
class NameChange:
    """What a name service was made to change.

    Attributes:
        name: under which name.
        put: the addresses that were put there.
        taken: the addresses that were taken out.
        expected: the addresses that have to be there when the change has taken effect.
        ttl: seconds for which others may still remember what was taken out; None if that is not known.
        remarks: what was left alone, and why.
        pending: by what the name service calls the changes that are on their way.
    """

    name: str
    put: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    ttl: int | None = None
    remarks: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()


def by_type(addresses: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """Addresses by the type of their records; only types that there are."""
    found: dict[str, tuple[str, ...]] = {}
    for address in addresses:
        kind = record_type(address)
        found[kind] = (*found.get(kind, ()), address)
    return found
