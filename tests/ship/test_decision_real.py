"""Decisions about what real agents and a real power cut have left, checked line by line."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from spotwatch.core.volume import Agent, AgentKind
from spotwatch.ship.decision import Decision, Policy, Reason, Source, decide
from tests.ship.data import needs_data, shared, unpack, unpack_image
from tests.ship.directory_tree import DirectoryTree

LINE = re.compile(rb"([0-9]{10}) (app|ct) ([xy]*)")


def bytes_of(decision: Decision, root: Path, path: str) -> bytes:
    """What is shipped of a file."""
    content = (root / path).read_bytes()
    return b"".join(content[each.start : each.end] for each in decision.segments if each.file.path == path)


@pytest.fixture(scope="module")
def rsyslog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(shared("agents", "rsyslog.tar.zst"), tmp_path_factory.mktemp("rsyslog")) / "rsyslog"


def rsyslog_decision(root: Path, policy: Policy) -> Decision:
    noted = json.loads((root / "inodes.json").read_text())
    inodes = {path.removeprefix("vol/"): known["inode"] for path, known in noted.items()}
    source = Source("/mnt/logs", ("log/*.log",), (Agent(AgentKind.RSYSLOG, "state"),))
    return decide(DirectoryTree(root / "vol", inodes), source, policy)


@needs_data
def test_of_a_reused_inode_s_two_positions_the_right_one_is_believed(rsyslog: Path) -> None:
    decision = rsyslog_decision(rsyslog, Policy())
    assert not decision.anomalies
    hints = {hint.file.path: hint.end for hint in decision.hints}
    assert hints["log/app.log"] == 232_850
    assert hints["log/ct.log"] == 276_462
    assert "log/ct.log.1" not in hints
    assert "log/app.log.2" not in hints
    assert len(decision.refuted) == 3


@needs_data
@pytest.mark.parametrize("policy", [Policy(), Policy(ship_read=False)])
def test_no_line_that_rsyslog_had_not_delivered_is_left_out(policy: Policy, rsyslog: Path) -> None:
    decision = rsyslog_decision(rsyslog, policy)
    delivered = set((rsyslog / "out" / "shipped.txt").read_bytes().split(b"\n"))
    undelivered = set[bytes]()
    for path in sorted((rsyslog / "vol" / "log").iterdir()):
        here = set(path.read_bytes().split(b"\n")) - delivered
        shipped = set(bytes_of(decision, rsyslog / "vol", f"log/{path.name}").split(b"\n"))
        assert here <= shipped
        undelivered |= here
    assert len(undelivered) > 29  # those of ct.log.1 among them


class Journalctl:
    """The machine's own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def available(self) -> bool:
        return shutil.which("journalctl") is not None

    @contextmanager
    def entries(self, directory: str, cursor: str) -> Iterator[BinaryIO]:
        command = ["journalctl", "--directory", str(self.root / directory), f"--after-cursor={cursor}", "-o", "export"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            yield cast(BinaryIO, process.stdout)


@needs_data
@pytest.mark.skipif(shutil.which("journalctl") is None, reason="there is no journalctl")
def test_the_499_entries_after_the_real_cursor_are_to_be_exported(tmp_path: Path) -> None:
    root = unpack(shared("agents", "journald.tar.zst"), tmp_path)
    export = Journalctl(root)
    source = Source("/mnt/logs", ("**/*.journal",), (Agent(AgentKind.JOURNALD, "journald/cursor.txt"),))
    decision = decide(DirectoryTree(root), source, journal_export=export)
    assert [segment.reason for segment in decision.files[0].segments] == [Reason.JOURNAL]
    (journal,) = decision.journals
    with export.entries(journal.directory, journal.cursor) as stream:
        messages = re.findall(rb"^MESSAGE=line ([0-9]{6})$", stream.read(), re.MULTILINE)
    assert [int(number) for number in messages] == list(range(502, 1001))


@pytest.fixture(scope="module", params=["ext4", "xfs"])
def volume(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A copy of a real volume, its journal replayed by an ordinary mount."""
    if os.geteuid() != 0:
        pytest.skip("mounting a real volume needs root")
    if not shutil.which("mount"):
        pytest.skip("there is no mount")
    filesystem = str(request.param)
    scratch = tmp_path_factory.mktemp(filesystem)
    image = unpack_image(shared("volumes", f"{filesystem}-T25.img.zst"), scratch / "volume.img")
    root = scratch / "root"
    root.mkdir()
    options = "loop,nodev,nosuid,noexec" + (",nouuid" if filesystem == "xfs" else "")
    mounted = subprocess.run(["mount", "-o", options, image, root], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    try:
        yield root, filesystem
    finally:
        subprocess.run(["umount", root], check=True)


def fluent_bit(root: Path, filesystem: str, policy: Policy) -> Decision:
    agents = (Agent(AgentKind.FLUENT_BIT, "state"),)
    return decide(DirectoryTree(root), Source(f"/mnt/logs-{filesystem}", ("log/*.log",), agents), policy)


@needs_data
@pytest.mark.slow
@pytest.mark.root
@pytest.mark.parametrize("policy", [Policy(), Policy(ship_read=False)])
def test_every_line_of_a_real_volume_that_was_not_delivered_is_shipped(
    policy: Policy, volume: tuple[Path, str]
) -> None:
    root, filesystem = volume
    decision = fluent_bit(root, filesystem, policy)
    truth = json.loads(shared("volumes", f"{filesystem}-T25.truth.json").read_text())
    delivered = {
        (kind, number)
        for kind, step in ((b"app", 1), (b"ct", 7))
        for first, last in truth[f"delivered_{kind.decode()}_runs"]
        for number in range(first, last + 1, step)
    }
    held = [path for path in sorted((root / "log").iterdir()) if path.is_file()]
    there = lines_in(b"".join(path.read_bytes() for path in held))
    shipped = lines_in(b"".join(bytes_of(decision, root, f"log/{path.name}") for path in held))
    assert len(there) > 60_000
    assert there - delivered <= shipped


def lines_in(content: bytes) -> set[tuple[bytes, int]]:
    """The whole lines, each checked against its own number."""
    matches = (LINE.fullmatch(line) for line in content.split(b"\n"))
    found = [(match[2], int(match[1]), match[3]) for match in matches if match]
    return {(kind, number) for kind, number, filler in found if len(filler) == number % (150 if kind == b"app" else 90)}


@needs_data
@pytest.mark.slow
@pytest.mark.root
def test_real_databases_are_read_with_what_only_their_wal_holds(volume: tuple[Path, str]) -> None:
    root, filesystem = volume
    decision = fluent_bit(root, filesystem, Policy())
    assert not decision.anomalies
    hints = {hint.file.path: hint.end for hint in decision.hints}
    expected = {"ext4": ("log/app.log.1", 597_654), "xfs": ("log/app.log.1", 142_400)}
    path, offset = expected[filesystem]
    assert hints[path] == offset
    assert {each.file.path for each in decision.files if each.file.path.startswith("state/")} == {
        path for path in (str(each.relative_to(root)) for each in (root / "state").rglob("*")) if is_buffer(root, path)
    }


def is_buffer(root: Path, path: str) -> bool:
    return (root / path).is_file() and not path.startswith("state/tail.db")
