"""The report of a drain that is going on, from the daemon's journal."""

import json

from spotwatch.drain.journal import decode_happening, decode_opening
from spotwatch.drain.machine import Drain
from spotwatch.drain.report import Notes, report
from spotwatch.host.journal import Journal, OpenDrain


def report_of_running(journal: Journal, drain: str) -> str:
    """As JSON, as things stand: a hook that has not ended is not in it. Empty if the journal does not know it."""
    for found in journal.unfinished():
        if found.id == drain:
            return _report(found)
    return ""


def _report(found: OpenDrain) -> str:
    try:
        opening = decode_opening(found.opening)
        drain = Drain(opening.event, opening.hooks, opening.settings)
        for at, happening in found.steps:
            drain.step(decode_happening(happening), at)
    except (KeyError, TypeError, ValueError):
        return ""
    notes = Notes(opening.drain, opening.began, opening.instance)
    return json.dumps(report(drain, notes).to_json(), indent=2) + "\n"
