"""From a decision to objects and a manifest, and back again to see that all of it is there.

Data objects come first and the manifest last, so whoever finds the manifest finds everything. Each is stored under a
key that follows from the volume alone, on the condition that nobody has stored it yet: a second run, after a crash or
on another host, finds what the first one has stored, compares it with the volume, and goes on with the rest.

What this survives:

- An object under the key that does not hold what is on the volume (it was half read from a failing disk): it stays, and
  the right one goes under the next name.
- A manifest of an earlier run that could read less or more: it stays, and the newer one has the higher number.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Final

from xxhash import xxh128

from spotwatch.core.errors import DestinationError
from spotwatch.ship.bundle import Bundle, Frame, Packer, Unpacker, deal_out, decode_index, index_length, one_each
from spotwatch.ship.destination import Destination
from spotwatch.ship.manifest import (
    MANIFEST,
    FileReport,
    Manifest,
    ObjectReport,
    RangeReport,
    manifest_key,
    manifest_number,
    object_key,
    rfc3339,
)
from spotwatch.ship.tree import Tree, Unreadable

if TYPE_CHECKING:  # who only publishes and reads back does not decide
    from spotwatch.ship.decision import Decision, FileDecision

MOST_MANIFESTS: Final = 99_999
"""Of one volume; each is another way in which it was read."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a manifest says of a volume besides its files; the fields are those of `Manifest`."""

    volume: str
    instance: str
    filesystem: Mapping[str, str]
    read_by: str


