"""``spotwatch logs``: what was shipped, listed, printed and fetched."""

import json
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, BinaryIO, Final
from urllib.parse import quote

from spotwatch.cli.destinations import Keeping, add_endpoint_option, destination, moment
from spotwatch.cli.options import plural, shown_path
from spotwatch.core.errors import StateUnavailable, UsageError
from spotwatch.core.quantity import format_size, parse_duration
from spotwatch.ship.destination import Destination
from spotwatch.ship.manifest import rfc3339
from spotwatch.ship.patterns import LogPatterns
from spotwatch.ship.reading import Content, Gap, ShippedFile, contents, is_hole, latest_manifests, shipped_files

DESCRIPTION = """\
Read what "spotwatch ship" has shipped. Of each volume the latest manifest
counts. Only the parts of objects that are needed are read, and each is compared
with its checksum.
"""

EPILOG = """\
what was not shipped, because an agent had delivered it or it could not be read,
is told on standard error; "get" also writes it into a file VOLUME.gaps.json.

exit codes:
  0   done
  1   a file could not be written by "get"; the others are
  64  the command line is wrong, or nothing matches it
  69  the destination cannot be read, or does not hold what was stored
  73  the directory of "get" cannot be made or written to
  77  AWS does not allow it

examples:
  spotwatch logs ls --from s3://my-logs/spot --since 2d
  spotwatch logs cat --from s3://my-logs/spot --instance i-0123456789abcdef0 \\
                     --path 'app/*.log'
  spotwatch logs cat --from file:///srv/rescued --all | grep ERROR
  spotwatch logs get --from s3://my-logs/spot --volume vol-0123 --into ./found
"""

GAPS: Final = ".gaps.json"
"""What the name of the file ends with that tells what was not shipped of a volume."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's words."""
    verbs = parser.add_subparsers(dest="verb", metavar="ls|cat|get", required=True, title="what to do")
    ls = verbs.add_parser("ls", help="list files")
    ls.add_argument("--json", action="store_true", help="print a JSON array")
    cat = verbs.add_parser("cat", help="print what was shipped of files, file after file")
    get = verbs.add_parser("get", help="write files into a directory")
    get.add_argument("--into", metavar="DIR", required=True, help="below DIR/INSTANCE/VOLUME; nothing is overwritten")
    for verb in (ls, cat, get):
        _add_choice(verb)
    ls.add_argument("--all", action="store_true", help="also files of which nothing was shipped")
    for verb in (cat, get):
        verb.add_argument("--all", action="store_true", help="every file")


def _add_choice(parser: ArgumentParser) -> None:
    parser.add_argument("--from", dest="source", metavar="URL", required=True, help="as --to of spotwatch ship")
    parser.add_argument("--instance", metavar="ID", default="", help="only of this instance")
    parser.add_argument("--volume", metavar="ID", default="", help="only of this volume")
    parser.add_argument(
        "--path", metavar="GLOB", action="append", default=[], help="only these, such as 'app/**/*.log'"
    )
    parser.add_argument(
        "--since", metavar="TIME", type=_since, help="only what was changed since, such as 2d or 2026-11-22"
    )
    add_endpoint_option(parser)


def run(arguments: Namespace) -> int:
    """Do it."""
    source = destination(arguments.source, Keeping(endpoint=arguments.endpoint_url))
    if arguments.verb == "ls":
        return _ls(arguments, source)
    if not arguments.path and not arguments.all:
        raise UsageError(f"logs {arguments.verb} needs to know which files", hint="give --path GLOB, or --all")
    files = [file for file in _chosen(arguments, source) if file.was_shipped]
    if not files:
        raise UsageError("nothing that was shipped matches", hint="see spotwatch logs ls")
    return _cat(source, files) if arguments.verb == "cat" else _get(source, files, arguments.into)


def _chosen(arguments: Namespace, source: Destination) -> Iterator[ShippedFile]:
    patterns, since = LogPatterns(arguments.path, rotations=False), arguments.since or ""
    for _, manifest in latest_manifests(source, instance=arguments.instance, volume=arguments.volume, since=since):
        for file in shipped_files(manifest):
            if any(map(patterns.match, file.file.names)) and file.file.modified >= since:
                yield file


def _since(text: str) -> str:
    """A time, or how long ago; as manifests write it."""
    try:
        time = datetime.now(UTC) - timedelta(seconds=parse_duration(text))
    except ValueError:
        try:
            time = moment(text)
        except ArgumentTypeError as error:
            raise ArgumentTypeError(f"{error}, or how long ago, such as 2d") from None
    return rfc3339(int(time.timestamp()) * 10**9)


# ls


def _ls(arguments: Namespace, source: Destination) -> int:
    files = [file for file in _chosen(arguments, source) if file.was_shipped or arguments.all]
    if arguments.json:
        print(json.dumps([_document(file) for file in files], indent=2))
        return 0
    for volume, its in groupby(files, key=lambda file: file.manifest):
        print(f"{volume.instance or 'unknown instance'}  {volume.volume}")
        for file in its:
            gaps = sum(gap.end - gap.start for gap in file.gaps)
            missing = f"  ({format_size(gaps)} not shipped)" if gaps else ""
            names = ", also ".join(map(shown_path, file.file.names))
            print(f"  {file.file.modified}  {file.shipped_bytes:>14,}  {names}{missing}")
    return 0


