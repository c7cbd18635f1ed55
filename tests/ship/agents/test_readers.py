"""The readers against samples of each form, and against whatever a power cut or an attacker may have left."""

import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotwatch.core.volume import AgentKind
from spotwatch.ship.agents import READERS
from spotwatch.ship.agents.evidence import FirstKilobyte, FirstLines
from spotwatch.ship.position import AgentState, Meaning, Range
from tests.ship.agents.states import WRITERS, Followed
from tests.ship.data import needs_data, shared, unpack
from tests.ship.directory_tree import DirectoryTree

CURSOR = (
    "s=044c2c9f8d1a477f8208a24b94ec84c4;i=1f5;b=0123456789abcdef0123456789abcdef;"
    "m=53f048;t=65bfeda2d8508;x=df6edc364b388374"
)
NAMES = {
    AgentKind.FLUENTD: "app.pos",
    AgentKind.FLUENT_BIT: "tail.db",
    AgentKind.VECTOR: "checkpoints.json",
    AgentKind.FILEBEAT: "log.json",
    AgentKind.RSYSLOG: "imfile-state:12:0011223344556677",
    AgentKind.CLOUDWATCH_AGENT: "_mnt_logs_app.log",
    AgentKind.PROMTAIL: "positions.yaml",
    AgentKind.JOURNALD: "cursor.txt",
}
FILES = [
    Followed("log/app.log", 12, b"a line of the log\n" * 200, 1800),
    Followed("log/b.log", 13, b"b\n" * 2000, 4000),
]


def read(root: Path, kind: AgentKind, state: str = "state") -> AgentState:
    return READERS[kind](DirectoryTree(root), state)


def said(root: Path, kind: AgentKind, content: bytes, name: str = "") -> AgentState:
    """What the reader makes of one state file with this content."""
    (root / "state").mkdir(exist_ok=True)
    (root / "state" / (name or NAMES[kind])).write_bytes(content)
    return read(root, kind)


def test_every_agent_has_a_reader() -> None:
    assert set(READERS) == set(AgentKind)


@pytest.mark.parametrize("kind", AgentKind)
def test_a_state_that_is_not_there_is_an_anomaly(kind: AgentKind, tmp_path: Path) -> None:
    state = read(tmp_path, kind)
    assert state.anomalies
    assert not state.positions


@pytest.mark.parametrize("kind", AgentKind)
def test_a_state_that_cannot_be_read_is_an_anomaly(kind: AgentKind, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    path = f"state/{NAMES[kind]}"
    (tmp_path / path).write_bytes(b"SQLite format 3\0")
    state = READERS[kind](DirectoryTree(tmp_path, unreadable=frozenset([path])), path)
    assert state.anomalies
    assert not state.positions


@pytest.mark.parametrize("agent", WRITERS)
def test_a_state_says_how_far_the_agent_has_come(agent: str, tmp_path: Path) -> None:
    kind, write = WRITERS[agent]
    (tmp_path / "state").mkdir()
    write(tmp_path / "state", FILES)
    state = read(tmp_path, kind)
    assert {position.done for position in state.positions} == {(Range(0, 1800),), (Range(0, 4000),)}
    assert not state.anomalies
    assert all(path.startswith("state/") for path in state.own_files)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(AgentKind), content=st.binary(max_size=300), start=st.sampled_from([b"", b"SQLite format 3\0"])
)
def test_no_content_of_a_state_file_makes_a_reader_raise(
    kind: AgentKind, content: bytes, start: bytes, tmp_path: Path
) -> None:
    state = said(tmp_path, kind, start + content)
    assert all(position.end <= 2**63 for position in state.positions)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(data=st.data(), agent=st.sampled_from(sorted(WRITERS)))
