"""Whatever happened to the logs, and whatever of it an agent's state has missed: no line is left out unsent."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotwatch.core.volume import Agent
from spotwatch.ship.decision import Decision, Policy, Source, decide
from tests.ship.agents.states import MOUNT_POINT, WRITERS
from tests.ship.directory_tree import DirectoryTree
from tests.ship.histories import COMPRESSIONS, History, shipped_lines

TRUSTING = Policy(ship_read=False)
"""What was only read is left out where the file is known: then whatever a state says of another file would be lost."""

STEP = st.one_of(
    st.tuples(st.just("write"), st.integers(1, 60)),
    st.tuples(st.just("deliver"), st.sampled_from([0.3, 1.0])),
    st.tuples(st.just("save")),
    st.tuples(st.just("rotate")),
    st.tuples(st.just("copy_and_truncate")),
    st.tuples(st.just("compress"), st.sampled_from(sorted(COMPRESSIONS))),
)
OPENING = st.tuples(st.tuples(st.just("write"), st.integers(1, 60)), st.just(("deliver", 1.0)), st.just(("save",)))
"""What makes a state worth believing; without it most histories have nothing to lose."""


def histories(most: int) -> st.SearchStrategy[list[tuple[object, ...]]]:
    """An opening, or none, then up to `most` steps, then lines that nobody has seen."""
    ending = st.tuples(st.tuples(st.just("write"), st.integers(1, 90)))
    parts = st.tuples(st.one_of(OPENING, st.just(())), st.lists(STEP, max_size=most), st.one_of(ending, st.just(())))
    return parts.map(lambda parts: [*parts[0], *parts[1], *parts[2]])


CUTS = st.tuples(st.sampled_from([0, 1, 30, 1000, 4096]), st.booleans())


def play(steps: list[tuple[object, ...]], cut: tuple[int, bool]) -> History:
    history = History()
    for name, *arguments in steps:
        getattr(history, str(name))(*arguments)
    history.cut(*cut)
    return history


def decided(history: History, agent: str, policy: Policy, root: Path) -> Decision:
    kind, write = WRITERS[agent]
    inodes = history.put(root)
    (root / "state").mkdir()
    write(root / "state", history.saved)
    source = Source(MOUNT_POINT, ("log/*.log",), (Agent(kind, "state"),))
    return decide(DirectoryTree(root, inodes), source, policy)


def lost(history: History, decision: Decision) -> set[bytes]:
    shipped = [(segment.file.path, segment.start, segment.end) for segment in decision.segments]
    return history.undelivered() - shipped_lines(history, shipped)


@pytest.mark.parametrize("agent", WRITERS)
@pytest.mark.parametrize("policy", [Policy(), TRUSTING], ids=["hints are shipped", "what was read is left out"])
@settings(max_examples=60, deadline=None)
@given(steps=histories(8), cut=CUTS)
def test_every_line_on_the_volume_that_was_not_delivered_is_shipped(
    agent: str, policy: Policy, steps: list[tuple[object, ...]], cut: tuple[int, bool]
) -> None:
    history = play(steps, cut)
    with tempfile.TemporaryDirectory() as root:
        assert not lost(history, decided(history, agent, policy, Path(root)))


@pytest.mark.slow
@pytest.mark.parametrize("agent", WRITERS)
@settings(max_examples=1000, deadline=None)
@given(steps=histories(25), cut=CUTS)
def test_no_line_is_left_out_after_long_histories(
    agent: str, steps: list[tuple[object, ...]], cut: tuple[int, bool]
) -> None:
    history = play(steps, cut)
    with tempfile.TemporaryDirectory() as root:
        assert not lost(history, decided(history, agent, TRUSTING, Path(root)))


@settings(max_examples=60, deadline=None)
@given(steps=histories(8), cut=CUTS)
def test_the_ranges_of_every_file_are_the_whole_file(steps: list[tuple[object, ...]], cut: tuple[int, bool]) -> None:
    history = play(steps, cut)
    with tempfile.TemporaryDirectory() as root:
        decision = decided(history, "filebeat, by fingerprint", Policy(), Path(root))
    assert [each.file.path for each in decision.files] == sorted(history.files)
    for each in decision.files:
        ends = [0, *(segment.end for segment in each.segments)]
        assert [segment.start for segment in each.segments] == ends[:-1]
        assert ends[-1] + each.trailing_nul_bytes == each.file.size


def test_the_generated_histories_can_find_a_loss(tmp_path: Path) -> None:
    """A rotation that a state has missed: who believes in names loses the beginning of the new file."""
    steps: list[tuple[object, ...]] = [("write", 40), ("deliver", 1.0), ("save",), ("rotate",), ("write", 60)]
    history = play(steps, (0, False))
    believing = Policy(ship_read=False, ship_unproven=False)
    assert lost(history, decided(history, "promtail", believing, tmp_path))


def test_what_was_acknowledged_of_a_known_file_is_not_shipped_again(tmp_path: Path) -> None:
    """Renamed, then compressed: its content shows that it is the file that was sent."""
    steps: list[tuple[object, ...]] = [("write", 60), ("deliver", 1.0), ("save",), ("rotate",), ("compress", ".gz")]
    history = play([*steps, ("write", 5)], (0, False))
    decision = decided(history, "filebeat, by fingerprint", Policy(), tmp_path)
    assert [segment.file.path for segment in decision.segments] == ["log/app.log"]
