"""What is known of a file on a log volume. Shared by who reads the volume and who ships it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogFile:
    """A regular file on the volume.

    Attributes:
        path: relative to the root of the file system; bytes that are no UTF-8 are surrogates (`os.fsdecode`).
        inode: its number on the volume, the same on every host.
        size: bytes, holes included.
        allocated: bytes on the disk; far fewer than `size` for a sparse file.
        modified_ns: nanoseconds since 1970.
    """

    path: str
    inode: int
    size: int
    allocated: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file or directory that could not be read, and why: an anomaly, since nobody knows what was in it."""

    path: str
    reason: str
