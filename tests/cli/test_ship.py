"""``spotwatch ship`` by hand: what is on a volume goes to a destination, whoever starts it however often."""

import contextlib
import json
import os
import signal
import subprocess
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from zstandard import ZstdDecompressor

from spotwatch.cli.ship import add_arguments, draft
from spotwatch.cli.ship.order import order_of
from spotwatch.cli.ship.shipper import SPOTWATCH, WorkerShipper
from spotwatch.cli.ship.view import LogView
from spotwatch.core.errors import SpotwatchError, VolumeUnreadable
from spotwatch.core.log_file import LogFile
from spotwatch.core.settings import LogSettings, ShipSettings
from spotwatch.core.volume import Agent, AgentKind, VolumeLabel, VolumeState
from spotwatch.host.opened_volume import open_volume
from spotwatch.host.qemu_overlay import QemuOverlays
from spotwatch.ship.destination import Directory
from spotwatch.ship.manifest import Manifest
from spotwatch.ship.reading import latest_manifests
from tests.cli.conftest import command_line, environment
from tests.ship import images
from tests.ship.data import needs_data, shared, unpack_image
from tests.ship.images import needs_images

pytestmark = pytest.mark.slow

Ship = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A directory with the files of a volume."""
    root = tmp_path / "volume"
    (root / "log").mkdir(parents=True)
    (root / "log" / "app.log").write_bytes(b"one\ntwo\nthree\n")
    (root / "log" / "app.log.1").write_bytes(b"older\n")
    (root / "log" / "empty.log").touch()
    (root / "state").mkdir()
    (root / "state" / "notes").write_bytes(b"no log\n")
    return root


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "rescued"


@pytest.fixture
def ship(tmp_path: Path, volume: Path, target: Path) -> Ship:
    """Ship the directory, with some words more."""

    def run(*words: str, source: tuple[str, ...] | None = None) -> subprocess.CompletedProcess[str]:
        given = source or ("--directory", str(volume), "--volume-id", "vol-1")
        argv = command_line("ship", *given, "--to", target.as_uri(), "--scratch", str(tmp_path), *words)
        return subprocess.run(argv, env=environment(tmp_path), capture_output=True, text=True, timeout=60, check=False)

    return run


def manifest_of(target: Path) -> Manifest:
    ((_, manifest),) = latest_manifests(Directory(target))
    return manifest


def content_of(target: Path) -> dict[str, bytes]:
    """What was shipped, by the object's own frames."""
    found: dict[str, bytes] = {}
    for stored in manifest_of(target).objects:
        data = (target / stored.key).read_bytes()
        for frame in stored.frames:
            piece = ZstdDecompressor().decompress(data[frame.offset : frame.offset + frame.length])
            found[frame.path] = found.get(frame.path, b"") + piece
    return found


