"""A child process as the rooms speak of it: what to start, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Command:
    """What to execute, as whom, where, and where its output goes.

    Attributes:
        argv: program and arguments; no shell sees them.
        environment: the whole environment of the child.
        output: the path of the file that gets stdout and stderr.
        directory: the working directory; None means ``/``.
        user: login name or numeric id to run as; None means ours.
        group: group name or numeric id; None means the user's own groups, or ours.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    output: str = "/dev/null"
    directory: str | None = None
    user: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class ChildEnded:
    """A child that we started has ended.

    Attributes:
        name: under which it was started.
        exit_code: if it exited.
        signal: the number of the signal that ended it, if one did.
        output_dropped: bytes of output left out of its file because of the size limit.
        output_problem: why its output could not be kept, or an empty text.
    """

    name: str
    exit_code: int | None
    signal: int | None
    output_dropped: int = 0
    output_problem: str = ""


@dataclass(frozen=True, slots=True)
class SignalCame:
    """A signal reached the daemon."""

    number: int
