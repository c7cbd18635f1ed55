"""Files that a reader finds either as they were or as they are to be, never half written."""

import contextlib
import os


def write_atomically(path: str | os.PathLike[str], text: str, *, mode: int = 0o644, durable: bool = False) -> None:
    """Replace a file's content in one step.

    The text goes to a file beside it, which then takes its name (rename(2)). A crash may leave that file behind; the
    next process with the same number overwrites it.

    Args:
        path: the file to be replaced or created.
        text: its new content, written as UTF-8.
        mode: its permissions, whatever the umask is.
        durable: whether the content has to outlast a power failure from the return of this call on (fsync(2)).

    Raises:
        OSError: it could not be written; the old content is untouched and nothing is left beside it.
    """
    directory, name = os.path.split(os.fspath(path))
    beside = os.path.join(directory, f".{name}.{os.getpid()}.new")
    try:
        _write(beside, text, mode=mode, durable=durable)
        os.replace(beside, path)
    finally:
        with contextlib.suppress(OSError):  # it has its new name already, or it never came to be
            os.unlink(beside)
    if durable:
        _sync_directory(directory or ".")


def _write(path: str, text: str, *, mode: int, durable: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fchmod(descriptor, mode)
        if durable:
            os.fsync(descriptor)


def _sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
