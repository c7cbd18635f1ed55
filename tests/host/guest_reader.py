"""Runs inside the guest: reads each volume through the device-mapper and says what it saw."""

import hashlib
import json
import os
import signal
import subprocess
import sys

from spotwatch.core.errors import OverlayFull
from spotwatch.core.log_file import LogFile
from spotwatch.host.block_devices import BlockDevices
from spotwatch.host.dm_overlay import DeviceMapperOverlays, remove_stale
from spotwatch.host.opened_volume import WAYS, open_volume

SCRATCH = "/scratch"
PATIENCE = 200


def sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def read(device: str) -> dict[str, object]:
    before = sha256(device)
    with open_volume(device, scratch=SCRATCH, ways=WAYS) as volume:
        files = {}
        for found in volume.tree.files():
            assert isinstance(found, LogFile), found
            with volume.tree.open(found.path) as file:
                files[found.path] = hashlib.sha256(file.read()).hexdigest()
        told = {"way": volume.way, "anomalies": volume.anomalies(), "files": files}
    return {**told, "unchanged": sha256(device) == before, "left": left()}


def left() -> list[str]:
    """Mapped devices and loop devices that are still there."""
    mapped = subprocess.run(["dmsetup", "ls"], capture_output=True, text=True, check=True).stdout.strip()
    loops = [name for name in os.listdir("/sys/block") if os.path.exists(f"/sys/block/{name}/loop")]
    return loops + ([] if mapped == "No devices found" else [mapped])


def full(device: str) -> bool:
    try:
        with open_volume(device, scratch=SCRATCH, limit=16 << 10, ways=WAYS):
            return False
    except OverlayFull:
        return True


def killed(device: str) -> list[str]:
    """What is left of a reader that was killed in the middle, once the kernel has taken back what it could."""
    pid = os.fork()
    if pid == 0:
        with open_volume(device, scratch=SCRATCH, ways=WAYS):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    for _ in range(PATIENCE):
        if not left():
            break
    return left()


def stale(device: str) -> list[str]:
    """What is removed of a mapped device that was left under our name for this volume."""
    number = os.stat(device).st_rdev
    name = f"spotwatch-{os.major(number)}-{os.minor(number)}"
    subprocess.run(["dmsetup", "create", name, "--noudevsync", "--table", f"0 2048 linear {device} 0"], check=True)
    return remove_stale(device)


def main(*volumes: str) -> None:
    devices = BlockDevices()
    report: dict[str, object] = {"obstacle": DeviceMapperOverlays().obstacle()}
    for volume in volumes:
        device = devices.of_volume(volume)
        assert device is not None, volume
        told = read(device)
        more = {"full": full(device), "killed": killed(device), "stale": stale(device), "left_at_last": left()}
        report[volume] = told | more
    print(f"REPORT {json.dumps(report)}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
