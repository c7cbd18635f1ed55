"""The lines that the application of the story writes: a number, and nothing that does not follow from it.

So whoever finds a line anywhere can tell which one it is, and whether every byte of it is right.
"""

from typing import Final

DIGITS: Final = 10


def log_line(number: int) -> bytes:
    """The line with this number, its newline included."""
    milliseconds = number * 7919 % 997
    return f"{number:0{DIGITS}d} INFO order {number:x} answered with 200 after {milliseconds} ms\n".encode()


def number_of(line: bytes) -> int | None:
    """The number of a line, given without its newline; None if it is none that the application writes."""
    digits = line[:DIGITS]
    if not digits.isdigit():
        return None
    number = int(digits)
    return number if log_line(number) == line + b"\n" else None
