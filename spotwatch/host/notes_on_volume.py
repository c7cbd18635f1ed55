"""Small files in the directory `.spotwatch` at the root of a log volume.

What this survives: a volume on which others may write. No link is followed below the mount point, and nothing is
written into a directory that belongs to somebody else.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Final

from spotwatch.host.files import write_atomically

DIRECTORY: Final = ".spotwatch"


def write_note(mount_point: str, name: str, text: str) -> str:
    """Replace a file in our directory; why it could not be, or an empty text.

    Args:
        mount_point: the root of the file system.
        name: relative to our directory.
        text: durable when this returns.
    """
    *directories, file = f"{DIRECTORY}/{name}".split("/")
    try:
        with _entered(mount_point, directories) as descriptor:
            write_atomically(f"/proc/self/fd/{descriptor}/{file}", text, mode=0o640, durable=True)
    except OSError as error:
        return f"{mount_point}/{DIRECTORY}/{name} cannot be written: {error.strerror or error}"
    return ""


@contextlib.contextmanager
def _entered(mount_point: str, directories: list[str]) -> Iterator[int]:
    """A descriptor of a directory below the mount point, made where it is missing."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    with contextlib.ExitStack() as stack:
        descriptor = os.open(mount_point, flags)
        stack.callback(os.close, descriptor)
        for name in directories:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o750, dir_fd=descriptor)
            descriptor = os.open(name, flags | os.O_NOFOLLOW, dir_fd=descriptor)
            stack.callback(os.close, descriptor)
            if os.fstat(descriptor).st_uid != os.geteuid():
                raise OSError(f"{name} belongs to somebody else")
        yield descriptor
