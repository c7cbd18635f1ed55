"""Real volumes: every byte that a replay shows is read, and the volume is not changed by it."""

import contextlib
import hashlib
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotwatch.core.errors import OverlayFull, OverlayUnavailable, VolumeUnreadable
from spotwatch.core.log_file import LogFile, Unreadable
from spotwatch.host.loop import loop_device
from spotwatch.host.mounts import mounted
from spotwatch.host.opened_volume import OpenedVolume, open_volume
from spotwatch.host.overlay import PLAIN, Overlay
from spotwatch.host.qemu_overlay import QemuOverlays
from spotwatch.host.tree import DirectoryTree
from tests.ship import images
from tests.ship.data import needs_data, shared, unpack_image
from tests.ship.images import KINDS, Image, needs_images

pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
    needs_images,
    pytest.mark.skipif(bool(QemuOverlays().obstacle()), reason=f"no qemu overlay: {QemuOverlays().obstacle()}"),
]

QEMU = (QemuOverlays(),)
NOT_REPLAYED = {"ext4": "noload", "xfs": "norecovery", "btrfs": "rescue=nologreplay"}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_all(tree: DirectoryTree | OpenedVolume) -> dict[str, bytes]:
    """Every file's content; nothing may be unreadable."""
    files = tree.tree if isinstance(tree, OpenedVolume) else tree
    content = {}
    for found in files.files():
        assert isinstance(found, LogFile), found
        with files.open(found.path) as file:
            content[found.path] = file.read()
        assert len(content[found.path]) == found.size
    return content


@contextlib.contextmanager
def attached_disk(disk: Image) -> Iterator[str]:
    """The image as a disk with its partitions, also where the kernel does not look for them itself."""
    with disk.path.open("rb") as file, loop_device(file.fileno(), read_only=True) as loop:
        subprocess.run(["partx", "--update", loop], check=True)
        yield loop


