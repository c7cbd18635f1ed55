"""Journals of a volume that this host's `journalctl` exports; implements `spotwatch.ship.decision.JournalExport`.

What this survives: a hostile directory, since `journalctl` is given open files and never a path on the volume; and our
death, with which it ends.
"""

import contextlib
import errno
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, Final, Protocol, cast

from spotwatch.host.lifeline import tied

_PROGRAM: Final = "journalctl"


class Tree(Protocol):
    """The volume; `spotwatch.ship.tree.Tree` has the contract."""

    def open(self, path: str) -> BinaryIO:
        """The regular file at this path."""
        ...

    def list(self, path: str) -> list[str]:
        """The paths of the regular files directly in this directory."""
        ...


class JournalctlExport:
    """Exports journals of a tree.

    Args:
        tree: the volume.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def available(self) -> bool:
        """Whether there is a `journalctl` on this host."""
        return shutil.which(_PROGRAM) is not None

    @contextlib.contextmanager
    def entries(self, directory: str, cursor: str) -> Iterator[BinaryIO]:
        """The entries after a cursor, of all journals of a directory, in the journal export format.

        Raises:
            OSError: one cannot be opened, or `journalctl` failed, which may show at the end of reading only.
        """
        with contextlib.ExitStack() as stack:
            paths = [path for path in self._tree.list(directory) if path.endswith((".journal", ".journal~"))]
            numbers = [stack.enter_context(self._tree.open(path)).fileno() for path in paths]
            if not numbers:
                raise FileNotFoundError(errno.ENOENT, "there is no journal")  # journalctl would read this host's
            complaints = stack.enter_context(tempfile.TemporaryFile())
            process = subprocess.Popen(
                tied([shutil.which(_PROGRAM) or _PROGRAM, *_words(numbers, cursor)]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                pass_fds=numbers,
            )
            with process:
                yield cast("BinaryIO", process.stdout)
            if process.returncode != 0:
                complaints.seek(0)
                said = complaints.read(4096).decode(errors="replace").strip().splitlines()
                raise OSError(said[-1] if said else f"{_PROGRAM} ended with {process.returncode}")


def _words(numbers: list[int], cursor: str) -> list[str]:
    files = [f"--file=/proc/self/fd/{number}" for number in numbers]
    return [*files, f"--after-cursor={cursor}", "--output=export", "--quiet", "--no-pager"]
