"""A small text that outlasts a crash and a restart, in a directory that one process at a time uses."""

import os

from spotwatch.core.errors import StateUnavailable
from spotwatch.host.files import write_atomically


class StateText:
    """Implements `spotwatch.addresses.services.Memory`: a file of a state directory, made when it is written."""

    def __init__(self, directory: str | os.PathLike[str], name: str) -> None:
        self._directory = os.fspath(directory)
        self._path = os.path.join(self._directory, name)

    def make_directory(self) -> None:
        """Make the directory, unless it is there.

        Raises:
            StateUnavailable: it cannot be made.
        """
        try:
            os.makedirs(self._directory, mode=0o750, exist_ok=True)
        except OSError as error:
            raise self._unavailable("make", error) from error

    def read(self) -> str:
        """What was written last; empty if nothing was.

        Raises:
            StateUnavailable: it cannot be read.
        """
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise self._unavailable("read", error) from error

    def write(self, text: str) -> None:
        """Replace it; durable when this returns.

        Raises:
            StateUnavailable: it cannot be written.
        """
        try:
            write_atomically(self._path, text, mode=0o640, durable=True)
        except OSError as error:
            raise self._unavailable("write", error) from error

    def _unavailable(self, what: str, error: OSError) -> StateUnavailable:
        return StateUnavailable(
            f"cannot {what} {self._path}: {error.strerror}", hint=f"let our user write to {self._directory}, or see df"
        )
