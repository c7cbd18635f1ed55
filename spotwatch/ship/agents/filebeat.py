"""Filebeat's registry: a snapshot `<transaction>.json`, then the operations after it in `log.json`.

Operations are numbered without a gap; Filebeat itself stops at a gap and at a torn line
(`libbeat/statestore/backend/memlog/diskstore.go`), and so does this reader. Offsets are acknowledged by the output.
"""

import json
import re
from typing import Any, Final

from spotwatch.core.volume import AgentKind
from spotwatch.ship.agents.evidence import FirstKilobyte
from spotwatch.ship.agents.state_files import (
    LARGEST_OFFSET,
    Findings,
    Unusable,
    content,
    directory_of,
    files_of,
    is_offset,
    name_of,
    parsed,
)
from spotwatch.ship.position import AgentState, Evidence, Meaning, Position, up_to
from spotwatch.ship.tree import LogFile, Tree

_SNAPSHOT: Final = re.compile(r"[0-9]{1,20}\.json")
_OWN: Final = frozenset({"meta.json", "log.json", "active.dat", "active.dat.new", "checkpoint.new"})
_NATIVE: Final = re.compile(r"native::([0-9]{1,19})-[0-9]+")
_FINGERPRINT: Final = re.compile(r"fingerprint::([0-9a-f]{64})")

Registry = dict[str, Any]


def read(tree: Tree, state: str) -> AgentState:
    """What Filebeat has left; `state` is its data directory, the registry in it, or its `log.json`."""
    findings = Findings()
    everything = files_of(tree, state, findings)
    homes = {directory_of(file.path) for file in everything if name_of(file.path) == "meta.json"}
    files = [
        file
        for file in everything
        if file.path == state.strip("/") or (_is_registry(file.path) and directory_of(file.path) in homes)
    ]
    findings.own_files += [file.path for file in files]
    for directory in sorted({directory_of(file.path) for file in files}):
        log, registry = _registry(tree, [file for file in files if directory_of(file.path) == directory], findings)
        findings.positions += [position for key, said in registry.items() if (position := _position(log, key, said))]
    return findings.state()


def _is_registry(path: str) -> bool:
    return name_of(path) in _OWN or _SNAPSHOT.fullmatch(name_of(path)) is not None


def _registry(tree: Tree, files: list[LogFile], findings: Findings) -> tuple[str, Registry]:
    """The file that was read last, and all that it and the snapshot before it say."""
    registry: Registry = {}
    number = 0
    path = files[0].path
    snapshots = [file.path for file in files if _SNAPSHOT.fullmatch(name_of(file.path))]
    try:
        if snapshots:
            path = max(snapshots, key=_number)
            number, registry = _number(path), _snapshot(path, content(tree, path))
        if log := next((file.path for file in files if _is_log(file.path)), None):
            path = log
            _replay(path, content(tree, path), number if snapshots else None, registry, findings)
    except Unusable as error:
        findings.anomalies.append(str(error))
    return path, registry


def _is_log(path: str) -> bool:
    """By its name, but for a single file that somebody has named."""
    return name_of(path) == "log.json" or not _is_registry(path)


def _number(path: str) -> int:
    return int(name_of(path).removesuffix(".json"))


def _snapshot(path: str, text: bytes) -> Registry:
    states = parsed(path, text)
    if not isinstance(states, list):
        raise Unusable(f"{path} is no snapshot of a registry")
    return {state["_key"]: state for state in states if isinstance(state, dict) and isinstance(state.get("_key"), str)}


def _replay(path: str, text: bytes, after: int | None, registry: Registry, findings: Findings) -> None:
    """Carry out the operations that come after a transaction, up to the first that is torn or missing."""
    lines = [line for line in text.split(b"\n") if line.strip(b"\0 \r")]
    for action, change in zip(lines[::2], [*lines[1::2], b""], strict=False):
        try:
            operation, number, key, value = _operation(action, change)
        except (ValueError, RecursionError):
            findings.anomalies.append(f"{path}: torn; what comes after is not believed")
            return
        if after is not None and number <= after:
            continue
        if after is not None and number != after + 1:
            findings.anomalies.append(f"{path}: operation {after + 1} is missing; what comes after is not believed")
            return
        after = number
        if operation == "set":
            registry[key] = value
        else:
            registry.pop(key, None)


def _operation(action: bytes, change: bytes) -> tuple[str, int, str, Any]:
    match json.loads(action), json.loads(change):
        case {"op": "set", "id": int(number)}, {"k": str(key), "v": dict(value)}:
            return "set", number, key, value
        case {"op": "remove", "id": int(number)}, {"k": str(key)}:
            return "remove", number, key, None
        case _:
            raise ValueError(action)


def _position(state_file: str, key: str, said: Any) -> Position | None:
    """What the registry says of one file; None for other inputs and for files that are not identified as such."""
    offset = _offset(said)
    if offset is None:
        return None
    inode: int | None = None
    evidence: tuple[Evidence, ...] = ()
    if native := _NATIVE.search(key):
        inode = int(native[1])
    elif fingerprint := _FINGERPRINT.search(key):
        evidence = (FirstKilobyte(fingerprint[1]),)
    if (inode is None and not evidence) or (inode or 0) > LARGEST_OFFSET:
        return None
    return Position(AgentKind.FILEBEAT, up_to(offset), Meaning.ACKNOWLEDGED, state_file, inode, _source(said), evidence)


def _offset(said: Any) -> int | None:
    """Where the `log` input keeps it, or `filestream`."""
    match said:
        case {"cursor": {"offset": offset}} | {"offset": offset} if is_offset(offset):
            return int(offset)
        case _:
            return None


def _source(said: Any) -> str | None:
    match said:
        case {"source": str(path)} | {"meta": {"source": str(path)}}:
            return path
        case _:
            return None
