"""The clocks, the signals and the children of the daemon, behind one wait.

What this survives:

- A hibernation in the middle of a wait: poll(2) runs on a clock that stands still then, so one sleep is short and the
  time left is read from the boot clock again after each.
- A child that ends and leaves processes behind: the rest of its group, its session and everything that carries its
  marks gets SIGKILL before the end is reported; the group while the leader is a zombie, so that its number cannot have
  been given to somebody else.
- A process that cannot be killed, because it waits for a device: it is waited for, but not long.
- Orphans that end while their leader goes on: they are reaped at every look.
"""

import math
import select
import signal
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from spotwatch.core.instant import Instant
from spotwatch.core.process import ChildEnded, Command, SignalCame
from spotwatch.host.adoption import Adopted, adopt, end_strays
from spotwatch.host.children import Child, start
from spotwatch.host.processes import UNKNOWN, Offspring, send_signal, wait_for_end
from spotwatch.host.signals import Signals

LONGEST_SLEEP = 2.0
"""Seconds; how late a deadline may be noticed after a hibernation."""

LOOK_INTERVAL = 0.2
"""Seconds between two looks at the output of the children: a disk takes some 100 MB in that time."""

CLOSE_TIME = 1.0
"""Seconds that killed children get to be gone when the daemon ends."""


class Machine:
    """One at a time in a process, in its main thread; a context manager."""

    def __init__(self) -> None:
        self._signals = Signals()
        self._offspring = Offspring()
        self._children: dict[str, Child | Adopted] = {}
        self._tails: dict[str, str] = {}
        self._poll = select.poll()
        self._poll.register(self._signals, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def instant(self) -> Instant:
        """This moment on the boot clock and in UTC."""
        return Instant(time.clock_gettime(time.CLOCK_BOOTTIME), datetime.now(UTC))

    def start(self, name: str, command: Command, *, output_limit: int) -> int:
        """Execute a command and answer its process id.

        Args:
            name: what its end will be reported under; no running child has it.
            command: what to execute, as whom, where.
            output_limit: bytes of output to keep.

        Raises:
            CommandNotStarted: it could not be executed, and why.
            ValueError: a child of this name is running.
        """
        if name in self._children:
            raise ValueError(f'a child named "{name}" is running')
        child = start(name, command, output_limit=output_limit)
        self._children[name] = child
        self._poll.register(child.pidfd, select.POLLIN)
        return child.pid

    def adopt(self, name: str, environment: Mapping[str, str], output: str, *, output_limit: int) -> bool:
        """Take over a child that an earlier life of ours started with this environment, if it still runs.

        If it does not, what it left behind is killed. The end of an adopted child is reported without an exit code.
        """
        child = adopt(name, environment, output, output_limit=output_limit)
        if child is None:
            return False
        self._children[name] = child
        self._poll.register(child.pidfd, select.POLLIN)
        return True

    def end_strays(self, state_directory: str) -> int:
        """End what an earlier life with this state directory has started and nobody has adopted; how many processes."""
        return end_strays(state_directory, [child.marks for child in self._children.values()])

    @property
    def boot_id(self) -> str:
        """What tells this boot from every other (random(4))."""
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()

    def terminate(self, name: str) -> None:
        """Send SIGTERM to the child's process group, also if it is stopped; no error if it has ended."""
        if (child := self._children.get(name)) is not None:
            child.signal_group(signal.SIGTERM)
            child.signal_group(signal.SIGCONT)

    def kill(self, name: str) -> None:
        """Send SIGKILL to the child's process group and to all that descends from it; no error if it has ended.

        They are stopped first, all of them: the offspring of a process that dies is handed to us, and with it goes
        the only trace of those who have left the session and cleared their environment.
        """
        if (child := self._children.get(name)) is not None:
            child.signal_group(signal.SIGSTOP)
            stopped = self._offspring.stop(self._leaders(), child.pid)
            for process in stopped:
                send_signal(process, signal.SIGKILL)
            child.signal_group(signal.SIGKILL)
            wait_for_end(stopped)

    def wait(self, until: float | None) -> list[ChildEnded | SignalCame]:
        """What has happened: at once if something has, else as soon as it does, else nothing when `until` is reached.

        Args:
            until: seconds on the boot clock; a time in the past just looks, None waits for something to happen.
        """
        self._tails.clear()
        happened = self._look(0)
        while not happened and (sleep := self._sleep(until)) > 0:
            happened = self._look(sleep)
        return happened

    def output_tail(self, name: str) -> str:
        """The last 2 KB of output of a child whose end the last `wait` has told."""
        return self._tails.get(name, "")

    def close(self) -> None:
        """Kill the children that still run, and give the signals back."""
        for name in self._children:
            self.kill(name)
        until = time.clock_gettime(time.CLOCK_BOOTTIME) + CLOSE_TIME
        while self._children and self._sleep(until) > 0:
            self.wait(until)
        self._offspring.close()
        self._signals.close()

    def _sleep(self, until: float | None) -> float:
        longest = LOOK_INTERVAL if self._children else LONGEST_SLEEP
        return longest if until is None else min(longest, until - time.clock_gettime(time.CLOCK_BOOTTIME))

    def _look(self, sleep: float) -> list[ChildEnded | SignalCame]:
        ready = {descriptor for descriptor, _ in self._poll.poll(math.ceil(sleep * 1000))}
        happened: list[ChildEnded | SignalCame] = []
        if self._signals.fileno() in ready:
            happened += map(SignalCame, self._signals.read())
        happened += self._end([child for child in self._children.values() if child.pidfd in ready])
        self._offspring.reap_orphans(self._leaders())
        for child in self._children.values():
            child.output.trim()
        return happened

    def _leaders(self) -> dict[int, frozenset[bytes]]:
        return {child.pid: child.marks for child in self._children.values()}

    def _end(self, ended: Collection[Child | Adopted]) -> list[ChildEnded]:
        """Leave nothing of these children behind, and tell how they ended."""
        if not ended:
            return []
        for child in ended:
            child.signal_group(signal.SIGKILL)
        origins = {child.pid for child in ended}
        if len(ended) == len(self._children):
            origins.add(UNKNOWN)
        self._offspring.kill(self._leaders(), origins)
        return [self._reap(child) for child in ended]

    def _reap(self, child: Child | Adopted) -> ChildEnded:
        self._poll.unregister(child.pidfd)
        del self._children[child.name]
        status = child.reap()
        problem = child.output.finish()
        self._tails[child.name] = child.output.tail
        return ChildEnded(
            child.name,
            exit_code=status if status is not None and status >= 0 else None,
            signal=-status if status is not None and status < 0 else None,
            output_dropped=child.output.dropped,
            output_problem=problem,
        )
