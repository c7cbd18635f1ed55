"""The IMDSv2 protocol, step by step: which request follows on which answer. No I/O and no clock but the test's own."""

from collections.abc import Callable

import pytest

from spotwatch.core.errors import (
    MetadataBroken,
    MetadataError,
    MetadataRefused,
    MetadataThrottled,
    MetadataTimedOut,
    MetadataTokenUnanswered,
    MetadataUnreachable,
    Transient,
)
from spotwatch.watch.exchange import Request, Response
from spotwatch.watch.session import (
    META_DATA,
    RENEWAL_RETRY_SECONDS,
    TOKEN_HEADER,
    TOKEN_PATH,
    TOKENLESS_SECONDS,
    TTL_HEADER,
    Flow,
    Session,
)

NOTICE = "spot/instance-action"
SIX_HOURS = 21600.0


class Clock:
    """Seconds that pass only when the test lets them."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def new(clock: Clock) -> Callable[..., Session]:
    def new(*, timeout: float = 3.0, token_ttl: float = SIX_HOURS, imdsv1: bool = False) -> Session:
        return Session(timeout=timeout, token_ttl=token_ttl, imdsv1=imdsv1, now=clock)

    return new


@pytest.fixture
def session(new: Callable[..., Session]) -> Session:
    return new()


def ok(body: str) -> Response:
    return Response(200, body)


def a_get(token: str | None, item: str = NOTICE, limit: float = 3.0) -> Request:
    """The one request for an item that is right: with exactly this token, or with no header at all."""
    return Request("GET", META_DATA + item, limit, {} if token is None else {TOKEN_HEADER: token})


def is_token_request(request: Request) -> bool:
    return (request.method, request.path) == ("PUT", TOKEN_PATH)


def result(flow: Flow, last: Response) -> str | None:
    """What the protocol makes of the last answer."""
    with pytest.raises(StopIteration) as end:
        flow.send(last)
    text: str | None = end.value.value
    return text


def failure(flow: Flow, last: Response | MetadataError) -> MetadataError:
    """The error that the last answer, or its failing to come, means."""
    with pytest.raises(MetadataError) as raised:
        flow.throw(last) if isinstance(last, MetadataError) else flow.send(last)
    return raised.value


def with_token(session: Session, token: str = "first") -> Session:  # noqa: S107 (the service's word, no secret)
    flow = session.get("mac")
    assert is_token_request(next(flow))
    flow.send(ok(token))
    result(flow, ok("06:e5:43:29:8f:0a"))
    return session


def let_the_token_request_time_out(flow: Flow, clock: Clock) -> Request:
    """As beyond the hop limit: all of its time passes; the next request."""
    clock.seconds += 1.0
    return flow.throw(MetadataTimedOut("no complete answer within 1 s"))


class TestATokenIsHadOnce:
    def test_first_a_token_is_asked_for_and_then_the_item_with_it(self, session: Session) -> None:
        flow = session.get(NOTICE)
        assert next(flow) == Request("PUT", TOKEN_PATH, 1.0, {TTL_HEADER: "21600"})
        assert flow.send(ok("secret")) == a_get("secret")
        assert result(flow, ok('{"action": "stop"}')) == '{"action": "stop"}'

    def test_the_next_item_is_asked_for_with_the_same_token(self, session: Session) -> None:
        assert next(with_token(session, "first").get("mac")) == a_get("first", "mac")

    def test_an_item_that_does_not_exist_is_none(self, session: Session) -> None:
        flow = with_token(session).get(NOTICE)
        next(flow)
        assert result(flow, Response(404, "<html>404 - Not Found</html>")) is None

    @pytest.mark.parametrize(("asked", "sent"), [(0.2, "1"), (1.0, "1"), (60.4, "60"), (90_000.0, "21600")])
    def test_the_life_asked_for_is_within_what_the_service_grants(
        self, new: Callable[..., Session], asked: float, sent: str
    ) -> None:
        assert next(new(token_ttl=asked).get(NOTICE)).headers == {TTL_HEADER: sent}

    @pytest.mark.parametrize(("timeout", "limit"), [(0.3, 0.3), (1.0, 1.0), (10.0, 1.0)])
    def test_a_token_request_takes_a_second_at_most(
        self, new: Callable[..., Session], timeout: float, limit: float
    ) -> None:
        flow = new(timeout=timeout).get(NOTICE)
        assert next(flow).limit == limit
        assert flow.send(ok("secret")).limit == timeout

    def test_white_space_around_a_token_is_not_part_of_it(self, session: Session) -> None:
        flow = session.get(NOTICE)
        next(flow)
        assert flow.send(ok("secret\r\n")) == a_get("secret")

    @pytest.mark.parametrize(
        "rubbish", ["", " \n", "tökén", "a\nX-Injected: b", "a\rb", "nul\x00", "\ufffd\ufffd", "<html>\n</html>"]
    )
    def test_what_cannot_be_a_header_is_no_token_and_is_never_sent(self, session: Session, rubbish: str) -> None:
        flow = session.get(NOTICE)
        next(flow)
        assert type(failure(flow, ok(rubbish))) is MetadataBroken
        assert is_token_request(next(session.get(NOTICE)))

    def test_how_the_item_was_asked_for_is_known_once_it_was(self, session: Session) -> None:
        flow = session.get(NOTICE)
        next(flow)
        assert session.version == ""
        flow.send(ok("secret"))
        assert session.version == "IMDSv2"


class TestATokenIsRefused:
    def test_a_new_token_replaces_it_and_the_same_item_is_asked_for_at_once(self, session: Session) -> None:
        flow = with_token(session, "first").get(NOTICE)
        assert next(flow) == a_get("first")
        assert is_token_request(flow.send(Response(401, "")))
        assert flow.send(ok("second")) == a_get("second")
        assert result(flow, ok("{}")) == "{}"
        assert next(session.get(NOTICE)) == a_get("second")

    def test_a_second_refusal_is_the_end_of_it(self, session: Session) -> None:
        flow = with_token(session).get(NOTICE)
        next(flow)
        flow.send(Response(401, ""))
        flow.send(ok("second"))
        error = failure(flow, Response(401, ""))
        assert type(error) is MetadataRefused
        assert "401" in error.message
        assert error.hint

    @pytest.mark.parametrize("trouble", [Response(503, ""), Response(500, ""), Response(403, ""), ok("")])
    @pytest.mark.parametrize("imdsv1", [False, True])
    def test_if_no_new_one_can_be_had_nothing_is_asked_for_without_one(
        self, new: Callable[..., Session], trouble: Response, imdsv1: bool
    ) -> None:
        """A refused token leaves no life behind on which the next request could go out bare, as IMDSv1."""
        session = with_token(new(imdsv1=imdsv1))
        for _ in range(2):
            flow = session.get(NOTICE)
            request = next(flow)
            if not is_token_request(request):
                assert request == a_get("first")
                assert is_token_request(flow.send(Response(401, "")))
            failure(flow, trouble)
        assert is_token_request(next(session.get(NOTICE)))


class TestATokenGrowsOld:
    def test_it_is_renewed_when_nine_tenths_of_its_life_are_over(self, session: Session, clock: Clock) -> None:
        with_token(session, "first")
        clock.seconds += 0.9 * SIX_HOURS - 1
        assert next(session.get(NOTICE)) == a_get("first")
        clock.seconds += 1
        flow = session.get(NOTICE)
        assert is_token_request(next(flow))
        assert flow.send(ok("second")) == a_get("second")

    def test_its_age_counts_from_when_it_was_asked_for(self, new: Callable[..., Session], clock: Clock) -> None:
        session = new(token_ttl=10.0)
        flow = session.get(NOTICE)
        next(flow)
        clock.seconds += 0.9
        flow.send(ok("first"))
        clock.seconds += 8.1
        assert is_token_request(next(session.get(NOTICE)))

    @pytest.mark.parametrize(
        "trouble",
        [
            MetadataTimedOut("late"),
            MetadataUnreachable("refused"),
            Response(503, ""),
            Response(500, ""),
            Response(403, ""),
            Response(405, ""),
            ok("not\na\ntoken"),
        ],
    )
    @pytest.mark.parametrize("imdsv1", [False, True])
    def test_if_the_renewal_fails_the_old_one_serves_on_and_a_minute_later_it_is_tried_again(
        self, new: Callable[..., Session], clock: Clock, trouble: Response | MetadataError, imdsv1: bool
    ) -> None:
        session = with_token(new(imdsv1=imdsv1))
        clock.seconds += 0.9 * SIX_HOURS
        flow = session.get(NOTICE)
        next(flow)
        clock.seconds += 1
        after = flow.throw(trouble) if isinstance(trouble, MetadataError) else flow.send(trouble)
        assert after == a_get("first")
        clock.seconds += RENEWAL_RETRY_SECONDS - 1
        assert next(session.get(NOTICE)) == a_get("first")
        clock.seconds += 1
        assert is_token_request(next(session.get(NOTICE)))

    def test_past_its_life_it_serves_no_more_and_the_failure_is_said(self, session: Session, clock: Clock) -> None:
        with_token(session)
        clock.seconds += SIX_HOURS
        flow = session.get(NOTICE)
        next(flow)
        assert type(failure(flow, Response(503, ""))) is MetadataThrottled
        assert is_token_request(next(session.get(NOTICE)))


class TestATokenRequestIsNeverAnswered:
    """How an exceeded hop limit shows: the answer is dropped on its way."""

    def test_the_error_names_the_cure(self, session: Session, clock: Clock) -> None:
        flow = session.get(NOTICE)
        next(flow)
        clock.seconds += 1.0
        error = failure(flow, MetadataTimedOut("no complete answer within 1 s"))
        assert type(error) is MetadataTokenUnanswered
        assert isinstance(error, Transient)
        assert "--http-put-response-hop-limit 2" in error.hint

    def test_it_is_asked_for_without_one_only_if_the_settings_allow_it(
        self, new: Callable[..., Session], clock: Clock
    ) -> None:
        session = new(imdsv1=True)
        flow = session.get(NOTICE)
        next(flow)
        assert let_the_token_request_time_out(flow, clock) == a_get(None)
        assert result(flow, ok("{}")) == "{}"
        assert session.version == "IMDSv1"

    def test_the_verdict_is_remembered_for_a_minute(self, new: Callable[..., Session], clock: Clock) -> None:
        session = new(imdsv1=True)
        flow = session.get(NOTICE)
        next(flow)
        let_the_token_request_time_out(flow, clock)
        clock.seconds += TOKENLESS_SECONDS - 1
        assert next(session.get(NOTICE)) == a_get(None)
        clock.seconds += 1
        flow = session.get(NOTICE)
        assert is_token_request(next(flow))
        assert flow.send(ok("secret")) == a_get("secret")
        assert session.version == "IMDSv2"

    def test_a_request_that_had_no_time_to_be_answered_gives_no_verdict(
        self, new: Callable[..., Session], clock: Clock
    ) -> None:
        session = new(imdsv1=True)
        flow = session.get(NOTICE)
        next(flow)
        clock.seconds += 0.01
        assert type(failure(flow, MetadataTimedOut("the time of this poll is used up"))) is MetadataTimedOut
        assert is_token_request(next(session.get(NOTICE)))

    def test_a_short_limit_of_its_own_is_time_enough(self, new: Callable[..., Session], clock: Clock) -> None:
        flow = new(timeout=0.02).get(NOTICE)
        next(flow)
        clock.seconds += 0.02
        assert type(failure(flow, MetadataTimedOut("late"))) is MetadataTokenUnanswered

    def test_a_refused_connection_gives_no_verdict(self, new: Callable[..., Session]) -> None:
        session = new(imdsv1=True)
        flow = session.get(NOTICE)
        next(flow)
        assert type(failure(flow, MetadataUnreachable("refused"))) is MetadataUnreachable
        assert is_token_request(next(session.get(NOTICE)))

    def test_the_want_of_a_token_is_the_trouble_where_one_is_required(
        self, new: Callable[..., Session], clock: Clock
    ) -> None:
        """Transient, so that a poll ends with it and does not wait a second for each item."""
        session = new(imdsv1=True)
        flow = session.get(NOTICE)
        next(flow)
        let_the_token_request_time_out(flow, clock)
        error = failure(flow, Response(401, ""))
        assert type(error) is MetadataTokenUnanswered
        assert "hop-limit" in error.hint

    def test_a_remembered_verdict_falls_when_a_token_is_required(
        self, new: Callable[..., Session], clock: Clock
    ) -> None:
        session = new(imdsv1=True)
        flow = session.get(NOTICE)
        next(flow)
        let_the_token_request_time_out(flow, clock)
        result(flow, ok("{}"))
        flow = session.get(NOTICE)
        assert next(flow) == a_get(None)
        assert is_token_request(flow.send(Response(401, "")))
        assert flow.send(ok("secret")) == a_get("secret")

    def test_a_revoked_token_is_replaced_by_none_where_none_is_needed(
        self, new: Callable[..., Session], clock: Clock
    ) -> None:
        flow = with_token(new(imdsv1=True)).get(NOTICE)
        next(flow)
        flow.send(Response(401, ""))
        assert let_the_token_request_time_out(flow, clock) == a_get(None)
        assert result(flow, Response(404, "")) is None


class TestAServiceThatKnowsNoTokens:
    @pytest.mark.parametrize("status", [404, 405, 501])
    def test_is_refused_with_the_setting_that_would_allow_it(self, session: Session, status: int) -> None:
        flow = session.get(NOTICE)
        next(flow)
        error = failure(flow, Response(status, ""))
        assert type(error) is MetadataRefused
        assert "metadata.imdsv1 = true" in error.hint

    @pytest.mark.parametrize("status", [404, 405, 501])
    def test_is_asked_without_one_if_the_settings_allow_it(self, new: Callable[..., Session], status: int) -> None:
        flow = new(imdsv1=True).get(NOTICE)
        next(flow)
        assert flow.send(Response(status, "")) == a_get(None)


STATUSES = [
    (204, MetadataBroken),
    (301, MetadataBroken),
    (400, MetadataRefused),
    (403, MetadataRefused),
    (418, MetadataBroken),
    (429, MetadataThrottled),
    (500, MetadataBroken),
    (502, MetadataBroken),
    (503, MetadataThrottled),
]


@pytest.mark.parametrize(("status", "meaning"), [*STATUSES, (405, MetadataRefused)])
def test_what_a_status_means_for_an_item(session: Session, status: int, meaning: type[MetadataError]) -> None:
    flow = with_token(session).get(NOTICE)
    next(flow)
    error = failure(flow, Response(status, "<html>"))
    assert type(error) is meaning
    assert NOTICE in error.message
    assert str(status) in error.message
    assert isinstance(error, Transient) or error.hint


@pytest.mark.parametrize(("status", "meaning"), [*STATUSES, (401, MetadataRefused)])
@pytest.mark.parametrize("imdsv1", [False, True])
def test_what_a_status_means_for_a_token(
    new: Callable[..., Session], status: int, meaning: type[MetadataError], imdsv1: bool
) -> None:
    flow = new(imdsv1=imdsv1).get(NOTICE)
    next(flow)
    error = failure(flow, Response(status, "<html>"))
    assert type(error) is meaning
    assert "token" in error.message


def test_a_service_that_is_switched_off_is_to_be_switched_on(session: Session) -> None:
    flow = session.get(NOTICE)
    next(flow)
    assert "--http-endpoint enabled" in failure(flow, Response(403, "")).hint


@pytest.mark.parametrize("error", [MetadataTimedOut("late"), MetadataUnreachable("reset"), MetadataBroken("endless")])
def test_an_item_that_cannot_be_had_is_not_asked_for_again_and_its_token_stays(
    session: Session, error: MetadataError
) -> None:
    flow = with_token(session, "first").get(NOTICE)
    next(flow)
    assert failure(flow, error) is error
    assert next(session.get(NOTICE)) == a_get("first")
