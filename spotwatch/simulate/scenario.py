"""What happens in a rehearsal, and when: the words of ``--at`` and of a scenario file.

A step is a line of words, the same on the command line and in a file::

    2s rebalance
    5s terminate 120s              (stop and hibernate likewise; the time to go)
    5s maintenance instance-retirement 60s
    5s lifecycle Terminated
    20s withdraw terminate
    3s trouble refused 4s          (the metadata service is in trouble for 4 s)
    3s revoke-tokens

A scenario file is TOML::

    steps = ["2s rebalance", "5s terminate 120s"]

    [instance]                     # optional, what the fake service says of the instance
    instance_type = "c6i.4xlarge"

    [service]                      # optional
    imdsv1 = false                 # true: a token is not required
    hop_limit_exceeded = false     # true: a token request is never answered
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from spotwatch.core.errors import ScenarioError
from spotwatch.core.quantity import format_duration, parse_duration
from spotwatch.core.reading import printable
from spotwatch.simulate.faults import (
    EMPTY_BODY,
    MALFORMED_JSON,
    Fault,
    HeadersCut,
    NotHttp,
    Oversized,
    Refused,
    Reset,
    Silent,
    Slow,
    Status,
    Truncated,
)
from spotwatch.simulate.instance import Instance, MaintenanceEvent
from spotwatch.simulate.service import MetadataService

Act = Callable[[MetadataService], None]

INTERRUPTIONS: Final = ("terminate", "stop", "hibernate")

TROUBLES: Final[Mapping[str, Fault]] = {
    "refused": Refused(),
    "reset": Reset(),
    "silent": Silent(),
    "slow": Slow(),
    "truncated": Truncated(),
    "oversized": Oversized(),
    "malformed": MALFORMED_JSON,
    "empty": EMPTY_BODY,
    "not-http": NotHttp(),
    "headers-cut": HeadersCut(),
    "forbidden": Status(403),
    "throttled": Status(429),
    "error": Status(500),
    "unavailable": Status(503),
}
"""What ``trouble`` may be."""

WITHDRAWABLE: Final[Mapping[str, str]] = {
    **dict.fromkeys(INTERRUPTIONS, "spot/instance-action"),
    "rebalance": "events/recommendations/rebalance",
    "maintenance": "events/maintenance/scheduled",
    "lifecycle": "autoscaling/target-lifecycle-state",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens.

    Attributes:
        at: seconds after the daemon has started.
        words: what happens, for people.
        act: makes it happen.
        announces: the event that the daemon should notice, or an empty text.
        withdraws: the event that is no more, or an empty text.
    """

    at: float
    words: str
    act: Act
    announces: str = ""
    withdraws: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A rehearsal's script; the steps in the order of their times."""

    steps: tuple[Step, ...]
    instance: Instance = field(default_factory=Instance)
    imdsv1: bool = False
    hop_limit_exceeded: bool = False


DEFAULT_STEPS: Final = ("2s rebalance", "6s terminate 120s")


def scenario(steps: Sequence[str], *, instance: Instance | None = None, **service: bool) -> Scenario:
    """A scenario from lines of words.

    Raises:
        ScenarioError: lines are not understood; all of them are told, one a line.
    """
    mistakes = list(_mistakes_in_steps(steps))
    if mistakes:
        raise ScenarioError("\n".join(mistakes), hint=_WORDS)
    parsed = [step for line in steps for step in _steps(line)]
    return Scenario(tuple(sorted(parsed, key=lambda step: step.at)), instance or Instance(), **service)


def _mistakes_in_steps(steps: Sequence[str]) -> Iterator[str]:
    for line in steps:
        try:
            _steps(line)
        except ValueError as error:
            yield printable(f'the step "{line}" is not understood: {error}')


