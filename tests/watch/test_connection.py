"""The real connection, against the fake metadata service with each of its faults and against sockets that misbehave."""

import contextlib
import gc
import os
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from spotwatch import __version__
from spotwatch.core.errors import MetadataBroken, MetadataError, MetadataTimedOut, MetadataUnreachable
from spotwatch.simulate.faults import (
    BINARY_BODY,
    EMPTY_BODY,
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
)
from spotwatch.simulate.instance import Instance
from spotwatch.simulate.service import MetadataService
from spotwatch.watch.connection import LARGEST_ANSWER, Connection
from spotwatch.watch.exchange import Request, Response
from spotwatch.watch.session import META_DATA
from tests.watch.raw_server import Behavior, Peer, RawServer, answer, answers, drip

LIMIT = 0.3
"""Seconds for a request that is going to fail; what goes well has more."""

ITEM = META_DATA + "instance-id"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"


def a_get(path: str = ITEM, *, limit: float = 2.0, **headers: str) -> Request:
    return Request("GET", path, limit, headers)


@contextlib.contextmanager
def in_time(limit: float) -> Iterator[None]:
    """What happens here takes at most the limit of a request, and 0.2 s for a busy machine."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began <= limit + 0.2


@pytest.fixture
def service() -> Iterator[MetadataService]:
    with MetadataService(imdsv1=True) as service:
        yield service


@pytest.fixture
def connect() -> Iterator[Callable[[str], Connection]]:
    with contextlib.ExitStack() as opened:

        def connect(url: str) -> Connection:
            connection = Connection(url)
            opened.callback(connection.close)
            return connection

        yield connect


@pytest.fixture
def connection(service: MetadataService, connect: Callable[[str], Connection]) -> Connection:
    return connect(service.url)


class TestAnAnswer:
    def test_has_a_status_a_body_and_the_services_clock(self, connect: Callable[[str], Connection]) -> None:
        noon = datetime(2031, 3, 4, 12, tzinfo=UTC)
        with MetadataService(imdsv1=True, clock=lambda: noon) as service:
            assert connect(service.url).send(a_get()) == Response(200, Instance().instance_id, noon)

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 429, 500, 503])
    def test_of_failure_is_an_answer_too(self, service: MetadataService, connection: Connection, status: int) -> None:
        service.trouble(Status(status))
        seen = connection.send(a_get())
        assert seen.status == status
        assert seen.date is not None

    def test_that_is_no_text_is_shown_as_far_as_it_is_one(
        self, service: MetadataService, connection: Connection
    ) -> None:
        service.trouble(BINARY_BODY)
        assert "ABC" in connection.send(a_get()).body
        service.trouble(EMPTY_BODY)
        assert connection.send(a_get()).body == ""

    def test_that_comes_in_pieces_is_whole_if_it_is_in_time(
        self, service: MetadataService, connection: Connection
    ) -> None:
        service.trouble(Slow(size=40, interval=0.01))
        assert connection.send(a_get()).body == Instance().instance_id

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(b"HTTP/1.1 200 OK\r\n\r\nfine", id="ends with the connection"),
            pytest.param(b"HTTP/1.0 200 OK\r\n\r\nfine", id="HTTP/1.0"),
            pytest.param(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n", id="chunks"
            ),
        ],
    )
    def test_may_be_framed_in_any_way(self, connect: Callable[[str], Connection], data: bytes) -> None:
        with RawServer(answer(data)) as server:
            assert connect(server.url).send(a_get()).body == "fine"

    @pytest.mark.parametrize("framing", [b"Content-Length: %d\r\n\r\n", b"X-Length-To-Come: %d\r\n\r\n"])
    def test_may_be_as_large_as_the_largest_and_not_a_byte_larger(
        self, connect: Callable[[str], Connection], framing: bytes
    ) -> None:
        def of_size(size: int) -> Behavior:
            return answer(b"HTTP/1.1 200 OK\r\n" + framing % size, b"x" * size)

        with RawServer(of_size(LARGEST_ANSWER), of_size(LARGEST_ANSWER + 1)) as server:
            connection = connect(server.url)
            assert len(connection.send(a_get()).body) == LARGEST_ANSWER
            with pytest.raises(MetadataBroken):
                connection.send(a_get())


class TestARequest:
    def test_carries_its_headers_and_says_who_asks(self, service: MetadataService, connection: Connection) -> None:
        connection.send(Request("PUT", "/latest/api/token", 1.0, {"X-aws-ec2-metadata-token-ttl-seconds": "60"}))
        (request,) = service.requests
        assert (request.method, request.path, request.status) == ("PUT", "/latest/api/token", 200)
        assert request.headers["X-aws-ec2-metadata-token-ttl-seconds"] == "60"
        assert request.headers["User-Agent"] == f"spotwatch/{__version__}"

    def test_asks_for_no_compression_and_shows_no_trace_of_a_proxy(
        self, service: MetadataService, connection: Connection
    ) -> None:
        connection.send(a_get())
        (request,) = service.requests
        assert request.headers["Accept-Encoding"] == "identity"
        assert not {"Via", "Forwarded", "X-Forwarded-For", "Authorization", "Cookie"} & set(request.headers)

    @pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
    def test_goes_through_no_proxy_whatever_the_environment_says(
        self,
        service: MetadataService,
        connect: Callable[[str], Connection],
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
    ) -> None:
        with socket.socket() as dead:
            dead.bind(("127.0.0.1", 0))
            for name in ("no_proxy", "NO_PROXY"):
                monkeypatch.delenv(name, raising=False)
            monkeypatch.setenv(variable, f"http://127.0.0.1:{dead.getsockname()[1]}")
            assert connect(service.url).send(a_get()).status == 200

    def test_can_go_over_ipv6(self, connect: Callable[[str], Connection]) -> None:
        try:
            service = MetadataService(imdsv1=True, host="::1")
            service.start()
        except OSError as error:
            pytest.skip(f"no IPv6 here: {error}")
        with contextlib.closing(service):
            assert connect(service.url).send(a_get()).body == Instance().instance_id
            assert service.requests[0].headers["Host"] == service.url.removeprefix("http://")


class TestTheConnection:
    def test_is_one_for_all_requests(self, service: MetadataService, connection: Connection) -> None:
        assert {connection.send(a_get()).status for _ in range(50)} == {200}
        assert service.connections == 1

    def test_is_made_anew_after_an_answer_that_ended_it(self, service: MetadataService, connection: Connection) -> None:
        """As every error does, the normal 404 included."""
        assert [connection.send(a_get(META_DATA + "no/such")).status for _ in range(3)] == [404] * 3
        assert service.connections == 3

    def test_that_the_service_closed_meanwhile_is_made_anew(self, connect: Callable[[str], Connection]) -> None:
        with RawServer(answer(OK), answers(OK)) as server:
            connection = connect(server.url)
            assert connection.send(a_get()).body == "fine"
            while server.left < 1:
                time.sleep(0.001)
            assert connection.send(a_get()).body == "fine"
            assert server.connections == 2

    @pytest.mark.parametrize("reset", [False, True])
    def test_that_turns_out_to_be_dead_is_made_anew_and_the_request_repeated(
        self, connect: Callable[[str], Connection], reset: bool
    ) -> None:
        """The service gave it up just when it was used again, so nothing could be seen beforehand."""

        def answer_once_and_go_at_the_next_request(peer: Peer) -> None:
            answer(OK)(peer)
            peer.request()
            if reset:
                peer.reset()

        with RawServer(answer_once_and_go_at_the_next_request, answers(OK)) as server:
            connection = connect(server.url)
            assert [connection.send(a_get()).body for _ in range(3)] == ["fine"] * 3
            assert server.connections == 2

    def test_that_is_dead_is_made_anew_once_and_no_more(self, connect: Callable[[str], Connection]) -> None:
        def go(peer: Peer) -> None:
            peer.request()

        def answer_once_and_go(peer: Peer) -> None:
            answer(OK)(peer)
            go(peer)

        with RawServer(answer_once_and_go, go) as server:
            connection = connect(server.url)
            connection.send(a_get())
            with pytest.raises(MetadataUnreachable):
                connection.send(a_get())
            assert server.connections == 2

    def test_that_is_new_and_fails_is_not_tried_again(self, connect: Callable[[str], Connection]) -> None:
        with RawServer(answer(b""), answer(OK)) as server:
            with pytest.raises(MetadataUnreachable):
                connect(server.url).send(a_get())
            assert server.connections == 1

    def test_that_is_made_anew_shares_the_limit_of_the_request(self, connect: Callable[[str], Connection]) -> None:
        def answer_once_and_go_late(peer: Peer) -> None:
            answer(OK)(peer)
            peer.request()
            peer.pause(LIMIT * 0.7)

        with RawServer(answer_once_and_go_late, drip(b"", b"", interval=1.0)) as server:
            connection = connect(server.url)
            connection.send(a_get())
            with in_time(LIMIT), pytest.raises(MetadataTimedOut):
                connection.send(a_get(limit=LIMIT))
            assert server.connections == 2

    def test_is_ended_when_it_is_closed(self, connect: Callable[[str], Connection]) -> None:
        with RawServer(answers(OK)) as server:
            connection = connect(server.url)
            connection.send(a_get())
            connection.close()
            with in_time(1.0):
                while server.left < 1:
                    time.sleep(0.001)


FAULTS: list[tuple[Fault, type[MetadataError]]] = [
    (Refused(), MetadataUnreachable),
    (Reset(), MetadataUnreachable),
    (Silent(), MetadataTimedOut),
    (Slow(size=1, interval=0.01), MetadataTimedOut),
    (Slow(size=40, interval=0.2), MetadataTimedOut),
    (Truncated(), MetadataUnreachable),
    (Truncated(10_000), MetadataUnreachable),
    (Oversized(), MetadataBroken),
    (Oversized(None), MetadataBroken),
    (NotHttp(), MetadataUnreachable),
    (NotHttp(b""), MetadataUnreachable),
    (NotHttp(b"\r\n" * 10), MetadataUnreachable),
    (HeadersCut(), MetadataUnreachable),
]


@pytest.mark.parametrize("warm", [False, True], ids=["new", "kept alive"])
@pytest.mark.parametrize(("fault", "error"), FAULTS, ids=repr)
def test_a_fault_is_an_error_in_time_and_the_next_request_is_none_the_worse(
    service: MetadataService, connection: Connection, fault: Fault, error: type[MetadataError], warm: bool
) -> None:
    if warm:
        connection.send(a_get())
    service.trouble(fault)
    with in_time(LIMIT), pytest.raises(MetadataError) as raised:
        connection.send(a_get(limit=LIMIT))
    assert type(raised.value) is error
    assert service.url in raised.value.message
    service.trouble(None)
    assert connection.send(a_get()).body == Instance().instance_id


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

DRIPS = {
    "headers, a byte at a time": drip(HEAD + b"X-Long: ", b"x", interval=0.01),
    "headers, a line at a time": drip(HEAD, b"X-More: x\r\n", interval=0.01),
    "the status line": drip(b"HTTP/1.1 200 ", b"O", interval=0.01),
    "a body of known length": drip(HEAD + b"Content-Length: 60000\r\n\r\n", b"x", interval=0.01),
    "a body that ends with the connection": drip(HEAD + b"\r\n", b"x", interval=0.01),
    "chunks": drip(CHUNKED, b"1\r\nx\r\n", interval=0.01),
    "trailers": drip(CHUNKED + b"0\r\n", b"X-More: x\r\n", interval=0.01),
    "continue, slowly": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n", interval=0.01),
    "continue, without a pause": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, interval=0.0),
    "chunks of nothing but extensions": drip(CHUNKED, b"1;" + b"x" * 20_000 + b"\r\nx\r\n", interval=0.0),
}


@pytest.mark.parametrize("behavior", DRIPS.values(), ids=DRIPS.keys())
def test_bytes_that_never_stop_do_not_stop_the_clock(connect: Callable[[str], Connection], behavior: Behavior) -> None:
    """Each read succeeds in time, and some need no waiting at all; the limit is on the whole."""
    with RawServer(behavior) as server, in_time(LIMIT), pytest.raises(MetadataTimedOut):
        connect(server.url).send(a_get(limit=LIMIT))


@pytest.mark.parametrize("start", [HEAD + b"X-Long: ", b"HTTP/1.1 200 ", b"rubbish", CHUNKED + b"0\r\nX-Long: "])
def test_a_line_without_end_is_not_kept_in_memory_until_the_limit(
    connect: Callable[[str], Connection], start: bytes
) -> None:
    behavior = drip(start, b"x" * 65536, interval=0.0)
    with RawServer(behavior) as server, in_time(1.0), pytest.raises(MetadataUnreachable):
        connect(server.url).send(a_get(limit=10.0))


def test_connecting_is_within_the_limit_too(connect: Callable[[str], Connection]) -> None:
    """A packet filter that drops what is addressed to the metadata service; here a queue that is full."""
    with contextlib.ExitStack() as opened:
        full = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        connection = connect(f"http://127.0.0.1:{full.getsockname()[1]}")
        with in_time(LIMIT), pytest.raises(MetadataUnreachable) as raised:
            connection.send(a_get(limit=LIMIT))
    assert not isinstance(raised.value, MetadataTimedOut), (
        "a token that was never asked for says nothing of a hop limit"
    )


@pytest.mark.parametrize("limit", [0.0, -1.0, 1e-9])
def test_without_time_there_is_no_answer(connection: Connection, limit: float) -> None:
    with in_time(0.0), pytest.raises(MetadataTimedOut):
        connection.send(a_get(limit=limit))


def test_no_socket_is_left_open_by_any_fault() -> None:
    def descriptors() -> int:
        gc.collect()  # a socket that nobody closed would be a ResourceWarning here
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    with MetadataService(imdsv1=True) as service:
        for fault, _ in FAULTS:
            connection = Connection(service.url)
            connection.send(a_get())
            service.trouble(fault)
            with pytest.raises(MetadataError):
                connection.send(a_get(limit=0.05))
            service.trouble(None)
            connection.send(a_get())
            connection.close()
    assert descriptors() == before
