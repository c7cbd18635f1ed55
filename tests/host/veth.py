"""An instance's network made of real interfaces: a namespace with veth pairs into another one, which is the VPC."""

import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

SUBNET = "10.77.0.0/24"
GATEWAY = "10.77.0.1"
REMOTE = "192.0.2.1"
"""A host beyond the gateway."""

ETH_P_ALL = 0x0003
"""What is bridged is only seen by who listens to all protocols."""

ETH_P_IP = 0x0800

needs_namespaces = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a network namespace"),
    pytest.mark.skipif(shutil.which("ip") is None, reason="not installed: ip (Debian: apt-get install iproute2)"),
]


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Sockets that are made here belong to the namespace for good."""
    from pyroute2 import netns

    netns.pushns(namespace)
    try:
        yield
    finally:
        netns.popns()


@dataclass
class Vpc:
    """Two namespaces: the instance's, and the one with the router, the remote host and the wires' other ends."""

    name: str
    wires: dict[str, socket.socket] = field(default_factory=dict)

    @property
    def instance(self) -> str:
        return f"{self.name}-i"

    @property
    def router(self) -> str:
        return f"{self.name}-r"

    def plug(self, link: str, mac: str) -> None:
        """A further interface of the instance; every packet that it sends is seen from now on."""
        peer = f"to-{link}"
        ip("-n", self.instance, "link", "add", link, "address", mac, "type", "veth", "peer", peer, "netns", self.router)
        ip("-n", self.router, "link", "set", peer, "master", "br0", "up")
        with inside(self.router):
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            wire.bind((peer, ETH_P_ALL))
            wire.setblocking(False)
        self.wires[link] = wire

    def sources(self, link: str) -> set[str]:
        """The source addresses of the packets to the remote host that this interface has sent since we asked last."""
        found: set[str] = set()
        while True:
            try:
                packet, (_, protocol, kind, *_) = self.wires[link].recvfrom(2048)
            except BlockingIOError:
                return found
            if protocol != ETH_P_IP:
                continue
            source, destination = struct.unpack_from("!4s4s", packet, 14 + 12)
            if kind != socket.PACKET_OUTGOING and socket.inet_ntoa(destination) == REMOTE:
                found.add(socket.inet_ntoa(source))

    def ask(self, source: str, *, seconds: float = 2.0) -> bool:
        """Send a datagram from an address to the remote host; whether its answer comes."""
        with inside(self.router):
            server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with inside(self.instance):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with server, client:
            server.bind((REMOTE, 0))
            server.settimeout(seconds)
            client.settimeout(seconds)
            client.bind((source, 0))
            client.sendto(b"question", server.getsockname())
            try:
                question, address = server.recvfrom(64)
                server.sendto(question, address)
                return client.recv(64) == b"question"
            except TimeoutError:
                return False

    def state(self) -> list[str]:
        """Addresses, routes and rules, as ip(8) shows them."""
        shown: list[str] = []
        for words in (("addr",), ("route", "show", "table", "all"), ("rule",)):
            shown += ip("-n", self.instance, "-4", "-o", *words).splitlines()
        return sorted(line.split(" valid_lft")[0] for line in shown)


@contextmanager
def vpc(gateway: str = GATEWAY) -> Iterator[Vpc]:
    """Empty, with this router in front of a /24."""
    made = Vpc(f"sw-{os.getpid()}")
    ip("netns", "add", made.instance)
    ip("netns", "add", made.router)
    try:
        ip("-n", made.router, "link", "add", "br0", "type", "bridge")
        ip("-n", made.router, "link", "set", "br0", "up")
        ip("-n", made.router, "link", "set", "lo", "up")
        ip("-n", made.router, "addr", "add", f"{gateway}/24", "dev", "br0")
        ip("-n", made.router, "addr", "add", f"{REMOTE}/32", "dev", "lo")
        ip("-n", made.instance, "link", "set", "lo", "up")
        # As in a VPC, where each interface answers for its own addresses only.
        for setting in ("arp_ignore=1", "arp_announce=2"):
            run("ip", "netns", "exec", made.instance, "sysctl", "-q", "-w", f"net.ipv4.conf.all.{setting}")
        yield made
    finally:
        for wire in made.wires.values():
            wire.close()
        ip("netns", "del", made.instance)
        ip("netns", "del", made.router)


def ip(*words: str) -> str:
    return run("ip", *words)


def run(*words: Any) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout
