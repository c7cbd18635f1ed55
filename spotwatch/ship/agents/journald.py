"""A reader of the journal: the cursor of the last entry that it has sent, kept in a file of its own.

`journalctl --cursor-file` keeps the cursor alone, `systemd-journal-upload` as `LAST_CURSOR=…` among other lines
(systemd.journal-fields(7), sd_journal_get_cursor(3)).
"""

import re
from typing import Final

from spotwatch.ship.agents.state_files import Findings, Unusable, content, files_of, name_of
from spotwatch.ship.position import AgentState
from spotwatch.ship.tree import Tree

LARGEST: Final = 65_536
"""Bytes of a file with a cursor, which has about 120."""

CURSOR: Final = re.compile(
    r"s=[0-9a-f]{32};i=[0-9a-f]{1,16};b=[0-9a-f]{32};m=[0-9a-f]{1,16};t=[0-9a-f]{1,16};x=[0-9a-f]{1,16}"
)
"""All its parts: a torn cursor would be searched for by what is left of it."""


def read(tree: Tree, state: str) -> AgentState:
    """The cursor; `state` is the file, or a directory with one file of such a name."""
    findings = Findings()
    named = state.strip("/")
    for file in files_of(tree, state, findings):
        if file.path == named or "cursor" in name_of(file.path) or name_of(file.path) == "state":
            _cursor(tree, file.path, findings)
    return findings.state()


def _cursor(tree: Tree, path: str, findings: Findings) -> None:
    try:
        text = content(tree, path, LARGEST).decode("ascii", errors="replace")
    except Unusable as error:
        findings.anomalies.append(str(error))
        return
    found = {match[0] for line in text.splitlines() if (match := CURSOR.fullmatch(line.removeprefix("LAST_CURSOR=")))}
    if len(found) == 1 and findings.cursor in {None, *found}:
        findings.cursor = found.pop()
        findings.own_files.append(path)
    else:
        findings.cursor = None
        findings.anomalies.append(f"{path} holds {'no cursor' if not found else 'several cursors'}")
