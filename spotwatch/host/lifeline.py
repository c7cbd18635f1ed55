"""Becomes a program that does not outlive its parent: ``python lifeline.py PARENT PROGRAM WORD...``.

What this survives: a parent that is killed, and can tell nobody. The kernel then sends SIGTERM to the program
(PR_SET_PDEATHSIG(2const), which lasts through execve(2)); a parent that has gone before that was asked for is noticed.
A program of its own, because code between fork and exec must not be Python where threads run; it needs nothing but the
standard library, whatever environment it hands on.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def tied(argv: Sequence[str]) -> list[str]:
    """The words that run a program, named by its path, as a child which ends with us."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *argv]


def main(parent: str, *argv: str) -> None:
    """Become the program; nothing if the parent has gone already."""
    arguments = [ctypes.c_ulong(value) for value in (signal.SIGTERM, 0, 0, 0)]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, *arguments)
    if os.getppid() == int(parent):
        os.execv(argv[0], argv)  # noqa: S606 (as intended)


if __name__ == "__main__":
    main(*sys.argv[1:])
