"""What a hook has told whom, in a file beside its output: one line each, so that nobody is told twice.

What this survives: the death of the hook between two lines, and half a line at the end. Where it cannot be written, it
remembers nothing after the hook's death.
"""

import os


class Told:
    """Implements `spotwatch.hooks.services.Told`.

    Args:
        path: the file; empty: there is none.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._keys = _read(path) if path else set()

    def has(self, key: str) -> bool:
        """Whether it has been told."""
        return key in self._keys

    def add(self, key: str) -> str:
        """Write that it has been told, durable when it returns; why that could not be, or an empty text."""
        self._keys.add(key)
        if not self._path:
            return ""
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                # The line feed comes first: what half a line may have left before does not damage this one.
                os.write(descriptor, f"\n{key}\n".encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            return f"{self._path} cannot be written: {error.strerror}"
        return ""


def _read(path: str) -> set[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().split("\n")
    except OSError:
        return set()
    return set(lines[:-1]) - {""}  # the last one is empty, or was not written to its end
