"""A reader that is killed at any point leaves nothing; a volume that vanishes ends in an error."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotwatch.core.log_file import LogFile
from spotwatch.host.opened_volume import open_volume
from spotwatch.host.qemu_overlay import QemuOverlays
from tests.ship import images
from tests.ship.images import Image, needs_images

pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
    needs_images,
    pytest.mark.skipif(bool(QemuOverlays().obstacle()), reason=f"no qemu overlay: {QemuOverlays().obstacle()}"),
]

PATIENCE = 10.0
LIMIT = 60


def open_in_child(image: Image, scratch: Path, last: int) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "tests.host.opener", str(image.path), str(scratch), str(last)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False)


def left_of(scratch: Path) -> list[str]:
    """Processes, loop devices, mounts and files that belong to this directory."""
    return [*_processes(str(scratch)), *_loops(str(scratch)), *_mounts(str(scratch)), *_files(scratch)]


def _processes(word: str) -> Iterator[str]:
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{name}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if word in command and int(name) != os.getpid():
            yield f"process {name}: {command}"


def _loops(word: str) -> Iterator[str]:
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            if word in backing.read_text():
                yield f"{backing}: {backing.read_text()}"
        except OSError:
            continue


def _mounts(word: str) -> Iterator[str]:
    yield from (line for line in Path("/proc/self/mountinfo").read_text().splitlines() if word in line)


def _files(scratch: Path) -> Iterator[str]:
    yield from (f"file {path}" for path in scratch.iterdir() if path.name != "image")


def wait_until_nothing_is_left(scratch: Path) -> None:
    """The kernel takes back the last things a moment after the process is gone."""
    give_up = time.monotonic() + PATIENCE
    while left := left_of(scratch):
        assert time.monotonic() < give_up, left
        os.sched_yield()


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A directory whose name nothing else on this machine has."""
    path = tmp_path / f"scratch-{os.getpid()}"
    path.mkdir()
    return path


@pytest.fixture
def image(scratch: Path, tmp_path: Path) -> Image:
    made = images.dirty(tmp_path / "image", "ext4", images.logs)
    made.path.rename(scratch / "image")
    return Image(scratch / "image", made.kind, made.content)


def test_sigkill_at_any_point_leaves_no_process_loop_device_mount_or_file(image: Image, scratch: Path) -> None:
    count = int(open_in_child(image, scratch, 0).stdout)
    assert count > 20
    for point in range(1, count + 1):
        assert open_in_child(image, scratch, point).returncode == -signal.SIGKILL
        wait_until_nothing_is_left(scratch)
    print(f"killed at {count} points")


def test_sigkill_in_the_middle_leaves_nothing_and_the_next_reader_reads_all(image: Image, scratch: Path) -> None:
    count = int(open_in_child(image, scratch, 0).stdout)
    for point in (count // 3, count // 2, count - 1):
        assert open_in_child(image, scratch, point).returncode == -signal.SIGKILL
        wait_until_nothing_is_left(scratch)
    with open_volume(str(image.path), scratch=str(scratch), ways=(QemuOverlays(),)) as volume:
        found = {one.path: volume.tree.open(one.path) for one in volume.tree.files() if isinstance(one, LogFile)}
        assert {path: file.read() for path, file in found.items()} == image.content
        for file in found.values():
            file.close()


READER = """
import os
import sys
from spotwatch.host.opened_volume import open_volume
from spotwatch.host.qemu_overlay import QemuOverlays

with open_volume(sys.argv[1], scratch=sys.argv[2], ways=(QemuOverlays(),)) as volume:
    with volume.tree.open("log/app.log") as file:
        print("open", flush=True)
        os.environ["PATH"] = sys.stdin.readline().strip()
        with open("/proc/sys/vm/drop_caches", "w") as caches:
            caches.write("1")
        try:
            print(len(file.read()))
        except OSError as error:
            print(error.strerror)
    print(*volume.anomalies(), sep="\\n")
"""


def read_while_the_server_dies(image: Image, scratch: Path, path: str) -> list[str]:
    """What the reader says; to its file system this is a disk that answers every read with an error."""
    argv = [sys.executable, "-c", READER, str(image.path), str(scratch)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        (server,) = (line for line in _processes(str(scratch)) if "qemu-storage-daemon" in line)
        os.kill(int(server.split()[1].rstrip(":")), signal.SIGKILL)
        told, _ = reader.communicate(f"{path}\n", timeout=LIMIT)
    assert reader.returncode == 0
    return told.splitlines()


def test_a_volume_that_vanishes_while_it_is_read_is_an_error_and_an_anomaly(image: Image, scratch: Path) -> None:
    told, *anomalies = read_while_the_server_dies(image, scratch, path="/nonexistent")
    assert told == "Input/output error"
    assert "log/app.log cannot be read: Input/output error" in anomalies  # the kernel limits how often it says so
    wait_until_nothing_is_left(scratch)


def test_if_only_the_overlay_breaks_a_second_one_gives_the_whole_content(image: Image, scratch: Path) -> None:
    told, *anomalies = read_while_the_server_dies(image, scratch, path=os.environ["PATH"])
    assert told == str(len(image.content["log/app.log"]))
    assert "log/app.log cannot be read: Input/output error" in anomalies
    wait_until_nothing_is_left(scratch)
