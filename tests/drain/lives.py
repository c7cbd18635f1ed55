"""An instance on which one daemon lives after another: what outlives them, and how they end, in virtual time."""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from spotwatch.core.instant import Instant
from spotwatch.core.process import ChildEnded, Command, SignalCame
from spotwatch.host.journal import Journal
from tests.manual_machine import START, ManualMachine


class Crash(BaseException):
    """The daemon dies here; nothing of it may catch this."""


class Fuse:
    """Kills the daemon at one of its deeds, before it is done or after.

    Attributes:
        burnt: how many deeds there were.
    """

    def __init__(self) -> None:
        self.burnt = 0
        self._length: int | None = None
        self._after = False

    def light(self, length: int, *, after: bool) -> None:
        """Let the daemon die at its deed of this number, counted from now."""
        self._length, self._after = length, after

    def put_out(self) -> None:
        """Let it live."""
        self._length = None

    def around(self, deed: Callable[[], object]) -> None:
        """Do it, unless the daemon dies before."""
        self.burnt += 1
        self._length = None if self._length is None else self._length - 1
        if self._length == 0 and not self._after:
            raise Crash
        deed()
        if self._length == 0:
            raise Crash


@dataclass(frozen=True)
class Start:
    """A hook was really executed: its process's name, and when (boot clock)."""

    name: str
    at: float


class MortalMachine(ManualMachine):
    """A machine whose daemons may die, whose clock may be set, and which may be hibernated.

    Attributes:
        fuse: burns at every order to a hook.
        starts: every process that there ever was.
        on_start: called right before a hook is executed.
    """

    def __init__(self, start: Instant = START) -> None:
        super().__init__(start)
        self.fuse = Fuse()
        self.starts: list[Start] = []
        self.on_start: Callable[[str], None] = lambda _: None
        self._adopted: set[str] = set()
        self._started: set[str] = set()

    @property
    def alive(self) -> frozenset[str]:
        """The names of the processes that there are."""
        return frozenset(self._children)

    def crash_at(self, boot: float) -> None:
        """Let the daemon die when the boot clock shows this."""

        def crash() -> None:
            raise Crash

        self.at(boot, crash)

    def bury(self, *, with_hooks: bool, downtime: float = 0.0) -> None:
        """The daemon is dead, for so many seconds; its hooks die with it, or go on, and nobody hears of their ends."""
        if with_hooks:
            self._children.clear()
        until = self._boot + downtime
        self.wait(until)
        while self._boot < until:
            self.wait(until)
        self._happened.clear()
        self._adopted, self._started = set(), set()

    def forget_signals(self) -> None:
        """No signal is on its way to anybody."""
        self._happened.clear()

    def hibernate(self, seconds: float) -> None:
        """The boot clock goes on, and nothing else."""
        self._boot += seconds
        self._agenda = [(boot + seconds, place, callback) for boot, place, callback in self._agenda]
        heapq.heapify(self._agenda)

    def set_clock(self, seconds: float) -> None:
        """Somebody sets the system's UTC forward, or back."""
        self._start = replace(self._start, utc=self._start.utc + timedelta(seconds=seconds))

    def start(self, name: str, command: Command, *, output_limit: int) -> int:
        pids: list[int] = []

        def execute() -> None:
            self.on_start(name)
            pids.append(super(MortalMachine, self).start(name, command, output_limit=output_limit))
            self._started.add(name)
            self.starts.append(Start(name, self._boot))

        self.fuse.around(execute)
        return pids[0]

    def adopt(self, name: str, environment: Mapping[str, str], output: str, *, output_limit: int) -> bool:
        found = super().adopt(name, environment, output, output_limit=output_limit)
        if found:
            self._adopted.add(name)
        return found

    def end_strays(self, _state_directory: str) -> int:
        """End the children of earlier daemons that this one has not adopted; nobody hears of their ends."""
        strays = self._children.keys() - self._adopted - self._started
        for name in strays:
            del self._children[name]
        return len(strays)

    def terminate(self, name: str) -> None:
        self.fuse.around(lambda: super(MortalMachine, self).terminate(name))

    def kill(self, name: str) -> None:
        self.fuse.around(lambda: super(MortalMachine, self).kill(name))

    def wait(self, until: float | None) -> list[ChildEnded | SignalCame]:
        """As it is, but nobody tells how a child of an earlier daemon ended."""
        happened = super().wait(until)
        return [
            replace(one, exit_code=None, signal=None)
            if isinstance(one, ChildEnded) and one.name in self._adopted
            else one
            for one in happened
        ]


class MortalJournal(Journal):
    """The journal's file, written by daemons that may die before or after."""

    def __init__(self, directory: str, fuse: Fuse) -> None:
        super().__init__(directory)
        self._fuse = fuse

    def open_drain(self, drain: str, boot: str, opening: str) -> str:
        return self._burn(lambda: super(MortalJournal, self).open_drain(drain, boot, opening))

    def add_step(self, drain: str, at: float, happening: str, orders: str) -> str:
        return self._burn(lambda: super(MortalJournal, self).add_step(drain, at, happening, orders))

    def keep_report(self, drain: str, report: str) -> str:
        return self._burn(lambda: super(MortalJournal, self).keep_report(drain, report))

    def close_drain(self, drain: str, note: str) -> str:
        return self._burn(lambda: super(MortalJournal, self).close_drain(drain, note))

    def _burn(self, write: Callable[[], str]) -> str:
        problems: list[str] = []
        self._fuse.around(lambda: problems.append(write()))
        assert problems == [""]
        return problems[0]
