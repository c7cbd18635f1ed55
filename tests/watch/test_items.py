"""What each item's body means and when it is news; what is not from AWS is MetadataMalformed and nothing else."""

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spotwatch.core.deadline import LEAST_SECONDS, PROMISED_SECONDS, UNNAMED_SECONDS
from spotwatch.core.errors import MetadataMalformed
from spotwatch.core.event import Event, EventKind
from spotwatch.core.instant import Instant, format_utc
from spotwatch.core.settings import LimitSettings
from spotwatch.watch.items import (
    ABSENCES,
    LIFECYCLE_STATES,
    InstanceAction,
    Item,
    Maintenance,
    Reading,
    Rebalance,
    TargetLifecycleState,
    TerminationTime,
)
from spotwatch.watch.observations import Announced, Observation, Remark, Withdrawn

NOW = Instant(boot=5_000.0, utc=datetime(2026, 11, 22, 8, 20, tzinfo=UTC))
NO_SKEW = timedelta()
LIMITS = LimitSettings()
ITEMS: list[Callable[[], Item]] = [InstanceAction, TerminationTime, Rebalance, Maintenance, TargetLifecycleState]


def take(item: Item, body: str | None, *, after: float = 0.0, skew: timedelta = NO_SKEW) -> list[Observation]:
    """Feed one answer, read `after` seconds from NOW."""
    at = Instant(NOW.boot + after, NOW.utc + timedelta(seconds=after))
    return list(item.take(body, Reading(at, skew, LIMITS)))


def event(observations: list[Observation]) -> Event:
    """The one event that is announced."""
    (announced,) = [o for o in observations if isinstance(o, Announced)]
    return announced.event


def remark(observations: list[Observation]) -> Remark:
    """The one remark that is made."""
    (found,) = [o for o in observations if isinstance(o, Remark)]
    return found


def text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def in_seconds(number: float) -> str:
    return text(NOW.utc + timedelta(seconds=number))


def notice(action: object = "terminate", time: object = None) -> str:
    return json.dumps({"action": action, "time": in_seconds(120) if time is None else time})


def scheduled(
    not_before: str, *, code: object = "instance-retirement", state: str = "active", event_id: object = "e-1"
) -> dict[str, Any]:
    words = {"Code": code, "State": state, "EventId": event_id, "Description": "because", "NotBefore": not_before}
    return {**words, "NotAfter": "21 Jan 2027 09:00:43 GMT"}


def gmt(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %Y %H:%M:%S} GMT"


