"""The UUID of a file system where its device cannot be seen."""

from pathlib import Path

import pytest

from spotwatch.host.block_devices import BlockDevices
from spotwatch.host.signature import filesystem_uuid
from tests.host.frozen import log_volume
from tests.ship.images import needs_images


@pytest.fixture
def devices(tmp_path: Path) -> BlockDevices:
    disk = tmp_path / "sys" / "class" / "block" / "nvme1n1"
    disk.mkdir(parents=True)
    (disk / "dev").write_text("259:5\n")
    return BlockDevices(str(tmp_path / "sys"), str(tmp_path / "dev"))


def test_what_udev_has_noted_is_answered_without_the_device(tmp_path: Path, devices: BlockDevices) -> None:
    (tmp_path / "b259:5").write_text("S:disk/by-uuid/x\nE:ID_FS_UUID_ENC=no\nE:ID_FS_UUID=0af1-b\nE:ID_FS_TYPE=xfs\n")
    assert filesystem_uuid(devices.path("nvme1n1"), devices, str(tmp_path)) == "0af1-b"


def test_where_udev_has_noted_nothing_it_is_not_known(tmp_path: Path, devices: BlockDevices) -> None:
    (tmp_path / "b259:5").write_text("E:ID_SERIAL=vol01\n")
    assert filesystem_uuid(devices.path("nvme1n1"), devices, str(tmp_path)) == ""
    assert filesystem_uuid(devices.path("nvme2n1"), devices, str(tmp_path)) == ""


@needs_images
@pytest.mark.root
def test_a_device_that_can_be_seen_is_asked_itself(tmp_path: Path, devices: BlockDevices) -> None:
    with log_volume(tmp_path / "live"):
        assert len(filesystem_uuid(str(tmp_path / "live"), devices, str(tmp_path))) == 36
