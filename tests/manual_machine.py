"""`spotwatch.host.machine.Machine` in virtual time: children are scripted, and no process is ever started."""

import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from signal import SIGKILL, SIGTERM
from types import TracebackType
from typing import Any, Self

from spotwatch.core.errors import CommandNotStarted
from spotwatch.core.instant import Instant
from spotwatch.core.process import ChildEnded, Command, SignalCame
from spotwatch.host.processes import MARKS

START = Instant(boot=1_000.0, utc=datetime(2026, 11, 22, 8, 0, tzinfo=UTC))
FIRST_PID = 4_000


@dataclass(frozen=True, slots=True)
class Script:
    """How a child behaves; times in seconds.

    Attributes:
        ends_after: from its start to its end; None: it goes on until it is ended.
        exit_code: of the end that nobody asked for.
        signal: what ends it then instead of an exit.
        ignores_term: whether only SIGKILL ends it.
        ends_after_term: from SIGTERM to its end.
        exit_code_after_term: if it handles SIGTERM; None: the signal itself ends it.
        cannot_start: why it cannot be executed, if it cannot.
        output_tail: the last of its output.
        output_dropped: as in `ChildEnded`.
        output_problem: as in `ChildEnded`.
    """

    ends_after: float | None = 1.0
    exit_code: int = 0
    signal: int | None = None
    ignores_term: bool = False
    ends_after_term: float = 0.0
    exit_code_after_term: int | None = None
    cannot_start: str = ""
    output_tail: str = ""
    output_dropped: int = 0
    output_problem: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """What the machine was told to do and when (boot clock, seconds); `what` is the method's name."""

    at: float
    what: str
    name: str
    command: Command | None = None


@dataclass(frozen=True, slots=True)
class _Child:
    name: str
    pid: int
    script: Script
    environment: Mapping[str, str]


class ManualMachine:
    """The interface of `Machine`; time passes only in `wait`.

    What is due at one moment happens in the order in which it was arranged.

    Attributes:
        orders: all that was ordered, also what failed or came too late.
        is_closed: whether `close` was called.
        boot: the id of this boot.
    """

    def __init__(self, start: Instant = START) -> None:
        self._start = start
        self._boot = start.boot
        self._scripts: dict[str, Script] = {}
        self._children: dict[str, _Child] = {}
        self._tails: dict[str, str] = {}
        self._agenda: list[tuple[float, int, Callable[[], object]]] = []
        self._happened: list[ChildEnded | SignalCame] = []
        self._places = itertools.count()
        self._pids = itertools.count(FIRST_PID)
        self.orders: list[Order] = []
        self.is_closed = False
        self.boot = "a-boot"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # What a test arranges

    def script(self, name: str, **behavior: Any) -> None:
        """How children of this name behave, see `Script`; without one they succeed after a second.

        A script for ``flush`` is also one for ``a-drain/flush``, unless that has its own.
        """
        self._scripts[name] = Script(**behavior)

    def at(self, boot: float, callback: Callable[[], object]) -> None:
        """Call back when the boot clock shows this; a time in the past means at the next `wait`."""
        heapq.heappush(self._agenda, (boot, next(self._places), callback))

    def signal_at(self, boot: float, number: int) -> None:
        """Let a signal reach the daemon when the boot clock shows this."""
        self.at(boot, lambda: self._happened.append(SignalCame(number)))

    # What the daemon uses

    def instant(self) -> Instant:
        return Instant(self._boot, self._start.utc + timedelta(seconds=self._boot - self._start.boot))

    def start(self, name: str, command: Command, *, output_limit: int) -> int:
        assert output_limit > 0
        self.orders.append(Order(self._boot, "start", name, command))
        if name in self._children:
            raise ValueError(f'a child named "{name}" is running')
        script = self._scripts.get(name) or self._scripts.get(name.rpartition("/")[2]) or Script()
        if script.cannot_start:
            raise CommandNotStarted(script.cannot_start, hint="the script of the test wants it so")
        child = self._children[name] = _Child(name, next(self._pids), script, command.environment)
        if script.ends_after is not None:
            exit_code = script.exit_code if script.signal is None else None
            self._end_after(script.ends_after, child, exit_code, script.signal)
        return child.pid

    @property
    def boot_id(self) -> str:
        return self.boot

    def adopt(self, name: str, environment: Mapping[str, str], _output: str, *, output_limit: int) -> bool:
        assert output_limit > 0
        assert set(environment) == set(MARKS), "the real machine knows a child by these"
        self.orders.append(Order(self._boot, "adopt", name))
        child = self._children.get(name)
        return child is not None and environment.items() <= child.environment.items()

    def end_strays(self, _state_directory: str) -> int:
        return 0

    def terminate(self, name: str) -> None:
        self.orders.append(Order(self._boot, "terminate", name))
        child = self._children.get(name)
        if child is not None and not child.script.ignores_term:
            exit_code = child.script.exit_code_after_term
            self._end_after(child.script.ends_after_term, child, exit_code, SIGTERM if exit_code is None else None)

    def kill(self, name: str) -> None:
        self.orders.append(Order(self._boot, "kill", name))
        if (child := self._children.get(name)) is not None:
            self._end_after(0.0, child, None, SIGKILL)

    def wait(self, until: float | None) -> list[ChildEnded | SignalCame]:
        self._tails.clear()
        while not self._happened and self._agenda:
            due = self._agenda[0][0]
            if until is not None and due > max(until, self._boot):
                break
            self._boot = max(self._boot, due)
            self._do_what_is_due()
        if not self._happened:
            assert until is not None, "this wait would never end: nothing is arranged"
            self._boot = max(self._boot, until)
        happened, self._happened = self._happened, []
        return happened

    def output_tail(self, name: str) -> str:
        return self._tails.get(name, "")

    def close(self) -> None:
        self.is_closed = True

    def _do_what_is_due(self) -> None:
        while self._agenda and self._agenda[0][0] <= self._boot:
            _, _, callback = heapq.heappop(self._agenda)
            callback()

    def _end_after(self, seconds: float, child: _Child, exit_code: int | None, signal: int | None) -> None:
        self.at(self._boot + seconds, lambda: self._end(child, exit_code, signal))

    def _end(self, child: _Child, exit_code: int | None, signal: int | None) -> None:
        if self._children.get(child.name) is not child:
            return
        del self._children[child.name]
        script = child.script
        self._tails[child.name] = script.output_tail
        self._happened.append(ChildEnded(child.name, exit_code, signal, script.output_dropped, script.output_problem))
