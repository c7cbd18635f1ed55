"""The whole story of traffic: instances get addresses for their cores, join a name, are interrupted, and leave.

Each instance is a network namespace with a real network interface and the metadata service at its real address. EC2 is
the strict double; `spotwatch addresses apply`, the daemon and its hooks, BIND with signed updates, the HTTP servers and
the clients are real, and so are the connections between them.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from typing import Any

import boto3
import pytest

from spotwatch.simulate.instance import Instance
from tests.cloud import IMAGE, ZONE
from tests.dns import servers
from tests.dns.servers import NAME, RealServer
from tests.host.veth import needs_namespaces
from tests.story.clients import Clients
from tests.story.instance import Machine, SpotInstance, interruption, name_hook, served, stop_application
from tests.story.shares import NEVER, probability
from tests.story.subnet import CIDR, GATEWAY, Subnet, subnet
from tests.strict_network import StrictNetworkAws

pytestmark = [pytest.mark.slow, pytest.mark.acceptance, *needs_namespaces]

TTL = 2
PORT = 8080
CORES = {"m5.large": 2, "m5.2xlarge": 8}

WITH_CORES = 'mount --bind "$0" /sys/devices/system/cpu/online && exec "$@"'
"""In the mount namespace that ip-netns(8) makes for a command, where libc looks for the number of processors."""


class Vpc:
    """A subnet, EC2 and a name server in it, and instances."""

    def __init__(self, directory: Path, network: Subnet, name_server: RealServer) -> None:
        self.directory, self.network, self.name_server = directory, network, name_server
        self.ec2: Any = boto3.client("ec2")
        made = self.ec2.create_subnet(
            VpcId=self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"], CidrBlock=CIDR, AvailabilityZone=ZONE
        )
        self.subnet_id = made["Subnet"]["SubnetId"]

    def machine(self, kind: str) -> Machine:
        """An instance with as many addresses as `spotwatch addresses` gives it for its cores."""
        made = self.ec2.run_instances(
            ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType=kind, SubnetId=self.subnet_id
        )["Instances"][0]
        namespace, service = self.network.instance(
            Instance(
                instance_id=made["InstanceId"],
                instance_type=kind,
                region="eu-west-1",
                availability_zone=ZONE,
                mac=made["NetworkInterfaces"][0]["MacAddress"],
                subnet_id=self.subnet_id,
                private_ipv4=made["PrivateIpAddress"],
            )
        )
        online = self.directory / kind
        online.write_text(f"0-{CORES[kind] - 1}\n")
        under = ("ip", "netns", "exec", namespace, "sh", "-c", WITH_CORES, str(online))
        state = f"state.directory={self.directory}/{kind}-addresses"
        words = [sys.executable, "-m", "spotwatch", "addresses", "apply", "--set", state]
        subprocess.run([*under, *words], check=True)
        return Machine(service, self.network.addresses(namespace), under)

    def hook(self, use: str, *words: str, on: str) -> str:
        where = ("--server", f"{GATEWAY}:{self.name_server.port}", "--key-file", str(self.name_server.key))
        return name_hook(use, "update", "--name", NAME, *where, "--interface", "eth0", *words, on=on)

    def instance(self, machine: Machine, name: str) -> SpotInstance:
        join = self.hook("join-dns", "--ttl", f"{TTL}s", on="start")
        leave = self.hook("leave-dns", "--wait-ttl", on="terminate")
        made = SpotInstance(self.directory / name, machine, PORT, (join, leave, stop_application(stage=20)))
        return self.network.stack.enter_context(made)


@pytest.fixture
def vpc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vpc]:
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    with subnet() as network, StrictNetworkAws(host=GATEWAY) as aws:
        for name, value in aws.environment().items():
            monkeypatch.setenv(name, value)
        (tmp_path / "dns").mkdir()
        with servers.bind(tmp_path / "dns", address=GATEWAY) as name_server:
            yield Vpc(tmp_path, network, name_server)


def test_eight_cores_get_four_times_the_requests_of_two_and_lose_none_when_they_are_interrupted(vpc: Vpc) -> None:
    small, big = (vpc.machine(kind) for kind in CORES)
    assert (len(small.addresses), len(big.addresses)) == (1, 4)
    one, four = vpc.instance(small, "small"), vpc.instance(big, "big")
    with Clients(GATEWAY, vpc.name_server.port, PORT) as clients:
        while (total := len(one.arrivals()) + (of_four := len(four.arrivals()))) < 600:
            sleep(0.05)
    assert clients.refused() == []
    assert probability(of_four, total, 4 / 5) > NEVER
    assert probability(of_four, total, 1 / 2) < NEVER  # so few requests would tell equal shares apart

    seen = interruption(four, Clients(GATEWAY, vpc.name_server.port, PORT), TTL)
    served(seen, "leave-dns", "stop-application")
    assert {each.address for each in seen.to_it()} == set(big.addresses)
    assert all(each.address in small.addresses for each in seen.requests if each.sent_at > seen.ended)
