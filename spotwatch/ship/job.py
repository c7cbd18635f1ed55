"""One leftover volume, from the lease to its end.

    lease ─► attach ─► lease ─► read, decide, ship (a child process) ─► manifest ─► verify ─► tag ─► detach ─► delete

Every step may be the last one before a SIGKILL, and whoever comes next, on this host or another, finds what to go on
from in the volume itself: its attachment, its tags, the objects and the manifest at the destination.

What this survives:

- A worker that dies while it holds the volume: on the same host the next one goes on with the attachment; on another
  host it waits until the lease is not renewed any more, raises the epoch, and detaches without force.
- A worker that was thought dead and is not: before each step that cannot be undone it looks whether the lease is still
  its own. Its objects are the same as everybody's, so they do no harm.
- Two that begin at once: EC2 lets one attach. Two that delete at once: the second finds nothing.
- A volume with anything wrong about it: what can be read is shipped, and the volume is kept for a person to look at.
- Tags that show late: what was just written is remembered until the volume is done with, and never read back.
- A step that fails: the volume is detached, so that it neither holds a slot of this host nor is lost to the others.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from spotwatch.core.errors import AwsConflict, AwsRefused, LeaseLost, SpotwatchError, VolumeUnreadable
from spotwatch.core.volume import STATE_TAG, TAG_PREFIX, Volume, VolumeLabel, VolumeState
from spotwatch.ship.device_names import DeviceNames
from spotwatch.ship.manifest import Manifest
from spotwatch.ship.volumes import Lease, Volumes

SHIPPED_TAG: Final = f"{TAG_PREFIX}shipped-at"
REASON_TAG: Final = f"{TAG_PREFIX}quarantine-reason"
MANIFEST_TAG: Final = f"{TAG_PREFIX}manifest"

LONGEST_REASON: Final = 250
"""Characters; a tag's value holds 256."""

RENEW_EVERY: Final = 60.0
"""Seconds between two renewals of a lease: each is two calls, a long shipment has few and a short one none."""

NAMES_TRIED: Final = 3
"""Device names for one attachment: one may be in use although EC2 does not list it yet, or not any more."""


class Verdict(StrEnum):
    """What became of a volume in this run."""

    DELETED = "deleted"
    """Shipped, verified and deleted."""
    KEPT = "kept"
    """Shipped and verified; the settings want it to stay for now."""
    QUARANTINED = "quarantined"
    """What could be read is shipped; something was wrong, and the volume stays."""
    BUSY = "busy"
    """Somebody else works on it."""
    FAILED = "failed"
    """Not done; the next run goes on with it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one volume; `reason` says why where that is a question, `hint` what to do about it."""

    volume: str
    verdict: Verdict
    reason: str = ""
    hint: str = ""
    shipped_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """What is done with a volume that was shipped.

    Attributes:
        keep: never delete.
        retain: how long a shipped volume stays before it is deleted.
        snapshot: make a snapshot of a volume that is quarantined.
    """

    keep: bool = False
    retain: timedelta = timedelta(0)
    snapshot: bool = False

    def keeps(self, shipped_at: datetime, now: datetime) -> bool:
        """Whether a volume that was shipped then stays for now."""
        return self.keep or now < shipped_at + self.retain


class Host(Protocol):
    """The machine that volumes are attached to."""

    @property
    def instance_id(self) -> str:
        """Its EC2 instance id."""
        ...

    @property
    def worker(self) -> str:
        """What tells this worker from every other, also from one before it on the same host."""
        ...

    def claim(self, volume_id: str) -> AbstractContextManager[bool]:
        """Hold a volume against other workers of this host; whether it could be had."""
        ...

    def device(self, volume: Volume) -> str:
        """The path of the block device of an attached volume, as soon as it is there.

        Raises:
            VolumeUnreadable: it does not appear.
        """
        ...

    def now(self) -> datetime:
        """UTC."""
        ...

    def elapsed(self) -> float:
        """Seconds on a clock that never goes back."""
        ...


class Shipper(Protocol):
    """Reads a device in a child process and ships what is left on it."""

    def ship(self, device: str, volume: Volume, label: VolumeLabel, *, renew: Callable[[], None]) -> Manifest:
        """Store every object; the manifest, which is not stored yet.

        Args:
            device: path of the block device.
            volume: that it is of.
            label: what the instance wrote on it.
            renew: to be called every few seconds; raises when the volume is ours no more, and then nothing is left
                running.

        Raises:
            VolumeUnreadable: nothing on it can be read.
            DestinationError: not everything could be stored.
        """
        ...

    def publish(self, manifest: Manifest) -> str:
        """Store the manifest, and answer its key; the same manifest is stored once.

        Raises:
            DestinationError: it could not be stored.
        """
        ...

    def published(self, key: str) -> Manifest:
        """The manifest that is stored under a key, after everything that it names has been found.

        Raises:
            DestinationError: it is not there, is no manifest, or names what is not there.
        """
        ...

    def verify(self, manifest: Manifest, *, renew: Callable[[], None]) -> None:
        """Read everything back.

        Args:
            manifest: of what was stored.
            renew: as for `ship`; reading back may take as long.

        Raises:
            DestinationError: something is not there, or not what was stored.
        """
        ...


