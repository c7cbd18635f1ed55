"""What is said of a volume that was shipped, or that would be: for people and as JSON."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from spotwatch.cli.options import plural, shown_path
from spotwatch.core.quantity import format_size
from spotwatch.host.overlay import PLAIN
from spotwatch.ship.manifest import FileReport, Manifest


def summary(manifest: Manifest, url: str, key: str) -> Iterator[str]:
    """The lines about a volume that was shipped."""
    files = len({(frame.path, frame.inode) for stored in manifest.objects for frame in stored.frames})
    objects = plural(len(manifest.objects), "object")
    what = f"{plural(files, 'file')}, {format_size(manifest.shipped_bytes)}"
    yield f"{manifest.volume}: {what}, shipped in {objects} and read back"
    yield f"  manifest     {url}/{key}"
    yield from _way(manifest)
    yield from _remarks(manifest)


def plan(manifest: Manifest) -> Iterator[str]:
    """The lines about a volume that would be shipped: each range of each file, and why."""
    total = sum(piece.end - piece.start for file in manifest.files for piece in file.ranges if piece.shipped)
    yield f"{manifest.volume}: {format_size(total)} would be shipped"
    yield from _way(manifest)
    for file in manifest.files:
        yield f"  {', also '.join(map(shown_path, file.names))}"
        for piece in file.ranges:
            what = "ship" if piece.shipped else "skip"
            hint = ", rests on a position that proves nothing" if piece.hint else ""
            yield f"    {what} {piece.start:>14,} to {piece.end:>14,}  {piece.reason}{hint}"
        if file.trailing_nul_bytes:
            yield f"    skip {file.trailing_nul_bytes:,} NUL bytes at its end, as a power cut leaves them"
    yield from _remarks(manifest)


def _way(manifest: Manifest) -> Iterator[str]:
    """How the file system was read; a directory has none."""
    kind = manifest.filesystem.get("type")
    if kind:
        is_clean = manifest.read_by == PLAIN
        how = "clean" if is_clean else f"its journal was replayed on an overlay ({manifest.read_by})"
        yield f"  file system  {kind}, {how}"


def _remarks(manifest: Manifest) -> Iterator[str]:
    for reason, size in sorted(_not_shipped(manifest).items()):
        yield f"  not shipped  {format_size(size)}: {reason}"
    hints = [piece for file in manifest.files for piece in file.ranges if piece.hint]
    if hints:
        size = sum(piece.end - piece.start for piece in hints)
        yield f"  hints        {plural(len(hints), 'range')}, {format_size(size)}: a position that proves no delivery"
    for anomaly in manifest.anomalies:
        yield f"  anomaly      {shown_path(anomaly)}"


def _not_shipped(manifest: Manifest) -> Counter[str]:
    left = Counter[str]()
    for file in manifest.files:
        for piece in file.ranges:
            if not piece.shipped:
                left[piece.reason] += piece.end - piece.start
    return left


def document(manifest: Manifest, key: str | None) -> Mapping[str, Any]:
    """The same as JSON; without a key it is what would be shipped."""
    told = {
        "volume": manifest.volume,
        "instance": manifest.instance,
        "filesystem": dict(manifest.filesystem),
        "read_by": manifest.read_by,
        "anomalies": list(manifest.anomalies),
    }
    if key is None:
        return {**told, "files": [_file(file) for file in manifest.files]}
    return {
        **told,
        "manifest": key,
        "objects": len(manifest.objects),
        "shipped_bytes": manifest.shipped_bytes,
        "not_shipped_bytes": dict(_not_shipped(manifest)),
    }


def _file(file: FileReport) -> Mapping[str, Any]:
    ranges = [
        {"start": piece.start, "end": piece.end, "shipped": piece.shipped, "reason": piece.reason, "hint": piece.hint}
        for piece in file.ranges
    ]
    return {
        "path": file.path,
        "other_names": list(file.other_names),
        "size": file.size,
        "ranges": ranges,
        "trailing_nul_bytes": file.trailing_nul_bytes,
    }