def everything_below(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


class TestADirectory:
    def test_every_file_is_shipped_and_the_directory_is_as_it_was(self, ship: Ship, volume: Path, target: Path) -> None:
        before = everything_below(volume)
        run = ship()
        assert (run.returncode, run.stdout.splitlines()[0]) == (
            0,
            "vol-1: 4 files, 27 B, shipped in 1 object and read back",
        )
        assert content_of(target) == before == everything_below(volume)

    def test_a_second_run_stores_nothing_more(self, ship: Ship, target: Path) -> None:
        ship()
        before = everything_below(target)
        assert ship().returncode == 0
        assert everything_below(target) == before

    def test_patterns_choose_and_take_rotated_files_along(self, ship: Ship, target: Path) -> None:
        ship("--log-path", "log/app.log")
        assert set(content_of(target)) == {"log/app.log", "log/app.log.1"}

    def test_one_object_a_file_if_asked(self, ship: Ship, target: Path) -> None:
        ship("--objects", "files")
        assert len(manifest_of(target).objects) == 4

    def test_without_a_name_it_is_refused(self, ship: Ship, volume: Path, target: Path) -> None:
        run = ship(source=("--directory", str(volume)))
        assert run.returncode == 64
        assert "--directory needs --volume-id" in run.stderr
        assert not target.exists()

    def test_names_that_are_no_utf_8_and_lead_astray_are_shipped_as_they_are(
        self, ship: Ship, volume: Path, target: Path
    ) -> None:
        odd = os.fsencode(volume) + b"/caf\xe9 \n.log"
        with open(odd, "wb") as file:
            file.write(b"odd\n")
        (volume / "link").symlink_to("/etc/passwd")
        os.mkfifo(volume / "pipe")
        assert ship().returncode == 0
        assert content_of(target)["caf\udce9 \n.log"] == b"odd\n"
        assert not {"link", "pipe"} & set(content_of(target))

    def test_one_that_is_missing_is_65(self, ship: Ship) -> None:
        run = ship(source=("--directory", "/nonexistent", "--volume-id", "v"))
        assert (run.returncode, run.stdout) == (65, "")
        assert "spotwatch: /nonexistent: No such file or directory\nhint: " in run.stderr

    def test_off_a_terminal_the_log_tells_of_it(self, ship: Ship) -> None:
        assert "ship-read volume=vol-1 bytes=27 of=27" in ship().stderr

    def test_an_instance_is_in_the_keys(self, ship: Ship, target: Path) -> None:
        ship("--instance-id", "i-0abc")
        assert manifest_of(target).instance == "i-0abc"
        assert list(target.glob("*/*/*/i-0abc/vol-1/manifest-00001.json"))


class TestTheLabelOnTheVolume:
    def label(self, volume: Path, **changes: object) -> None:
        told = VolumeLabel(
            VolumeState.INTERRUPTED, "i-0abc", "eu-west-1a", datetime(2026, 11, 22, 8, 20, tzinfo=UTC), "/var/log/app",
            log_paths=("log/*.log",), agents=(Agent(AgentKind.PROMTAIL, "state/positions.yaml"),),
        ).to_tags() | changes  # fmt: skip
        (volume / ".spotwatch").mkdir()
        (volume / ".spotwatch" / "label.json").write_text(json.dumps(told))

    def test_it_says_what_is_a_log_and_where_it_was_mounted(self, ship: Ship, volume: Path, target: Path) -> None:
        self.label(volume)
        (volume / "state" / "positions.yaml").write_text('positions:\n  /var/log/app/log/app.log: "8"\n')
        assert ship("--read-positions", "skip", "--unproven-positions", "skip").returncode == 0
        assert content_of(target) == {"log/app.log": b"three\n", "log/app.log.1": b"older\n", "log/empty.log": b""}
        assert manifest_of(target).instance == "i-0abc"

    def test_what_rests_on_a_position_is_shipped_unless_told_otherwise(
        self, ship: Ship, volume: Path, target: Path
    ) -> None:
        self.label(volume)
        (volume / "state" / "positions.yaml").write_text('positions:\n  /var/log/app/log/app.log: "8"\n')
        run = ship()
        assert content_of(target)["log/app.log"] == b"one\ntwo\nthree\n"
        assert "hints        1 range, 8 B: a position that proves no delivery" in run.stdout

    def test_the_command_line_is_stronger(self, ship: Ship, volume: Path, target: Path) -> None:
        self.label(volume)
        ship("--log-path", "state/*", "--instance-id", "i-other")
        assert set(content_of(target)) == {"state/notes"}
        assert manifest_of(target).instance == "i-other"

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"spotwatch:state": 1}', "[" * 100_000, "\x00"])
    def test_one_that_makes_no_sense_is_an_anomaly_and_everything_is_shipped(
        self, ship: Ship, volume: Path, target: Path, text: str
    ) -> None:
        (volume / ".spotwatch").mkdir()
        (volume / ".spotwatch" / "label.json").write_text(text)
        run = ship()
        assert run.returncode == 65
        assert ".spotwatch/label.json cannot be understood" in manifest_of(target).anomalies[0]
        assert len(content_of(target)) == 5


class TestDryRun:
    def test_it_tells_each_range_and_why_and_stores_nothing(self, ship: Ship, target: Path) -> None:
        run = ship("--dry-run")
        assert run.returncode == 0
        assert run.stdout.startswith("vol-1: 27 B would be shipped\n")
        assert "ship              0 to             14  unread" in run.stdout
        assert not target.exists()

    def test_as_json(self, ship: Ship, target: Path) -> None:
        told = json.loads(ship("--dry-run", "--json").stdout)
        assert told["files"][0] == {
            "path": "log/app.log",
            "other_names": [],
            "size": 14,
            "ranges": [{"start": 0, "end": 14, "shipped": True, "reason": "unread", "hint": False}],
            "trailing_nul_bytes": 0,
        }
        assert not target.exists()


class TestJson:
    def test_it_is_one_document(self, ship: Ship, target: Path) -> None:
        told = json.loads(ship("--json").stdout)
        assert (told["volume"], told["shipped_bytes"], told["objects"], told["anomalies"]) == ("vol-1", 27, 1, [])
        assert (target / told["manifest"]).is_file()


