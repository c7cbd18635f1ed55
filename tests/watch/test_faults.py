"""The watcher over the real connection, against the fake metadata service with its faults.

Polls take real time, and are checked to take no longer than they may; only the pauses between them are skipped.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from spotwatch.core.errors import (
    MetadataBroken,
    MetadataError,
    MetadataMalformed,
    MetadataRefused,
    MetadataThrottled,
    MetadataTimedOut,
    MetadataTokenUnanswered,
    MetadataUnreachable,
)
from spotwatch.core.event import EventKind
from spotwatch.core.instant import Instant
from spotwatch.core.settings import LimitSettings, MetadataSettings
from spotwatch.simulate.faults import (
    BINARY_BODY,
    EMPTY_BODY,
    MALFORMED_JSON,
    Fault,
    HeadersCut,
    NotHttp,
    Oversized,
    Refused,
    Reset,
    Silent,
    Slow,
    Status,
    Truncated,
    WrongBody,
)
from spotwatch.simulate.instance import Instance, MaintenanceEvent
from spotwatch.simulate.service import TOKEN_PATH, MetadataService
from spotwatch.watch.connection import Connection
from spotwatch.watch.observations import Announced, Failed, Observation, Recovered, Remark
from spotwatch.watch.session import META_DATA, TOKEN_HEADER
from spotwatch.watch.watcher import Watcher

INTERVAL = 0.1
SLACK = 0.2
"""Seconds by which a busy machine may be late."""

ACTION = "spot/instance-action"
NOTICE = META_DATA + ACTION
UP_FOR = 10_000.0


def in_seconds(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


class Watch:
    """A watcher and what it says; each poll is checked to take no longer than it may."""

    def __init__(self, url: str, interval: float = INTERVAL, *, imdsv1: bool = False, timeout: float = 1.0) -> None:
        self.interval = interval
        settings = MetadataSettings(
            endpoint=url,
            poll_interval=interval,
            rebalance_interval=interval,
            lifecycle_interval=interval,
            maintenance_interval=interval,
            termination_time=True,
            imdsv1=imdsv1,
            timeout=timeout,
        )
        self._skipped = UP_FOR
        self.watcher = Watcher(Connection, settings, LimitSettings(), self.clock)
        self.said: list[Observation] = []

    def clock(self) -> Instant:
        """The system's clocks, on a system that has been up for some hours."""
        return Instant(time.monotonic() + self._skipped, datetime.now(UTC))

    def poll(self, times: int = 1) -> list[Observation]:
        """Poll when it is due, so often; what was said meanwhile."""
        before = len(self.said)
        for _ in range(times):
            pause = self.watcher.next_poll - self.clock().boot
            assert pause <= 2 * self.interval
            self._skipped += max(0.0, pause)
            began = time.monotonic()
            self.said += self.watcher.poll()
            assert time.monotonic() - began <= self.interval + SLACK
        return self.said[before:]


@pytest.fixture
def watch() -> Iterator[Callable[..., Watch]]:
    with ExitStack() as opened:

        def watch(url: str, interval: float = INTERVAL, *, imdsv1: bool = False, timeout: float = 1.0) -> Watch:
            made = Watch(url, interval, imdsv1=imdsv1, timeout=timeout)
            opened.callback(made.watcher.close)
            return made

        yield watch


@pytest.fixture
def service() -> Iterator[MetadataService]:
    with MetadataService() as service:
        yield service


def failures(said: list[Observation]) -> list[type[MetadataError]]:
    return [type(o.error) for o in said if isinstance(o, Failed)]


def hints(said: list[Observation]) -> list[str]:
    return [o.error.hint for o in said if isinstance(o, Failed)]


def announced(said: list[Observation]) -> list[EventKind]:
    return [o.event.kind for o in said if isinstance(o, Announced)]


def recoveries(said: list[Observation]) -> int:
    return sum(isinstance(o, Recovered) for o in said)


def remarks(said: list[Observation]) -> list[str]:
    return [o.name for o in said if isinstance(o, Remark)]