def read_scenario(path: Path) -> Scenario:
    """The scenario in a file.

    Raises:
        ScenarioError: the file cannot be read or is not understood; all mistakes are told, one a line.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read: {error.strerror}", hint="name an existing file") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{path}: this is not UTF-8 text", hint="save it as UTF-8") from None
    except (ValueError, RecursionError) as error:  # besides TOMLDecodeError: numbers and nesting without end
        raise ScenarioError(f"{path}: this is not TOML: {error}", hint=_SHAPE) from None
    return _from_document(str(path), document)


_SHAPE = (
    'a scenario file holds steps = ["2s rebalance", "6s terminate 120s"] and the like; see "spotwatch simulate --help"'
)


def _from_document(source: str, document: Mapping[str, object]) -> Scenario:
    steps, instance, service = document.get("steps"), document.get("instance", {}), document.get("service", {})
    mistakes = [f'"{key}" is not known' for key in document if key not in {"steps", "instance", "service"}]
    if isinstance(steps, list) and all(isinstance(step, str) for step in steps):
        mistakes += _mistakes_in_steps(steps)
    else:
        mistakes.append("steps: write a list of texts")
    mistakes += _mistakes_in_table("instance", instance, {f.name for f in fields(Instance) if f.type == "str"}, str)
    mistakes += _mistakes_in_table("service", service, {"imdsv1", "hop_limit_exceeded"}, bool)
    if mistakes:
        raise ScenarioError("\n".join(f"{source}: {printable(mistake)}" for mistake in mistakes), hint=_SHAPE)
    assert isinstance(steps, list)  # noqa: S101 (for the type checker; it would have been a mistake)
    assert isinstance(instance, dict)  # noqa: S101 (as above)
    assert isinstance(service, dict)  # noqa: S101 (as above)
    return scenario(steps, instance=Instance(**instance), **service)


def _mistakes_in_table(name: str, table: object, keys: set[str], kind: type) -> Iterator[str]:
    if not isinstance(table, dict):
        yield f"{name}: write [{name}] and its keys below"
        return
    for key, value in table.items():
        if key not in keys:
            yield f"{name}.{key} is not known; known are {', '.join(sorted(keys))}"
        elif not isinstance(value, kind):
            wanted = "true or false" if kind is bool else "a text in quotes"
            yield f"{name}.{key}: write {wanted}"


def _steps(line: str) -> list[Step]:
    """The steps in one line; a passing trouble is two, its beginning and its end.

    Raises:
        ValueError: the line is not understood.
    """
    at, words = _time_and_words(line)
    match words:
        case ["trouble", kind]:
            return _trouble(at, kind)
        case ["trouble", kind, lasting]:
            return _passing_trouble(at, kind, parse_duration(lasting))
        case _:
            return [_step(at, words)]


_WORDS = (
    'a step is a time and what happens: "2s rebalance", "6s terminate 120s", "6s lifecycle Terminated", '
    '"9s withdraw terminate", "3s trouble refused 4s", "3s revoke-tokens", '
    '"5s maintenance instance-retirement 60s"'
)


def _time_and_words(line: str) -> tuple[float, list[str]]:
    if not line.strip():
        raise ValueError("it is empty")
    at, *words = line.split()
    return parse_duration(at), words


def _step(at: float, words: Sequence[str]) -> Step:
    match words:
        case [("terminate" | "stop" | "hibernate") as action]:
            return _interruption(at, action, 120.0)
        case [("terminate" | "stop" | "hibernate") as action, left]:
            return _interruption(at, action, _signed_duration(left))
        case ["rebalance"]:
            return Step(at, "rebalance recommendation", lambda s: s.recommend_rebalance(_from_now(0)), "rebalance")
        case ["maintenance", code, left]:
            seconds = parse_duration(left)
            return Step(at, f"{code} scheduled in {left}", lambda s: _schedule(s, code, seconds), "maintenance")
        case ["lifecycle", state]:
            announces = "lifecycle" if state == "Terminated" else ""
            return Step(at, f"target lifecycle state {state}", lambda s: s.set_target_lifecycle_state(state), announces)
        case ["withdraw", event]:
            item = _look_up(WITHDRAWABLE, event)
            return Step(at, f"{event} withdrawn", lambda s: s.withdraw(item), withdraws=event)
        case ["revoke-tokens"]:
            return Step(at, "all session tokens revoked", lambda s: s.revoke_tokens())
        case [word, *_] if word not in _HAPPENINGS:
            raise ValueError(f'"{word}" is not known; known are {", ".join(_HAPPENINGS)}')
        case [_, *_]:
            raise ValueError("words are missing or too many")
    raise ValueError("it does not say what happens")


_HAPPENINGS = (*INTERRUPTIONS, "rebalance", "maintenance", "lifecycle", "withdraw", "trouble", "revoke-tokens")

_Value = TypeVar("_Value")


def _look_up(table: Mapping[str, _Value], word: str) -> _Value:
    if word not in table:
        raise ValueError(f'"{word}" is not known; known are {", ".join(table)}')
    return table[word]


def _interruption(at: float, action: str, left: float) -> Step:
    words = f"interruption notice: {action}, {format_duration(left)} to go"
    return Step(at, words, lambda service: service.interrupt(action, _from_now(left)), action)


def _trouble(at: float, kind: str) -> list[Step]:
    fault = _look_up(TROUBLES, kind)
    return [Step(at, f"metadata service in trouble: {kind}", lambda service: service.trouble(fault))]


def _passing_trouble(at: float, kind: str, lasting: float) -> list[Step]:
    end = Step(at + lasting, "metadata service well again", lambda service: service.trouble(None))
    return [*_trouble(at, kind), end]


def _signed_duration(text: str) -> float:
    """A duration that may have passed already: ``-10s``."""
    return -parse_duration(text[1:]) if text.startswith("-") else parse_duration(text)


def _schedule(service: MetadataService, code: str, seconds: float) -> None:
    service.schedule_maintenance([MaintenanceEvent(code=code, not_before=_from_now(seconds))])


def _from_now(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)
