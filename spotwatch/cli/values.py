"""From a word of a command line to its value; argparse makes a usage error of what these refuse."""

from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from math import inf, nan
from typing import TypeVar

from spotwatch.core.errors import UsageError
from spotwatch.core.quantity import parse_duration, parse_share

_Value = TypeVar("_Value")

MOST: float = 1e12
"""Of anything: more than anybody has of vCPU, USD, GiB or draws, and little enough to reckon with."""


def duration(text: str) -> float:
    """Seconds in a duration such as ``90s`` or ``7d``."""
    return _read(parse_duration, text)


def share(text: str) -> float:
    """A share from 0 to 1, such as ``5%``."""
    return _read(parse_share, text)


def positive(text: str) -> float:
    """A number above zero."""
    return _number(text, f"number above zero up to {MOST:g}", lambda number: 0 < number <= MOST)


def not_negative(text: str) -> float:
    """Zero or a number above it."""
    return _number(text, f"number from 0 to {MOST:g}", lambda number: 0 <= number <= MOST)


def count(text: str) -> int:
    """A whole number of at least 1."""
    return int(_number(text, "whole number of 1 or more", lambda number: 1 <= number <= MOST and number % 1 == 0))


def bounds(text: str) -> tuple[float, float]:
    """The least and the most in a range such as ``2-16``; ``4`` is both, and ``4-`` has no end."""
    least, dash, most = text.partition("-")
    numbers = not_negative(least), not_negative(most) if most else inf if dash else not_negative(least)
    if numbers[0] > numbers[1]:
        raise ArgumentTypeError(f'"{text}" is empty; write the smaller number first')
    return numbers


def pairs(words: Sequence[str], form: str) -> dict[str, str]:
    """What words such as ``KEY=VALUE`` say; `form` is how they are written, with their option.

    Raises:
        UsageError: one has no key or no equals sign, or two have the same key.
    """
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise UsageError(f'"{word}" is incomplete', hint=f"write {form}")
        if key in found:
            raise UsageError(f'"{key}" is given twice', hint=f"write {form} once for each")
        found[key] = value
    return found


def _number(text: str, what: str, is_right: Callable[[float], bool]) -> float:
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not is_right(number):
        raise ArgumentTypeError(f'"{text}" is no {what}; write digits without separators, such as 1000')
    return number


def _read(parse: Callable[[str], _Value], text: str) -> _Value:
    try:
        return parse(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