def read_without_replay(image: Image) -> dict[str, bytes]:
    option = NOT_REPLAYED[image.kind]
    more = ("nouuid",) if image.kind == "xfs" else ()
    with (
        image.path.open("rb") as file,
        loop_device(file.fileno(), read_only=True) as loop,
        mounted(loop, image.kind, (option, *more)) as root,
    ):
        return read_all(DirectoryTree(root))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_synced_before_a_power_cut_is_read_and_the_volume_stays_as_it_was(kind: str, tmp_path: Path) -> None:
    image = images.dirty(tmp_path / "image", kind, images.logs)
    before = sha256(image.path)
    with open_volume(str(image.path), scratch=str(tmp_path), ways=QEMU) as volume:
        assert read_all(volume) == image.content
        assert (volume.way, volume.anomalies()) == ("qemu", ())
    assert sha256(image.path) == before


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_replay_the_same_bytes_are_missing(kind: str, tmp_path: Path) -> None:
    """`noload` and its like would have failed the test above."""
    image = images.dirty(tmp_path / "image", kind, images.logs)
    found = read_without_replay(image)
    assert sum(map(len, found.values())) < sum(map(len, image.content.values()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_clean_volume_needs_no_overlay(kind: str, tmp_path: Path) -> None:
    image = images.clean(tmp_path / "image", kind, images.logs)
    before = sha256(image.path)
    with open_volume(str(image.path), scratch=str(tmp_path), ways=()) as volume:
        assert read_all(volume) == image.content
        assert (volume.way, volume.anomalies()) == (PLAIN, ())
    assert sha256(image.path) == before


@needs_data
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_of_the_shared_volumes_every_byte_that_a_replay_shows_is_read(kind: str, tmp_path: Path) -> None:
    image = unpack_image(shared("volumes", f"{kind}-T25.img.zst"), tmp_path / "image")
    before = sha256(image)
    replayed = tmp_path / "replayed"
    images.copy(image, replayed)
    with images.mounted_image(replayed, kind) as root:
        expected = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    with open_volume(str(image), scratch=str(tmp_path), ways=QEMU) as volume:
        assert read_all(volume) == expected
        assert volume.anomalies() == ()
    assert sha256(image) == before
    without = read_without_replay(Image(image, kind))
    assert sum(map(len, without.values())) < sum(map(len, expected.values()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_volume_is_read_whole(kind: str, tmp_path: Path) -> None:
    image = images.dirty(tmp_path / "image", kind, images.full)
    before = sha256(image.path)
    with open_volume(str(image.path), scratch=str(tmp_path), ways=QEMU) as volume:
        content = read_all(volume)
        assert {path: content[path] for path in image.content} == image.content
    assert sha256(image.path) == before


def test_a_dirty_volume_without_a_way_to_overlay_it_is_not_read(tmp_path: Path) -> None:
    image = images.dirty(tmp_path / "image", "ext4", images.logs)
    with pytest.raises(OverlayUnavailable, match="cannot be replayed"), open_volume(str(image.path), ways=()):
        pass


@pytest.mark.parametrize("kind", KINDS)
def test_scratch_space_that_is_too_small_is_told_and_nothing_short_is_read(kind: str, tmp_path: Path) -> None:
    image = images.dirty(tmp_path / "image", kind, images.logs)
    with (
        pytest.raises(OverlayFull) as caught,
        open_volume(str(image.path), scratch=str(tmp_path), limit=400 << 10, ways=QEMU),
    ):
        pass
    assert "raise the limit" in caught.value.hint


@pytest.mark.parametrize("kind", KINDS)
def test_scratch_space_on_a_full_disk_is_told_likewise(kind: str, tmp_path: Path) -> None:
    image = images.dirty(tmp_path / "image", kind, images.logs)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with (
        images.small_disk(scratch, 700 << 10),
        pytest.raises((OverlayFull, OverlayUnavailable)) as caught,
        open_volume(str(image.path), scratch=str(scratch), ways=QEMU),
    ):
        pass
    assert "scratch" in caught.value.hint


def test_the_only_partition_with_a_file_system_is_read(tmp_path: Path) -> None:
    inner = images.dirty(tmp_path / "inner", "ext4", images.logs)
    disk = images.partitioned(tmp_path / "disk", inner)
    with attached_disk(disk) as loop, open_volume(loop, scratch=str(tmp_path), ways=QEMU) as volume:
        assert read_all(volume) == inner.content
        assert volume.device == f"{loop}p1"


def test_of_several_partitions_none_is_guessed(tmp_path: Path) -> None:
    inner = images.clean(tmp_path / "inner", "ext4", images.logs)
    disk = images.partitioned(tmp_path / "disk", inner, count=2)
    with (
        pytest.raises(
            VolumeUnreadable, match=r"several file systems: /dev/loop\d+p1 \(ext4\), /dev/loop\d+p2 \(ext4\)"
        ),
        attached_disk(disk) as loop,
        open_volume(loop),
    ):
        pass


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (images.lvm, "is a physical volume of LVM"),
        (images.lvm_made_by_its_tool, "is a physical volume of LVM"),
        (images.raid, "is a member of a RAID"),
        (images.luks, "is encrypted by LUKS"),
        (images.empty, "has no file system"),
    ],
)
def test_what_is_no_file_system_is_refused_by_its_name(make: images.Maker, told: str, tmp_path: Path) -> None:
    with pytest.raises(VolumeUnreadable, match=told), open_volume(str(make(tmp_path / "image"))):
        pass


def test_a_mounted_device_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "image"
    images.make_filesystem(path, "ext4")
    with images.mounted_image(path, "ext4") as root:
        device = subprocess.run(
            ["findmnt", "-no", "SOURCE", str(root)], capture_output=True, text=True, check=True
        ).stdout.strip()
        with pytest.raises(VolumeUnreadable, match="is in use"), open_volume(device):
            pass
        (root / "still-writable").write_bytes(b"yes")


def test_an_image_that_somebody_still_writes_to_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "image"
    images.make_filesystem(path, "ext4")
    with images.mounted_image(path, "ext4"):
        with pytest.raises(VolumeUnreadable, match=r"loop[0-9]+ writes to it"), open_volume(str(path)):
            pass
        words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", "echo there; exec sleep 60"]
        elsewhere = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert elsewhere.stdout is not None
        elsewhere.stdout.readline()
    with elsewhere:
        with pytest.raises(VolumeUnreadable, match=r"loop[0-9]+ writes to it"), open_volume(str(path)):
            pass
        elsewhere.kill()


def test_an_image_that_is_only_read_elsewhere_is_read(tmp_path: Path) -> None:
    image = images.dirty(tmp_path / "image", "ext4", images.logs)
    with (
        image.path.open("rb") as file,
        loop_device(file.fileno(), read_only=True),
        open_volume(str(image.path), scratch=str(tmp_path), ways=QEMU) as volume,
    ):
        assert read_all(volume) == image.content


def test_a_writable_device_is_read_only_while_it_is_read_and_writable_again_afterwards(tmp_path: Path) -> None:
    image = images.dirty(tmp_path / "image", "ext4", images.logs)
    with image.path.open("r+b") as file, loop_device(file.fileno(), read_only=False) as loop:
        flag = Path(f"/sys/block/{os.path.basename(loop)}/ro")
        with open_volume(loop, scratch=str(tmp_path), ways=QEMU) as volume:
            assert read_all(volume) == image.content
            assert flag.read_text() == "1\n"
        assert flag.read_text() == "0\n"


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_on_a_hostile_volume_leads_out_of_it(kind: str, tmp_path: Path) -> None:
    image = images.dirty(tmp_path / "image", kind, images.hostile)
    before = sha256(image.path)
    with open_volume(str(image.path), scratch=str(tmp_path), ways=QEMU) as volume:
        found = list(volume.tree.files())
        assert {one.path for one in found if isinstance(one, LogFile)} == set(image.content)
        (deep,) = (one for one in found if isinstance(one, Unreadable))
        assert deep.reason == "more than 128 directories deep"
        for path in (
            "outside",
            "up/passwd",
            "proc/environ",
            "disk",
            "zero",
            "pipe",
            "socket",
            "../etc/passwd",
            "/etc/passwd",
        ):
            with pytest.raises(OSError, match=r"\w"):
                volume.tree.open(path)
            assert volume.tree.find(path) is None
        for path, content in image.content.items():
            with volume.tree.open(path) as file:
                assert file.read() == content
    assert sha256(image.path) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_terabyte_of_nothing_is_known_to_be_nothing(kind: str, tmp_path: Path) -> None:
    image = images.dirty(tmp_path / "image", kind, images.sparse_terabyte)
    with open_volume(str(image.path), scratch=str(tmp_path), ways=QEMU) as volume:
        (file,) = volume.tree.files()
        assert isinstance(file, LogFile)
        assert (file.size, file.allocated) == (1 << 40, 4096)
        with volume.tree.open("sparse.log") as opened:
            opened.seek(-5, os.SEEK_END)
            assert opened.read() == b"last\n"


@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_files_come_in_the_order_of_their_paths(kind: str, tmp_path: Path) -> None:
    image = images.dirty(tmp_path / "image", kind, images.ten_thousand)
    with open_volume(str(image.path), scratch=str(tmp_path), ways=QEMU) as volume:
        assert [file.path for file in volume.tree.files()] == sorted(image.content)
        assert read_all(volume) == image.content


def test_a_corrupt_directory_is_an_anomaly_and_its_files_are_found_by_the_repair(tmp_path: Path) -> None:
    image = images.clean(tmp_path / "image", "ext4", images.logs)
    images.corrupt_directory(image, "/log")
    before = sha256(image.path)
    with open_volume(str(image.path), scratch=str(tmp_path), ways=QEMU) as volume:
        found = {file.path: file for file in volume.tree.files() if isinstance(file, LogFile)}
        content = set()
        for path in found:
            with volume.tree.open(path) as opened:
                content.add(opened.read())
        assert content >= set(image.content.values())
        assert any("log cannot be read" in anomaly for anomaly in volume.anomalies())
        assert any(anomaly.startswith("kernel: EXT4-fs error") for anomaly in volume.anomalies())
    assert sha256(image.path) == before


def test_a_corrupt_inode_of_xfs_is_an_anomaly_and_all_other_files_are_read(tmp_path: Path) -> None:
    image = images.clean(tmp_path / "image", "xfs", images.logs)
    with images.mounted_image(image.path, "xfs", "ro") as root:
        inode = (root / "log/app.log").stat().st_ino
    argv = ["xfs_db", "-x", "-c", f"inode {inode}", "-c", "write core.nextents 77", str(image.path)]
    subprocess.run(argv, capture_output=True, check=True)
    with open_volume(str(image.path), scratch=str(tmp_path), ways=QEMU) as volume:
        found = {one.path: type(one) for one in volume.tree.files()}
        assert found == {"log/app.log": Unreadable, "log/app.log.1": LogFile, "log/other.log": LogFile}
        assert any(anomaly.startswith("kernel: XFS") for anomaly in volume.anomalies())
        with volume.tree.open("log/app.log.1") as file:
            assert file.read() == image.content["log/app.log.1"]


def test_a_wrong_checksum_of_btrfs_is_an_anomaly_and_the_bytes_are_read_as_they_are(tmp_path: Path) -> None:
    content = random.Random(4).randbytes(200_000)

    def write(root: Path) -> dict[str, bytes]:
        (root / "a.log").write_bytes(content)
        return {"a.log": content}

    image = images.clean(tmp_path / "image", "btrfs", write)
    at = image.path.read_bytes().index(content[8192:8256])
    with image.path.open("r+b") as file:
        file.seek(at)
        file.write(b"@")
    with open_volume(str(image.path), scratch=str(tmp_path), ways=QEMU) as volume:
        assert volume.anomalies() == ()
        assert read_all(volume) == {"a.log": content[:8192] + b"@" + content[8193:]}
        assert "a.log cannot be read: Input/output error" in volume.anomalies()


def test_what_cannot_even_be_mounted_is_repaired_on_the_overlay_alone(tmp_path: Path) -> None:
    image = images.dirty(tmp_path / "image", "ext4", images.logs)
    with image.path.open("r+b") as file:
        file.seek(4096)  # the group descriptors
        file.write(b"\xa5" * 4096)
    before = sha256(image.path)
    with open_volume(str(image.path), scratch=str(tmp_path), ways=QEMU) as volume:
        assert "it cannot be mounted: Structure needs cleaning" in volume.anomalies()
        assert all(isinstance(found, LogFile) for found in volume.tree.files())
    assert sha256(image.path) == before


def test_a_file_system_that_has_noted_errors_is_an_anomaly(tmp_path: Path) -> None:
    image = images.clean(tmp_path / "image", "ext4", images.logs)
    images.mark_as_damaged(image)
    with open_volume(str(image.path), scratch=str(tmp_path), ways=QEMU) as volume:
        assert "the file system is marked as having errors" in volume.anomalies()
        assert read_all(volume) == image.content


class AfterAnother:
    """Overlays on devices of which the kernel has said something when they were another volume's."""

    name = "qemu"

    def obstacle(self) -> str:
        return ""

    @contextlib.contextmanager
    def over(self, device: str, *, scratch: str, limit: int) -> Iterator[Overlay]:
        with QemuOverlays().over(device, scratch=scratch, limit=limit) as overlay:
            Path("/dev/kmsg").write_text(f"<4>EXT4-fs ({os.path.basename(overlay.device)}): write access unavailable\n")
            yield overlay


def test_what_was_said_of_a_device_before_it_was_the_overlay_s_is_about_another_volume(tmp_path: Path) -> None:
    """Several are read at a time, and a loop device that one has given back another takes."""
    image = images.dirty(tmp_path / "image", "ext4", images.logs)
    with open_volume(str(image.path), scratch=str(tmp_path), ways=(AfterAnother(),)) as volume:
        assert read_all(volume) == image.content
        assert volume.anomalies() == ()


def test_a_journal_on_another_device_is_refused(tmp_path: Path) -> None:
    """Its replay would write there."""
    image = images.clean(tmp_path / "image", "ext4", images.logs)
    subprocess.run(["debugfs", "-w", "-R", "ssv journal_inum 0", str(image.path)], capture_output=True, check=True)
    with pytest.raises(VolumeUnreadable, match="journal on another device"), open_volume(str(image.path)):
        pass
