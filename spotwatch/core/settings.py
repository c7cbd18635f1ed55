"""What can be set in ``spotwatch.toml``, one class a table, each key with its unit and the reason for its default.

The annotation of a field carries the reader that checks it; `spotwatch.config` walks the fields, so a key is named in
this file only. Durations are seconds here and texts with a unit (``"20s"``) in the file.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from spotwatch.core.deadline import PROMISED_SECONDS
from spotwatch.core.event import EventKind
from spotwatch.core.hook import Hook
from spotwatch.core.reading import (
    AbsolutePath,
    Bytes,
    Endpoint,
    Interval,
    OptionalInterval,
    OptionalText,
    PositiveSeconds,
    Seconds,
    Switch,
    or_nothing,
    read_count,
    read_destination,
    read_one_of,
    read_positive_duration,
)


@dataclass(frozen=True, slots=True)
class MetadataSettings:
    """``[metadata]``: where the instance metadata service is and how often which item is read."""

    endpoint: Endpoint = "http://169.254.169.254"
    """Base address. IPv6 is ``http://[fd00:ec2::254]``; the service's IPv6 endpoint is off unless the instance's
    metadata options enable it."""

    poll_interval: Interval = 2.0
    """Between two reads of ``spot/instance-action``. Two seconds, as aws-node-termination-handler does: it costs the
    drain at most 2 of its 120 seconds."""

    rebalance_interval: OptionalInterval = 5.0
    """Between two reads of ``events/recommendations/rebalance``; AWS advises 5 seconds."""

    lifecycle_interval: OptionalInterval = 5.0
    """Between two reads of ``autoscaling/target-lifecycle-state``; the group waits for a lifecycle hook in minutes."""

    maintenance_interval: OptionalInterval = 30.0
    """Between two reads of ``events/maintenance/scheduled``; these are announced days ahead."""

    termination_time: Switch = False
    """Read the legacy ``spot/termination-time`` too, at `poll_interval`. It knows neither stop nor hibernate."""

    imdsv1: Switch = False
    """Ask without a token (IMDSv1) where no token can be had. Off, because it hides a wrong hop limit."""

    timeout: PositiveSeconds = 1.0
    """The most that one request may take, from connecting to the last byte. The service is on the same host and
    answers in about a millisecond. A token request gets at most one second of it."""

    token_ttl: PositiveSeconds = 21600.0
    """Life of the IMDSv2 session token; six hours is the longest that AWS grants, so the fewest requests."""


@dataclass(frozen=True, slots=True)
class StateSettings:
    """``[state]``: where the daemon keeps what it has to say."""

    directory: AbsolutePath = "/var/lib/spotwatch"
    """Holds ``reports/`` and ``output/``, which outlive a reboot."""

    runtime_directory: AbsolutePath = "/run/spotwatch"
    """Holds ``status.json`` and ``lock``, which mean nothing after one. In memory, since the status is written after
    every poll."""

    output_limit: Bytes = 1024 * 1024
    """The most that is kept of one hook's output: its beginning and its most recent part."""

    keep_drains: Annotated[int, read_count] = 20
    """How many past drains keep their report, their output and their place in the journal."""

    keep_for: PositiveSeconds = 90 * 86400.0
    """How long the journal remembers a past drain."""

    journal_limit: Bytes = 16 * 1024 * 1024
    """The most that the journal's past drains may take; a drain takes a few kilobytes."""


def _read_within_promise(value: object) -> float:
    """A duration that does not exceed what AWS promises."""
    seconds = read_positive_duration(value)
    if seconds > PROMISED_SECONDS:
        raise ValueError('write at most "2m"; AWS gives no more after an interruption notice')
    return seconds


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """``[drain.limit]``: the longest that a drain may take where AWS names no time, or names a later one.

    For stop and terminate AWS promises two minutes, and no setting makes them longer.
    """

    start: PositiveSeconds = 300.0
    """Arming may wait for an application that starts slowly."""

    rebalance: PositiveSeconds = 600.0
    """Not urgent: most recommendations are followed by an interruption late or never."""

    maintenance: PositiveSeconds = 600.0
    """Also how long before the scheduled time the hooks begin."""

    lifecycle: PositiveSeconds = 600.0
    """Auto Scaling's own default for a lifecycle hook is one hour."""

    shutdown: PositiveSeconds = 90.0
    """Stays under ``TimeoutStopSec`` of the unit."""

    stop: Annotated[float, _read_within_promise] = PROMISED_SECONDS
    hibernate: Annotated[float, _read_within_promise] = 10.0
    """Hibernation begins at once, there are no two minutes; the agent freezes the system within seconds."""

    terminate: Annotated[float, _read_within_promise] = PROMISED_SECONDS

    def of(self, kind: EventKind) -> float:
        """The limit for events of this kind, in seconds."""
        limit: float = getattr(self, kind.value)
        return limit


