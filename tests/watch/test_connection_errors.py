"""Nothing but errors of our own leaves the connection, whatever httpx, httpcore or the other side do."""

import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import httpcore
import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spotwatch.core.errors import MetadataError, MetadataTimedOut, MetadataUnreachable
from spotwatch.watch.connection import FAILURES, Connection
from spotwatch.watch.exchange import Request, Response
from tests.watch.raw_server import Peer, RawServer, answer, answers

GET = Request("GET", "/latest/meta-data/spot/instance-action", 2.0)
TIMEOUTS = (httpcore.TimeoutException, httpx.TimeoutException)


def exceptions_of(library: Any) -> list[type[Exception]]:
    public = [getattr(library, name) for name in library.__all__]
    return [each for each in public if isinstance(each, type) and issubclass(each, Exception)]


def made(error: type[Exception]) -> Exception:
    """One of these, though its constructor may want a request or a response."""
    return error.__new__(error, "made up")


class FailingStream(httpcore.NetworkStream):
    """Fails when it is read from or written to."""

    def __init__(self, error: Exception, where: str) -> None:
        self._error = error
        self._where = where

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 (httpcore's signature)
        raise self._error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 (as above)
        if self._where == "write":
            raise self._error

    def close(self) -> None:
        pass

    def get_extra_info(self, info: str) -> Any:  # noqa: ARG002 (as above)
        return None


class FailingSockets(httpcore.NetworkBackend):
    """Fails when it connects, or hands out streams that do."""

    def __init__(self, error: Exception, where: str) -> None:
        self._error = error
        self._where = where

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 (as above)
        port: int,  # noqa: ARG002 (as above)
        timeout: float | None = None,  # noqa: ARG002 (as above)
        local_address: str | None = None,  # noqa: ARG002 (as above)
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 (as above)
    ) -> httpcore.NetworkStream:
        if self._where == "connect":
            raise self._error
        return FailingStream(self._error, self._where)


@pytest.mark.parametrize("error", [*exceptions_of(httpcore), *exceptions_of(httpx)])
def test_every_exception_of_both_libraries_is_among_those_that_are_mapped(error: type[Exception]) -> None:
    assert issubclass(error, (*TIMEOUTS, *FAILURES))


# The pool catches ConnectionNotAvailable itself and tries another connection.
CAN_LEAVE_THE_NETWORK = [each for each in exceptions_of(httpcore) if each is not httpcore.ConnectionNotAvailable]


@pytest.mark.parametrize("where", ["connect", "write", "read"])
@pytest.mark.parametrize("error", [*CAN_LEAVE_THE_NETWORK, *exceptions_of(httpx)])
def test_each_is_mapped_to_one_of_ours_wherever_it_happens(error: type[Exception], where: str) -> None:
    connection = Connection("http://192.0.2.1", sockets=FailingSockets(made(error), where))
    with contextlib.closing(connection), pytest.raises(MetadataUnreachable) as raised:
        connection.send(GET)
    too_slow = issubclass(error, TIMEOUTS) and error is not httpcore.ConnectTimeout
    assert type(raised.value) is (MetadataTimedOut if too_slow else MetadataUnreachable)


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".invalid"])
def test_a_name_that_no_host_can_have_is_unreachable(host: str) -> None:
    connection = Connection(f"http://{host}")
    with contextlib.closing(connection), pytest.raises(MetadataUnreachable, match=host[:3]):
        connection.send(GET)


def ask(data: bytes) -> Response:
    """Ask a server that answers these bytes and closes."""
    with RawServer(answer(data)) as server, contextlib.closing(Connection(server.url)) as connection:
        return connection.send(GET)


def ok(*headers: bytes, body: bytes = b"fine") -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


FINE = Response(200, "fine")

ANSWERS = {
    "a header over two lines": (ok(b"X-Folded: a", b" b"), FINE),
    "a header that is not ASCII": (ok("X-Name: Zürich".encode()), FINE),
    "a header twice": (ok(b"X-A: 1", b"X-A: 2"), FINE),
    "another version": (b"HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nfine", FINE),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nfine", FINE),
    "bare line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 4\n\nfine", FINE),
    "bytes after the end": (ok() + b"more", FINE),
    "the same length twice": (ok(b"Content-Length: 4"), FINE),
    "100 first": (b"HTTP/1.1 100 Continue\r\n\r\n" + ok(), FINE),
    "103 first": (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok(), FINE),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", Response(204, "")),
    "304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n", Response(304, "")),
    "301": (b"HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", Response(301, "")),
    "301 to nowhere": (b"HTTP/1.1 301 Moved\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n", Response(301, "")),
    "999": (b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", Response(999, "")),
    "compressed, it says": (ok(b"Content-Encoding: gzip"), FINE),
    "an unknown compression": (ok(b"Content-Encoding: rot13"), FINE),
    "an unknown character set": (ok(b"Content-Type: text/plain; charset=klingon"), FINE),
    "a strange cookie": (ok(b"Set-Cookie: =;;;=; expires=never; max-age=x"), FINE),
}


