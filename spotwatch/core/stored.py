"""What is said of an object at a destination."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stored:
    """An object at the destination: its key, with `/` between the parts, and its size in bytes."""

    key: str
    size: int
