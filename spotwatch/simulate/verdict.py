"""The verdict of a rehearsal: was the instance left in good order, and if not, what stood in the way."""

import math
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from spotwatch.core.hook import CUT, HookStatus
from spotwatch.core.quantity import format_duration
from spotwatch.core.report import DrainReport, HookReport
from spotwatch.simulate.line_count import LineCount
from spotwatch.simulate.rehearsal import START_SECONDS, Course
from spotwatch.simulate.scenario import INTERRUPTIONS

FINE = frozenset({HookStatus.SUCCEEDED, HookStatus.ENDED, HookStatus.SUPERSEDED})

TOLERANCE_SECONDS = 0.05
"""A hook that was allowed so much less than its timeout was allowed all of it."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether it went well, in one sentence, and everything that did not."""

    passed: bool
    sentence: str
    problems: tuple[str, ...] = ()


INTERRUPTED = Judgement(False, "interrupted: the rehearsal was not played to its end")


def judge(course: Course, reports: Sequence[DrainReport]) -> Judgement:
    """The verdict over a rehearsal and the drains that the daemon has reported, the oldest first."""
    if not course.started:
        return Judgement(False, _why_not_started(course))
    cut = list(_cut(reports))
    problems = [*_problems_of_the_daemon(course), *cut, *_other_problems(course, reports)]
    if problems:
        return Judgement(False, _bad_sentence(course, cut, reports), tuple(problems))
    return Judgement(True, _good_sentence(reports))


def with_lines(judgement: Judgement, lines: LineCount, troubles: Sequence[str] = ()) -> Judgement:
    """The verdict over the drain, and over the log that the instance has left.

    Args:
        judgement: over the drain.
        lines: what became of the log.
        troubles: what else went wrong with it, each a sentence.
    """
    problems = (*lines.problems, *troubles)
    if lines.passed:
        sentence = "no log line lost, none twice"
    elif lines.lost:
        sentence = f"{lines.lost} of {lines.written} log lines lost"
    else:
        sentence = "its log has not arrived as it was written"
    return replace(
        judgement,
        passed=judgement.passed and not problems,
        sentence=f"{judgement.sentence}; {sentence}",
        problems=(*judgement.problems, *problems),
    )


def _why_not_started(course: Course) -> str:
    if course.ended_early:
        return f"the daemon did not start: {_end(course.exit_code)}"
    return f"the daemon was not up within {format_duration(START_SECONDS)}"


def _end(exit_code: int) -> str:
    """How a process ended."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    return f"killed by {_signal_name(-exit_code)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _problems_of_the_daemon(course: Course) -> Iterator[str]:
    if course.ended_early:
        yield f"the daemon ended in the middle of the rehearsal: {_end(course.exit_code)}"
    elif course.exit_code:
        yield f"the daemon did not leave in good order: {_end(course.exit_code)}"
    if course.draining:
        yield f"the drain for {course.draining} did not end"
    for event in course.unnoticed:
        yield f"{event} was announced, and the daemon took no notice of it"


def _cut(reports: Sequence[DrainReport]) -> Iterator[str]:
    for report in reports:
        for hook in report.hooks:
            if _was_cut_by_the_deadline(hook):
                yield f"{hook.name} {_what_happened(hook)}"


def _was_cut_by_the_deadline(hook: HookReport) -> bool:
    """Whether the time was short, and not only the hook's own timeout, and the drain is less for it."""
    return hook.status in CUT and not hook.background and _lacked(hook) > TOLERANCE_SECONDS


def _lacked(hook: HookReport) -> float:
    """The seconds that its timeout would have granted it beyond what it was allowed; without limit if it has none."""
    return (hook.timeout_seconds or math.inf) - (hook.allowed_seconds or 0.0)


def _how_it_was_cut(hook: HookReport) -> str:
    if hook.timeout_seconds is None:
        return "when its time was up"
    timeout = format_duration(hook.timeout_seconds)
    if _lacked(hook) > TOLERANCE_SECONDS:
        return f"{format_duration(_lacked(hook))} short of its timeout of {timeout}"
    return f"at its own timeout of {timeout}"


def _other_problems(course: Course, reports: Sequence[DrainReport]) -> Iterator[str]:
    for report in reports:
        expected = FINE | ({HookStatus.CANCELED} if report.event in course.withdrawn else set())
        for hook in report.hooks:
            if hook.status not in expected and not _was_cut_by_the_deadline(hook):
                yield f"{hook.name} {_what_happened(hook)}"
        for problem in report.not_recorded:
            yield f"not recorded: {problem}"


def _what_happened(hook: HookReport) -> str:
    """What stood between a hook and its success."""
    if hook.status in CUT and hook.seconds is not None:
        return f"was cut after {format_duration(hook.seconds)}, {_how_it_was_cut(hook)}"
    if hook.status == HookStatus.FAILED and hook.signal is not None:
        return f"was ended by {_signal_name(hook.signal)}"
    if hook.status == HookStatus.FAILED:
        return f"failed with exit code {hook.exit_code}"
    reason = f": {hook.reason}" if hook.reason else ""
    return f"was {hook.status.replace('-', ' ')}{reason}"


def _main(reports: Sequence[DrainReport]) -> DrainReport | None:
    """The drain that the rehearsal is about: the last for an interruption, else the last that is no arming."""
    drains = [report for report in reports if report.event != "start"]
    interruptions = [report for report in drains if report.event in INTERRUPTIONS]
    return next(reversed(interruptions or drains), None)


def _good_sentence(reports: Sequence[DrainReport]) -> str:
    main = _main(reports)
    if main is None or main.seconds_to_spare is None:
        return "nothing had to be drained"
    return f"drained in time, with {format_duration(main.seconds_to_spare)} to spare"


def _bad_sentence(course: Course, cut: Sequence[str], reports: Sequence[DrainReport]) -> str:
    if course.ended_early:
        return f"not drained: the daemon ended in the middle of the rehearsal ({_end(course.exit_code)})"
    if cut:
        others = f" (and {len(cut) - 1} more)" if len(cut) > 1 else ""
        return f"not drained in time: {cut[0]}{others}"
    main = _main(reports)
    if course.draining or course.unnoticed or main is None or main.seconds_to_spare is None:
        return "not drained"
    return f"drained with {format_duration(main.seconds_to_spare)} to spare, but not in good order"
