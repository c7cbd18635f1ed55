"""Which worker of this host works on which volume: a lock for each, which ends with its holder however that dies."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from spotwatch.core.errors import StateUnavailable


class Claims:
    """Locks in a directory, which is made when it is missing.

    Args:
        directory: of this host; not shared over a network.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory

    @contextlib.contextmanager
    def held(self, name: str) -> Iterator[bool]:
        """Hold a name until the context is left; whether it could be had.

        Its file is removed in the end, while it is still locked; who has opened it meanwhile finds that it is another
        file than the one at the path, and tries again.

        Raises:
            StateUnavailable: the directory cannot be used.
        """
        path = os.path.join(self._directory, f"{name}.lock")
        try:
            os.makedirs(self._directory, mode=0o750, exist_ok=True)
            descriptor = _locked(path)
        except OSError as error:
            raise StateUnavailable(f"{path}: {error.strerror}", hint="run as root, or set state.directory") from None
        if descriptor is None:
            yield False
            return
        try:
            yield True
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)
            os.close(descriptor)


def _locked(path: str) -> int | None:
    """A descriptor of the file at the path, locked; None if somebody else has it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass
        os.close(descriptor)
