"""The batch job as a person starts it: which volumes, where, what is said of each, and how it ends."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from spotwatch.cli.ship.host import ThisHost
from spotwatch.core.errors import VolumeUnreadable
from spotwatch.core.volume import STATE_TAG, Volume, VolumeState
from spotwatch.host.block_devices import BlockDevices
from spotwatch.ship.destination import Directory
from spotwatch.ship.job import MANIFEST_TAG, REASON_TAG, SHIPPED_TAG
from spotwatch.ship.shipper import Origin, Shipment, publish
from spotwatch.simulate.service import MetadataService
from tests.cloud import OTHER_ZONE, ZONE, Cloud, cloud, manual_clock
from tests.ship.leftovers import BEGINNING, DEAD, label
from tests.ship.store import everything, written

__all__ = ["cloud", "manual_clock"]

Main = Callable[..., tuple[int, str, str]]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "shipped"


@pytest.fixture
def here(cloud: Cloud) -> str:
    """The instance that ships."""
    return cloud.instance()


@pytest.fixture
def ship(main: Main, tmp_path: Path, target: Path, here: str) -> Main:
    def run(*words: str) -> tuple[int, str, str]:
        place = ("--host-instance-id", here, "--availability-zone", ZONE)
        state = ("--set", f"state.directory={tmp_path / 'state'}")
        config = tmp_path / "spotwatch.toml"
        config.touch()
        return main("ship", "--config", str(config), *place, *state, "--to", target.as_uri(), *words)

    return run


def shipped(cloud: Cloud, tmp_path: Path, target: Path, zone: str = ZONE) -> str:
    """A volume that an earlier run has shipped, tagged and detached."""
    volume = cloud.volume(zone=zone)
    tree = written(tmp_path / volume, log=b"one\n")
    manifest = Shipment(tree, Directory(target), workers=1).store(everything(tree), Origin(volume, "i-1", {}, "plain"))
    tags = {**label(VolumeState.SHIPPED).to_tags(), MANIFEST_TAG: publish(manifest, Directory(target))}
    tags[SHIPPED_TAG] = BEGINNING.isoformat()
    told = [{"Key": key, "Value": value} for key, value in tags.items()]
    cloud.ec2.create_tags(Resources=[volume], Tags=told)
    return volume


def test_without_leftovers_it_says_so_and_is_0(ship: Main) -> None:
    assert ship()[:2] == (0, f"no leftover volume in {ZONE}\n")


def test_each_volume_has_one_line(ship: Main, cloud: Cloud, tmp_path: Path, target: Path) -> None:
    volumes = {shipped(cloud, tmp_path, target) for _ in range(2)}
    code, out, _ = ship()
    assert code == 0
    assert set(out.splitlines()) == {f"{volume}  deleted" for volume in volumes}


def test_as_json_it_is_one_document(ship: Main, cloud: Cloud, tmp_path: Path, target: Path) -> None:
    volume = shipped(cloud, tmp_path, target)
    told = json.loads(ship("--json")[1])
    assert [(one["volume"], one["verdict"]) for one in told] == [(volume, "deleted")]


def test_volumes_that_are_not_named_are_left_alone(ship: Main, cloud: Cloud, tmp_path: Path, target: Path) -> None:
    volumes = [shipped(cloud, tmp_path, target) for _ in range(3)]
    assert ship("--volume", volumes[1])[1] == f"{volumes[1]}  deleted\n"
    assert cloud.state(volumes[0]) == cloud.state(volumes[2]) == "available"


def test_volumes_of_another_zone_are_left_alone(ship: Main, cloud: Cloud, tmp_path: Path, target: Path) -> None:
    volume = shipped(cloud, tmp_path, target, zone=OTHER_ZONE)
    assert "no leftover volume" in ship()[1]
    assert cloud.state(volume) == "available"


@pytest.mark.parametrize(
    "words", [("--keep",), ("--retain", "300d"), ("--set", "ship.keep=true"), ("--set", "ship.retain=300d")]
)
def test_a_volume_that_is_to_stay_stays(
    ship: Main, cloud: Cloud, tmp_path: Path, target: Path, words: tuple[str, ...]
) -> None:
    volume = shipped(cloud, tmp_path, target)
    code, out, _ = ship(*words)
    assert (code, out) == (0, f"{volume}  kept: it is shipped, and to be kept for now\n")
    assert cloud.state(volume) == "available"


def test_a_volume_whose_manifest_is_gone_stays_and_is_75(
    ship: Main, cloud: Cloud, tmp_path: Path, target: Path
) -> None:
    volume = shipped(cloud, tmp_path, target)
    for path in target.rglob("*.zst"):
        path.unlink()
    code, out, _ = ship()
    assert code == 75
    assert "is not there" in out
    assert cloud.state(volume) == "available"
    assert cloud.tags(volume)[STATE_TAG] == "shipped"


class TestADryRun:
    def test_says_what_would_be_done_with_each_volume_and_does_nothing(
        self, ship: Main, cloud: Cloud, tmp_path: Path, target: Path
    ) -> None:
        done = shipped(cloud, tmp_path, target)
        left = cloud.volume(tags=label(instance="i-0dead").to_tags())
        lost = cloud.volume(tags={**label(VolumeState.QUARANTINED).to_tags(), REASON_TAG: "a block is lost"})
        cloud.aws.calls.clear()
        code, out, _ = ship("--dry-run")
        told, *volumes = out.splitlines()
        jobs = min(4, os.cpu_count() or 1)
        assert (code, told) == (0, f"2 volumes to work on, {jobs} at a time; to {target.as_uri()}")
        assert [line.split()[:2] for line in volumes] == [[done, "delete"], [left, "ship"], [lost, "leave"]]
        assert re.search(r"8 GiB gp3, interrupted for \d+ d \d+ h, of i-0dead: then deleted, if", volumes[1])
        assert volumes[2].endswith("in quarantine: a block is lost")
        assert {call.operation[:8] for call in cloud.aws.calls} == {"Describe"}

    def test_as_json_has_every_field(self, ship: Main, cloud: Cloud, target: Path) -> None:
        volume = cloud.volume(tags={**label().to_tags(), "spotwatch:layer-1": "RAID"})
        told = json.loads(ship("--dry-run", "--json", "--jobs", "1")[1])
        (only,) = told.pop("volumes")
        assert told == {"to": target.as_uri(), "at_once": 1}
        assert only == {
            "volume": volume, "deed": "quarantine", "reason": "RAID cannot be read", "size_gib": 8, "kind": "gp3",
            "state": "interrupted", "marked_at": label().marked_at.isoformat(), "instance": DEAD, "attached_to": "",
            "holder": "",
        }  # fmt: skip

    def test_looks_only_at_the_volumes_that_are_named(self, ship: Main, cloud: Cloud) -> None:
        volumes = [cloud.volume(tags=label().to_tags()) for _ in range(2)]
        out = ship("--dry-run", "--volume", volumes[0])[1]
        assert volumes[0] in out
        assert volumes[1] not in out

    def test_without_leftovers_says_so(self, ship: Main) -> None:
        assert ship("--dry-run")[:2] == (0, f"no leftover volume in {ZONE}\n")


@pytest.mark.usefixtures("cloud")
def test_where_this_is_the_metadata_service_says(main: Main, tmp_path: Path, target: Path) -> None:
    with MetadataService() as service:
        code, out, _ = main(
            "ship", "--to", target.as_uri(), "--set", f"state.directory={tmp_path}",
            "--set", f"metadata.endpoint={service.url}",
        )  # fmt: skip
    assert code == 0
    assert out.startswith("no leftover volume in ")


def test_without_a_metadata_service_it_is_64_with_a_hint(main: Main, target: Path, tmp_path: Path) -> None:
    code, _, err = main(
        "ship", "--to", target.as_uri(), "--set", "metadata.endpoint=http://127.0.0.1:9",
        "--set", f"state.directory={tmp_path}",
    )  # fmt: skip
    assert code == 64
    assert "name a volume with --device" in err


def test_without_a_destination_it_is_64(main: Main, tmp_path: Path) -> None:
    config = tmp_path / "spotwatch.toml"
    config.touch()
    code, _, err = main("ship", "--config", str(config))
    assert (code, "ship.to" in err) == (64, True)


class TestThisHost:
    @pytest.fixture
    def sys(self, tmp_path: Path) -> Path:
        (tmp_path / "sys" / "block").mkdir(parents=True)
        return tmp_path / "sys"

    def host(self, sys: Path, **changes: object) -> ThisHost:
        host = ThisHost("i-1", str(sys / "claims"), BlockDevices(str(sys), "/dev"))
        for name, value in changes.items():
            setattr(host, name, value)
        return host

    def volume(self) -> Volume:
        return Volume("vol-0123456789abcdef0", 8, "gp3", ZONE, "in-use", BEGINNING, {}, "i-1", "/dev/sdf", "attached")

    def test_a_device_is_found_by_its_serial(self, sys: Path) -> None:
        device = sys / "class" / "block" / "nvme3n1" / "device"
        device.mkdir(parents=True)
        (device / "serial").write_text("vol0123456789abcdef0\n")
        (sys / "block" / "nvme3n1").mkdir()
        assert self.host(sys).device(self.volume()) == "/dev/nvme3n1"

    def test_one_that_never_appears_is_told(self, sys: Path) -> None:
        ticks = iter(range(0, 1000, 61))
        with pytest.raises(VolumeUnreadable, match="no device of its serial has appeared"):
            self.host(sys, elapsed=lambda: next(ticks)).device(self.volume())

    def test_two_workers_of_a_host_have_two_names(self, sys: Path) -> None:
        instance, boot, pid = self.host(sys).worker.split("/")
        assert (instance, len(boot)) == ("i-1", 8)
        assert pid.isdecimal()
