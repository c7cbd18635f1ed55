"""From manifests back to log files: what was shipped of which, and the bytes of it, verified.

Only the latest manifest of each volume counts: an earlier one tells of a run that could read less of it, or more. Of
the objects only the frames that are wanted are read, neighbours in one request.

What this survives: objects and manifests that somebody has changed. Every frame is compared with its checksum, and a
path is only ever a name to show or to match.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from spotwatch.core.errors import DestinationError
from spotwatch.ship.bundle import Frame, unpack
from spotwatch.ship.decision import Reason
from spotwatch.ship.destination import Destination
from spotwatch.ship.manifest import FileReport, Manifest, RangeReport, manifest_number
from spotwatch.ship.position import Range, in_order
from spotwatch.ship.shipper import read_manifest

REQUEST_BYTES: Final = 8 * 1024 * 1024
"""The most that is asked for at a time, unless one frame is larger."""

UNREADABLE: Final = "unreadable"
"""Why a part of a range that was to be shipped is in no object."""


_DEPTH: Final = 5
"""Parts of a key before its name: year, month, day, instance, volume (`spotwatch.ship.manifest.object_key`)."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes of a file that were not shipped, and why: a `Reason`, or `UNREADABLE`."""

    start: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class ShippedFile:
    """What is to be had of one file.

    Attributes:
        manifest: the one that tells of it.
        file: what it says.
        frames: its content in the order of the bytes, each with the key of its object.
    """

    manifest: Manifest
    file: FileReport
    frames: tuple[tuple[str, Frame], ...]

    @property
    def shipped_bytes(self) -> int:
        """Bytes of its content that are to be had."""
        return sum(frame.end - frame.start for _, frame in self.frames)

    @property
    def was_shipped(self) -> bool:
        """Whether it was shipped at all, if only as an empty file."""
        return bool(self.frames)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What is not to be had, in order."""
        had = in_order(Range(frame.start, frame.end) for _, frame in self.frames)
        return tuple(gap for told in self.file.ranges for gap in _gaps(told, had))


def _gaps(told: RangeReport, had: tuple[Range, ...]) -> Iterator[Gap]:
    if not told.shipped:
        yield Gap(told.start, told.end, told.reason)
        return
    done = told.start
    for piece in had:
        if piece.end > done and piece.start < told.end:
            if piece.start > done:
                yield Gap(done, piece.start, UNREADABLE)
            done = piece.end
    if done < told.end:
        yield Gap(done, told.end, UNREADABLE)


def latest_manifests(
    destination: Destination, *, instance: str = "", volume: str = "", since: str = ""
) -> Iterator[tuple[str, Manifest]]:
    """The key and the content of each volume's latest manifest, in the order of the keys.

    Args:
        destination: where to look.
        instance: only manifests of this instance; then the latest of those.
        volume: only those of this volume.
        since: only volumes with a file that was changed then or later, as `spotwatch.ship.manifest.rfc3339` writes it.

    Raises:
        DestinationError: something cannot be listed or read.
    """
    volumes: dict[str, list[_Place]] = {}
    for place in _places(destination):
        if instance in ("", place.instance) and volume in ("", place.volume) and since[:10] <= place.date:
            volumes.setdefault(place.volume, []).append(place)
    for places in volumes.values():
        latest_date = max(place.date for place in places)
        read = [(p.key, read_manifest(destination, p.key)) for p in places if p.date == latest_date]
        key, manifest = max(read, key=lambda found: found[1].newest)
        if since <= manifest.newest:
            yield key, manifest


@dataclass(frozen=True, slots=True)
class _Place:
    """What the key of a manifest says."""

    key: str
    date: str
    instance: str
    volume: str


def _places(destination: Destination) -> list[_Place]:
    """Of the manifests with the highest number: one for each date, instance and volume."""
    last: dict[str, str] = {}
    for found in destination.below(""):
        if manifest_number(found.key) is not None:
            prefix = found.key.rpartition("/")[0]
            last[prefix] = max(found.key, last.get(prefix, ""))
    split = [(key, prefix.split("/")) for prefix, key in sorted(last.items())]
    return [
        _Place(key, "-".join(parts[:3]), unquote(parts[3]), unquote(parts[4]))
        for key, parts in split
        if len(parts) == _DEPTH
    ]


def shipped_files(manifest: Manifest) -> Iterator[ShippedFile]:
    """Every file that a manifest tells of, in the order of the paths."""
    frames: dict[tuple[str, int], list[tuple[str, Frame]]] = {}
    for stored in manifest.objects:
        for frame in stored.frames:
            frames.setdefault((frame.path, frame.inode), []).append((stored.key, frame))
    for file in manifest.files:
        its = sorted(frames.get((file.path, file.inode), ()), key=lambda told: told[1].start)
        yield ShippedFile(manifest, file, tuple(its))


@dataclass(frozen=True, slots=True)
class Content:
    """Some bytes of a file; `data` begins at `start`."""

    file: ShippedFile
    start: int
    data: bytes


def contents(destination: Destination, files: Iterable[ShippedFile]) -> Iterator[Content]:
    """What was shipped of some files, file after file; of an empty file an empty piece.

    Raises:
        DestinationError: an object is not there, or is not what was stored.
    """
    for key, wanted in _runs((file, key, frame) for file in files for key, frame in file.frames):
        start = wanted[0][1].offset
        length = sum(frame.length for _, frame in wanted)
        data = b"".join(destination.read(key, start, length))
        for file, frame in wanted:
            piece = data[frame.offset - start : frame.offset - start + frame.length]
            try:
                yield Content(file, frame.start, unpack(frame, piece))
            except ValueError as error:
                raise DestinationError(
                    f"{destination.url}/{key}: {error}", hint="see what has changed it; the rest can be had by --path"
                ) from None


_Run = tuple[str, list[tuple[ShippedFile, Frame]]]


def _runs(wanted: Iterable[tuple[ShippedFile, str, Frame]]) -> Iterator[_Run]:
    """Frames that lie one after the other in one object, together as long as they are not too much."""
    run: _Run | None = None
    size = 0
    for file, key, frame in wanted:
        last = run[1][-1][1] if run else None
        follows = run and last and run[0] == key and last.offset + last.length == frame.offset
        if run and follows and size + frame.length <= REQUEST_BYTES:
            run[1].append((file, frame))
            size += frame.length
            continue
        if run:
            yield run
        run, size = (key, [(file, frame)]), frame.length
    if run:
        yield run


def is_hole(gap: Gap) -> bool:
    """Whether what was not shipped is nothing but zeros."""
    return gap.reason == Reason.HOLE
