"""Reading the files of an agent's state: bounded, and with every failure told instead of raised."""

import json
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

from spotwatch.ship.position import AgentState, Position
from spotwatch.ship.tree import LogFile, Tree, Unreadable

LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a text that is read whole: a registry with 100,000 files has about 40 MB; what is larger is no registry."""

LARGEST_OFFSET: Final = 2**63 - 1
"""What a file system can hold (`off_t`)."""


class Unusable(Exception):
    """A state file that says nothing; the message is the anomaly."""


@dataclass(slots=True)
class Findings:
    """What a reader has gathered so far."""

    positions: list[Position] = field(default_factory=list)
    buffers: list[str] = field(default_factory=list)
    own_files: list[str] = field(default_factory=list)
    anomalies: list[str] = field(default_factory=list)
    cursor: str | None = None

    def state(self) -> AgentState:
        """All of it, for good."""
        return AgentState(
            tuple(self.positions), tuple(self.buffers), tuple(self.own_files), self.cursor, tuple(self.anomalies)
        )


def files_of(tree: Tree, state: str, findings: Findings) -> list[LogFile]:
    """The state's only file, or every regular file below it in the order of paths; that there is none is an anomaly."""
    state = state.strip("/")
    if state and (single := tree.find(state)):
        return [single]
    files = below(tree, state, findings)
    if not files:
        findings.anomalies.append(f"there is nothing at {state or 'the root'}, where an agent's state should be")
    return files


def below(tree: Tree, directory: str, findings: Findings) -> list[LogFile]:
    """Every regular file below a directory; what could not be read there is an anomaly."""
    prefix = f"{directory}/" if directory else ""
    inside = [entry for entry in tree.files() if entry.path.startswith(prefix)]
    findings.anomalies += [f"{entry.path}: {entry.reason}" for entry in inside if isinstance(entry, Unreadable)]
    return [entry for entry in inside if isinstance(entry, LogFile)]


def content(tree: Tree, path: str, limit: int = LARGEST) -> bytes:
    """All of a state file.

    Raises:
        Unusable: it cannot be read, or is larger than any such state.
    """
    try:
        with tree.open(path) as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > limit:
        raise Unusable(f"{path} is larger than {limit} bytes, which no such state is")
    return data


def head(tree: Tree, path: str, length: int) -> bytes:
    """The first bytes of a file; empty if it cannot be read, which whoever ships it will find out."""
    try:
        with tree.open(path) as file:
            return file.read(length)
    except OSError:
        return b""


def parsed(path: str, text: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        Unusable: it is none, or is nested too deep.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{path} is no JSON: {type(error).__name__}") from error


def is_offset(value: object) -> TypeGuard[int]:
    """Whether a value can be an offset in a file, or an inode number."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_OFFSET


def directory_of(path: str) -> str:
    """The directory of a file; empty for the root."""
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2]