def test_a_torn_state_never_says_more_than_the_whole_one(
    data: st.DataObject, agent: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Cut off anywhere, or with NUL bytes from there on, as file systems leave it."""
    kind, write = WRITERS[agent]
    root = tmp_path_factory.mktemp("torn")
    (root / "state").mkdir()
    write(root / "state", FILES)
    whole = {(each.inode, each.path): each.end for each in read(root, kind).positions}
    path = data.draw(st.sampled_from(sorted((root / "state").iterdir())))
    text = path.read_bytes()
    cut = data.draw(st.integers(0, len(text)))
    path.write_bytes(text[:cut] + b"\0" * data.draw(st.sampled_from([0, len(text) - cut])))
    for position in read(root, kind).positions:
        known = whole.get((position.inode, position.path))
        assert known is not None or position.path not in {file.absolute for file in FILES}
        assert known is None or position.end <= known


def test_fluentd_s_later_line_about_a_path_wins_and_unwatched_files_say_nothing(tmp_path: Path) -> None:
    lines = ["/l/a\t0000000000000010\t0000000000000001", "/l/b\tffffffffffffffff\t0000000000000002"]
    lines += ["/l/a\t0000000000000020\t0000000000000003", "/l/c\t00000000000"]
    state = said(tmp_path, AgentKind.FLUENTD, "\n".join(lines).encode())
    assert [(each.path, each.end, each.inode) for each in state.positions] == [("/l/a", 32, 3)]
    assert state.anomalies == ("state/app.pos: 1 lines are torn or no positions",)


def test_fluentd_s_chunks_are_buffers_and_their_metadata_are_not(tmp_path: Path) -> None:
    (tmp_path / "state" / "buffer").mkdir(parents=True)
    chunk = f"state/buffer/app.b{'0' * 32}.log"
    (tmp_path / chunk).write_bytes(b"records")
    (tmp_path / f"{chunk}.meta").write_bytes(b"\x81")
    state = said(tmp_path, AgentKind.FLUENTD, b"/l/a\t0000000000000010\t0000000000000001\n")
    assert state.buffers == (chunk,)
    assert f"{chunk}.meta" in state.own_files
    assert READERS[AgentKind.FLUENTD](DirectoryTree(tmp_path), "state/app.pos").buffers == (chunk,)


def test_fluent_bit_s_rows_that_are_in_the_wal_alone_are_read(tmp_path: Path) -> None:
    """As after a power cut: nothing has been checkpointed into the database."""
    (tmp_path / "live").mkdir()
    (tmp_path / "state").mkdir()
    database = sqlite3.connect(tmp_path / "live" / "tail.db")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE in_tail_files (id INTEGER PRIMARY KEY, name TEXT, offset INTEGER, inode INTEGER)")
    database.execute("INSERT INTO in_tail_files (name, offset, inode) VALUES ('/mnt/logs/a.log', 77, 5)")
    database.commit()
    for name in ("tail.db", "tail.db-wal"):
        (tmp_path / "state" / name).write_bytes((tmp_path / "live" / name).read_bytes())
    (tmp_path / "state" / "tail.db-shm").write_bytes(b"\0\0\0")
    database.close()
    state = read(tmp_path, AgentKind.FLUENT_BIT)
    assert [(each.path, each.end, each.inode) for each in state.positions] == [("/mnt/logs/a.log", 77, 5)]
    assert set(state.own_files) == {"state/tail.db", "state/tail.db-wal", "state/tail.db-shm"}
    assert (tmp_path / "state" / "tail.db-shm").read_bytes() == b"\0\0\0"


def test_a_row_that_is_no_position_is_an_anomaly(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    database = sqlite3.connect(tmp_path / "state" / "tail.db")
    database.execute("CREATE TABLE in_tail_files (name, offset, inode)")
    database.execute(
        "INSERT INTO in_tail_files VALUES ('/l/a', 'far', 1), ('/l/b', -1, 2), (NULL, 3, 3), ('/l/d', 4, 4)"
    )
    database.commit()
    database.close()
    state = read(tmp_path, AgentKind.FLUENT_BIT)
    assert [each.path for each in state.positions] == ["/l/d"]
    assert len(state.anomalies) == 3


def test_fluent_bit_s_chunks_are_buffers_and_other_databases_are_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "state" / "storage").mkdir(parents=True)
    (tmp_path / "state" / "storage" / "1-2.flb").write_bytes(b"\xc1\x00chunk")
    database = sqlite3.connect(tmp_path / "state" / "other.db")
    database.execute("CREATE TABLE other (x)")
    database.close()
    assert read(tmp_path, AgentKind.FLUENT_BIT).buffers == ("state/other.db", "state/storage/1-2.flb")


def test_vector_s_newer_checkpoints_win_and_torn_ones_do_not(tmp_path: Path) -> None:
    def text(position: int) -> bytes:
        checkpoint = {"fingerprint": {"first_line_checksum": 2**64 - 1}, "position": position, "modified": "-"}
        return json.dumps({"version": "1", "checkpoints": [checkpoint]}).encode()

    said(tmp_path, AgentKind.VECTOR, text(10))
    newer = said(tmp_path, AgentKind.VECTOR, text(20), "checkpoints.new.json")
    assert [(each.end, each.evidence) for each in newer.positions] == [(20, (FirstLines(2**64 - 1),))]
    torn = said(tmp_path, AgentKind.VECTOR, text(20)[:-3], "checkpoints.new.json")
    assert [each.end for each in torn.positions] == [10]
    assert len(torn.anomalies) == 1


def operations(*numbers: int, key: str = "filestream::a::native::7-1") -> bytes:
    lines = [f'{{"op":"set","id":{n}}}\n{{"k":"{key}","v":{{"cursor":{{"offset":{n * 10}}}}}}}\n' for n in numbers]
    return "".join(lines).encode()


@pytest.mark.parametrize(
    ("log", "end", "anomalies"),
    [
        (operations(5, 6, 7), 70, 0),
        (operations(6, 8), 60, 1),
        (operations(6, 7)[:-4], 60, 1),
        (operations(7), 50, 1),
        (operations(3, 4), 50, 0),
        (operations(6) + b'{"op":"remove","id":7}\n{"k":"filestream::a::native::7-1"}\n', None, 0),
        (operations(6) + b"\0" * 100, 60, 0),
    ],
    ids=["in order", "a gap", "torn", "a gap at once", "all older", "removed", "NUL bytes at the end"],
)
def test_filebeat_s_operations_are_believed_up_to_the_first_gap(
    log: bytes, end: int | None, anomalies: int, tmp_path: Path
) -> None:
    said(tmp_path, AgentKind.FILEBEAT, b'{"version":"1"}', "meta.json")
    snapshot = '[{"_key":"filestream::a::native::7-1","cursor":{"offset":50}}]'
    said(tmp_path, AgentKind.FILEBEAT, b"[]", "4.json")
    said(tmp_path, AgentKind.FILEBEAT, snapshot.encode(), "5.json")
    state = said(tmp_path, AgentKind.FILEBEAT, log)
    assert [each.end for each in state.positions] == ([end] if end else [])
    assert all(each.meaning is Meaning.ACKNOWLEDGED for each in state.positions)
    assert len(state.anomalies) == anomalies


def test_filebeat_s_fingerprint_is_evidence(tmp_path: Path) -> None:
    said(tmp_path, AgentKind.FILEBEAT, b'{"version":"1"}', "meta.json")
    state = said(tmp_path, AgentKind.FILEBEAT, operations(1, key=f"filestream::a::fingerprint::{'ab' * 32}"))
    assert state.positions[0].evidence == (FirstKilobyte("ab" * 32),)
    assert state.positions[0].inode is None


@pytest.mark.parametrize(
    ("text", "done", "meaning"),
    [
        (b"2760\n/l/a\n100-1056,1640-2760", (Range(100, 1056), Range(1640, 2760)), Meaning.ACKNOWLEDGED),
        (b"2760\n/l/a\n1640-2760,100-1056,0-100", (Range(0, 1056), Range(1640, 2760)), Meaning.ACKNOWLEDGED),
        (b"2760\n/l/a", (Range(0, 2760),), Meaning.READ),
        (b"2760\n/l/a\n100-1056,1640-", None, None),
        (b"2760\n/l/a\n100-1056,1640-27", None, None),
        (b"27", None, None),
    ],
    ids=["gaps", "not in order", "without ranges", "endless", "torn", "only a number"],
)
def test_the_cloudwatch_agent_s_ranges_are_what_it_has_sent(
    text: bytes, done: tuple[Range, ...] | None, meaning: Meaning | None, tmp_path: Path
) -> None:
    state = said(tmp_path, AgentKind.CLOUDWATCH_AGENT, text)
    assert [(each.done, each.meaning) for each in state.positions] == ([(done, meaning)] if done else [])
    assert len(state.anomalies) == (0 if done else 1)


def test_an_empty_state_of_the_cloudwatch_agent_says_nothing_and_is_no_anomaly(tmp_path: Path) -> None:
    assert said(tmp_path, AgentKind.CLOUDWATCH_AGENT, b"").anomalies == ()


def test_alloy_s_positions_have_a_path_with_labels_as_key(tmp_path: Path) -> None:
    text = b'positions:\n  ? path: /l/a.log\n    labels: \'{job="a"}\'\n  : "42"\n'
    state = said(tmp_path, AgentKind.PROMTAIL, text, "positions.yml")
    assert [(each.path, each.end) for each in state.positions] == [("/l/a.log", 42)]


@pytest.mark.parametrize("text", [b"positions: " + b"[" * 100_000, b"positions: " + b"{a: " * 100_000])
def test_positions_that_are_nested_without_end_are_an_anomaly(text: bytes, tmp_path: Path) -> None:
    assert said(tmp_path, AgentKind.PROMTAIL, text).anomalies


@pytest.mark.parametrize(
    ("text", "cursor"),
    [
        (CURSOR, CURSOR),
        (f"# This is private data. Do not parse.\nLAST_CURSOR={CURSOR}\n", CURSOR),
        (CURSOR[:-1] + "\n", CURSOR[:-1]),
        (CURSOR[:90], None),
        ("", None),
    ],
)
def test_a_cursor_is_taken_whole_or_not_at_all(text: str, cursor: str | None, tmp_path: Path) -> None:
    state = said(tmp_path, AgentKind.JOURNALD, text.encode())
    assert state.cursor == cursor
    assert len(state.anomalies) == (0 if cursor else 1)


@needs_data
def test_the_small_examples_of_the_projects_forms_are_read() -> None:
    tree = DirectoryTree(shared("agents", "formats"))

    def positions(kind: AgentKind, name: str) -> list[tuple[int | None, str | None, int]]:
        state = READERS[kind](tree, name)
        assert not state.anomalies
        return [(each.inode, each.path, each.end) for each in state.positions]

    assert positions(AgentKind.FLUENTD, "fluentd.pos") == [(0x27C425, "/var/log/app.log", 0xF7F5E)]
    log = "/home/elastic/beats/filebeat/contaner-log-file.log"
    assert positions(AgentKind.FILEBEAT, "filebeat-log.json") == [(13643776, log, 8900)]
    assert positions(AgentKind.CLOUDWATCH_AGENT, "cloudwatch-agent-_var_log_valid.log") == [(None, "valid.log", 2760)]
    assert positions(AgentKind.PROMTAIL, "promtail-positions.yaml") == [(None, "/log/path/random.log", 17623)]
    assert positions(AgentKind.VECTOR, "vector-checkpoints.json") == [(None, None, 1234), (2, None, 1234)]


@needs_data
def test_the_real_cursor_is_read(tmp_path: Path) -> None:
    root = unpack(shared("agents", "journald.tar.zst"), tmp_path)
    assert READERS[AgentKind.JOURNALD](DirectoryTree(root), "journald/cursor.txt").cursor == CURSOR
