"""Several things at once, and no longer than until the deadline.

What this survives: an endpoint that swallows every packet. A socket's own limit is for one attempt, and an attempt that
was begun just before the deadline would outlast it; so nobody waits here for what has not answered in time. It is left
behind in a thread that ends with the process.
"""

import queue
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from spotwatch.core.errors import NotInTime, SpotwatchError
from spotwatch.hooks.services import Clock

AT_ONCE: Final = 8
"""Calls on their way at the same time: enough to be quick, and few enough not to be throttled for it alone."""

CUT: Final = NotInTime.exit_code
"""The exit code of a hook whose wait was cut by its deadline: what it began goes on, and nobody has seen its end."""

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


@dataclass(slots=True)
class Answers(Generic[Key, Answer]):
    """What came of each.

    Attributes:
        found: the answers.
        failed: the errors.
        missing: whose answer has not come in time; nobody knows what became of them.
    """

    found: dict[Key, Answer] = field(default_factory=dict)
    failed: dict[Key, SpotwatchError] = field(default_factory=dict)
    missing: set[Key] = field(default_factory=set)


def side_by_side(jobs: Mapping[Key, Callable[[], Answer]], until: float, clock: Clock) -> Answers[Key, Answer]:
    """Do all of them, a few at a time, and return when they are done, or at `until` (boot clock, seconds).

    Raises:
        BaseException: what a job raises that is not a `SpotwatchError`.
    """
    waiting: queue.SimpleQueue[Key] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Key, Answer | BaseException]] = queue.SimpleQueue()
    for key in jobs:
        waiting.put(key)

    def work() -> None:
        while clock.now() < until:
            try:
                key = waiting.get_nowait()
            except queue.Empty:
                return
            done.put((key, _answer(jobs[key])))

    for _ in range(min(AT_ONCE, len(jobs))):
        threading.Thread(target=work, daemon=True).start()
    return _collect(set(jobs), done, until, clock)


def _answer(job: Callable[[], Answer]) -> Answer | BaseException:
    try:
        return job()
    except BaseException as error:  # raised again by who waits for it
        return error


def _collect(
    missing: set[Key], done: "queue.SimpleQueue[tuple[Key, Answer | BaseException]]", until: float, clock: Clock
) -> Answers[Key, Answer]:
    answers: Answers[Key, Answer] = Answers(missing=missing)
    while missing:
        try:
            key, came = done.get(timeout=max(0.0, until - clock.now()))
        except queue.Empty:
            break
        missing.discard(key)
        if isinstance(came, SpotwatchError):
            answers.failed[key] = came
        elif isinstance(came, BaseException):
            raise came
        else:
            answers.found[key] = came
    return answers


def in_time(job: Callable[[], Answer], until: float, clock: Clock, what: str) -> Answer:
    """The answer of one job.

    Raises:
        NotInTime: it has not come by `until`.
        SpotwatchError: what the job raises.
    """
    answers = side_by_side({what: job}, until, clock)
    if answers.missing:
        raise NotInTime(
            f"cut by the deadline: no answer yet to {what}", hint="see whether the endpoint can be reached from here"
        )
    for error in answers.failed.values():
        raise error
    return answers.found[what]
