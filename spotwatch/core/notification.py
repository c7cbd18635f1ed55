"""What is told of a drain when its state changes, in words that people and programs understand."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from spotwatch.core.hook import FAILURES, HookStatus
from spotwatch.core.quantity import format_duration
from spotwatch.core.report import HookReport, InstanceFacts, Verdict


class DrainState(StrEnum):
    """What there is to tell; every drain is noticed, and comes to one of the other ends."""

    NOTICED = "noticed"
    """Its event was read."""
    DRAINED = "drained"
    """All hooks have succeeded, in time."""
    FAILED = "failed"
    """A hook has failed, or the time was short."""
    CANCELED = "canceled"
    """The event was withdrawn, or the daemon was told to stop, before all hooks had run."""
    UNFINISHED = "unfinished"
    """The deadline is near, and there are hooks that have not ended."""


TRIAL: Final = "trial"
"""In place of a state, for who tries by hand whether anything arrives."""

_OF_VERDICTS: Final = {
    Verdict.DRAINED: DrainState.DRAINED,
    Verdict.CANCELED: DrainState.CANCELED,
    Verdict.RUNNING: DrainState.UNFINISHED,
}

_SEVERITIES: Final = {
    DrainState.NOTICED: "warning",
    DrainState.FAILED: "critical",
    DrainState.UNFINISHED: "critical",
}


def end_state(verdict: Verdict) -> DrainState:
    """What a verdict is told as; the notification has the verdict, too."""
    return _OF_VERDICTS.get(verdict, DrainState.FAILED)


@dataclass(frozen=True, slots=True)
class Notification:
    """One change of state; times are RFC 3339 in UTC, empty where nobody knows them.

    Attributes:
        state: a `DrainState`, or `TRIAL`.
        verdict: the drain in one word, as its report will have it.
        seconds_left: to the deadline; None if there is none.
        hooks: what became of those that are over.
        unfinished: the names of those that are not, but for the background.
    """

    state: str
    drain: str = ""
    event: str = ""
    action: str = ""
    verdict: str = Verdict.RUNNING.value
    notice_time: str = ""
    deadline: str = ""
    seconds_left: float | None = None
    instance: InstanceFacts = field(default_factory=InstanceFacts)
    hooks: tuple[HookReport, ...] = ()
    unfinished: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The same whenever the same change is told again, and that of no other."""
        return "/".join(filter(None, (self.drain or self.instance.id, self.event, self.state)))

    @property
    def severity(self) -> str:
        """``info``, ``warning`` or ``critical``."""
        return _SEVERITIES.get(DrainState(self.state), "info") if self.state != TRIAL else "info"

    @property
    def title(self) -> str:
        """One line: which instance, and what about it."""
        facts = ", ".join(fact for fact in (self.instance.type, self.instance.availability_zone) if fact)
        name = (self.instance.id or "an instance") + (f" ({facts})" if facts else "")
        return f"{name}: {self._what}"

    @property
    def text(self) -> str:
        """The title, and a line for each hook that did not do what it is there for."""
        wrong = [hook for hook in self.hooks if HookStatus(hook.status) in FAILURES | {HookStatus.SKIPPED}]
        lines = [f"{hook.name}: {_words(hook)}" for hook in wrong]
        return "\n".join([self.title, *lines, *(f"{name}: not over" for name in self._running)])

    def to_json(self) -> dict[str, Any]:
        """All of it, ready for a JSON encoder."""
        document = asdict(self)
        instance = document.pop("instance")
        return {
            "id": self.id,
            "title": self.title,
            "text": self.text,
            "severity": self.severity,
            **document,
            "instance_id": instance["id"],
            "instance_type": instance["type"],
            "availability_zone": instance["availability_zone"],
            "region": instance["region"],
            "hooks": [_hook(hook) for hook in self.hooks],
            "unfinished": list(self.unfinished),
        }

    @property
    def _running(self) -> tuple[str, ...]:
        return self.unfinished if self.state == DrainState.UNFINISHED else ()

    @property
    def _what(self) -> str:
        left = "" if self.seconds_left is None else f", {format_duration(max(0.0, self.seconds_left))} left"
        match self.state:
            case DrainState.NOTICED:
                return f"{self.event} noticed{left}"
            case DrainState.DRAINED:
                return f"drained for {self.event}{left}"
            case DrainState.CANCELED:
                return f"drain for {self.event} canceled"
            case DrainState.UNFINISHED:
                return f"drain for {self.event} not over{left}"
            case DrainState.FAILED:
                return f"drain for {self.event} failed ({self.verdict}){left}"
        return "a trial of spotwatch's notifications"


FIELDS: Final[tuple[str, ...]] = tuple(Notification(TRIAL).to_json())
"""The names in the JSON form."""


def _hook(hook: HookReport) -> dict[str, Any]:
    return {"name": hook.name, "stage": hook.stage, "status": hook.status, "reason": hook.reason}


def _words(hook: HookReport) -> str:
    code = f" with exit code {hook.exit_code}" if hook.status == HookStatus.FAILED and hook.exit_code else ""
    return hook.status.replace("-", " ") + code + (f" ({hook.reason})" if hook.reason else "")
