"""What holds whenever and however often the daemon has died: each function answers with what is wrong."""

import json
import math
from collections.abc import Iterator
from datetime import datetime

from spotwatch.core.deadline import LEAST_SECONDS
from spotwatch.core.event import EventKind
from spotwatch.core.hook import Hook, HookStatus
from spotwatch.core.report import DrainReport, HookReport, Verdict
from tests.crash.lives import Death, Run, Story

NOTICE_SECONDS = 1.5
"""How far a deadline may be from the time that AWS names, which is in whole seconds, as is the ``Date`` header."""

RESTART_SECONDS = 2.0
"""A daemon that comes back later than this before the deadline cannot be asked to have kept it."""

LEAVING_SECONDS = 0.5
"""From a hook's last word to its exit, on a machine that has much to do; if its time is up by then, it is cut short."""

RAN = {HookStatus.SUCCEEDED, HookStatus.FAILED, HookStatus.ENDED}
CUT_SHORT = {HookStatus.TIMED_OUT, HookStatus.KILLED}
MAY_HAVE_RUN = "it may have run before the daemon died"
RAN_FOR_START = "it ran for start"
NEVER_BEGAN = {HookStatus.GIVEN_UP, HookStatus.SKIPPED, HookStatus.CANCELED}


def complaints(story: Story) -> list[str]:
    """Everything that is wrong with a story."""
    if len(story.reports) != 1:
        return [f"there are {len(story.reports)} reports", *_of_the_end(story)]
    (report,) = story.reports
    return [
        *_of_the_end(story),
        *_of_the_journal(story, report),
        *_of_the_report(story, report),
        *_of_the_deadline(story, report),
        *_of_the_stages(story, report),
        *_of_adoption(story),
        *(complaint for hook in story.hooks for complaint in _of_the_hook(story, hook, report)),
    ]


def _of_the_end(story: Story) -> Iterator[str]:
    if story.exit_code != 0:
        yield f"the daemon left with {story.exit_code}"
    if story.survivors:
        yield f"hooks have survived: {story.survivors}"
    if "beside-itself" in story.hooks_log:
        yield "a hook was started while something of its earlier run lived"


def _of_the_journal(story: Story, report: DrainReport) -> Iterator[str]:
    if [drain.id for drain in story.drains] != [report.drain]:
        yield f"the journal has the drains {[drain.id for drain in story.drains]}"
        return
    (drain,) = story.drains
    if drain.closed == story.scenario.stays:
        yield "the drain is closed" if drain.closed else "the drain is not closed"
    if json.loads(drain.report or "null") != json.loads(json.dumps(report.to_json())):
        yield "the journal has another report than the file"


def _of_the_report(story: Story, report: DrainReport) -> Iterator[str]:
    wanted = {hook.name for hook in story.hooks if report.event in hook.on}
    named = [hook.name for hook in report.hooks]
    if missing := wanted - set(named):
        yield f"the report says nothing of {sorted(missing)}"
    if len(named) != len(set(named)):
        yield "the report names a hook twice"
    if unheard := {run.hook for run in story.runs} - set(named):
        yield f"the report does not know that {sorted(unheard)} ran"
    if report.verdict == Verdict.RUNNING or report.ended_at is None:
        yield "the report is not complete"
    if report.not_recorded:
        yield f"not recorded: {report.not_recorded}"


def _of_the_deadline(story: Story, report: DrainReport) -> Iterator[str]:
    deadline = _seconds(report.deadline)
    named = max(_seconds(report.notice_time or ""), _seconds(report.notice_seen_at) + LEAST_SECONDS)
    if abs(deadline - named) > NOTICE_SECONDS:
        yield f"the deadline {report.deadline} is not the notice's {report.notice_time}"
    if story.up_at[-1] > deadline - RESTART_SECONDS:
        return  # nobody lived to keep it; what is left to do then is a true report
    for run in story.runs:
        if max(run.started, _over_at(run, story, report)) >= deadline:
            yield f"{run} reached into the deadline {deadline}"
    if report.ended_at is not None and _seconds(report.ended_at) >= deadline:
        yield f"the drain ended at {report.ended_at}, the deadline was {report.deadline}"


def _of_the_stages(story: Story, report: DrainReport) -> Iterator[str]:
    for later in story.runs:
        for earlier in story.runs:
            if _comes_before(earlier, later, story) and _over_at(earlier, story, report) > later.started:
                yield f"{later} began before {earlier} was over"


def _comes_before(earlier: Run, later: Run, story: Story) -> bool:
    """Whether one run has to be over before the other begins: all for ``start``, then stage by stage.

    Nothing waits for the background.
    """
    hooks = {hook.name: hook for hook in story.hooks}
    one, other = hooks[earlier.hook], hooks[later.hook]
    if _is_for_start(earlier) is not _is_for_start(later):
        return _is_for_start(earlier)
    return one.stage < other.stage and bool(one.on & other.on) and not one.background


def _is_for_start(run: Run) -> bool:
    return run.event == EventKind.START


def _of_adoption(story: Story) -> Iterator[str]:
    adoptions = story.adoptions()
    for life, hook in story.outlived():
        if (life, hook) not in adoptions:
            yield f"{hook} was running when life {life} began, and was not adopted"
    for life, hook in story.starts():
        if (life, hook) in adoptions and not _made_way_for_itself(story, life, hook):
            yield f"{hook} was adopted by life {life}, and started again"
    if story.crash.death is Death.DAEMON:
        for run in _given_no_end(story):
            yield f"{run} went on when the daemon died, and was ended instead of adopted"


