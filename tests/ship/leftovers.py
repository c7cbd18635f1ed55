"""Leftover volumes in the strict double, hosts that work on them in virtual time, and a place that objects go to.

What is on a volume is a text in a dictionary: reading is not what is tested here.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from xxhash import xxh128_hexdigest

from spotwatch.aws.session import Session
from spotwatch.aws.volumes import Volumes
from spotwatch.core.errors import DestinationError, VolumeUnreadable
from spotwatch.core.volume import Volume, VolumeLabel, VolumeState
from spotwatch.ship.bundle import Frame
from spotwatch.ship.job import Ending, Job
from spotwatch.ship.manifest import Manifest, ObjectReport
from tests.cloud import ZONE, Cloud

DEAD = "i-00000000000000dead"
"""The instance whose logs they are."""

BEGINNING = datetime(2026, 11, 23, tzinfo=UTC)


DELETE = Ending()


def label(state: VolumeState = VolumeState.INTERRUPTED, *, instance: str = DEAD, minute: int = 0) -> VolumeLabel:
    return VolumeLabel(state, instance, ZONE, BEGINNING - timedelta(days=1, minutes=-minute), "/var/log/app")


@dataclass
class Shelf:
    """A destination, as far as a job can tell: keys that are written once.

    Attributes:
        objects: what is stored.
        content: what can be read on which volume; a volume that is missing here cannot be read.
        anomalies: what is wrong with a volume.
        problem: the destination cannot be used, and why.
        while_shipping: carried out while a volume is read, with what renews its lease.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    content: dict[str, str] = field(default_factory=dict)
    anomalies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    problem: str = ""
    while_shipping: Callable[[Callable[[], None]], None] = lambda renew: renew()

    def ship(self, device: str, volume: Volume, label: VolumeLabel, *, renew: Callable[[], None]) -> Manifest:
        assert device == f"/dev/{volume.id}"
        self._refuse()
        if volume.id not in self.content:
            raise VolumeUnreadable(f"{device} holds no file system", hint="see what is on it")
        data = self.content[volume.id].encode()
        key = f"{label.instance_id}/{volume.id}/{hashlib.sha256(data).hexdigest()[:8]}"
        assert self.objects.setdefault(key, data) == data, "an object was changed"
        self.while_shipping(renew)
        digest = hashlib.sha256(data).hexdigest()
        frame = Frame("app.log", 12, 0, len(data), 0, len(data), digest)
        report = ObjectReport(key, len(data), digest, xxh128_hexdigest(data), (frame,))
        anomalies = self.anomalies.get(volume.id, ())
        return Manifest(volume.id, label.instance_id, {}, "clean", "2026-11-22T00:00:00Z", (), (report,), anomalies)

    def publish(self, manifest: Manifest) -> str:
        self._refuse()
        key = f"{manifest.instance}/{manifest.volume}/manifest"
        assert self.objects.setdefault(key, manifest.encode()) == manifest.encode(), "a manifest was changed"
        return key

    def published(self, key: str) -> Manifest:
        self._refuse()
        if key not in self.objects:
            raise DestinationError(f"{key} is not there")
        try:
            manifest = Manifest.decode(self.objects[key])
        except ValueError as error:
            raise DestinationError(f"{key}: {error}") from None
        self.verify(manifest, renew=lambda: None)
        return manifest

    def verify(self, manifest: Manifest, *, renew: Callable[[], None]) -> None:
        self._refuse()
        renew()
        for told in manifest.objects:
            found = self.objects.get(told.key)
            if found is None or hashlib.sha256(found).hexdigest() != told.sha256:
                raise DestinationError(f"{told.key} is not what was stored")

    def shipped(self, volume: str) -> str | None:
        """What a reader of the published manifest gets; None if there is no manifest."""
        key = f"{DEAD}/{volume}/manifest"
        if key not in self.objects:
            return None
        return "".join(self.objects[told.key].decode() for told in Manifest.decode(self.objects[key]).objects)

    def _refuse(self) -> None:
        if self.problem:
            raise DestinationError(self.problem, hint="see the destination")


class Host:
    """A machine in the double's EC2. It forgets its claims when it is started anew."""

    def __init__(self, cloud: Cloud, instance_id: str, *, life: int = 1) -> None:
        self.instance_id = instance_id
        self.worker = f"{instance_id}/{life}"
        self.claimed: set[str] = set()
        self.has_devices = True
        self._cloud = cloud

    @contextmanager
    def claim(self, volume_id: str) -> Iterator[bool]:
        if volume_id in self.claimed:
            yield False
            return
        self.claimed.add(volume_id)
        try:
            yield True
        finally:
            self.claimed.discard(volume_id)

    def device(self, volume: Volume) -> str:
        if not self.has_devices:
            raise VolumeUnreadable(f"no device with the serial of {volume.id} appears")
        if (volume.instance_id, volume.attachment) != (self.instance_id, "attached"):
            raise VolumeUnreadable(f"no device with the serial of {volume.id} appears")
        return f"/dev/{volume.id}"

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self._cloud.clock.now())

    def elapsed(self) -> float:
        return self._cloud.clock.now()


class Leftovers:
    """What a test begins with: a shelf, EC2's volumes, and as many hosts and leftovers as it wants."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.shelf = Shelf()
        self.volumes = Volumes(Session(cloud.clock, patience=300).api("ec2"))

    def host(self) -> Host:
        return Host(self.cloud, self.cloud.instance())

    def add(
        self, content: str | None = "the last lines", told: VolumeLabel | None = None, *, wrong: Sequence[str] = ()
    ) -> str:
        """A leftover volume's id; without content nothing on it can be read; `wrong` with it are these anomalies."""
        volume = self.cloud.volume(tags=(told or label()).to_tags())
        if content is not None:
            self.shelf.content[volume] = content
        self.shelf.anomalies[volume] = tuple(wrong)
        return volume

    def job(self, host: Host, ending: Ending = DELETE) -> Job:
        return Job(self.volumes, host, self.shelf, ending)

    def look(self, volume: str) -> Volume:
        found = self.volumes.describe(volume)
        assert found is not None
        return found

    def is_gone(self, volume: str) -> bool:
        return self.volumes.describe(volume) is None
