"""What is mounted where (proc_pid_mountinfo(5))."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount.

    Attributes:
        number: `MAJOR:MINOR` of the device; its major is 0 if there is none, or the file system hides it (btrfs).
        point: where it is.
        kind: the type of the file system.
        source: what was mounted: a device, a server, a word.
    """

    number: str
    point: str
    kind: str
    source: str


def read_mounts(path: str = "/proc/self/mountinfo") -> list[Mount]:
    """All mounts, in the order in which they were made.

    Raises:
        OSError: the list cannot be read.
    """
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return [_mount(line.split()) for line in file]


def _mount(fields: Sequence[str]) -> Mount:
    rest = fields[fields.index("-", 6) + 1 :]  # after a changing number of optional fields
    return Mount(fields[2], _unescaped(fields[4]), rest[0], _unescaped(rest[1]))


def _unescaped(field: str) -> str:
    """Blanks, tabs, newlines and backslashes are written in octal."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)


def mount_with(mounts: Sequence[Mount], path: str) -> Mount | None:
    """The mount that a real path is on: the last one at the longest mount point above it."""
    found: Mount | None = None
    for mount in mounts:
        is_above = path == mount.point or path.startswith(f"{mount.point.rstrip('/')}/")
        if is_above and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found