class Job:
    """What is done with one volume; makes one outcome of whatever happens."""

    def __init__(self, volumes: Volumes, host: Host, shipper: Shipper, ending: Ending) -> None:
        self._volumes = volumes
        self._host = host
        self._shipper = shipper
        self._ending = ending
        self._names = DeviceNames(lambda: volumes.device_names(host.instance_id))

    def work(self, volume: Volume) -> Outcome:
        """From wherever the volume is to its end, unless somebody else has it."""
        return self._outcome(volume, self._go_on)

    def take_over(self, volume: Volume) -> Outcome:
        """The same for a volume that another host holds, and whose lease has not been renewed for long.

        Args:
            volume: as it was when its silence began.
        """
        return self._outcome(volume, self._free_and_go_on)

    def _outcome(self, volume: Volume, do: Callable[[Volume], Outcome]) -> Outcome:
        with self._host.claim(volume.id) as ours:
            if not ours:
                return Outcome(volume.id, Verdict.BUSY, "another process of this host works on it")
            try:
                return do(volume)
            except (AwsConflict, LeaseLost) as error:
                return Outcome(volume.id, Verdict.BUSY, error.message)
            except SpotwatchError as error:
                self._let_go(volume)
                return Outcome(volume.id, Verdict.FAILED, error.message, error.hint)

    def _free_and_go_on(self, volume: Volume) -> Outcome:
        """The epoch is raised before the attachment is ended, so that a holder who lives after all notices."""
        dead, now = Lease.from_tags(volume.tags), self._look(volume)
        if dead is None or Lease.from_tags(now.tags) != dead:
            return Outcome(volume.id, Verdict.BUSY, "its holder lives")
        self._volumes.tag(volume.id, Lease(self._host.worker, dead.epoch + 1, self._host.now()).to_tags())
        if now.instance_id:
            self._volumes.detach(volume.id, now.instance_id)
        self._volumes.wait_until_available(volume.id, now.instance_id)
        return self._go_on(volume)

    def _go_on(self, volume: Volume) -> Outcome:
        """What is left to do depends on what its tags and its attachment say, never on what we remember."""
        volume = self._look(volume)
        if volume.instance_id not in ("", self._host.instance_id):
            raise AwsConflict(f"{volume.id} is attached to {volume.instance_id}")
        label = label_of(volume)
        if label.state in (VolumeState.SHIPPED, VolumeState.QUARANTINED):
            return self._end(self._released(volume))
        attached, ours = self._take(volume)
        device = self._host.device(attached)
        try:
            manifest = self._shipper.ship(device, volume, label, renew=ours.renew)
        except VolumeUnreadable as error:
            now = ours.check()
            written = self._quarantine(volume, {REASON_TAG: _reason([error.message])})
            return self._end(self._released(now, written))
        ours.check()
        key = self._shipper.publish(manifest)
        self._shipper.verify(manifest, renew=ours.renew)
        now = ours.check()
        written = self._mark(volume, manifest, key)
        done = self._end(self._released(now, written))
        return replace(done, shipped_bytes=manifest.shipped_bytes)

    def _take(self, volume: Volume) -> "tuple[Volume, _Held]":
        """The volume attached to this host, and the lease.

        It is written before the attachment, so that a volume is never attached to a worker that nobody knows, and once
        more after it, because one who came too late may have written his own in between.
        """
        before = Lease.from_tags(volume.tags)
        lease = Lease(self._host.worker, before.epoch + 1 if before else 1, self._host.now())
        self._volumes.tag(volume.id, lease.to_tags())
        if volume.instance_id != self._host.instance_id:
            self._attach(volume)
        attached = self._volumes.wait_until_attached(volume.id, self._host.instance_id)
        self._volumes.tag(volume.id, {STATE_TAG: VolumeState.SHIPPING.value, **lease.to_tags()})
        return attached, _Held(self._volumes, self._host, volume.id, lease)

    def _attach(self, volume: Volume) -> None:
        for attempt in range(1, NAMES_TRIED + 1):
            with self._names.one() as device:
                try:
                    return self._volumes.attach(volume.id, self._host.instance_id, device)
                except AwsRefused as error:
                    if error.code != "InvalidParameterValue" or attempt == NAMES_TRIED:
                        raise
        return None

    def _mark(self, volume: Volume, manifest: Manifest, key: str) -> Mapping[str, str]:
        """Write on the volume what has become of it; the tags."""
        tags = {SHIPPED_TAG: self._host.now().isoformat(timespec="seconds"), MANIFEST_TAG: key}
        if manifest.anomalies:
            return self._quarantine(volume, {**tags, REASON_TAG: _reason(manifest.anomalies)})
        tags[STATE_TAG] = VolumeState.SHIPPED.value
        self._volumes.tag(volume.id, tags)
        return tags

    def _quarantine(self, volume: Volume, tags: Mapping[str, str]) -> Mapping[str, str]:
        """Write on the volume that a person has to look; a snapshot is made first, or a crash would leave it out."""
        if self._ending.snapshot:
            self._volumes.snapshot(volume.id, f"spotwatch quarantined {volume.id}")
        written = {STATE_TAG: VolumeState.QUARANTINED.value, **tags}
        self._volumes.tag(volume.id, written)
        return written

    def _released(self, volume: Volume, written: Mapping[str, str] | None = None) -> Volume:
        """The volume as it is when it is attached to nothing, with the tags that were just written."""
        if volume.instance_id not in ("", self._host.instance_id):
            raise LeaseLost(f"{volume.id} is attached to {volume.instance_id} by now")
        now: Volume | None = volume
        if volume.instance_id:
            self._volumes.detach(volume.id, self._host.instance_id)
            now = self._volumes.wait_until_available(volume.id, self._host.instance_id)
        if now is None:
            raise LeaseLost(f"{volume.id} is gone")
        return replace(now, tags={**now.tags, **(written or {})})

    def _let_go(self, volume: Volume) -> None:
        """After a failure: begin to detach it from this host, if it is attached here; the next run attaches it anew."""
        with suppress(SpotwatchError):
            now = self._look(volume)
            if now.instance_id == self._host.instance_id and label_of(now).instance_id != self._host.instance_id:
                self._volumes.detach(volume.id, self._host.instance_id)

    def _end(self, volume: Volume) -> Outcome:
        """Delete a volume that is shipped and detached, if its time has come and its manifest is valid."""
        if label_of(volume).state is VolumeState.QUARANTINED:
            hint = "see its manifest" if MANIFEST_TAG in volume.tags else "see what is on it"
            return Outcome(volume.id, Verdict.QUARANTINED, volume.tags.get(REASON_TAG, ""), hint)
        shipped_at, key = shipment(volume)
        if self._ending.keeps(shipped_at, self._host.now()):
            return Outcome(volume.id, Verdict.KEPT, "it is shipped, and to be kept for now")
        manifest = self._shipper.published(key)
        if manifest.volume != volume.id or manifest.anomalies:
            raise VolumeUnreadable(f"{volume.id} names a manifest that is not its own, or has anomalies: it is kept")
        self._volumes.delete(volume.id)
        return Outcome(volume.id, Verdict.DELETED)

    def _look(self, volume: Volume) -> Volume:
        return _look(self._volumes, volume.id)


