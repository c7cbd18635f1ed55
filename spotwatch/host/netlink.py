"""The kernel's IPv4 addresses, routes and rules over rtnetlink(7), with pyroute2.

Only what leads from one source address to a table is of interest here: rules with a single source, and the unicast
routes of all tables but the kernel's own.
"""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from spotwatch.core.errors import NetworkRefused
from spotwatch.core.routing import ADDED_BY_US, Address, Change, Link, Network, Route, Rule, described

_IS_SO: Final = {
    "add": {errno.EEXIST},
    "delete": {errno.ENOENT, errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENODEV},
    "up": set[int](),
}
"""What the kernel says to a change that was made already."""

_UP: Final = 1
"""`IFF_UP` (netdevice(7))."""

_LOCAL_TABLE: Final = 255
_UNICAST: Final = 1
_TO_TABLE: Final = 1
"""`FR_ACT_TO_TBL`, "lookup"; others drop packets or go on with another rule."""

_CONDITIONS: Final = ("FRA_IIFNAME", "FRA_OIFNAME", "FRA_FWMARK", "FRA_IP_PROTO", "FRA_SPORT_RANGE", "FRA_DPORT_RANGE")
_EVERYWHERE: Final = "0.0.0.0/0"
_NO_PREFIX_ROUTE: Final = 0x200
"""`IFA_F_NOPREFIXROUTE`: the address comes without a route of the main table, which another interface may have."""


class Netlink:
    """One rtnetlink socket for each piece of work; implements `spotwatch.addresses.services.Kernel`."""

    def __init__(self, *, namespace: str | None = None) -> None:
        """Nothing is opened yet.

        Args:
            namespace: the name of a network namespace (ip-netns(8)); None: our own.
        """
        self._namespace = namespace

    def look(self) -> Network:
        """What the kernel knows now.

        Raises:
            NetworkRefused: it cannot be asked.
        """
        with self._kernel("look") as kernel:
            return Network(
                tuple(map(_link, kernel.get_links())),
                tuple(map(_address, kernel.get_addr(family=socket.AF_INET))),
                tuple(_routes(kernel.get_routes(family=socket.AF_INET))),
                tuple(_rules(kernel.get_rules(family=socket.AF_INET))),
            )

    def change(self, change: Change) -> None:
        """Carry out a change; no error if it is so already.

        Raises:
            NetworkRefused: it may not be changed, or this change makes no sense.
        """
        what, thing = change
        with self._kernel(described(change)) as kernel:
            try:
                _carry_out(kernel, "del" if what == "delete" else what, thing)
            except NetlinkError as error:
                if error.code not in _IS_SO[what]:
                    raise

    @contextmanager
    def _kernel(self, what: str) -> Iterator[Any]:
        try:
            # Without flags 0 pyroute2 would make a namespace that is not there.
            with IPRoute(**({"netns": self._namespace, "flags": 0} if self._namespace else {})) as kernel:
                yield kernel
        except (NetlinkError, OSError) as error:
            code = error.code if isinstance(error, NetlinkError) else error.errno
            raise NetworkRefused(
                f"the kernel refuses to {what}: {errno.errorcode.get(code or 0, error)}",
                hint="run as root (CAP_NET_ADMIN)" if code == errno.EPERM else "see 'ip address', 'ip rule', 'ip link'",
            ) from error


def _carry_out(kernel: Any, what: str, thing: Link | Address | Route | Rule) -> None:
    match thing:
        case Link():
            kernel.link("set", index=thing.index, state="up")
        case Address():
            flags = {"flags": _NO_PREFIX_ROUTE} if what == "add" else {}
            kernel.addr(what, index=thing.link, address=thing.address, prefixlen=32, **flags)
        case Route():
            way = {"gateway": thing.gateway} if thing.gateway else {"scope": "link"}
            kernel.route(what, dst=thing.destination, oif=thing.link, table=thing.table, proto=ADDED_BY_US, **way)
        case Rule():
            kernel.rule(
                what, src=f"{thing.source}/32", table=thing.table, priority=thing.priority, protocol=ADDED_BY_US
            )


def _link(told: Any) -> Link:
    return Link(
        told["index"],
        told.get_attr("IFLA_IFNAME"),
        (told.get_attr("IFLA_ADDRESS") or "").lower(),
        bool(told["flags"] & _UP),
    )


def _address(told: Any) -> Address:
    return Address(told["index"], told.get_attr("IFA_LOCAL") or told.get_attr("IFA_ADDRESS"))


def _routes(messages: Any) -> Iterator[Route]:
    for told in messages:
        table, link = told.get_attr("RTA_TABLE") or told["table"], told.get_attr("RTA_OIF")
        if table == _LOCAL_TABLE or told["type"] != _UNICAST or link is None:
            continue
        destination = told.get_attr("RTA_DST")
        block = f"{destination}/{told['dst_len']}" if destination else _EVERYWHERE
        yield Route(link, table, block, told.get_attr("RTA_GATEWAY") or "", ours=told["proto"] == ADDED_BY_US)


def _rules(messages: Any) -> Iterator[Rule]:
    """Those for all packets of one source: a rule that asks for more than that does not decide where they leave."""
    for told in messages:
        source, table = told.get_attr("FRA_SRC"), told.get_attr("FRA_TABLE") or told["table"]
        if source is None or told["src_len"] != 32 or told["dst_len"] or told["action"] != _TO_TABLE:
            continue
        if any(told.get_attr(name) is not None for name in _CONDITIONS):
            continue
        ours = told.get_attr("FRA_PROTOCOL") == ADDED_BY_US
        yield Rule(source, table, told.get_attr("FRA_PRIORITY") or 0, ours=ours)
