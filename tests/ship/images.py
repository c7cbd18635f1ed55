"""Freshly made disk images: whole file systems as an instance leaves them, and what else may be on a volume.

A dirty one is a copy of the image made while its file system is mounted: what is synced is in it, what is in the page
cache of the file system only is not, and the journal is as it was. That is what EBS holds after a power loss.
"""

import contextlib
import os
import random
import shutil
import socket
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from spotwatch.host.loop import loop_device

MIB: Final = 1 << 20
KINDS: Final = ("ext4", "xfs", "btrfs")

_MAKE: Final[Mapping[str, tuple[tuple[str, ...], int]]] = {
    "ext4": (
        ("mkfs.ext4", "-q", "-F", "-b", "4096", "-N", "16384", "-E", "lazy_itable_init=0,lazy_journal_init=0"),
        64 * MIB,
    ),
    "xfs": (("mkfs.xfs", "-q", "-f"), 300 * MIB),
    "btrfs": (("mkfs.btrfs", "-q", "-f"), 128 * MIB),
}
"""The program, and the smallest sensible size."""

_SECTOR = 512
_FIRST_PARTITION = 2048  # sectors; where today's partitioning programs begin

needs_images: Final = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/dev/loop-control"), reason="needs root and loop devices"
)


def needs_kind(kind: str) -> None:
    """Skip the test where this file system can be neither made nor mounted."""
    from shutil import which

    program = _MAKE[kind][0][0]
    if which(program) is None:
        pytest.skip(f"{program} is missing")


@dataclass(frozen=True)
class Image:
    """A disk image, and what has to be read from it.

    Attributes:
        path: of the file.
        kind: the type of its file system.
        content: of each file that was synced, by its path as Python has it (`os.fsdecode`).
    """

    path: Path
    kind: str
    content: dict[str, bytes] = field(default_factory=dict)


Writer = Callable[[Path], Mapping[str, bytes]]


Maker = Callable[[Path], Path]


def make_filesystem(path: Path, kind: str) -> None:
    """An empty file system in a sparse file."""
    needs_kind(kind)
    argv, size = _MAKE[kind]
    with path.open("wb") as file:
        file.truncate(size)
    subprocess.run([*argv, str(path)], check=True)


@contextlib.contextmanager
def mounted_image(path: Path, kind: str, options: str = "loop") -> Iterator[Path]:
    """The image mounted beside itself, by mount(8) and not by the code under test."""
    point = path.with_name(f"{path.name}.mnt")
    point.mkdir(exist_ok=True)
    extra = ",nouuid" if kind == "xfs" else ""
    subprocess.run(["mount", "-t", kind, "-o", f"{options}{extra}", str(path), str(point)], check=True)
    try:
        yield point
    finally:
        if subprocess.run(["umount", str(point)], check=False).returncode != 0:
            subprocess.run(["umount", "--lazy", str(point)], check=True)


def clean(path: Path, kind: str, write: Writer) -> Image:
    """An image that was unmounted."""
    make_filesystem(path, kind)
    with mounted_image(path, kind) as root:
        content = dict(write(root))
    return Image(path, kind, content)


def dirty(path: Path, kind: str, write: Writer) -> Image:
    """An image that was cut off after what `write` did; it has to sync what it wants to be found."""
    live = path.with_name(f"{path.name}.live")
    make_filesystem(live, kind)
    with mounted_image(live, kind) as root:
        content = dict(write(root))
        copy(live, path)
    live.unlink()
    return Image(path, kind, content)


def copy(source: Path, target: Path) -> None:
    """A copy that keeps the holes."""
    subprocess.run(["cp", "--sparse=always", str(source), str(target)], check=True)


def logs(root: Path) -> Mapping[str, bytes]:
    """Three log files, one of them appended to and synced many times."""
    content = {}
    (root / "log").mkdir()
    for name, lines in (("app.log", 400), ("app.log.1", 3000), ("other.log", 1)):
        content[f"log/{name}"] = b"".join(b"%010d %s\n" % (n, b"x" * (n % 90)) for n in range(lines))
        _write(root / "log" / name, content[f"log/{name}"], pieces=min(lines, 20))
    return content


def logs_and_noise(root: Path) -> Mapping[str, bytes]:
    """The same, and lines that no compression makes much smaller: their bundle is sent in several parts."""
    content = dict(logs(root))
    words = random.Random(1)
    content["log/noise.log"] = b"".join(b"%06d %s\n" % (n, words.randbytes(40).hex().encode()) for n in range(2000))
    _write(root / "log" / "noise.log", content["log/noise.log"])
    return content


def _write(path: Path, content: bytes, pieces: int = 1) -> None:
    """In several appends, each of them synced."""
    step = len(content) // pieces + 1
    with path.open("wb", buffering=0) as file:
        for start in range(0, len(content), step):
            file.write(content[start : start + step])
            os.fsync(file.fileno())
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def hostile(root: Path) -> Mapping[str, bytes]:
    """What a file system can hold to lead a reader astray, beside three honest files."""
    (root / "outside").symlink_to("/etc/passwd")
    (root / "up").symlink_to("../../../../etc")
    (root / "proc").symlink_to("/proc/self")
    os.mknod(root / "disk", 0o60666, os.makedev(7, 0))
    os.mknod(root / "zero", 0o20666, os.makedev(1, 5))
    os.mkfifo(root / "pipe")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as one, contextlib.chdir(root):
        one.bind("socket")
    deep = root.joinpath(*["d"] * 140)
    deep.mkdir(parents=True)
    (deep / "deepest.log").write_bytes(b"nobody looks here\n")
    odd = os.fsdecode(b"caf\xe9 \n\x01.log")
    content = {"honest.log": b"one\n", odd: b"two\n", "a/twin.log": b"three\n", "b.log": b"three\n"}
    (root / "a").mkdir()
    for name, data in content.items():
        if name != "b.log":
            (root / name).write_bytes(data)
    (root / "b.log").hardlink_to(root / "a" / "twin.log")
    os.sync()
    return content