class TestInstanceAction:
    @pytest.mark.parametrize(("action", "seconds"), [("terminate", 120.0), ("stop", 120.0), ("hibernate", 10.0)])
    def test_a_notice_is_announced_with_its_deadline(self, action: str, seconds: float) -> None:
        found = event(take(InstanceAction(), notice(action)))
        assert found == Event(EventKind(action), action, NOW.utc + timedelta(seconds=120), NOW.boot, NOW.boot + seconds)

    def test_it_is_announced_once(self) -> None:
        item = InstanceAction()
        assert len(take(item, notice())) == 1
        assert [take(item, notice(), after=after) for after in range(2, 120, 2)] == [[]] * 59

    @pytest.mark.parametrize("ahead", [-7200, -30, 30, 7200])
    def test_the_deadline_allows_for_the_skew(self, ahead: int) -> None:
        """The time is AWS's, which is two minutes from now on AWS's clock."""
        aws_time = text(NOW.utc + timedelta(seconds=ahead + 90))
        found = event(take(InstanceAction(), notice(time=aws_time), skew=timedelta(seconds=ahead)))
        assert found.deadline == NOW.boot + 90

    def test_a_time_that_moved_closer_is_news(self) -> None:
        item = InstanceAction()
        take(item, notice(time=in_seconds(110)))
        assert event(take(item, notice(time=in_seconds(60)))).deadline == NOW.boot + 60

    @pytest.mark.parametrize("moved", [0, 30, 3600])
    def test_a_time_that_moves_away_is_none(self, moved: int) -> None:
        """As amazon-ec2-metadata-mock's does at every request."""
        item = InstanceAction()
        take(item, notice(time=in_seconds(110)))
        assert take(item, notice(time=in_seconds(110 + moved)), after=moved) == []

    def test_another_action_is_news(self) -> None:
        item = InstanceAction()
        take(item, notice("stop"))
        assert event(take(item, notice("terminate"))).kind is EventKind.TERMINATE

    @pytest.mark.parametrize(
        ("action", "named"),
        [("explode", "explode"), ("Terminate", "Terminate"), (None, "terminate"), (["stop"], "terminate")],
    )
    def test_an_unknown_action_is_drained_as_terminate_with_a_warning(self, action: object, named: str) -> None:
        item = InstanceAction()
        said = take(item, notice(action))
        assert (event(said).kind, event(said).action) == (EventKind.TERMINATE, named)
        assert remark(said).warning
        assert "unknown action" in remark(said).message
        assert take(item, notice(action), after=2) == []

    @pytest.mark.parametrize("action", ["nul\x00", "two\nlines", "\ud800", "\x1b[31m", "a" * 65])
    def test_a_word_that_no_environment_variable_can_hold_is_not_passed_on(self, action: str) -> None:
        assert event(take(InstanceAction(), notice(action))).action == "terminate"

    @pytest.mark.parametrize(
        "time",
        [
            "",
            "soon",
            "08:22",
            "2026-13-01T00:00:00Z",
            5,
            ["2026"],
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
        ],
    )
    def test_without_a_readable_time_the_least_ever_seen_is_taken(self, time: object) -> None:
        said = take(InstanceAction(), notice("stop", time))
        assert event(said).notice_time is None
        assert event(said).deadline == NOW.boot + UNNAMED_SECONDS
        assert "no readable time" in remark(said).message

    @pytest.mark.parametrize("time", ["9999-12-31T23:59:59Z", in_seconds(3600)])
    def test_a_time_beyond_the_promise_is_not_believed(self, time: str) -> None:
        assert event(take(InstanceAction(), notice(time=time))).deadline == NOW.boot + PROMISED_SECONDS

    def test_a_time_that_has_passed_leaves_the_least(self) -> None:
        assert event(take(InstanceAction(), notice(time=in_seconds(-30)))).deadline == NOW.boot + LEAST_SECONDS

    @pytest.mark.parametrize("time", [in_seconds(-5_001), "0001-01-01T00:00:00Z"])
    def test_a_time_before_this_boot_is_a_left_over_and_no_notice(self, time: str) -> None:
        item = InstanceAction()
        said = take(item, notice("stop", time))
        assert remark(said).name == "stale-notice"
        assert len(said) == 1
        assert take(item, notice("stop", time), after=2) == []

    def test_whether_it_is_a_left_over_is_told_by_awss_clock(self) -> None:
        """The system's clock is an hour ahead, and the instance runs for less than that."""
        skew = timedelta(hours=-1)
        aws_time = text(NOW.utc + skew + timedelta(seconds=100))
        at = Instant(boot=600.0, utc=NOW.utc)
        said = list(InstanceAction().take(notice(time=aws_time), Reading(at, skew, LIMITS)))
        assert event(said).deadline == 700.0

    @pytest.mark.parametrize("body", ["{}", '{"action": ""}', '{"message": "not found"}', '{"action": 1, "time": 2}'])
    def test_an_object_that_names_neither_action_nor_time_is_no_notice(self, body: str) -> None:
        with pytest.raises(MetadataMalformed):
            take(InstanceAction(), body)


class TestTerminationTime:
    def test_a_time_is_a_termination(self) -> None:
        found = event(take(TerminationTime(), in_seconds(90) + "\n"))
        assert (found.kind, found.action, found.deadline) == (EventKind.TERMINATE, "terminate", NOW.boot + 90)

    @pytest.mark.parametrize(
        "body", [None, "", "none", "2015", "<html>", "9999-12-31T23:59:59-01:00", in_seconds(-121), in_seconds(-86_400)]
    )
    def test_what_is_no_time_or_long_past_is_no_notice(self, body: str | None) -> None:
        item = TerminationTime()
        assert [take(item, body) for _ in range(5)] == [[]] * 5

    def test_what_is_past_is_told_by_awss_clock(self) -> None:
        """The system's clock is an hour ahead; the time is 90 s from now."""
        found = take(TerminationTime(), in_seconds(90 - 3600), skew=timedelta(hours=-1))
        assert event(found).deadline == NOW.boot + 90

    def test_a_termination_that_ec2_missed_is_withdrawn(self) -> None:
        item = TerminationTime()
        take(item, in_seconds(90))
        said = [take(item, in_seconds(90), after=after) for after in range(200, 230, 2)]
        assert [words for words in said if words] == [[Withdrawn(EventKind.TERMINATE)]]


