"""What the built-in hooks need of the machine and of AWS, as they see it; the command line hands in the real ones.

Each is made when it is asked for, so that a hook which does not speak to AWS never loads its client.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from spotwatch.core.auto_scaling import Member, TerminationHook
from spotwatch.core.container_instance import ContainerInstance, Task
from spotwatch.core.drain_so_far import DrainSoFar
from spotwatch.core.name_record import NameChange, Registration
from spotwatch.core.notification import Notification
from spotwatch.core.report import InstanceFacts
from spotwatch.core.target_group import InstanceAddresses, Target, TargetGroup
from spotwatch.core.unit import Unit
from spotwatch.core.volume import Volume
from spotwatch.hooks.name_places import Place
from spotwatch.hooks.recipient_places import RecipientPlace


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


class Units(Protocol):
    """Units of systemd.

    Every method raises `ServiceManagerUnavailable` if there is no answer, `ServiceManagerDenied` if we may not, and
    `ServiceManagerRefused` if the answer is another refusal, or nobody is there to be asked.
    """

    @property
    def own(self) -> str:
        """The unit that we are a part of; empty if there is none."""
        ...

    def look(self, names: Sequence[str]) -> Sequence[Unit]:
        """Units by their names, known or not, or by glob patterns, which match those that systemd has loaded."""
        ...

    def stop(self, names: Sequence[str], *, ignore_dependencies: bool) -> None:
        """Have them stopped, and wait for nothing; no error for those that are.

        Args:
            names: of units.
            ignore_dependencies: whatever is ordered before them; what requires them is not stopped with them.
        """
        ...

    def kill(self, names: Sequence[str]) -> None:
        """Send SIGKILL to all of their processes."""
        ...

    def is_going_down(self) -> bool:
        """Whether the system is stopping, or our own unit is, or is about to."""
        ...


class FileSystems(Protocol):
    """What can be done with a mounted file system. Each method answers why it could not be, or an empty text."""

    def sync(self, path: str) -> str:
        """Write everything that is not written yet to the disk."""
        ...

    def why_not_to_sync(self, path: str) -> str:
        """Nothing is written; only that it could be is seen."""
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


class TargetGroups(Protocol):
    """Elastic Load Balancing's target groups, patient until the time that it was made with; see `Ec2`."""

    def addresses_of(self, instance_id: str) -> InstanceAddresses:
        """What targets of an instance can be registered as."""
        ...

    def groups(self) -> Sequence[TargetGroup]:
        """All target groups of the region."""
        ...

    def targets(self, arn: str) -> Sequence[Target]:
        """The targets of a group, also those that drain; `AwsNotFound` if there is no such group (any more)."""
        ...

    def deregister(self, arn: str, targets: Sequence[Target]) -> None:
        """Begin to deregister them; no error if they are not registered (any more)."""
        ...

    def deregistration_delay(self, arn: str) -> float | None:
        """Seconds that a target drains for; None if the group does not say."""
        ...


class AutoScaling(Protocol):
    """EC2 Auto Scaling, patient until the time that it was made with; see `Ec2`."""

    def member(self, instance_id: str) -> Member | None:
        """The instance as a member of its group; None if it is in none (any more)."""
        ...

    def enter_standby(self, member: Member, *, decrement: bool) -> None:
        """Begin to put it into standby; with `decrement` no replacement is launched."""
        ...

    def detach(self, member: Member, *, decrement: bool) -> None:
        """Begin to take it out of its group; with `decrement` no replacement is launched."""
        ...

    def set_unhealthy(self, member: Member) -> None:
        """Have the group replace it, whatever its grace period."""
        ...

    def termination_hooks(self, group: str) -> Sequence[TerminationHook]:
        """The lifecycle hooks that hold up the termination of the group's instances."""
        ...

    def heartbeat(self, member: Member, hook: str) -> bool:
        """Begin the time of a lifecycle action anew; False if there is none to be held up (yet, or any more)."""
        ...

    def complete(self, member: Member, hook: str, result: str) -> bool:
        """End a lifecycle action; False if there is none to be ended (yet, or any more)."""
        ...


class Ecs(Protocol):
    """Amazon ECS, patient until the time that it was made with; see `Ec2`."""

    def drain(self, instance: ContainerInstance) -> None:
        """Set it to DRAINING; no error if it is that already. `AwsNotFound` if it is not registered (any more)."""
        ...

    def unfinished_tasks(self, instance: ContainerInstance) -> Sequence[Task]:
        """Its tasks that have not stopped, also those that are on their way to it."""
        ...


