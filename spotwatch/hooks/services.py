"""What the built-in hooks need of the machine and of AWS, as they see it; the command line hands in the real ones.

Each is made when it is asked for, so that a hook which does not speak to AWS never loads its client.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from spotwatch.core.report import InstanceFacts
from spotwatch.core.volume import Volume


class Programs(Protocol):
    """Somebody who can run a program in the foreground."""

    def run(self, argv: tuple[str, ...], *, limit: float | None = None) -> int:
        """Run it to its end in our own process group and environment; its exit code, 128 + N for signal N.

        Args:
            argv: its words.
            limit: seconds that it may take.

        Raises:
            CommandNotStarted: it could not be executed.
            TimeoutError: its time was up, and it was killed.
        """
        ...


class Clock(Protocol):
    """Who knows the time and can let it pass."""

    def now(self) -> float:
        """Seconds on the boot clock."""
        ...

    def utc(self) -> datetime:
        """The time of day."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...


class LogVolume(Protocol):
    """The EBS volumes that a path, a device or a volume id stands for; see `spotwatch.host.log_volume.LogVolume`."""

    @property
    def volume_ids(self) -> tuple[str, ...]:
        """Of all of them; empty on Xen."""
        ...

    @property
    def attached_as(self) -> tuple[str, ...]:
        """On Xen the device names that its attachment can have; else empty."""
        ...

    @property
    def device(self) -> str:
        """The path of the block device with the file system."""
        ...

    @property
    def mount_point(self) -> str:
        """Where it is mounted; empty if it is not."""
        ...

    @property
    def filesystem_uuid(self) -> str:
        """Empty if it cannot be told."""
        ...

    @property
    def layers(self) -> tuple[str, ...]:
        """What is between the file system and the volumes, such as `LVM`; empty for a plain volume."""
        ...

    @property
    def is_root(self) -> bool:
        """Whether the root file system is on one of them."""
        ...


class Attachment(Protocol):
    """One volume of an instance."""

    @property
    def volume_id(self) -> str:
        """Such as `vol-0123456789abcdef0`."""
        ...

    @property
    def device(self) -> str:
        """The device name that it was attached with, such as `/dev/sdf`."""
        ...

    @property
    def delete_on_termination(self) -> bool:
        """Whether it is deleted together with the instance."""
        ...


class Ec2(Protocol):
    """EC2, patient until the time that it was made with; every method raises `AwsError` then."""

    def attachments(self, instance_id: str) -> Sequence[Attachment]:
        """The volumes that an instance has."""
        ...

    def keep_on_termination(self, instance_id: str, device: str) -> None:
        """Set DeleteOnTermination of a volume to false, and return when it shows."""
        ...

    def describe(self, volume_id: str) -> Volume | None:
        """What is known of a volume; None if there is none."""
        ...

    def tag(self, volume_id: str, tags: Mapping[str, str]) -> None:
        """Set these tags; others stay."""
        ...


class Agents(Protocol):
    """How a log agent is told something. Each method answers why it could not be, or an empty text."""

    def stop(self, unit: str, seconds: float) -> str:
        """Have systemd stop a unit, and wait for its end."""
        ...

    def signal_unit(self, unit: str, signal: str, seconds: float) -> str:
        """Signal the main process of a unit, by the name of the signal, such as `USR1`."""
        ...

    def signal_process(self, pid_file: str, signal: str, seconds: float) -> str:
        """Signal the process whose number is in a file; for a signal that means the end, wait for it."""
        ...

    def request(self, method: str, url: str, seconds: float) -> str:
        """Call an HTTP endpoint, and wait for its answer."""
        ...


class FileSystems(Protocol):
    """What can be done with a mounted file system. Each method answers why it could not be, or an empty text."""

    def sync(self, path: str) -> str:
        """Write everything that is not written yet to the disk."""
        ...

    def write_note(self, mount_point: str, name: str, text: str) -> str:
        """Replace a file in the directory `.spotwatch` at the root of the file system; durable when it returns."""
        ...

    def why_not_to_freeze(self, path: str, spared: Sequence[str]) -> str:
        """What would hang if the file system at `path` took no writes: the root, or what is at one of `spared`."""
        ...

    def hand_over(self, mount_point: str, *, freeze_at: float | None, until: float, report: str) -> str:
        """Have a process which outlives us sync the file system every second.

        Args:
            mount_point: where it is.
            freeze_at: when to freeze it (boot clock), None: never.
            until: when to thaw it again, and end. It is thawed also if that process is killed.
            report: the path of a file that is copied into `.spotwatch/reports` whenever it has changed.
        """
        ...


class Services(Protocol):
    """All of them."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What the hook was told (README, "What a hook is told")."""
        ...

    @property
    def born(self) -> float:
        """When this process was started (boot clock, seconds)."""
        ...

    @property
    def programs(self) -> Programs:
        """Runs programs."""
        ...

    @property
    def clock(self) -> Clock:
        """Tells the time."""
        ...

    @property
    def agents(self) -> Agents:
        """Tells log agents what to do."""
        ...

    @property
    def file_systems(self) -> FileSystems:
        """Acts on mounted file systems."""
        ...

    def log_volume_of(self, what: str) -> LogVolume:
        """The volumes behind a mount point, a device or a volume id.

        Raises:
            VolumeRefused: it is not here, or on nothing that outlives the instance.
        """
        ...

    def instance(self) -> InstanceFacts:
        """What is known of this instance: from the environment, else from the metadata service."""
        ...

    def ec2(self, region: str, until: float) -> Ec2:
        """EC2 in a region (empty: as configured), patient until `until` (boot clock).

        Raises:
            AwsError: the configuration of this machine is not sufficient.
        """
        ...

    def report_so_far(self) -> str:
        """The report of the drain that we are a hook of, as JSON, as things stand; empty if it cannot be had."""
        ...
