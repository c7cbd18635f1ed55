"""What is shipped, what is not and why, one rule at a time."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest

from spotwatch.core.volume import Agent, AgentKind
from spotwatch.ship.decision import Decision, Policy, Reason, Source, decide
from tests.ship.agents.states import (
    MOUNT_POINT,
    Followed,
    Writer,
    write_cloudwatch_agent,
    write_filebeat_fingerprint,
    write_filebeat_native,
    write_fluent_bit,
    write_rsyslog,
)
from tests.ship.directory_tree import DirectoryTree
from tests.ship.histories import COMPRESSIONS

LINES = b"".join(b"line %06d of a log\n" % number for number in range(1000))
CURSOR = "s=" + "0" * 32 + ";i=1f5;b=" + "1" * 32 + ";m=53f048;t=65bfeda2d8508;x=df6edc364b388374"


def put(root: Path, path: str, content: bytes) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content)


def told(decision: Decision) -> list[tuple[str, int, int, Reason, bool]]:
    return [(each.file.path, s.start, s.end, s.reason, s.shipped) for each in decision.files for s in each.segments]


def after(root: Path, kind: AgentKind, write: Writer, *files: Followed, policy: Policy | None = None) -> Decision:
    """The decision about a volume with one agent that has written this state."""
    (root / "state").mkdir(exist_ok=True)
    write(root / "state", files)
    tree = DirectoryTree(root, {file.path: file.inode for file in files})
    return decide(tree, Source(MOUNT_POINT, ("log/*.log",), (Agent(kind, "state"),)), policy)


def test_without_an_agent_everything_is_shipped_and_an_empty_file_is_told(tmp_path: Path) -> None:
    put(tmp_path, "log/app.log", LINES)
    put(tmp_path, "log/empty.log", b"")
    put(tmp_path, "other", b"x")
    assert told(decide(DirectoryTree(tmp_path), Source(MOUNT_POINT))) == [
        ("log/app.log", 0, len(LINES), Reason.UNREAD, True),
        ("log/empty.log", 0, 0, Reason.UNREAD, True),
        ("other", 0, 1, Reason.UNREAD, True),
    ]


def test_patterns_are_about_rotated_files_and_about_no_others(tmp_path: Path) -> None:
    for name in ("app.log", "app.log.1", "app.log-20260823.gz", "notes.txt", "app.logger"):
        put(tmp_path, f"log/{name}", b"x")
    decision = decide(DirectoryTree(tmp_path), Source(MOUNT_POINT, ("log/*.log",)))
    assert [each.file.path for each in decision.files] == ["log/app.log", "log/app.log-20260823.gz", "log/app.log.1"]


def test_what_was_acknowledged_of_a_file_that_is_known_by_its_content_is_not_shipped(tmp_path: Path) -> None:
    put(tmp_path, "log/app.log", LINES)
    known = Followed("log/app.log", 7, LINES, 5000)
    assert told(after(tmp_path, AgentKind.FILEBEAT, write_filebeat_fingerprint, known)) == [
        ("log/app.log", 0, 5000, Reason.ACKNOWLEDGED, False),
        ("log/app.log", 5000, len(LINES), Reason.UNREAD, True),
    ]


@pytest.mark.parametrize(("policy", "shipped"), [(Policy(), True), (Policy(ship_unproven=False), False)])
def test_what_was_acknowledged_of_an_inode_or_a_name_alone_is_a_hint(
    policy: Policy, shipped: bool, tmp_path: Path
) -> None:
    put(tmp_path, "log/app.log", LINES)
    known = Followed("log/app.log", 7, LINES, len(LINES))
    expected = [("log/app.log", 0, len(LINES), Reason.ACKNOWLEDGED_BY_NAME, shipped)]
    assert told(after(tmp_path, AgentKind.FILEBEAT, write_filebeat_native, known, policy=policy)) == expected
    (tmp_path / "state" / "log.json").unlink()
    assert told(after(tmp_path, AgentKind.CLOUDWATCH_AGENT, write_cloudwatch_agent, known, policy=policy)) == expected


@pytest.mark.parametrize(("policy", "shipped"), [(Policy(), True), (Policy(ship_read=False), False)])
def test_what_was_only_read_is_shipped_or_not_as_set_and_told_as_a_hint(
    policy: Policy, shipped: bool, tmp_path: Path
) -> None:
    put(tmp_path, "log/app.log", LINES)
    decision = after(tmp_path, AgentKind.RSYSLOG, write_rsyslog, Followed("log/app.log", 7, LINES, 5000), policy=policy)
    assert told(decision)[0] == ("log/app.log", 0, 5000, Reason.READ, shipped)
    assert [(hint.start, hint.end) for hint in decision.hints] == [(0, 5000)]


def test_a_position_beyond_the_end_is_not_believed(tmp_path: Path) -> None:
    """The file was truncated, or its inode number was used again."""
    put(tmp_path, "log/app.log", LINES[:3000])
    decision = after(tmp_path, AgentKind.RSYSLOG, write_rsyslog, Followed("log/app.log", 7, LINES, 5000))
    assert told(decision) == [("log/app.log", 0, 3000, Reason.UNREAD, True)]
    assert len(decision.refuted) == 1


def test_of_several_positions_that_agree_the_one_that_proves_least_counts(tmp_path: Path) -> None:
    put(tmp_path, "log/app.log", LINES)
    near, far = (Followed("log/app.log", 7, LINES, offset) for offset in (2000, 9000))
    write_at = tmp_path / "state"
    write_at.mkdir()
    write_fluent_bit(write_at, [near, far])
    tree = DirectoryTree(tmp_path, {"log/app.log": 7})
    agents = (Agent(AgentKind.FLUENT_BIT, "state"),)
    decision = decide(tree, Source(MOUNT_POINT, ("log/*.log",), agents), Policy(ship_read=False))
    assert told(decision)[0] == ("log/app.log", 0, 2000, Reason.READ, False)


def test_what_one_agent_has_sent_and_another_only_read_counts_as_read(tmp_path: Path) -> None:
    put(tmp_path, "log/app.log", LINES)
    (tmp_path / "read").mkdir()
    write_rsyslog(tmp_path / "read", [Followed("log/app.log", 7, LINES, 9000)])
    (tmp_path / "sent").mkdir()
    write_filebeat_fingerprint(tmp_path / "sent", [Followed("log/app.log", 7, LINES, 5000)])
    tree = DirectoryTree(tmp_path, {"log/app.log": 7})
    agents = (Agent(AgentKind.RSYSLOG, "read"), Agent(AgentKind.FILEBEAT, "sent"))
    assert told(decide(tree, Source(MOUNT_POINT, ("log/*.log",), agents)))[:2] == [
        ("log/app.log", 0, 5000, Reason.READ, True),
        ("log/app.log", 5000, len(LINES), Reason.UNREAD, True),
    ]


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS.keys())
@pytest.mark.parametrize(("offset", "shipped"), [(len(LINES), False), (len(LINES) - 1, True)])
def test_a_compressed_file_is_left_out_only_if_all_that_it_holds_was_acknowledged(
    offset: int, shipped: bool, compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    packed = compress(LINES)
    put(tmp_path, "log/app.log.1.packed", packed)
    put(tmp_path, "log/damaged.log.1.packed", packed[: len(packed) // 2])
    (tmp_path / "state").mkdir()
    write_filebeat_fingerprint(tmp_path / "state", [Followed("log/app.log", 7, LINES, offset)])
    agents = (Agent(AgentKind.FILEBEAT, "state"),)
    decision = decide(DirectoryTree(tmp_path), Source(MOUNT_POINT, ("log/*",), agents))
    reason = Reason.UNREAD if shipped else Reason.ACKNOWLEDGED
    assert told(decision)[0] == ("log/app.log.1.packed", 0, len(packed), reason, shipped)
    assert told(decision)[1][3:] == (Reason.UNREAD, True)


def test_files_that_begin_alike_are_shipped_when_nobody_knows_which_was_sent(tmp_path: Path) -> None:
    banner = b"#" * 2000 + b"\n"
    put(tmp_path, "log/a.log", banner + b"sent\n")
    put(tmp_path, "log/b.log", banner + b"new!\n")
    known = Followed("log/a.log", 7, banner + b"sent\n", len(banner) + 5)
    decision = after(tmp_path, AgentKind.FILEBEAT, write_filebeat_fingerprint, known)
    assert {segment.file.path for segment in decision.segments} == {"log/a.log", "log/b.log"}
    put(tmp_path, "log/b.log", banner + b"sent\nmore\n")  # a copy: what is done of one is done of the other
    decision = after(tmp_path, AgentKind.FILEBEAT, write_filebeat_fingerprint, known)
    assert [(segment.file.path, segment.start) for segment in decision.segments] == [("log/b.log", known.offset)]


def test_a_position_without_its_file_is_an_anomaly_and_one_of_another_volume_is_not(tmp_path: Path) -> None:
    put(tmp_path, "log/app.log", LINES)
    gone = Followed("log/gone.log", 99, LINES, 100)
    decision = after(tmp_path, AgentKind.RSYSLOG, write_rsyslog, gone)
    state_file = next(path.relative_to(tmp_path) for path in (tmp_path / "state").iterdir())
    assert decision.anomalies == (f"{state_file}: there is no inode 99, once /mnt/logs/log/gone.log",)
    state = {"filename": "/var/log/syslog", "prev_was_nl": 0, "curr_offs": 5, "strt_offs": 5}
    for path in (tmp_path / "state").iterdir():
        path.write_text(json.dumps(state))
    tree = DirectoryTree(tmp_path)
    assert not decide(tree, Source(MOUNT_POINT, (), (Agent(AgentKind.RSYSLOG, "state"),))).anomalies


def test_nul_bytes_at_the_end_of_a_text_are_counted_and_not_shipped(tmp_path: Path) -> None:
    put(tmp_path, "log/app.log", b"one\0\1two\n" * 100 + b"\0" * 700)
    put(tmp_path, "log/b.log", b"text\n" * 200 + b"\0" * 700)
    put(tmp_path, "log/c.log", b"\0" * 4096)
    put(tmp_path, "log/d.log.1.gz", b"\x1f\x8bwhatever" + b"\0" * 3)
    decision = decide(DirectoryTree(tmp_path), Source(MOUNT_POINT))
    assert [each.trailing_nul_bytes for each in decision.files] == [0, 700, 4096, 0]
    assert [(segment.start, segment.end) for segment in decision.segments] == [(0, 1600), (0, 1000), (0, 0), (0, 13)]


def test_the_holes_of_a_sparse_terabyte_are_told_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.log"
    with path.open("wb") as file:
        file.write(b"first\n")
        file.seek(2**39)
        file.write(b"middle\n")
        file.truncate(2**40)
    decision = decide(DirectoryTree(tmp_path), Source(MOUNT_POINT))
    assert sum(segment.end - segment.start for segment in decision.segments) < 1024 * 1024
    assert [s.reason for s in decision.files[0].segments] == [Reason.UNREAD, Reason.HOLE, Reason.UNREAD]
    assert decision.segments[-1].end == 2**39 + 7
    assert decision.files[0].trailing_nul_bytes == 2**40 - 2**39 - 7


def test_what_a_repair_has_left_without_a_name_is_shipped_and_is_an_anomaly(tmp_path: Path) -> None:
    put(tmp_path, "lost+found/#12", b"some log\n")
    decision = decide(DirectoryTree(tmp_path), Source(MOUNT_POINT, ("log/*.log",)))
    assert [segment.file.path for segment in decision.segments] == ["lost+found/#12"]
    assert decision.anomalies == ("lost+found/#12 has lost its name",)


def test_a_file_that_cannot_be_read_is_shipped_as_far_as_possible_and_is_an_anomaly(tmp_path: Path) -> None:
    put(tmp_path, "log/app.log", LINES)
    decision = decide(DirectoryTree(tmp_path, unreadable=frozenset(["log/app.log"])), Source(MOUNT_POINT))
    assert told(decision) == [("log/app.log", 0, len(LINES), Reason.UNREAD, True)]
    assert decision.anomalies == ("log/app.log cannot be read: Input/output error",)


@pytest.mark.parametrize(("chunk", "shipped"), [(b"\xc1\0records\0\0", False), (b"\0" * 4096, True)])
def test_an_agent_s_buffers_are_shipped_whole_and_if_they_are_gone_so_is_what_it_had_read(
    chunk: bytes, shipped: bool, tmp_path: Path
) -> None:
    put(tmp_path, "log/app.log", LINES)
    put(tmp_path, "state/storage/1.flb", chunk)
    known = Followed("log/app.log", 7, LINES, 5000)
    decision = after(tmp_path, AgentKind.FLUENT_BIT, write_fluent_bit, known, policy=Policy(ship_read=False))
    assert told(decision)[0] == ("log/app.log", 0, 5000, Reason.READ, shipped)
    assert told(decision)[-1] == ("state/storage/1.flb", 0, 0 if shipped else len(chunk), Reason.BUFFER, True)


class Exporter:
    """`journalctl`, if it is there."""

    def __init__(self, there: bool) -> None:
        self.there = there

    def available(self) -> bool:
        return self.there

    @contextmanager
    def entries(self, directory: str, cursor: str) -> Iterator[BinaryIO]:
        yield BytesIO(f"{directory} {cursor}".encode())


@pytest.mark.parametrize(("cursor", "there"), [(CURSOR, True), (CURSOR, False), ("torn", True)])
def test_a_journal_is_exported_from_its_cursor_or_shipped_whole(cursor: str, there: bool, tmp_path: Path) -> None:
    put(tmp_path, "journal/1/system.journal", b"LPKSHHRH" + b"\0" * 100)
    put(tmp_path, "state/cursor", cursor.encode())
    source = Source(MOUNT_POINT, ("journal/**",), (Agent(AgentKind.JOURNALD, "state/cursor"),))
    decision = decide(DirectoryTree(tmp_path), source, journal_export=Exporter(there))
    exported = there and cursor == CURSOR
    assert [(each.directory, each.cursor) for each in decision.journals] == [("journal/1", CURSOR)] * exported
    reason = Reason.JOURNAL if exported else Reason.UNREAD
    assert told(decision) == [("journal/1/system.journal", 0, 108, reason, not exported)]


@pytest.mark.parametrize("agent", AgentKind)
def test_a_label_that_points_an_agent_at_the_logs_themselves_hides_none_of_them(
    agent: AgentKind, tmp_path: Path
) -> None:
    for name in ("app.log", "b.log.1", "log.json", "42.json", "x.yaml", "cursors", "imfile.txt"):
        put(tmp_path, f"log/{name}", LINES)
    decision = decide(DirectoryTree(tmp_path), Source(MOUNT_POINT, (), (Agent(agent, "log"),)))
    assert {os.path.basename(segment.file.path) for segment in decision.segments} == {
        *("app.log", "b.log.1", "log.json", "42.json", "x.yaml", "cursors", "imfile.txt")
    }


def test_a_file_with_two_names_is_shipped_once_and_the_other_name_is_told(tmp_path: Path) -> None:
    put(tmp_path, "log/app.log", LINES)
    os.link(tmp_path / "log/app.log", tmp_path / "log/current.log")
    decision = decide(DirectoryTree(tmp_path), Source(MOUNT_POINT))
    assert [(file.file.path, file.other_names) for file in decision.files] == [("log/app.log", ("log/current.log",))]
