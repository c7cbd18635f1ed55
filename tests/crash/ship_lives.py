"""Leftover volumes through the lives of those who work on them, on one host or on two."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from threading import Lock
from typing import Any
from unittest.mock import patch

import boto3
import moto.s3.models

from spotwatch.aws.s3 import Bucket
from spotwatch.aws.session import Session
from spotwatch.core.volume import STATE_TAG, VolumeLabel, VolumeState
from spotwatch.host.clock import Clock
from spotwatch.ship.destination import Destination
from spotwatch.ship.manifest import Manifest
from spotwatch.ship.reading import contents, latest_manifests, shipped_files
from spotwatch.ship.shipper import verify
from spotwatch.simulate.strict_aws import Delays, StrictAws
from tests.cloud import BUCKET, IMAGE, ZONE
from tests.crash.fork_server import ForkServer, Life, children_of
from tests.crash.ship import PART_BYTES
from tests.host.test_killed_reader import left_of, wait_until_nothing_is_left
from tests.ship.images import Image

MOST_LIVES = 4
"""After the interrupted one, until all is done: one may only find it busy, or finish it."""

SILENCE = 0.4
"""Seconds without a renewal after which a lease counts as silent here: it is not renewed as often, so whoever lives may
be taken for dead at any time."""

DELAYS = Delays(attached=0.05, detached=0.05, deleted=0.05, snapshot=0.05)
"""So that lives also end, and begin, while a volume is `attaching`, `detaching` or `deleting`."""

MARKED = datetime(2026, 11, 22, 8, 20, tzinfo=UTC)

GOOD_CODES = (0, 65, 75, -signal.SIGKILL)
"""Of a batch: done, something is in quarantine, the next one goes on with it; and of one that was killed."""


class Fate(Enum):
    """What becomes of a volume in the end."""

    DELETED = "deleted"
    QUARANTINED = "quarantined"
    """What can be read is shipped."""
    UNREADABLE = "unreadable"
    """In quarantine without a manifest."""


class Cloud:
    """The strict double, and loop devices as what its attachments make appear.

    Args:
        aws: the double.
        directory: a link for each attachment goes there.
    """

    def __init__(self, aws: StrictAws, directory: Path) -> None:
        self.devices = directory
        self._images: dict[str, Path] = {}
        self._loops: dict[str, str] = {}
        self._used: set[str] = set()
        self._lock = Lock()
        self.ec2: Any = boto3.client("ec2")
        self.s3: Any = boto3.client("s3")
        self.api = Session(Clock(), patience=1000).api("s3")
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        aws.world.on_attached = self._attached
        aws.world.on_detached = self._detached

    def hosts(self) -> tuple[str, str]:
        """Two permanent instances, which ship."""
        made = self.ec2.run_instances(
            ImageId=IMAGE, MinCount=2, MaxCount=2, InstanceType="m5.large", Placement={"AvailabilityZone": ZONE}
        )
        one, other = (instance["InstanceId"] for instance in made["Instances"])
        return one, other

    def volume(self, image: Path, label: VolumeLabel) -> str:
        """A leftover volume with the content of an image."""
        tags = [{"Key": key, "Value": value} for key, value in label.to_tags().items()]
        named = [{"ResourceType": "volume", "Tags": tags}]
        made = self.ec2.create_volume(AvailabilityZone=ZONE, Size=8, VolumeType="gp3", TagSpecifications=named)
        self._images[made["VolumeId"]] = image
        return str(made["VolumeId"])

    def described(self, volume: str) -> Mapping[str, Any] | None:
        """What is known of a volume; None if it is deleted, or on its way."""
        told = self.ec2.describe_volumes(Filters=[{"Name": "volume-id", "Values": [volume]}])["Volumes"]
        return dict(told[0]) if told and told[0]["State"] != "deleting" else None

    def snapshots(self, volume: str) -> int:
        """How many there are of a volume."""
        return len(self.ec2.describe_snapshots(Filters=[{"Name": "volume-id", "Values": [volume]}])["Snapshots"])

    def uploads(self, prefix: str) -> list[str]:
        """The multipart uploads that are going on."""
        told = self.s3.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", ())
        return [upload["Key"] for upload in told]

    def close(self) -> None:
        """Leave the loop devices as they were. Not earlier: who still reads one has made it read-only."""
        for loop in self._used:
            if not Path(f"/sys/block/{Path(loop).name}/loop/backing_file").exists():
                _set_writable(loop)

    def _attached(self, volume: str, instance: str, _: str) -> None:
        if volume not in self._images:
            return  # a root volume
        argv = ["losetup", "--find", "--show", str(self._images[volume])]
        loop = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
        _set_writable(loop)
        with self._lock:
            self._loops[volume] = loop
            self._used.add(loop)
        (self.devices / instance).mkdir(exist_ok=True, parents=True)
        (self.devices / instance / volume).symlink_to(loop)

    def _detached(self, volume: str) -> None:
        for link in self.devices.glob(f"*/{volume}"):
            link.unlink()
        with self._lock:
            loop = self._loops.pop(volume, "")
        if loop:
            subprocess.run(["losetup", "--detach", loop], check=True)  # or later, when nobody reads it any more


def _set_writable(loop: str) -> None:
    """A killed reader leaves its device read-only; loop devices, unlike disks, are the same when they come again."""
    subprocess.run(["blockdev", "--setrw", loop], check=True)


@contextmanager
def cloud(directory: Path) -> Iterator[Cloud]:
    """AWS for the processes of a test; time passes there as it does here, since they wait for it."""
    environment = dict(os.environ)
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    with StrictAws(delays=DELAYS) as aws, patch.object(moto.s3.models, "S3_UPLOAD_PART_MIN_SIZE", PART_BYTES):
        os.environ.update(aws.environment())
        made = Cloud(aws, directory)
        try:
            yield made
        finally:
            made.close()
            os.environ.clear()
            os.environ.update(environment)


@dataclass(frozen=True)
class Crash:
    """How the first life ends, and where the volumes are worked on afterwards.

    Attributes:
        point: the point; empty for none.
        end: see `tests.crash.ship.ENDS`.
        elsewhere: whether the next lives are on another host.
        again: the point at which the second life is killed; empty for none.
    """

    point: str = ""
    end: str = "all"
    elsewhere: bool = False
    again: str = ""

    def __str__(self) -> str:
        where = "another" if self.elsewhere else "the same"
        again = f", killed {self.again}" if self.again else ""
        return f"{self.end} {self.point or 'never'}, then on {where} host{again}"


@dataclass
class Story:
    """What is known when it is over."""

    crash: Crash
    points: list[list[str]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    logs: str = ""

    @property
    def is_crashed(self) -> bool:
        """Whether the first life has reached its last point."""
        return bool(self.crash.point) and self.crash.point in self.points[0]


@dataclass(frozen=True)
class Leftover:
    """One volume of a trial.

    Attributes:
        id: the volume's.
        image: what it was made from; it stays as it is.
        copy: what is behind the device.
        fate: what has to become of it.
    """

    id: str
    image: Image
    copy: Path
    fate: Fate

    def is_unchanged(self) -> bool:
        """Whether nothing was written to it."""
        return subprocess.run(["cmp", "--silent", str(self.image.path), str(self.copy)], check=False).returncode == 0

    def wrong_content(self, target: Destination) -> Iterator[str]:
        """What the manifest lacks, or has twice, line by line."""
        manifests = [(key, each) for key, each in latest_manifests(target) if each.volume == self.id]
        if len(manifests) != 1:
            yield f"there are {len(manifests)} manifests of {self.id}"
            return
        ((key, manifest),) = manifests
        verify(manifest, target)
        if bool(manifest.anomalies) != (self.fate is Fate.QUARANTINED):
            yield f"anomalies: {manifest.anomalies}"
        yield from _wrong_lines(self.image.content, manifest, target)
        known = {key, *(stored.key for stored in manifest.objects)}
        if more := {stored.key for stored in target.below("") if f"/{self.id}/" in stored.key} - known:
            yield f"stored beside it: {sorted(more)}"


def _wrong_lines(content: Mapping[str, bytes], manifest: Manifest, target: Destination) -> Iterator[str]:
    found: dict[str, bytes] = {}
    for piece in contents(target, shipped_files(manifest)):
        path = piece.file.file.path
        found[path] = found.get(path, b"") + piece.data
    for path, data in content.items():
        lines, wanted = found.pop(path, b"").splitlines(), data.splitlines()
        lost, twice = set(wanted) - set(lines), len(lines) - len(set(lines))
        if lost or twice or lines != wanted:
            yield f"{path}: {len(lost)} of {len(wanted)} lines are lost, {twice} are there twice"
    if found:
        yield f"there is more than there was: {sorted(found)}"


class Trial:
    """Volumes, two hosts and a destination, from the first life to the last.

    Args:
        directory: holds everything; its name is on every process, loop device and file of these volumes.
        cloud: where the volumes are.
        server: where the lives come from.
        images: the content of each volume, and what has to become of it.
        hosts: the instances that ship; nobody else uses them.
        crash: of the first life.
        words: more of them for ``spotwatch ship``.
    """

    def __init__(
        self,
        directory: Path,
        cloud: Cloud,
        server: ForkServer,
        images: Sequence[tuple[Image, Fate]],
        hosts: tuple[str, str],
        crash: Crash,
        words: Sequence[str] = (),
    ) -> None:
        self._directory, self._cloud, self._server, self._hosts, self._words = directory, cloud, server, hosts, words
        self.story = Story(crash)
        for name in ("scratch", "state-0", "state-1"):
            (directory / name).mkdir(parents=True)
        (directory / "spotwatch.toml").touch()
        self._prefix = directory.name
        self._target = Bucket(cloud.api, BUCKET, self._prefix)
        self._leftovers = [self._leftover(number, *each) for number, each in enumerate(images)]
        self._lives = 0

    def _leftover(self, number: int, image: Image, fate: Fate) -> Leftover:
        copy = self._directory / f"image-{number}"
        subprocess.run(["cp", "--sparse=always", str(image.path), str(copy)], check=True)
        label = VolumeLabel(VolumeState.ARMED, f"i-0dead{number}", ZONE, MARKED, "/logs")
        return Leftover(self._cloud.volume(copy, label), image, copy, fate)

    def live(self) -> Story:
        """The interrupted life, and as many more as it takes."""
        crash = self.story.crash
        stopped = self._live_once(0, crash.point, crash.end) if crash.point else None
        try:
            self._look("after the crash")
            again = crash.again
            for _ in range(MOST_LIVES):
                self._live_once(int(crash.elsewhere), again, "all")
                again = ""
                self._look("after a later life")
                if stopped is not None:
                    _wake(stopped)
                    self._finish(stopped)
                    self._look("after the first one woke up")
                    stopped = None
                if all(map(self._is_done, self._leftovers)):
                    break
        finally:
            if stopped is not None:
                _kill(stopped)
        self._look_at_the_end()
        return self.story

    def live_at_once(self) -> Story:
        """Both hosts begin at the same time; then each goes on by itself."""
        both = [self._start(number, "", "all") for number in range(2)]
        for life in both:
            self._finish(life)
        self._look("after both")
        return self.live()

    def _live_once(self, host: int, fatal: str, end: str) -> Life | None:
        """One life; it is answered if it stands still."""
        life = self._start(host, fatal, end)
        return None if self._finish(life) else life

    def _start(self, host: int, fatal: str, end: str) -> Life:
        self._lives += 1
        ours = {
            "points": self._directory / f"points.{self._lives}", "fatal": fatal, "end": end,
            "devices": self._cloud.devices, "silence": SILENCE,
        }  # fmt: skip
        theirs = {
            "to": f"s3://{BUCKET}/{self._prefix}", "config": self._directory / "spotwatch.toml",
            "host-instance-id": self._hosts[host], "availability-zone": ZONE, "region": "eu-west-1",
            "set": f"state.directory={self._directory / f'state-{host}'}", "scratch": self._directory / "scratch",
        }  # fmt: skip
        volumes = [f"--volume={leftover.id}" for leftover in self._leftovers]
        words = [*(f"--{name}={value}" for name, value in ours.items()), *volumes, "--", "ship"]
        words += [*(f"--{name}={value}" for name, value in theirs.items()), *self._words, *volumes]
        environment = {**os.environ, "TMPDIR": str(self._directory), "SPOTWATCH_TRIAL": self._prefix}
        return self._server.start(words, self._directory / f"log.{self._lives}", environment)

    def _finish(self, life: Life) -> bool:
        """Whether it has ended, and does not stand still."""
        ended = life.wait()
        if ended is None:
            return False
        if ended.code not in GOOD_CODES:
            self.story.complaints.append(f"it left with {ended.code}")
        self.story.complaints += [f"it has outlived its life: {command}" for command in ended.left]
        return True

    def _is_done(self, leftover: Leftover) -> bool:
        told = self._cloud.described(leftover.id)
        if told is None:
            return True
        tags = {tag["Key"]: tag["Value"] for tag in told["Tags"]}
        return bool(tags[STATE_TAG] == VolumeState.QUARANTINED and told["State"] == "available")

    def _look(self, when: str) -> None:
        """What has to hold at any time: a volume that is gone was shipped."""
        for leftover in self._leftovers:
            if self._cloud.described(leftover.id) is None:
                wrong = leftover.wrong_content(self._target)
                self.story.complaints += [f"{when}, with {leftover.id} deleted: {what}" for what in wrong]

    def _look_at_the_end(self) -> None:
        for leftover in self._leftovers:
            self.story.complaints += [f"in the end: {what}" for what in self._wrong(leftover)]
        if uploads := self._cloud.uploads(self._prefix):
            self.story.complaints.append(f"half an object stays: {uploads}")
        try:
            wait_until_nothing_is_left(self._directory / "scratch")
        except AssertionError:
            self.story.complaints += left_of(self._directory / "scratch")
        for number in range(1, self._lives + 1):
            self.story.points.append(_names(self._directory / f"points.{number}"))
            self.story.logs += f"--- life {number}\n{(self._directory / f'log.{number}').read_text()}"
        if not self.story.complaints:
            shutil.rmtree(self._directory)

    def _wrong(self, leftover: Leftover) -> Iterator[str]:
        told = self._cloud.described(leftover.id)
        if (told is None) != (leftover.fate is Fate.DELETED) or not self._is_done(leftover):
            yield f"{leftover.id} should be {leftover.fate.value}, and is {told}"
        if leftover.fate is not Fate.UNREADABLE:
            yield from leftover.wrong_content(self._target)
        if self._cloud.snapshots(leftover.id) != (leftover.fate is not Fate.DELETED):
            yield f"{leftover.id} has {self._cloud.snapshots(leftover.id)} snapshots"
        if not leftover.is_unchanged():
            yield f"{leftover.id} was written to"
        argv = ["losetup", "--associated", str(leftover.copy)]
        if loops := subprocess.run(argv, capture_output=True, text=True, check=True).stdout:
            yield f"still attached to a host: {loops}"


def _names(points: Path) -> list[str]:
    """Of all points that a life has reached."""
    with suppress(FileNotFoundError):
        return points.read_text().splitlines()
    return []


def _wake(life: Life) -> None:
    """It goes on as if nothing had happened."""
    for pid in (*children_of(life.pid), life.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _kill(life: Life) -> None:
    for pid in (*children_of(life.pid), life.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
