"""The processes of the machine as /proc shows them, and which of them come from our children.

What this survives:

- Processes end, and their numbers are given out again, while we read: a process is named by its number *and* its start
  time, and a signal goes through a pidfd that is opened before the start time is compared.
- The list is not one moment: a line of parents may be broken or even run in a circle. It is followed for a bounded
  number of steps, and whoever looks for strays looks again until a look finds none.
- A process is not ours to read or to signal (another user's, a setuid program): it is passed over.
"""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

MARKS = ("SPOTWATCH_STATE_DIRECTORY", "SPOTWATCH_DRAIN_ID", "SPOTWATCH_HOOK")
"""The environment variables that every hook has; together they say which child a process comes from.

The state directory says whose: two daemons of one machine may have begun a drain in the same millisecond.
"""

UNKNOWN = 0
"""The origin of an orphan that was handed to us and shows no mark; no process has this number."""

KILL_TIME = 0.25
"""Seconds to wait for killed processes to be gone; without a stuck device it takes a few milliseconds."""

KILL_PAUSE = 0.002
"""Seconds that a killed process needs to end."""

STOP_PASSES = 20
"""Looks for processes that were forked during the look before; usually the second finds none."""

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


Leaders = Mapping[int, frozenset[bytes]]


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc/PID/stat (proc_pid_stat(5)).

    Attributes:
        pid: its number.
        started: clock ticks from boot to its start; number and start together are one process for ever.
        state: one letter; Z is a zombie, X is dead.
        parent: the number of its parent.
        session: the number of the process that began its session.
    """

    pid: int
    started: int
    state: str = field(compare=False)
    parent: int = field(compare=False)
    session: int = field(compare=False)

    @property
    def is_alive(self) -> bool:
        """Whether it can still do something; a zombie only waits to be reaped."""
        return self.state not in "ZXx"


def read_process(pid: int) -> Process | None:
    """The process with this number, or None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            line = file.read()
    except OSError:
        return None
    # The second field is the program's name in parentheses, which may itself hold blanks and parentheses.
    state, parent, _group, session, *rest = line[line.rindex(b")") + 2 :].split()
    return Process(pid, int(rest[15]), state.decode(), int(parent), int(session))


def read_processes() -> dict[int, Process]:
    """All processes that we may see, by number; none at all if we are out of descriptors."""
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return {}
    return {pid: process for pid in pids if (process := read_process(pid)) is not None}


def send_signal(process: Process, number: int) -> None:
    """Signal this very process and never another that has its number now; no error if it is gone or not ours."""
    with contextlib.suppress(OSError), _pidfd(process.pid) as pidfd:
        if read_process(process.pid) == process:
            signal.pidfd_send_signal(pidfd, number)


def wait_for_end(processes: Collection[Process]) -> None:
    """Wait until killed processes are gone or only to be reaped, but no longer than `KILL_TIME`."""
    patience = time.monotonic() + KILL_TIME
    while any(map(_is_living, processes)) and time.monotonic() < patience:
        time.sleep(KILL_PAUSE)


def _is_living(process: Process) -> bool:
    now = read_process(process.pid)
    return now == process and now.is_alive


@contextlib.contextmanager
def _pidfd(pid: int) -> Iterator[int]:
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def marks(environment: Mapping[str, str]) -> frozenset[bytes]:
    """The marks as /proc/PID/environ shows them; empty unless all of them are there."""
    if not all(name in environment for name in MARKS):
        return frozenset()
    return frozenset(os.fsencode(f"{name}={environment[name]}") for name in MARKS)


