"""An instance in the strict double of EC2, a kernel that sees its interfaces, and an application that works there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

from spotwatch.addresses.application import Application, Configure, Outcome
from spotwatch.addresses.ledger import Ledgers
from spotwatch.addresses.plan import OWNER_TAG, Wish
from spotwatch.addresses.services import Kernel
from spotwatch.aws.network_interfaces import NetworkInterfaces
from spotwatch.aws.session import Api, Session
from spotwatch.cli.own_facts import OwnFacts
from spotwatch.core.routing import Change, Link, Network
from tests.addresses.kernel import FakeKernel
from tests.cloud import IMAGE, ZONE, ManualClock
from tests.strict_network import StrictNetworkAws

LIMIT = 300.0
"""Seconds of the test's time that an application may take."""


class Crash(BaseException):
    """The end of the process: nothing in the program catches it."""


@dataclass
class Points:
    """Counts the points at which the process can end, and ends it at one of them."""

    end_at: int = 0
    reached: int = 0

    def reach(self) -> None:
        self.reached += 1
        if self.reached == self.end_at:
            raise Crash

    def around(self, do: Callable[[], Any]) -> Any:
        self.reach()
        answer = do()
        self.reach()
        return answer


@dataclass
class Text:
    """A memory that is only in memory."""

    text: str = ""
    points: Points = field(default_factory=Points)

    def read(self) -> str:
        return self.text

    def write(self, text: str) -> None:
        self.points.around(lambda: setattr(self, "text", text))


@dataclass
class Managers:
    """Who else configures interfaces; `program` of all of them."""

    program: str = ""

    def of(self, link: Link, addresses: Sequence[str]) -> str:
        assert link.name
        return self.program if addresses else ""


@dataclass
class CrashingKernel:
    kernel: Kernel
    points: Points

    def look(self) -> Network:
        return self.kernel.look()

    def change(self, change: Change) -> None:
        self.points.around(lambda: self.kernel.change(change))


class CrashingApi(Api):
    """Every attempt of a call has a point before it and one after it."""

    points: Points

    def attempt(self, operation: str, **parameters: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.points.around(lambda: super(CrashingApi, self).attempt(operation, **parameters))
        return answer


class Rig:
    """One account, and the instance `instance_id` in it."""

    def __init__(self, aws: StrictNetworkAws, clock: ManualClock) -> None:
        self.aws = aws
        self.clock = clock
        self.ec2: Any = boto3.client("ec2", config=Config(retries={"total_max_attempts": 1}, read_timeout=20))
        self._session = Session(clock)
        self._api = self._session.api("ec2")
        self.managers = Managers()
        self.subnet_id = ""
        self.instance_id = ""
        self.instance_type = ""

    def start(self, kind: str = "m5.large", *, cidr: str = "") -> str:
        """A new instance, with a kernel and a memory of its own; in a new subnet if `cidr` says which."""
        where: dict[str, Any] = {"Placement": {"AvailabilityZone": ZONE}}
        if cidr:
            vpc = self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
            made = self.ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=ZONE)
            where |= {"SubnetId": made["Subnet"]["SubnetId"]}
        made = self.ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType=kind, **where)["Instances"][0]
        self.instance_id, self.instance_type = made["InstanceId"], kind
        self.subnet_id = made["SubnetId"]
        self.memory = Text()
        self.kernel = FakeKernel(self.macs)
        self.kernel.up |= set(self.macs().values())
        return self.instance_id

    def facts(self, vcpus: int | None = None) -> OwnFacts:
        return OwnFacts(self.instance_id, self.instance_type, "eu-west-1", vcpus=vcpus)

    def api(self, patience: float = LIMIT) -> NetworkInterfaces:
        return NetworkInterfaces(Session(self.clock, until=self.clock.now() + patience).api("ec2"))

    def application(
        self, points: Points | None = None, *, limit: float = LIMIT, kernel: Kernel | None = None
    ) -> Application:
        points = points or Points()
        until = self.clock.now() + limit
        api = CrashingApi("ec2", self._api.client, self.clock, until)
        api.points = self.memory.points = points
        return Application(
            self.facts(),
            NetworkInterfaces(api),
            CrashingKernel(kernel or self.kernel, points),
            self.managers,
            Ledgers(self.memory, self.instance_id),
            self.clock,
            until,
        )

    def apply(self, count: int, *, configure: Configure = Configure.AUTO, limit: float = LIMIT) -> Outcome:
        return self.application(limit=limit).apply(Wish(count), configure)

    def release(self) -> Outcome:
        return self.application().release()

    def interfaces(self) -> list[Any]:
        """As EC2 describes them, by their device indexes."""
        filters = [{"Name": "attachment.instance-id", "Values": [self.instance_id]}]
        found = self.ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]
        return sorted(found, key=lambda each: int(each["Attachment"]["DeviceIndex"]))

    def mine(self) -> list[Any]:
        """All interfaces with our tag, attached or not."""
        filters = [{"Name": f"tag:{OWNER_TAG}", "Values": [self.instance_id]}]
        return list(self.ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"])

    def addresses(self) -> list[int]:
        """How many each interface has, by their device indexes."""
        return [len(each["PrivateIpAddresses"]) for each in self.interfaces()]

    def state(self) -> tuple[object, ...]:
        """All that a run leaves behind, without the ids and addresses that EC2 has chosen."""
        shown = [
            (each["Attachment"]["DeviceIndex"], each["Attachment"]["DeleteOnTermination"], each["Status"])
            for each in self.interfaces()[1:]
        ]
        network = self.kernel.look()
        rules = sorted(rule.table for rule in network.rules)
        routes = sorted(
            (route.table, route.destination.partition("/")[2], bool(route.gateway)) for route in network.routes
        )
        free = [each["NetworkInterfaceId"] for each in self.mine() if "Attachment" not in each]
        return self.addresses(), shown, sorted(each.link for each in network.addresses), routes, rules, free

    def macs(self) -> dict[int, str]:
        """What is plugged in, by its device index."""
        return {
            each["Attachment"]["DeviceIndex"]: each["MacAddress"]
            for each in self.interfaces()
            if each["Attachment"]["Status"] == "attached"
        }