class TestRebalance:
    def test_a_recommendation_is_not_urgent_whenever_it_was_made(self) -> None:
        found = event(take(Rebalance(), json.dumps({"noticeTime": in_seconds(-86_400)})))
        assert found.kind is EventKind.REBALANCE
        assert found.deadline == NOW.boot + LIMITS.rebalance

    def test_it_is_announced_once(self) -> None:
        item = Rebalance()
        take(item, json.dumps({"noticeTime": in_seconds(0)}))
        assert take(item, json.dumps({"noticeTime": in_seconds(30)}), after=30) == []

    def test_a_shorter_limit_does_not_announce_it_again(self) -> None:
        item, body = Rebalance(), json.dumps({"noticeTime": in_seconds(0)})
        take(item, body)
        assert list(item.take(body, Reading(NOW, NO_SKEW, LimitSettings(rebalance=5.0)))) == []

    @pytest.mark.parametrize("body", ["{}", '{"noticeTime": "soon"}', '{"noticeTime": 0}'])
    def test_it_counts_without_a_readable_time(self, body: str) -> None:
        assert event(take(Rebalance(), body)).notice_time is None


class TestMaintenance:
    def test_one_that_is_days_ahead_is_only_mentioned_and_once(self) -> None:
        item, body = Maintenance(), json.dumps([scheduled(gmt(NOW.utc + timedelta(days=3)))])
        said = take(item, body)
        assert (remark(said).name, remark(said).warning, len(said)) == ("maintenance-scheduled", False, 1)
        assert remark(said).values == {"event_id": "e-1", "not_before": format_utc(NOW.utc + timedelta(days=3))}
        assert take(item, body, after=30) == []

    def test_one_that_was_put_off_is_mentioned_again(self) -> None:
        item = Maintenance()
        days = [json.dumps([scheduled(gmt(NOW.utc + timedelta(days=days)))]) for days in (3, 9)]
        assert [len(take(item, body)) for body in (days[0], None, days[0], days[1], days[1])] == [1, 0, 0, 1, 0]

    def test_one_is_announced_when_its_hooks_have_to_begin(self) -> None:
        item, begins = Maintenance(), NOW.utc + timedelta(seconds=1000)
        body = json.dumps([scheduled(gmt(begins))])
        assert [o for o in take(item, body, after=399) if isinstance(o, Announced)] == []
        assert event(take(item, body, after=401)) == Event(
            EventKind.MAINTENANCE, "instance-retirement", begins, NOW.boot + 401, NOW.boot + 1000
        )
        assert take(item, body, after=431) == []

    def test_one_that_has_begun_gets_the_limit_once(self) -> None:
        item, body = Maintenance(), json.dumps([scheduled(gmt(NOW.utc - timedelta(hours=1)))])
        assert event(take(item, body)).deadline == NOW.boot + LIMITS.maintenance
        assert take(item, body, after=30) == []

    def test_the_nearest_counts(self) -> None:
        later, sooner = (gmt(NOW.utc + timedelta(seconds=s)) for s in (500, 200))
        body = json.dumps([scheduled(later), scheduled(sooner, code="system-reboot", event_id="e-2")])
        said = take(Maintenance(), body)
        assert (event(said).action, event(said).deadline) == ("system-reboot", NOW.boot + 200)

    @pytest.mark.parametrize("state", ["completed", "canceled"])
    def test_one_that_is_not_active_is_nothing(self, state: str) -> None:
        assert take(Maintenance(), json.dumps([scheduled(gmt(NOW.utc), state=state)])) == []

    @pytest.mark.parametrize("body", [None, "", "[]", " [ ] \n"])
    def test_none_is_nothing(self, body: str | None) -> None:
        assert take(Maintenance(), body) == []

    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("1 Jan 2027 09:00:43 GMT", datetime(2027, 1, 1, 9, 0, 43, tzinfo=UTC)),
            ("21 Dec 2026 09:00:43 GMT", datetime(2026, 12, 21, 9, 0, 43, tzinfo=UTC)),
            ("21 Dec 2026 09:00:43 -0000", datetime(2026, 12, 21, 9, 0, 43, tzinfo=UTC)),
            ("21 Dec 2026 09:00:43 +0900", datetime(2026, 12, 21, 0, 0, 43, tzinfo=UTC)),
        ],
    )
    def test_dates_are_read_as_aws_writes_them(self, written: str, meant: datetime) -> None:
        assert remark(take(Maintenance(), json.dumps([scheduled(written)]))).values["not_before"] == format_utc(meant)

    @pytest.mark.parametrize(
        "entry",
        [
            "instance-stop",
            None,
            {},
            {"Code": "instance-stop"},
            scheduled("2027-01-21T09:00:43Z"),
            scheduled("21 Jan 99999999999999999999 09:00:43 GMT"),
            scheduled("31 Dec 9999 23:59:59 -0100"),
            scheduled("21 Jan 2027 09:00:43 +99999999999999999999"),
            scheduled("21 Jan 2027 09:00:43 GMT", code="nul\x00"),
            scheduled("21 Jan 2027 09:00:43 GMT", code="\ud800"),
            scheduled("21 Jan 2027 09:00:43 GMT", event_id=["e-1"]),
        ],
    )
    def test_an_entry_that_is_not_awss_spoils_the_whole_answer(self, entry: object) -> None:
        item = Maintenance()
        with pytest.raises(MetadataMalformed):
            take(item, json.dumps([scheduled(gmt(NOW.utc)), entry]))
        assert event(take(item, json.dumps([scheduled(gmt(NOW.utc))])))


