"""An account with a hosted zone and a Cloud Map service, and hooks that join and leave it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from spotwatch.core.name_record import Registration
from spotwatch.core.report import InstanceFacts
from spotwatch.hooks.name_places import Place
from tests.cloud import ManualClock

if TYPE_CHECKING:
    from spotwatch.aws.cloud_map import CloudMap
    from spotwatch.aws.route53 import Route53
    from spotwatch.aws.session import Session
    from spotwatch.hooks.services import NameService
    from tests.strict_dns import StrictDns

ZONE = "example.internal"
NAME = "app.example.internal"
ONE, OTHER = "i-0123456789abcdef0", "i-0fedcba9876543210"

DRAIN = {"SPOTWATCH_TIMEOUT": "120", "SPOTWATCH_SECONDS_LEFT": "122", "SPOTWATCH_EVENT": "terminate"}
"""What the daemon tells a hook that has nearly all of the two minutes."""


def registration(instance: str, *addresses: str, name: str = NAME, ttl: int = 30, weight: int = 1) -> Registration:
    return Registration(instance, name, addresses, ttl, weight)


class HookClock(ManualClock):
    """Seconds that pass only when somebody sleeps, and the time of day."""

    def utc(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)


@dataclass
class Kept:
    """What a hook has written down."""

    text: str = ""

    def read(self) -> str:
        return self.text

    def write(self, text: str) -> None:
        self.text = text


@dataclass
class HookServices:
    """What the hooks work with; time is the test's own unless another clock is given."""

    id: str = ONE
    addresses: Sequence[str] = ("10.0.0.5", "10.0.0.6")
    environment: Mapping[str, str] = field(default_factory=lambda: DRAIN)
    clock: Any = field(default_factory=HookClock)
    vcpus: int = 2
    born: float = 0.0
    kept: "Kept | None" = None

    def note(self) -> "Kept | None":
        return self.kept

    def instance(self) -> InstanceFacts:
        return InstanceFacts(self.id, "m5.large", "eu-west-1a", "eu-west-1")

    def interface_addresses(self, names: Sequence[str]) -> Sequence[str]:
        assert not names
        return self.addresses

    def name_service(self, place: Place, region: str, until: float) -> "NameService":
        from spotwatch.aws.session import Session
        from spotwatch.cli.name_services import name_service

        return name_service(
            place, self.clock, until, lambda: Session(self.clock, until=until, region=region, read_timeout=5)
        )


class Names:
    """The double, boto3's clients of it, and a zone."""

    def __init__(self, aws: "StrictDns", clock: HookClock) -> None:
        import boto3
        from botocore.config import Config

        once = Config(retries={"total_max_attempts": 1}, read_timeout=20)
        self.aws = aws
        self.clock = clock
        self.client: Any = boto3.client("route53", config=once)
        self.map: Any = boto3.client("servicediscovery", config=once)
        self.zone = self.new_zone()

    def new_zone(self, name: str = ZONE, reference: str = "one") -> str:
        made = self.client.create_hosted_zone(Name=name, CallerReference=reference + name)
        return str(made["HostedZone"]["Id"]).removeprefix("/hostedzone/")

    def services(self, instance: str = ONE, *addresses: str, **environment: str) -> HookServices:
        return HookServices(
            instance, addresses or ("10.0.0.5", "10.0.0.6"), environment or DRAIN, self.clock, born=self.clock.now()
        )

    def session(self, patience: float = 60) -> "Session":
        from spotwatch.aws.session import Session

        return Session(self.clock, until=self.clock.now() + patience)

    def route53(self, policy: str = "multivalue", patience: float = 60, zone_id: str = "") -> "Route53":
        from spotwatch.aws.route53 import Policy, Route53

        return Route53(self.session(patience).api("route53"), zone_id=zone_id, policy=Policy(policy))

    def cloud_map(self, patience: float = 60, **settings: Any) -> "CloudMap":
        from spotwatch.aws.cloud_map import CloudMap

        return CloudMap(self.session(patience).api("servicediscovery"), **settings)

    def put(self, record: Mapping[str, Any], action: str = "CREATE") -> None:
        changes = [{"Action": action, "ResourceRecordSet": record}]
        self.client.change_resource_record_sets(HostedZoneId=self.zone, ChangeBatch={"Changes": changes})

    def records(self, name: str = NAME) -> dict[tuple[str, str], list[str]]:
        """The values of the address records of a name, by type and identifier."""
        told = self.client.list_resource_record_sets(HostedZoneId=self.zone)["ResourceRecordSets"]
        return {
            (record["Type"], record.get("SetIdentifier", "")): [each["Value"] for each in record["ResourceRecords"]]
            for record in told
            if record["Name"].rstrip(".").replace("\\052", "*") == name
        }

    def values(self, name: str = NAME) -> set[str]:
        return {value for values in self.records(name).values() for value in values}

    def service(self, *kinds: str, name: str = "app", namespace: str = ZONE, ttl: int = 15) -> str:
        """A service of Cloud Map; its id."""
        spaces = {each["Name"]: each["Id"] for each in self.map.list_namespaces()["Namespaces"]}
        if namespace not in spaces:
            self.map.create_http_namespace(Name=namespace)
            spaces = {each["Name"]: each["Id"] for each in self.map.list_namespaces()["Namespaces"]}
        records = [{"Type": kind, "TTL": ttl} for kind in kinds or ("A",)]
        made = self.map.create_service(
            Name=name, NamespaceId=spaces[namespace], DnsConfig={"DnsRecords": records, "RoutingPolicy": "MULTIVALUE"}
        )
        return str(made["Service"]["Id"])

    def registered(self, service: str) -> dict[str, str]:
        """The address of each instance of a service."""
        self.clock.sleep(0)
        told = self.map.list_instances(ServiceId=service)["Instances"]
        return {each["Id"]: next(iter(each["Attributes"].values())) for each in told}


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """AWS as it is when nobody has used it yet; every client in this process and its children talks to it."""
    from tests.strict_dns import StrictDns

    clock = HookClock()
    with StrictDns(clock=clock.now) as aws:
        for name, value in aws.environment().items():
            monkeypatch.setenv(name, value)
        yield Names(aws, clock)
