"""promtail and Grafana Alloy: `positions.yaml` (Alloy: `positions.yml`).

promtail: `positions: {path: "offset"}`. Alloy: the key is itself a mapping with `path` and `labels`. Entries `cursor-…`
are of the journal. Rotations are not noted: the path is all there is.
"""

from collections.abc import Iterator
from typing import Final

import yaml

from spotwatch.core.volume import AgentKind
from spotwatch.ship.agents.state_files import Findings, Unusable, content, files_of, is_offset, name_of
from spotwatch.ship.position import AgentState, Meaning, Position, up_to
from spotwatch.ship.tree import Tree

CURSOR: Final = "cursor-"
DEEPEST: Final = 4
"""Levels of nesting: the document, the positions, Alloy's keys and their labels."""

LARGEST: Final = 16 * 1024 * 1024
"""Bytes of a positions file."""

_Node = str | list[tuple["_Node", "_Node"]] | None
"""A scalar, the pairs of a mapping, or something else that no position is."""


def read(tree: Tree, state: str) -> AgentState:
    """What promtail has left; `state` is the positions file, or a directory with such files."""
    findings = Findings()
    for file in files_of(tree, state, findings):
        if file.path != state.strip("/") and not name_of(file.path).endswith((".yaml", ".yml")):
            continue
        try:
            for name, value in _positions(file.path, content(tree, file.path, LARGEST)):
                _note(file.path, name, value, findings)
            findings.own_files.append(file.path)
        except Unusable as error:
            findings.anomalies.append(str(error))
    return findings.state()


def _note(state_file: str, name: str, value: str, findings: Findings) -> None:
    if name.startswith(CURSOR):
        findings.cursor = value
    elif value.isascii() and value.isdigit() and len(value) < 20 and is_offset(int(value)):
        done = up_to(int(value))
        findings.positions.append(Position(AgentKind.PROMTAIL, done, Meaning.READ, state_file, path=name))
    else:
        findings.anomalies.append(f"{state_file}: the position of {name} is no number")


def _positions(path: str, text: bytes) -> list[tuple[str, str]]:
    """The names and values; read event by event, since a hostile document nests deeper than a parser's stack."""
    try:
        document = _document(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, ValueError) as error:
        raise Unusable(f"{path} is torn, or no positions file: {type(error).__name__}") from error
    for key, positions in document if isinstance(document, list) else []:
        if key == "positions" and isinstance(positions, list):
            return [(name, value) for key, value in positions if (name := _name(key)) and isinstance(value, str)]
    if not text.strip():
        return []
    raise Unusable(f"{path} holds no positions")


def _name(key: _Node) -> str | None:
    """What a position is about: the key, or the `path` in it."""
    if isinstance(key, list):
        return next((value for name, value in key if name == "path" and isinstance(value, str)), None)
    return key


def _document(events: Iterator[yaml.Event]) -> _Node:
    for event in events:
        if not isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent | yaml.StreamEndEvent):
            node = _node(event, events, DEEPEST)
            for _ in events:  # to the end, so that a torn tail is found
                pass
            return node
    return None


def _node(event: yaml.Event, events: Iterator[yaml.Event], deepest: int) -> _Node:
    if isinstance(event, yaml.ScalarEvent):
        return str(event.value)
    if not isinstance(event, yaml.MappingStartEvent) or not deepest:
        raise ValueError("a list, an alias, or nested too deep")
    pairs = list[tuple[_Node, _Node]]()
    for key in events:
        if isinstance(key, yaml.MappingEndEvent):
            break
        name = _node(key, events, deepest - 1)
        pairs.append((name, _node(next(events), events, deepest - 1)))
    return pairs