def _document(file: ShippedFile) -> dict[str, Any]:
    return {
        "instance": file.manifest.instance,
        "volume": file.manifest.volume,
        "path": file.file.path,
        "other_names": list(file.file.other_names),
        "modified": file.file.modified,
        "size": file.file.size,
        "shipped_bytes": file.shipped_bytes,
        "not_shipped": [_gap(gap) for gap in file.gaps],
    }


def _gap(gap: Gap) -> dict[str, Any]:
    return {"start": gap.start, "end": gap.end, "reason": gap.reason}


# cat


def _cat(source: Destination, files: Sequence[ShippedFile]) -> int:
    sys.stdout.flush()
    for content in contents(source, files):
        sys.stdout.buffer.write(content.data)
    sys.stdout.buffer.flush()
    for file in files:
        for gap in file.gaps:
            _warn(f"{_name(file)}: bytes {gap.start} to {gap.end} were not shipped: {gap.reason}")
    return 0


def _warn(text: str) -> None:
    print(f"spotwatch: {text}", file=sys.stderr)


def _name(file: ShippedFile) -> str:
    return f"{file.manifest.volume}: {shown_path(file.file.path)}"


# get


def _get(source: Destination, files: Sequence[ShippedFile], into: str) -> int:
    """Write each file under another name, and give it its own only when it is whole and that is free."""
    failures = 0
    with _directory(into) as root:
        for file, pieces in groupby(contents(source, files), key=lambda content: content.file):
            try:
                _write(root, file, pieces)
            except (OSError, ValueError) as error:
                failures += 1
                _warn(f"{_name(file)}: {error.strerror if isinstance(error, OSError) else error}")
        _note_gaps(root, files)
    print(f"{plural(len(files) - failures, 'file')} below {into}")
    return 1 if failures else 0


@contextmanager
def _directory(path: str) -> Iterator[int]:
    try:
        os.makedirs(path, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StateUnavailable(f"{path}: {error.strerror}", hint="name a directory that can be written to") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write(root: int, file: ShippedFile, pieces: Iterable[Content]) -> None:
    """Its bytes one after the other, with the holes that it had; whatever else was not shipped is left out."""
    parts = [*_volume_parts(file), *file.file.path.split("/")]
    holes = [gap for gap in file.gaps if is_hole(gap)]
    with _new_file(root, parts) as target:
        for piece in pieces:
            while holes and holes[0].start < piece.start:
                hole = holes.pop(0)
                target.seek(hole.end - hole.start, os.SEEK_CUR)
            target.write(piece.data)
        size = target.tell() + sum(hole.end - hole.start for hole in holes)
        target.truncate(size)
        target.flush()
        with suppress(ValueError, OverflowError):
            changed = datetime.fromisoformat(file.file.modified).timestamp()
            os.utime(target.fileno(), (changed, changed))


def _volume_parts(file: ShippedFile) -> list[str]:
    return [quote(file.manifest.instance, safe="") or "unknown-instance", quote(file.manifest.volume, safe="")]


@contextmanager
def _new_file(root: int, parts: Sequence[str]) -> Iterator[BinaryIO]:
    """A file below a directory, under its own name once the context is left without an error.

    Raises:
        ValueError: the parts name something that would not be below it.
        OSError: there is such a file already, or it cannot be written.
    """
    for part in parts:
        if part in ("", ".", "..") or "\0" in part or "/" in part:
            raise ValueError("a path that leads out of the directory, or to no file; it is left out")
    with _entered(root, parts[:-1]) as directory:
        beside = f".{os.getpid()}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(beside, flags, 0o640, dir_fd=directory), "wb") as file:
                yield file
            os.link(beside, parts[-1], src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        finally:
            with suppress(OSError):
                os.unlink(beside, dir_fd=directory)


@contextmanager
def _entered(root: int, parts: Sequence[str]) -> Iterator[int]:
    """A directory below another one, made where it is missing; no link is followed on the way."""
    current = os.dup(root)
    try:
        for part in parts:
            with suppress(FileExistsError):
                os.mkdir(part, 0o750, dir_fd=current)
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def _note_gaps(root: int, files: Sequence[ShippedFile]) -> None:
    """Beside the directory of each volume, what was not shipped of its files."""
    for manifest, its in groupby(files, key=lambda file: file.manifest):
        gaps = [(file, [gap for gap in file.gaps if not is_hole(gap)]) for file in its]
        told = {file.file.path: list(map(_gap, found)) for file, found in gaps if found}
        if not told:
            continue
        for file, found in gaps:
            for gap in found:
                _warn(f"{_name(file)}: bytes {gap.start} to {gap.end} were not shipped: {gap.reason}")
        *parts, name = _volume_parts(gaps[0][0])
        try:
            with _new_file(root, [*parts, f"{name}{GAPS}"]) as target:
                target.write(json.dumps(told, indent=1).encode() + b"\n")
        except OSError as error:
            _warn(f"{manifest.volume}{GAPS}: {error.strerror}")
