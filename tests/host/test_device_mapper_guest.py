"""The overlay of the device-mapper, tried for real in a guest with a stock kernel, whatever our own kernel has.

The guest is a small Debian made by mmdebstrap, started by QEMU without virtualisation and without an initrd. The
volumes are NVMe disks whose serials are volume ids, as on EC2.
"""

import contextlib
import hashlib
import json
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.ship import images
from tests.ship.images import KINDS, Image, needs_images

REPOSITORY: Final = Path(__file__).parent.parent.parent
PROGRAMS: Final = ("mmdebstrap", "qemu-system-x86_64", "mkfs.ext4")
PACKAGES: Final = "linux-image-cloud-amd64,python3,dmsetup,e2fsprogs,util-linux,kmod"
SOURCES: Final = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
MAKE_LIMIT: Final = 600
BOOT_LIMIT: Final = 180

INIT: Final = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /scratch
mount -t tmpfs scratch /scratch
modprobe -a loop xfs btrfs
cd /project && python3 -m tests.host.guest_reader {volumes} 2>&1
echo o > /proc/sysrq-trigger
exec sleep 60
"""

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.root,
    needs_images,
    pytest.mark.skipif(
        any(shutil.which(program) is None for program in PROGRAMS), reason=f"needs {', '.join(PROGRAMS)}"
    ),
]

VOLUMES: Final = {kind: f"vol-0123456789abcdef{number}" for number, kind in enumerate(KINDS)}


def make_guest(directory: Path) -> tuple[Path, Path]:
    """A disk with the guest and our code in it, and the guest's kernel."""
    sources = next((path for path in SOURCES if path.exists()), None)
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    if sources is None:
        pytest.skip("no Debian package sources")
    root = directory / "root"
    argv = [
        "mmdebstrap",
        "--variant=minbase",
        f"--include={PACKAGES}",
        codename,
        str(root),
        str(sources),
    ]
    made = subprocess.run(argv, capture_output=True, text=True, timeout=MAKE_LIMIT, check=False)
    if made.returncode != 0:
        pytest.skip(f"no guest can be made: {made.stderr.strip().splitlines()[-1:]}")
    shutil.copytree(REPOSITORY / "spotwatch", root / "project/spotwatch")
    for name in ("__init__.py", "host/__init__.py", "host/guest_reader.py"):
        (root / "project/tests" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / "tests" / name, root / "project/tests" / name)
    (root / "init.sh").write_text(INIT.format(volumes=" ".join(VOLUMES.values())))
    (root / "init.sh").chmod(0o755)
    disk = directory / "guest.ext4"
    with disk.open("wb") as file:
        file.truncate(1500 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-d", str(root), str(disk)], check=True)
    return disk, next((root / "boot").glob("vmlinuz-*"))


def run_guest(disk: Path, kernel: Path, volumes: dict[str, Image]) -> dict[str, Any]:
    """What `tests.host.guest_reader` reports."""
    argv = ["qemu-system-x86_64", "-accel", "tcg", "-m", "768", "-nodefaults", "-nographic", "-no-reboot"]
    console = disk.with_name("console")
    argv += ["-serial", f"file:{console}", "-kernel", str(kernel)]
    argv += ["-append", "console=ttyS0 root=/dev/nvme0n1 rw init=/init.sh quiet panic=-1"]
    argv += ["-drive", f"file={disk},format=raw,if=none,id=root", "-device", "nvme,serial=root,drive=root"]
    for kind, image in volumes.items():
        argv += ["-drive", f"file={image.path},format=raw,if=none,id={kind}"]
        argv += ["-device", f"nvme,serial={VOLUMES[kind].replace('-', '')},drive={kind}"]
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=BOOT_LIMIT, check=True)
    said = console.read_text(errors="replace")
    reports = [line for line in said.splitlines() if "REPORT {" in line]
    assert reports, said[-4000:]
    report: dict[str, Any] = json.loads(reports[0].partition("REPORT ")[2])
    return report


def test_dirty_volumes_are_read_whole_through_device_mapper_snapshots_that_leave_nothing(tmp_path: Path) -> None:
    volumes = {kind: images.dirty(tmp_path / f"{kind}.img", kind, images.logs) for kind in KINDS}
    report = run_guest(*make_guest(tmp_path), volumes)
    assert report["obstacle"] == ""
    for kind, image in volumes.items():
        told = report[VOLUMES[kind]]
        assert told["way"] == "dm-snapshot", kind
        assert told["files"] == {path: hashlib.sha256(data).hexdigest() for path, data in image.content.items()}, kind
        assert told["anomalies"] == [], kind
        assert told["unchanged"], kind
        assert told["left"] == told["killed"] == told["left_at_last"] == [], kind
        assert told["full"], f"{kind}: an overlay that is too small was not noticed"
        assert len(told["stale"]) == 1, kind
