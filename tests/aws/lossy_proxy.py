"""A TCP proxy on loopback that does to chosen requests what networks and loaded servers do."""

import re
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from select import select
from threading import Thread
from types import TracebackType
from typing import Final, Self

FAR: Final = 100_000
"""Bytes into a request or an answer; its head and the beginning of its body have passed by then."""

_BEGINS: Final = re.compile(rb"(GET|HEAD|PUT|POST|DELETE) \S+ HTTP/1\.1\r\n")

_SLOW_DOWN: Final = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Trouble(Enum):
    """What becomes of a request."""

    CUT = auto()
    """The connection is reset in the middle of its body."""
    GARBLED = auto()
    """A byte of its body is another one."""
    SLOW_DOWN = auto()
    """It does not reach the server; the answer is 503."""
    LOST = auto()
    """It is carried out, and the connection is reset before its answer."""
    CUT_ANSWER = auto()
    """The connection is reset in the middle of the answer."""
    SILENT = auto()
    """It is carried out, and never answered."""


class LossyProxy:
    """A context manager; what was not planned passes as it is."""

    def __init__(self, port: int) -> None:
        """Nothing listens yet.

        Args:
            port: of the server, on loopback.
        """
        self._to = ("127.0.0.1", port)
        self._listener = socket.socket()
        self._planned: list[tuple[re.Pattern[bytes], Trouble]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def left(self) -> int:
        """Troubles that no request has met yet."""
        return len(self._planned)

    def plan(self, trouble: Trouble, request: bytes, times: int = 1) -> None:
        """So many of the next requests whose first line contains this expression."""
        self._planned += [(re.compile(request), trouble)] * times

    def __enter__(self) -> Self:
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                client, _ = self._listener.accept()
                Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._to) as server, suppress(OSError):
            connection = _Connection(client, server, self._met)
            while connection.carry():
                pass

    def _met(self, line: bytes) -> Trouble | None:
        """What was planned for a request with this first line; it is planned no more."""
        for number, (wanted, trouble) in enumerate(self._planned):
            if wanted.search(line):
                del self._planned[number]
                return trouble
        return None


class _Connection:
    """One connection, with the trouble of the request that it carries."""

    def __init__(self, client: socket.socket, server: socket.socket, met: Callable[[bytes], Trouble | None]) -> None:
        self._client = client
        self._server = server
        self._met = met
        self._trouble: Trouble | None = None
        self._asked = self._answered = 0

    def carry(self) -> bool:
        """Wait for something and pass it on; whether more may come."""
        ready, _, _ = select([self._client, self._server], [], [])
        if self._server in ready:
            return self._answer(self._server.recv(65536))
        return self._ask(self._client.recv(65536))

    def _ask(self, data: bytes) -> bool:
        if begins := _BEGINS.match(data):
            self._trouble, self._asked, self._answered = self._met(begins[0]), 0, 0
        self._asked += len(data)
        if self._trouble is Trouble.SLOW_DOWN:
            head = f"HTTP/1.1 503 Slow Down\r\nContent-Length: {len(_SLOW_DOWN)}\r\nConnection: close\r\n\r\n"
            self._client.sendall(head.encode() + _SLOW_DOWN)
            return False
        if self._trouble is Trouble.CUT and self._asked > FAR:
            return self._reset()
        if self._trouble is Trouble.GARBLED and self._asked > FAR:
            data, self._trouble = data[:-1] + bytes([data[-1] ^ 1]), None
        self._server.sendall(data)
        return bool(data)

    def _answer(self, data: bytes) -> bool:
        final = not data.startswith(b"HTTP/1.1 100 ")
        self._answered += len(data)
        if self._trouble is Trouble.LOST and final:
            return self._reset()
        if self._trouble is Trouble.CUT_ANSWER and self._answered > FAR:
            return self._reset()
        if not (self._trouble is Trouble.SILENT and final):
            self._client.sendall(data)
        return bool(data)

    def _reset(self) -> bool:
        """RST rather than FIN (SO_LINGER in socket(7))."""
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