class TestTargetLifecycleState:
    def test_terminated_is_announced_always(self) -> None:
        found = event(take(TargetLifecycleState(), "Terminated\n"))
        assert (found.kind, found.action) == (EventKind.LIFECYCLE, "Terminated")
        assert found.deadline == NOW.boot + LIMITS.lifecycle

    @pytest.mark.parametrize("state", sorted(LIFECYCLE_STATES - {"InService", "Terminated"}))
    def test_any_other_state_is_left_for_only_out_of_service(self, state: str) -> None:
        """An instance on its way into a warm pool has nothing to leave."""
        item = TargetLifecycleState()
        assert take(item, state) == []
        assert take(item, "InService") == []
        assert event(take(item, state)).action == state
        assert take(item, state) == []

    @pytest.mark.parametrize(
        "body", ["", "\n", "Terminate", "terminated", "Warmed:", "<html>OK</html>", "\x00\x01", "OK"]
    )
    def test_a_text_that_is_no_state_takes_nobody_out_of_service(self, body: str) -> None:
        item = TargetLifecycleState()
        take(item, "InService")
        with pytest.raises(MetadataMalformed):
            take(item, body)

    def test_back_in_service_withdraws_it(self) -> None:
        item = TargetLifecycleState()
        take(item, "Terminated")
        assert [take(item, "InService") for _ in range(4)] == [[], [], [Withdrawn(EventKind.LIFECYCLE)], []]


ANNOUNCING: list[tuple[Callable[[], Item], str, EventKind]] = [
    (InstanceAction, notice("stop"), EventKind.STOP),
    (TerminationTime, in_seconds(120), EventKind.TERMINATE),
    (Rebalance, json.dumps({"noticeTime": in_seconds(0)}), EventKind.REBALANCE),
    (Maintenance, json.dumps([scheduled(gmt(NOW.utc))]), EventKind.MAINTENANCE),
    (Maintenance, json.dumps([scheduled(gmt(NOW.utc + timedelta(seconds=60)))]), EventKind.MAINTENANCE),
    (TargetLifecycleState, "Terminated", EventKind.LIFECYCLE),
]


