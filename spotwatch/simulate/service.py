"""A fake EC2 instance metadata service on a loopback port.

It answers as the EC2 user guide says ("Use the Instance Metadata Service to access instance metadata"):
session tokens, status codes, error pages and listings included. It shares no code with the daemon that is
tested against it.

One thread accepts, and each connection has a thread of its own, so a client that is kept waiting by a fault
delays nobody else. ``close()`` shuts every socket down, which wakes every thread that waits on one.
"""

from __future__ import annotations

import contextlib
import http.client
import math
import re
import secrets
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http.client import HTTPMessage
from io import BufferedReader
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from spotwatch.simulate.faults import Answer, Fault, Refused, Silent, deliver, distort, status_read
from spotwatch.simulate.instance import (
    VERSIONS,
    Instance,
    MaintenanceEvent,
    look_up,
    maintenance_text,
    utc_text,
)

TOKEN_PATH = "/latest/api/token"  # noqa: S105  # where a token is got, not a token

_TOKEN_ITEM = "api/token"  # noqa: S105  # the same, under any version directory
_TOKEN_HEADER = "X-Aws-Ec2-Metadata-Token"  # noqa: S105  # the header's name
_TTL_HEADER = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
_MAX_TTL = 21600  # seconds, six hours

_VERSION = re.compile(r"latest|1\.0|\d{4}-\d\d-\d\d")
_NO_MEANING = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close() sends RST
_MAX_LINE = 65536  # bytes of a request line, http.client's own limit for a header
_MAX_BODY = 65536  # bytes; no request that the service knows has a body
_REQUESTS_KEPT = 1000
_AN_INSTANCE = Instance()


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Request:
    """What a client asked, and the status code that it got."""

    method: str
    path: str
    """As the client wrote it. A request line that is none stands here whole, with an empty method."""
    headers: HTTPMessage
    time: float
    """``time.monotonic()`` when the headers had been read, in seconds."""
    well_formed: bool
    keep_alive: bool
    status: int | None = None
    """None when a fault kept the client from reading one."""