def _made_way_for_itself(story: Story, life: int, hook: str) -> bool:
    """Whether what this life adopted was a run for ``start``, and what it started one for what came then."""
    runs, crash = [run for run in story.runs if run.hook == hook], story.crashed_at[life - 1]
    adopted = [run for run in runs if run.started < crash][-1:]
    started = [run for run in runs if run.started > crash][:1]
    return all(map(_is_for_start, adopted)) and not any(map(_is_for_start, started))


def _given_no_end(story: Story) -> Iterator[Run]:
    """The runs that were killed, though the hook was then run again for the same or called lost.

    A run for ``start`` has no end either if a stronger event came: then it was in the way, and what is called lost is
    the hook's run for that event.
    """
    (report,) = story.reports
    lost = {
        (outcome.name, report.event == EventKind.START) for outcome in report.hooks if outcome.status == HookStatus.LOST
    }
    last = {(run.hook, _is_for_start(run)): run for run in story.runs}
    return (
        run
        for run in story.runs
        if run.ended is None and (run != last[run.hook, _is_for_start(run)] or (run.hook, _is_for_start(run)) in lost)
    )


def _of_the_hook(story: Story, hook: Hook, report: DrainReport) -> Iterator[str]:
    armed = [run for run in story.runs if run.hook == hook.name and _is_for_start(run)]
    drained = [run for run in story.runs if run.hook == hook.name and not _is_for_start(run)]
    outcome = next((outcome for outcome in report.hooks if outcome.name == hook.name), None)
    for runs in (armed, drained):
        if not hook.rerun and len(runs) > 1:
            yield f"{hook.name} has rerun = false and ran {len(runs)} times for {runs[0].event}"
        if len(runs) > 1 and not story.crashed_at:
            yield f"{hook.name} ran {len(runs)} times for {runs[0].event} without a crash"
        if len(runs) > 1 + len(story.crashed_at):
            yield f"{hook.name} ran {len(runs)} times for {runs[0].event}"
    if outcome is not None and story.scenario.event in hook.on and story.scenario.event != EventKind.START:
        yield from _of_the_outcome(story, hook, drained, outcome)
        yield from _of_the_arming(armed, drained, outcome)
    elif outcome is not None:
        yield from _of_the_outcome(story, hook, armed + drained, outcome)


def _of_the_arming(armed: list[Run], drained: list[Run], outcome: HookReport) -> Iterator[str]:
    """What was done for ``start`` is not said of what the drain was for, and not kept quiet either."""
    tells = any(words in outcome.reason for words in (MAY_HAVE_RUN, RAN_FOR_START))
    if outcome.status in NEVER_BEGAN and armed and not drained and not tells:
        yield f"{outcome.name} is said to be {outcome.status}, and ran for start"
    if RAN_FOR_START in outcome.reason and not armed:
        yield f"{outcome.name} is said to have run for start, and did not"
    if outcome.status == HookStatus.SUPERSEDED:
        yield f"{outcome.name} is superseded by the event that it is for"


def _of_the_outcome(story: Story, hook: Hook, runs: list[Run], outcome: HookReport) -> Iterator[str]:
    """Whether the log of the hooks bears out what the report says of one."""
    status, whole = HookStatus(outcome.status), bool(runs) and runs[-1].ended is not None
    was_started = bool(runs) or hook.name in {name for _, name in story.starts()}
    if status in RAN and not whole:
        yield f"{hook.name} is said to have {status}, and never did"
    if status in CUT_SHORT and not was_started:
        yield f"{hook.name} is said to be {status}; it was not running"
    if status in CUT_SHORT and runs and _lasted(runs[-1]) < (outcome.allowed_seconds or 0.0) - LEAVING_SECONDS:
        yield f"{hook.name} is said to be {status}, and ended by itself in good time"
    if status in NEVER_BEGAN and runs and MAY_HAVE_RUN not in outcome.reason:
        yield f"{hook.name} is said to be {status}, and ran"
    if status in NEVER_BEGAN and not outcome.reason:
        yield f"{hook.name} is {status}, and the report does not say why"
    if status is HookStatus.LOST and (hook.rerun or not story.crashed_at):
        yield f"{hook.name} is lost"
    if status is HookStatus.NOT_STARTED:
        yield f"{hook.name} was not started: {outcome.reason}"
    if status in RAN and outcome.ended_at and whole and _seconds(outcome.ended_at) < (runs[-1].ended or 0) - 0.002:
        yield f"{hook.name} is said to have ended at {outcome.ended_at}, before it did"


def _lasted(run: Run) -> float:
    """Seconds from its first word to its last; infinite if it never said that."""
    return math.inf if run.ended is None else run.ended - run.started


def _over_at(run: Run, story: Story, report: DrainReport) -> float:
    """When a run was over: by its own word, or when we killed it, or when the report says that the daemon did."""
    if run.ended is not None:
        return run.ended
    if run.pid in story.killed:
        return story.killed[run.pid]
    if _is_for_start(run) and any(other.hook == run.hook and not _is_for_start(other) for other in story.runs):
        return -math.inf  # the report is about the other run, which says so itself if this one was not over
    ended = next((hook.ended_at for hook in report.hooks if hook.name == run.hook), None)
    return math.inf if ended is None else _seconds(ended)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