class TestRefusals:
    @pytest.mark.parametrize("to", ["/srv/rescued", "ftp://x/y", "s3://", "file:relative", "file://host/x", "s3://b?x"])
    def test_what_is_no_destination_is_64(self, ship: Ship, to: str) -> None:
        run = ship("--to", to)
        assert run.returncode == 64
        assert "is no destination" in run.stderr

    @pytest.mark.parametrize(
        "words",
        [
            ("--agent", "nobody:x"),
            ("--agent", "fluentd"),
            ("--time-limit", "0s"),
            ("--time-limit", "5"),
            ("--workers", "0"),
            ("--read-positions", "maybe"),
            ("--object-lock-mode", "GOVERNANCE"),
            ("--object-lock-until", "soon"),
            ("--device", "/dev/x"),
            ("--keep",),
            ("--volume", "vol-1"),
            ("--region", "eu-west-1"),
        ],
        ids=" ".join,
    )
    def test_wrong_words_are_64(self, ship: Ship, words: tuple[str, ...]) -> None:
        assert ship(*words).returncode == 64

    def test_a_destination_that_cannot_be_made_is_69_with_a_hint(self, ship: Ship, target: Path) -> None:
        target.write_text("a file")
        run = ship()
        assert (run.returncode, run.stdout) == (69, "")
        assert "hint: name a directory" in run.stderr

    def test_a_time_limit_that_is_over_is_75(self, ship: Ship, target: Path) -> None:
        run = ship("--time-limit", "10ms")
        assert run.returncode == 75
        assert "had not ended after 0 s" in run.stderr
        assert not list(target.rglob("manifest-*")) if target.exists() else True

    def test_a_device_that_is_none_is_65(self, ship: Ship) -> None:
        assert ship(source=("--device", "/dev/null")).returncode == 65


def test_on_a_terminal_a_bar_is_drawn_and_taken_away(tmp_path: Path, volume: Path, target: Path) -> None:
    ours, theirs = os.openpty()
    argv = command_line("ship", "--directory", str(volume), "--volume-id", "vol-1", "--to", target.as_uri())
    variables = environment(tmp_path, TERM="xterm")
    with subprocess.Popen(argv, env=variables, stderr=theirs, stdout=subprocess.PIPE, text=True) as process:
        os.close(theirs)
        drawn = b""
        with contextlib.suppress(OSError):  # what a terminal answers when its other side has gone
            while piece := os.read(ours, 4096):
                drawn += piece
        told, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0
    assert told.startswith("vol-1: 4 files")
    assert b"vol-1" in drawn
    assert b"ship-started" not in drawn


def test_the_process_that_reads_a_volume_has_nothing_of_aws_in_its_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, volume: Path, target: Path
) -> None:
    secrets = {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "no-secret-1",
        "AWS_SESSION_TOKEN": "no-secret-2",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "no-secret-3",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/no-secret-4",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/no-secret-5",
    }
    for name, value in {**secrets, "PASSED_ON": "yes"}.items():
        monkeypatch.setenv(name, value)
    parser = ArgumentParser()
    add_arguments(parser)
    words = ["--directory", str(volume), "--volume-id", "vol-1", "--to", target.as_uri(), "--scratch", str(tmp_path)]
    telling = ("/bin/sh", "-c", f'env > {tmp_path}/told; exec "$0" "$@"', *SPOTWATCH)
    shipper = WorkerShipper(order_of(parser.parse_args(words), ShipSettings()), LogView(LogSettings()), telling)
    shipper.publish(shipper.read(order_of(parser.parse_args(words), ShipSettings())))
    told = (tmp_path / "told").read_text().splitlines()
    assert "PASSED_ON=yes" in told
    assert not [line for line in told if line.startswith("AWS_")]
    assert content_of(target)["log/app.log"] == b"one\ntwo\nthree\n"
    assert secrets.items() <= os.environ.items()


class TestTheDraft:
    @pytest.mark.parametrize("error", [VolumeUnreadable("it is LVM", hint="go away"), SpotwatchError("a bug")])
    def test_an_error_comes_out_as_what_it_was(self, error: SpotwatchError) -> None:
        with pytest.raises(type(error)) as raised:
            draft.manifest_in(json.dumps(draft.refusal(error)).encode(), error.exit_code)
        assert (raised.value.message, raised.value.hint) == (error.message, error.hint)

    @pytest.mark.parametrize("text", [b"", b"{}", b"\xff", b'{"error": "os"}'])
    def test_a_process_that_says_nothing_has_a_bug(self, text: bytes) -> None:
        with pytest.raises(SpotwatchError, match="ended with 70"):
            draft.manifest_in(text, 70)

    def test_progress_can_be_read_at_any_time(self, tmp_path: Path) -> None:
        descriptor = os.open(tmp_path / "p", os.O_RDWR | os.O_CREAT)
        file = draft.ProgressFile(descriptor)
        assert file.read() == draft.Progress()
        for progress in (draft.Progress(2**62, 2**62), draft.Progress(1, 10), draft.Progress(0)):
            file.write(progress)
            assert file.read() == progress
        os.close(descriptor)


