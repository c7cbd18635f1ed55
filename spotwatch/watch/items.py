"""The items that are watched: what each body means, and when it is news.

One class an item. `take` is given the body of an answer (None: the item does not exist) and yields what there is to
say; it remembers what it has said, so that an item that stays is announced once. The forms are those of the EC2 and
Auto Scaling user guides ("Spot Instance interruption notices", "EC2 instance rebalance recommendations", "Scheduled
events", "Retrieve the target lifecycle state").
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from spotwatch.core.deadline import deadline
from spotwatch.core.errors import MetadataMalformed
from spotwatch.core.event import INTERRUPTIONS, Event, EventKind
from spotwatch.core.instant import Instant, format_utc, parse_utc
from spotwatch.core.settings import LimitSettings
from spotwatch.watch.observations import Announced, Observation, Remark, Withdrawn

ABSENCES = 3
"""An announced item is withdrawn when it was absent in this many answers in a row; a single 404 may be a hiccup."""

CLOSER_SECONDS = 1.0
"""A notice is news again if its time moved this much closer; AWS's times are approximate, and some mocks' move."""

LIFECYCLE_STATES = frozenset({"Detached", "InService", "Standby", "Terminated"}) | frozenset(
    f"Warmed:{state}" for state in ("Hibernated", "Running", "Stopped", "Terminated")
)
"""All that there are (Auto Scaling user guide); any other text is not from the service, or only half of one."""

LONGEST_WORD = 64
"""Characters. AWS's longest are half as long; a word goes into the environment of every hook."""

LONG_PAST = timedelta(minutes=2)
"""A legacy termination time this old was missed by EC2, and stays there ("remains in the past", user guide)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The circumstances of an answer: when it came, AWS's clock less ours, and the limits in force."""

    at: Instant
    skew: timedelta
    limits: LimitSettings

    def event(self, kind: EventKind, action: str, notice_time: datetime | None, due: datetime | None) -> Event:
        """An event that was read just now and has to be ready for at `due`, if AWS names a time."""
        until = deadline(kind, due, self.at, skew=self.skew, limit=self.limits.of(kind))
        return Event(kind, action, notice_time, self.at.boot, until)

    @property
    def aws_utc(self) -> datetime:
        """What AWS's clock shows."""
        return self.at.utc + self.skew

    @property
    def boot_time(self) -> datetime:
        """When this system booted, on AWS's clock."""
        return self.aws_utc - timedelta(seconds=self.at.boot)


class Item(Protocol):
    """An item of the metadata service that can announce something."""

    path: str
    kinds: frozenset[EventKind]

    def remember(self, event: Event) -> None:
        """Go on as if this event had been announced already."""
        ...

    def take(self, body: str | None, reading: Reading) -> Iterator[Observation]:
        """What this answer has to say.

        Raises:
            MetadataMalformed: the body is not what AWS documents; nothing is announced or withdrawn by it.
        """
        ...


class _Watched:
    """What all items have in common: the announcement that stands."""

    def __init__(self) -> None:
        self._announcement = _Announcement()

    def remember(self, event: Event) -> None:
        """See `Item.remember`."""
        self._announcement.event = event


class _Announcement:
    """What an item has announced and not withdrawn yet."""

    def __init__(self) -> None:
        self.event: Event | None = None
        self._absences = 0

    def make(self, event: Event) -> Iterator[Observation]:
        """Announce the event, unless it is the one announced already."""
        self.stay()
        known = self.event
        if known is None or known.kind is not event.kind or known.deadline - event.deadline >= CLOSER_SECONDS:
            self.event = event
            yield Announced(event)

    def stay(self) -> None:
        """The item was there; absences are counted anew."""
        self._absences = 0

    def miss(self) -> Iterator[Observation]:
        """The item was absent; withdraw what it announced once it has been so for long enough."""
        self._absences += 1
        if self.event is not None and self._absences >= ABSENCES:
            yield Withdrawn(self.event.kind)
            self.event = None


