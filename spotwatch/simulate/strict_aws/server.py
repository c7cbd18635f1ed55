"""The HTTP server: reads what is asked, lets go wrong what is to go wrong, and hands the rest to who answers."""

import io
import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from threading import RLock, Thread
from types import TracebackType
from typing import Any, Final, Self

from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import (
    BackendRequest,
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import BaseWSGIServer, make_server

from spotwatch.simulate.strict_aws import s3
from spotwatch.simulate.strict_aws.ec2 import StrictEc2
from spotwatch.simulate.strict_aws.faults import CARRIED_OUT, CODES, Fault, Faults
from spotwatch.simulate.strict_aws.prices import PriceList
from spotwatch.simulate.strict_aws.requests import Call, read_call, service_of
from spotwatch.simulate.strict_aws.world import Delays, Schedule, World

REGION: Final = "eu-west-1"
"""Of the clients that take their settings from `StrictAws.environment`."""

Response = tuple[int, Mapping[str, str], bytes]
"""Status, headers, body."""

_XML: Final = {"Content-Type": "text/xml"}


class _Handler(MotoRequestHandler):
    """Requests are in `StrictAws.calls`, not on the terminal."""

    def log_request(self, *_: Any) -> None:
        """Nothing; a bug's traceback is still logged."""


class StrictAws:
    """A context manager: AWS on a port of this machine. All of it is forgotten when another one is begun.

    Attributes:
        world: delays, pages, mounted volumes and the hooks of attachments; may be changed at any time.
        prices: the Price List.
        calls: every call that arrived, in order, also those that went wrong.
        slowness: carried out before a call with the fault `SLOW` is answered.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        delays: Delays | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Nothing listens yet.

        Args:
            clock: seconds; what changes that take time are measured by.
            delays: how long they take; none unless told.
            host: address to listen on.
            port: 0 for a free one.
        """
        self.world = World(Schedule(clock), delays or Delays())
        self.prices = PriceList()
        self.calls: list[Call] = []
        self.slowness: Callable[[], None] = lambda: time.sleep(1)
        self._faults = Faults()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._s3_lock = RLock()
        self._address = (host, port)
        self._server: BaseWSGIServer | None = None
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        moto_api_backend.reset()
        host, port = self._address
        self._server = make_server(host, port, self._serve, threaded=True, request_handler=_Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    @property
    def url(self) -> str:
        """The endpoint of every service."""
        if self._server is None:
            raise RuntimeError("it listens only inside its `with`")
        return f"http://{self._server.host}:{self._server.port}"

    def environment(self) -> dict[str, str]:
        """What a client of AWS has in its environment, in order to talk to this."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "no-secret",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def plan(self, fault: Fault, name: str, times: int = 1) -> None:
        """Let the next calls go wrong whose name fits: `ec2:AttachVolume`, `s3:*`."""
        self._faults.plan(fault, name, times)

    def forgive(self) -> None:
        """Nothing goes wrong any more."""
        self._faults.clear()

    def count(self, name: str) -> int:
        """How many calls of one kind have arrived: `ec2:AttachVolume`."""
        return sum(call.name == name for call in list(self.calls))

    def _serve(self, environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
        content, length = environ["wsgi.input"], int(environ.get("CONTENT_LENGTH") or 0)
        body = b"" if service_of(environ) == "s3" else content.read(length)
        call = read_call(environ, body)
        self.calls.append(call)
        fault = self._faults.take(call.name)
        if fault is Fault.RESET:
            content.read((length - len(body)) // 2)
            return _break(environ)
        body += content.read(length - len(body))
        if fault is Fault.ALTERED and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        environ["wsgi.input"] = io.BytesIO(body)
        if fault is None or fault in CARRIED_OUT:
            response = self._answer(call, environ, body)
        else:
            response = _went_wrong(fault, call)
        if fault is Fault.SLOW:
            self.slowness()
        return _deliver(response, fault, environ, start)

    def _answer(self, call: Call, environ: dict[str, Any], body: bytes) -> Response:
        if call.service == "ec2":
            status, headers, text = StrictEc2(self.world).answer(BackendRequest(environ))
            return status, headers, text.encode() if isinstance(text, str) else text
        if call.service == "pricing":
            return (
                200,
                {"Content-Type": "application/x-amz-json-1.1"},
                self.prices.answer(call.parameters, self.world.page).encode(),
            )
        if call.service == "s3":
            with self._s3_lock:
                return self._answer_s3(call, environ, body)
        return self._ask_moto(environ)

    def _answer_s3(self, call: Call, environ: dict[str, Any], body: bytes) -> Response:
        refused = s3.refusal(call, environ, body)
        if refused is not None:
            return _refuse(call, *refused)
        page = s3.listing(call, self.world.page)
        return (200, _XML, page.encode()) if page is not None else self._ask_moto(environ)

    def _ask_moto(self, environ: dict[str, Any]) -> Response:
        told: list[Any] = []
        chunks = self._moto(environ, lambda status, headers, *_: told.extend((status, headers)))
        body = b"".join(chunks)
        if hasattr(chunks, "close"):
            chunks.close()
        return int(told[0].split()[0]), dict(told[1]), body


def _went_wrong(fault: Fault, call: Call) -> Response:
    if fault is Fault.NONSENSE:
        return 200, {"Content-Type": "text/html"}, b"<html><body><h1>Please log in</h1></body></html>"
    codes = CODES.get(fault, {})
    status, code = codes.get(call.service) or codes.get("") or (500, "")
    return _refuse(call, status, code, f"{call.name} was made to go wrong")


def _refuse(call: Call, status: int, code: str, message: str) -> Response:
    """A refusal in the form of the service."""
    if call.service == "ec2":
        text = f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>"
    elif call.service == "s3":
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    else:
        body = json.dumps({"__type": code, "message": message})
        return (
            status,
            {"Content-Type": "application/x-amz-json-1.1", "x-amzn-query-error": f"{code};Sender"},
            body.encode(),
        )
    return status, _XML, b"" if call.operation.startswith("Head") else text.encode()


def _deliver(
    response: Response, fault: Fault | None, environ: Mapping[str, Any], start: Callable[..., object]
) -> Iterable[bytes]:
    """Send it, or as much of it as the fault lets through."""
    status, headers, body = response
    if fault is Fault.LOST:
        return _break(environ)
    kept = [(name, str(value)) for name, value in headers.items() if name.lower() not in ("content-length", "status")]
    if environ["REQUEST_METHOD"] == "HEAD":
        told = next((value for name, value in headers.items() if name.lower() == "content-length"), str(len(body)))
        start(f"{status} -", [*kept, ("Content-Length", told)])
        return []
    start(f"{status} -", [*kept, ("Content-Length", str(len(body)))])
    return _half(body, environ) if fault is Fault.CUT else [body]


def _half(body: bytes, environ: Mapping[str, Any]) -> Iterable[bytes]:
    yield body[: len(body) // 2]
    yield from _break(environ)


def _break(environ: Mapping[str, Any]) -> Iterable[bytes]:
    """End the connection; what is left of the answer's body: nothing."""
    connection: socket.socket = environ["werkzeug.socket"]
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    return []
