"""Which files are logs: shell patterns, and what log rotation makes of the names that they match."""

import re
from collections.abc import Iterable
from typing import Final

_TOKEN: Final = re.compile(
    r"(?P<deep>\*\*/|/\*\*$|\*\*)|(?P<any>\*)|(?P<one>\?)|(?P<set>\[[!^]?\]?[^\]/]*\])|(?P<text>.)", re.DOTALL
)

_ROTATED: Final = re.compile(
    r"(?:[.-](?:[0-9]{1,10}|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T_-][0-9:.-]{2,15}Z?)?|[0-9]{8}(?:[T_-][0-9]{2,10}Z?)?|old|bak))"
    r"{0,2}(?:\.(?:gz|zst|xz|bz2|lz4|Z))?$"
)
"""What logrotate (`.1`, `-20260823`, `.gz`), Python, log4j and Docker append to the name of a log."""


class LogPatterns:
    """Shell patterns relative to the root: `*` and `?` within a name, `**` through directories, `[…]` sets.

    A pattern is also about what a rotation makes of the files that it matches: `log/app.log` is about `log/app.log.1`
    and `log/app.log-20260823.gz`. No patterns at all are about every file.
    """

    def __init__(self, patterns: Iterable[str], *, rotations: bool = True) -> None:
        """All patterns as one.

        Args:
            patterns: shell patterns.
            rotations: whether a pattern is also about what a rotation makes of the files that it matches.
        """
        self._rotations = rotations
        translated = [_regular(pattern.strip("/")) for pattern in patterns]
        self._expression = re.compile("|".join(f"(?:{each})" for each in translated), re.DOTALL) if translated else None

    def match(self, path: str) -> bool:
        """Whether the file at this path is a log."""
        if self._expression is None or self._expression.fullmatch(path):
            return True
        names = _names_before_rotation(path) if self._rotations else ()
        return any(self._expression.fullmatch(name) for name in names)


def _names_before_rotation(path: str) -> Iterable[str]:
    """The path without one more of its last parts each time, while they are a rotation's."""
    for dot in reversed(list(re.finditer(r"[.-]", path))):
        if _ROTATED.fullmatch(path, dot.start()):
            yield path[: dot.start()]


def _regular(pattern: str) -> str:
    return "".join(_translated(match) for match in _TOKEN.finditer(pattern))


def _translated(match: re.Match[str]) -> str:
    text = match[0]
    match match.lastgroup:
        case "deep":
            return {"**/": "(?:[^/]+/)*", "/**": "/.*"}.get(text, ".*")
        case "any":
            return "[^/]*"
        case "one":
            return "[^/]"
        case "set":
            return _set(text)
        case _:
            return re.escape(text)


def _set(text: str) -> str:
    negated = text[1] in "!^"
    members = text[2 if negated else 1 : -1].replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    try:
        re.compile(f"[{members}]")
    except re.error:  # such as a range that runs backwards: the shell takes it for text
        return re.escape(text)
    return f"[^/{members}]" if negated else f"[{members}]"