class InstanceAction(_Watched):
    """``spot/instance-action``: the Spot interruption notice."""

    path = "spot/instance-action"
    kinds = INTERRUPTIONS

    def __init__(self) -> None:
        super().__init__()
        self._remarked = ""

    def take(self, body: str | None, reading: Reading) -> Iterator[Observation]:
        """See `Item.take`."""
        if body is None:
            yield from self._announcement.miss()
            return
        notice = _json_object(self.path, body)
        action = _word(notice.get("action"))
        time = _time(notice.get("time"))
        if not action and time is None:
            raise MetadataMalformed(f"{self.path} names neither an action nor a time: {_excerpt(body)}")
        if time is not None and time < reading.boot_time:
            yield from self._remark_once(body, _stale(self.path, body, reading))
            yield from self._announcement.miss()
            return
        kind = _interruption(action)
        if kind is None or time is None:
            yield from self._remark_once(body, _unusual(self.path, body, kind, time))
        event = reading.event(kind or EventKind.TERMINATE, action or "terminate", time, time)
        yield from self._announcement.make(event)

    def _remark_once(self, body: str, remark: Remark) -> Iterator[Observation]:
        if body != self._remarked:
            self._remarked = body
            yield remark


def _interruption(action: str) -> EventKind | None:
    known = {kind.value: kind for kind in EventKind if kind.is_interruption}
    return known.get(action)


def _stale(path: str, body: str, reading: Reading) -> Remark:
    return Remark(
        "stale-notice",
        f"{path} names a time before this boot; it is a left-over of an earlier stop, and no notice",
        warning=True,
        values={"body": body.strip(), "booted_at": format_utc(reading.boot_time)},
    )


def _unusual(path: str, body: str, kind: EventKind | None, time: datetime | None) -> Remark:
    problems = []
    if kind is None:
        problems.append("names an unknown action, drained as terminate")
    if time is None:
        problems.append("names no readable time, taken for the least that was ever seen")
    return Remark("unusual-notice", f"{path} {' and '.join(problems)}", warning=True, values={"body": body.strip()})


class TerminationTime(_Watched):
    """``spot/termination-time``: the legacy notice. It may hold a text that is no time, or a time long past."""

    path = "spot/termination-time"
    kinds = frozenset({EventKind.TERMINATE})

    def take(self, body: str | None, reading: Reading) -> Iterator[Observation]:
        """See `Item.take`."""
        time = _time(body)
        if time is None or time < reading.aws_utc - LONG_PAST:
            yield from self._announcement.miss()
        else:
            yield from self._announcement.make(reading.event(EventKind.TERMINATE, "terminate", time, time))


class Rebalance(_Watched):
    """``events/recommendations/rebalance``. Its time says when it was made, not when anything will happen."""

    path = "events/recommendations/rebalance"
    kinds = frozenset({EventKind.REBALANCE})

    def take(self, body: str | None, reading: Reading) -> Iterator[Observation]:
        """See `Item.take`."""
        if body is None:
            yield from self._announcement.miss()
            return
        notice_time = _time(_json_object(self.path, body).get("noticeTime"))
        if self._announcement.event is None:
            event = reading.event(EventKind.REBALANCE, "rebalance", notice_time, None)
            yield from self._announcement.make(event)
        self._announcement.stay()


class Maintenance(_Watched):
    """``events/maintenance/scheduled``: announced when one is so near that its hooks have to begin."""

    path = "events/maintenance/scheduled"
    kinds = frozenset({EventKind.MAINTENANCE})

    def __init__(self) -> None:
        super().__init__()
        self._known: frozenset[_Scheduled] = frozenset()

    def take(self, body: str | None, reading: Reading) -> Iterator[Observation]:
        """See `Item.take`."""
        scheduled = [_scheduled(entry) for entry in _json_array(self.path, body or "[]")]
        active = sorted((event for event in scheduled if event.state == "active"), key=lambda e: e.not_before)
        yield from self._say_what_is_new(active)
        lead = timedelta(seconds=reading.limits.maintenance)
        if not active or active[0].not_before - reading.aws_utc > lead:
            yield from self._announcement.miss()
            return
        first = active[0]
        due = first.not_before if first.not_before > reading.aws_utc else None
        event = reading.event(EventKind.MAINTENANCE, first.code, first.not_before, due)
        if self._announcement.event is None or due is not None:
            yield from self._announcement.make(event)
        self._announcement.stay()

    def _say_what_is_new(self, active: list["_Scheduled"]) -> Iterator[Observation]:
        for event in active:
            if event not in self._known:
                yield Remark(
                    "maintenance-scheduled",
                    f"{event.code} is scheduled: {event.description}",
                    values={"event_id": event.id, "not_before": format_utc(event.not_before)},
                )
        self._known = frozenset(active) or self._known  # a single empty answer may be a hiccup


