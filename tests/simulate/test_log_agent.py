"""The agent of the story: what it sends, and what whoever ships the volume learns from what it leaves behind."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotwatch.core.volume import Agent, AgentKind
from spotwatch.ship.decision import Reason, Source, decide
from spotwatch.simulate.application import LOG, lines_written, log_files, rotate
from spotwatch.simulate.line_count import count_lines
from spotwatch.simulate.log_agent import FINGERPRINT_BYTES, LogAgent, Registry
from spotwatch.simulate.log_lines import log_line
from tests.ship.directory_tree import DirectoryTree


class Volume:
    """A log volume with an application and an agent on it, both at our command."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.logs = root / "log"
        self.logs.mkdir()
        self.collected = BytesIO()
        self.agent = LogAgent(self.logs, Registry(root / "state"), self.collected)
        self.written = 0
        self.half_line = b""

    def write(self, lines: int) -> None:
        with (self.logs / LOG).open("ab") as log:
            for _ in range(lines):
                self.written += 1
                line = log_line(self.written)
                log.write(line.removeprefix(self.half_line))
                self.half_line = b""

    def write_half(self) -> None:
        if not self.half_line:
            self.half_line = log_line(self.written + 1)[:20]
            with (self.logs / LOG).open("ab") as log:
                log.write(self.half_line)

    def rotate(self) -> None:
        if not self.half_line:
            rotate(self.logs)

    @property
    def shipped(self) -> Iterator[bytes]:
        """What a ship that believes the agent would ship."""
        source = Source(str(self.root), ("log/*",), (Agent(AgentKind.FILEBEAT, "state"),))
        decision = decide(DirectoryTree(self.root), source)
        assert decision.anomalies == ()
        assert {segment.reason for file in decision.files for segment in file.segments} <= {
            Reason.ACKNOWLEDGED,
            Reason.UNREAD,
        }
        for segment in decision.segments:
            yield (self.root / segment.file.path).read_bytes()[segment.start : segment.end]


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path)


def test_it_sends_whole_lines_only(volume: Volume) -> None:
    volume.write(50)
    volume.write_half()
    volume.agent.send()
    assert volume.collected.getvalue() == b"".join(map(log_line, range(1, 51)))


def test_it_sends_nothing_twice_and_goes_on_where_it_was(volume: Volume) -> None:
    for _ in range(3):
        volume.write(40)
        volume.agent.send()
        volume.agent.send()
    assert count_lines(120, b"", volume.collected.getvalue(), []).passed


def test_it_knows_a_file_again_after_a_rotation(volume: Volume) -> None:
    volume.write(40)
    volume.agent.send()
    volume.write(5)
    volume.rotate()
    volume.write(40)
    volume.agent.send()
    assert volume.collected.getvalue() == b"".join(map(log_line, range(1, 86)))


def test_it_leaves_alone_what_is_too_short_to_be_known_again(volume: Volume) -> None:
    volume.write((FINGERPRINT_BYTES - 1) // len(log_line(1)))
    volume.agent.send()
    assert volume.collected.getvalue() == b""


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 60)),
        st.sampled_from([("rotate",), ("send",), ("write_half",)]),
    ),
    max_size=30,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_what_it_has_not_sent_is_shipped_once_whatever_happened_before(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, ...]]
) -> None:
    volume = Volume(tmp_path_factory.mktemp("volume"))
    volume.write(20)
    volume.agent.send()
    for step, *arguments in steps:
        getattr(volume.agent if step == "send" else volume, step)(*arguments)
    count = count_lines(volume.written, volume.half_line, volume.collected.getvalue(), volume.shipped)
    assert (list(count.problems), count.passed) == ([], True)


def test_rotations_keep_every_file_in_its_order(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / LOG).write_text(str(number))
        rotate(tmp_path)
    assert [path.read_text() for path in log_files(tmp_path)] == [str(number) for number in reversed(range(12))]


def test_an_application_that_has_not_begun_has_written_nothing(tmp_path: Path) -> None:
    assert lines_written(tmp_path / "progress") == 0
