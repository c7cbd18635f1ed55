"""Programs that run side by side and die at one moment, as those of an instance do.

What this survives: a program that starts others (they are in the group too), and our own end by SIGKILL (each program
gets SIGTERM, see `spotwatch.host.lifeline`).
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from spotwatch.host.lifeline import tied

_LOOK_SECONDS: Final = 0.001
"""In which the programs go on between two moments at which they are stopped."""


class ProcessGroup:
    """Children in a process group of their own, which a terminal's Ctrl-C does not reach; a context manager.

    Args:
        environment: all that they have.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._kill()

    def start(self, argv: Sequence[str], output: Path) -> None:
        """Start one more program, whose output is added to a file."""
        group = self._children[0].pid if self._children else 0
        with output.open("ab") as file:
            child = subprocess.Popen(
                tied(argv),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=self._environment,
                process_group=group,
            )
        self._children.append(child)

    def exit_codes(self) -> list[int | None]:
        """Of each program, in the order in which they were started; None for one that still runs."""
        return [child.poll() for child in self._children]

    def kill_at(self, moment: Callable[[], bool]) -> None:
        """Kill all of them at a moment at which this holds: they are stopped whenever it is looked.

        If the first of them has ended, that is the moment.
        """
        while self._stop() and not moment():
            self._signal(signal.SIGCONT)
            time.sleep(_LOOK_SECONDS)
        self._kill()

    def _stop(self) -> bool:
        """Stop them; whether the first one lives, and stands still now."""
        self._signal(signal.SIGSTOP)
        first = self._children[0]
        if first.returncode is not None:
            return False
        state = os.waitid(os.P_PID, first.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        return state is not None and state.si_code == os.CLD_STOPPED

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)
        for child in self._children:
            child.wait()

    def _signal(self, number: int) -> None:
        """Signal the group; its number is not given out again as long as a child of it is not waited for."""
        if any(child.returncode is None for child in self._children):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._children[0].pid, number)
