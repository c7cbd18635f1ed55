"""The sockets of the fake metadata service, and the requests that come over them.

One thread accepts, and each connection has a thread of its own, so a client that is kept waiting by a fault
delays nobody else. ``Listener.close`` shuts every socket down, which wakes every thread that waits on one.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPMessage
from io import BufferedReader

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close() sends RST
_MAX_LINE = 65536  # bytes of a request line, http.client's own limit for a header
_MAX_BODY = 65536  # bytes; no request that the service knows has a body


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


class Connection:
    """One connection; a ``faults.Wire``, so it is what a fault is carried out on."""

    def __init__(self, sock: socket.socket, closing: threading.Event) -> None:
        # Otherwise the second small piece would wait for the client's delayed acknowledgement, 40 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._closing = closing
        self._lock = threading.Lock()  # so that cut() never meets a descriptor that is another file by now
        self.stream = sock.makefile("rb")

    def send(self, data: bytes) -> None:
        """See ``faults.Wire``."""
        self._sock.sendall(data)

    def pause(self, seconds: float) -> None:
        """See ``faults.Wire``."""
        if self._closing.wait(seconds):
            raise ConnectionAbortedError("the service is closing")

    def wait_for_client_to_leave(self) -> None:
        """See ``faults.Wire``."""
        while self._sock.recv(_MAX_LINE):
            pass

    def reset(self) -> None:
        """See ``faults.Wire``."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def cut(self) -> None:
        """End the connection from another thread: what its own thread waits for there ends too."""
        with self._lock, contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket, from the connection's own thread."""
        with self._lock:
            self.stream.close()
            self._sock.close()


class Listener:
    """A port, and a thread for each connection that is made to it."""

    def __init__(self, address: tuple[str, int], serve: Callable[[Connection], None]) -> None:
        # Bound as long as the service lives, but never listening: while the other socket is closed,
        # connections are refused, and no other program gets the port.
        self._reserved = _bound(address)
        self.address: tuple[str, int] = self._reserved.getsockname()[:2]
        self._serve = serve
        self._closing = threading.Event()
        self._listening: tuple[socket.socket, threading.Thread] | None = None
        self._connections: dict[threading.Thread, Connection] = {}

    def listen(self) -> None:
        """Accept connections; nothing new if that is so already."""
        if self._listening is not None:
            return
        sock = _bound(self.address)
        sock.listen(128)
        thread = threading.Thread(target=self._accept, args=(sock,), name="metadata service", daemon=True)
        self._listening = (sock, thread)
        with _signals_blocked():
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
        """Give the port back and end every connection; no thread and no socket is left."""
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
            wire = Connection(sock, self._closing)
            self._forget_ended_connections()
            thread = threading.Thread(target=self._converse, args=(wire,), name="metadata", daemon=True)
            self._connections[thread] = wire
            thread.start()

    def _forget_ended_connections(self) -> None:
        self._connections = {thread: wire for thread, wire in self._connections.items() if thread.is_alive()}

    def _converse(self, wire: Connection) -> None:
        try:
            self._serve(wire)
        except OSError:
            pass  # the client is gone or the service is closing, and nobody is left to be told
        finally:
            wire.close()


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Threads that start now, and those that they start, take no signals.

    A signal that a thread takes sets Python's flag, but does not wake the main thread out of its sleep.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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


def read_request(stream: BufferedReader) -> Request | None:
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
