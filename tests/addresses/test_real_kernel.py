"""The whole of it on a real kernel: what EC2 attaches is plugged in, and packets leave by it."""

from dataclasses import dataclass

import pytest

from spotwatch.addresses.application import Configure
from spotwatch.addresses.plan import Wish
from spotwatch.core.routing import Change, Network
from spotwatch.host.netlink import Netlink
from tests.addresses.rig import Rig
from tests.host.veth import Vpc, ip, needs_namespaces, vpc

pytestmark = [pytest.mark.slow, *needs_namespaces]

GATEWAY = "172.31.240.1"


@dataclass
class PluggedKernel:
    """The kernel of a namespace, into which each interface is plugged that EC2 shows as attached."""

    rig: Rig
    network: Vpc

    def look(self) -> Network:
        for index, mac in self.rig.macs().items():
            if f"eth{index}" not in self.network.wires:
                self.network.plug(f"eth{index}", mac)
        return Netlink(namespace=self.network.instance).look()

    def change(self, change: Change) -> None:
        Netlink(namespace=self.network.instance).change(change)


def test_addresses_of_ec2_s_answer_from_their_own_interfaces_and_are_gone_after_a_release(rig: Rig) -> None:
    rig.start("m5.large", cidr="172.31.240.0/24")
    with vpc(GATEWAY) as network:
        kernel = PluggedKernel(rig, network)
        kernel.look()
        primary = rig.interfaces()[0]["PrivateIpAddress"]
        ip("-n", network.instance, "link", "set", "eth0", "up")
        ip("-n", network.instance, "addr", "add", f"{primary}/24", "dev", "eth0")
        ip("-n", network.instance, "route", "add", "default", "via", GATEWAY, "dev", "eth0")
        before = network.state()

        assert rig.application(kernel=kernel).apply(Wish(12), Configure.AUTO).complete
        held = {
            f"eth{each['Attachment']['DeviceIndex']}": {one["PrivateIpAddress"] for one in each["PrivateIpAddresses"]}
            for each in rig.interfaces()
        }
        assert [len(addresses) for addresses in held.values()] == [10, 2]
        assert all(network.ask(address) for addresses in held.values() for address in addresses)
        assert {link: network.sources(link) for link in held} == held

        rig.application(kernel=kernel).release()
        ip("-n", network.instance, "link", "del", "eth1")
        assert network.state() == before
