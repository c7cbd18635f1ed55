"""What the kernel has to know so that each address answers by the interface that it belongs to. Pure.

EC2 drops a packet whose source address does not belong to the interface that it leaves by, and the main routing table
has one way out. So each interface that we have added has a table of its own, and each of its addresses a rule that
leads there. The primary interface's addresses need none: the main table leaves by it.

What somebody else has configured already, to the same effect, is not done again: what counts is where a packet from an
address leaves, not who has seen to it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final

from spotwatch.core.network_interface import NetworkInterface
from spotwatch.core.routing import Address, Change, Link, Network, Route, Rule

FIRST_TABLE: Final = 8300
"""The table of the interface with device index N is this plus N, and so is the priority of its rules: before the main
table's 32766, and apart from the 10000 and more of amazon-ec2-net-utils."""

MOST_INTERFACES: Final = 100
"""Above `FIRST_TABLE`, room for interfaces; no instance type has as many on one network card."""

EVERYWHERE: Final = "0.0.0.0/0"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of one interface.

    Attributes:
        mac: by which the machine knows it.
        addresses: that it should have.
        table: that a packet from one of them is routed by; 0: the main table, as it is.
        subnet: the CIDR block of its subnet.
    """

    interface_id: str
    mac: str
    addresses: tuple[str, ...]
    table: int
    subnet: str

    @property
    def gateway(self) -> str:
        """The VPC router: the first address after the network's own (Amazon VPC user guide, "Subnet sizing")."""
        return str(IPv4Network(self.subnet)[1])


def wanted(primary: NetworkInterface, ours: Sequence[NetworkInterface], subnet: str) -> tuple[Wanted, ...]:
    """Of all interfaces; of the primary one only the secondary addresses, the first one is the system's affair."""
    return (
        Wanted(primary.id, primary.mac, primary.secondary_addresses, 0, subnet),
        *(
            Wanted(each.id, each.mac, each.addresses, FIRST_TABLE + each.attachment.device_index, subnet)
            for each in ours
            if each.attachment is not None
        ),
    )


def missing_links(interfaces: Sequence[Wanted], network: Network) -> tuple[Wanted, ...]:
    """The interfaces that the machine does not show (yet)."""
    return tuple(each for each in interfaces if each.addresses and network.link_of(each.mac) is None)


def changes(interfaces: Sequence[Wanted], network: Network) -> tuple[Change, ...]:
    """What has to be changed, in an order in which no packet takes a wrong way in between.

    First what leads to the right interface, and the rules last.
    """
    found: list[Change] = []
    for each in interfaces:
        link = network.link_of(each.mac)
        if link is not None and each.addresses:
            found += _of_interface(each, link, network)
    return tuple(found)


def obsolete(interfaces: Sequence[Wanted], network: Network) -> tuple[Change, ...]:
    """Rules of ours for addresses that are not wanted there (any more), as after a crash of `release`."""
    tables = {address: each.table for each in interfaces for address in each.addresses}
    left = (rule for rule in network.rules if rule.ours and tables.get(rule.source) != rule.table)
    return tuple(("delete", rule) for rule in left)


def removal(network: Network, addresses: Sequence[str]) -> tuple[Change, ...]:
    """What takes away all routes and rules of ours, and these addresses wherever they are."""
    return (
        *(("delete", each) for each in network.addresses if each.address in addresses),
        *(("delete", rule) for rule in network.rules if rule.ours),
        *(("delete", route) for route in network.routes if route.ours and _is_our_table(route.table)),
    )


def _of_interface(each: Wanted, link: Link, network: Network) -> Iterator[Change]:
    if not link.up:
        yield "up", link
    present = {found.address for found in network.addresses if found.link == link.index}
    yield from (("add", Address(link.index, address)) for address in each.addresses if address not in present)
    if not each.table:
        return
    misled = [address for address in each.addresses if not _leaves_by(address, link, network)]
    if not misled:
        return
    routes = Route(link.index, each.table, each.subnet), Route(link.index, each.table, EVERYWHERE, each.gateway)
    yield from (("add", route) for route in routes if route not in network.routes)
    rules = (Rule(address, each.table, each.table) for address in misled)
    yield from (("add", rule) for rule in rules if rule not in network.rules)


def _leaves_by(address: str, link: Link, network: Network) -> bool:
    """Whether the first rule for an address leads to a table that leaves by the link."""
    rules = sorted((rule for rule in network.rules if rule.source == address), key=lambda rule: rule.priority)
    if not rules:
        return False
    ways = [route for route in network.routes if route.table == rules[0].table and route.destination == EVERYWHERE]
    inside = [route for route in network.routes if route.table == rules[0].table and route.destination != EVERYWHERE]
    complete = bool(inside) or not rules[0].ours
    return complete and bool(ways) and all(way.link == link.index for way in ways)


def _is_our_table(table: int) -> bool:
    return FIRST_TABLE <= table < FIRST_TABLE + MOST_INTERFACES
