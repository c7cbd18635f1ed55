"""One Spot Instance: the real daemon with the real built-in hooks, its metadata service, and its application."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from time import monotonic, sleep
from types import TracebackType
from typing import Self

from spotwatch.core.report import DrainReport
from spotwatch.simulate.service import MetadataService
from tests.daemon.process import PATIENCE, DaemonProcess, from_now, hook, statuses
from tests.story.application import PID_FILE, REQUESTS, SLOW_SECONDS
from tests.story.clients import Clients, Request

STOP = f'kill -TERM "$(cat $T/{PID_FILE})"; while [ -e $T/{PID_FILE} ]; do sleep 0.02; done'


def name_hook(use: str, *words: str, on: str, stage: int = 10) -> str:
    """`join-dns` or `leave-dns`."""
    return f'[[hook]]\nname = "{use}"\nuse = "{use}"\nargs = {json.dumps(words)}\non = ["{on}"]\nstage = {stage}\n'


def stop_application(stage: int = 20) -> str:
    return hook("stop-application", STOP, on=["terminate"], stage=stage)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where an instance runs.

    Attributes:
        under: what executes a command there.
        endpoint: its metadata service's, None for the real address.
    """

    service: MetadataService
    addresses: Sequence[str]
    under: Sequence[str] = ()
    endpoint: str | None = None


@dataclass
class SpotInstance:
    """From ``with`` to its end: its application answers, and its daemon has joined.

    Attributes:
        directory: `$T` of its hooks, its state, and what its application writes down.
    """

    directory: Path
    machine: Machine
    port: int
    hooks: Sequence[str]
    application: "subprocess.Popen[bytes]" = field(init=False)
    daemon: DaemonProcess = field(init=False)

    def __enter__(self) -> Self:
        self.directory.mkdir()
        with ExitStack() as stack:
            self.application = stack.enter_context(self._serving())
            self.daemon = stack.enter_context(self._watching())
            self.daemon.record("hook-ended", hook="join-dns", status="succeeded")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    @contextmanager
    def _serving(self) -> Iterator["subprocess.Popen[bytes]"]:
        """The application, once it answers."""
        words = [sys.executable, "-m", "tests.story.application", str(self.directory), str(self.port)]
        process = subprocess.Popen([*self.machine.under, *words, *self.machine.addresses], stdin=subprocess.DEVNULL)
        try:
            deadline = monotonic() + PATIENCE
            while not (self.directory / PID_FILE).exists():
                assert process.poll() is None
                assert monotonic() < deadline
                sleep(0.01)
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE)

    def _watching(self) -> DaemonProcess:
        return DaemonProcess(self.directory, *self.hooks, endpoint=self.machine.endpoint, under=self.machine.under)

    def kill_daemon_and_hooks(self) -> None:
        """And start it anew, as systemd does after an end by the OOM killer."""
        self.daemon.signal(SIGKILL)
        self.daemon.exit_code()
        for pid in self.daemon.survivors():
            os.kill(pid, SIGKILL)
        self.daemon = self._stack.enter_context(self._watching())

    def interrupt(self, seconds: float = 120) -> float:
        """Give the notice; when (monotonic clock)."""
        self.machine.service.interrupt("terminate", from_now(seconds))
        return monotonic()

    def arrivals(self) -> list[float]:
        """When each request came (monotonic clock)."""
        path = self.directory / REQUESTS
        return [json.loads(line)["at"] for line in path.read_text().splitlines()] if path.exists() else []


@dataclass(frozen=True, slots=True)
class Interruption:
    """What became of one, with the times of the monotonic clock.

    Attributes:
        noticed: when the notice could be read.
        ended: when the report of the drain was there.
        requests: all that the clients have sent, from before the notice until after the end.
        refused: those of them that were not answered although they rested on a fresh answer.
    """

    instance: SpotInstance
    report: DrainReport
    noticed: float
    ended: float
    requests: Sequence[Request]
    refused: Sequence[Request]

    def to_it(self, path: str = "") -> Sequence[Request]:
        """The requests that were sent to the interrupted instance."""
        addresses = self.instance.machine.addresses
        return [each for each in self.requests if each.address in addresses and each.path.startswith(path)]


def interruption(
    instance: SpotInstance, clients: Clients, ttl: float, meanwhile: Callable[[], None] = lambda: None
) -> Interruption:
    """Interrupt it while clients send requests, and let them go on until the last stale answer would show, or did."""
    with clients:
        sleep(SLOW_SECONDS / 2)  # requests of all kinds are on their way
        noticed = instance.interrupt()
        meanwhile()
        instance.daemon.wait_for(
            lambda: instance.daemon.records("drain-ended", event_kind="terminate"), "the end of the drain", within=30
        )
        ended = monotonic()
        while monotonic() < ended + ttl + 0.5 and not clients.refused():
            sleep(0.05)
    report = instance.daemon.report()
    return Interruption(instance, report, noticed, ended, clients.requests, clients.refused())


def served(seen: Interruption, *hooks: str) -> None:
    """Everybody was served who could expect it; and it was so seen, because there was something to be refused."""
    assert seen.refused == []
    assert seen.report.verdict == "drained"
    assert statuses(seen.report) == dict.fromkeys(hooks, "succeeded")
    assert seen.instance.application.wait(5) == 0
    assert any(each.sent_at < seen.noticed < each.ended_at for each in seen.to_it("/slow"))
    assert any(each.sent_at > seen.noticed for each in seen.to_it("/quick"))
    assert any(each.sent_at > seen.ended and not each.problem for each in seen.requests)
    assert max(seen.instance.arrivals()) < seen.ended
