"""What a hook works with, in a test: nothing of it touches the machine, and time is the test's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from spotwatch.core.drain_so_far import DrainSoFar
from spotwatch.core.errors import AwsError, SpotwatchError
from spotwatch.core.report import InstanceFacts
from spotwatch.core.volume import Volume
from spotwatch.hooks.name_places import Place
from spotwatch.hooks.recipient_places import RecipientPlace
from spotwatch.hooks.services import (
    AutoScaling,
    Ecs,
    EcsAgent,
    NameService,
    Note,
    Recipient,
    TargetGroups,
    Told,
    Units,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INSTANCE = InstanceFacts("i-0123456789abcdef0", "m5.large", "eu-west-1a", "eu-west-1")


class FakeClock:
    """Seconds that pass only when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.seconds

    def utc(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds - 1000.0)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.slept.append(seconds)


@dataclass(frozen=True)
class FakeLogVolume:
    volume_ids: tuple[str, ...] = ("vol-0aaaaaaaaaaaaaaaa",)
    attached_as: tuple[str, ...] = ()
    device: str = "/dev/nvme1n1"
    mount_point: str = "/var/log/app"
    filesystem_uuid: str = "0af1-b"
    layers: tuple[str, ...] = ()
    is_root: bool = False


@dataclass
class FakeAttachment:
    volume_id: str = "vol-0aaaaaaaaaaaaaaaa"
    device: str = "/dev/sdf"
    delete_on_termination: bool = True


class FakeEc2:
    """Does what it is asked for, but for the operations that `refuses` has an error for."""

    def __init__(self, *attached: FakeAttachment, **refuses: AwsError) -> None:
        self.attached = list(attached)
        self.tags: dict[str, dict[str, str]] = {}
        self.calls: list[str] = []
        self._refuses = refuses

    def attachments(self, instance_id: str) -> Sequence[FakeAttachment]:
        self._called("attachments")
        assert instance_id == INSTANCE.id
        return self.attached

    def keep_on_termination(self, instance_id: str, device: str) -> None:
        self._called("keep_on_termination")
        assert instance_id == INSTANCE.id
        (meant,) = (one for one in self.attached if one.device == device)
        meant.delete_on_termination = False

    def describe(self, volume_id: str) -> Volume | None:
        self._called("describe")
        return Volume(volume_id, 8, "gp3", "eu-west-1a", "in-use", NOW, self.tags.get(volume_id, {}))

    def tag(self, volume_id: str, tags: Mapping[str, str]) -> None:
        self._called("tag")
        self.tags.setdefault(volume_id, {}).update(tags)

    def _called(self, operation: str) -> None:
        self.calls.append(operation)
        if operation in self._refuses:
            raise self._refuses[operation]


class FakePrograms:
    """Runs nothing, and every program succeeds."""

    def run(self, argv: tuple[str, ...], *, limit: float | None = None) -> int:  # noqa: ARG002
        return 0


class FakeAgents:
    """Tells nobody; `problems` says what is answered, by the name of who was to be told."""

    def __init__(self, **problems: str) -> None:
        self.told: list[tuple[str, ...]] = []
        self.seconds: set[float] = set()
        self._problems = problems

    def stop(self, unit: str, seconds: float) -> str:
        return self._told("stop", unit, seconds=seconds)

    def signal_unit(self, unit: str, signal: str, seconds: float) -> str:
        return self._told("signal unit", unit, signal, seconds=seconds)

    def signal_process(self, pid_file: str, signal: str, seconds: float) -> str:
        return self._told("signal process", pid_file, signal, seconds=seconds)

    def request(self, method: str, url: str, seconds: float) -> str:
        return self._told("request", url, method, seconds=seconds)

    def _told(self, how: str, whom: str, *more: str, seconds: float) -> str:
        self.told.append((how, whom, *more))
        self.seconds.add(seconds)
        return self._problems.get(whom, "")


@dataclass
class FakeFileSystems:
    """Notes what it is asked for; a text in a field is why that cannot be."""

    no_sync: str = ""
    no_note: str = ""
    no_freeze: str = ""
    no_hand_over: str = ""
    syncs: int = 0
    notes: dict[str, str] = field(default_factory=dict)
    handed_over: list[tuple[str, float | None, float, str]] = field(default_factory=list)
    spared: Sequence[str] = ()

    def sync(self, path: str) -> str:  # noqa: ARG002
        self.syncs += 1
        return self.no_sync

    def why_not_to_sync(self, path: str) -> str:  # noqa: ARG002
        return self.no_sync

    def write_note(self, mount_point: str, name: str, text: str) -> str:
        if not self.no_note:
            self.notes[f"{mount_point}/{name}"] = text
        return self.no_note

    def why_not_to_freeze(self, path: str, spared: Sequence[str]) -> str:  # noqa: ARG002
        self.spared = spared
        return self.no_freeze

    def hand_over(self, mount_point: str, *, freeze_at: float | None, until: float, report: str) -> str:
        if not self.no_hand_over:
            self.handed_over.append((mount_point, freeze_at, until, report))
        return self.no_hand_over


@dataclass
class FakeServices:
    """Implements `spotwatch.hooks.services.Services`; the process was started half a second ago."""

    environment: Mapping[str, str] = field(default_factory=dict)
    volume: FakeLogVolume | SpotwatchError = field(default_factory=FakeLogVolume)
    aws: FakeEc2 | AwsError = field(default_factory=lambda: FakeEc2(FakeAttachment()))
    facts: InstanceFacts = INSTANCE
    report: str = ""
    clock: FakeClock = field(default_factory=FakeClock)
    programs: FakePrograms = field(default_factory=FakePrograms)
    agents: FakeAgents = field(default_factory=FakeAgents)
    file_systems: FakeFileSystems = field(default_factory=FakeFileSystems)
    born: float = 999.5
    asked_until: float | None = None

    def log_volume_of(self, what: str) -> FakeLogVolume:  # noqa: ARG002
        if isinstance(self.volume, SpotwatchError):
            raise self.volume
        return self.volume

    def instance(self) -> InstanceFacts:
        return self.facts

    def ec2(self, region: str, until: float) -> FakeEc2:
        assert region == self.facts.region
        self.asked_until = until
        if isinstance(self.aws, AwsError):
            raise self.aws
        return self.aws

    def report_so_far(self) -> str:
        return self.report

    # What the hooks tested with these services never ask for

    def target_groups(self, region: str, until: float) -> TargetGroups:
        raise NotAskedFor(region, until)

    def auto_scaling(self, region: str, until: float) -> AutoScaling:
        raise NotAskedFor(region, until)

    def ecs(self, region: str, until: float) -> Ecs:
        raise NotAskedFor(region, until)

    @property
    def ecs_agent(self) -> EcsAgent:
        raise NotAskedFor

    def note(self) -> Note | None:
        raise NotAskedFor

    @property
    def vcpus(self) -> int:
        raise NotAskedFor

    @property
    def units(self) -> Units:
        raise NotAskedFor

    def interface_addresses(self, names: Sequence[str]) -> Sequence[str]:
        raise NotAskedFor(names)

    def name_service(self, place: Place, region: str, until: float) -> NameService:
        raise NotAskedFor(place, region, until)

    def recipients(self, place: RecipientPlace, region: str) -> Sequence[Recipient]:
        raise NotAskedFor(place, region)

    def told(self) -> Told:
        raise NotAskedFor

    def drain_so_far(self) -> DrainSoFar | None:
        raise NotAskedFor

    def stage_companions(self) -> Sequence[str] | None:
        raise NotAskedFor


class NotAskedFor(AssertionError):
    """A hook has asked for a service that it has no use for."""
