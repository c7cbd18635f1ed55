"""The connection to the metadata service: httpx over one keep-alive connection, with one absolute time limit.

Failures it survives:

- a slow drip: httpx limits each read, so a byte a second would never time out. Here every connect, read and write gets
  what is left of the request's one limit, headers included;
- an answer without end: reading stops at `LARGEST_ANSWER`, and at the limit even if there always is more to read;
- a kept-alive connection that the service closed while we were idle: asked once more on a new one;
- proxies in the environment, which would ask the *proxy's* metadata service: ``trust_env`` is off.
"""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpcore
import httpx

from spotwatch import __version__
from spotwatch.core.errors import MetadataBroken, MetadataTimedOut, MetadataUnreachable
from spotwatch.watch.exchange import Request, Response

_NO_ANSWER_HINT = (
    "right after a launch this passes; later, see that no firewall rule keeps this host from the metadata service and "
    "that the instance's metadata options enable it; outside EC2 there is none"
)

LARGEST_ANSWER = 64 * 1024
"""Bytes. The longest item in use, the list of scheduled events, has a few hundred a piece."""

NOT_OBEYED = frozenset({b"location", b"set-cookie"})
"""Headers, in lower case, that httpx would act on. The metadata service sends neither; who does is somebody else."""

CUT_OFF = (httpcore.NetworkError, httpcore.ProtocolError)
"""How a kept-alive connection shows that the service has closed it."""

FAILURES = (
    *CUT_OFF,
    httpcore.ConnectionNotAvailable,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    httpx.CookieConflict,
)
"""Everything, besides being too late, that httpcore and httpx can raise; neither has one class above it all."""


class Connection:
    """Asks the metadata service at `endpoint`; implements `spotwatch.watch.exchange.Metadata`.

    `sockets` is where its streams come from; None means the machine's own.
    """

    def __init__(self, endpoint: str, *, sockets: httpcore.NetworkBackend | None = None) -> None:
        self._endpoint = endpoint
        self._network = _LimitedNetwork(sockets or httpcore.SyncBackend())
        self._client = httpx.Client(
            base_url=endpoint,
            transport=_Transport(self._network),
            trust_env=False,
            headers={"User-Agent": f"spotwatch/{__version__}", "Accept-Encoding": "identity"},
        )

    def send(self, request: Request) -> Response:
        """See `Metadata.send`."""
        self._network.begin(request.limit)
        try:
            return self._exchange_over_a_live_connection(request)
        except httpcore.ConnectTimeout:
            # Not a slow answer: the packets are dropped on the way there, while past a hop limit it is the answer's.
            raise self._unreachable(f"no connection within {request.limit:.2g} s") from None
        except (httpcore.TimeoutException, httpx.TimeoutException):
            raise self._timed_out(request) from None
        except FAILURES as error:
            raise self._unreachable(str(error) or type(error).__name__) from None

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _exchange_over_a_live_connection(self, request: Request) -> Response:
        """Ask once more if it was not this request that opened the connection, and so may have found it dead."""
        try:
            return self._exchange(request)
        except CUT_OFF:
            if self._network.connected:
                raise
        return self._exchange(request)

    def _exchange(self, request: Request) -> Response:
        with self._client.stream(request.method, request.path, headers=request.headers) as response:
            body = b""
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise MetadataBroken(
                        f"{self._endpoint} answered with more than {LARGEST_ANSWER} bytes",
                        hint="something else than a metadata service answers at this address",
                    )
        return Response(response.status_code, body.decode(errors="replace"), _date(response.headers.get("Date")))

    def _timed_out(self, request: Request) -> MetadataTimedOut:
        return MetadataTimedOut(
            f"{self._endpoint} gave no complete answer within {request.limit:.2g} s", hint=_NO_ANSWER_HINT
        )

    def _unreachable(self, reason: str) -> MetadataUnreachable:
        return MetadataUnreachable(f"{self._endpoint} cannot be asked: {reason}", hint=_NO_ANSWER_HINT)


def _date(header: str | None) -> datetime | None:
    """The moment in a ``Date`` header, None if there is none or it is nonsense."""
    try:
        date = parsedate_to_datetime(header) if header else None
    except (ValueError, OverflowError):
        return None
    return date.replace(tzinfo=UTC) if date and date.tzinfo is None else date


class _Transport(httpx.BaseTransport):
    """httpx's requests over an httpcore pool whose network we limit; httpcore's errors pass through."""

    def __init__(self, network: "_LimitedNetwork") -> None:
        self._pool = httpcore.ConnectionPool(max_connections=1, network_backend=network)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        answer = self._pool.handle_request(
            httpcore.Request(request.method, url, headers=request.headers.raw, content=request.stream)
        )
        headers = [(name, value) for name, value in answer.headers if name.lower() not in NOT_OBEYED]
        return httpx.Response(answer.status, headers=headers, stream=_Body(answer))

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class _LimitedNetwork(httpcore.NetworkBackend):
    """Sockets that share one absolute time limit; `connected` says whether this request opened one."""

    def __init__(self, sockets: httpcore.NetworkBackend) -> None:
        self._sockets = sockets
        self._until = 0.0
        self.connected = False

    def begin(self, limit: float) -> None:
        """From now on everything has to be done within `limit` seconds."""
        self._until = time.monotonic() + limit
        self.connected = False

    def left(self) -> float:
        """Seconds that are left.

        Raises:
            httpcore.TimeoutException: none are. A socket would still hand over what has come, for as long as it comes.
        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise httpcore.TimeoutException
        return left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 (httpcore's signature; ours is one limit for all)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        self.connected = True
        try:
            stream = self._sockets.connect_tcp(host, port, self.left(), local_address, socket_options)
        except UnicodeError as error:  # from the resolver: a name of a form that no host can have
            raise httpcore.ConnectError(str(error)) from None
        return _LimitedStream(stream, self)


class _LimitedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, network: _LimitedNetwork) -> None:
        self._stream = stream
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 (as above)
        return self._stream.read(max_bytes, self._network.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 (as above)
        self._stream.write(buffer, self._network.left())

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
