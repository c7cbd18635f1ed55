"""The manifest of a volume: what was on it, what of it was shipped and where to, and why the rest was not.

It is the last object of a volume to be written, so whoever finds it finds everything that it names; without it a volume
is not shipped, whatever else lies there. It is JSON on one line (`jq .` shows it), and its text is the same whoever
writes it: what depends on the run is in the tags of the volume and in the log.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, get_origin, get_type_hints
from urllib.parse import quote

from spotwatch.core.reading import parse_json_object
from spotwatch.ship.bundle import Frame, members

SCHEMA: Final = 1
"""Raised when a reader of the old form could misread the new one."""


@dataclass(frozen=True, slots=True)
class RangeReport:
    """A range of a file, and what was decided about it.

    Attributes:
        start, end: its bytes.
        shipped: whether it is in an object.
        reason: why, in the words of `spotwatch.ship.decision`.
        hint: whether the decision rests on a read position, which proves no delivery.
    """

    start: int
    end: int
    shipped: bool
    reason: str
    hint: bool = False


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file of the volume.

    Attributes:
        path: relative to the root of its file system; bytes that are no UTF-8 are lone surrogates.
        inode: its number.
        size: bytes.
        modified: when it was last changed (RFC 3339, UTC).
        ranges: what was decided, in order; with the NUL bytes at its end they are the whole file.
        trailing_nul_bytes: at its end, where a power cut leaves them; they were not shipped.
        other_names: further paths of the same file (hard links); it was shipped under `path` alone.
    """

    path: str
    inode: int
    size: int
    modified: str
    ranges: tuple[RangeReport, ...]
    trailing_nul_bytes: int = 0
    other_names: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All its paths."""
        return (self.path, *self.other_names)


@dataclass(frozen=True, slots=True)
class ObjectReport:
    """One object of the volume, and where each range is in it.

    Attributes:
        key: where it is stored.
        size: bytes.
        sha256: its SHA-256, for whoever wants to know that nobody has put another one in its place.
        xxh128: its XXH128 (`xxhsum -H128`), by which it is read back: that finds damage in a tenth of the CPU time.
        frames: in the order of the object.
    """

    key: str
    size: int
    sha256: str
    xxh128: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """See the module.

    Attributes:
        volume: its EBS id, or what stands for it where there is none.
        instance: whose logs they are; empty if nobody has said.
        filesystem: its type and UUID.
        read_by: how it was read: `clean` or the kind of overlay that its journal was replayed on.
        newest: when the newest file was last changed (RFC 3339, UTC); the date in the keys.
        files: everything that was found, in the order of the paths.
        objects: everything that was shipped.
        anomalies: what was wrong; with any the volume is kept.
    """

    volume: str
    instance: str
    filesystem: Mapping[str, str]
    read_by: str
    newest: str
    files: tuple[FileReport, ...]
    objects: tuple[ObjectReport, ...]
    anomalies: tuple[str, ...]
    schema: int = SCHEMA

    @property
    def shipped_bytes(self) -> int:
        """Bytes of the files' content in all objects."""
        return sum(frame.end - frame.start for stored in self.objects for frame in stored.frames)

    def encode(self) -> bytes:
        """The document; the same for the same manifest."""
        return json.dumps(self, default=members, sort_keys=True, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def decode(cls, document: bytes) -> "Manifest":
        """The manifest in a document that `encode` made.

        Raises:
            ValueError: it is none, or one of another schema.
        """
        told = parse_json_object(document.decode())
        if told.get("schema") != SCHEMA:
            raise ValueError(f"a manifest of schema {told.get('schema')!r}; this version reads {SCHEMA}")
        try:
            return _checked(
                cls,
                {
                    **told,
                    "files": tuple(_file(file) for file in told["files"]),
                    "objects": tuple(_object(stored) for stored in told["objects"]),
                    "anomalies": tuple(map(str, told["anomalies"])),
                },
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a manifest: {error}") from None


_Part = TypeVar("_Part")


def _checked(kind: type[_Part], told: Mapping[str, Any]) -> _Part:
    """The part of a manifest that is told of, if each value is of the type that it should be.

    Raises:
        TypeError: one is not, is missing, or is unknown.
    """
    for name, wanted in _TYPES[kind]:
        value = told.get(name)
        if name in told and not _is_a(value, wanted):
            raise TypeError(f"{name} of a {kind.__name__} is {value!r:.80}")
    return kind(**told)


_TYPES: Final[Mapping[type, Sequence[tuple[str, type]]]] = {
    kind: [(name, get_origin(hint) or hint) for name, hint in get_type_hints(kind).items()]
    for kind in (Manifest, FileReport, RangeReport, ObjectReport, Frame)
}
"""The members of each part, each with its type; a manifest has some parts a hundred thousand times."""


def _is_a(value: object, wanted: type) -> bool:
    """JSON's true is no number, and nothing in a manifest is negative."""
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return isinstance(value, wanted)


def _file(told: Mapping[str, Any]) -> FileReport:
    ranges = tuple(_checked(RangeReport, each) for each in told["ranges"])
    return _checked(FileReport, {**told, "ranges": ranges, "other_names": tuple(map(str, told["other_names"]))})


def _object(told: Mapping[str, Any]) -> ObjectReport:
    return _checked(ObjectReport, {**told, "frames": tuple(_checked(Frame, each) for each in told["frames"])})


LATEST: Final = 253_402_300_799 * 10**9
"""The end of the year 9999, in nanoseconds: the last moment that a date can show."""


def rfc3339(nanoseconds: int) -> str:
    """A file's time as the manifest writes it: seconds, UTC; nonsense on the disk is taken for the nearest sense."""
    nanoseconds = max(0, min(nanoseconds, LATEST))
    return datetime.fromtimestamp(nanoseconds // 10**9, UTC).isoformat().replace("+00:00", "Z")


def object_key(volume: str, instance: str, newest: str) -> str:
    """What the keys of a volume's objects begin with: the date of its data, its instance and itself.

    The date is the data's and not the run's, so that a second run finds what the first one has stored.
    """
    return "/".join((*newest[:10].split("-"), quote(instance, safe="") or "unknown-instance", quote(volume, safe="")))


MANIFEST: Final = "manifest-"
"""What the names of manifests begin with, and those of no other object."""

_MANIFEST_KEY: Final = re.compile(rf"(?P<prefix>.+)/{MANIFEST}(?P<number>[0-9]{{5}})\.json")


def manifest_key(prefix: str, number: int) -> str:
    """Where the manifest of this number is, among the objects of its volume."""
    return f"{prefix}/{MANIFEST}{number:05d}.json"


def manifest_number(key: str) -> int | None:
    """The number of the manifest under this key; None if it is the key of something else."""
    match = _MANIFEST_KEY.fullmatch(key)
    return int(match["number"]) if match else None
