"""Answers kept on disk with their age, so that a question is not asked again within hours.

What this survives: a directory that cannot be written or does not exist, a file that is cut short, damaged, of another
version or of another question, two processes at once. Each of these costs only the asking, and is told to whoever
wants to know. A kept answer is JSON, never code.
"""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from spotwatch.core.instant import format_utc, parse_utc
from spotwatch.core.reading import parse_json_object
from spotwatch.host.files import write_atomically

FORMAT: Final = 1
"""Raised when what is kept changes its meaning; files of another format count as missing."""

SYSTEM_DIRECTORY: Final = "/var/cache/spotwatch"
"""root's, as in the Filesystem Hierarchy Standard."""


def cache_directory(environment: Mapping[str, str], *, root: bool) -> str | None:
    """Where answers are kept: `$XDG_CACHE_HOME/spotwatch`, or else root's or the user's own place.

    Args:
        environment: the process's; relative paths in it are ignored, as the XDG Base Directory Specification says.
        root: whether the process is root's.

    Returns:
        None if there is no place: no home directory is known.
    """
    stated, home = environment.get("XDG_CACHE_HOME", ""), environment.get("HOME", "")
    if os.path.isabs(stated):
        return os.path.join(stated, "spotwatch")
    if root:
        return SYSTEM_DIRECTORY
    return os.path.join(home, ".cache", "spotwatch") if os.path.isabs(home) else None


class Cache:
    """A directory of answers, one file each. Implements `spotwatch.aws.facts.Cache`."""

    def __init__(
        self,
        directory: str | None,
        *,
        max_age: float,
        now: Callable[[], datetime],
        remark: Callable[[str], None],
    ) -> None:
        """Nothing is read or made yet.

        Args:
            directory: made when it is first needed; None: nothing is kept.
            max_age: seconds after which an answer is too old to be used.
            now: the time in UTC, which ages are reckoned by.
            remark: is told, in one line, of what could not be kept or used.
        """
        self._directory = directory
        self._max_age = timedelta(seconds=max_age)
        self._now = now
        self._remark = remark

    def read(self, question: Sequence[str], *, any_age: bool = False) -> tuple[Any, datetime] | None:
        """The answer to a question and when it was kept; None if there is none, or only one that is too old.

        Args:
            question: the words that tell it from every other one: the fact, the region, the account, the endpoint.
            any_age: take an old one too, to ask whether it has changed.
        """
        if self._directory is None:
            return None
        path = self._path(self._directory, question)
        try:
            kept = _kept(path, question)
        except (FileNotFoundError, NotADirectoryError):  # the latter is told when something is to be written
            return None
        except (OSError, ValueError) as error:
            self._remark(f"the kept answer {path} is not used: {_why(error)}")
            return None
        if kept is None or (not any_age and not timedelta(0) <= self._now() - kept[1] <= self._max_age):
            return None  # one of the future was kept before the clock was set back, and nobody knows its age
        return kept

    def write(self, question: Sequence[str], answer: Any) -> None:
        """Keep an answer, with the time of now. That it could not be kept is no error.

        Args:
            question: as in `read`.
            answer: what JSON can hold.

        Raises:
            TypeError: it is nothing that JSON can hold.
        """
        if self._directory is None:
            return
        path = self._path(self._directory, question)
        document = {"format": FORMAT, "question": list(question), "kept": format_utc(self._now()), "answer": answer}
        text = json.dumps(document, separators=(",", ":"))
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            write_atomically(path, text, mode=0o600)
        except OSError as error:
            self._remark(f"answers are not kept in {self._directory}: {_why(error)}")

    @staticmethod
    def _path(directory: str, question: Sequence[str]) -> str:
        digest = hashlib.sha256(json.dumps(list(question)).encode()).hexdigest()[:32]
        return os.path.join(directory, f"{digest}.json")


def _kept(path: str, question: Sequence[str]) -> tuple[Any, datetime] | None:
    """What a file holds; None if it is of another format.

    Raises:
        OSError: it cannot be read.
        ValueError: it does not hold what was written.
    """
    document = parse_json_object(_text(path))
    if document.get("format") != FORMAT:
        return None
    if document.get("question") != list(question):
        raise ValueError("it answers another question")
    if not isinstance(document.get("kept"), str) or "answer" not in document:
        raise ValueError("a part of it is missing")
    return document["answer"], parse_utc(document["kept"])


def _text(path: str) -> str:
    with open(path, encoding="utf-8", opener=_open) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no regular file")
        return file.read()


def _open(path: str, flags: int) -> int:
    # Whoever may write to a directory that is shared could put a pipe or a link there.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _why(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
