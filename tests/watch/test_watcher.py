"""The watcher in virtual time: when it asks for what, what it says, and how often it says it."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from spotwatch.core.errors import (
    MetadataBroken,
    MetadataError,
    MetadataMalformed,
    MetadataRefused,
    MetadataTimedOut,
    MetadataTokenUnanswered,
    MetadataUnreachable,
)
from spotwatch.core.event import EventKind
from spotwatch.core.instant import Instant
from spotwatch.core.report import InstanceFacts
from spotwatch.core.settings import LimitSettings, MetadataSettings
from spotwatch.watch.exchange import Request, Response
from spotwatch.watch.observations import Announced, Failed, Observation, Recovered, Remark, Withdrawn
from spotwatch.watch.session import META_DATA, TOKEN_HEADER, TOKEN_PATH
from spotwatch.watch.watcher import FACT_RETRY_SECONDS, REPEAT_FAILURE_SECONDS, THE_FACTS, Watcher

START = Instant(boot=1000.0, utc=datetime(2026, 11, 22, 8, 0, tzinfo=UTC))

ACTION = "spot/instance-action"
TERMINATION = "spot/termination-time"
REBALANCE = "events/recommendations/rebalance"
LIFECYCLE = "autoscaling/target-lifecycle-state"
MAINTENANCE = "events/maintenance/scheduled"
ITEMS = (ACTION, TERMINATION, REBALANCE, LIFECYCLE, MAINTENANCE)
FACTS = {
    "instance-id": "i-0123456789abcdef0",
    "instance-type": "c6i.xlarge",
    "placement/availability-zone": "eu-west-1a",
    "placement/region": "eu-west-1",
}

EVERYTHING = MetadataSettings(termination_time=True)
ONLY_THE_NOTICE = MetadataSettings(rebalance_interval=None, lifecycle_interval=None, maintenance_interval=None)

Fault = Response | MetadataError


def notice(action: str, seconds: float = 120.0) -> str:
    """The body of a notice whose time is this far from the start."""
    return json.dumps({"action": action, "time": f"{START.utc + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"})


class Clock:
    """Both clocks; they go on only when somebody takes time."""

    def __init__(self) -> None:
        self.boot = START.boot
        self.set_by = 0.0

    def __call__(self) -> Instant:
        return Instant(self.boot, START.utc + timedelta(seconds=self.boot - START.boot + self.set_by))


@dataclass
class Service:
    """A metadata service in virtual time; implements `spotwatch.watch.exchange.Metadata`.

    Attributes:
        items: the bodies under ``/latest/meta-data/``; what is not here is 404.
        faults: what comes instead, for a path under ``/latest/meta-data/``, the token's whole path, or "" for all.
        slow: seconds that an answer takes, likewise.
        skew: seconds that AWS's clock is ahead; None leaves the ``Date`` header out.
    """

    clock: Clock
    endpoint: str = ""
    items: dict[str, str] = field(default_factory=lambda: dict(FACTS))
    faults: dict[str, Fault] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    skew: float | None = None
    asked: list[tuple[float, str, Request]] = field(default_factory=list)
    closed: bool = False

    def send(self, request: Request) -> Response:
        assert request.limit > 0
        assert not self.closed
        what = request.path.removeprefix(META_DATA)
        self.asked.append((self.clock.boot - START.boot, what, request))
        seconds = self.slow.get(what, self.slow.get("", 0.001))
        self.clock.boot += min(seconds, request.limit)
        if seconds > request.limit:
            raise MetadataTimedOut(f"no complete answer within {request.limit:.2g} s")
        answer = self.faults.get(what, self.faults.get("")) or self._answer(what)
        if isinstance(answer, MetadataError):
            raise answer
        return replace(answer, date=self._date())

    def close(self) -> None:
        self.closed = True

    def _answer(self, what: str) -> Response:
        if what == TOKEN_PATH:
            return Response(200, "secret")
        return Response(200, self.items[what]) if what in self.items else Response(404, "")

    def _date(self) -> datetime | None:
        if self.skew is None:
            return None
        return (self.clock().utc + timedelta(seconds=self.skew)).replace(microsecond=0)

    def times(self, what: str) -> list[float]:
        """When this was asked for, in seconds since the start."""
        return [round(at, 1) for at, asked, _ in self.asked if asked == what]


class Bench:
    """A watcher, its service, and a loop that polls when it is time to, as the daemon's does."""

    def __init__(self, settings: MetadataSettings, jitter: Callable[[], float]) -> None:
        self.clock = Clock()
        self.services: list[Service] = []
        self.watcher = Watcher(self._connect, settings, LimitSettings(), self.clock, jitter=jitter)
        self.polls: list[tuple[float, float]] = []
        self.said: list[tuple[float, Observation]] = []

    def _connect(self, endpoint: str) -> Service:
        self.services.append(Service(self.clock, endpoint))
        return self.services[-1]

    @property
    def service(self) -> Service:
        return self.services[-1]

    def poll(self, *, at_most: float | None = None) -> list[Observation]:
        """Poll when it is due; what is said of the instance and of the version is left out."""
        self.clock.boot = max(self.clock.boot, self.watcher.next_poll)
        began = self.clock.boot
        seen = [o for o in self.watcher.poll(at_most=at_most) if not is_routine(o)]
        self.polls.append((began - START.boot, self.clock.boot - START.boot))
        self.said += [(round(began - START.boot, 1), observation) for observation in seen]
        return seen

    def run(self, until: float) -> list[tuple[float, Observation]]:
        """Poll up to this many seconds after the start; what was said meanwhile, and when."""
        before = len(self.said)
        while self.watcher.next_poll <= START.boot + until:
            self.poll()
        self.clock.boot = max(self.clock.boot, START.boot + until)
        return self.said[before:]


