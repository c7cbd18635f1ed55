"""A drain that is going on, from the daemon's journal: its report, and which of its hooks are not over."""

import json

from spotwatch.core.drain_so_far import DrainSoFar
from spotwatch.drain.journal import Opening, decode_happening, decode_opening
from spotwatch.drain.machine import Drain
from spotwatch.drain.orders import TimePassed
from spotwatch.drain.report import Notes, report, verdict_so_far
from spotwatch.host.journal import Journal, OpenDrain

_WAITS = frozenset({"leave-auto-scaling", "--heartbeat"})
"""Words of a hook that ends when the others of its stage have ended."""


def report_of_running(journal: Journal, drain: str) -> str:
    """As JSON, as things stand: a hook that has not ended is not in it. Empty if the journal does not know it."""
    for found in journal.unfinished():
        if found.id == drain:
            return _report(found)
    return ""


def companions_of(journal: Journal, drain: str, hook: str, now: float) -> list[str] | None:
    """The other hooks in the stage of `hook` that are not over at `now` (boot clock).

    Those that only wait for others do not count, nor those in the background. None if the journal does not know the
    drain or the hook.
    """
    for found in journal.unfinished():
        if found.id == drain and (rebuilt := _rebuilt(found)) is not None:
            return _companions(*rebuilt, hook, now)
    return None


def so_far(journal: Journal, drain: str, hook: str, now: float) -> DrainSoFar | None:
    """A drain at `now` (boot clock) as one of its hooks sees it; None if the journal does not know one of them."""
    for found in journal.unfinished():
        if found.id == drain and (rebuilt := _rebuilt(found)) is not None:
            return _so_far(*rebuilt, hook, now)
    return None


def _so_far(opening: Opening, drain: Drain, hook: str, now: float) -> DrainSoFar | None:
    ours = next((each for each in opening.hooks if each.name == hook), None)
    if ours is None:
        return None
    drain.step(TimePassed(), now)
    return DrainSoFar(
        report=report(drain, Notes(opening.drain, opening.began, opening.instance)),
        deadline=drain.deadline,
        ends_at=drain.terminate_at(hook),
        awaited=tuple(drain.awaited),
        verdict=verdict_so_far(drain),
        in_background=ours.background,
        is_for_hook=drain.event.kind in ours.on,
    )


def _companions(opening: Opening, drain: Drain, hook: str, now: float) -> list[str] | None:
    drain.step(TimePassed(), now)
    over = {outcome.hook for outcome in drain.outcomes}
    wanted = [each for each in opening.hooks if drain.event.kind in each.on]
    stage = next((each.stage for each in wanted if each.name == hook), None)
    if stage is None:
        return None
    beside = (each for each in wanted if each.stage == stage and each.name not in {hook, *over})
    return [each.name for each in beside if not each.background and not set(each.command) >= _WAITS]


def _rebuilt(found: OpenDrain) -> tuple[Opening, Drain] | None:
    try:
        opening = decode_opening(found.opening)
        drain = Drain(opening.event, opening.hooks, opening.settings)
        for at, happening in found.steps:
            drain.step(decode_happening(happening), at)
    except (KeyError, TypeError, ValueError):
        return None
    return opening, drain


def _report(found: OpenDrain) -> str:
    rebuilt = _rebuilt(found)
    if rebuilt is None:
        return ""
    opening, drain = rebuilt
    notes = Notes(opening.drain, opening.began, opening.instance)
    return json.dumps(report(drain, notes).to_json(), indent=2) + "\n"
