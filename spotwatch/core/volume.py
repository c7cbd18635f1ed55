"""The log volume: what its tags say, and the states that it goes through. Shared by who marks it and who ships it.

    armed ──────► interrupted ──────► shipping ──────► shipped ──► (deleted)
      │                                ▲    │
      └────── (the instance died ──────┘    └──► quarantined
               without a notice)

`armed` and `interrupted` are set on the instance, the others by whoever holds the lease.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

TAG_PREFIX: Final = "spotwatch:"
"""Of all tags that are ours; an IAM policy can allow the tagging of these alone."""

STATE_TAG: Final = f"{TAG_PREFIX}state"
"""Holds a `VolumeState`; whoever looks for log volumes looks for this tag."""

LONGEST_TAG_VALUE: Final = 256
"""Characters (EC2 user guide, "Tag restrictions"); longer values are dealt out over numbered tags."""


class VolumeState(StrEnum):
    """How far a log volume has come."""

    ARMED = "armed"
    """Its instance runs; it survives whatever becomes of it."""
    INTERRUPTED = "interrupted"
    """Its instance has had its notice."""
    SHIPPING = "shipping"
    """Somebody holds the lease."""
    SHIPPED = "shipped"
    """Everything that was to be shipped is, and was read back; it may be deleted."""
    QUARANTINED = "quarantined"
    """Something about it was wrong: what could be read was shipped, and a person has to look."""


@dataclass(frozen=True, slots=True)
class Volume:
    """An EBS volume (DescribeVolumes).

    Attributes:
        id: such as `vol-0123456789abcdef0`.
        size_gib: GiB.
        kind: its volume type, such as `gp3`.
        availability_zone: the AZ's name.
        state: AWS's word: creating, available, in-use, deleting, deleted, error.
        created: when it was made.
        tags: all of them.
        instance_id: the instance that it is attached to; empty if to none.
        device: the device name of that attachment.
        attachment: its state in AWS's word: attaching, attached, detaching, busy; empty if there is none.
        iops, throughput_mib: what is provisioned, as far as it is billed.
    """

    id: str
    size_gib: int
    kind: str
    availability_zone: str
    state: str
    created: datetime
    tags: Mapping[str, str]
    instance_id: str = ""
    device: str = ""
    attachment: str = ""
    iops: int | None = None
    throughput_mib: int | None = None


class AgentKind(StrEnum):
    """The log agents whose state can be read."""

    FLUENTD = "fluentd"
    FLUENT_BIT = "fluent-bit"
    VECTOR = "vector"
    FILEBEAT = "filebeat"
    RSYSLOG = "rsyslog"
    CLOUDWATCH_AGENT = "cloudwatch-agent"
    PROMTAIL = "promtail"
    JOURNALD = "journald"


@dataclass(frozen=True, slots=True)
class Agent:
    """A log agent, and where its state is: a path on the volume, relative to the root of its file system."""

    kind: AgentKind
    state: str


@dataclass(frozen=True, slots=True)
class VolumeLabel:
    """What the instance wrote on its log volume, in tags, for whoever ships it.

    Attributes:
        state: see the module.
        instance_id: whose logs they are.
        availability_zone: the AZ's name; a volume can be attached nowhere else.
        marked_at: when the state was set.
        mount_point: where it was mounted; the paths in agents' positions begin with it. Empty if that is not known.
        filesystem_uuid: of the file system with the logs.
        log_paths: shell patterns of log files, relative to the root of the file system; empty: every regular file
            that belongs to no agent's state.
        agents: who sends them.
        owner: whom to ask, as a person has written it in the settings.
        expires: after this nobody needs the logs; None: never. Nothing is deleted unshipped all the same.
        layers: what was between the file system and the volume, such as `LVM`; empty for a plain volume.
        members: the ids of all the volumes that make up the file system, if they are more than this one.
    """

    state: VolumeState
    instance_id: str
    availability_zone: str
    marked_at: datetime
    mount_point: str
    filesystem_uuid: str = ""
    log_paths: tuple[str, ...] = ()
    agents: tuple[Agent, ...] = ()
    owner: str = ""
    expires: datetime | None = None
    layers: tuple[str, ...] = ()
    members: tuple[str, ...] = ()

    def to_tags(self) -> dict[str, str]:
        """The EC2 tags, keys with `TAG_PREFIX`."""
        tags = {
            "state": self.state.value,
            "instance-id": self.instance_id,
            "availability-zone": self.availability_zone,
            "marked-at": self.marked_at.isoformat(timespec="seconds"),
            "mount-point": self.mount_point,
            "filesystem-uuid": self.filesystem_uuid,
            "owner": self.owner,
            "expires": self.expires.isoformat(timespec="seconds") if self.expires else "",
            **{f"log-path-{number}": path for number, path in enumerate(self.log_paths, 1)},
            **{f"agent-{number}": f"{agent.kind}:{agent.state}" for number, agent in enumerate(self.agents, 1)},
            **{f"layer-{number}": layer for number, layer in enumerate(self.layers, 1)},
            **{f"member-{number}": volume for number, volume in enumerate(self.members, 1)},
        }
        return {f"{TAG_PREFIX}{key}": value for key, value in tags.items() if value}

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "VolumeLabel":
        """The label in a volume's tags; tags of others are left alone, empty ones are as good as none.

        Raises:
            ValueError: a tag is missing or holds what it cannot, and which.
        """
        ours = {
            key.removeprefix(TAG_PREFIX): value for key, value in tags.items() if key.startswith(TAG_PREFIX) and value
        }
        try:
            return cls(
                state=VolumeState(ours["state"]),
                instance_id=ours["instance-id"],
                availability_zone=ours["availability-zone"],
                marked_at=_time(ours["marked-at"]),
                mount_point=ours.get("mount-point", ""),
                filesystem_uuid=ours.get("filesystem-uuid", ""),
                log_paths=tuple(_numbered(ours, "log-path-")),
                agents=tuple(_agent(text) for text in _numbered(ours, "agent-")),
                owner=ours.get("owner", ""),
                expires=_time(ours["expires"]) if "expires" in ours else None,
                layers=tuple(_numbered(ours, "layer-")),
                members=tuple(_numbered(ours, "member-")),
            )
        except KeyError as error:
            raise ValueError(f"the tag {TAG_PREFIX}{error.args[0]} is missing") from None


_SOMETIMES = re.compile(
    rf"{TAG_PREFIX}(mount-point|filesystem-uuid|owner|expires|(log-path|agent|layer|member)-[0-9]+)"
)


def outdated(tags: Mapping[str, str], label: VolumeLabel) -> list[str]:
    """The keys of an earlier label's tags that a later label has no value for, so that they have to be emptied."""
    return [key for key in tags if _SOMETIMES.fullmatch(key) and key not in label.to_tags()]


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f'"{text}" has no time zone')
    return time


def _agent(text: str) -> Agent:
    kind, _, state = text.partition(":")
    return Agent(AgentKind(kind), state)


def _numbered(tags: Mapping[str, str], prefix: str) -> list[str]:
    numbers = sorted(int(key.removeprefix(prefix)) for key in tags if key.startswith(prefix))
    return [tags[f"{prefix}{number}"] for number in numbers]