@pytest.mark.root
@needs_images
@pytest.mark.skipif(bool(QemuOverlays().obstacle()), reason=f"no qemu overlay: {QemuOverlays().obstacle()}")
class TestAnImage:
    def test_a_dirty_volume_is_shipped_whole_and_stays_as_it_was(
        self, ship: Ship, tmp_path: Path, target: Path
    ) -> None:
        image = images.dirty(tmp_path / "image", "ext4", images.logs)
        before = image.path.read_bytes()
        run = ship(source=("--device", str(image.path)))
        assert (run.returncode, run.stderr.count("spotwatch:")) == (0, 0)
        assert content_of(target) == image.content
        assert image.path.read_bytes() == before
        assert manifest_of(target).volume == manifest_of(target).filesystem["uuid"] != ""
        assert "file system  ext4, its journal was replayed on an overlay (qemu)" in run.stdout

    @pytest.mark.parametrize("kind", images.KINDS)
    @pytest.mark.parametrize(
        ("write", "code"),
        [
            (images.logs, 0),
            (images.full, 0),
            (images.sparse_terabyte, 0),
            (images.ten_thousand, 0),
            (images.hostile, 65),
        ],
    )
    def test_whatever_it_holds_is_shipped_whole_and_it_stays_as_it_was(
        self, ship: Ship, tmp_path: Path, target: Path, kind: str, write: images.Writer, code: int
    ) -> None:
        """The hostile one has directories deeper than we go, which is an anomaly, and a file with two names."""
        image = images.dirty(tmp_path / "image", kind, write)
        before = sha256(image.path.read_bytes()).digest()
        run = ship(source=("--device", str(image.path)))
        assert run.returncode == code, run.stderr
        shipped = content_of(target)
        assert set(shipped.values()) >= set(image.content.values())
        assert len(shipped) >= len(set(image.content.values()))
        if write is images.sparse_terabyte:
            assert shipped["sparse.log"].endswith(b"last\n")
        assert sha256(image.path.read_bytes()).digest() == before

    def test_lvm_is_65(self, ship: Ship, tmp_path: Path) -> None:
        run = ship(source=("--device", str(images.lvm(tmp_path / "lvm"))))
        assert run.returncode == 65
        assert "LVM" in run.stderr

    def test_a_reader_that_is_killed_leaves_nothing_and_is_75(self, tmp_path: Path, target: Path) -> None:
        image = images.dirty(tmp_path / "image", "ext4", images.logs)
        argv = command_line("ship", "--device", str(image.path), "--to", target.as_uri())
        with subprocess.Popen(argv, env=environment(tmp_path), stderr=subprocess.PIPE, text=True) as process:
            os.kill(child_of(process), signal.SIGKILL)
            _, told = process.communicate(timeout=60)
        assert process.returncode == 75
        assert "it was ended by SIGKILL" in told


def child_of(process: "subprocess.Popen[str]") -> int:
    """The process that reads, as soon as it is there."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not (found := path.read_text().split()):
        assert process.poll() is None
        os.sched_yield()
    return int(found[0])


@pytest.mark.root
@needs_images
@needs_data
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_of_a_real_volume_every_byte_that_may_not_have_been_delivered_is_shipped(
    ship: Ship, tmp_path: Path, target: Path, kind: str
) -> None:
    """The agent's positions prove no delivery, so every byte of every log is shipped, without the NULs of the cut."""
    image = unpack_image(shared("volumes", f"{kind}-T25.img.zst"), tmp_path / "image")
    run = ship(
        "--mount-point", f"/mnt/logs-{kind}", "--log-path", "log/*.log", "--agent", "fluent-bit:state/tail.db",
        source=("--device", str(image)),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found = {path: data for path, data in content_of(target).items() if path.startswith("log/")}
    with open_volume(str(image), scratch=str(tmp_path)) as volume:
        on_volume = {one.path: one for one in volume.tree.files() if isinstance(one, LogFile)}
        for path in (path for path in on_volume if path.startswith("log/")):
            with volume.tree.open(path) as file:
                assert found.pop(path) == file.read().rstrip(b"\0")
    assert found == {}
