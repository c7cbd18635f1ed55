"""The CloudWatch agent: a state file for each log, three lines: the highest offset, the path, and the ranges sent.

`internal/state/range.go` of the agent. Gaps between the ranges were not sent. A state without ranges is of an older
agent or torn, and whether there were gaps nobody knows; so it counts as read and not as acknowledged. A number that was
torn is smaller than it was.
"""

import re
from typing import Final

from spotwatch.core.volume import AgentKind
from spotwatch.ship.agents.state_files import Findings, Unusable, content, files_of, is_offset
from spotwatch.ship.position import AgentState, Meaning, Position, Range, in_order, up_to
from spotwatch.ship.tree import Tree

_RANGE: Final = re.compile(rb"([0-9]{1,19})-([0-9]{1,19})")
_NUMBER: Final = re.compile(rb"[0-9]{1,19}")


def read(tree: Tree, state: str) -> AgentState:
    """What the agent has left; `state` is the directory `logs/state` of its own, or one file in it."""
    findings = Findings()
    for file in files_of(tree, state, findings):
        try:
            text = content(tree, file.path)
            if text:  # the agent truncates before it writes: an empty one says nothing
                findings.positions.append(_position(file.path, text))
            findings.own_files.append(file.path)
        except Unusable as error:  # and whether it is the agent's at all nobody knows
            findings.anomalies.append(str(error))
    return findings.state()


def _position(path: str, text: bytes) -> Position:
    highest, _, rest = text.partition(b"\n")
    log, _, ranges = rest.partition(b"\n")
    if not _NUMBER.fullmatch(highest) or not is_offset(int(highest)) or not log or b"\0" in log:
        raise Unusable(f"{path} is torn, or no state of the CloudWatch agent")
    done, meaning = up_to(int(highest)), Meaning.READ
    if ranges:
        done, meaning = _ranges(path, ranges.rstrip(b"\n"), int(highest)), Meaning.ACKNOWLEDGED
    return Position(AgentKind.CLOUDWATCH_AGENT, done, meaning, path, path=log.decode(errors="surrogateescape"))


def _ranges(path: str, text: bytes, highest: int) -> tuple[Range, ...]:
    matches = [_RANGE.fullmatch(part) for part in text.split(b",")]
    ranges = in_order(Range(int(match[1]), int(match[2])) for match in matches if match)
    if not all(matches) or not ranges or ranges[-1].end != highest:
        raise Unusable(f"{path}: its ranges are torn")
    return ranges
