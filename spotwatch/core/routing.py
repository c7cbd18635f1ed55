"""The words for what the kernel knows of IPv4: links, addresses, routes of tables, rules, and changes of them."""

from dataclasses import dataclass

ADDED_BY_US = 83
"""The protocol number of routes and rules that spotwatch adds (`rtm_protocol`, `FRA_PROTOCOL`), by which it knows them
again; "values of protocol >= RTPROT_STATIC are not interpreted by kernel" (linux/rtnetlink.h), and 83 is assigned to
nobody there."""


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface of the machine."""

    index: int
    name: str
    mac: str
    up: bool


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 address of the link with this index."""

    link: int
    address: str


@dataclass(frozen=True, slots=True)
class Route:
    """A unicast route of a table; `destination` is a CIDR block, `gateway` empty for what is on the link itself."""

    link: int
    table: int
    destination: str
    gateway: str = ""
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """Packets from `source` (one address) are routed by `table`."""

    source: str
    table: int
    priority: int
    ours: bool = True


Change = tuple[str, Link | Address | Route | Rule]
"""`up` with a link, `add` or `delete` with one of the others."""


@dataclass(frozen=True, slots=True)
class Network:
    """What the kernel knows at a moment: of IPv4, all links and addresses, and what has to do with single sources."""

    links: tuple[Link, ...] = ()
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()

    def link_of(self, mac: str) -> Link | None:
        """The link with this MAC address, if it is there."""
        return next((link for link in self.links if link.mac == mac), None)


def described(change: Change) -> str:
    """One change in words."""
    what, thing = change
    match thing:
        case Link():
            return f"{thing.name} up"
        case Address():
            return f"{what} address {thing.address}"
        case Route():
            way = f" via {thing.gateway}" if thing.gateway else ""
            return f"{what} route {thing.destination}{way} in table {thing.table}"
        case Rule():
            return f"{what} rule from {thing.source} to table {thing.table}"
