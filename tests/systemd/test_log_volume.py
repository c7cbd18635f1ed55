"""flush-logs in the unit's own sandbox, with a real systemd, a real drain and a real file system that is frozen."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spotwatch.host import freeze
from spotwatch.host.file_systems import unit_of
from tests.host.frozen import is_frozen
from tests.ship.images import attached, make_filesystem, needs_images
from tests.systemd.container import missing, wait_for
from tests.systemd.installed import Installed

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    needs_images,
    pytest.mark.skipif(bool(missing()), reason=missing() or "everything is there"),
]

MOUNT_POINT = "/srv/log volume"
UNIT = unit_of(MOUNT_POINT)


def flush_logs(*words: str) -> str:
    args = json.dumps(["--mount-point", MOUNT_POINT, *words])
    return f'[[hook]]\nname = "flush"\nuse = "flush-logs"\nargs = {args}\non = ["stop", "terminate"]\n'


@pytest.fixture
def volume(spotwatch: Installed, tmp_path: Path) -> Iterator[Path]:
    """A log volume that is mounted in the container, as it is seen from outside."""
    container, image, disk = spotwatch.container, tmp_path / "image", f"/var/tmp/disk-{os.getpid()}"
    make_filesystem(image, "ext4")
    with attached(image) as loop:
        number = os.stat(loop).st_rdev
        container.run("mknod", disk, "b", str(os.major(number)), str(os.minor(number)))
        container.run("mkdir", "--parents", MOUNT_POINT)
        container.run("mount", "-t", "ext4", disk, MOUNT_POINT)
        root = Path(f"/proc/{container.leader}/root{MOUNT_POINT}")
        try:
            yield root
        finally:
            spotwatch.systemctl("stop", "spotwatch.service", UNIT, check=False)
            with contextlib.suppress(OSError), freeze.opened(str(root)) as descriptor:
                freeze.thaw(descriptor)
            container.run("umount", MOUNT_POINT)
            container.run("rm", disk)


def drain(spotwatch: Installed, what: str, *words: str) -> dict[str, Any]:
    """Have it happen; the report."""
    spotwatch.hooks(flush_logs(*words))
    spotwatch.start()
    spotwatch.announce(what)
    return spotwatch.wait_for_report()


def active(spotwatch: Installed) -> bool:
    return spotwatch.systemctl("is-active", UNIT, check=False) == "active"


def test_the_drain_ends_at_once_and_its_last_report_is_on_the_volume_when_it_is_frozen(
    spotwatch: Installed, volume: Path
) -> None:
    report = drain(spotwatch, "terminate 10s", "--freeze", "1s")
    assert (report["verdict"], report["seconds_to_spare"] > 4) == ("drained", True), spotwatch.output("flush")
    assert "frozen 1 s before the deadline" in spotwatch.output("flush")
    wait_for(lambda: is_frozen(volume), "the freeze")
    assert json.loads((volume / ".spotwatch" / "reports" / f"{report['drain']}.json").read_text()) == report


def test_stopped_it_is_thawed(spotwatch: Installed, volume: Path) -> None:
    drain(spotwatch, "terminate 5s")
    wait_for(lambda: is_frozen(volume), "the freeze")
    spotwatch.systemctl("stop", UNIT)
    assert not is_frozen(volume)


def test_killed_it_is_thawed_all_the_same(spotwatch: Installed, volume: Path) -> None:
    drain(spotwatch, "terminate 5s")
    wait_for(lambda: is_frozen(volume), "the freeze")
    spotwatch.systemctl("kill", "--signal=KILL", UNIT)
    wait_for(lambda: not is_frozen(volume), "the thaw")


def test_it_outlives_the_daemon(spotwatch: Installed, volume: Path) -> None:
    drain(spotwatch, "terminate 10s")
    spotwatch.systemctl("kill", "--signal=KILL", "spotwatch.service")
    assert active(spotwatch)
    wait_for(lambda: is_frozen(volume), "the freeze")


def test_an_instance_that_lives_on_has_it_thawed_after_half_a_minute(spotwatch: Installed, volume: Path) -> None:
    drain(spotwatch, "terminate 3s")
    wait_for(lambda: is_frozen(volume), "the freeze")
    wait_for(lambda: not active(spotwatch), "its end", seconds=45)
    assert not is_frozen(volume)
    (volume / "app.log").write_text("goes on\n")


def test_at_a_stop_it_is_synced_and_not_frozen(spotwatch: Installed, volume: Path) -> None:
    assert drain(spotwatch, "stop 4s")["verdict"] == "drained"
    assert "not frozen: an instance unmounts it by itself on stop" in spotwatch.output("flush")
    (volume / "app.log").write_text("until the end\n")
    assert active(spotwatch)


def test_our_own_state_on_the_volume_is_not_frozen(spotwatch: Installed, volume: Path) -> None:
    """The daemon writes its journal there."""
    spotwatch.hooks(f'[state]\ndirectory = "{MOUNT_POINT}/state"\n', flush_logs())
    spotwatch.start()
    spotwatch.announce("terminate 5s")
    wait_for(lambda: list((volume / "state" / "reports").glob("*.json")), "the report")
    (output,) = (volume / "state" / "output").glob("*/flush.log")
    assert "is on the same file system" in output.read_text()
    assert active(spotwatch)


def test_the_disk_under_a_mount_point_is_found_although_the_unit_has_no_disks_in_its_dev(
    spotwatch: Installed, volume: Path
) -> None:
    """Here it is a loop device, and no EBS volume; that this is told shows that it was found."""
    assert not volume.joinpath(".spotwatch").exists()
    args = json.dumps(["--mount-point", MOUNT_POINT])
    spotwatch.hooks(f'[[hook]]\nname = "keep"\nuse = "preserve-volume"\nargs = {args}\n')
    spotwatch.start()
    spotwatch.announce("terminate 30s")
    assert spotwatch.wait_for_report()["hooks"][0]["exit_code"] == 65
    assert "is a loop device over" in spotwatch.output("keep")