def tokens(service: MetadataService) -> list[list[str]]:
    """The token headers of each request for an item; more than one in a request would be a bug."""
    return [request.headers.get_all(TOKEN_HEADER, []) for request in service.requests if request.method == "GET"]


class TestAllIsWell:
    def test_there_is_one_connection_and_one_token(self, service: MetadataService, watch: Callable[..., Watch]) -> None:
        """Where every item exists, so that no 404 ends the connection."""
        service.interrupt("terminate", in_seconds(120))
        service.recommend_rebalance(in_seconds(0))
        w = watch(service.url)
        w.poll(7)
        assert service.connections == 1
        assert [request.method for request in service.requests].count("PUT") == 1
        assert len(service.requests) >= 1 + 5 * 5 + 4

    def test_every_item_is_understood(self, service: MetadataService, watch: Callable[..., Watch]) -> None:
        w = watch(service.url)
        assert announced(w.poll(2)) == []
        service.interrupt("stop", in_seconds(120))
        service.recommend_rebalance(in_seconds(0))
        service.set_target_lifecycle_state("Terminated")
        service.schedule_maintenance([MaintenanceEvent("instance-retirement", in_seconds(60))])
        assert announced(w.poll()) == [EventKind.STOP], "the others can wait"
        assert announced(w.poll()) == [EventKind.REBALANCE, EventKind.LIFECYCLE, EventKind.MAINTENANCE]
        assert w.watcher.instance.id == Instance().instance_id
        assert w.watcher.version == "IMDSv2"

    @pytest.mark.parametrize("ahead", [-300, 300])
    def test_the_deadline_is_right_though_the_clocks_differ(self, watch: Callable[..., Watch], ahead: int) -> None:
        with MetadataService(clock=lambda: in_seconds(ahead)) as service:
            service.interrupt("terminate", in_seconds(ahead + 90))
            said = watch(service.url).poll()
        (event,) = [o.event for o in said if isinstance(o, Announced)][:1]
        assert event.deadline - event.seen_at == pytest.approx(90, abs=1.6)
        assert "clock-skew" in remarks(said)

    def test_over_ipv6_it_is_the_same(self, watch: Callable[..., Watch]) -> None:
        try:
            service = MetadataService(host="::1")
            service.start()
        except OSError as error:
            pytest.skip(f"no IPv6 here: {error}")
        service.interrupt("stop", in_seconds(120))
        assert announced(watch(service.url).poll()) == [EventKind.STOP]
        service.close()


class TestTheServiceComesAndGoes:
    def test_down_at_the_start_and_back_later(self, service: MetadataService, watch: Callable[..., Watch]) -> None:
        service.trouble(Refused())
        w = watch(service.url)
        assert failures(w.poll(3)) == [MetadataUnreachable]
        service.trouble(None)
        service.interrupt("terminate", in_seconds(120))
        said = w.poll(2)
        assert recoveries(said) == 1
        assert announced(said) == [EventKind.TERMINATE] * 2
        assert w.watcher.instance.id == Instance().instance_id

    def test_it_dies_in_the_middle_and_comes_back(self, service: MetadataService, watch: Callable[..., Watch]) -> None:
        w = watch(service.url)
        w.poll()
        service.trouble(Refused())
        assert failures(w.poll(2)) == [MetadataUnreachable]
        service.trouble(None)
        service.interrupt("stop", in_seconds(120))
        said = w.poll()
        assert recoveries(said) == 1
        assert announced(said) == [EventKind.STOP]

    def test_another_service_takes_its_place_and_knows_no_token_of_the_first(self, watch: Callable[..., Watch]) -> None:
        with MetadataService() as first:
            w = watch(first.url)
            w.poll()
            port = int(first.url.rpartition(":")[2])
        with MetadataService(port=port) as second:
            assert failures(w.poll(2)) == []
            assert second.statuses[401] == 1


