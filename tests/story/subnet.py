"""A subnet out of network namespaces: one for each instance, and one for the router and everybody else in the VPC."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from spotwatch.simulate.instance import Instance
from spotwatch.simulate.service import MetadataService
from tests.host.veth import inside, ip

CIDR = "172.31.240.0/24"
GATEWAY = "172.31.240.1"
"""The router's address; who lives in its namespace is reached at it too."""

METADATA = "169.254.169.254"


@dataclass
class Subnet:
    """Everything in it goes when the stack does."""

    stack: ExitStack
    name: str = field(default_factory=lambda: f"sw-story-{os.getpid()}")

    @property
    def router(self) -> str:
        return f"{self.name}-r"

    def instance(self, instance: Instance) -> tuple[str, MetadataService]:
        """A namespace with a primary network interface, as DHCP leaves it, and with the metadata service."""
        namespace = self._namespace(instance.instance_id[-4:])
        peer = f"to-{instance.instance_id[-4:]}"
        words = ("link", "add", "eth0", "address", instance.mac, "type", "veth", "peer", peer, "netns", self.router)
        ip("-n", namespace, *words)
        ip("-n", self.router, "link", "set", peer, "master", "br0", "up")
        ip("-n", namespace, "link", "set", "eth0", "up")
        ip("-n", namespace, "addr", "add", f"{instance.private_ipv4}/24", "dev", "eth0")
        ip("-n", namespace, "route", "add", "default", "via", GATEWAY, "dev", "eth0")
        ip("-n", namespace, "addr", "add", f"{METADATA}/32", "dev", "lo")
        with inside(namespace):
            return namespace, self.stack.enter_context(MetadataService(instance, host=METADATA, port=80))

    def addresses(self, namespace: str) -> list[str]:
        """Those of its interface, as the kernel has them."""
        shown = ip("-n", namespace, "-4", "-o", "addr", "show", "dev", "eth0").splitlines()
        return [line.split()[3].partition("/")[0] for line in shown]

    def _namespace(self, suffix: str) -> str:
        name = f"{self.name}-{suffix}"
        ip("netns", "add", name)
        self.stack.callback(ip, "netns", "del", name)
        ip("-n", name, "link", "set", "lo", "up")
        return name

    def begin(self) -> None:
        """Make the router, and live in its namespace from now on: this thread, and what it starts."""
        self._namespace("r")
        ip("-n", self.router, "link", "add", "br0", "type", "bridge")
        ip("-n", self.router, "link", "set", "br0", "up")
        ip("-n", self.router, "addr", "add", f"{GATEWAY}/24", "dev", "br0")
        self.stack.enter_context(inside(self.router))


@contextmanager
def subnet() -> Iterator[Subnet]:
    """Empty, with a router."""
    with ExitStack() as stack:
        made = Subnet(stack)
        made.begin()
        yield made