@pytest.mark.parametrize(("new", "body", "kind"), ANNOUNCING)
class TestWithdrawal:
    def test_needs_three_absences_in_a_row(self, new: Callable[[], Item], body: str, kind: EventKind) -> None:
        item = new()
        take(item, body)
        assert [take(item, None) for _ in range(ABSENCES)] == [[], [], [Withdrawn(kind)]]
        assert take(item, None) == []

    def test_absences_that_are_not_in_a_row_withdraw_nothing(
        self, new: Callable[[], Item], body: str, kind: EventKind
    ) -> None:
        item = new()
        assert event(take(item, body)).kind is kind
        assert [take(item, answer) for answer in (None, None, body, None, None, body, None, None)] == [[]] * 8

    def test_what_comes_back_is_announced_again(self, new: Callable[[], Item], body: str, kind: EventKind) -> None:
        item = new()
        for answer in (body, None, None, None):
            take(item, answer)
        assert event(take(item, body)).kind is kind


MALFORMED = [
    "{",
    "[",
    "null",
    "1",
    '"terminate"',
    "<html></html>",
    "[" * 60_000,
    '{"time": ' + "9" * 5_000 + "}",
    "\ufffd",
]


@pytest.mark.parametrize("body", MALFORMED)
@pytest.mark.parametrize(("new", "present", "kind"), ANNOUNCING)
def test_a_malformed_answer_neither_announces_nor_withdraws(
    new: Callable[[], Item], present: str, kind: EventKind, body: str
) -> None:
    item = new()
    assert event(take(item, present)).kind is kind
    for _ in range(2):
        with contextlib.suppress(MetadataMalformed):
            assert take(item, body) == []


# Bodies that are nearly right go deeper than bytes by chance.
TIMES = st.one_of(
    st.text(max_size=30),
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.sampled_from(["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "31 Dec 9999 23:59:59 -2359"]),
    st.from_regex(
        r"[0-9]{1,2} (Jan|Feb|Dec) [0-9]{1,20} [0-9]{1,4}:[0-9]{2}:[0-9]{2} [-+GMT]+[0-9]{0,12}", fullmatch=True
    ),
)
VALUES = st.one_of(
    TIMES,
    st.sampled_from(["terminate", "stop", "active", "\x00", "\ud800"]),
    st.none() | st.booleans() | st.floats() | st.integers(),
    st.lists(st.integers(), max_size=2),
)
KEYS = st.sampled_from(["action", "time", "noticeTime", "Code", "EventId", "State", "Description", "NotBefore"])
OBJECTS = st.dictionaries(KEYS, VALUES)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.one_of(OBJECTS, st.lists(OBJECTS, max_size=3), VALUES).map(lambda value: json.dumps(value).encode()),
    TIMES.map(lambda words: words.encode(errors="replace")),
)
YEARS_OF_SKEW = st.timedeltas(timedelta(days=-57 * 365), timedelta(days=173 * 365))


@pytest.mark.parametrize("new", ITEMS)
@given(bodies=st.lists(st.none() | BODIES, min_size=1, max_size=6), skew=YEARS_OF_SKEW)
@example(bodies=[b'{"action": "stop", "time": "9999-12-31T23:59:59-01:00"}'], skew=timedelta())
@example(bodies=[b"[" * 60_000], skew=timedelta())
@example(bodies=[b'{"action": ' + b"[" * 400 + b"]" * 400 + b"}"], skew=timedelta())
@settings(deadline=None, max_examples=60)
def test_no_body_raises_anything_but_malformed(
    new: Callable[[], Item], bodies: list[bytes | None], skew: timedelta
) -> None:
    """And whatever is announced can be shown, logged and put into an environment."""
    item = new()
    for body in bodies:
        try:
            said = take(item, None if body is None else body.decode(errors="replace"), skew=skew)
        except MetadataMalformed:
            continue
        for observation in said:
            if isinstance(observation, Announced):
                assert observation.event.action.isprintable()
                assert LEAST_SECONDS <= observation.event.deadline - NOW.boot <= 600
                assert observation.event.notice_time is None or format_utc(observation.event.notice_time)