class MetadataService:
    """A fake EC2 instance metadata service on a loopback port.

    Use it as a context manager, or call ``start`` and ``close``. Everything may be called from any thread,
    and takes effect with the next request.

    Args:
        instance: What the metadata is about.
        host: Address to listen on, IPv4 or IPv6.
        port: Port to listen on; 0 for a free one.
        imdsv1: Whether a request without a token is answered (HttpTokens=optional).
        hop_limit_exceeded: Whether the answer to a token request is lost on its way, as in a container when
            HttpPutResponseHopLimit is 1.
        clock: AWS's clock, told in the ``Date`` header; skew it against the client's. Returns aware times.
    """

    def __init__(
        self,
        instance: Instance = _AN_INSTANCE,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        imdsv1: bool = False,
        hop_limit_exceeded: bool = False,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._instance = instance
        self._address = (host, port)
        self._imdsv1 = imdsv1
        self._hop_limit_exceeded = hop_limit_exceeded
        self._clock = clock

        self._lock = threading.Lock()  # guards everything below, and the closing of sockets
        self._changed: dict[str, str | None] = {}  # items put (text) or withdrawn (None) since the launch
        self._faults: dict[str | None, Fault] = {}
        self._tokens: dict[str, float] = {}  # the value is the end on the service's monotonic clock
        self._advanced = 0.0
        self._requests: deque[Request] = deque(maxlen=_REQUESTS_KEPT)
        self._statuses: Counter[int | None] = Counter()
        self._connections = 0
        self._listener: _Listener | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Take the port and answer from now on. Raises ``OSError`` when the address cannot be had."""
        with self._lock:
            if self._listener is not None:
                raise RuntimeError("the service is running already")
            self._listener = _Listener(self._address, self._serve)
            self._listen_or_refuse(self._listener)

    def close(self) -> None:
        """End every connection at once, in whatever state it is, and give the port back.

        No thread and no socket is left. A service that is not running stays as it is.
        """
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()

    @property
    def url(self) -> str:
        """Where the service is: ``http://127.0.0.1:34567`` or ``http://[::1]:34567``, without a slash."""
        listener = self._listener
        if listener is None:
            raise RuntimeError("the service is not running, so it has no address")
        host, port = listener.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def requests(self) -> tuple[Request, ...]:
        """The last 1,000 requests, oldest first. A request is here before its answer goes out."""
        with self._lock:
            return tuple(self._requests)

    @property
    def statuses(self) -> Counter[int | None]:
        """How many requests got which status code so far; None counts those that got no answer."""
        with self._lock:
            return self._statuses.copy()

    @property
    def connections(self) -> int:
        """How many connections were accepted so far; fewer than requests when clients keep theirs."""
        with self._lock:
            return self._connections

    def put(self, item: str, body: str) -> None:
        """Answer 200 with this body for an item under ``/latest/meta-data/``: ``spot/instance-action``."""
        self._change({item: body})

    def withdraw(self, item: str) -> None:
        """Answer 404 for an item under ``/latest/meta-data/``, and no longer list it."""
        self._change({item: None})

    def interrupt(self, action: str, time: datetime) -> None:
        """Give the Spot Instance interruption notice (EC2 user guide, "Spot Instance interruption notices").

        Args:
            action: ``terminate``, ``stop`` or ``hibernate``. Only for the first there is the older item
                ``spot/termination-time`` too.
            time: When the action will be taken, about two minutes from now. For ``hibernate``, which starts
                with the notice, it is now.
        """
        if action not in ("terminate", "stop", "hibernate"):
            raise ValueError(f"{action!r} is not what EC2 does with an interrupted Spot Instance")
        notice = f'{{"action": "{action}", "time": "{utc_text(time)}"}}'
        termination_time = utc_text(time) if action == "terminate" else None
        self._change({"spot/instance-action": notice, "spot/termination-time": termination_time})

    def recommend_rebalance(self, notice_time: datetime) -> None:
        """Give the rebalance recommendation (EC2 user guide, "EC2 instance rebalance recommendations")."""
        self.put("events/recommendations/rebalance", f'{{"noticeTime": "{utc_text(notice_time)}"}}')

    def schedule_maintenance(self, events: Sequence[MaintenanceEvent]) -> None:
        """Make these the scheduled events of the instance; none is an empty array, not 404."""
        self.put("events/maintenance/scheduled", maintenance_text(events))

    def set_target_lifecycle_state(self, state: str) -> None:
        """Say what state the Auto Scaling group wants, such as ``InService`` or ``Terminated``."""
        self.put("autoscaling/target-lifecycle-state", state)

    def revoke_tokens(self) -> None:
        """Forget every session token, so that each is answered 401."""
        with self._lock:
            self._tokens.clear()

    def advance(self, seconds: float) -> None:
        """Let the clock by which tokens age run ahead. ``clock``, which tells the date, is not moved."""
        with self._lock:
            self._advanced += seconds

    def trouble(self, fault: Fault | None, *, item: str | None = None) -> None:
        """Deliver every answer, or those for one item, with this fault from the next request on.

        Args:
            fault: What goes wrong. None ends the fault of the item, or without an item every fault there is.
            item: An item under ``/latest/meta-data/``, or a whole path such as ``/latest/api/token``; its
                fault goes before the general one. None is every request, tokens included.
        """
        if isinstance(fault, Refused) and item is not None:
            raise ValueError("a connection is refused before anybody knows which item will be asked for")
        with self._lock:
            if fault is not None:
                self._faults[None if item is None else _item_path(item)] = fault
            elif item is None:
                self._faults.clear()
            else:
                self._faults.pop(_item_path(item), None)
            if self._listener is not None:
                self._listen_or_refuse(self._listener)

    def _listen_or_refuse(self, listener: _Listener) -> None:
        if isinstance(self._faults.get(None), Refused):
            listener.refuse()
        else:
            listener.listen()

    def _change(self, items: dict[str, str | None]) -> None:
        with self._lock:
            self._changed.update({_item_path(item): body for item, body in items.items()})

    def _serve(self, wire: _Wire) -> None:
        """Answer the requests of one connection, until it ends."""
        with self._lock:
            self._connections += 1
        while (request := _read_request(wire.stream)) is not None:
            with self._lock:
                answer, fault = self._answer(request), self._fault(request)
                if fault is not None:
                    answer = distort(answer, fault)
                self._record(replace(request, status=status_read(answer, fault)))
            if fault is not None:
                deliver(answer, fault, wire)
            else:
                wire.send(answer.head(len(answer.body)) if request.method == "HEAD" else answer.encode())
            if answer.close:
                return

    def _record(self, request: Request) -> None:
        self._requests.append(request)
        self._statuses[request.status] += 1

    def _fault(self, request: Request) -> Fault | None:
        version, path = _split(request.path)
        if self._hop_limit_exceeded and request.method == "PUT" and path == _TOKEN_ITEM:
            return Silent()
        return self._faults.get(path if version else None, self._faults.get(None))

    def _answer(self, request: Request) -> Answer:
        date = self._clock()
        version, path = _split(request.path)
        if not request.well_formed:
            return Answer.error(date, 400)
        if path == _TOKEN_ITEM:
            return self._answer_token_request(request, version, date)
        if request.method not in ("GET", "HEAD"):
            return Answer.error(date, 405, ("Allow", "GET, HEAD"))
        return self._answer_item_request(request, version, path, date)

    def _answer_token_request(self, request: Request, version: str, date: datetime) -> Answer:
        if version != "latest":
            return Answer.error(date, 403)
        if request.method != "PUT":
            return Answer.error(date, 405, ("Allow", "OPTIONS, PUT"))
        # A token must not leave the instance, so it is not given to what may be an open proxy.
        if "X-Forwarded-For" in request.headers:
            return Answer.error(date, 403)
        ttl = _ttl(request.headers.get(_TTL_HEADER, ""))
        if ttl is None:
            return Answer.error(date, 400)
        token = self._issue_token(ttl).encode()
        return Answer(date, body=token, headers=((_TTL_HEADER, str(ttl)),), close=not request.keep_alive)

    def _answer_item_request(self, request: Request, version: str, path: str, date: datetime) -> Answer:
        token = request.headers.get(_TOKEN_HEADER)
        seconds_left = 0.0 if token is None else self._tokens.get(token, 0.0) - self._age()
        # A bad token is refused even where none is needed.
        if seconds_left <= 0 and (token is not None or not self._imdsv1):
            return Answer.error(date, 401)
        text = self._text(version, path, date)
        if text is None:
            return Answer.error(date, 404)
        return Answer(
            date,
            body=text.encode(),
            content_type="application/octet-stream" if path == "user-data" else "text/plain",
            headers=() if token is None else ((_TTL_HEADER, str(math.ceil(seconds_left))),),
            close=not request.keep_alive,
        )

    def _text(self, version: str, path: str, date: datetime) -> str | None:
        if not version:
            return "\n".join(VERSIONS)
        if not _VERSION.fullmatch(version):
            return None
        items = {**self._instance.items(date), **self._changed}
        return look_up({item: text for item, text in items.items() if text is not None}, path)

    def _issue_token(self, ttl: int) -> str:
        now = self._age()
        self._tokens = {token: end for token, end in self._tokens.items() if end > now}
        token = secrets.token_urlsafe(40)
        self._tokens[token] = now + ttl
        return token

    def _age(self) -> float:
        return time.monotonic() + self._advanced


class _Wire:
    """One connection; it is what a fault is carried out on."""

    def __init__(self, sock: socket.socket, closing: threading.Event) -> None:
        # Otherwise the second small piece would wait for the client's delayed acknowledgement, 40 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._closing = closing
        self._lock = threading.Lock()  # so that cut() never meets a descriptor that is another file by now
        self.stream = sock.makefile("rb")

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def pause(self, seconds: float) -> None:
        if self._closing.wait(seconds):
            raise ConnectionAbortedError("the service is closing")

    def wait_for_client_to_leave(self) -> None:
        while self._sock.recv(_MAX_LINE):
            pass

    def reset(self) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_MEANING)

    def cut(self) -> None:
        """End the connection from another thread: what its own thread waits for there ends too."""
        with self._lock, contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            self.stream.close()
            self._sock.close()


