"""``spotwatch logs``: what was shipped comes back, and nothing that is shipped can lead out of a directory."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spotwatch import cli
from spotwatch.ship.decision import Decision, FileDecision, Policy, Reason, Segment, Source, decide
from spotwatch.ship.destination import Directory
from spotwatch.ship.manifest import Manifest
from spotwatch.ship.shipper import Origin, Shipment, publish
from spotwatch.ship.tree import LogFile
from tests.cli.conftest import command_line, environment
from tests.ship.directory_tree import DirectoryTree
from tests.ship.store import written

Logs = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "shipped"


@pytest.fixture
def logs(target: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Logs:
    """Run a command in this process."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(verb: str, *words: str) -> "subprocess.CompletedProcess[bytes]":
        argv = ("logs", verb, "--from", target.as_uri(), *words)
        try:
            code = cli.main(argv)
        except SystemExit as end:
            code = int(end.code or 0)
        return subprocess.CompletedProcess(argv, code, *capsysbinary.readouterr())

    return run


def ship(
    target: Path, tree: DirectoryTree, decision: Decision | None = None, volume: str = "vol-1", instance: str = "i-1"
) -> Manifest:
    shipment = Shipment(tree, Directory(target), workers=1)
    manifest = shipment.store(decision or decide(tree, Source("/")), Origin(volume, instance, {}, "plain"))
    publish(manifest, Directory(target))
    return manifest


@pytest.fixture
def shipped(tmp_path: Path, target: Path) -> dict[str, bytes]:
    """Two volumes of two instances."""
    one = {"app/a.log": b"a1\na2\n", "app/a.log.1": b"old\n", "empty.log": b"", "z.log": b"\xff\x00z"}
    two = {"app/a.log": b"other\n"}
    for name, files in (("one", one), ("two", two)):
        tree = written(tmp_path / name, **{path.replace("/", "__"): data for path, data in files.items()})
        ship(target, tree, volume=f"vol-{name}", instance=f"i-{name}")
    return one


def gone(target: Path, tmp_path: Path) -> None:
    """A file of which the beginning was acknowledged, with a hole, and another of which nothing was shipped."""
    tree = written(tmp_path / "v", a=b"0123456789", b=b"all of it")
    a, b = (tree.find(path) for path in "ab")
    assert a is not None
    assert b is not None
    decision = Decision(
        (
            FileDecision(
                a,
                (
                    Segment(a, 0, 4, Reason.ACKNOWLEDGED, shipped=False),
                    Segment(a, 4, 6, Reason.UNREAD),
                    Segment(a, 6, 8, Reason.HOLE, shipped=False),
                    Segment(a, 8, 10, Reason.READ),
                ),
            ),
            FileDecision(b, (Segment(b, 0, 9, Reason.ACKNOWLEDGED, shipped=False),)),
        )
    )
    ship(target, tree, decision)


