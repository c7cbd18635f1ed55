"""What an earlier life of ours has left running: its children are taken over, and the rest is ended.

What this survives: a child that ended meanwhile and left others behind, a number that was given to another process, a
note of a birth that is missing or old, a journal that does not know the child any more.
"""

import contextlib
import os
import signal
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from spotwatch.host.children import Birth
from spotwatch.host.output import Output
from spotwatch.host.processes import Process, marks, read_marked, read_strays, send_signal, wait_for_end


@dataclass(frozen=True, slots=True)
class Adopted:
    """A child of an earlier life of ours. Its parent is init now, so nobody will tell us how it ended.

    Its number may be given to another process as soon as it has ended, so signals go to processes one by one, never
    to its group.
    """

    name: str
    process: Process
    pidfd: int
    output: Output
    marks: frozenset[bytes]
    birth: Birth

    @property
    def pid(self) -> int:
        """Its number, which is also that of its session."""
        return self.process.pid

    def signal_group(self, number: int) -> None:
        """Signal all that belongs to it."""
        for process in read_marked(self.marks):
            send_signal(process, number)

    def reap(self) -> int | None:
        """None: its status went to init."""
        os.close(self.pidfd)
        self.birth.forget()
        return None


def adopt(name: str, environment: Mapping[str, str], output: str, *, output_limit: int) -> Adopted | None:
    """Take over the child that was started with this environment; None if it has ended.

    Then what it left behind is killed, for its name is about to be used again.
    """
    its_marks = marks(environment)
    found, birth = read_marked(its_marks), Birth.of_child_with(output)
    leader = _eldest(found, birth.read())
    if leader is not None:
        with contextlib.suppress(OSError):
            return Adopted(name, leader, os.pidfd_open(leader.pid), Output(output, output_limit), its_marks, birth)
    _send_and_wait(found, signal.SIGKILL)
    birth.forget()
    return None


def _eldest(found: Collection[Process], born: Process | None) -> Process | None:
    """The child among all that carry its marks; where its birth was not noted, whoever began a session first."""
    leaders = [process for process in found if process.pid == process.session and born in {None, process}]
    return min(leaders, key=lambda process: process.started, default=None)


def end_strays(state_directory: str, known: Collection[frozenset[bytes]]) -> int:
    """End the hooks of this state directory that are none of those with these marks; how many processes they were.

    They get SIGTERM and, a moment later, SIGKILL.
    """
    strays = read_strays(state_directory, known)
    if strays:
        _send_and_wait(strays, signal.SIGTERM)
        _send_and_wait(read_strays(state_directory, known), signal.SIGKILL)
    return len(strays)


def _send_and_wait(processes: Collection[Process], number: int) -> None:
    for process in processes:
        send_signal(process, number)
    wait_for_end(processes)