class _Listener:
    """A port, and a thread for each connection that is made to it."""

    def __init__(self, address: tuple[str, int], serve: Callable[[_Wire], None]) -> None:
        # Bound as long as the service lives, but never listening: while the other socket is closed,
        # connections are refused, and no other program gets the port.
        self._reserved = _bound(address)
        self.address: tuple[str, int] = self._reserved.getsockname()[:2]
        self._serve = serve
        self._closing = threading.Event()
        self._listening: tuple[socket.socket, threading.Thread] | None = None
        self._connections: dict[threading.Thread, _Wire] = {}

    def listen(self) -> None:
        if self._listening is not None:
            return
        sock = _bound(self.address)
        sock.listen(128)
        thread = threading.Thread(target=self._accept, args=(sock,), name="metadata service", daemon=True)
        self._listening = (sock, thread)
        thread.start()

    def refuse(self) -> None:
        """Refuse connections, and end those that there are."""
        if self._listening is not None:
            sock, thread = self._listening
            self._listening = None
            sock.shutdown(socket.SHUT_RDWR)  # wakes accept()
            thread.join()
            sock.close()
        for wire in self._connections.values():
            wire.cut()

    def close(self) -> None:
        self._closing.set()
        self.refuse()
        self._reserved.close()
        for thread in self._connections:
            thread.join()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return  # refuse() has shut it down
            wire = _Wire(sock, self._closing)
            self._forget_ended_connections()
            thread = threading.Thread(target=self._converse, args=(wire,), name="metadata", daemon=True)
            self._connections[thread] = wire
            thread.start()

    def _forget_ended_connections(self) -> None:
        self._connections = {thread: wire for thread, wire in self._connections.items() if thread.is_alive()}

    def _converse(self, wire: _Wire) -> None:
        try:
            self._serve(wire)
        except OSError:
            pass  # the client is gone or the service is closing, and nobody is left to be told
        finally:
            wire.close()


