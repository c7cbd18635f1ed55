"""The report of a drain: one document that says what was noticed, what was done, and whether the time was enough.

Its JSON form is described by ``drain_report.schema.json`` beside this file. Times are RFC 3339 in UTC, spans seconds.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

SCHEMA = 1
"""Raised when a reader of the old form could misread the new one."""


class Verdict(StrEnum):
    """The drain in one word."""

    DRAINED = "drained"
    """Every hook succeeded, in time; here and below: every one but those in the background."""
    FAILED = "failed"
    """Time was enough, but a hook failed, could not be started or was skipped after a failure."""
    CUT = "cut"
    """Time was short: a hook was ended at its limit or given up."""
    CANCELED = "canceled"
    """The event was withdrawn, or the daemon was told to stop, before all hooks had run."""
    RUNNING = "running"
    """The drain is not over."""


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """What the metadata service says of the instance; empty where it did not say."""

    id: str = ""
    type: str = ""
    availability_zone: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class EventReport:
    """One event of the drain, and its effect: began, upgraded, moved (a closer deadline) or recorded."""

    event: str
    action: str
    effect: str
    notice_time: str | None
    seen_at: str
    seconds_left: float


@dataclass(frozen=True, slots=True)
class HookReport:
    """One hook of the drain; `status` is a `spotwatch.core.hook.HookStatus`."""

    name: str
    stage: int
    status: str
    reason: str
    started_at: str | None
    ended_at: str | None
    seconds: float | None
    allowed_seconds: float | None
    timeout_seconds: float | None
    exit_code: int | None
    signal: int | None
    output: str | None
    output_dropped_bytes: int = 0
    background: bool = False


@dataclass(frozen=True, slots=True)
class DrainReport:
    """The whole drain.

    Attributes:
        drain: the drain's id, also the name of its output directory.
        event: the one that its hooks were for in the end: the strongest that was not withdrawn.
        notice_seen_at: when that event was read.
        seconds_left: the time there was from then to the deadline.
        seconds_to_spare: from the end of the last hook to the deadline; None while it runs.
        not_recorded: what could not be written down, and why.
    """

    drain: str
    verdict: str
    event: str
    action: str
    notice_time: str | None
    notice_seen_at: str
    seconds_left: float
    deadline: str
    began_at: str
    ended_at: str | None
    seconds_to_spare: float | None
    clock_skew_seconds: float | None
    instance: InstanceFacts
    events: tuple[EventReport, ...]
    hooks: tuple[HookReport, ...]
    not_recorded: tuple[str, ...]
    spotwatch: str
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """The document, ready for a JSON encoder."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "DrainReport":
        """The report in a document that `to_json` made.

        Raises:
            ValueError: the document is none, or is of another schema.
        """
        if not isinstance(document, Mapping):
            raise ValueError("not a drain report: no JSON object")  # noqa: TRY004 (a wrong document, not a wrong call)
        if document.get("schema") != SCHEMA:
            raise ValueError(f"a drain report of schema {document.get('schema')!r}; this version reads {SCHEMA}")
        try:
            return cls(
                **{
                    **document,
                    "instance": InstanceFacts(**document["instance"]),
                    "events": tuple(EventReport(**event) for event in document["events"]),
                    "hooks": tuple(HookReport(**hook) for hook in document["hooks"]),
                    "not_recorded": tuple(document["not_recorded"]),
                }
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a drain report: {error}") from None