def ten_thousand(root: Path) -> Mapping[str, bytes]:
    """10,000 small files in 10 directories."""
    content = {}
    for number in range(10_000):
        name = f"d{number // 1000}/{number:05}.log"
        if number % 1000 == 0:
            (root / f"d{number // 1000}").mkdir()
        content[name] = b"%d\n" % number
        (root / name).write_bytes(content[name])
    os.sync()
    return content


def sparse_terabyte(root: Path) -> Mapping[str, bytes]:
    """A file of 1 TiB with one line at its end."""
    with (root / "sparse.log").open("wb") as file:
        file.seek((1 << 40) - 5)
        file.write(b"last\n")
        file.flush()
        os.fsync(file.fileno())
    return {}


def full(root: Path) -> Mapping[str, bytes]:
    """Files until nothing more can be written; what was synced before that counts."""
    content = dict(logs(root))
    with contextlib.suppress(OSError), (root / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(MIB))
    return content


def partitioned(path: Path, inner: Image, *, count: int = 1) -> Image:
    """A disk with a DOS partition table, and the image in each of its partitions."""
    size = inner.path.stat().st_size
    sectors = size // _SECTOR
    with path.open("wb") as disk:
        entries = [
            struct.pack("<B3sB3sII", 0, b"", 0x83, b"", _FIRST_PARTITION + n * sectors, sectors) for n in range(count)
        ]
        disk.write(bytes(446) + b"".join(entries).ljust(64, b"\0") + b"\x55\xaa")
        disk.truncate((_FIRST_PARTITION + count * sectors) * _SECTOR)
    for number in range(count):
        seek = f"seek={(_FIRST_PARTITION + number * sectors) * _SECTOR}"
        argv = ["dd", f"if={inner.path}", f"of={path}", "oflag=seek_bytes", seek, "bs=1M", "conv=sparse,notrunc"]
        subprocess.run([*argv, "status=none"], check=True)
    return Image(path, inner.kind, inner.content)


def lvm(path: Path) -> Path:
    """The label of a physical volume (lvm2's lib/label/label.h) on an else empty disk."""
    rest = struct.pack("<I8s32s", 32, b"LVM2 001", b"0123456789abcdefghijklmnopqrstuv").ljust(_SECTOR - 20, b"\0")
    crc = zlib.crc32(rest, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    return _disk_with(path, 512, struct.pack("<8sQI", b"LABELONE", 1, crc) + rest)


def lvm_made_by_its_tool(path: Path) -> Path:
    """A physical volume; more of LVM needs device-mapper in the kernel."""
    if shutil.which("pvcreate") is None:
        pytest.skip("pvcreate is missing")
    _disk_with(path, 0, b"")
    with path.open("r+b") as file, loop_device(file.fileno(), read_only=False) as loop:
        # Nothing but this device is looked at, nor is anything of this machine written to.
        words = [
            "--config",
            f'devices {{ filter=["a|^{loop}$|","r|.*|"] }} backup {{ backup=0 archive=0 }}',
            "-ff",
            "-y",
        ]
        subprocess.run(["pvcreate", "--quiet", *words, loop], capture_output=True, check=True)
    return path


def raid(path: Path) -> Path:
    """The superblock of a member of an md array, version 1.2 (linux/raid/md_p.h), on an else empty disk."""
    fields = struct.pack("<IIII16s32sQiIQII", 0xA92B4EFC, 1, 0, 0, b"u" * 16, b"host:0", 0, 1, 0, 100_000, 0, 2)
    body = bytearray(fields.ljust(256, b"\0"))
    struct.pack_into("<QQQ", body, 128, 2048, 100_000, 8)  # where the data begins, its size, where this is
    total = sum(struct.unpack("<64I", body))
    struct.pack_into("<I", body, 216, (total & 0xFFFFFFFF) + (total >> 32))
    return _disk_with(path, 4096, bytes(body))


@contextlib.contextmanager
def small_disk(point: Path, size: int) -> Iterator[None]:
    """A file system in memory of so many bytes, mounted there."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(point)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=True)


def luks(path: Path) -> Path:
    """The header of LUKS 1 (its on-disk format specification, 1.2.3) on an else empty disk."""
    fields = struct.pack(
        ">6sH32s32s32sII20s32sI40s", b"LUKS\xba\xbe", 1, b"aes", b"xts", b"sha256", 4096, 32, b"", b"", 1, b"u"
    )
    return _disk_with(path, 0, fields)


def empty(path: Path) -> Path:
    """A disk that nobody has written to."""
    return _disk_with(path, 0, b"")


def _disk_with(path: Path, at: int, data: bytes) -> Path:
    with path.open("wb") as disk:
        disk.seek(at)
        disk.write(data)
        disk.truncate(32 * MIB)
    return path


def mark_as_damaged(image: Image) -> None:
    """Have an ext4 say of itself that it has errors."""
    subprocess.run(["debugfs", "-w", "-R", "ssv state 2", str(image.path)], capture_output=True, check=True)


def corrupt_directory(image: Image, directory: str) -> None:
    """Overwrite the first block of an ext4 directory with rubbish."""
    argv = ["debugfs", "-R", f"blocks {directory}", str(image.path)]
    blocks = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    with image.path.open("r+b") as file:
        file.seek(int(blocks[0]) * 4096)
        file.write(b"\xa5" * 4096)
