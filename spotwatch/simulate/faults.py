"""The answers of the metadata service, and the faults with which it can deliver them.

A fault is a value that a scenario names. The service carries it out on one connection at a time, with
``distort`` and ``deliver``; ``Refused`` also on the socket that it listens on. Each ends the connection on
which it happened.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Protocol, assert_never

# The error page as clients see it: XHTML whatever was asked for, so that a client that parses an error's body
# as JSON or as plain text is found out.
_ERROR_PAGE = """\
<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
\t"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>{title}</title>
 </head>
 <body>
  <h1>{title}</h1>
 </body>
</html>
"""

_BLANKS = b" " * 65536


@dataclass(frozen=True)
class Answer:
    """An HTTP answer in the metadata service's form."""

    date: datetime
    """AWS's clock, which the ``Date`` header tells the client."""
    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain"
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False
    """Whether the connection ends with this answer."""

    @classmethod
    def error(cls, date: datetime, status: int, *headers: tuple[str, str]) -> Answer:
        """Return AWS's page for an error; the connection ends with it."""
        title = f"{status} - {HTTPStatus(status).phrase}"
        page = _ERROR_PAGE.format(title=title).encode()
        return cls(date, status, page, content_type="text/html", headers=headers, close=True)

    def head(self, length: int | None) -> bytes:
        """Return the status line and the headers; without a length the body ends with the connection."""
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Content-Type: {self.content_type}",
            *([] if length is None else [f"Content-Length: {length}"]),
            *(f"{name}: {value}" for name, value in self.headers),
            f"Date: {format_datetime(self.date.astimezone(UTC), usegmt=True)}",
            "Server: EC2ws",
            *(["Connection: close"] if self.close else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def encode(self) -> bytes:
        """Return the whole answer as it goes over the wire."""
        return self.head(len(self.body)) + self.body


class Wire(Protocol):
    """One connection, as far as a fault has to do with it.

    Every method raises ``OSError`` when the client is gone or the service is closing.
    """

    def send(self, data: bytes) -> None:
        """Send all of the data at once."""

    def pause(self, seconds: float) -> None:
        """Do nothing for so many seconds."""

    def wait_for_client_to_leave(self) -> None:
        """Read and ignore what the client sends until it closes its side."""

    def reset(self) -> None:
        """Let the connection end with a TCP reset instead of an orderly close."""


@dataclass(frozen=True)
class Status:
    """An error code, with AWS's page, in place of the answer.

    400 and 405 are what something that does not know the request answers; 403 is the metadata turned off
    (HttpEndpoint=disabled), at any time and without a restart; 401 is seen on young instances for a while
    whatever the token; 429 and 503 are throttling; 500 is a bug of AWS.
    """

    code: int

    def __post_init__(self) -> None:
        HTTPStatus(self.code)  # raises ValueError here, and not when the first client asks


@dataclass(frozen=True)
class Refused:
    """Nobody listens: connections are refused, and those that were open end.

    An instance that has only just booted, or one whose firewall rejects the metadata address.
    """


@dataclass(frozen=True)
class Reset:
    """The connection is reset in place of an answer.

    A firewall or address translation between client and service lost its state.
    """


@dataclass(frozen=True)
class Silent:
    """The request is taken, and nothing ever comes back.

    A token request whose answer may not travel one hop more (HttpPutResponseHopLimit=1 and a container), or
    packets dropped above 1,024 a second. A client without a time limit waits for ever.
    """


@dataclass(frozen=True)
class Slow:
    """The answer, headers included, comes ``size`` bytes at a time, ``interval`` seconds apart.

    A starved host. Each read of the client succeeds in time: only a limit on the whole request ends it.
    """

    size: int = 1
    interval: float = 1.0

    def __post_init__(self) -> None:
        if self.size < 1 or self.interval < 0:
            raise ValueError(f"cannot send {self.size} bytes each {self.interval} seconds")


@dataclass(frozen=True)
class Truncated:
    """The body lacks its last ``missing`` bytes, though their number was announced.

    A connection lost half way. ``Terminated`` without its end is still a word, so a client must compare the
    lengths.
    """

    missing: int = 1

    def __post_init__(self) -> None:
        if self.missing < 1:
            raise ValueError(f"a body that lacks {self.missing} bytes is not truncated")


@dataclass(frozen=True)
class Oversized:
    """The body goes on after its end, with blanks, up to ``size`` bytes; None for ever and without a length.

    Another web server at the metadata address, such as a captive proxy that sends a file. The blanks keep
    JSON valid: a client is saved by its own limit or not at all.
    """

    size: int | None = 8 * 2**20


@dataclass(frozen=True)
class WrongBody:
    """Status 200 with a body that cannot be what was asked for: a metadata proxy's bug, or half a write."""

    body: bytes


EMPTY_BODY = WrongBody(b"")
MALFORMED_JSON = WrongBody(b'{"action": "terminate", "time": "2026-11-22T08')
BINARY_BODY = WrongBody(bytes(range(256)))


@dataclass(frozen=True)
class NotHttp:
    """Something that is no HTTP answer: another service was started at the address or the forwarded port."""

    data: bytes = b"SSH-2.0-OpenSSH_9.6\r\n\x00\xff\x00\xff\r\n"


@dataclass(frozen=True)
class HeadersCut:
    """The connection ends in the middle of the headers: the service died while it answered."""


# These leave the client without an answer whose status code it could rely on.
_Unanswered = Refused | Reset | Silent | NotHttp | HeadersCut

Fault = Status | Slow | Truncated | Oversized | WrongBody | _Unanswered


def distort(answer: Answer, fault: Fault) -> Answer:
    """Return what the service means to answer under a fault. Whatever it is, the connection ends with it."""
    match fault:
        case Status(code):
            return Answer.error(answer.date, code)
        case WrongBody(body):
            return Answer(answer.date, body=body, close=True)
        case Oversized(int(size)):
            return replace(answer, body=answer.body.ljust(size), close=True)
        case _:
            return replace(answer, close=True)


def status_read(answer: Answer, fault: Fault | None) -> int | None:
    """Return the status code that reaches the client with an answer; None when none does for certain."""
    return None if isinstance(fault, _Unanswered) else answer.status


def deliver(answer: Answer, fault: Fault, wire: Wire) -> None:
    """Send a distorted answer as far as the fault lets it go. The caller then closes the connection."""
    match fault:
        case Status() | WrongBody() | Oversized(int()):
            wire.send(answer.encode())
        case Oversized():
            _send_for_ever(answer, wire)
        case Slow(size, interval):
            _send_in_pieces(answer.encode(), size, interval, wire)
        case Truncated(missing):
            wire.send(answer.head(len(answer.body)) + answer.body[:-missing])
        case HeadersCut():
            head = answer.head(len(answer.body))
            wire.send(head[: len(head) // 2])
        case NotHttp(data):
            wire.send(data)
        case Silent():
            wire.wait_for_client_to_leave()
        case Refused() | Reset():  # refused: the request was under way when the service stopped to listen
            wire.reset()
        case _:
            assert_never(fault)


def _send_for_ever(answer: Answer, wire: Wire) -> None:
    wire.send(answer.head(None) + answer.body)
    while True:
        wire.send(_BLANKS)


def _send_in_pieces(data: bytes, size: int, interval: float, wire: Wire) -> None:
    for start in range(0, len(data), size):
        wire.send(data[start : start + size])
        wire.pause(interval)
