"""A child process that may get lost: what it does has a limit, and whoever waits for it goes on in any case.

What this survives:

- A read of a disk that never comes back: the kernel lets such a process neither go on nor end. It gets SIGKILL and is
  left behind; it ends as soon as the kernel gives up the disk, and can do nothing more until then.
- A child that starts processes of its own: they share its process group, which ends as a whole.
- Our own death, however sudden: the child is told by the kernel (`spotwatch.host.lifeline`).
- A child that reads the terminal: it gets nothing.
"""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

from spotwatch.core.errors import WorkerFailed
from spotwatch.core.quantity import format_duration
from spotwatch.host.lifeline import tied

KILL_SECONDS: Final = 5.0
"""From SIGKILL until a child is given up that waits for a disk. One that does not is gone within milliseconds."""


def run_worker(
    argv: Sequence[str],
    *,
    limit: float,
    watch: Callable[[], None],
    every: float = 0.2,
    pass_fds: Collection[int] = (),
    environment: Mapping[str, str] | None = None,
    kill_seconds: float = KILL_SECONDS,
) -> int:
    """Run a program to its end in a process group of its own; its exit code.

    To be called by a thread that stays until then: the child ends with the thread that has started it.

    Args:
        argv: its words, the program by its path. Its standard input and output are nothing, its standard error ours.
        limit: seconds that it may take.
        watch: called every few moments; what it raises ends the child, and is raised here.
        every: seconds between two such calls.
        pass_fds: descriptors that it inherits.
        environment: all that it has; None: ours.
        kill_seconds: see `KILL_SECONDS`.

    Raises:
        WorkerFailed: its time was up, a signal has ended it, or it could not be started.
    """
    until = _now() + limit
    with _started(argv, pass_fds, environment, kill_seconds) as (process, pidfd):
        while not _ended(pidfd, max(0.0, min(every, until - _now()))):
            if _now() >= until:
                raise WorkerFailed(
                    f"it was stopped: it had not ended after {format_duration(limit)}",
                    hint="what it has stored stays, and the next run goes on with the rest; give it a longer limit",
                )
            watch()
        code = process.wait()
    if code < 0:
        name = signal.Signals(-code).name
        raise WorkerFailed(f"it was ended by {name}", hint="see the kernel log; the next run goes on with the rest")
    return code


@contextlib.contextmanager
def _started(
    argv: Sequence[str], pass_fds: Collection[int], environment: Mapping[str, str] | None, kill_seconds: float
) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    try:
        process = subprocess.Popen(
            tied(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=tuple(pass_fds),
            env=environment,
            process_group=0,
        )
    except OSError as error:
        raise WorkerFailed(f"it could not be started: {error.strerror}", hint="see the limits of processes") from None
    pidfd = os.pidfd_open(process.pid)
    try:
        yield process, pidfd
    finally:
        _end(process, pidfd, kill_seconds)
        os.close(pidfd)


def _end(process: "subprocess.Popen[bytes]", pidfd: int, kill_seconds: float) -> None:
    """Kill what is left of the group; until it is reaped, its number is nobody else's."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if _ended(pidfd, kill_seconds):
        process.wait()
    else:
        process.returncode = -signal.SIGKILL  # nobody waits for it any more; init does when we are gone


def _ended(pidfd: int, seconds: float) -> bool:
    """Whether it ends within this time."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