class TestLs:
    @pytest.mark.usefixtures("shipped")
    def test_each_file_is_listed_below_its_instance_and_volume(self, logs: Logs) -> None:
        lines = logs("ls").stdout.decode().splitlines()
        assert lines[0] == "i-one  vol-one"
        assert [line.split()[-1] for line in lines[1:5]] == ["app/a.log", "app/a.log.1", "empty.log", "z.log"]
        assert lines[5] == "i-two  vol-two"

    @pytest.mark.usefixtures("shipped")
    def test_as_json_it_has_every_number(self, logs: Logs) -> None:
        told = json.loads(logs("ls", "--json", "--volume", "vol-two").stdout)
        assert [(one["path"], one["shipped_bytes"], one["not_shipped"]) for one in told] == [("app/a.log", 6, [])]

    def test_files_of_which_nothing_was_shipped_are_listed_if_asked(
        self, logs: Logs, target: Path, tmp_path: Path
    ) -> None:
        gone(target, tmp_path)
        assert b"(6 B not shipped)" in logs("ls").stdout
        assert b" b " not in logs("ls").stdout
        assert b" b  (9 B not shipped)" in logs("ls", "--all").stdout

    def test_a_file_with_two_names_is_found_by_each_and_told_under_both(
        self, logs: Logs, target: Path, tmp_path: Path
    ) -> None:
        tree = written(tmp_path / "v", app=b"a line\n")
        os.link(tmp_path / "v/app", tmp_path / "v/latest")
        ship(target, tree)
        assert logs("ls", "--path", "latest").stdout.endswith(b"  app, also latest\n")
        assert json.loads(logs("ls", "--json").stdout)[0]["other_names"] == ["latest"]
        assert logs("cat", "--path", "latest").stdout == b"a line\n"

    def test_a_destination_with_nothing_lists_nothing(self, logs: Logs) -> None:
        assert (logs("ls").returncode, logs("ls").stdout) == (0, b"")

    def test_a_hostile_name_does_nothing_to_the_terminal(self, logs: Logs, target: Path, tmp_path: Path) -> None:
        root = tmp_path / "v"
        root.mkdir()
        (root / "\x1b[2Jx\n.log").touch()
        Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9")).touch()
        ship(target, DirectoryTree(root))
        told = logs("ls").stdout
        assert b"\x1b" not in told
        assert rb"\x1b[2Jx\n.log" in told
        assert rb"caf\xe9" in told


class TestChoosing:
    @pytest.mark.parametrize(
        ("words", "found"),
        [
            (("--instance", "i-two"), b"other\n"),
            (("--volume", "vol-two"), b"other\n"),
            (("--path", "app/a.log"), b"a1\na2\nother\n"),
            (("--path", "**/a.log*", "--instance", "i-one"), b"a1\na2\nold\n"),
            (("--path", "*.log"), b"\xff\x00z"),
            (("--path", "app/*.1", "--path", "z.log"), b"old\n\xff\x00z"),
        ],
        ids=lambda words: " ".join(words) if isinstance(words, tuple) else "",
    )
    @pytest.mark.usefixtures("shipped")
    def test_cat_prints_what_matches(self, logs: Logs, words: tuple[str, ...], found: bytes) -> None:
        assert logs("cat", *words, *(() if "--path" in words else ("--all",))).stdout == found

    def test_all_is_every_byte_of_every_file(self, logs: Logs, shipped: dict[str, bytes]) -> None:
        assert logs("cat", "--all").stdout == b"".join(shipped.values()) + b"other\n"

    def test_since_leaves_out_what_was_changed_before(self, logs: Logs, target: Path, tmp_path: Path) -> None:
        tree = written(tmp_path / "v", new=b"new", old=b"old")
        os.utime(tmp_path / "v" / "old", (1_700_000_000, 1_700_000_000))
        ship(target, tree)
        assert logs("cat", "--all", "--since", "1d").stdout == b"new"
        assert logs("cat", "--all", "--since", "2023-11-14T22:13:20Z").stdout == b"newold"
        assert logs("cat", "--all", "--since", "2099-01-01").returncode == 64

    @pytest.mark.parametrize("verb", [("cat",), ("get", "--into", "/nonexistent/x")])
    @pytest.mark.usefixtures("shipped")
    def test_without_a_choice_nothing_is_printed(self, logs: Logs, verb: tuple[str, ...]) -> None:
        run = logs(*verb)
        assert (run.returncode, run.stdout) == (64, b"")
        assert b"give --path GLOB, or --all" in run.stderr

    @pytest.mark.usefixtures("shipped")
    def test_what_matches_nothing_is_64(self, logs: Logs) -> None:
        assert logs("cat", "--path", "nothing").returncode == 64

    @pytest.mark.parametrize("since", ["yesterday", "5", ""])
    def test_a_time_that_is_none_is_64(self, logs: Logs, since: str) -> None:
        assert logs("ls", "--since", since).returncode == 64


