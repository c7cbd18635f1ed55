"""The watcher: reads each item of the metadata service in its own interval and says what is new.

Whatever the service does, a poll takes at most one poll interval, and the next one is due at most one interval late:
the requests of a poll share one limit, and a failure that may concern the whole service ends the poll. Which items have
been failing is remembered, and they are read last, so that no item keeps the others from being read.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from spotwatch.core.errors import MetadataError, MetadataMalformed, MetadataThrottled, MetadataTimedOut, Transient
from spotwatch.core.event import Event, EventKind
from spotwatch.core.instant import Instant
from spotwatch.core.report import InstanceFacts
from spotwatch.core.settings import LimitSettings, MetadataSettings
from spotwatch.watch.exchange import Metadata, Request, Response
from spotwatch.watch.items import (
    InstanceAction,
    Item,
    Maintenance,
    Reading,
    Rebalance,
    TargetLifecycleState,
    TerminationTime,
)
from spotwatch.watch.observations import Announced, Failed, Observation, Recovered, Remark, Withdrawn
from spotwatch.watch.session import Flow, Session
from spotwatch.watch.skew import ClockSkew

REPEAT_FAILURE_SECONDS = 300.0
"""A failure that lasts is said again this often, so that the log shows that it lasts."""

FACT_RETRY_SECONDS = 5.0
"""Between two attempts to read a fact about the instance that the service did not give yet."""

NOTABLE_SKEW = timedelta(seconds=2)
"""Clocks this far apart are worth a warning: time synchronisation is broken on this host."""

SERVICE = "the metadata service"
"""What a transient failure concerns, whichever item was asked for, if it has answered nothing else in the same poll."""

THE_FACTS = "instance facts"
"""What a failure concerns if it was not an item that was asked for."""

LONGEST_FACT = 255
"""Characters; the longest in use, an instance id, has 19. Facts go into the environment of every hook."""

FACTS = {
    "id": "instance-id",
    "type": "instance-type",
    "availability_zone": "placement/availability-zone",
    "region": "placement/region",
}


@dataclass(slots=True)
class _Watched:
    """An item, when to read it next, and when reading it last ended a poll."""

    item: Item
    interval: float
    due: float
    failed_at: float = float("-inf")


@dataclass(frozen=True, slots=True)
class _Failing:
    """A failure that lasts, and when it was said last."""

    kind: str
    said_at: float
    message: str


class Watcher:
    """Watches one instance's metadata service.

    Args:
        connect: opens a connection to the service at an endpoint.
        settings: which items, how often.
        limits: the longest time for each kind of event.
        clock: reads both clocks.
        jitter: a source of numbers from 0 to 1, for the back-off after throttling.
    """

    def __init__(
        self,
        connect: Callable[[str], Metadata],
        settings: MetadataSettings,
        limits: LimitSettings,
        clock: Callable[[], Instant],
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.skew = ClockSkew()
        self.instance = InstanceFacts()
        self.last_good_poll: Instant | None = None
        self._connect = connect
        self._clock = clock
        self._jitter = jitter
        self._version = ""
        self._announced: dict[str, EventKind] = {}
        self._failing: dict[str, _Failing] = {}
        self._answered = False
        self._warned_of_skew = False
        self._watched: list[_Watched] = []
        self._missing_facts = dict(FACTS)
        self._began = clock()
        self._facts_due = self._began.boot
        self._settings = settings
        self._metadata = connect(settings.endpoint)
        self.apply(settings, limits)

    def apply(self, settings: MetadataSettings, limits: LimitSettings) -> None:
        """Go by these settings from now on; what was announced is not announced again."""
        if settings.endpoint != self._settings.endpoint:
            former, self._metadata = self._metadata, self._connect(settings.endpoint)
            former.close()
        self._settings, self._limits = settings, limits
        self._session = Session(
            timeout=settings.timeout,
            token_ttl=settings.token_ttl,
            imdsv1=settings.imdsv1,
            now=lambda: self._clock().boot,
        )
        now, known = self._clock().boot, {watched.item.path: watched.item for watched in self._watched}
        self._watched = [_Watched(known.get(item.path, item), every, now) for item, every in _items(settings)]
        paths = {watched.item.path for watched in self._watched}
        self._announced = {path: kind for path, kind in self._announced.items() if path in paths}

    def close(self) -> None:
        """Give up the connection to the service."""
        self._metadata.close()

    @property
    def next_poll(self) -> float:
        """When `poll` has something to do again (boot clock, seconds)."""
        return min(watched.due for watched in self._watched)

    @property
    def version(self) -> str:
        """``IMDSv2``, ``IMDSv1``, or an empty text while the service has not answered."""
        return self._version

    @property
    def announced(self) -> frozenset[EventKind]:
        """What the service announces at present."""
        return frozenset(self._announced.values())

    @property
    def trouble(self) -> list[str]:
        """What cannot be read at present, and why."""
        return [f"{what}: {failing.message}" for what, failing in self._failing.items()]

    def poll(self, *, at_most: float | None = None) -> list[Observation]:
        """Read every item that is due and say what is new; never raises, never takes longer than a poll interval.

        Args:
            at_most: seconds, where the caller has something to do before a poll interval is over.
        """
        now = self._clock().boot
        limit = self._settings.poll_interval if at_most is None else min(at_most, self._settings.poll_interval)
        return list(self._poll(now, now + limit))

    def learn(self, at_most: float) -> list[Observation]:
        """Read what the service says of the instance, if it is not known yet; takes at most so many seconds."""
        now = self._clock().boot
        return list(self._read_facts(now, now + at_most))

    def remember(self, event: Event) -> None:
        """Take this event for announced, as it was in an earlier life: it is no news, and can be withdrawn."""
        for watched in self._watched:
            if event.kind in watched.item.kinds:
                watched.item.remember(event)
                self._announced[watched.item.path] = event.kind
                return

    def _poll(self, now: float, until: float) -> Iterator[Observation]:
        self._answered = False
        due = [watched for watched in self._watched if watched.due <= now]
        for watched in sorted(due, key=lambda w: w.failed_at):
            watched.due = _next_due(watched, now)
            try:
                news = list(self._read(watched.item, until))
            except MetadataError as error:
                yield from self._take_failure(watched.item.path, error)
                if isinstance(error, Transient):
                    watched.failed_at = now
                    self._put_off(error, now)
                    break
                self._answered = True
            else:
                watched.failed_at = float("-inf")
                yield from news
                if any(isinstance(said, Announced) and said.event.kind.is_interruption for said in news):
                    break  # every second counts now; what was not read is due at once
        if self._answered:
            yield from self._read_facts(now, until)

    def _read(self, item: Item, until: float) -> Iterator[Observation]:
        body = self._get(item.path, until)
        reading = Reading(self._clock(), self.skew.estimate, self._limits)
        for observation in item.take(body, reading):
            yield from self._account(item, observation)
        yield from self._take_success(item)

    def _get(self, path: str, until: float) -> str | None:
        """The item's text, through the session's protocol; None where there is no such item."""
        flow = self._session.get(path)
        try:
            request = next(flow)
            while True:
                request = self._answer(flow, request, until)
        except StopIteration as end:
            text: str | None = end.value
            return text

    def _answer(self, flow: Flow, request: Request, until: float) -> Request:
        """Carry out the request and feed what came of it to the protocol; its next request."""
        try:
            response = self._send(request, until)
        except MetadataError as error:
            return flow.throw(error)
        return flow.send(response)

    def _send(self, request: Request, until: float) -> Response:
        asked = self._clock()
        left = until - asked.boot
        if left <= 0:
            raise MetadataTimedOut("the time of this poll is used up")
        response = self._metadata.send(replace(request, limit=min(request.limit, left)))
        if response.date is not None:
            self.skew.observe(response.date, asked, self._clock())
        return response

    def _take_success(self, item: Item) -> Iterator[Observation]:
        self._answered = True
        now, last = self._clock(), self.last_good_poll or self._began
        if self._failing.pop(SERVICE, None) is not None:
            yield Recovered(now.boot - last.boot)
        if self._failing.pop(item.path, None) is not None:
            yield Remark("item-readable", f"{item.path} can be read again")
        if item.path == InstanceAction.path:
            self.last_good_poll = now
        if self._session.version != self._version:
            self._version = self._session.version
            yield _version_remark(self._version)
        yield from self._remark_on_skew()

    def _take_failure(self, path: str, error: MetadataError) -> Iterator[Observation]:
        """Say it when it is new, when it has changed, and now and then while it lasts."""
        now, kind = self._clock().boot, type(error).__name__
        concerns_all = isinstance(error, Transient) and not self._answered and path not in self._failing
        what = SERVICE if concerns_all else path
        known = self._failing.get(what)
        if known is None or known.kind != kind or now - known.said_at >= REPEAT_FAILURE_SECONDS:
            self._failing[what] = _Failing(kind, now, error.message)
            yield Failed(path, error)

    def _put_off(self, error: MetadataError, now: float) -> None:
        """What was due and not read is due at the next poll; a service that asks for patience gets some."""
        interval = self._settings.poll_interval
        wait = interval * (1 + self._jitter()) if isinstance(error, MetadataThrottled) else interval
        for watched in self._watched:
            if watched.due <= now + wait:
                watched.due = now + wait

    def _account(self, item: Item, observation: Observation) -> Iterator[Observation]:
        """Keep track of what is announced; a withdrawal counts only if no other item announces the same."""
        if isinstance(observation, Announced):
            self._announced[item.path] = observation.event.kind
            self._facts_due = self._clock().boot  # hooks are about to start, and what is not known yet they never learn
        elif isinstance(observation, Withdrawn):
            del self._announced[item.path]
            if observation.kind in self.announced:
                return
        yield observation

    def _remark_on_skew(self) -> Iterator[Observation]:
        notable = self.skew.known and abs(self.skew.estimate) >= NOTABLE_SKEW
        if notable and not self._warned_of_skew:
            yield Remark(
                "clock-skew",
                "the system's clock differs from AWS's; deadlines allow for it, but check the time synchronisation",
                warning=True,
                values={"seconds_behind_aws": round(self.skew.estimate.total_seconds(), 3)},
            )
        self._warned_of_skew = notable

    def _read_facts(self, now: float, until: float) -> Iterator[Observation]:
        """Read once what the service says of the instance; it does not change while the instance runs."""
        if not self._missing_facts or self._clock().boot < self._facts_due:
            return
        self._facts_due = now + FACT_RETRY_SECONDS
        try:
            found = {field: _fact(path, self._get(path, until)) for field, path in self._missing_facts.items()}
        except MetadataError as error:
            yield from self._take_failure(THE_FACTS, error)
            return
        self._missing_facts = {}
        self.instance = InstanceFacts(**found)
        yield Remark(
            "instance",
            f"this is {self.instance.id or 'an instance without an id'}",
            values=_facts(self.instance),
        )


def _fact(path: str, text: str | None) -> str:
    """A fact in one printable line, empty where the service has none."""
    fact = (text or "").strip()
    if not fact.isprintable() or len(fact) > LONGEST_FACT:
        raise MetadataMalformed(f"{path} holds no single line of text: {fact[:80]!r}")
    return fact


def _facts(instance: InstanceFacts) -> dict[str, str | float]:
    return {"type": instance.type, "availability_zone": instance.availability_zone, "region": instance.region}


def _items(settings: MetadataSettings) -> Iterator[tuple[Item, float]]:
    """Every item that the settings ask for, the most urgent first."""
    yield InstanceAction(), settings.poll_interval
    if settings.termination_time:
        yield TerminationTime(), settings.poll_interval
    if settings.rebalance_interval is not None:
        yield Rebalance(), settings.rebalance_interval
    if settings.lifecycle_interval is not None:
        yield TargetLifecycleState(), settings.lifecycle_interval
    if settings.maintenance_interval is not None:
        yield Maintenance(), settings.maintenance_interval


def _next_due(watched: _Watched, now: float) -> float:
    """One interval after it was due, without drift; after a long sleep, one interval from now."""
    regular = watched.due + watched.interval
    return regular if regular > now else now + watched.interval


def _version_remark(version: str) -> Remark:
    if version == "IMDSv1":
        return Remark(
            "imdsv1",
            "no token can be had, going on with IMDSv1 as the settings allow; check the hop limit "
            "(--http-put-response-hop-limit) and require tokens",
            warning=True,
        )
    return Remark("metadata-service", f"the metadata service answers, {version}")
