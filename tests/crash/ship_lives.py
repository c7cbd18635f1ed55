"""One leftover volume through the lives of those who work on it, on one host or on two."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

import boto3

from spotwatch.core.volume import VolumeLabel, VolumeState
from spotwatch.ship.destination import Directory
from spotwatch.ship.reading import contents, latest_manifests, shipped_files
from spotwatch.ship.shipper import verify
from spotwatch.simulate.strict_aws import StrictAws
from tests.cloud import IMAGE, ZONE
from tests.crash.lives import ROOT
from tests.crash.ship import NAME_BYTES
from tests.ship.images import Image

PATIENCE = 90
"""Seconds for one life; on an idle machine it takes two."""

MOST_LIVES = 4
"""After the interrupted one, until the volume has to be deleted: one may only find it busy, or finish it."""


MARKED = datetime(2026, 11, 22, 8, 20, tzinfo=UTC)


class Cloud:
    """The strict double, and loop devices as what its attachments make appear.

    Args:
        directory: a link for each attachment goes there.
    """

    def __init__(self, aws: StrictAws, directory: Path) -> None:
        self.devices = directory
        self._aws = aws
        self._images: dict[str, Path] = {}
        self._loops: dict[str, str] = {}
        self._used: set[str] = set()
        self._lock = Lock()
        self.ec2: Any = boto3.client("ec2")
        aws.world.on_attached = self._attached
        aws.world.on_detached = self._detached

    def instance(self) -> str:
        """A permanent one, which ships."""
        made = self.ec2.run_instances(
            ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="m5.large", Placement={"AvailabilityZone": ZONE}
        )
        return str(made["Instances"][0]["InstanceId"])

    def volume(self, image: Path, label: VolumeLabel) -> str:
        """A leftover volume with the content of an image."""
        tags = [{"Key": key, "Value": value} for key, value in label.to_tags().items()]
        named = [{"ResourceType": "volume", "Tags": tags}]
        made = self.ec2.create_volume(AvailabilityZone=ZONE, Size=8, VolumeType="gp3", TagSpecifications=named)
        self._images[made["VolumeId"]] = image
        return str(made["VolumeId"])

    def described(self, volume: str) -> Mapping[str, Any] | None:
        """What is known of a volume; None if it is deleted."""
        told = self.ec2.describe_volumes(Filters=[{"Name": "volume-id", "Values": [volume]}])["Volumes"]
        return dict(told[0]) if told else None

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
    with StrictAws() as aws:
        environment = dict(os.environ)
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
    """How the first life ends, and where the volume is worked on afterwards.

    Attributes:
        point: the number of the point; 0 for none.
        end: see `tests.crash.ship.ENDS`.
        elsewhere: whether the next lives are on another host.
    """

    point: int = 0
    end: str = "all"
    elsewhere: bool = False

    def __str__(self) -> str:
        return f"{self.end} at {self.point}, then on {'another' if self.elsewhere else 'the same'} host"


@dataclass
class Story:
    """What is known when it is over."""

    crash: Crash
    points: list[list[str]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    logs: str = ""

    @property
    def died_at(self) -> str:
        """The name of the point of the crash; empty if it was not reached."""
        names = self.points[0] if self.points else []
        return names[self.crash.point - 1] if 0 < self.crash.point <= len(names) else ""


class Leftover:
    """A volume, two hosts and a destination.

    Args:
        directory: holds everything; its name is on every process, loop device and file of this volume.
        cloud: where the volume is.
        image: its content; it is copied.
        hosts: the instances that ship.
    """

    def __init__(self, directory: Path, cloud: Cloud, image: Image, hosts: tuple[str, str], crash: Crash) -> None:
        self._directory, self._cloud, self._image, self._hosts = directory, cloud, image, hosts
        self.story = Story(crash)
        for name in ("scratch", "claims-0", "claims-1"):
            (directory / name).mkdir(parents=True)
        copy = directory / "image"
        shutil.copyfile(image.path, copy)
        os.chmod(copy, 0o600)
        self._before = copy.read_bytes()
        self._volume = cloud.volume(copy, VolumeLabel(VolumeState.ARMED, "i-0dead", ZONE, MARKED, "/logs"))
        self._lives = 0

    def live(self) -> Story:
        """The interrupted life, and as many more as it takes."""
        crash = self.story.crash
        stopped = self._live_once(0, crash.point, crash.end) if crash.point else None
        try:
            self._look("after the crash")
            for _ in range(MOST_LIVES):
                self._live_once(int(crash.elsewhere), 0, "all")
                self._look("after a later life")
                if stopped is not None:
                    self._wake(stopped)
                    stopped = None
                if self._cloud.described(self._volume) is None:
                    break
        finally:
            if stopped is not None:
                stopped.kill()
                stopped.wait()
        self._look_at_the_end()
        return self.story

    def live_at_once(self) -> Story:
        """Both hosts begin at the same time; then each goes on by itself."""
        both = [self._start(number, 0, "all") for number in range(2)]
        for process in both:
            self._finish(process)
        self._look("after both")
        return self.live()

    def _live_once(self, host: int, fatal: int, end: str) -> "subprocess.Popen[str] | None":
        """One life; the process, if it stands still."""
        process = self._start(host, fatal, end)
        if end == "stop" and self._stands_still(process):
            return process
        self._finish(process)
        return None

    def _start(self, host: int, fatal: int, end: str) -> "subprocess.Popen[str]":
        self._lives += 1
        log = self._directory / f"log.{self._lives}"
        words = {
            "points": self._directory / f"points.{self._lives}", "fatal": fatal, "end": end, "volume": self._volume,
            "instance": self._hosts[host], "devices": self._cloud.devices, "claims": self._directory / f"claims-{host}",
            "scratch": self._directory / "scratch", "to": self._directory / "to",
        }  # fmt: skip
        argv = [sys.executable, "-W", "error", "-m", "tests.crash.ship"]
        argv += [f"--{name}={value}" for name, value in words.items()]
        with log.open("wb") as file:
            return subprocess.Popen(argv, cwd=ROOT, stdout=file, stderr=file, text=True)

    def _stands_still(self, process: "subprocess.Popen[str]") -> bool:
        """Whether it stops before it ends."""
        found = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        return found is not None and found.si_code == os.CLD_STOPPED

    def _wake(self, process: "subprocess.Popen[str]") -> None:
        """It goes on as if nothing had happened."""
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for pid in (*map(int, children), process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._finish(process)
        self._look("after the first one woke up")

    def _finish(self, process: "subprocess.Popen[str]") -> None:
        process.wait(PATIENCE)
        if process.returncode not in (0, 1, -signal.SIGKILL):
            self.story.complaints.append(f"it left with {process.returncode}")

    def _look(self, when: str) -> None:
        """What has to hold at any time: a volume that is gone was shipped."""
        if self._cloud.described(self._volume) is None:
            self.story.complaints += [f"{when}, with the volume deleted: {what}" for what in self._wrong_content()]

    def _look_at_the_end(self) -> None:
        if (told := self._cloud.described(self._volume)) is not None:
            self.story.complaints.append(f"the volume is still there: {told['State']} {told.get('Tags')}")
        self.story.complaints += self._wrong_content()
        if (self._directory / "image").read_bytes() != self._before:
            self.story.complaints.append("the volume was written to")
        loops = subprocess.run(
            ["losetup", "--associated", str(self._directory / "image")], capture_output=True, check=True
        )
        if loops.stdout:
            self.story.complaints.append(f"still attached to a host: {loops.stdout!r}")
        if halves := list((self._directory / "to").rglob("*.part")):
            self.story.complaints.append(f"half an object stays: {halves}")
        for number in range(1, self._lives + 1):
            names = (self._directory / f"points.{number}").read_text() if self._has_points(number) else ""
            self.story.points.append([names[at : at + NAME_BYTES].strip() for at in range(0, len(names), NAME_BYTES)])
            self.story.logs += f"--- life {number}\n{(self._directory / f'log.{number}').read_text()}"

    def _has_points(self, number: int) -> bool:
        return (self._directory / f"points.{number}").exists()

    def _wrong_content(self) -> Iterator[str]:
        """What the latest manifest lacks, or has twice, line by line."""
        target = Directory(self._directory / "to")
        manifests = list(latest_manifests(target))
        if len(manifests) != 1:
            yield f"there are {len(manifests)} volumes with a manifest"
            return
        ((_, manifest),) = manifests
        verify(manifest, target)
        if manifest.anomalies:
            yield f"anomalies: {manifest.anomalies}"
        found: dict[str, bytes] = {}
        for content in contents(target, shipped_files(manifest)):
            path = content.file.file.path
            found[path] = found.get(path, b"") + content.data
        for path, data in self._image.content.items():
            lines, wanted = found.pop(path, b"").splitlines(), data.splitlines()
            lost, twice = set(wanted) - set(lines), len(lines) - len(set(lines))
            if lost or twice or lines != wanted:
                yield f"{path}: {len(lost)} of {len(wanted)} lines are lost, {twice} are there twice"
        if found:
            yield f"there is more than there was: {sorted(found)}"
