"""The journal of a drain: what the machine was fed and what it ordered, durable before it is carried out.

A daemon that starts and finds a drain unfinished feeds the machine the same happenings at the same times and so has it
as it was; see `spotwatch.drain.execution.Execution.resume`. This file has the entries, their JSON form, and what a
keeper of journals has to do.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final, Protocol

from spotwatch.core.event import Event, EventKind
from spotwatch.core.hook import Hook, OnFailure
from spotwatch.core.instant import Instant, format_utc, parse_utc
from spotwatch.core.reading import parse_json_object
from spotwatch.core.report import DrainReport, InstanceFacts
from spotwatch.core.settings import DrainSettings, LimitSettings
from spotwatch.drain.orders import (
    EventCame,
    EventWithdrawn,
    Happening,
    HookEnded,
    HookLost,
    HookNotStarted,
    Order,
    StartHook,
    StopAsked,
    TimePassed,
)


@dataclass(frozen=True, slots=True)
class Opening:
    """What a drain began with.

    Attributes:
        drain: its id.
        boot: the id of the boot that it belongs to; its times mean nothing in another.
        began: when it began.
        instance: what was known of the instance then.
        by_hand: whether somebody has asked for it, so that no metadata announces its event.
    """

    drain: str
    boot: str
    began: Instant
    instance: InstanceFacts
    event: Event
    hooks: tuple[Hook, ...]
    settings: DrainSettings
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One step of the machine: what it was fed, and when (boot clock, seconds)."""

    at: float
    happening: Happening


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A drain that the journal knows no end of, in the words of this file."""

    opening: Opening
    entries: tuple[Entry, ...]


class Journal(Protocol):
    """A keeper of journals, which are JSON texts to it.

    No method raises: what could not be written is answered as a reason, else an empty text.
    """

    def open_drain(self, drain: str, boot: str, opening: str) -> str:
        """Write that a drain begins in this boot; durable when it returns."""
        ...

    def add_step(self, drain: str, at: float, happening: str, orders: str) -> str:
        """Write one step of the machine; durable when it returns."""
        ...

    def keep_report(self, drain: str, report: str) -> str:
        """Write the report of a drain as it stands."""
        ...

    def close_drain(self, drain: str, note: str) -> str:
        """Write that a drain will not go on, and why."""
        ...


# The JSON form. Every class has a tag; its fields are JSON's own types but for the few that are named here.

_HAPPENINGS: Final[Mapping[str, type]] = {
    kind.__name__: kind
    for kind in (EventCame, EventWithdrawn, HookEnded, HookNotStarted, HookLost, TimePassed, StopAsked)
}


def encode_happening(happening: Happening) -> str:
    """A happening as JSON."""
    values: dict[str, Any] = {field.name: getattr(happening, field.name) for field in fields(happening)}
    if isinstance(happening, EventCame):
        values["event"] = _encode_event(happening.event)
    return json.dumps({"what": type(happening).__name__, **values})


def decode_happening(text: str) -> Happening:
    """The happening in such a text.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    document = parse_json_object(text)
    values = {key: value for key, value in document.items() if key != "what"}
    if "event" in values:
        values["event"] = _decode_event(values["event"])
    if "kind" in values:
        values["kind"] = EventKind(values["kind"])
    happening: Happening = _HAPPENINGS[document["what"]](**values)
    return happening


def encode_orders(orders: Sequence[Order]) -> str:
    """Orders as JSON; for people who read the journal, since the machine gives them again."""
    return json.dumps([_encode_order(order) for order in orders])


def _encode_order(order: Order) -> dict[str, Any]:
    if isinstance(order, StartHook):
        return {"what": "StartHook", "hook": order.hook.name, "allowed": order.allowed}
    return {"what": type(order).__name__, "hook": order.hook}


def _encode_event(event: Event) -> dict[str, Any]:
    return {**asdict(event), "notice_time": None if event.notice_time is None else format_utc(event.notice_time)}


def _decode_event(document: Mapping[str, Any]) -> Event:
    time = document["notice_time"]
    notice_time: datetime | None = None if time is None else parse_utc(str(time))
    return Event(**{**document, "kind": EventKind(document["kind"]), "notice_time": notice_time})


def encode_report(report: DrainReport) -> str:
    """A report as JSON."""
    return json.dumps(report.to_json())


def encode_opening(opening: Opening) -> str:
    """An opening as JSON."""
    document = {
        "drain": opening.drain,
        "boot": opening.boot,
        "began": {"boot": opening.began.boot, "utc": opening.began.utc.isoformat()},
        "instance": asdict(opening.instance),
        "event": _encode_event(opening.event),
        "hooks": [{**asdict(hook), "on": sorted(hook.on)} for hook in opening.hooks],
        "settings": asdict(opening.settings),
        "by_hand": opening.by_hand,
    }
    return json.dumps(document)


def decode_opening(text: str) -> Opening:
    """The opening in such a text.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    document = parse_json_object(text)
    settings = document["settings"]
    return Opening(
        drain=document["drain"],
        boot=document["boot"],
        began=Instant(document["began"]["boot"], datetime.fromisoformat(document["began"]["utc"])),
        instance=InstanceFacts(**document["instance"]),
        event=_decode_event(document["event"]),
        hooks=tuple(_decode_hook(hook) for hook in document["hooks"]),
        settings=DrainSettings(**{**settings, "limit": LimitSettings(**settings["limit"])}),
        by_hand=document.get("by_hand", False),
    )


def _decode_hook(document: Mapping[str, Any]) -> Hook:
    return Hook(
        **{
            **document,
            "on": frozenset(EventKind(kind) for kind in document["on"]),
            "command": tuple(document["command"]),
            "on_failure": OnFailure(document["on_failure"]),
        }
    )
