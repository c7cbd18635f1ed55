"""AWS for tests: the strict double, with clients and with what a test usually begins with. Time is the test's own."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from spotwatch.aws.session import Session
    from spotwatch.simulate.strict_aws import StrictAws

ZONE = "eu-west-1a"
OTHER_ZONE = "eu-west-1b"
IMAGE = "ami-760aaa0f"
"""One of moto's; where moto loads its images, its root device is /dev/xvda."""

BUCKET = "a-bucket"


class ManualClock:
    """Seconds that pass only when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.slept.append(seconds)


class Cloud:
    """The double, boto3's clients of it, and a few resources."""

    def __init__(self, aws: "StrictAws", clock: ManualClock) -> None:
        self.aws = aws
        self.clock = clock

    @cached_property
    def ec2(self) -> Any:
        return self.client("ec2")

    @cached_property
    def s3(self) -> Any:
        return self.client("s3")

    def client(self, service: str) -> Any:
        """Another service's."""
        import boto3
        from botocore.config import Config

        return boto3.client(service, config=Config(retries={"total_max_attempts": 1}, read_timeout=20))

    def session(self, patience: float = 300.0) -> "Session":
        """Ours, patient for so many seconds of the test's time."""
        from spotwatch.aws.session import Session

        return Session(self.clock, until=self.clock.now() + patience)

    def instance(self, *, zone: str = ZONE, kind: str = "m5.large", **parameters: Any) -> str:
        made = self.ec2.run_instances(
            ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType=kind, Placement={"AvailabilityZone": zone}, **parameters
        )
        return str(made["Instances"][0]["InstanceId"])

    def volume(self, *, zone: str = ZONE, tags: Mapping[str, str] | None = None, **parameters: Any) -> str:
        told = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
        named = {"TagSpecifications": [{"ResourceType": "volume", "Tags": told}]} if told else {}
        made = self.ec2.create_volume(AvailabilityZone=zone, Size=8, VolumeType="gp3", **named, **parameters)
        return str(made["VolumeId"])

    def attach(self, volume: str, instance: str, device: str = "/dev/sdf") -> Any:
        return self.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device=device)

    def attached(self, volume: str, instance: str, device: str = "/dev/sdf") -> None:
        """Attach it, and let the time pass that this takes."""
        self.attach(volume, instance, device)
        self.clock.sleep(self.aws.world.delays.attached)

    def described(self, volume: str) -> Any:
        return self.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]

    def state(self, volume: str) -> str:
        return str(self.described(volume)["State"])

    def attachment(self, volume: str) -> str:
        """The state of a volume's attachment; empty if there is none."""
        found = self.described(volume)["Attachments"]
        return str(found[0]["State"]) if found else ""

    def tags(self, volume: str) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self.described(volume).get("Tags", ())}

    def mappings(self, instance: str) -> dict[str, Any]:
        """What DescribeInstances says of an instance's volumes, by device name."""
        told = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        return {mapping["DeviceName"]: mapping["Ebs"] for mapping in told["BlockDeviceMappings"]}

    def bucket(self, name: str = BUCKET, **parameters: Any) -> str:
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}, **parameters)
        return name


@pytest.fixture
def manual_clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cloud(manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """AWS as it is when nobody has used it yet; every client in this process and its children talks to it.

    Without the thousand images that moto knows, which take longer than most tests: a root device is /dev/sda1.
    """
    from spotwatch.simulate.strict_aws import StrictAws

    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    with StrictAws(clock=manual_clock.now) as aws:
        for name, value in aws.environment().items():
            monkeypatch.setenv(name, value)
        yield Cloud(aws, manual_clock)
