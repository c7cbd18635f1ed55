"""The count of the story: what became of every line that was written."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotwatch.simulate.line_count import LineCount, count_lines
from spotwatch.simulate.log_lines import log_line, number_of


def log(*numbers: int) -> bytes:
    return b"".join(map(log_line, numbers))


HALF = log_line(6)[:20]


class TestLines:
    @given(st.integers(1, 10**9))
    def test_a_line_tells_its_number(self, number: int) -> None:
        assert number_of(log_line(number).rstrip(b"\n")) == number

    @given(st.integers(1, 10**9), st.data())
    def test_a_line_with_one_other_byte_is_none(self, number: int, data: st.DataObject) -> None:
        line = bytearray(log_line(number).rstrip(b"\n"))
        place = data.draw(st.integers(0, len(line) - 1))
        line[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != line[place]))
        assert number_of(bytes(line)) is None


class TestCount:
    def test_sent_and_shipped_together_are_all_of_it(self) -> None:
        assert count_lines(5, HALF, log(1, 2, 3), [log(4, 5) + HALF]) == LineCount(
            written=5, sent=3, shipped=2, lost=0, twice=0, half_line_bytes=20, half_line_shipped=True
        )

    def test_what_is_in_neither_is_lost(self) -> None:
        count = count_lines(5, b"", log(1, 2), [log(5)])
        assert (count.lost, count.passed) == (2, False)
        assert list(count.problems) == ["2 log lines were neither sent nor shipped"]

    @pytest.mark.parametrize(
        ("sent", "shipped"),
        [([1, 2, 3], [[3, 4, 5]]), ([1, 2, 2, 3], [[4, 5]]), ([1, 2], [[3, 4, 5], [3]])],
        ids=["sent and shipped", "sent twice", "shipped twice"],
    )
    def test_what_arrived_more_than_once_is_twice(self, sent: list[int], shipped: list[list[int]]) -> None:
        count = count_lines(5, b"", log(*sent), [log(*stretch) for stretch in shipped])
        assert (count.lost, count.twice, count.passed) == (0, 1, False)

    @pytest.mark.parametrize(
        "stretch",
        [log(6), b"something else\n", log(3)[:-5] + b"\n", b"\n"],
        ids=["never written", "other", "cut", "empty"],
    )
    def test_what_was_never_written_like_that_is_foreign(self, stretch: bytes) -> None:
        count = count_lines(5, b"", log(1, 2, 3, 4, 5), [stretch])
        assert (count.foreign, count.passed) == (1, False)

    def test_a_line_that_was_torn_in_two_is_lost_although_all_its_bytes_arrived(self) -> None:
        count = count_lines(3, b"", log(1, 2) + log(3)[:30], [log(3)[30:]])
        assert (count.lost, count.foreign, count.passed) == (1, 2, False)

    @pytest.mark.parametrize("shipped", [[], [log(5)], [log(5) + HALF[:-1]], [HALF + log(5)]])
    def test_half_a_line_has_to_be_shipped_as_it_was(self, shipped: Sequence[bytes]) -> None:
        count = count_lines(5, HALF, log(1, 2, 3, 4), shipped)
        assert (count.half_line_shipped, count.passed) == (False, False)

    def test_half_a_line_is_none_of_the_lines(self) -> None:
        count = count_lines(5, HALF, log(1, 2, 3, 4, 5), [HALF])
        assert (count.written, count.sent, count.shipped, count.foreign, count.passed) == (5, 5, 0, 0, True)

    def test_half_a_line_that_was_shipped_twice_is_too_much(self) -> None:
        assert not count_lines(5, HALF, log(1, 2, 3, 4, 5), [HALF, HALF]).passed

    @given(
        fates=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=60),
        cuts=st.sets(st.integers(0, 60)),
    )
    def test_each_line_has_its_fate_whatever_the_others_have(
        self, fates: list[tuple[int, int]], cuts: set[int]
    ) -> None:
        """Each line arrives so many times on each way; the shipped ones in stretches cut anywhere between lines."""
        sent = log(*(number for number, (times, _) in enumerate(fates, 1) for _ in range(times)))
        shipped = [number for number, (_, times) in enumerate(fates, 1) for _ in range(times)]
        bounds = [0, *sorted(cut for cut in cuts if cut < len(shipped)), len(shipped)]
        stretches = [log(*shipped[start:end]) for start, end in pairwise(bounds)]
        totals = [sum(fate) for fate in fates]
        assert count_lines(len(fates), b"", sent, stretches) == LineCount(
            written=len(fates),
            sent=sum(times > 0 for times, _ in fates),
            shipped=sum(times > 0 for _, times in fates),
            lost=totals.count(0),
            twice=sum(total > 1 for total in totals),
        )
