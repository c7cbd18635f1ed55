"""A kernel for tests without root: links come and go with EC2's attachments, and what is not there cannot be used."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spotwatch.core.errors import NetworkRefused
from spotwatch.core.routing import Address, Change, Link, Network, Route, Rule, described


@dataclass
class FakeKernel:
    """Implements `spotwatch.addresses.services.Kernel`.

    Attributes:
        macs: what is plugged in now: the MAC address of each device index.
    """

    macs: Callable[[], Mapping[int, str]]
    up: set[str] = field(default_factory=set)
    addresses: list[Address] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)

    def look(self) -> Network:
        links = {mac: Link(100 + index, f"eth{index}", mac, mac in self.up) for index, mac in self.macs().items()}
        present = {link.index for link in links.values()}
        self.up &= set(links)
        self.addresses = [each for each in self.addresses if each.link in present]
        self.routes = [each for each in self.routes if each.link in present]
        return Network(tuple(links.values()), tuple(self.addresses), tuple(self.routes), tuple(self.rules))

    def change(self, change: Change) -> None:
        links = {link.index: link for link in self.look().links}
        what, thing = change
        if isinstance(thing, Link):
            self.up.add(thing.mac)
            return
        held: list[Any] = {Address: self.addresses, Route: self.routes, Rule: self.rules}[type(thing)]  # type: ignore[assignment]
        if what == "delete":
            held[:] = [each for each in held if each != thing]
            return
        if not isinstance(thing, Rule) and thing.link not in links:
            raise NetworkRefused(f"the kernel refuses to {described(change)}: ENODEV")
        if isinstance(thing, Route) and not links[thing.link].up:
            raise NetworkRefused(f"the kernel refuses to {described(change)}: ENETDOWN")
        if thing not in held:
            held.append(thing)