@dataclass(frozen=True, slots=True)
class _Scheduled:
    id: str
    code: str
    state: str
    description: str
    not_before: datetime


def _scheduled(entry: object) -> _Scheduled:
    """One scheduled event. The dates are ``21 Jan 2019 09:00:43 GMT``, with one-digit days, English in any locale."""
    if not isinstance(entry, dict):
        raise MetadataMalformed(f"{Maintenance.path} holds an entry that is no object")
    try:
        not_before = parsedate_to_datetime(str(entry["NotBefore"]))
        scheduled = _Scheduled(
            id=_word(entry["EventId"]),
            code=_word(entry["Code"]),
            state=_word(entry["State"]),
            description=str(entry.get("Description", "")),
            not_before=not_before.astimezone(UTC) if not_before.tzinfo else not_before.replace(tzinfo=UTC),
        )
    except (KeyError, ValueError, OverflowError, RecursionError) as error:
        raise MetadataMalformed(f"{Maintenance.path} holds an entry that cannot be read: {error!r}") from None
    if not (scheduled.id and scheduled.code and scheduled.state):
        raise MetadataMalformed(f"{Maintenance.path} holds an entry without an id, a code or a state")
    return scheduled


class TargetLifecycleState(_Watched):
    """``autoscaling/target-lifecycle-state``: the state that the Auto Scaling group is moving the instance to."""

    path = "autoscaling/target-lifecycle-state"
    kinds = frozenset({EventKind.LIFECYCLE})

    def __init__(self) -> None:
        super().__init__()
        self._was_in_service = False

    def take(self, body: str | None, reading: Reading) -> Iterator[Observation]:
        """See `Item.take`."""
        state = "" if body is None else body.strip()
        if body is not None and state not in LIFECYCLE_STATES:
            raise MetadataMalformed(f"{self.path} holds no lifecycle state: {_excerpt(body)}")
        self._was_in_service = self._was_in_service or state == "InService"
        if self._leaves_service(state):
            if self._announcement.event is None:
                yield from self._announcement.make(reading.event(EventKind.LIFECYCLE, state, None, None))
            self._announcement.stay()
        else:
            yield from self._announcement.miss()

    def _leaves_service(self, state: str) -> bool:
        """``Terminated`` always; the others (Standby, Detached, Warmed:…) only once it was seen in service.

        An instance that is being put into a warm pool has nothing to leave.
        """
        if state in {"", "InService"}:
            return False
        return state == "Terminated" or self._was_in_service


def _time(value: object) -> datetime | None:
    """The time in a text, None if it is none."""
    try:
        return parse_utc(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _word(value: object) -> str:
    """A word of AWS's, empty if it is none. It may become an environment variable, which bears no NUL."""
    return value if isinstance(value, str) and value.isprintable() and len(value) <= LONGEST_WORD else ""


def _json_object(path: str, body: str) -> dict[str, Any]:
    value = _json(path, body)
    if not isinstance(value, dict):
        raise MetadataMalformed(f"{path} holds no JSON object: {_excerpt(body)}")
    return value


def _json_array(path: str, body: str) -> list[Any]:
    value = _json(path, body)
    if not isinstance(value, list):
        raise MetadataMalformed(f"{path} holds no JSON array: {_excerpt(body)}")
    return value


def _json(path: str, body: str) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise MetadataMalformed(f"{path} holds no JSON: {_excerpt(body)}") from None


def _excerpt(body: str) -> str:
    return repr(body[:80])
