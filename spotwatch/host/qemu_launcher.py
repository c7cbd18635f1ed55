"""Becomes the server of an overlay: ``python qemu_launcher.py PARENT DIRECTORY NAME LIMIT PROGRAM WORD...``.

A program of its own, because what it does cannot be undone in a process that goes on: it is tied to its parent
(PR_SET_PDEATHSIG(2const)), in a mount namespace of its own, and can write no file beyond the limit. In that namespace,
DIRECTORY is a small file system in memory with one empty file NAME, for the server to mount its export on.
It needs nothing but the standard library, whatever environment it hands on.
"""

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_CLONE_NEWNS = 0x00020000  # linux/sched.h
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 2, 4, 8, 1 << 14, 1 << 18  # linux/mount.h


def main(parent: str, directory: str, name: str, limit: str, *argv: str) -> None:
    """Become the server; nothing if the parent has gone already.

    Raises:
        OSError: the kernel refused one of the steps.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(_PR_SET_PDEATHSIG, *[ctypes.c_ulong(value) for value in (signal.SIGKILL, 0, 0, 0)]))
    if os.getppid() != int(parent):
        return
    _check(libc.unshare(_CLONE_NEWNS))
    _check(libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None))
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    _check(libc.mount(b"tmpfs", os.fsencode(directory), b"tmpfs", flags, b"size=64k,mode=0700"))
    os.close(os.open(os.path.join(directory, name), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    # Python ignores SIGXFSZ and hands that on: a write beyond the limit fails with EFBIG, which the export answers.
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    os.execvp(argv[0], argv)  # noqa: S606 (as intended)


def _check(answer: int) -> None:
    if answer != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as refusal:
        sys.exit(f"{sys.argv[5] if len(sys.argv) > 5 else 'it'} cannot be started: {refusal.strerror}")
