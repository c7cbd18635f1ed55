"""Which device is which volume."""

from pathlib import Path

import pytest

from spotwatch.host.block_devices import BlockDevices, Stack, xen_names
from tests.host.machine_tree import FakeSys

VOLUME = "vol-0123456789abcdef0"
SERIAL = "vol0123456789abcdef0"


@pytest.fixture
def machine_tree(tmp_path: Path) -> FakeSys:
    return FakeSys(tmp_path)


@pytest.fixture
def devices(machine_tree: FakeSys) -> BlockDevices:
    return BlockDevices(str(machine_tree.sys), str(machine_tree.dev))


def test_a_volume_is_found_by_its_serial_whatever_its_number_is(machine_tree: FakeSys, devices: BlockDevices) -> None:
    machine_tree.disk("nvme0n1", serial="vol0fedcba9876543210")
    machine_tree.disk("nvme7n1", serial=SERIAL)
    assert devices.of_volume(VOLUME) == f"{machine_tree.dev}/nvme7n1"
    assert devices.volume_id("nvme7n1") == VOLUME


def test_a_volume_that_is_not_here_is_none(machine_tree: FakeSys, devices: BlockDevices) -> None:
    machine_tree.disk("nvme0n1", serial="vol0fedcba9876543210")
    assert devices.of_volume(VOLUME) is None
    assert devices.of_volume(VOLUME, "/dev/sdf") is None


def test_the_hidden_paths_of_nvme_multipath_are_no_disks(machine_tree: FakeSys, devices: BlockDevices) -> None:
    machine_tree.disk("nvme1c1n1", serial=SERIAL)
    assert devices.of_volume(VOLUME) is None
    machine_tree.disk("nvme2n1", serial=SERIAL)
    assert devices.of_volume(VOLUME) == f"{machine_tree.dev}/nvme2n1"


@pytest.mark.parametrize("attached_as", ["/dev/sdf", "/dev/xvdf", "xvdf", "sdf"])
def test_on_xen_a_volume_is_found_by_its_device_name(
    machine_tree: FakeSys, devices: BlockDevices, attached_as: str
) -> None:
    machine_tree.disk("xvdf")
    assert devices.of_volume(VOLUME, attached_as) == f"{machine_tree.dev}/xvdf"
    assert devices.of_volume(VOLUME) is None


def test_a_serial_goes_before_a_device_name(machine_tree: FakeSys, devices: BlockDevices) -> None:
    machine_tree.disk("nvme1n1", serial=SERIAL)
    machine_tree.disk("xvdf")
    assert devices.of_volume(VOLUME, "/dev/sdf") == f"{machine_tree.dev}/nvme1n1"


@pytest.mark.parametrize("serial", ["AWS1234567890", "vol", "", "volxyz"])
def test_another_serial_is_no_volume(machine_tree: FakeSys, devices: BlockDevices, serial: str) -> None:
    machine_tree.disk("nvme1n1", serial=serial)
    assert devices.volume_id("nvme1n1") is None


def test_a_stack_is_followed_down_to_its_disks(machine_tree: FakeSys, devices: BlockDevices) -> None:
    for name in ("nvme1n1", "nvme2n1", "nvme3n1"):
        machine_tree.disk(name)
    machine_tree.partition("nvme1n1", "nvme1n1p1")
    machine_tree.disk("md0", on=("nvme1n1p1", "nvme2n1"))
    machine_tree.attribute(Path("md0"), "md/level", "raid0\n")
    machine_tree.disk("dm-0", on=("md0", "nvme3n1"))
    machine_tree.attribute(Path("dm-0"), "dm/uuid", "LVM-abcdef\n")
    machine_tree.disk("dm-1", on=("dm-0",))
    machine_tree.attribute(Path("dm-1"), "dm/uuid", "CRYPT-LUKS2-abcdef\n")
    assert devices.stack("dm-1") == Stack(("nvme1n1", "nvme2n1", "nvme3n1"), ("encryption", "LVM", "RAID"))
    assert devices.stack("nvme1n1p1") == Stack(("nvme1n1",), ())


def test_the_names_of_an_attachment_on_xen() -> None:
    assert xen_names("xvdf") == ("/dev/sdf", "/dev/xvdf", "xvdf")
    assert "/dev/sda1" in xen_names("xvda")
    assert xen_names("nvme0n1") == ()


def test_a_machine_without_sysfs_has_no_disks(tmp_path: Path) -> None:
    devices = BlockDevices(str(tmp_path / "nothing"), str(tmp_path))
    assert devices.of_volume(VOLUME) is None
    assert devices.name("8:0") is None
    assert devices.stack("sda") == Stack(("sda",), ())
