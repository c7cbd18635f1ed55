"""From a word of a command line to its value; argparse makes a usage error of what these refuse."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import TypeVar

from spotwatch.core.quantity import parse_duration, parse_share

_Value = TypeVar("_Value")


def duration(text: str) -> float:
    """Seconds in a duration such as ``90s`` or ``7d``."""
    return _read(parse_duration, text)


def share(text: str) -> float:
    """A share from 0 to 1, such as ``5%``."""
    return _read(parse_share, text)


def positive(text: str) -> float:
    """A number above zero."""

    def parse(word: str) -> float:
        number = float(word)
        if not 0 < number < float("inf"):
            raise ValueError(f'"{word}" is no number above zero')
        return number

    return _read(parse, text)


def _read(parse: Callable[[str], _Value], text: str) -> _Value:
    try:
        return parse(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