class TestTheToken:
    @pytest.mark.parametrize("end", ["expired", "revoked"])
    def test_a_token_that_has_ended_is_replaced_and_the_item_asked_for_again_in_the_same_poll(
        self, service: MetadataService, watch: Callable[..., Watch], end: str
    ) -> None:
        w = watch(service.url)
        w.poll(2)
        before = len(service.requests)
        service.interrupt("stop", in_seconds(120))
        service.advance(30_000) if end == "expired" else service.revoke_tokens()
        assert announced(w.poll()) == [EventKind.STOP]
        again = service.requests[before : before + 3]
        assert [(r.method, r.path, r.status) for r in again] == [
            ("GET", NOTICE, 401),
            ("PUT", TOKEN_PATH, 200),
            ("GET", NOTICE, 200),
        ]
        assert failures(w.said) == []

    def test_no_request_ever_carries_two_token_headers(
        self, service: MetadataService, watch: Callable[..., Watch]
    ) -> None:
        w = watch(service.url)
        for _ in range(3):
            w.poll()
            service.revoke_tokens()
        carried = tokens(service)
        assert {len(each) for each in carried} == {1}
        assert len({token for (token,) in carried}) == 3

    def test_a_service_that_refuses_every_token_is_asked_on(
        self, service: MetadataService, watch: Callable[..., Watch]
    ) -> None:
        """As right after a launch, for a while."""
        service.trouble(Status(401), item=ACTION)
        w = watch(service.url)
        assert failures(w.poll(3)) == [MetadataRefused]
        service.trouble(None)
        service.interrupt("stop", in_seconds(120))
        assert announced(w.poll()) == [EventKind.STOP]

    @pytest.mark.parametrize("fault", [Status(503), Silent(), WrongBody("tökén".encode())], ids=repr)
    def test_a_refused_token_is_never_followed_by_a_request_without_one(
        self, watch: Callable[..., Watch], fault: Fault
    ) -> None:
        """The instance would answer IMDSv1, but the settings do not allow it."""
        with MetadataService(imdsv1=True) as service:
            w = watch(service.url)
            w.poll()
            service.revoke_tokens()
            service.trouble(fault, item=TOKEN_PATH)
            assert len(failures(w.poll(2))) >= 1
            assert [] not in tokens(service)
            service.trouble(None)
            service.interrupt("stop", in_seconds(120))
            assert announced(w.poll()) == [EventKind.STOP]


class TestTheHopLimit:
    def test_a_token_request_takes_a_second_at_most_and_the_hint_names_the_cure(
        self, watch: Callable[..., Watch]
    ) -> None:
        with MetadataService(imdsv1=True, hop_limit_exceeded=True) as service:
            w = watch(service.url, interval=2.0, timeout=1.5)
            began = time.monotonic()
            said = w.poll()
            assert 0.95 <= time.monotonic() - began <= 1.2
            assert failures(said) == [MetadataTokenUnanswered]
            assert "--http-put-response-hop-limit 2" in hints(said)[0]
            assert [request.method for request in service.requests] == ["PUT"]

    def test_however_often_it_is_polled_it_is_said_once(self, watch: Callable[..., Watch]) -> None:
        with MetadataService(hop_limit_exceeded=True) as service:
            assert failures(watch(service.url).poll(3)) == [MetadataTokenUnanswered]

    def test_where_imdsv1_is_allowed_it_is_used_said_and_the_verdict_remembered(
        self, watch: Callable[..., Watch]
    ) -> None:
        with MetadataService(imdsv1=True, hop_limit_exceeded=True) as service:
            service.interrupt("stop", in_seconds(120))
            w = watch(service.url, interval=0.2, imdsv1=True, timeout=0.1)
            w.poll(3)
            assert announced(w.said) == [EventKind.STOP]
            assert remarks(w.said).count("imdsv1") == 1
            assert failures(w.said) == []
            assert [request.method for request in service.requests].count("PUT") == 1
            assert w.watcher.version == "IMDSv1"

    def test_where_the_instance_requires_tokens_allowing_imdsv1_changes_nothing(
        self, watch: Callable[..., Watch]
    ) -> None:
        with MetadataService(hop_limit_exceeded=True) as service:
            w = watch(service.url, interval=0.2, imdsv1=True, timeout=0.1)
            w.poll(3)
            assert failures(w.said) == [MetadataTokenUnanswered]
            assert "imdsv1" not in remarks(w.said)


