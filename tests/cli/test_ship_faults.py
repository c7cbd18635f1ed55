"""What goes wrong around a shipment by hand: no room, no permission, a disk that is lost while it is read."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from shutil import which

import pytest

from spotwatch.host.qemu_overlay import QemuOverlays
from spotwatch.ship.destination import Directory
from spotwatch.ship.reading import contents, latest_manifests, shipped_files
from spotwatch.simulate.strict_aws import Fault
from tests.cli.conftest import command_line, environment
from tests.cloud import BUCKET, Cloud
from tests.host.frozen import attached
from tests.ship import images
from tests.ship.images import needs_images

pytestmark = [pytest.mark.root, pytest.mark.slow, needs_images]

NOISE = Random(1).randbytes(300_000)

Ship = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def ship(tmp_path: Path) -> Ship:
    def run(*words: str, before: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
        argv = [*before, *command_line("ship", *words)]
        return subprocess.run(argv, env=environment(tmp_path), capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A directory that stands for one."""
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "app.log").write_bytes(NOISE)
    (volume / "other.log").write_bytes(b"one\n")
    return volume


def content_of(target: Path) -> dict[str, bytes]:
    ((_, manifest),) = latest_manifests(Directory(target))
    return {piece.file.file.path: piece.data for piece in contents(Directory(target), shipped_files(manifest))}


def test_a_destination_without_room_is_73_leaves_no_half_object_and_is_gone_on_with(
    ship: Ship, volume: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    words = ("--directory", str(volume), "--volume-id", "vol-1", "--to", target.as_uri(), "--objects", "files")
    with images.small_disk(target, 200_000):
        run = ship(*words)
        assert (run.returncode, "hint: make room" in run.stderr) == (73, True)
        assert not [path for path in target.rglob("*") if path.is_file() and path.stat().st_size > 1000]
        assert not list(target.rglob("manifest-*"))
        subprocess.run(["mount", "-o", "remount,size=2000000", str(target)], check=True)
        assert ship(*words).returncode == 0
        assert content_of(target) == {"app.log": NOISE, "other.log": b"one\n"}


class TestWithoutPermission:
    """Root without the capabilities that make it more than any user; its files of others are others' files."""

    @pytest.fixture
    def powerless(self) -> tuple[str, ...]:
        if which("setpriv") is None:
            pytest.skip("setpriv is missing")
        return ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner,-sys_admin", "--")

    def test_to_read_a_file_the_others_are_shipped_and_it_is_an_anomaly(
        self, ship: Ship, volume: Path, tmp_path: Path, powerless: tuple[str, ...]
    ) -> None:
        os.chown(volume / "app.log", 12345, 12345)
        os.chmod(volume / "app.log", 0o600)
        target = tmp_path / "target"
        words = ("--directory", str(volume), "--volume-id", "vol-1", "--to", target.as_uri())
        run = ship(*words, before=powerless)
        assert (run.returncode, "app.log cannot be read: Permission denied" in run.stdout) == (65, True), run.stderr
        assert content_of(target) == {"other.log": b"one\n"}
        assert ship(*words).returncode == 0, "who may read it ships the rest"
        assert content_of(target) == {"app.log": NOISE, "other.log": b"one\n"}

    def test_to_mount_it_says_what_is_needed(self, ship: Ship, tmp_path: Path, powerless: tuple[str, ...]) -> None:
        image = images.dirty(tmp_path / "image", "ext4", images.logs)
        run = ship("--device", str(image.path), "--to", (tmp_path / "target").as_uri(), before=powerless)
        assert (run.returncode, "hint: run as root" in run.stderr) == (77, True), run.stderr

    def test_to_write_to_the_destination_it_is_69_with_a_hint(
        self, ship: Ship, volume: Path, tmp_path: Path, powerless: tuple[str, ...]
    ) -> None:
        target = tmp_path / "target"
        target.mkdir()
        os.chown(target, 12345, 12345)
        words = ("--directory", str(volume), "--volume-id", "vol-1", "--to", target.as_uri())
        run = ship(*words, before=powerless)
        assert (run.returncode, "hint: name a directory that can be written to" in run.stderr) == (69, True), run.stderr


@contextmanager
def exported(image: Path, directory: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A disk that is a process: the path of the device, and what serves it."""
    export = directory / "export"
    export.touch()
    file = {"driver": "file", "node-name": "disk", "filename": str(image), "read-only": True}
    fuse = {"type": "fuse", "id": "export", "node-name": "disk", "mountpoint": str(export), "writable": False}
    argv = ["qemu-storage-daemon", "--blockdev", json.dumps(file), "--export", json.dumps(fuse)]
    with subprocess.Popen(argv) as server:
        try:
            give_up = time.monotonic() + 20
            while export.stat().st_size != image.stat().st_size:
                assert time.monotonic() < give_up, "it is not served"
                time.sleep(0.01)
            argv = ["losetup", "--find", "--show", "--read-only", str(export)]
            loop = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
            try:
                yield loop, server
            finally:
                subprocess.run(["losetup", "--detach", loop], check=False)
        finally:
            server.kill()
            server.wait()
            subprocess.run(["umount", "--lazy", str(export)], check=False)


@pytest.mark.skipif(bool(QemuOverlays().obstacle()), reason=f"no qemu: {QemuOverlays().obstacle()}")
def test_a_device_that_vanishes_while_it_is_shipped_is_65_and_nothing_counts_as_shipped_that_was_not_read(
    ship: Ship, tmp_path: Path, cloud: Cloud
) -> None:
    """It vanishes while the first part of the first object is on its way."""
    cloud.bucket()
    image = images.clean(tmp_path / "image", "xfs", large)
    with exported(image.path, tmp_path) as (device, server):
        cloud.aws.slowness = server.kill
        cloud.aws.plan(Fault.SLOW, "s3:UploadPart")
        run = ship("--device", device, "--to", f"s3://{BUCKET}/lost", "--workers", "1", "--instance-id", "i-1")
    assert run.returncode == 65, run.stderr
    assert "cannot be read: Input/output error" in run.stdout
    with attached(image.path) as again:
        run = ship("--device", again, "--to", f"s3://{BUCKET}/lost", "--instance-id", "i-1")
    assert run.returncode == 0, run.stderr
    argv = command_line("logs", "cat", "--from", f"s3://{BUCKET}/lost", "--all")
    told = subprocess.run(argv, env=environment(tmp_path), capture_output=True, timeout=60, check=True).stdout
    assert told == b"".join(data for _, data in sorted(image.content.items()))


def large(root: Path) -> dict[str, bytes]:
    """More than is read ahead of what is sent."""
    content = {f"{number}.log": Random(number).randbytes(12 << 20) for number in range(8)}
    for name, data in content.items():
        (root / name).write_bytes(data)
    return content