def is_routine(observation: Observation) -> bool:
    return isinstance(observation, Remark) and observation.name in {"instance", "metadata-service"}


def failures(said: list[tuple[float, Observation]]) -> list[tuple[float, str, type[MetadataError]]]:
    return [(at, o.item, type(o.error)) for at, o in said if isinstance(o, Failed)]


def announced(said: list[tuple[float, Observation]]) -> list[tuple[float, EventKind]]:
    return [(at, o.event.kind) for at, o in said if isinstance(o, Announced)]


def withdrawn(said: list[tuple[float, Observation]]) -> list[tuple[float, EventKind]]:
    return [(at, o.kind) for at, o in said if isinstance(o, Withdrawn)]


def recoveries(said: list[tuple[float, Observation]]) -> list[tuple[float, float]]:
    return [(at, round(o.seconds, 1)) for at, o in said if isinstance(o, Recovered)]


@pytest.fixture
def bench() -> Callable[..., Bench]:
    def bench(settings: MetadataSettings = EVERYTHING, jitter: Callable[[], float] = lambda: 0.5) -> Bench:
        return Bench(settings, jitter)

    return bench


class TestWhenItAsks:
    def test_the_first_poll_is_due_at_once_and_reads_every_item(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        assert b.watcher.next_poll == START.boot
        b.poll()
        assert [what for _, what, _ in b.service.asked] == [TOKEN_PATH, *ITEMS, *FACTS]

    def test_each_item_has_its_own_interval(self, bench: Callable[..., Bench]) -> None:
        b = bench(MetadataSettings(rebalance_interval=5.0, lifecycle_interval=7.0, maintenance_interval=30.0))
        b.run(until=60)
        assert b.service.times(ACTION) == list(range(0, 61, 2))
        assert b.service.times(REBALANCE) == list(range(0, 61, 5))
        assert b.service.times(LIFECYCLE) == list(range(0, 61, 7))
        assert b.service.times(MAINTENANCE) == [0, 30, 60]
        assert b.service.times(TERMINATION) == []

    def test_each_item_but_the_notice_can_be_switched_off(self, bench: Callable[..., Bench]) -> None:
        b = bench(ONLY_THE_NOTICE)
        b.run(until=60)
        assert {what for _, what, _ in b.service.asked} == {TOKEN_PATH, ACTION, *FACTS}

    def test_one_token_serves_every_request(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.run(until=60)
        gets = [request for _, _, request in b.service.asked if request.method == "GET"]
        assert b.service.times(TOKEN_PATH) == [0]
        assert {tuple(request.headers.items()) for request in gets} == {((TOKEN_HEADER, "secret"),)}

    def test_answers_that_take_time_do_not_let_the_polls_drift(self, bench: Callable[..., Bench]) -> None:
        b = bench(ONLY_THE_NOTICE)
        b.service.slow[""] = 0.3
        b.run(until=600)
        assert b.service.times(ACTION)[-1] == 600

    def test_polls_that_begin_late_do_not_make_the_later_ones_late(self, bench: Callable[..., Bench]) -> None:
        b = bench(ONLY_THE_NOTICE)
        for late in (0.0, 0.3, 1.2, 0.1):
            b.clock.boot = b.watcher.next_poll + late
            b.poll()
        assert b.service.times(ACTION) == [0, 2.3, 5.2, 6.1]

    def test_after_a_long_sleep_it_asks_at_once_and_then_at_the_interval(self, bench: Callable[..., Bench]) -> None:
        """A hibernation, or a machine that stood still; what was missed is not made up for."""
        b = bench(ONLY_THE_NOTICE)
        b.run(until=4)
        b.clock.boot += 3601.5
        b.run(until=3612)
        assert b.service.times(ACTION)[-4:] == [3605.5, 3607.5, 3609.5, 3611.5]

    def test_a_poll_before_its_time_asks_for_nothing(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.poll()
        asked = len(b.service.asked)
        assert b.watcher.poll() == []
        assert len(b.service.asked) == asked

    @pytest.mark.parametrize("at_most", [0.05, 0.5, 1.9, 60.0])
    def test_a_poll_takes_no_longer_than_it_may(self, bench: Callable[..., Bench], at_most: float) -> None:
        b = bench()
        b.service.slow[""] = 0.7
        b.poll(at_most=at_most)
        began, ended = b.polls[0]
        assert ended - began <= min(at_most, 2.0) + 1e-9


class TestWhatItAnnounces:
    def test_a_notice_is_announced_when_it_is_read_and_once(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.run(until=3)
        b.service.items[ACTION] = notice("stop")
        said = b.run(until=100)
        assert announced(said) == [(4, EventKind.STOP)]
        assert len(said) == 1
        assert b.watcher.announced == {EventKind.STOP}

    def test_every_item_can_announce(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.service.items |= {
            ACTION: notice("hibernate"),
            TERMINATION: "2026-11-22T08:01:00Z",
            REBALANCE: json.dumps({"noticeTime": "2026-11-22T07:00:00Z"}),
            LIFECYCLE: "Terminated",
            MAINTENANCE: json.dumps(
                [{"Code": "instance-stop", "EventId": "e", "State": "active", "NotBefore": "22 Nov 2026 08:01:00 GMT"}]
            ),
        }
        assert {kind for _, kind in announced(b.run(until=0))} == {
            EventKind.HIBERNATE,
            EventKind.TERMINATE,
            EventKind.REBALANCE,
            EventKind.LIFECYCLE,
            EventKind.MAINTENANCE,
        }

    def test_it_is_withdrawn_after_the_third_absence_in_a_row(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.service.items[ACTION] = notice("terminate")
        b.run(until=0)
        del b.service.items[ACTION]
        said = b.run(until=60)
        assert withdrawn(said) == [(6, EventKind.TERMINATE)]
        assert b.watcher.announced == frozenset()

    def test_failures_are_no_absences(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.service.items[ACTION] = notice("terminate", 3600)
        b.run(until=0)
        for fault in (Response(503, ""), Response(403, ""), Response(200, "<html>"), MetadataUnreachable("refused")):
            b.service.faults[""] = fault
            b.run(until=b.clock.boot - START.boot + 20)
        assert withdrawn(b.said) == []

    def test_it_is_not_withdrawn_while_another_item_announces_the_same(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.service.items |= {ACTION: notice("terminate", 3600), TERMINATION: "2026-11-22T09:00:00Z"}
        b.run(until=0)
        del b.service.items[ACTION]
        assert withdrawn(b.run(until=20)) == []
        del b.service.items[TERMINATION]
        assert withdrawn(b.run(until=40)) == [(26, EventKind.TERMINATE)]

    def test_an_item_that_fails_keeps_no_other_from_announcing(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.service.faults |= {ACTION: Response(200, "<html>"), REBALANCE: Response(500, "")}
        b.service.items[LIFECYCLE] = "Terminated"
        assert announced(b.run(until=10)) == [(2, EventKind.LIFECYCLE)]

    def test_the_deadline_allows_for_the_skew_of_the_very_answer(self, bench: Callable[..., Bench]) -> None:
        """The system's clock is set forward by an hour, and the notice is in the next answer."""
        b = bench()
        b.service.skew = 0.0
        b.run(until=9)
        b.clock.set_by, b.service.skew = 3600.0, -3600.0
        b.service.items[ACTION] = notice("terminate", 100)
        b.run(until=10)
        (event,) = [o.event for _, o in b.said if isinstance(o, Announced)]
        assert event.deadline - START.boot == pytest.approx(100, abs=0.6)

    @pytest.mark.parametrize("set_by", [-3600.0, 3600.0])
    def test_a_clock_that_is_set_announces_nothing_again(self, bench: Callable[..., Bench], set_by: float) -> None:
        b = bench()
        b.service.skew = 0.0
        b.service.items[ACTION] = notice("terminate", 100)
        b.run(until=9)
        b.clock.set_by, b.service.skew = set_by, -set_by
        b.run(until=60)
        assert announced(b.said) == [(0, EventKind.TERMINATE)]
        assert withdrawn(b.said) == []


OUTAGES: list[tuple[Fault, type[MetadataError]]] = [
    (MetadataUnreachable("refused"), MetadataUnreachable),
    (MetadataTimedOut("late"), MetadataTimedOut),
    (MetadataBroken("endless"), MetadataBroken),
    (Response(500, ""), MetadataBroken),
]


class TestTheServiceFails:
    @pytest.mark.parametrize(("fault", "error"), OUTAGES)
    def test_it_is_said_once_and_so_is_its_end(
        self, bench: Callable[..., Bench], fault: Fault, error: type[MetadataError]
    ) -> None:
        b = bench()
        b.run(until=11)
        b.service.faults[""] = fault
        assert failures(b.run(until=71)) == [(12, ACTION, error)]
        del b.service.faults[""]
        said = b.run(until=100)
        assert recoveries(said) == [(72, 62.0)]
        assert len(said) == 1

    def test_down_from_the_start_it_counts_from_there(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.service.faults[""] = MetadataUnreachable("refused")
        b.run(until=29)
        del b.service.faults[""]
        assert recoveries(b.run(until=60)) == [(30, 30.0)]

    @pytest.mark.parametrize(("fault", "error"), OUTAGES)
    def test_the_next_poll_is_an_interval_later(
        self, bench: Callable[..., Bench], fault: Fault, error: type[MetadataError]
    ) -> None:
        b = bench()
        b.service.faults[""] = fault
        b.run(until=60)
        assert [began for began, _ in b.polls] == pytest.approx(range(0, 61, 2))
        assert failures(b.said)[0] == (0, ACTION, error)

    def test_it_is_said_again_when_it_has_changed(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        for until, fault in ((9, MetadataUnreachable("refused")), (19, MetadataTimedOut("late"))):
            b.service.faults[ACTION] = fault
            b.run(until=until)
        assert [(at, error) for at, _, error in failures(b.said)][-1] == (10, MetadataTimedOut)

    def test_while_it_lasts_it_is_said_every_five_minutes(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.service.faults[""] = MetadataUnreachable("refused")
        b.run(until=2 * REPEAT_FAILURE_SECONDS + 10)
        assert [at for at, _, _ in failures(b.said)] == [0, 300, 600]

    def test_one_request_shows_it_and_the_rest_of_the_poll_is_spared(self, bench: Callable[..., Bench]) -> None:
        b = bench(replace(EVERYTHING, timeout=0.5))
        b.service.slow[""] = 99.0
        b.run(until=20)
        assert {round(ended - began, 3) for began, ended in b.polls} == {0.5}

    def test_silence_never_makes_a_poll_longer_than_its_interval(self, bench: Callable[..., Bench]) -> None:
        b = bench(replace(EVERYTHING, poll_interval=0.5, timeout=5.0))
        b.service.slow[""] = 99.0
        b.run(until=20)
        assert all(ended - began <= 0.5 + 1e-9 for began, ended in b.polls)
        assert all(later - sooner <= 0.5 + 1e-9 for (sooner, _), (later, _) in itertools.pairwise(b.polls))

    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize(("jitter", "pause"), [(0.0, 2.0), (0.25, 2.5), (1.0, 4.0)])
    def test_a_throttled_poll_is_repeated_later_but_at_most_an_interval_later(
        self, bench: Callable[..., Bench], status: int, jitter: float, pause: float
    ) -> None:
        b = bench(jitter=lambda: jitter)
        b.service.faults[""] = Response(status, "")
        b.run(until=40)
        assert [began for began, _ in b.polls][:5] == pytest.approx([pause * i for i in range(5)])
        assert len(failures(b.said)) == 1

    def test_what_was_due_and_not_read_is_read_at_the_next_poll(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.service.faults[""] = MetadataUnreachable("refused")
        b.run(until=1)
        del b.service.faults[""]
        b.run(until=2)
        assert {what for at, what, _ in b.service.asked if at >= 2} == {TOKEN_PATH, *ITEMS, *FACTS}

    def test_when_it_is_down_no_item_but_one_a_poll_is_asked_for(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.run(until=1)
        asked = len(b.service.asked)
        b.service.faults[""] = MetadataUnreachable("refused")
        b.run(until=61)
        assert len(b.service.asked) - asked == len(b.polls) - 1


TRANSIENT = [fault for fault, _ in OUTAGES] + [Response(503, "")]


class TestOneItemFails:
    @pytest.mark.parametrize("item", ITEMS)
    @pytest.mark.parametrize("fault", [*TRANSIENT, Response(403, ""), Response(405, "")])
    def test_it_starves_no_other_item_and_not_the_facts(
        self, bench: Callable[..., Bench], item: str, fault: Fault
    ) -> None:
        """Also where all have the same interval, so that they always fall due together."""
        b = bench(replace(EVERYTHING, rebalance_interval=2.0, lifecycle_interval=2.0, maintenance_interval=2.0))
        b.service.faults[item] = fault
        b.run(until=60)
        pause = 3.0 if fault == Response(503, "") else 2.0
        for other in set(ITEMS) - {item}:
            times = [at for at in b.service.times(other) if at >= 2]
            assert max(later - sooner for sooner, later in itertools.pairwise(times)) <= pause
        assert b.watcher.instance.id == FACTS["instance-id"]

    @pytest.mark.parametrize("fault", TRANSIENT)
    @pytest.mark.parametrize("item", ITEMS[1:])
    def test_the_notice_is_read_at_most_an_interval_late(
        self, bench: Callable[..., Bench], item: str, fault: Fault
    ) -> None:
        b = bench()
        b.service.faults[item] = fault
        b.run(until=120)
        times = b.service.times(ACTION)
        assert max(later - sooner for sooner, later in itertools.pairwise(times)) <= 4.0

    @pytest.mark.parametrize("item", ITEMS)
    @pytest.mark.parametrize("fault", [*TRANSIENT, Response(403, "")])
    def test_it_is_not_said_at_every_poll(self, bench: Callable[..., Bench], item: str, fault: Fault) -> None:
        b = bench()
        b.service.faults[item] = fault
        b.run(until=REPEAT_FAILURE_SECONDS - 10)
        assert len(failures(b.said)) <= 2
        assert len(recoveries(b.said)) <= 1

    def test_its_end_is_said(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.service.faults[REBALANCE] = Response(403, "")
        assert failures(b.run(until=21)) == [(0, REBALANCE, MetadataRefused)]
        del b.service.faults[REBALANCE]
        said = b.run(until=60)
        assert [(at, o.name) for at, o in said if isinstance(o, Remark)] == [(25, "item-readable")]
        assert len(said) == 1

    def test_two_that_hang_take_turns_with_those_that_do_not(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.service.slow |= {ACTION: 99.0, MAINTENANCE: 99.0}
        b.run(until=300)
        assert min(len(b.service.times(item)) for item in (TERMINATION, REBALANCE, LIFECYCLE)) > 30
        assert len(b.service.times(ACTION)) > 60
        assert len(b.service.times(MAINTENANCE)) > 5

    def test_a_body_that_is_not_awss_is_the_items_own_failure(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.service.items[REBALANCE] = "<html>"
        assert failures(b.run(until=30)) == [(0, REBALANCE, MetadataMalformed)]


class TestTheTokenFails:
    def test_past_the_hop_limit_each_poll_takes_a_second_and_says_it_once(self, bench: Callable[..., Bench]) -> None:
        b = bench(replace(EVERYTHING, timeout=1.5))
        b.service.slow[TOKEN_PATH] = 99.0
        b.run(until=60)
        assert failures(b.said) == [(0, ACTION, MetadataTokenUnanswered)]
        assert {round(ended - began, 3) for began, ended in b.polls} == {1.0}
        assert b.watcher.version == ""

    def test_with_imdsv1_allowed_the_verdict_costs_a_second_a_minute(self, bench: Callable[..., Bench]) -> None:
        b = bench(replace(EVERYTHING, imdsv1=True))
        b.service.slow[TOKEN_PATH] = 99.0
        b.run(until=119)
        assert len(b.service.times(TOKEN_PATH)) == 2
        assert all(TOKEN_HEADER not in request.headers for _, _, request in b.service.asked)
        (remark,) = [o for _, o in b.said if isinstance(o, Remark)]
        assert (remark.name, remark.warning) == ("imdsv1", True)
        assert "hop-limit" in remark.message
        assert b.watcher.version == "IMDSv1"

    def test_a_poll_that_has_no_time_for_a_token_does_not_fall_back(self, bench: Callable[..., Bench]) -> None:
        b = bench(replace(EVERYTHING, imdsv1=True))
        b.service.slow[TOKEN_PATH] = 0.04
        b.poll(at_most=0.03)
        assert [type(o.error) for _, o in b.said if isinstance(o, Failed)] == [MetadataTimedOut]
        b.poll()
        assert b.watcher.version == "IMDSv2"

    def test_where_a_token_is_required_and_never_comes_a_poll_waits_for_one_only(
        self, bench: Callable[..., Bench]
    ) -> None:
        """IMDSv1 is allowed by the settings, but not by the instance."""
        b = bench(replace(EVERYTHING, imdsv1=True))
        b.service.slow[TOKEN_PATH] = 99.0
        b.service.faults |= dict.fromkeys((*ITEMS, *FACTS), Response(401, ""))
        b.run(until=60)
        assert failures(b.said) == [(0, ACTION, MetadataTokenUnanswered)]
        assert all(ended - began <= 2.0 + 1e-9 for began, ended in b.polls)

    def test_what_version_answers_is_said_when_it_changes(self, bench: Callable[..., Bench]) -> None:
        b = bench(replace(ONLY_THE_NOTICE, imdsv1=True))
        names = []
        for until, seconds in ((0, 0.0), (30, 0.0), (31, 99.0), (200, 99.0), (300, 0.0)):
            b.service.slow[TOKEN_PATH] = seconds
            if until == 31:
                b.watcher.apply(replace(ONLY_THE_NOTICE, imdsv1=True), LimitSettings())
            while b.watcher.next_poll <= START.boot + until:
                b.clock.boot = max(b.clock.boot, b.watcher.next_poll)
                names += [o.name for o in b.watcher.poll() if isinstance(o, Remark)]
        assert names == ["metadata-service", "instance", "imdsv1", "metadata-service"]


class TestWhatItKnowsOfTheInstance:
    def test_the_facts_are_read_once(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.run(until=60)
        assert b.watcher.instance == InstanceFacts(*FACTS.values())
        assert {len(b.service.times(path)) for path in FACTS} == {1}

    def test_what_it_cannot_read_at_first_is_read_later(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.service.faults["placement/region"] = Response(403, "")
        assert failures(b.run(until=8)) == [(0, THE_FACTS, MetadataRefused)]
        del b.service.faults["placement/region"]
        said = b.run(until=20)
        assert said == []
        assert b.watcher.instance.region == "eu-west-1"
        assert b.service.times("placement/region") == [0, FACT_RETRY_SECONDS, 2 * FACT_RETRY_SECONDS]

    def test_what_could_not_be_read_is_asked_for_again_with_the_notice(self, bench: Callable[..., Bench]) -> None:
        b = bench(ONLY_THE_NOTICE)
        b.service.faults["instance-id"] = Response(503, "")
        b.run(until=1)
        del b.service.faults["instance-id"]
        b.service.items[ACTION] = notice("terminate")
        b.run(until=3)
        assert 2.0 < FACT_RETRY_SECONDS
        assert b.watcher.instance.id == FACTS["instance-id"]

    def test_they_are_read_though_the_notice_cannot_be(self, bench: Callable[..., Bench]) -> None:
        b = bench(ONLY_THE_NOTICE)
        b.service.items[ACTION] = "<html>"
        b.run(until=1)
        assert b.watcher.instance.id == FACTS["instance-id"]

    def test_what_the_service_does_not_have_stays_empty(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        del b.service.items["placement/region"]
        b.run(until=60)
        assert b.watcher.instance == InstanceFacts("i-0123456789abcdef0", "c6i.xlarge", "eu-west-1a", "")

    @pytest.mark.parametrize("rubbish", ["a\nb", "nul\x00", "\x1b[2J", "x" * 256, "<html>\n<body>"])
    def test_what_no_environment_variable_can_hold_is_no_fact(self, bench: Callable[..., Bench], rubbish: str) -> None:
        b = bench()
        b.service.items["instance-id"] = rubbish
        b.run(until=8)
        assert b.watcher.instance == InstanceFacts()
        assert failures(b.said) == [(0, THE_FACTS, MetadataMalformed)]

    def test_the_last_good_poll_is_when_the_notice_could_be_read(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        assert b.watcher.last_good_poll is None
        b.run(until=11)
        b.service.faults[ACTION] = Response(500, "")
        b.run(until=60)
        assert b.watcher.last_good_poll is not None
        assert b.watcher.last_good_poll.boot - START.boot == pytest.approx(10, abs=0.1)


class TestTheClocksDiffer:
    def test_it_is_said_once_with_its_size(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.service.skew = 42.0
        said = b.run(until=60)
        (remark,) = [o for _, o in said if isinstance(o, Remark)]
        assert (remark.name, remark.warning) == ("clock-skew", True)
        assert remark.values["seconds_behind_aws"] == pytest.approx(42.0, abs=0.6)

    def test_a_small_difference_is_nobodys_business(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.service.skew = 1.2
        assert b.run(until=60) == []

    def test_answers_to_failed_requests_are_dated_too(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.service.skew = 42.0
        b.service.faults[""] = Response(403, "")
        b.run(until=10)
        assert b.watcher.skew.known


class TestNewSettings:
    def test_an_item_that_is_switched_on_is_read_at_once(self, bench: Callable[..., Bench]) -> None:
        b = bench(ONLY_THE_NOTICE)
        b.run(until=9)
        b.watcher.apply(EVERYTHING, LimitSettings())
        b.run(until=9)
        assert [b.service.times(item)[-1] for item in ITEMS] == [9.0] * 5

    def test_what_was_announced_is_not_announced_again(self, bench: Callable[..., Bench]) -> None:
        b = bench()
        b.service.items |= {ACTION: notice("stop"), REBALANCE: "{}"}
        b.run(until=9)
        b.watcher.apply(replace(EVERYTHING, poll_interval=1.0), LimitSettings(rebalance=30.0))
        assert b.run(until=20) == []
        assert b.watcher.announced == {EventKind.STOP, EventKind.REBALANCE}

    def test_what_only_an_item_announced_that_is_switched_off_is_not_announced_any_more(
        self, bench: Callable[..., Bench]
    ) -> None:
        b = bench()
        b.service.items |= {ACTION: notice("terminate", 3600), TERMINATION: "2026-11-22T09:00:00Z"}
        b.run(until=1)
        b.watcher.apply(ONLY_THE_NOTICE, LimitSettings())
        del b.service.items[ACTION]
        assert withdrawn(b.run(until=20)) == [(5, EventKind.TERMINATE)]
        assert b.watcher.announced == frozenset()

    def test_the_same_endpoint_keeps_its_connection_and_another_gets_a_new_one(
        self, bench: Callable[..., Bench]
    ) -> None:
        b = bench()
        first = b.service
        b.watcher.apply(replace(EVERYTHING, poll_interval=1.0), LimitSettings())
        assert b.services == [first]
        b.watcher.apply(replace(EVERYTHING, endpoint="http://[fd00:ec2::254]"), LimitSettings())
        assert [service.endpoint for service in b.services] == ["http://169.254.169.254", "http://[fd00:ec2::254]"]
        assert [service.closed for service in b.services] == [True, False]
        b.run(until=1)
        assert b.service.times(ACTION) == [0]
        b.watcher.close()
        assert b.service.closed