@dataclass(frozen=True, slots=True)
class DrainSettings:
    """``[drain]``: how the time until the deadline is dealt out."""

    margin: Seconds = 3.0
    """Kept free before the deadline: AWS's time is approximate, and the report has to reach the disk. On short
    notice at most a tenth of the time there is."""

    kill_grace: Seconds = 2.0
    """From SIGTERM to SIGKILL for a hook whose time is up; less where its time was short."""

    on_shutdown: Switch = False
    """Whether SIGTERM without any notice (``systemctl stop``, a reboot) drains, as the event ``shutdown``."""

    limit: LimitSettings = field(default_factory=LimitSettings)


class LogLevel(StrEnum):
    """The least urgent record that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a record looks."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class LogSettings:
    """``[log]``: what is written to standard error, where systemd's journal picks it up."""

    level: Annotated[LogLevel, read_one_of(LogLevel)] = LogLevel.INFO
    format: Annotated[LogFormat, read_one_of(LogFormat)] = LogFormat.TEXT
    """``text`` is one line a record, ``json`` one object a line."""


class Hints(StrEnum):
    """What is done with bytes of which nobody knows whether they were delivered."""

    SHIP = "ship"
    SKIP = "skip"


class Encryption(StrEnum):
    """Server-side encryption in the words of S3."""

    SSE_S3 = "AES256"
    SSE_KMS = "aws:kms"
    DSSE_KMS = "aws:kms:dsse"


class ObjectLayout(StrEnum):
    """How shipped files become objects."""

    BUNDLES = "bundles"
    FILES = "files"


@dataclass(frozen=True, slots=True)
class ShipSettings:
    """``[ship]``: what becomes of leftover log volumes. Read by ``spotwatch ship``, not by the daemon."""

    to: Annotated[str, or_nothing(read_destination)] = ""
    """Where to: ``s3://BUCKET/PREFIX`` or ``file:///DIRECTORY``. Empty: it has to be on the command line."""

    keep: Switch = False
    """Whether volumes that are shipped stay for ever; they cost as much as before."""

    retain: Seconds = 0.0
    """How long a volume stays after it was shipped. Not at all by default: what was shipped was read back."""

    snapshot: Switch = False
    """Whether a snapshot is made of a volume that is quarantined. The volume itself stays in any case."""

    jobs: Annotated[int, read_count] = 4
    """The most volumes that are worked on at a time; fewer if cores, memory or attachments are short."""

    time_limit: PositiveSeconds = 6 * 3600.0
    """The longest that one volume may be read for: some 600 GiB at the 30 MiB/s of the smallest volume types."""

    read_positions: Annotated[Hints, read_one_of(Hints)] = Hints.SHIP
    """What an agent had only read. Shipped, since the first promise is that nothing is lost."""

    unproven_positions: Annotated[Hints, read_one_of(Hints)] = Hints.SHIP
    """What a position calls done of a file that it knows by its inode number or its name alone. Likewise."""

    objects: Annotated[ObjectLayout, read_one_of(ObjectLayout)] = ObjectLayout.BUNDLES
    """``bundles``: many files in one object; ``files``: an object for each range of a file."""

    scratch: AbsolutePath = "/var/tmp"  # noqa: S108 (files without a name only)
    """Where the replay of a volume's journal writes, a few MiB as a rule and never more than 1 GiB."""

    encryption: Annotated[str, or_nothing(read_one_of(Encryption))] = ""
    """Server-side encryption of S3; empty leaves it to the bucket, which encrypts with SSE-S3 by default."""

    kms_key: OptionalText = ""
    """The id or ARN of the KMS key for ``aws:kms``."""

    storage_class: OptionalText = ""
    """S3's name of a storage class, such as ``STANDARD_IA``; empty is ``STANDARD``."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that ``spotwatch.toml`` and its drop-ins say."""

    metadata: MetadataSettings = field(default_factory=MetadataSettings)
    state: StateSettings = field(default_factory=StateSettings)
    drain: DrainSettings = field(default_factory=DrainSettings)
    log: LogSettings = field(default_factory=LogSettings)
    ship: ShipSettings = field(default_factory=ShipSettings)
    hooks: tuple[Hook, ...] = ()