class EcsAgent(Protocol):
    """The ECS agent of this machine."""

    def container_instance(self, url: str, seconds: float) -> ContainerInstance:
        """What the agent says of itself at its introspection endpoint, within so many seconds.

        Raises:
            EcsAgentUnavailable: it does not answer, or has not registered itself.
        """
        ...


class Recipient(Protocol):
    """Somebody who is told of a drain's states."""

    @property
    def name(self) -> str:
        """For people; no secret is in it."""
        ...

    def preview(self, notification: Notification) -> str:
        """What would be told.

        Raises:
            SpotwatchError: it cannot be told at all, from here.
        """
        ...

    def tell(self, notification: Notification) -> None:
        """One attempt, which may take some seconds.

        Raises:
            SpotwatchError: trying again makes sense if it is `Transient`.
        """
        ...


class Told(Protocol):
    """A record that outlives the hook, of what was told whom."""

    def has(self, key: str) -> bool:
        """Whether it has been told."""
        ...

    def add(self, key: str) -> str:
        """Write that it has been told, durable when it returns; why that could not be, or an empty text."""
        ...


class NameService(Protocol):
    """A place where names are turned into addresses, patient until the time that it was made with.

    Every method raises an `AwsError` or a `NameServiceError` when that is over, or trying again makes no sense.
    """

    def join(self, registration: Registration, *, dry_run: bool = False) -> NameChange:
        """Put the addresses of an instance under a name; no error if they are there already."""
        ...

    def leave(self, registration: Registration, *, dry_run: bool = False) -> NameChange:
        """Take an instance out of a name, at least at these addresses; nothing of another instance's is touched."""
        ...

    def wait(self, change: NameChange) -> None:
        """Return when the change shows.

        Raises:
            NotInTime, AwsUnsettled: it does not yet.
        """
        ...


class Note(Protocol):
    """A small text that outlasts the process."""

    def read(self) -> str:
        """What was written last; empty if nothing was.

        Raises:
            StateUnavailable: it cannot be read.
        """
        ...

    def write(self, text: str) -> None:
        """Replace it; durable when this returns.

        Raises:
            StateUnavailable: it cannot be written.
        """
        ...


class Services(Protocol):
    """All of them."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What the hook was told (spotwatch/manual/settings.md, "What a hook is told")."""
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

    @property
    def units(self) -> Units:
        """Looks at units of systemd, and stops them."""
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

    def target_groups(self, region: str, until: float) -> TargetGroups:
        """Elastic Load Balancing in a region; otherwise like `ec2`."""
        ...

    def auto_scaling(self, region: str, until: float) -> AutoScaling:
        """EC2 Auto Scaling in a region; otherwise like `ec2`."""
        ...

    def ecs(self, region: str, until: float) -> Ecs:
        """Amazon ECS in a region; otherwise like `ec2`."""
        ...

    @property
    def ecs_agent(self) -> EcsAgent:
        """The ECS agent of this machine."""
        ...

    def note(self) -> Note | None:
        """What this hook writes down for its next run; None outside a drain.

        Raises:
            StateUnavailable: there is no place for it.
        """
        ...

    @property
    def vcpus(self) -> int:
        """How many this machine has."""
        ...

    def interface_addresses(self, names: Sequence[str]) -> Sequence[str]:
        """The addresses of network interfaces, by their names; with none those of all that have a device behind.

        Raises:
            UsageError: one is not there.
        """
        ...

    def name_service(self, place: Place, region: str, until: float) -> NameService:
        """The name service at a place; for AWS's own like `ec2`.

        Raises:
            SpotwatchError: it cannot be spoken to from here, whatever it would say.
        """
        ...

    def recipients(self, place: RecipientPlace, region: str) -> Sequence[Recipient]:
        """Those whom a word of the command line means; what they need is loaded when they are told.

        Raises:
            InputError: a file that is named cannot be used.
        """
        ...

    def told(self) -> Told:
        """The record of this hook in this drain; outside a drain it outlives nothing."""
        ...

    def drain_so_far(self) -> DrainSoFar | None:
        """The drain that we are a hook of, as things stand; None if the journal does not have it."""
        ...

    def stage_companions(self) -> Sequence[str] | None:
        """The other hooks of our stage that are not over; None if the journal of our drain cannot be read.

        Those in the background do not count, nor those that only wait for others (`leave-auto-scaling --heartbeat`).
        """
        ...

    def report_so_far(self) -> str:
        """The report of the drain that we are a hook of, as JSON, as things stand; empty if it cannot be had."""
        ...
