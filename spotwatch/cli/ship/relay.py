"""The destination as the process that reads a volume sees it: at the other end of a socket, where its parent serves it.

So the process that mounts what somebody else has written holds no credentials and opens no connections, and the client
of S3, which takes a third of a second and 35 MB, is loaded once: by the parent, while the volume is being opened.

A request is a line of JSON, and so is its answer. Content is chunks, each after its length, the last of which has none;
`_BROKEN_OFF` in place of a length says that no more will come.

What this survives: either end dying at any moment. An object of which not every byte has come is not stored.
"""

import json
import socket
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, Final

from spotwatch.cli.ship.draft import refusal, refused
from spotwatch.core.errors import SpotwatchError, WorkerFailed
from spotwatch.core.stored import Stored
from spotwatch.ship.destination import Destination

_BUFFER: Final = 256 * 1024
"""Bytes that are read ahead; longer chunks pass it by."""

_LENGTH: Final = 4
"""Bytes of a length, the lowest first."""

_BROKEN_OFF: Final = b"\xff" * _LENGTH

_SEND: Final = "send"
"""The first answer to who wants to store an object: its content is wanted."""


class _BrokenOff(Exception):
    """Who sends the chunks has failed, and tells why by other means."""


class _Gone(Exception):
    """The other end has gone."""


class _Line:
    """One end of the connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._coming = open(connection.fileno(), "rb", _BUFFER, closefd=False)  # noqa: SIM115 (the connection's owner closes)

    def tell(self, what: Any) -> None:
        self._send(json.dumps(what).encode() + b"\n")

    def told(self) -> Any:
        with _noticed():
            line = self._coming.readline()
        if not line.endswith(b"\n"):
            raise _Gone
        return json.loads(line)

    def send_chunks(self, chunks: Iterable[bytes]) -> None:
        try:
            for chunk in filter(None, chunks):
                self._send(len(chunk).to_bytes(_LENGTH, "little"))
                self._send(chunk)
        except Exception:
            self._send(_BROKEN_OFF)
            raise
        self._send(bytes(_LENGTH))

    def chunks(self) -> Iterator[bytes]:
        while (length := self._exactly(_LENGTH)) != bytes(_LENGTH):
            if length == _BROKEN_OFF:
                raise _BrokenOff
            yield self._exactly(int.from_bytes(length, "little"))

    def _send(self, data: bytes) -> None:
        with _noticed():
            self._connection.sendall(data)

    def _exactly(self, size: int) -> bytes:
        with _noticed():
            data = self._coming.read(size)
        if len(data) < size:
            raise _Gone
        return data


@contextmanager
def _noticed() -> Iterator[None]:
    try:
        yield
    except ConnectionError:
        raise _Gone from None


class Relay:
    """A destination at the other end; implements `spotwatch.ship.destination.Destination`, for one thread.

    Every method raises `WorkerFailed` if the other end has gone.

    Args:
        connection: to who serves it.
        url: what it is called on the command line.
    """

    def __init__(self, connection: socket.socket, url: str) -> None:
        self._line = _Line(connection)
        self._url = url
        self._reading: Generator[bytes, None, None] | None = None

    @property
    def url(self) -> str:
        """See `Destination.url`."""
        return self._url

    def put(self, key: str, chunks: Iterable[bytes]) -> bool:
        """See `Destination.put`."""
        answer = self._ask("put", key)
        if answer == _SEND:
            with _told():
                self._line.send_chunks(chunks)
            answer = self._answer()
        return bool(answer)

    def find(self, key: str) -> Stored | None:
        """See `Destination.find`."""
        size = self._ask("find", key)
        return None if size is None else Stored(key, size)

    def below(self, prefix: str) -> Iterator[Stored]:
        """See `Destination.below`."""
        yield from (Stored(key, size) for key, size in self._ask("below", prefix))

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See `Destination.read`; what is asked next ends it."""
        self._request("read", key, start, length)
        self._reading = self._content()
        return self._reading

    def _content(self) -> Generator[bytes, None, None]:
        coming = self._line.chunks()
        with _told():
            try:
                with suppress(_BrokenOff):
                    for chunk in coming:  # noqa: UP028 (`yield from` would close it when we are closed)
                        yield chunk
            finally:
                _take_the_rest(coming)
                self._answer()

    def _ask(self, *request: Any) -> Any:
        self._request(*request)
        return self._answer()

    def _request(self, *request: Any) -> None:
        if self._reading is not None:
            self._reading.close()
        with _told():
            self._line.tell(request)

    def _answer(self) -> Any:
        """What was answered; raises what the destination has raised."""
        with _told():
            answer = self._line.told()
        if isinstance(answer, dict):
            raise refused(answer)
        return answer


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except _Gone:
        raise WorkerFailed("the process that stores the objects has gone", hint="see what it says") from None


def _take_the_rest(coming: Iterator[bytes]) -> None:
    """Who does not want what is on its way takes it all the same, so that what follows it is found."""
    with suppress(_BrokenOff):
        for _ in coming:
            pass


class _Server:
    """Carries out what the other end asks for."""

    def __init__(self, connection: socket.socket, destination: Destination) -> None:
        self._line = _Line(connection)
        self._destination = destination
        self._deeds: dict[str, Callable[..., Any]] = {
            "put": self._put,
            "find": self._find,
            "below": self._below,
            "read": self._read,
        }

    def serve(self) -> None:
        """Until the other end has gone."""
        with suppress(_Gone):
            while True:
                deed, *words = self._line.told()
                with suppress(_BrokenOff):
                    self._line.tell(self._answer(self._deeds[deed], words))

    def _answer(self, do: Callable[..., Any], words: Sequence[Any]) -> Any:
        try:
            return do(*words)
        except SpotwatchError as error:
            return refusal(error)

    def _put(self, key: str) -> bool:
        asked_for = False

        def chunks() -> Iterator[bytes]:
            nonlocal asked_for
            asked_for = True
            self._line.tell(_SEND)
            yield from self._line.chunks()

        coming = chunks()
        try:
            return self._destination.put(key, coming)
        finally:
            if asked_for:
                _take_the_rest(coming)

    def _find(self, key: str) -> int | None:
        found = self._destination.find(key)
        return None if found is None else found.size

    def _below(self, prefix: str) -> list[tuple[str, int]]:
        return [(found.key, found.size) for found in self._destination.below(prefix)]

    def _read(self, key: str, start: int, length: int | None) -> None:
        self._line.send_chunks(self._destination.read(key, start, length))


@contextmanager
def relayed(destination: Callable[[], Destination]) -> Iterator[socket.socket]:
    """The end of a connection for a child; at the other end a thread makes the destination and serves it.

    Raises:
        SpotwatchError: the destination could not be made; this is told instead of what the child then ended with.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs, ThreadPoolExecutor(1, thread_name_prefix="relay") as threads:
        serving = threads.submit(_serve, ours, destination)
        try:
            yield theirs
        finally:
            _hang_up(ours)  # a child that hangs in the kernel keeps its own end open
            if (error := serving.exception()) is not None:
                raise error


def _serve(connection: socket.socket, destination: Callable[[], Destination]) -> None:
    try:
        _Server(connection, destination()).serve()
    finally:
        _hang_up(connection)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
