"""Sync, freeze and thaw of real file systems."""

import errno
import subprocess
from pathlib import Path

import pytest

from spotwatch.host import freeze
from tests.host.frozen import is_frozen, log_volume, mounted
from tests.ship.images import copy, needs_images

UNSYNCED = bytes(range(256)) * 20_000
"""5,120,000 bytes: less than what the kernel begins to write by itself."""

MOUNTINFO = """\
22 1 259:1 / / rw - ext4 /dev/nvme0n1p1 rw
23 22 0:21 / /run rw - tmpfs tmpfs rw
24 22 259:5 / /var/log/app rw - xfs /dev/nvme1n1 rw
25 22 0:40 /@data /srv/data rw - btrfs /dev/nvme2n1 rw
26 22 0:41 /@state /var/lib/spotwatch rw - btrfs /dev/nvme2n1 rw
27 22 0:22 / /tmp rw - tmpfs tmpfs rw
"""


@pytest.fixture
def mountinfo(tmp_path: Path) -> str:
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTINFO)
    return str(path)


@pytest.mark.parametrize(
    ("path", "spared", "hanging"),
    [
        ("/var/log/app", ["/", "/var/lib/spotwatch"], ""),
        ("/var/log/app/deeper", ["/var/log/app/.state"], "/var/log/app/.state"),
        ("/var/log", ["/"], "/"),
        ("/srv/data", ["/", "/var/lib/spotwatch"], "/var/lib/spotwatch"),
        ("/tmp", ["/run"], ""),
    ],
    ids=["a volume of its own", "state on the volume", "the root", "another subvolume of the btrfs", "two in memory"],
)
def test_what_would_hang_is_what_is_on_the_same_file_system(
    mountinfo: str, path: str, spared: list[str], hanging: str
) -> None:
    assert freeze.what_would_hang(path, spared, mountinfo) == hanging


@needs_images
@pytest.mark.root
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
class TestReal:
    def test_bytes_that_were_only_synced_by_it_outlive_a_power_cut(self, kind: str, tmp_path: Path) -> None:
        """The image copied while it is mounted is what EBS holds when the power is cut."""
        path, cut = tmp_path / "live", tmp_path / "cut"
        with log_volume(path, kind) as root:
            (root / "app.log").write_bytes(UNSYNCED)
            with freeze.opened(str(root)) as descriptor:
                freeze.sync(descriptor)
            copy(path, cut)
        with mounted(cut, kind) as root:
            assert (root / "app.log").read_bytes() == UNSYNCED

    def test_without_it_they_do_not(self, kind: str, tmp_path: Path) -> None:
        """So the test above can fail."""
        path, cut = tmp_path / "live", tmp_path / "cut"
        with log_volume(path, kind) as root:
            (root / "app.log").write_bytes(UNSYNCED)
            copy(path, cut)
        with mounted(cut, kind) as root:
            assert not (root / "app.log").exists() or (root / "app.log").read_bytes() != UNSYNCED

    def test_a_writer_waits_from_the_freeze_to_the_thaw(self, kind: str, tmp_path: Path) -> None:
        with log_volume(tmp_path / "live", kind) as root, freeze.opened(str(root)) as descriptor:
            freeze.freeze(descriptor)
            assert is_frozen(root)
            writer = subprocess.Popen(["/bin/sh", "-c", f"echo late > {root}/app.log"])
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(0.3)
            freeze.thaw(descriptor)
            assert writer.wait(10) == 0
            assert not is_frozen(root)

    def test_freezing_twice_and_thawing_twice_are_refused(self, kind: str, tmp_path: Path) -> None:
        with log_volume(tmp_path / "live", kind) as root, freeze.opened(str(root)) as descriptor:
            freeze.freeze(descriptor)
            with pytest.raises(OSError, match="busy") as twice:
                freeze.freeze(descriptor)
            freeze.thaw(descriptor)
            assert twice.value.errno == errno.EBUSY
            with pytest.raises(OSError, match="Invalid"):
                freeze.thaw(descriptor)


def test_what_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), freeze.opened(str(tmp_path / "missing")):
        pass
