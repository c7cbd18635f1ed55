"""A fake EC2 instance metadata service on a loopback port.

It answers as the EC2 user guide says ("Use the Instance Metadata Service to access instance metadata"):
session tokens, status codes, error pages and listings included. It shares no code with the daemon that is
tested against it.

How requests are read and connections kept is in ``wire``; each connection has a thread of its own.
"""

from __future__ import annotations

import math
import re
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
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
from spotwatch.simulate.wire import Connection, Listener, Request, read_request

TOKEN_PATH = "/latest/api/token"  # noqa: S105  # where a token is got, not a token

_TOKEN_ITEM = "api/token"  # noqa: S105  # the same, under any version directory
_TOKEN_HEADER = "X-Aws-Ec2-Metadata-Token"  # noqa: S105  # the header's name
_TTL_HEADER = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
_MAX_TTL = 21600  # seconds, six hours

_VERSION = re.compile(r"latest|1\.0|\d{4}-\d\d-\d\d")
_REQUESTS_KEPT = 1000
_AN_INSTANCE = Instance()


def _utc_now() -> datetime:
    return datetime.now(UTC)


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
        self._listener: Listener | None = None

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
            self._listener = Listener(self._address, self._serve)
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

    def _listen_or_refuse(self, listener: Listener) -> None:
        if isinstance(self._faults.get(None), Refused):
            listener.refuse()
        else:
            listener.listen()

    def _change(self, items: dict[str, str | None]) -> None:
        with self._lock:
            self._changed.update({_item_path(item): body for item, body in items.items()})

    def _serve(self, wire: Connection) -> None:
        """Answer the requests of one connection, until it ends."""
        with self._lock:
            self._connections += 1
        while (request := read_request(wire.stream)) is not None:
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
