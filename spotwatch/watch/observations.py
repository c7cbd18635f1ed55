"""What the watcher has to say after a poll. Plain values: the daemon feeds some to the drain and logs them all."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spotwatch.core.errors import MetadataError
from spotwatch.core.event import Event, EventKind


@dataclass(frozen=True, slots=True)
class Announced:
    """Something is going to happen."""

    event: Event


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What was announced is no longer."""

    kind: EventKind


@dataclass(frozen=True, slots=True)
class Failed:
    """The service, or one item, gave no usable answer. Said when it begins, when it changes, and now and then."""

    item: str
    error: MetadataError


@dataclass(frozen=True, slots=True)
class Recovered:
    """The service answers again; `seconds` since the last good poll, or the start."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Remark:
    """Something an operator should know; `name` is constant, `values` are what it is about."""

    name: str
    message: str
    warning: bool = False
    values: Mapping[str, str | float] = field(default_factory=dict)


Observation = Announced | Withdrawn | Failed | Recovered | Remark