@pytest.mark.parametrize(("data", "meant"), ANSWERS.values(), ids=ANSWERS.keys())
def test_an_odd_answer_is_still_an_answer(data: bytes, meant: Response) -> None:
    assert ask(data) == meant


NO_ANSWERS = {
    "nothing": b"",
    "another protocol": b"220 mail.example.com ESMTP\r\n",
    "a status that is no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 99 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "100 and no more": b"HTTP/1.1 100 Continue\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nfine",
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: four\r\n\r\nfine",
    "a length of 5,000 digits": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nfine",
    "two lengths": ok(b"Content-Length: 3"),
    "an unknown transfer encoding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13\r\n\r\nfine",
    "a chunk of a size that is none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a chunk that is cut": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfi",
    "a chunk that is not the last": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n",
    "a NUL in a header": ok(b"X-A: a\0b"),
    "a header without a colon": ok(b"X-A"),
    "a header that begins with the continuation of none": b"HTTP/1.1 200 OK\r\n X: y\r\n\r\n",
    "a header of 200 KB": ok(b"X-A: " + b"x" * 200_000),
}


@pytest.mark.parametrize("data", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_what_is_no_answer_is_unreachable(data: bytes) -> None:
    with pytest.raises(MetadataUnreachable) as raised:
        ask(data)
    assert type(raised.value) is MetadataUnreachable


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        (b"Sun, 22 Nov 2026 08:22:00 GMT", datetime(2026, 11, 22, 8, 22, tzinfo=UTC)),
        (b"Sun, 22 Nov 2026 08:22:00 -0000", datetime(2026, 11, 22, 8, 22, tzinfo=UTC)),
        (b"Sun, 22 Nov 2026 08:22:00 +0100", datetime(2026, 11, 22, 7, 22, tzinfo=UTC)),
        (b"", None),
        (b"yesterday", None),
        (b"2026-11-22T08:22:00Z", None),
        (b"Sun, 32 Nov 2026 08:22:00 GMT", None),
        (b"Sun, 22 Nov 99999999999999999999 08:22:00 GMT", None),
        (b"Sun, 22 Nov 2026 08:22:00 +99999999999999999999", None),
        (b"\xff\xfe", None),
    ],
)
def test_a_date_is_read_if_it_is_one(header: bytes, meant: datetime | None) -> None:
    assert ask(ok(b"Date: " + header)) == Response(200, "fine", meant)


def test_a_redirect_is_not_followed() -> None:
    with RawServer(answer(ok())) as elsewhere:
        away = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + elsewhere.url.encode() + b"\r\n\r\n"
        with RawServer(answers(away)) as server, contextlib.closing(Connection(server.url)) as connection:
            assert connection.send(GET).status == 302
        assert elsewhere.connections == 0


def test_a_cookie_is_not_kept() -> None:
    asked: list[bytes] = []

    def set_one(peer: Peer) -> None:
        asked.append(peer.request())
        peer.send(ok(b"Set-Cookie: a=b"))

    with RawServer(set_one) as server, contextlib.closing(Connection(server.url)) as connection:
        connection.send(GET)
        connection.send(GET)
    assert len(asked) == 2
    assert b"cookie" not in b"".join(asked).lower()


PIECES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 301 Moved\r\n",
        b"HTTP/1.1 404 Not Found\r\n",
        b"Content-Length: 4\r\n",
        b"Content-Length: ",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: keep-alive, upgrade\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Location: ",
        b"Set-Cookie: ",
        b"Date: Sun, 22 Nov 2026 08:22:00 ",
        b"\r\n",
        b" ",
        b"0\r\n",
        b"4\r\nfine\r\n",
        b"fine",
    ]
)


@given(pieces=st.lists(PIECES | st.binary(max_size=20), max_size=12), twice=st.booleans())
@example(pieces=[b"HTTP/1.1 301 Moved\r\n", b"Location: ", b"http://[\r\n", b"\r\n"], twice=False)
@settings(deadline=None)
def test_no_bytes_make_it_raise_anything_else(pieces: list[bytes], twice: bool) -> None:
    sockets = httpcore.MockBackend(pieces)
    with contextlib.closing(Connection("http://192.0.2.1", sockets=sockets)) as connection:
        for _ in range(1 + twice):
            with contextlib.suppress(MetadataError):
                assert connection.send(GET).status >= 200