EVERYTHING_FAILS: list[tuple[Fault, type[MetadataError]]] = [
    (Status(400), MetadataRefused),
    (Status(401), MetadataRefused),
    (Status(403), MetadataRefused),
    (Status(404), MetadataRefused),
    (Status(405), MetadataRefused),
    (Status(429), MetadataThrottled),
    (Status(500), MetadataBroken),
    (Status(503), MetadataThrottled),
    (Reset(), MetadataUnreachable),
    (Silent(), MetadataTokenUnanswered),
    (Slow(size=1, interval=0.01), MetadataTokenUnanswered),
    (Truncated(), MetadataUnreachable),
    (Oversized(None), MetadataBroken),
    (NotHttp(), MetadataUnreachable),
    (HeadersCut(), MetadataUnreachable),
    (BINARY_BODY, MetadataBroken),
    (EMPTY_BODY, MetadataBroken),
]


@pytest.mark.parametrize(("fault", "error"), EVERYTHING_FAILS, ids=repr)
def test_no_fault_of_the_service_ends_the_watcher_or_delays_a_poll(
    service: MetadataService, watch: Callable[..., Watch], fault: Fault, error: type[MetadataError]
) -> None:
    """That the poll is short and the next one soon is held by `Watch.poll`."""
    service.trouble(fault)
    w = watch(service.url)
    assert failures(w.poll())[0] is error
    service.trouble(None)
    service.interrupt("stop", in_seconds(120))
    assert announced(w.poll()) == [EventKind.STOP]


ONE_FAILS: list[tuple[Fault, type[MetadataError]]] = [
    (Status(403), MetadataRefused),
    (Status(500), MetadataBroken),
    (Status(503), MetadataThrottled),
    (Reset(), MetadataUnreachable),
    (Silent(), MetadataTimedOut),
    (Truncated(), MetadataUnreachable),
    (MALFORMED_JSON, MetadataMalformed),
    (EMPTY_BODY, MetadataMalformed),
    (BINARY_BODY, MetadataMalformed),
    (WrongBody(b"{}"), MetadataMalformed),
]


@pytest.mark.parametrize(("fault", "error"), ONE_FAILS, ids=repr)
def test_if_the_notice_cannot_be_read_another_item_still_announces(
    service: MetadataService, watch: Callable[..., Watch], fault: Fault, error: type[MetadataError]
) -> None:
    service.put(ACTION, "something to be cut")
    service.trouble(fault, item=ACTION)
    service.set_target_lifecycle_state("Terminated")
    w = watch(service.url)
    assert announced(w.poll(2)) == [EventKind.LIFECYCLE]
    assert set(failures(w.said)) == {error}


def test_a_notice_is_read_though_every_other_item_fails(service: MetadataService, watch: Callable[..., Watch]) -> None:
    for item in ("spot/termination-time", "events/recommendations/rebalance", "autoscaling/target-lifecycle-state"):
        service.trouble(Silent(), item=item)
    w = watch(service.url)
    w.poll(2)
    service.interrupt("stop", in_seconds(120))
    assert announced(w.poll(4)) == [EventKind.STOP]


def test_an_unknown_action_is_a_termination_with_a_warning(
    service: MetadataService, watch: Callable[..., Watch]
) -> None:
    service.put(ACTION, json.dumps({"action": "explode", "time": f"{in_seconds(60):%Y-%m-%dT%H:%M:%SZ}"}))
    said = watch(service.url).poll(3)
    assert announced(said) == [EventKind.TERMINATE]
    assert remarks(said).count("unusual-notice") == 1


def test_while_it_is_throttled_a_poll_is_one_request(service: MetadataService, watch: Callable[..., Watch]) -> None:
    service.trouble(Status(429))
    watch(service.url).poll(4)
    assert len(service.requests) == 4
