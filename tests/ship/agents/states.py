"""State files as the agents write them, from positions that a test has made up."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from spotwatch.core.volume import AgentKind
from spotwatch.ship.agents.evidence import crc64
from spotwatch.ship.agents.siphash import siphash_2_4

MOUNT_POINT = "/mnt/logs"


@dataclass(frozen=True, slots=True)
class Followed:
    """A file as an agent knew it when it wrote its state.

    Attributes:
        path: relative to the root of the volume.
        inode: its number.
        content: all of it at that time.
        offset: how much the agent has done.
    """

    path: str
    inode: int
    content: bytes
    offset: int

    @property
    def absolute(self) -> str:
        return f"{MOUNT_POINT}/{self.path}"


def write_fluentd(directory: Path, files: Sequence[Followed]) -> None:
    lines = [f"{file.absolute}\t{file.offset:016x}\t{file.inode:016x}\n" for file in files]
    (directory / "app.pos").write_text("".join(lines))


def write_fluent_bit(directory: Path, files: Sequence[Followed]) -> None:
    with sqlite3.connect(directory / "tail.db") as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(
            "CREATE TABLE in_tail_files (id INTEGER PRIMARY KEY, name TEXT NOT NULL, offset INTEGER, inode INTEGER, "
            "created INTEGER, rotated INTEGER DEFAULT 0, offset_marker INTEGER DEFAULT 0, "
            "offset_marker_size INTEGER DEFAULT 0)"
        )
        for file in files:
            marked = file.content[max(0, file.offset - 32) : file.offset]
            marker = xxhash.xxh3_64_intdigest(marked) if marked else 0
            row = (file.absolute, file.offset, file.inode, _signed(marker), len(marked))
            database.execute(
                "INSERT INTO in_tail_files (name, offset, inode, offset_marker, offset_marker_size) "
                "VALUES (?, ?, ?, ?, ?)",
                row,
            )
    database.close()


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def write_rsyslog(directory: Path, files: Sequence[Followed]) -> None:
    for file in files:
        head = file.content[:512]
        fingerprint = f":{siphash_2_4(bytes(range(16)), head).hex()}" if len(head) == 512 else ""
        said = {"filename": file.absolute, "prev_was_nl": 0, "curr_offs": file.offset, "strt_offs": file.offset}
        (directory / f"imfile-state:{file.inode}{fingerprint}").write_text(json.dumps(said))


def write_vector(directory: Path, files: Sequence[Followed]) -> None:
    checkpoints = [
        {"fingerprint": {"first_lines_checksum": crc64(line + b"\n")}, "position": file.offset, "modified": "-"}
        for file in files
        for line, newline, _ in [file.content.partition(b"\n")]
        if newline
    ]
    (directory / "checkpoints.json").write_text(json.dumps({"version": "1", "checkpoints": checkpoints}))


def write_filebeat_native(directory: Path, files: Sequence[Followed]) -> None:
    _write_registry(directory, {f"filebeat::logs::native::{file.inode}-64768": file for file in files})


def write_filebeat_fingerprint(directory: Path, files: Sequence[Followed]) -> None:
    known = [file for file in files if len(file.content) >= 1024]
    keys = {hashlib.sha256(file.content[:1024]).hexdigest(): file for file in known}
    _write_registry(directory, {f"filestream::app::fingerprint::{key}": file for key, file in keys.items()})


def _write_registry(directory: Path, files: dict[str, Followed]) -> None:
    (directory / "meta.json").write_text('{"version":"1"}')
    lines = list[str]()
    for number, (key, file) in enumerate(files.items(), 1):
        said = {"cursor": {"offset": file.offset}, "meta": {"source": file.absolute}}
        lines += [json.dumps({"op": "set", "id": number}), json.dumps({"k": key, "v": said})]
    (directory / "log.json").write_text("".join(f"{line}\n" for line in lines))


def write_cloudwatch_agent(directory: Path, files: Sequence[Followed]) -> None:
    for file in files:
        name = file.absolute.replace("/", "_").replace(":", "_").replace(" ", "_")
        ranges = f"\n0-{file.offset}" if file.offset else ""
        (directory / name).write_text(f"{file.offset}\n{file.absolute}{ranges}")


def write_promtail(directory: Path, files: Sequence[Followed]) -> None:
    lines = [f'  {file.absolute}: "{file.offset}"\n' for file in files]
    (directory / "positions.yaml").write_text("positions:\n" + "".join(lines) if files else "positions: {}\n")


Writer = Callable[[Path, Sequence[Followed]], None]

WRITERS: dict[str, tuple[AgentKind, Writer]] = {
    "fluentd": (AgentKind.FLUENTD, write_fluentd),
    "fluent-bit": (AgentKind.FLUENT_BIT, write_fluent_bit),
    "rsyslog": (AgentKind.RSYSLOG, write_rsyslog),
    "vector": (AgentKind.VECTOR, write_vector),
    "filebeat, by inode": (AgentKind.FILEBEAT, write_filebeat_native),
    "filebeat, by fingerprint": (AgentKind.FILEBEAT, write_filebeat_fingerprint),
    "cloudwatch-agent": (AgentKind.CLOUDWATCH_AGENT, write_cloudwatch_agent),
    "promtail": (AgentKind.PROMTAIL, write_promtail),
}
"""Each way in which an agent names files, and what writes its state into a directory."""
