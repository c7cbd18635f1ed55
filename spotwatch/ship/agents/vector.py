"""Vector's file source: `checkpoints.json`, and `checkpoints.new.json`, which is newer where it is there.

The fingerprint is a checksum of the first lines, or a device and an inode, of which the device means nothing elsewhere.
Whether a position was delivered depends on `acknowledgements`, which is noted nowhere; so it counts as read.
Disk buffers are `buffer/v2/<component>/buffer-data-<n>.dat` (`lib/vector-buffers/src/variants/disk_v2`).
"""

from typing import Final

from spotwatch.core.volume import AgentKind
from spotwatch.ship.agents.evidence import FirstLines
from spotwatch.ship.agents.state_files import (
    Findings,
    Unusable,
    content,
    directory_of,
    files_of,
    is_offset,
    name_of,
    parsed,
)
from spotwatch.ship.position import AgentState, Meaning, Position, up_to
from spotwatch.ship.tree import LogFile, Tree

OLD: Final = "checkpoints.json"
NEW: Final = "checkpoints.new.json"
LARGEST_CHECKSUM: Final = 2**64 - 1


def read(tree: Tree, state: str) -> AgentState:
    """What Vector has left; `state` is its data directory, that of one source, or a checkpoint file."""
    findings = Findings()
    files = files_of(tree, state, findings)
    for file in files:
        if file.path.endswith(".dat") and name_of(file.path).startswith("buffer-data-"):
            findings.buffers.append(file.path)
        elif name_of(file.path) in {"buffer.db", "buffer.lock"}:
            findings.own_files.append(file.path)
    for source in _sources(files, state):
        findings.own_files += [path for path in source if tree.find(path)]
        _source(tree, source, findings)
    return findings.state()


def _sources(files: list[LogFile], state: str) -> list[tuple[str, ...]]:
    """The checkpoint files of each source, the newer first."""
    if [file.path for file in files] == [state.strip("/")]:
        return [(files[0].path,)]
    directories = sorted({directory_of(file.path) for file in files if name_of(file.path) in {OLD, NEW}})
    return [tuple(f"{directory}/{name}".lstrip("/") for name in (NEW, OLD)) for directory in directories]


def _source(tree: Tree, newest_first: tuple[str, ...], findings: Findings) -> None:
    """The newest file that can be read; a torn one is passed over for the older, which says less."""
    for path in newest_first:
        if not tree.find(path):
            continue
        try:
            _checkpoints(path, parsed(path, content(tree, path)), findings)
        except Unusable as error:
            findings.anomalies.append(str(error))
        else:
            return


def _checkpoints(path: str, said: object, findings: Findings) -> None:
    if not isinstance(said, dict) or said.get("version") != "1" or not isinstance(said.get("checkpoints"), list):
        raise Unusable(f"{path} holds no checkpoints of version 1")
    for checkpoint in said["checkpoints"]:
        try:
            findings.positions.append(_position(path, checkpoint))
        except Unusable as error:
            findings.anomalies.append(str(error))


def _position(path: str, checkpoint: object) -> Position:
    if not isinstance(checkpoint, dict) or not is_offset(offset := checkpoint.get("position")):
        raise Unusable(f"{path}: a checkpoint has no position")
    match checkpoint.get("fingerprint"):
        case {"first_lines_checksum": int(checksum)} | {"first_line_checksum": int(checksum)} if (
            0 <= checksum <= LARGEST_CHECKSUM
        ):
            evidence = (FirstLines(checksum),)
            return Position(AgentKind.VECTOR, up_to(offset), Meaning.READ, path, evidence=evidence)
        case {"dev_inode": [int(), int(inode)]} if is_offset(inode):
            return Position(AgentKind.VECTOR, up_to(offset), Meaning.READ, path, inode=inode)
        case _:
            raise Unusable(f"{path}: a checkpoint has no fingerprint that is known")
