"""Clients that ask a name server, believe its answer for its TTL and no longer, and send requests all the time."""

import http.client
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from dns.resolver import Resolver

from tests.dns.servers import NAME
from tests.story.application import SLOW_SECONDS

QUICK_CLIENTS = 6
QUICK_PAUSE = 0.02
"""Seconds between two requests of one client."""

SLOW_CLIENTS = 8
"""So many have a slow request on its way all the time; that none of theirs is at the bigger one is one in 400,000."""

PATIENCE = SLOW_SECONDS + 10
"""Seconds for a connection or an answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a client; times are of the monotonic clock.

    Attributes:
        fresh_until: until when the DNS answer may be believed that it rests on: its TTL after the *question*, so that
            no delay of the client's is taken for the server's time.
        problem: what went wrong; empty if it was answered.
    """

    address: str
    path: str
    fresh_until: float
    sent_at: float
    ended_at: float
    problem: str


class _Names:
    """What a client remembers of the name server."""

    def __init__(self, server: str, port: int) -> None:
        self._resolver = Resolver(configure=False)
        self._resolver.nameservers, self._resolver.port = [server], port
        self.addresses: Sequence[str] = ()
        self.fresh_until = 0.0

    def look_up(self) -> None:
        """Ask, unless the last answer may still be believed."""
        now = time.monotonic()
        if now >= self.fresh_until:
            answer = self._resolver.resolve(NAME, "A", search=False)
            assert answer.rrset is not None
            self.addresses = sorted(rdata.to_text() for rdata in answer)
            self.fresh_until = now + answer.rrset.ttl


@dataclass
class Clients:
    """From ``with`` to its end they send requests; each takes any address of its answer, by a draw of its own."""

    server: str
    server_port: int
    port: int
    seed: int = 20261201
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._over = threading.Event()
        kinds = [("/quick", QUICK_PAUSE)] * QUICK_CLIENTS + [("/slow", 0.0)] * SLOW_CLIENTS
        self._threads = [
            threading.Thread(target=self._work, args=(path, pause, random.Random(f"{self.seed} {number}")))
            for number, (path, pause) in enumerate(kinds)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def refused(self) -> list[Request]:
        """Those that were not answered although the DNS answer was fresh when they were sent."""
        return [each for each in list(self.requests) if each.problem and each.sent_at < each.fresh_until]

    def _work(self, path: str, pause: float, draw: random.Random) -> None:
        names = _Names(self.server, self.server_port)
        while not self._over.wait(pause):
            names.look_up()
            address, sent_at = draw.choice(names.addresses), time.monotonic()
            problem = self._send(address, path)
            self.requests.append(Request(address, path, names.fresh_until, sent_at, time.monotonic(), problem))

    def _send(self, address: str, path: str) -> str:
        connection = http.client.HTTPConnection(address, self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            connection.close()
        return "" if (answer.status, body) == (200, address) else f"{answer.status} {body}"
