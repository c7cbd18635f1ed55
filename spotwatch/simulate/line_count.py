"""What became of every line that the application of the story has written."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spotwatch.simulate.log_lines import number_of


@dataclass(frozen=True, slots=True)
class LineCount:
    """Lines, each counted once; half a line, with which the instance died, is none and counts for itself.

    Attributes:
        written: lines that the application has written whole.
        sent: those that have arrived where the agent sends them.
        shipped: those that are in what was shipped from the volume.
        lost: those that are in neither.
        twice: those that have arrived more than once, in one of them or in both.
        foreign: lines that have arrived and were never written like that.
        half_line_bytes: what was written of a last line that has no end.
        half_line_shipped: whether just these bytes were shipped, as the end of a file.
    """

    written: int
    sent: int
    shipped: int
    lost: int
    twice: int
    foreign: int = 0
    half_line_bytes: int = 0
    half_line_shipped: bool = False

    @property
    def passed(self) -> bool:
        """Whether nothing is missing, and nothing is there that should not be."""
        return not any(self.problems)

    @property
    def problems(self) -> Iterator[str]:
        """What is wrong, each a sentence."""
        if self.lost:
            yield f"{self.lost} log lines were neither sent nor shipped"
        if self.twice:
            yield f"{self.twice} log lines have arrived more than once"
        if self.foreign:
            yield f"{self.foreign} lines have arrived that the application has not written"
        if self.half_line_bytes and not self.half_line_shipped:
            yield f"the {self.half_line_bytes} bytes of the line in whose middle the instance died were not shipped"


def count_lines(written: int, half_line: bytes, sent: bytes, shipped: Iterable[bytes]) -> LineCount:
    """Count them.

    Args:
        written: the number of the last whole line; they count from 1.
        half_line: what was written of the next one.
        sent: everything that has arrived where the agent sends it.
        shipped: the stretches of files that were shipped, each without a gap in it.
    """
    arrived, pieces = _Arrived(written), _Arrived(written)
    arrived.take(sent)
    for stretch in shipped:
        pieces.take(stretch)
    halves = pieces.ends.count(half_line) if half_line else 0
    both = arrived.numbers + pieces.numbers
    ends = len(arrived.ends) + len(pieces.ends)
    return LineCount(
        written=written,
        sent=len(arrived.numbers),
        shipped=len(pieces.numbers),
        lost=written - len(both),
        twice=sum(times > 1 for times in both.values()),
        foreign=arrived.foreign + pieces.foreign + ends - min(halves, 1),
        half_line_bytes=len(half_line),
        half_line_shipped=halves > 0,
    )


class _Arrived:
    """What was found in one place."""

    def __init__(self, written: int) -> None:
        self.numbers = Counter[int]()
        self.foreign = 0
        self.ends: list[bytes] = []
        self._written = written

    def take(self, content: bytes) -> None:
        """Lines, and what comes after the last newline, if anything does."""
        *lines, end = content.split(b"\n")
        for line in lines:
            number = number_of(line)
            if number is not None and 1 <= number <= self._written:
                self.numbers[number] += 1
            else:
                self.foreign += 1
        if end:
            self.ends.append(end)
