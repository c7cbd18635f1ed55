"""rsyslog's `imfile`: a state file for each log, `imfile-state:<inode>[:<hash of the first 512 bytes>]`.

Files shorter than 512 bytes have no hash. State files of inodes that were used again stay behind, and the file name in
them is the one from before the rotation. What the main queue keeps on the disk (`<name>.<8 digits>`) has been read and
not delivered.
"""

import re
from typing import Final

from spotwatch.core.volume import AgentKind
from spotwatch.ship.agents.evidence import FirstBlock
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
from spotwatch.ship.tree import Tree

_STATE: Final = re.compile(r"imfile-state:([0-9]{1,19})(?::([0-9a-f]{16}))?")
_QUEUE: Final = re.compile(r"[^:]+\.[0-9]{8}")


def read(tree: Tree, state: str) -> AgentState:
    """What rsyslog has left; `state` is its `workDirectory`."""
    findings = Findings()
    files = files_of(tree, state, findings)
    queues = {directory_of(file.path) + name_of(file.path)[:-3] for file in files if file.path.endswith(".qi")}
    for file in files:
        name = name_of(file.path)
        if name.startswith("imfile-state:"):
            findings.own_files.append(file.path)
            _position(tree, file.path, findings)
        elif name.endswith(".qi"):
            findings.own_files.append(file.path)
        elif _QUEUE.fullmatch(name) and _belongs(file.path, queues, state):
            findings.buffers.append(file.path)
    return findings.state()


def _belongs(path: str, queues: set[str], state: str) -> bool:
    """A queue's file lies in the work directory itself; its `.qi` may not have been written yet."""
    return directory_of(path) == state.strip("/") or directory_of(path) + name_of(path)[:-9] in queues


def _position(tree: Tree, path: str, findings: Findings) -> None:
    if not (match := _STATE.fullmatch(name_of(path))):
        findings.anomalies.append(f"{path} has not the name of a state file")
        return
    try:
        said = parsed(path, content(tree, path))
        findings.positions.append(_said(path, said, int(match[1]), match[2]))
    except Unusable as error:
        findings.anomalies.append(str(error))


def _said(path: str, said: object, inode: int, fingerprint: str | None) -> Position:
    if not isinstance(said, dict) or not isinstance(said.get("filename"), str):
        raise Unusable(f"{path} is no state of imfile")
    offsets = (said.get("strt_offs"), said.get("curr_offs"))
    known = [offset for offset in offsets if is_offset(offset)]
    if not is_offset(offsets[1]) or not known:
        raise Unusable(f"{path} has no offset")
    # What began at the start offset is not yet a whole message and is in no queue.
    return Position(
        AgentKind.RSYSLOG,
        up_to(min(known)),
        Meaning.READ,
        path,
        inode,
        said["filename"],
        (FirstBlock(fingerprint),) if fingerprint else (),
    )
