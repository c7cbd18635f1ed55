"""The verdict of a rehearsal: was the instance left in good order, and if not, what stood in the way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spotwatch.core.quantity import format_duration
from spotwatch.core.report import DrainReport, HookReport, Verdict
from spotwatch.simulate.scenario import INTERRUPTIONS

CUT = ("timed-out", "killed", "given-up")
FINE = ("succeeded", "superseded")


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether it went well, in one sentence, and what did not."""

    passed: bool
    sentence: str
    problems: tuple[str, ...] = ()


def judge(
    announced: Sequence[str], reports: Sequence[DrainReport], exit_code: int | None, *, started: bool
) -> Judgement:
    """The verdict over what the daemon has reported.

    Args:
        announced: the events that it should have noticed.
        reports: of its drains, the oldest first.
        exit_code: of the daemon.
        started: whether it ever came up.
    """
    if not started:
        return Judgement(False, f"the daemon did not start (exit code {exit_code})")
    problems = [*_unnoticed(announced, reports)]
    for report in reports:
        problems += _problems(report)
    if exit_code != 0:
        problems.append(f"the daemon ended with exit code {exit_code}")
    if problems:
        return Judgement(False, _bad_sentence(reports), tuple(problems))
    return Judgement(True, _good_sentence(reports))


def _unnoticed(announced: Sequence[str], reports: Sequence[DrainReport]) -> Iterator[str]:
    noticed = {event.event for report in reports for event in report.events}
    for name in dict.fromkeys(announced):
        if name not in noticed:
            yield f"{name} was announced, and the daemon took no notice (is it switched off in the settings?)"


def _problems(report: DrainReport) -> Iterator[str]:
    if report.verdict == Verdict.RUNNING:
        yield f"the drain for {report.event} did not end"
    for hook in report.hooks:
        if hook.status not in FINE:
            yield f"{hook.name} {_what_happened(hook)}"
    yield from report.not_recorded


def _what_happened(hook: HookReport) -> str:
    """What stood between a hook and its success."""
    match hook.status:
        case "timed-out" | "killed":
            return f"was cut after {format_duration(hook.seconds or 0.0)}{_by_how_much(hook)}"
        case "failed" if hook.signal is not None:
            return f"was ended by signal {hook.signal}"
        case "failed":
            return f"failed with exit code {hook.exit_code}"
    reason = f": {hook.reason}" if hook.reason else ""
    return f"was {hook.status.replace('-', ' ')}{reason}"


def _by_how_much(hook: HookReport) -> str:
    if hook.timeout_seconds is None:
        return ", when its time was up"
    short = hook.timeout_seconds - (hook.allowed_seconds or 0.0)
    if short < 0.05:
        return f", its timeout of {format_duration(hook.timeout_seconds)}"
    return f", {format_duration(short)} short of its timeout of {format_duration(hook.timeout_seconds)}"


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


def _bad_sentence(reports: Sequence[DrainReport]) -> str:
    main = _main(reports)
    cut = [hook.name for report in reports for hook in report.hooks if hook.status in CUT]
    if cut:
        return f"not drained in time: {', '.join(cut)} cut"
    if main is not None and main.seconds_to_spare is not None and main.seconds_to_spare >= 0:
        return f"in time, with {format_duration(main.seconds_to_spare)} to spare, but not in good order"
    return "not drained"