class Shipment:
    """What is left on one volume, on its way to one destination."""

    def __init__(
        self,
        tree: Tree,
        destination: Destination,
        *,
        workers: int,
        one_object_a_file: bool = False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Nothing is read yet.

        Args:
            tree: the volume.
            destination: where to.
            workers: how many cores to use.
            one_object_a_file: an object for each range rather than bundles.
            progress: is told how many bytes of content are done, as often as a frame is on its way.
        """
        self._tree = tree
        self._destination = destination
        self._workers = workers
        self._bundles = one_each if one_object_a_file else deal_out
        self._progress = progress
        self._done = 0

    def store(self, decision: "Decision", origin: Origin) -> Manifest:
        """Store every object; the manifest, which is not stored yet. What cannot be read is an anomaly in it.

        Raises:
            DestinationError: not everything could be stored.
        """
        draft = drafted(decision, origin)
        prefix = object_key(origin.volume, origin.instance, draft.newest)
        with Packer(self._tree, workers=self._workers) as packer:
            objects = tuple(self._store(packer, prefix, bundle) for bundle in self._bundles(decision.segments))
            lost = tuple(map(_told, dict.fromkeys(packer.lost)))
        return replace(draft, objects=objects, anomalies=(*draft.anomalies, *lost))

    def _store(self, packer: Packer, prefix: str, bundle: Bundle) -> ObjectReport:
        """Under the first of its names that is free, or that holds the same."""
        for attempt in count(1):
            key = f"{prefix}/{bundle.name(attempt)}"
            report = self._put(packer, key, bundle) or self._found(packer, key, bundle)
            if report is not None:
                self._done += bundle.size
                self._progress(self._done)
                return report
        raise AssertionError("count() ends")

    def _put(self, packer: Packer, key: str, bundle: Bundle) -> ObjectReport | None:
        """None if the key is taken."""
        frames: list[Frame] = []
        packer.done = 0
        measured = _Measured(self._followed(packer, bundle, frames))
        if not self._destination.put(key, measured):
            return None
        return measured.report(key, tuple(frames))

    def _followed(self, packer: Packer, bundle: Bundle, frames: list[Frame]) -> Iterator[bytes]:
        for chunk in packer.pack(bundle, frames):
            self._progress(self._done + packer.done)
            yield chunk

    def _found(self, packer: Packer, key: str, bundle: Bundle) -> ObjectReport | None:
        """What is stored under the key, if it is this bundle."""
        stored = self._destination.find(key)
        if stored is None:
            return None
        try:
            frames = read_index(self._destination, key, stored.size)
        except ValueError:
            return None
        if [_content(frame) for frame in frames] != [_content(frame) for frame in packer.hash(bundle)]:
            return None
        measured = _Measured(self._destination.read(key))
        try:
            _unpack_all(frames, measured)
        except ValueError:
            return None
        return measured.report(key, frames)


def drafted(decision: "Decision", origin: Origin) -> Manifest:
    """The manifest before anything is stored."""
    return Manifest(
        volume=origin.volume,
        instance=origin.instance,
        filesystem=dict(origin.filesystem),
        read_by=origin.read_by,
        newest=rfc3339(max((file.file.modified_ns for file in decision.files), default=0)),
        files=tuple(map(_report, decision.files)),
        objects=(),
        anomalies=decision.anomalies,
    )


def _content(frame: Frame) -> Frame:
    """A frame wherever it is."""
    return replace(frame, offset=0, length=0)


class _Measured:
    """An object's chunks on their way, counted and hashed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._size = 0
        self._sha256 = hashlib.sha256()
        self._xxh128 = xxh128()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._size += len(chunk)
            self._sha256.update(chunk)
            self._xxh128.update(chunk)
            yield chunk

    def report(self, key: str, frames: tuple[Frame, ...]) -> ObjectReport:
        """Of the object, once all its chunks have passed."""
        return ObjectReport(key, self._size, self._sha256.hexdigest(), self._xxh128.hexdigest(), frames)


def publish(manifest: Manifest, destination: Destination) -> str:
    """Store the manifest under the next number, unless the last one is the same; its key.

    Raises:
        DestinationError: it could not be stored.
    """
    prefix = object_key(manifest.volume, manifest.instance, manifest.newest)
    document = manifest.encode()
    while True:
        last = max((manifest_number(found.key) or 0 for found in destination.below(f"{prefix}/{MANIFEST}")), default=0)
        if last and b"".join(destination.read(manifest_key(prefix, last))) == document:
            return manifest_key(prefix, last)
        if last == MOST_MANIFESTS:
            raise DestinationError(f"{prefix} has {MOST_MANIFESTS} manifests", hint="see what writes them")
        if destination.put(manifest_key(prefix, last + 1), [document]):
            return manifest_key(prefix, last + 1)


def read_manifest(destination: Destination, key: str) -> Manifest:
    """The manifest that is stored under a key.

    Raises:
        DestinationError: there is none.
    """
    try:
        return Manifest.decode(b"".join(destination.read(key)))
    except (ValueError, UnicodeDecodeError) as error:
        raise DestinationError(f"{destination.url}/{key}: {error}", hint="see what has changed it") from None


def read_index(destination: Destination, key: str, size: int) -> tuple[Frame, ...]:
    """The index at the end of an object of this size.

    Raises:
        ValueError: it has none.
        DestinationError: it could not be read.
    """
    length = index_length(b"".join(destination.read(key, max(0, size - 4))))
    if not 12 <= length <= size:
        raise ValueError("it does not end with an index")
    return decode_index(b"".join(destination.read(key, size - length)))


def look_for_all(manifest: Manifest, destination: Destination) -> None:
    """See that every object is there, with its size.

    Raises:
        DestinationError: one is not.
    """
    for told in manifest.objects:
        stored = destination.find(told.key)
        if stored is None or stored.size != told.size:
            what = "is not there" if stored is None else f"has {stored.size} bytes instead of {told.size}"
            raise DestinationError(f"{destination.url}/{told.key} {what}", hint="see what has changed it")


def verify(manifest: Manifest, destination: Destination, *, renew: Callable[[], None] = lambda: None) -> None:
    """Read everything back: the destination holds the bytes that were hashed when they were stored.

    That these bytes unpack to what is on the volume was seen before: whoever makes an `ObjectReport` has unpacked them
    all, when they were packed (`Packer`) or, of an object that was there already, when it was compared with the volume.

    Args:
        manifest: of what was stored.
        destination: where.
        renew: is called after each chunk.

    Raises:
        DestinationError: something is not there, or not what was stored.
    """
    for told in manifest.objects:
        digest = xxh128()
        for chunk in destination.read(told.key):
            digest.update(chunk)
            renew()
        if digest.hexdigest() != told.xxh128:
            raise DestinationError(
                f"{destination.url}/{told.key}: the checksum is another one than was stored",
                hint="see what has changed it",
            )


def _unpack_all(frames: Iterable[Frame], chunks: Iterable[bytes]) -> None:
    """Frame after frame as they come; what follows the last one is read to its end."""
    held, start, coming, unpacker = b"", 0, iter(chunks), Unpacker()
    for frame in frames:
        while len(held) - start < frame.length and (chunk := next(coming, b"")):
            held, start = held[start:] + chunk, 0
        unpacker.unpack(frame, memoryview(held)[start : start + frame.length])
        start += frame.length
    for _ in coming:
        pass


def _report(decided: "FileDecision") -> FileReport:
    return FileReport(
        path=decided.file.path,
        inode=decided.file.inode,
        size=decided.file.size,
        modified=rfc3339(decided.file.modified_ns),
        ranges=tuple(
            RangeReport(segment.start, segment.end, segment.shipped, segment.reason.value, segment.hint)
            for segment in decided.segments
        ),
        trailing_nul_bytes=decided.trailing_nul_bytes,
        other_names=decided.other_names,
    )


def _told(lost: Unreadable) -> str:
    return f"{lost.path} cannot be read: {lost.reason}"
