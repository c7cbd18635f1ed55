"""AWS as real HTTP servers on the loopback: one that is scripted byte for byte, and moto where moto is right."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import pytest
from moto.server import ThreadedMotoServer
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from spotwatch.aws.session import Session

REGION = "us-east-1"
PATIENCE = 60.0
NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
ACCOUNT_KEY = "AKIAIOSFODNN7EXAMPLE"


class VirtualClock:
    """Time that passes only in `sleep`, and how long each sleep was."""

    def __init__(self) -> None:
        self.time = 1_000.0
        self.sleeps: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds


@dataclass
class Call:
    """A call that reached the server: the operation, its parameters as they were sent, its headers."""

    operation: str
    parameters: dict[str, Any]
    headers: dict[str, str]


@dataclass
class ScriptedAws:
    """Answers the calls of each operation with what the test has laid ready, in that order; the last one stays."""

    url: str
    calls: list[Call] = field(default_factory=list)
    ready: dict[str, list[Response]] = field(default_factory=dict)

    def lay(self, operation: str, *responses: Response) -> None:
        self.ready[operation] = list(responses)

    def called(self, operation: str) -> list[Call]:
        return [call for call in self.calls if call.operation == operation]

    def handle(self, request: Request) -> Response:
        call = _call(request)
        self.calls.append(call)
        ready = self.ready.get(call.operation)
        if not ready:
            return Response(f"nothing is laid ready for {call.operation}", 400)
        # werkzeug can send a response object once only.
        answer = ready.pop(0) if len(ready) > 1 else ready[0]
        return Response(answer.get_data(), answer.status, dict(answer.headers))


def _call(request: Request) -> Call:
    headers = dict(request.headers)
    target = headers.get("X-Amz-Target", "")
    if target:
        return Call(target.rpartition(".")[2], request.get_json(force=True), headers)
    parameters = dict(parse_qsl(request.get_data(as_text=True)))
    return Call(parameters.pop("Action", request.path), parameters, headers)


def xml(operation: str, inner: str) -> Response:
    """A good answer of EC2's query protocol."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<{operation}Response xmlns="{NAMESPACE}">\n    <requestId>59dbff89-35bd-4eac-99ed-be587EXAMPLE</requestId>\n'
        f"{inner}\n</{operation}Response>"
    )
    return Response(body, 200, content_type="text/xml;charset=UTF-8")


def refusal(code: str, message: str, status: int) -> Response:
    """A refusal of EC2's query protocol."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        "<RequestID>4d9d1c4b-6f9e-4c0f-8f51-b0b9bEXAMPLE</RequestID></Response>"
    )
    return Response(body, status, content_type="text/xml;charset=UTF-8")


def throttled() -> Response:
    """As EC2 asks for patience."""
    return refusal("RequestLimitExceeded", "Request limit exceeded.", 503)


def unauthorized(action: str) -> Response:
    """As EC2 refuses a user without the permission."""
    return refusal(
        "UnauthorizedOperation",
        "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/planner is not "
        f"authorized to perform: {action} because no identity-based policy allows the {action} action",
        403,
    )


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that are worth nothing, and nothing of this machine's own settings, proxies or metadata."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCOUNT_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent/config")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def aws(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> ScriptedAws:
    """The scripted server, which is the endpoint of every service."""
    scripted = ScriptedAws(httpserver.url_for("/"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", scripted.url)
    httpserver.expect_request(re.compile(".*")).respond_with_handler(scripted.handle)
    return scripted


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def moto(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Moto's server, which is the endpoint of every service."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    return moto_url


@pytest.fixture
def make_session(clock: VirtualClock) -> Callable[..., Session]:
    def make(region: str = REGION, **options: Any) -> Session:
        return Session(clock, until=clock.now() + PATIENCE, region=region, **options)

    return make


@pytest.fixture
def session(make_session: Callable[..., Session]) -> Session:
    return make_session()