class TestCat:
    def test_what_was_not_shipped_is_told_on_standard_error(self, logs: Logs, target: Path, tmp_path: Path) -> None:
        gone(target, tmp_path)
        run = logs("cat", "--all")
        assert (run.returncode, run.stdout) == (0, b"4589")
        assert b"spotwatch: vol-1: a: bytes 0 to 4 were not shipped: acknowledged\n" in run.stderr

    @pytest.mark.usefixtures("shipped")
    def test_a_changed_object_is_69_and_named(self, logs: Logs, target: Path) -> None:
        (path,) = target.rglob("vol-one/*.zst")
        data = bytearray(path.read_bytes())
        data[8] ^= 1
        path.write_bytes(data)
        run = logs("cat", "--all")
        assert run.returncode == 69
        assert path.name.encode() in run.stderr

    @pytest.mark.usefixtures("shipped")
    def test_a_manifest_that_is_damaged_is_69(self, logs: Logs, target: Path) -> None:
        (path,) = target.rglob("vol-one/manifest-*")
        path.write_bytes(path.read_bytes()[:-20])
        assert logs("cat", "--all").returncode == 69

    @pytest.mark.usefixtures("shipped")
    def test_a_reader_that_stops_is_141(self, target: Path, tmp_path: Path) -> None:
        big = written(tmp_path / "big", big=os.urandom(300_000))
        ship(target, big, volume="vol-big")
        with subprocess.Popen(
            command_line("logs", "cat", "--all", "--from", target.as_uri()),
            env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.read(1)
            process.stdout.close()
            assert process.wait(60) == 141
            assert process.stderr.read() == b""


class TestGet:
    def test_files_are_as_they_were_with_their_times(
        self, logs: Logs, shipped: dict[str, bytes], tmp_path: Path
    ) -> None:
        run = logs("get", "--all", "--into", str(tmp_path / "got"))
        assert (run.returncode, run.stderr) == (0, b"")
        root = tmp_path / "got" / "i-one" / "vol-one"
        assert {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()} == shipped
        assert int((root / "z.log").stat().st_mtime) == int((tmp_path / "one" / "z.log").stat().st_mtime)

    @pytest.mark.usefixtures("shipped")
    def test_nothing_is_overwritten_and_the_rest_is_written(self, logs: Logs, tmp_path: Path) -> None:
        there = tmp_path / "got" / "i-one" / "vol-one" / "z.log"
        there.parent.mkdir(parents=True)
        there.write_bytes(b"mine")
        run = logs("get", "--all", "--into", str(tmp_path / "got"))
        assert (run.returncode, there.read_bytes()) == (1, b"mine")
        assert b"vol-one: z.log: File exists" in run.stderr
        assert (there.parent / "app" / "a.log").read_bytes() == b"a1\na2\n"
        assert not list((tmp_path / "got").rglob("*.part"))

    def test_what_was_not_shipped_is_left_out_and_noted_and_holes_stay_holes(
        self, logs: Logs, target: Path, tmp_path: Path
    ) -> None:
        gone(target, tmp_path)
        run = logs("get", "--all", "--into", str(tmp_path / "got"))
        assert run.returncode == 0
        assert (tmp_path / "got" / "i-1" / "vol-1" / "a").read_bytes() == b"45\0\x0089"
        noted = json.loads((tmp_path / "got" / "i-1" / "vol-1.gaps.json").read_text())
        assert noted == {"a": [{"start": 0, "end": 4, "reason": "acknowledged"}]}
        assert b"a: bytes 0 to 4 were not shipped" in run.stderr

    def test_a_sparse_file_is_sparse_again(self, logs: Logs, target: Path, tmp_path: Path) -> None:
        (tmp_path / "v").mkdir()
        with (tmp_path / "v" / "sparse").open("wb") as file:
            file.seek(1 << 33)
            file.write(b"end\n")
        ship(target, DirectoryTree(tmp_path / "v"))
        assert logs("get", "--all", "--into", str(tmp_path / "got")).returncode == 0
        status = (tmp_path / "got" / "i-1" / "vol-1" / "sparse").stat()
        assert status.st_size == (1 << 33) + 4
        assert status.st_blocks * 512 < 1 << 20

    @pytest.mark.parametrize(
        "path",
        ["../escaped", "a/../../escaped", "/tmp/escaped", "a//b", ".", "..", "a/.", "nul\0", "", "a/"],
    )
    def test_a_path_that_leads_out_is_not_written(self, logs: Logs, target: Path, tmp_path: Path, path: str) -> None:
        manifest = ship(target, written(tmp_path / "v", a=b"data", b=b"honest"))
        (stored,) = manifest.objects
        frames = tuple(replace(frame, path=path if frame.path == "a" else frame.path) for frame in stored.frames)
        files = tuple(replace(file, path=path if file.path == "a" else file.path) for file in manifest.files)
        publish(replace(manifest, files=files, objects=(replace(stored, frames=frames),)), Directory(target))
        before = set(tmp_path.rglob("*"))
        run = logs("get", "--all", "--into", str(tmp_path / "got"))
        assert run.returncode == 1
        assert b"it is left out" in run.stderr
        written_now = {found for found in set(tmp_path.rglob("*")) - before if found.is_file()}
        assert written_now == {tmp_path / "got" / "i-1" / "vol-1" / "b"}

    @pytest.mark.parametrize("name", ["..", "../..", "/", "a/b"])
    def test_an_instance_or_a_volume_that_leads_out_is_not_followed(
        self, logs: Logs, target: Path, tmp_path: Path, name: str
    ) -> None:
        manifest = ship(target, written(tmp_path / "v", a=b"data"))
        key = next(iter(target.rglob("manifest-*")))
        key.write_bytes(replace(manifest, instance=name, volume=name).encode())
        logs("get", "--all", "--into", str(tmp_path / "got" / "deep"))
        found = [path for path in tmp_path.rglob("a") if tmp_path / "v" not in path.parents]
        assert all(tmp_path / "got" / "deep" in path.parents for path in found)

    @pytest.mark.usefixtures("shipped")
    def test_a_link_in_the_directory_is_not_followed(self, logs: Logs, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "got" / "i-two").mkdir(parents=True)
        (tmp_path / "got" / "i-two" / "vol-two").symlink_to(tmp_path / "elsewhere")
        assert logs("get", "--all", "--into", str(tmp_path / "got")).returncode == 1
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_a_name_that_is_no_utf_8_is_the_same_bytes_again(self, logs: Logs, target: Path, tmp_path: Path) -> None:
        root = os.fsencode(tmp_path / "v")
        os.mkdir(root)
        with open(root + b"/caf\xe9", "wb") as file:
            file.write(b"x")
        ship(target, DirectoryTree(tmp_path / "v"))
        logs("get", "--all", "--into", str(tmp_path / "got"))
        assert os.listdir(os.fsencode(tmp_path / "got" / "i-1" / "vol-1")) == [b"caf\xe9"]

    @pytest.mark.usefixtures("shipped")
    def test_a_directory_that_cannot_be_made_is_73(self, logs: Logs, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert logs("get", "--all", "--into", str(tmp_path / "file" / "x")).returncode == 73


def test_an_export_of_a_journal_is_a_file_like_any_other(logs: Logs, target: Path, tmp_path: Path) -> None:
    tree = written(tmp_path / "v", **{"journal__after-cursor.export": b"__CURSOR=x\n"})
    log = tree.find("journal/after-cursor.export")
    assert isinstance(log, LogFile)
    ship(target, tree, Decision((FileDecision(log, (Segment(log, 0, log.size, Reason.JOURNAL),)),)))
    assert logs("cat", "--path", "**/*.export").stdout == b"__CURSOR=x\n"


def test_positions_that_were_believed_leave_a_gap_that_is_told(logs: Logs, target: Path, tmp_path: Path) -> None:
    """From the decision to the reader: nothing between them forgets what was left out."""
    tree = written(tmp_path / "v", log=b"one\ntwo\n")
    decision = decide(tree, Source("/"), Policy(ship_read=False))
    ship(target, tree, decision)
    assert logs("cat", "--all").stdout == b"one\ntwo\n"
