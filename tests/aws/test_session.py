"""One owner of patience, one mapper of errors: whatever happens between here and AWS comes out as an `AwsError`."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import boto3.session
import pytest
from botocore import eventstream, parsers
from botocore import exceptions as botocore_errors
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Response

from spotwatch.aws.errors import aws_error, iam_action
from spotwatch.aws.session import GARBLED_AT_MOST, Api, Session, patiently
from spotwatch.core.errors import (
    AwsBroken,
    AwsConflict,
    AwsDenied,
    AwsError,
    AwsGarbled,
    AwsNotFound,
    AwsRefused,
    AwsThrottled,
    AwsUnreachable,
    Transient,
)
from tests.aws.conftest import ScriptedAws, VirtualClock, refusal, throttled, unauthorized, xml


def exceptions_of(module: Any) -> list[type[Exception]]:
    members = vars(module).values()
    found = [one for one in members if isinstance(one, type) and issubclass(one, Exception)]
    return [one for one in found if one.__module__ == module.__name__ and not issubclass(one, Warning)]


FOREIGN = [*exceptions_of(botocore_errors), *exceptions_of(parsers), *exceptions_of(eventstream)]


def made(error: type[Exception]) -> Exception:
    """One of these, though its constructor may want what only botocore has."""
    if issubclass(error, botocore_errors.ClientError):
        return error({"Error": {"Code": "Strange", "Message": "made up"}, "ResponseMetadata": {}}, "DescribeVolumes")
    exception = error.__new__(error, "made up")
    exception.args = ("made up",)
    return exception


@pytest.fixture
def ec2(session: Session, aws: ScriptedAws) -> Api:  # noqa: ARG001 (the endpoint that the session finds)
    return session.api("ec2")


VOLUMES = xml("DescribeVolumes", "<volumeSet/>")


@pytest.fixture(scope="module")
def failing() -> list[Exception]:
    """The error that every call ends with, before it is sent."""
    return []


@pytest.fixture(scope="module")
def failing_ec2(failing: list[Exception]) -> Api:
    """One for all, because to make one takes botocore a tenth of a second."""

    def fail(**_event: object) -> None:
        raise failing[-1]

    session = boto3.session.Session(
        region_name="us-east-1", aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="nothing"
    )
    client = session.client("ec2")
    client.meta.events.register("before-send", fail)
    return Api("ec2", client, VirtualClock(), 2_000.0)


# ---------------------------------------------------------------------------------------------- foreign exceptions


def test_the_enumeration_finds_what_is_known_to_be_there() -> None:
    names = {error.__name__ for error in FOREIGN}
    assert {"ClientError", "ConnectTimeoutError", "ReadTimeoutError", "ResponseParserError", "NoRegionError"} <= names
    assert len(names) > 80


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: error.__name__)
def test_no_exception_of_botocore_escapes(failing_ec2: Api, failing: list[Exception], error: type[Exception]) -> None:
    failing.append(made(error))
    with pytest.raises(AwsError, match="ec2:DescribeVolumes") as raised:
        failing_ec2.attempt("DescribeVolumes")
    assert raised.value.__cause__ is not None


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: error.__name__)
def test_each_that_is_no_answer_has_a_hint(error: type[Exception]) -> None:
    assert issubclass(error, botocore_errors.ClientError) or aws_error(made(error), "ec2", "DescribeVolumes").hint


TRIED_AGAIN = {
    "CapacityNotAvailableError", "ChecksumError", "ConnectTimeoutError", "ConnectionClosedError", "ConnectionError",
    "EndpointConnectionError", "FlexibleChecksumError", "HTTPClientError", "IncompleteReadError",
    "ProxyConnectionError", "ReadTimeoutError", "ResponseParserError", "ResponseStreamingError", "SSLError",
    "UndefinedModelAttributeError", "MissingServiceIdError",
    # of the event stream's parser
    "ChecksumMismatch", "DuplicateHeader", "InvalidHeadersLength", "InvalidPayloadLength", "NoInitialResponseError",
    "ParserError",
}  # fmt: skip


WITHOUT_ANSWER = [error for error in FOREIGN if not issubclass(error, botocore_errors.ClientError)]


@pytest.mark.parametrize("error", WITHOUT_ANSWER, ids=lambda error: error.__name__)
def test_only_trouble_on_the_way_is_tried_again(error: type[Exception]) -> None:
    mapped = aws_error(made(error), "ec2", "DescribeVolumes")
    assert isinstance(mapped, Transient) == (error.__name__ in TRIED_AGAIN)


NO_CREDENTIALS = [
    botocore_errors.NoCredentialsError(),
    botocore_errors.PartialCredentialsError(provider="env", cred_var="aws_secret_access_key"),
    botocore_errors.CredentialRetrievalError(provider="process", error_msg="exit 1"),
    botocore_errors.TokenRetrievalError(provider="sso", error_msg="expired"),
    botocore_errors.UnauthorizedSSOTokenError(),
    botocore_errors.ProfileNotFound(profile="work"),
]


@pytest.mark.parametrize("error", NO_CREDENTIALS, ids=lambda error: type(error).__name__)
def test_missing_credentials_are_a_denial_that_says_where_to_set_them(error: Exception) -> None:
    denied = aws_error(error, "ec2", "DescribeVolumes")
    assert type(denied) is AwsDenied
    assert "AWS_PROFILE" in denied.hint
    assert "ec2:DescribeVolumes" in denied.hint


def test_a_certificate_that_nobody_trusts_is_not_tried_again() -> None:
    error = botocore_errors.SSLError(endpoint_url="https://x", error="[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")
    refused = aws_error(error, "ec2", "DescribeVolumes")
    assert type(refused) is AwsRefused
    assert "AWS_CA_BUNDLE" in refused.hint


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), TypeError("x"), AttributeError("x")])
def test_what_botocore_s_parsers_stumble_over_is_a_broken_answer(
    failing_ec2: Api, failing: list[Exception], error: Exception
) -> None:
    failing.append(error)
    with pytest.raises(AwsBroken):
        failing_ec2.attempt("DescribeVolumes")


# ------------------------------------------------------------------------------------------------- what AWS refuses

CODES = {
    ("RequestLimitExceeded", 503): AwsThrottled,
    ("Throttling", 400): AwsThrottled,
    ("SomethingNew", 429): AwsThrottled,
    ("UnauthorizedOperation", 403): AwsDenied,
    ("AuthFailure", 401): AwsDenied,
    ("SomethingNew", 403): AwsDenied,
    ("VolumeInUse", 400): AwsConflict,
    ("IncorrectState", 400): AwsConflict,
    ("SomethingNew", 409): AwsConflict,
    ("InvalidVolume.NotFound", 400): AwsNotFound,
    ("NoSuchBucket", 404): AwsNotFound,
    ("InternalError", 500): AwsBroken,
    ("Unavailable", 503): AwsBroken,
    ("InvalidParameterValue", 400): AwsRefused,
    ("MaxConfigLimitExceeded", 400): AwsRefused,
}


@pytest.mark.parametrize(("answer", "mapped"), CODES.items(), ids=lambda value: str(value))
def test_aws_s_code_or_else_the_status_decides(
    ec2: Api, aws: ScriptedAws, answer: tuple[str, int], mapped: type[AwsError]
) -> None:
    aws.lay("DescribeVolumes", refusal(answer[0], "because", answer[1]))
    with pytest.raises(AwsError, match="because") as raised:
        ec2.attempt("DescribeVolumes")
    assert (type(raised.value), raised.value.code) == (mapped, answer[0])


def test_a_denial_names_the_action_that_aws_names(ec2: Api, aws: ScriptedAws) -> None:
    """An operation may need another action than its own: a launch needs iam:PassRole."""
    aws.lay("DescribeVolumes", unauthorized("iam:PassRole"))
    with pytest.raises(AwsDenied) as raised:
        ec2.call("DescribeVolumes")
    assert raised.value.hint == "allow the IAM action iam:PassRole"
    assert len(aws.calls) == 1


def test_a_denial_without_a_name_names_the_action_of_the_call(ec2: Api, aws: ScriptedAws) -> None:
    aws.lay("DescribeVolumes", refusal("UnauthorizedOperation", "You are not authorized.", 403))
    with pytest.raises(AwsDenied) as raised:
        ec2.call("DescribeVolumes")
    assert raised.value.hint == "allow the IAM action ec2:DescribeVolumes"


def test_an_explicit_deny_is_to_be_taken_out_where_it_stands(ec2: Api, aws: ScriptedAws) -> None:
    message = (
        "User: arn:aws:iam::123456789012:user/planner is not authorized to perform: ec2:DescribeVolumes with an "
        "explicit deny in a service control policy"
    )
    aws.lay("DescribeVolumes", refusal("UnauthorizedOperation", message, 403))
    with pytest.raises(AwsDenied) as raised:
        ec2.call("DescribeVolumes")
    assert "explicit deny in a service control policy" in raised.value.hint
    assert "ec2:DescribeVolumes" in raised.value.hint


@pytest.mark.parametrize("code", ["AuthFailure", "ExpiredToken", "InvalidClientTokenId", "RequestExpired"])
def test_credentials_that_are_refused_are_to_be_renewed(ec2: Api, aws: ScriptedAws, code: str) -> None:
    aws.lay("DescribeVolumes", refusal(code, "no", 401))
    with pytest.raises(AwsDenied) as raised:
        ec2.call("DescribeVolumes")
    assert raised.value.hint.startswith("renew the credentials")
    assert "ec2:DescribeVolumes" in raised.value.hint


def test_a_role_that_cannot_be_assumed_is_not_blamed_on_the_call() -> None:
    error = botocore_errors.ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole")
    assert aws_error(error, "ec2", "DescribeVolumes").hint == "allow the IAM action sts:AssumeRole"


SERVICES = ["autoscaling", "dynamodb", "ebs", "ec2", "ecs", "elb", "elbv2", "events", "route53", "s3", "service-quotas",
            "servicediscovery", "sns", "sqs", "ssm", "sts"]  # fmt: skip


@pytest.mark.parametrize("service", SERVICES)
def test_an_action_begins_with_iam_s_name_of_the_service(service: str) -> None:
    """For these services it is the name that requests are signed with."""
    client = boto3.session.Session(region_name="us-east-1").client(service)
    assert iam_action(service, "DoIt") == f"{client.meta.service_model.signing_name}:DoIt"


@pytest.mark.parametrize(
    ("operation", "action"),
    [("HeadObject", "s3:GetObject"), ("ListObjectsV2", "s3:ListBucket"), ("PutObject", "s3:PutObject")],
)
def test_an_operation_of_s3_has_the_action_that_its_documentation_names(operation: str, action: str) -> None:
    assert iam_action("s3", operation) == action


# ------------------------------------------------------------------------------------------- answers that are none

GARBAGE = {
    "a proxy's page": Response("<!DOCTYPE html><html><body>Sign in</body></html>", 200, content_type="text/html"),
    "a page that is XML": Response("<html><body><p>Sign in</p></body></html>", 200, content_type="text/html"),
    "cut short": Response(VOLUMES.get_data()[:-20], 200, content_type="text/xml"),
    "empty": Response("", 200, content_type="text/xml"),
    "JSON": Response("{}", 200, content_type="application/json"),
    "another operation's": xml("DescribeInstances", "<reservationSet/>"),
    "no number": xml("DescribeVolumes", "<volumeSet><item><size>large</size></item></volumeSet>"),
    "no time": xml("DescribeVolumes", "<volumeSet><item><createTime>noon</createTime></item></volumeSet>"),
    "a page as an error": Response("<html>Bad Gateway</html>", 502, content_type="text/html"),
    "nothing as an error": Response("", 500),
    "text as an error": Response("no healthy upstream", 400),
    "a redirection": Response("", 302, headers={"Location": "http://127.0.0.1:9/"}),
    "nested too deep": Response(f"<DescribeVolumesResponse>{'<a>' * 5000}", 200),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_what_is_no_answer_of_ec2_is_broken_and_tried_again(ec2: Api, aws: ScriptedAws, garbage: Response) -> None:
    aws.lay("DescribeVolumes", garbage, VOLUMES)
    with pytest.raises(AwsBroken) as raised:
        ec2.attempt("DescribeVolumes")
    assert raised.value.hint
    aws.lay("DescribeVolumes", garbage, VOLUMES)
    assert ec2.call("DescribeVolumes")["Volumes"] == []


def test_a_page_is_not_printed_whole(ec2: Api, aws: ScriptedAws) -> None:
    page = "<p>Sign in</p>\n" * 1000
    for body in (f"<html>{page}</html>", f"{VOLUMES.get_data().decode()}{page}"):
        aws.lay("DescribeVolumes", Response(body, 200, content_type="text/html"))
        with pytest.raises(AwsGarbled) as raised:
            ec2.attempt("DescribeVolumes")
        assert "makes no sense" in raised.value.message
        assert len(raised.value.message) < 800
        assert "\n" not in raised.value.message


JSON_GARBAGE = {
    "a proxy's page": Response("<html>Sign in</html>", 200),
    "cut short": Response('{"Quotas": [', 200),
    "a list": Response("[]", 200),
    "no list": Response('{"Quotas": {"a": 1}}', 200),
    "no objects in the list": Response('{"Quotas": [1]}', 200),
}


@pytest.mark.parametrize("garbage", JSON_GARBAGE.values(), ids=JSON_GARBAGE.keys())
def test_what_is_no_answer_of_a_json_service_is_broken(session: Session, aws: ScriptedAws, garbage: Response) -> None:
    aws.lay("ListServiceQuotas", garbage)
    with pytest.raises(AwsBroken):
        session.api("service-quotas").attempt("ListServiceQuotas", ServiceCode="ec2")


QUERY_GARBAGE = {
    "a page that is XML": Response("<html><body/></html>", 200),
    "without its result": Response("<DescribeAutoScalingGroupsResponse/>", 200),
}


@pytest.mark.parametrize("garbage", QUERY_GARBAGE.values(), ids=QUERY_GARBAGE.keys())
def test_what_is_no_answer_of_auto_scaling_is_broken(session: Session, aws: ScriptedAws, garbage: Response) -> None:
    aws.lay("DescribeAutoScalingGroups", garbage)
    with pytest.raises(AwsBroken):
        session.api("autoscaling").attempt("DescribeAutoScalingGroups")


# -------------------------------------------------------------------------------------------------------- patience


class Attempts:
    """Begins attempts that take their time and fail, and remembers when each began."""

    def __init__(self, clock: VirtualClock, error: Exception, seconds: float = 0.0) -> None:
        self.clock, self.error, self.seconds = clock, error, seconds
        self.began: list[float] = []

    def __call__(self) -> None:
        self.began.append(self.clock.now())
        self.clock.time += self.seconds
        raise self.error


@given(st.floats(0.1, 500), st.floats(0, 30))
def test_no_attempt_begins_after_the_deadline_however_long_each_takes(patience: float, takes: float) -> None:
    clock = VirtualClock()
    attempts = Attempts(clock, AwsThrottled("slow down"), takes)
    until = clock.now() + patience
    with pytest.raises(AwsThrottled):
        patiently(until, clock)(attempts)
    assert attempts.began[0] == 1_000.0
    assert all(began < until for began in attempts.began)


def test_calls_in_a_row_share_the_deadline(clock: VirtualClock) -> None:
    until = clock.now() + 20
    began: list[float] = []
    for _ in range(5):
        attempts = Attempts(clock, AwsUnreachable("gone"), 3.0)
        with pytest.raises(AwsUnreachable):
            patiently(until, clock)(attempts)
        began += attempts.began
    assert max(began) < until
    assert clock.now() < until + 3.0


def test_after_the_deadline_nothing_is_tried(clock: VirtualClock) -> None:
    attempts = Attempts(clock, AwsUnreachable("gone"))
    with pytest.raises(AwsUnreachable, match="is up"):
        patiently(clock.now(), clock)(attempts)
    assert attempts.began == []


PATIENT = [AwsUnreachable, AwsThrottled, AwsBroken, AwsGarbled]
FINAL = [AwsDenied, AwsNotFound, AwsConflict, AwsRefused]


@pytest.mark.parametrize("error", PATIENT)
def test_a_transient_error_is_tried_again(clock: VirtualClock, error: type[AwsError]) -> None:
    attempts = Attempts(clock, error("again"))
    with pytest.raises(error):
        patiently(clock.now() + 60, clock)(attempts)
    assert len(attempts.began) > 3


def test_an_answer_that_makes_no_sense_again_and_again_is_no_accident(clock: VirtualClock) -> None:
    attempts = Attempts(clock, AwsGarbled("a proxy's page"))
    with pytest.raises(AwsGarbled):
        patiently(clock.now() + 3600, clock)(attempts)
    assert len(attempts.began) == GARBLED_AT_MOST
    assert clock.now() - attempts.began[0] < 15


@pytest.mark.parametrize("error", FINAL)
def test_any_other_error_ends_it_at_once(clock: VirtualClock, error: type[AwsError]) -> None:
    attempts = Attempts(clock, error("no"))
    with pytest.raises(error):
        patiently(clock.now() + 60, clock)(attempts)
    assert attempts.began == [1_000.0]
    assert clock.sleeps == []


def waits() -> list[float]:
    clock = VirtualClock()
    with pytest.raises(AwsThrottled):
        patiently(clock.now() + 300, clock)(Attempts(clock, AwsThrottled("slow down")))
    return clock.sleeps


def test_waits_grow_to_a_limit_and_no_two_runs_wait_alike() -> None:
    runs = [waits() for _ in range(40)]
    assert all(wait <= 0.5 * 2**index and wait <= 15 for run in runs for index, wait in enumerate(run))
    means = [sum(run[index] for run in runs) / len(runs) for index in (0, 2, 4)]
    assert means == sorted(means)
    assert len({tuple(run) for run in runs}) == len(runs)


def test_a_throttled_call_succeeds_in_the_end(ec2: Api, aws: ScriptedAws, clock: VirtualClock) -> None:
    aws.lay("DescribeVolumes", throttled(), throttled(), VOLUMES)
    assert ec2.call("DescribeVolumes")["Volumes"] == []
    assert (len(aws.calls), len(clock.sleeps)) == (3, 2)


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_botocore_tries_nothing_again_by_itself(ec2: Api, httpserver: HTTPServer, status: int) -> None:
    httpserver.clear()
    httpserver.expect_request("/").respond_with_data("", status)
    with pytest.raises(AwsError):
        ec2.attempt("DescribeVolumes")
    assert len(httpserver.log) == 1


@pytest.fixture
def black_hole() -> Iterator[str]:
    """Connections are accepted by the kernel, and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_black_hole_costs_no_more_than_the_read_timeout(
    black_hole: str, monkeypatch: pytest.MonkeyPatch, clock: VirtualClock
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", black_hole)
    ec2 = Session(clock, until=clock.now() + 1, region="us-east-1", read_timeout=0.2).api("ec2")
    with pytest.raises(AwsUnreachable, match="Read timeout"):
        ec2.attempt("DescribeVolumes")


def test_a_piece_of_work_with_little_time_waits_for_no_answer_longer_than_that(clock: VirtualClock) -> None:
    session = Session(clock, until=clock.now() + 5, region="us-east-1")
    assert session.api("ec2").client.meta.config.read_timeout == 5
    assert session.api("ec2").client.meta.config.connect_timeout == 3


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://[::1]:9"])
def test_an_endpoint_where_nobody_is_is_unreachable(
    make_session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(AwsUnreachable):
        make_session().api("ec2").attempt("DescribeVolumes")


# ----------------------------------------------------------------------------------------------------------- pages


def page(token: str) -> Response:
    return xml("DescribeVolumes", f"<volumeSet/><nextToken>{token}</nextToken>")


def test_pages_follow_the_tokens_to_the_end_and_each_is_tried_patiently(ec2: Api, aws: ScriptedAws) -> None:
    aws.lay("DescribeVolumes", page("a"), throttled(), page("b"), VOLUMES)
    assert len(list(ec2.pages("DescribeVolumes", MaxResults=500))) == 3
    assert [call.parameters.get("NextToken") for call in aws.calls] == [None, "a", "a", "b"]
    assert {call.parameters["MaxResults"] for call in aws.calls} == {"500"}


@pytest.mark.parametrize("tokens", ["aa", "aba", "abcb"])
def test_a_token_that_comes_again_is_broken(ec2: Api, aws: ScriptedAws, tokens: str) -> None:
    aws.lay("DescribeVolumes", *map(page, tokens))
    with pytest.raises(AwsBroken, match="token twice"):
        list(ec2.pages("DescribeVolumes"))
    assert len(aws.calls) == len(tokens)


def test_a_listing_without_end_ends_at_the_deadline(ec2: Api, aws: ScriptedAws, clock: VirtualClock) -> None:
    aws.lay("DescribeVolumes", *(page(f"token {number}") for number in range(100)))
    pages = ec2.pages("DescribeVolumes")
    for _ in range(10):
        next(pages)
        clock.time += 5
    clock.time += 20
    with pytest.raises(AwsUnreachable, match="is up"):
        next(pages)
    assert len(aws.calls) == 10


# --------------------------------------------------------------------------------------------------- configuration


def test_without_a_region_it_says_what_to_set(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(AwsRefused) as raised:
        Session(clock, until=clock.now() + 1).api("ec2")
    assert "AWS_REGION" in raised.value.hint


def test_the_region_is_that_of_the_variable_which_other_sdks_read(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-south-2")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    assert Session(clock).region == "eu-south-2"
    monkeypatch.delenv("AWS_REGION")
    assert Session(clock).region == "eu-north-1"
    assert Session(clock, region="eu-west-3").region == "eu-west-3"


def test_without_credentials_it_says_what_to_set(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, aws: ScriptedAws
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    session = Session(clock, until=clock.now() + 1, region="us-east-1")
    with pytest.raises(AwsDenied, match="credentials"):
        session.api("ec2").call("DescribeVolumes")
    with pytest.raises(AwsDenied, match="credentials"):
        _ = session.identity
    assert aws.calls == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_PROFILE", "missing"),
        ("AWS_ENDPOINT_URL", "no url"),
        ("AWS_ENDPOINT_URL", "http://a..b"),
        ("AWS_RETRY_MODE", "stubborn"),
        ("AWS_REGION", "a b"),
    ],
)
def test_a_wrong_setting_is_an_error_of_ours(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(AwsError) as raised:
        Session(clock, until=clock.now() + 1).api("ec2").attempt("DescribeVolumes")
    assert not isinstance(raised.value, Transient)
    assert raised.value.hint


def test_a_config_file_that_is_none_is_an_error_of_ours(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "config").write_text("[[[")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(AwsRefused):
        Session(clock, until=clock.now() + 1).api("ec2")


def test_the_credentials_tell_who_asks(session: Session) -> None:
    assert session.identity == "AKIAIOSFODNN7EXAMPLE"


def test_the_account_tells_who_asks_where_it_is_known(
    make_session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCOUNT_ID", "123456789012")
    assert make_session().identity == "123456789012"


def test_the_program_names_itself(ec2: Api, aws: ScriptedAws) -> None:
    aws.lay("DescribeVolumes", VOLUMES)
    ec2.call("DescribeVolumes")
    assert "spotwatch" in aws.calls[0].headers["User-Agent"]