def _bound(address: tuple[str, int]) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    try:
        # Lets the listening socket share the reserved port, and a port be taken again while old connections
        # linger.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def _read_request(stream: BufferedReader) -> Request | None:
    """Read one request with its body; None when the client leaves before a whole request line."""
    line = stream.readline(_MAX_LINE).decode("latin-1")
    if not line.endswith("\n"):
        return None
    words = line.split()
    method, path, version = words if len(words) == 3 else ("", line.strip(), "")
    headers, allowed = _read_headers(stream)
    return Request(
        method=method,
        path=path,
        headers=headers,
        time=time.monotonic(),
        well_formed=version in ("HTTP/1.0", "HTTP/1.1") and allowed and _skip_body(stream, headers),
        keep_alive=version == "HTTP/1.1" and headers.get("Connection", "").lower() != "close",
    )


def _read_headers(stream: BufferedReader) -> tuple[HTTPMessage, bool]:
    """Read headers, and tell whether HTTP allows them."""
    try:
        headers = http.client.parse_headers(stream)
    except http.client.HTTPException:  # too long or too many
        return HTTPMessage(), False
    # The parser joins a header that goes on in the next line; HTTP no longer does (RFC 9112, section 5.2).
    folded = any("\n" in value for value in headers.values())
    return headers, not folded and not headers.defects


def _skip_body(stream: BufferedReader, headers: HTTPMessage) -> bool:
    """Read over a request's body, so that the next request is found behind it; False if that cannot be."""
    length = headers.get("Content-Length", "0")
    if "Transfer-Encoding" in headers or not re.fullmatch("[0-9]{1,5}", length) or int(length) > _MAX_BODY:
        return False
    return len(stream.read(int(length))) == int(length)


def _split(path: str) -> tuple[str, str]:
    """Split a request's path into version directory and what is asked for there, without outer slashes."""
    version, _, rest = unquote(path.partition("?")[0]).strip("/").partition("/")
    return version, rest


def _item_path(item: str) -> str:
    """Return where an item is under a version directory: a whole path names it itself."""
    return _split(item)[1] if item.startswith("/") else f"meta-data/{item.strip('/')}"


def _ttl(text: str) -> int | None:
    """Return the seconds that a token is to live; None when they are no number or out of range."""
    if not re.fullmatch("[0-9]{1,5}", text.strip()):
        return None
    return int(text) if 1 <= int(text) <= _MAX_TTL else None
