"""From a mount point, a device or a volume id to the volumes that have to be kept, or to a refusal."""

import os
from pathlib import Path

import pytest

from spotwatch.core.errors import VolumeRefused
from spotwatch.host.block_devices import BlockDevices
from spotwatch.host.log_volume import LogVolume, LogVolumes
from spotwatch.host.mount_table import Mount, mount_with, read_mounts
from tests.host.machine_tree import FakeSys

UUID = "5b7d5dcc-42ab-4a2b-9662-e6dddcff3bd2"
ONE, TWO = "vol-00000000000000001", "vol-00000000000000002"


class Instance(FakeSys):
    """A machine with a root volume and, mounted at `logs`, a log volume."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.logs = root / "logs"
        self.logs.mkdir()
        self.disk("nvme0n1", serial="vol0000000000000000f")
        self.mount(self.partition("nvme0n1", "nvme0n1p1"), "/")

    def found(self, what: str) -> LogVolume:
        devices = BlockDevices(str(self.sys), str(self.dev))
        return LogVolumes(devices, str(self.mountinfo), lambda _: UUID).log_volume_of(what)


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path)


def refusal(instance: Instance, what: str) -> str:
    with pytest.raises(VolumeRefused) as caught:
        instance.found(what)
    assert caught.value.hint
    return caught.value.message


def test_a_plain_volume_is_found_by_its_mount_point_and_by_its_id(instance: Instance) -> None:
    instance.mount(instance.disk("nvme1n1", serial=ONE.replace("-", "")), str(instance.logs))
    expected = LogVolume((ONE,), (), f"{instance.dev}/nvme1n1", str(instance.logs), UUID, (), is_root=False)
    assert instance.found(str(instance.logs)) == expected
    assert instance.found(ONE) == expected


def test_a_directory_below_a_mount_point_is_on_the_same_volume(instance: Instance) -> None:
    instance.mount(instance.disk("nvme1n1", serial=ONE.replace("-", "")), str(instance.logs))
    (instance.logs / "app").mkdir()
    (instance.logs / "link").symlink_to("app")
    assert instance.found(str(instance.logs / "link")).volume_ids == (ONE,)


def test_a_partition_s_volume_is_that_of_its_disk(instance: Instance) -> None:
    instance.disk("nvme1n1", serial=ONE.replace("-", ""))
    instance.mount(instance.partition("nvme1n1", "nvme1n1p1"), str(instance.logs))
    found = instance.found(str(instance.logs))
    assert (found.volume_ids, found.device) == ((ONE,), f"{instance.dev}/nvme1n1p1")
    assert instance.found(ONE).mount_point == str(instance.logs)


def test_a_directory_on_the_root_volume_is_said_to_be(instance: Instance) -> None:
    found = instance.found(str(instance.logs))
    assert (found.volume_ids, found.is_root, found.mount_point) == (("vol-0000000000000000f",), True, "/")


def test_of_lvm_all_volumes_are_told(instance: Instance) -> None:
    instance.disk("nvme1n1", serial=ONE.replace("-", ""))
    instance.disk("nvme2n1", serial=TWO.replace("-", ""))
    instance.mount(instance.disk("dm-0", on=("nvme1n1", "nvme2n1")), str(instance.logs))
    instance.attribute(Path("dm-0"), "dm/uuid", "LVM-x\n")
    found = instance.found(str(instance.logs))
    assert (found.volume_ids, found.layers) == ((ONE, TWO), ("LVM",))


def test_of_a_raid_all_volumes_are_told(instance: Instance) -> None:
    instance.disk("nvme1n1", serial=ONE.replace("-", ""))
    instance.disk("nvme2n1", serial=TWO.replace("-", ""))
    instance.mount(instance.disk("md127", on=("nvme1n1", "nvme2n1")), str(instance.logs))
    instance.attribute(Path("md127"), "md/level", "raid1\n")
    assert instance.found(str(instance.logs)).volume_ids == (ONE, TWO)


def test_a_raid_with_a_member_on_instance_store_is_refused(instance: Instance) -> None:
    instance.disk("nvme1n1", serial=ONE.replace("-", ""))
    instance.disk("nvme2n1", serial="AWS0123456789", model="Amazon EC2 NVMe Instance Storage")
    instance.mount(instance.disk("md127", on=("nvme1n1", "nvme2n1")), str(instance.logs))
    assert "instance store" in refusal(instance, str(instance.logs))


def test_of_btrfs_on_several_volumes_all_are_told(instance: Instance) -> None:
    instance.disk("nvme2n1", serial=TWO.replace("-", ""))
    instance.mount(instance.disk("nvme1n1", serial=ONE.replace("-", "")), str(instance.logs))
    members = instance.sys / "fs/btrfs" / UUID / "devices"
    members.mkdir(parents=True)
    for name in ("nvme1n1", "nvme2n1"):
        (members / name).symlink_to(instance.sys / "devices" / name)
    assert instance.found(str(instance.logs)).volume_ids == (ONE, TWO)


def test_on_xen_the_names_of_the_attachment_are_told_instead_of_the_id(instance: Instance) -> None:
    instance.mount(instance.disk("xvdf"), str(instance.logs))
    found = instance.found(str(instance.logs))
    assert (found.volume_ids, found.attached_as) == ((), ("/dev/sdf", "/dev/xvdf", "xvdf"))


@pytest.mark.parametrize(
    ("kind", "source", "told"),
    [
        ("tmpfs", "tmpfs", "in memory"),
        ("nfs4", "fs-1.efs.eu-west-1.amazonaws.com:/", "a network file system"),
        ("overlay", "overlay", "a container"),
        ("fuse.sshfs", "host:/logs", "no block device"),
        ("btrfs", "/nonexistent", "no block device"),
    ],
)
def test_what_is_on_no_disk_is_refused(instance: Instance, kind: str, source: str, told: str) -> None:
    instance.mount("0:47", str(instance.logs), kind, source)
    assert told in refusal(instance, str(instance.logs))


def test_instance_store_is_refused(instance: Instance) -> None:
    number = instance.disk("nvme1n1", serial="AWS0123456789", model="Amazon EC2 NVMe Instance Storage")
    instance.mount(number, str(instance.logs))
    assert "erased when the instance is stopped or terminated" in refusal(instance, str(instance.logs))


def test_a_loop_device_is_refused_with_its_file(instance: Instance) -> None:
    instance.mount(instance.disk("loop0"), str(instance.logs))
    instance.attribute(Path("loop0"), "loop/backing_file", "/srv/logs.img\n")
    assert refusal(instance, str(instance.logs)) == "loop0 is a loop device over /srv/logs.img"


def test_another_disk_is_refused_with_its_model(instance: Instance) -> None:
    instance.mount(instance.disk("vda", serial="x", model="Other"), str(instance.logs))
    assert refusal(instance, str(instance.logs)) == "vda is no EBS volume (model: Other, serial: x)"


def test_what_is_not_there_is_refused(instance: Instance) -> None:
    assert "No such file" in refusal(instance, "/nonexistent/logs")
    assert "not attached to this instance" in refusal(instance, "vol-0123456789abcdef0")


def test_a_device_that_the_kernel_does_not_show_is_refused(instance: Instance) -> None:
    instance.mount("7:77", str(instance.logs))
    assert "does not show" in refusal(instance, str(instance.logs))


def test_the_mount_made_last_at_the_longest_point_counts() -> None:
    mounts = [
        Mount("8:0", "/", "ext4", "a"),
        Mount("8:1", "/var/log", "ext4", "b"),
        Mount("8:2", "/var/log", "ext4", "c"),
        Mount("8:3", "/var/logs", "ext4", "d"),
    ]
    assert mount_with(mounts, "/var/log/app") == mounts[2]
    assert mount_with(mounts, "/var/log") == mounts[2]
    assert mount_with(mounts, "/var") == mounts[0]
    assert mount_with(mounts[1:], "/srv") is None


def test_octal_escapes_and_optional_fields_of_mountinfo_are_understood(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_bytes(
        b"36 35 98:0 /mnt1 /mnt\\0402\\134x rw,noatime master:1 - ext3 /dev/ro\\040ot rw,errors=continue\n"
        b"37 35 0:5 / /caf\xe9 rw - tmpfs none rw\n"
    )
    first, second = read_mounts(str(tmp_path / "mountinfo"))
    assert first == Mount("98:0", "/mnt 2\\x", "ext3", "/dev/ro ot")
    assert os.fsencode(second.point) == b"/caf\xe9"


def test_the_mounts_of_this_machine_can_be_read() -> None:
    assert mount_with(read_mounts(), "/") is not None
