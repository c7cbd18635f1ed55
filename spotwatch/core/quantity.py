"""Durations and sizes as people write them in settings and on command lines: ``90s``, ``1m30s``, ``1MiB``."""

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|min|m|h|d)\s*)+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|m|h|d)")

LONGEST_SECONDS = 366 * 86400.0
"""No time in the life of an instance is longer, and arithmetic with dates stays within what dates can show."""

_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*(%?)", re.ASCII)

_SIZE = re.compile(r"(\d+)\s*([a-z]*)", re.IGNORECASE)


def parse_duration(text: str) -> float:
    """Seconds in a duration such as ``500ms``, ``2s`` or ``1m30s``.

    Raises:
        ValueError: the text is no duration, or one of more than a year. A bare number is none: a unit would be a guess.
    """
    if not _DURATION.fullmatch(text.strip()):
        raise ValueError(f'"{text}" is not a duration; write a number with its unit, such as "500ms", "20s" or "1m30s"')
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))
    if seconds > LONGEST_SECONDS:
        raise ValueError(f'"{text}" is longer than a year; write at most "366d"')
    return seconds


def format_duration(seconds: float) -> str:
    """A duration for people: ``0.4 s``, ``12.3 s``, ``2 min 5 s``, ``1 h 3 min``."""
    if round(seconds, 1) < 0:
        return f"-{format_duration(-seconds)}"
    if seconds < 120:
        return f"{round(seconds, 1) + 0.0:.1f} s".replace(".0 s", " s")  # adding zero takes the sign off -0.0
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def parse_size(text: str) -> int:
    """Bytes in a size such as ``65536``, ``64KiB`` or ``1MB``.

    Raises:
        ValueError: the text is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].lower() not in _BYTES:
        raise ValueError(f'"{text}" is not a size; write a number of bytes or a number with a unit, such as "1MiB"')
    return int(match[1]) * _BYTES[match[2].lower()]


def format_size(count: int) -> str:
    """Bytes for people: ``512 B``, ``3.4 MB``, ``1.2 GB``."""
    if count < 1000:
        return f"{count} B"
    size, unit = count / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if size < 999.95:
            break
        size, unit = size / 1000, larger
    return f"{size:.1f} {unit}"


def parse_share(text: str) -> float:
    """A share from 0 to 1 in a text such as ``5%``, ``0.05`` or ``12.5 %``.

    Raises:
        ValueError: the text is none.
    """
    match = _SHARE.fullmatch(text.strip())
    share = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0.0 <= share <= 1.0:
        raise ValueError(f'"{text}" is no share; write a percentage such as "5%", or a number from 0 to 1')
    return share


def format_share(share: float) -> str:
    """A share for people: ``5.0 %``."""
    return f"{share * 100:.1f} %"