def _read_environment(pid: int) -> frozenset[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            return frozenset(file.read().split(b"\0"))
    except OSError:
        return frozenset()


def read_marked(its_marks: frozenset[bytes]) -> list[Process]:
    """The living processes that carry these marks, or are in a session whose leader does; none if there is no mark."""
    return _read_where(lambda environment: bool(its_marks) and its_marks <= environment)


def read_strays(state_directory: str, known: Collection[frozenset[bytes]]) -> list[Process]:
    """The same for the marks of every hook of a state directory but those that are known; never we and who started us.

    One look at each process decides: what a known hook forks meanwhile is no stray.
    """
    place, *others = (f"{name}=".encode() for name in MARKS)

    def is_stray(environment: frozenset[bytes]) -> bool:
        is_of_a_hook = all(any(word.startswith(other) for word in environment) for other in others)
        is_known = any(its_marks <= environment for its_marks in known)
        return place + os.fsencode(state_directory) in environment and is_of_a_hook and not is_known

    ours = {process.pid for process in _ancestry(read_processes())}
    found = _read_where(is_stray)
    return [process for process in found if process.pid not in ours and process.session != os.getsid(0)]


def _read_where(is_marked: Callable[[frozenset[bytes]], bool]) -> list[Process]:
    table = [process for process in read_processes().values() if process.is_alive]
    marked = {process for process in table if is_marked(_read_environment(process.pid))}
    sessions = {process.session for process in marked if process.session == process.pid}
    return sorted(marked | {process for process in table if process.session in sessions}, key=_pid)


def _pid(process: Process) -> int:
    return process.pid


def _ancestry(table: Mapping[int, Process]) -> Iterator[Process]:
    """We, our parent and so on."""
    process = table.get(os.getpid())
    for _ in table:
        if process is None:
            return
        yield process
        process = table.get(process.parent)


class Offspring:
    """Everything that descends from this process, told apart by the child that it comes from.

    A child that we start is the leader of a session. What it starts belongs to it by its session, by its line of
    parents, or by the marks in its environment. To keep orphans in our line this process becomes a subreaper
    (PR_SET_CHILD_SUBREAPER(2const)); where the kernel does not let it, orphans go to init and are not found.

    Leaders are the children that are not reaped yet, with their marks. An origin is the number of a leader, or
    `UNKNOWN` for orphans that belong to none of them.

    Processes in our own session, and children that were there before, are never a child's: somebody else started them.
    """

    def __init__(self) -> None:
        _set_subreaper(True)
        self._us = os.getpid()
        self._session = os.getsid(0)
        self._others = {process for process in read_processes().values() if process.parent == self._us}

    def close(self) -> None:
        """Let orphans go to init again."""
        _set_subreaper(False)

    def stop(self, leaders: Leaders, leader: int) -> set[Process]:
        """Send SIGSTOP to all that comes from a leader, so that it can neither fork nor end; answers what it is."""
        stopped: set[Process] = set()
        for _ in range(STOP_PASSES):
            new = self._living(leaders, {leader}) - stopped
            if not new:
                break
            for process in new:
                send_signal(process, signal.SIGSTOP)
            stopped |= new
        return stopped

    def kill(self, leaders: Leaders, origins: Collection[int]) -> None:
        """Send SIGKILL to all that comes from `origins` until nothing of it lives, or until `KILL_TIME` is over."""
        patience = time.monotonic() + KILL_TIME
        while (left := self._living(leaders, origins)) and time.monotonic() < patience:
            for process in left:
                send_signal(process, signal.SIGKILL)
            time.sleep(KILL_PAUSE)

    def reap_orphans(self, leaders: Leaders) -> None:
        """Reap the orphans that have ended; never a leader, whose status somebody waits for."""
        while (pid := _ended_child()) is not None and pid not in leaders:
            process = read_process(pid)
            if process is None or self._is_foreign(process):
                return
            os.waitpid(pid, 0)

    def _living(self, leaders: Leaders, origins: Collection[int]) -> set[Process]:
        """The living processes that come from one of `origins`, without the leaders themselves."""
        table = read_processes()
        return {
            process
            for process in table.values()
            if process.is_alive
            and process.pid not in leaders
            and self._origin(self._line(process, table), leaders) in origins
        }

    def _line(self, process: Process, table: Mapping[int, Process]) -> list[Process]:
        """The process, its parent and so on up to our child; empty if it does not descend from us."""
        line = [process]
        for _ in table:
            if line[-1].parent == self._us:
                return line
            parent = table.get(line[-1].parent)
            if parent is None:
                return []
            line.append(parent)
        return []

    def _origin(self, line: list[Process], leaders: Leaders) -> int | None:
        for process in line:
            if process.session in leaders:
                return process.session
            environment = _read_environment(process.pid)
            for leader, its_marks in leaders.items():
                if its_marks and its_marks <= environment:
                    return leader
        return UNKNOWN if line and not self._is_foreign(line[-1]) else None

    def _is_foreign(self, child: Process) -> bool:
        return child.session == self._session or child in self._others


def _set_subreaper(on: bool) -> None:
    arguments = [ctypes.c_ulong(value) for value in (on, 0, 0, 0)]
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, *arguments)


def _ended_child() -> int | None:
    """The number of a child that has ended and is not reaped yet."""
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if ended is None else ended.si_pid