class _Held:
    """A lease that was just written, and is ours until somebody else has raised the epoch."""

    def __init__(self, volumes: Volumes, host: Host, volume_id: str, lease: Lease) -> None:
        self._volumes = volumes
        self._host = host
        self._volume_id = volume_id
        self._lease = lease
        self._written = host.elapsed()

    def renew(self) -> None:
        """To be called every few seconds: `check`, once in `RENEW_EVERY`."""
        if self._is_due():
            self.check()

    def check(self) -> Volume:
        """See that the lease is still ours, and write it anew if it is time to; the volume as it is now.

        Another worker's lease of the same epoch was written by one who then could not attach: the attachment decides.

        Raises:
            LeaseLost: the volume is attached elsewhere, or somebody has raised the epoch.
        """
        now = _look(self._volumes, self._volume_id)
        written, lease = Lease.from_tags(now.tags), self._lease
        if now.instance_id != self._host.instance_id or (written is not None and written.epoch > lease.epoch):
            raise LeaseLost(f"{written.holder if written else 'somebody else'} has taken {now.id} over")
        if self._is_due():
            self._volumes.tag(now.id, Lease(lease.holder, lease.epoch, self._host.now()).to_tags())
            self._written = self._host.elapsed()
        return now

    def _is_due(self) -> bool:
        return self._host.elapsed() - self._written >= RENEW_EVERY


def _look(volumes: Volumes, volume_id: str) -> Volume:
    now = volumes.describe(volume_id)
    if now is None:
        raise LeaseLost(f"{volume_id} is gone")
    return now


def label_of(volume: Volume) -> VolumeLabel:
    """What the volume's tags say.

    Raises:
        VolumeUnreadable: they make no sense.
    """
    try:
        return VolumeLabel.from_tags(volume.tags)
    except ValueError as error:
        raise VolumeUnreadable(f"{volume.id}: {error}", hint="correct the tag, or ship it by hand") from None


def shipment(volume: Volume) -> tuple[datetime, str]:
    """When a shipped volume was shipped, and the key of its manifest.

    Raises:
        VolumeUnreadable: its tags do not say so.
    """
    try:
        shipped_at = datetime.fromisoformat(volume.tags[SHIPPED_TAG])
        key = volume.tags[MANIFEST_TAG]
    except (KeyError, ValueError) as error:
        raise VolumeUnreadable(f"{volume.id} is tagged as shipped, but not when and where to: {error}") from None
    if shipped_at.tzinfo is None:
        raise VolumeUnreadable(f"{volume.id}: the tag {SHIPPED_TAG} has no time zone", hint="correct the tag")
    return shipped_at, key


def _reason(anomalies: Iterable[str]) -> str:
    return "; ".join(anomalies)[:LONGEST_REASON]
