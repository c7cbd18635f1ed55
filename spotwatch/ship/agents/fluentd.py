"""fluentd: the position files of `in_tail`, and the file buffers of its outputs.

A position file is updated in place: lines `path<TAB>offset<TAB>inode`, both numbers as 16 hexadecimal digits, the
offset all `f` for a file that is no longer watched; a later line about the same path wins
(`lib/fluent/plugin/in_tail/position_file.rb`).
A buffer is a chunk `….b<32 digits>.log` (or `.q…`, enqueued) beside its `.meta` (`plugin/buffer/file_chunk.rb`).
"""

import re
from typing import Final

from spotwatch.core.volume import AgentKind
from spotwatch.ship.agents.state_files import (
    LARGEST_OFFSET,
    Findings,
    Unusable,
    below,
    content,
    directory_of,
    files_of,
    head,
    name_of,
)
from spotwatch.ship.position import AgentState, Meaning, Position, up_to
from spotwatch.ship.tree import LogFile, Tree

UNWATCHED: Final = 0xFFFFFFFFFFFFFFFF
_LINE: Final = re.compile(rb"([^\t\n]+)\t([0-9a-fA-F]{16})\t([0-9a-fA-F]{16})")
_CHUNK: Final = re.compile(r".*\.[bq][0-9a-f]{32}\..+")


def read(tree: Tree, state: str) -> AgentState:
    """What fluentd has left; `state` is a position file, or a directory with several and with buffers."""
    findings = Findings()
    files = files_of(tree, state, findings)
    single = [file.path for file in files] == [state.strip("/")]
    for file in files:
        if single or _is_positions(tree, file):
            findings.own_files.append(file.path)
            _positions(tree, file.path, findings)
    _buffers(_around(tree, state, findings) if single else files, findings)
    return findings.state()


def _around(tree: Tree, state: str, findings: Findings) -> list[LogFile]:
    """Where the buffers may be if only the position file is named: beside it and deeper."""
    directory = directory_of(state.strip("/"))
    return below(tree, directory, findings)


def _is_positions(tree: Tree, file: LogFile) -> bool:
    return file.path.endswith(".pos") or _LINE.match(head(tree, file.path, 8192)) is not None


def _buffers(files: list[LogFile], findings: Findings) -> None:
    there = {file.path for file in files}
    for path in sorted(there):
        if path.endswith(".meta") and _CHUNK.fullmatch(name_of(path)):
            findings.own_files.append(path)
        elif _CHUNK.fullmatch(name_of(path)) or f"{path}.meta" in there:
            findings.buffers.append(path)


def _positions(tree: Tree, path: str, findings: Findings) -> None:
    try:
        text = content(tree, path)
    except Unusable as error:
        findings.anomalies.append(str(error))
        return
    latest = dict[str, Position | None]()
    torn = 0
    lines = text.split(b"\n")
    for line in lines[:-1]:
        if match := _LINE.fullmatch(line):
            watched, offset, inode = match[1].decode(errors="surrogateescape"), int(match[2], 16), int(match[3], 16)
            latest[watched] = _position(path, watched, offset, inode)
        elif line:
            torn += 1
    torn += lines[-1] != b""
    if torn:
        findings.anomalies.append(f"{path}: {torn} lines are torn or no positions")
    findings.positions += [position for position in latest.values() if position]


def _position(state_file: str, path: str, offset: int, inode: int) -> Position | None:
    if offset == UNWATCHED or offset > LARGEST_OFFSET:
        return None
    return Position(AgentKind.FLUENTD, up_to(offset), Meaning.READ, state_file, inode or None, path)
