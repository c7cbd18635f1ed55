"""A TCP server that behaves as a test says, byte for byte."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

_NO_LINGERING = struct.pack("ii", 1, 0)


class Gone(Exception):
    """The client has left, or the test is over."""


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket, over: threading.Event) -> None:
        self._sock = sock
        self._over = over

    def request(self) -> bytes:
        """Read one request, which has no body."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            try:
                piece = self._sock.recv(1)
            except OSError:
                piece = b""
            if not piece:
                raise Gone
            data += piece
        return data

    def send(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except OSError:
            raise Gone from None

    def pause(self, seconds: float) -> None:
        if self._over.wait(seconds):
            raise Gone

    def reset(self) -> None:
        """Let the connection end with a reset."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)

    def see_it_leave(self) -> None:
        with contextlib.suppress(OSError):
            while self._sock.recv(4096):
                pass


Behavior = Callable[[Peer], None]


def answer(*pieces: bytes) -> Behavior:
    """Read one request, send these bytes, and close."""

    def behave(peer: Peer) -> None:
        peer.request()
        for piece in pieces:
            peer.send(piece)

    return behave


def answers(data: bytes) -> Behavior:
    """Answer every request with these bytes, for as long as the client stays."""

    def behave(peer: Peer) -> None:
        while True:
            peer.request()
            peer.send(data)

    return behave


def drip(start: bytes, piece: bytes, *, interval: float) -> Behavior:
    """Read one request, send the start, and then the piece again and again; never close."""

    def behave(peer: Peer) -> None:
        peer.request()
        peer.send(start)
        while True:
            peer.send(piece)
            if interval:
                peer.pause(interval)

    return behave


class RawServer:
    """Each connection gets the next of the behaviors, and those after the last get the last.

    Attributes:
        connections: how many were made.
        left: how many the client has ended, or been left at the end of.
    """

    def __init__(self, *behaviors: Behavior) -> None:
        self._behaviors = behaviors
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._socks: list[socket.socket] = []
        self.connections = 0
        self.left = 0

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listening.close()
        for sock in self._socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            behave = self._behaviors[min(self.connections, len(self._behaviors) - 1)]
            self.connections += 1
            self._socks.append(sock)
            thread = threading.Thread(target=self._converse, args=(sock, behave))
            self._threads.append(thread)
            thread.start()

    def _converse(self, sock: socket.socket, behave: Behavior) -> None:
        with sock, contextlib.suppress(Gone):
            behave(Peer(sock, self._over))
        self.left += 1
