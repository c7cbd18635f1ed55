"""1,000 small leftover volumes to a directory: time and API calls per volume.

    python -m tests.bench.leftovers [--volumes 1000] [--jobs 2] [--processes] [--seconds 0]

The batch job is the real one. AWS is the strict double in this process, so its time is in the figures; a directory of
three small files stands for each device. Without ``--processes`` they are read in this process too; with it by a
process for each, as in production. With ``--seconds`` attaching and detaching take so long each.
"""

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from spotwatch.aws.session import Api, Session
from spotwatch.aws.volumes import Volumes
from spotwatch.cli.destinations import Keeping
from spotwatch.cli.ship import reader
from spotwatch.cli.ship.host import ThisHost
from spotwatch.cli.ship.order import Order
from spotwatch.cli.ship.shipper import WorkerShipper
from spotwatch.cli.ship.view import Told
from spotwatch.core.settings import Hints, ObjectLayout
from spotwatch.core.volume import Volume, VolumeLabel, VolumeState
from spotwatch.host.clock import Clock
from spotwatch.ship.batch import Batch
from spotwatch.ship.job import Ending, Job
from spotwatch.ship.manifest import Manifest
from spotwatch.simulate.strict_aws import REGION, Delays, StrictAws

ZONE: Final = f"{REGION}a"
DEAD: Final = "i-00000000000000dead"
LINES: Final = b"".join(b"%010d the application says something of no importance\n" % number for number in range(200))


class Host(ThisHost):
    """This machine, on which a directory appears where a device should."""

    def __init__(self, instance_id: str, claims: Path, devices: Path) -> None:
        super().__init__(instance_id, str(claims))
        self._directories = devices

    def device(self, volume: Volume) -> str:
        return str(self._directories / volume.id)


class ByProcess(WorkerShipper):
    """Has directories read where devices would be."""

    def read(self, order: Order, *, renew: Callable[[], None] = lambda: None) -> Manifest:
        return super().read(replace(order, device="", directory=order.device), renew=renew)


class InProcess(WorkerShipper):
    """Reads directories itself."""

    def read(self, order: Order, *, renew: Callable[[], None] = lambda: None) -> Manifest:  # noqa: ARG002 (too short)
        return reader.read(replace(order, device="", directory=order.device), self.destination, lambda _: None)


class Nobody:
    """Looks at no progress."""

    @contextmanager
    def volume(self, name: str) -> Iterator[Told]:  # noqa: ARG002 (the view's contract)
        yield lambda _: None


def make_leftovers(ec2: Api, devices: Path, count: int) -> None:
    told = VolumeLabel(VolumeState.INTERRUPTED, DEAD, ZONE, datetime.now(UTC), "/var/log/app").to_tags()
    tags = [{"ResourceType": "volume", "Tags": [{"Key": key, "Value": value} for key, value in told.items()]}]
    for _ in range(count):
        made = ec2.call("CreateVolume", AvailabilityZone=ZONE, Size=8, VolumeType="gp3", TagSpecifications=tags)
        for name in ("app.log", "app.log.1", "error.log"):
            path = devices / made["VolumeId"] / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(LINES)


def make_instance(ec2: Api) -> str:
    """The instance that ships."""
    image = ec2.call("RegisterImage", Name="none", RootDeviceName="/dev/xvda")["ImageId"]
    made = ec2.call(
        "RunInstances",
        ImageId=image,
        MinCount=1,
        MaxCount=1,
        InstanceType="m5.large",
        Placement={"AvailabilityZone": ZONE},
    )
    return str(made["Instances"][0]["InstanceId"])


def order(target: Path, scratch: Path) -> Order:
    return Order(
        to=target.as_uri(),
        kept=Keeping(),
        read_positions=Hints.SHIP,
        unproven_positions=Hints.SHIP,
        objects=ObjectLayout.BUNDLES,
        scratch=str(scratch),
        workers=1,
        time_limit=600,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--volumes", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--processes", action="store_true", help="one reads each volume")
    parser.add_argument("--seconds", type=float, default=0.0, help="that attaching and detaching take")
    words = parser.parse_args()
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    delays = Delays(attached=words.seconds, detached=words.seconds)
    with tempfile.TemporaryDirectory() as name, StrictAws(delays=delays) as aws:
        os.environ.update(aws.environment())
        here = Path(name)
        devices, target = here / "devices", here / "shipped"
        devices.mkdir()
        ec2 = Session(Clock(), patience=300).api("ec2")
        make_leftovers(ec2, devices, words.volumes)
        host = Host(make_instance(ec2), here / "claims", devices)
        shipper = (ByProcess if words.processes else InProcess)(order(target, here), Nobody())
        volumes = Volumes(ec2)
        batch = Batch(volumes, host, Job(volumes, host, shipper, Ending()), most=words.jobs, wait=time.sleep)
        aws.calls.clear()
        began, used = time.monotonic(), os.times()
        verdicts = Counter(str(outcome.verdict) for outcome in batch.run(ZONE))
        seconds, done = time.monotonic() - began, os.times()
        show(verdicts, seconds, Counter(call.name for call in aws.calls), words.volumes)
        cpu = sum(done[:4]) - sum(used[:4])
        print(
            f"CPU, the double's included: {cpu / words.volumes * 1000:.1f} ms a volume; load {os.getloadavg()[0]:.1f}"
        )
        print(f"manifests: {sum(1 for _ in target.rglob('manifest-*'))}")


def show(verdicts: Counter[str], seconds: float, calls: Counter[str], volumes: int) -> None:
    print(f"{volumes} volumes in {seconds:.1f} s, {seconds / volumes * 1000:.1f} ms each: {dict(verdicts)}")
    print(f"API calls: {calls.total() / volumes:.2f} a volume")
    for name, count in calls.most_common():
        print(f"  {name:28}{count:7}{count / volumes:8.2f}")


if __name__ == "__main__":
    main()
