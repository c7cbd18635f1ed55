"""What a batch says that it would do is what it does; and saying it changes nothing."""

from datetime import timedelta

import pytest

from spotwatch.core.volume import STATE_TAG, VolumeState
from spotwatch.ship.batch import Batch
from spotwatch.ship.intent import Deed, Intent, intents
from spotwatch.ship.job import MANIFEST_TAG, REASON_TAG, SHIPPED_TAG, Ending, Verdict
from spotwatch.ship.volumes import Lease
from tests.cloud import ZONE
from tests.ship.leftovers import BEGINNING, DEAD, DELETE, Host, Leftovers, label

pytestmark = pytest.mark.slow

SILENT = 1000
"""Seconds after which every lease is silent."""


@pytest.fixture
def leftovers(cloud: object) -> Leftovers:
    return Leftovers(cloud)  # type: ignore[arg-type]


def told(leftovers: Leftovers, host: Host, ending: Ending = DELETE) -> dict[str, Intent]:
    labelled = leftovers.volumes.labelled(ZONE)
    return {each.volume.id: each for each in intents(labelled, host.instance_id, ending, host.now())}


def shipped(leftovers: Leftovers) -> str:
    """A volume that an earlier batch has shipped and kept."""
    host, volume = leftovers.host(), leftovers.add()
    assert leftovers.job(host, Ending(keep=True)).work(leftovers.look(volume)).verdict is Verdict.KEPT
    return volume


def attached(leftovers: Leftovers, volume: str, host: Host, *, lease: bool = True) -> str:
    if lease:
        leftovers.volumes.tag(volume, Lease(host.worker, 1, host.now()).to_tags())
    leftovers.cloud.attached(volume, host.instance_id, "/dev/sdp")
    return volume


def quarantined(leftovers: Leftovers) -> str:
    volume = leftovers.add(told=label(VolumeState.QUARANTINED))
    leftovers.volumes.tag(volume, {REASON_TAG: "a block is lost"})
    return volume


VERDICTS = {
    Deed.SHIP: Verdict.DELETED,
    Deed.DELETE: Verdict.DELETED,
    Deed.KEEP: Verdict.KEPT,
    Deed.QUARANTINE: Verdict.QUARANTINED,
    Deed.FAIL: Verdict.FAILED,
}


@pytest.mark.parametrize("ending", [DELETE, Ending(keep=True), Ending(retain=timedelta(days=7))])
def test_what_is_said_is_what_is_done(leftovers: Leftovers, ending: Ending) -> None:
    here = leftovers.host()
    leftovers.add()
    leftovers.add(told=label(VolumeState.ARMED))
    shipped(leftovers)
    quarantined(leftovers)
    attached(leftovers, leftovers.add(), here)
    attached(leftovers, leftovers.add(), leftovers.host())
    attached(leftovers, shipped(leftovers), leftovers.host())
    attached(leftovers, quarantined(leftovers), leftovers.host())
    attached(leftovers, leftovers.add(), leftovers.host(), lease=False)
    wearer = leftovers.host()
    attached(leftovers, leftovers.add(told=label(instance=wearer.instance_id)), wearer)
    leftovers.volumes.tag(leftovers.add(), {"spotwatch:marked-at": "noon"})
    leftovers.volumes.tag(leftovers.add(None), {"spotwatch:layer-1": "LVM"})
    expected = {volume: intent.deed for volume, intent in told(leftovers, here, ending).items()}
    leftovers.cloud.clock.sleep(SILENT)
    batch = Batch(leftovers.volumes, here, leftovers.job(here, ending), most=1, wait=leftovers.cloud.clock.sleep)
    done = {outcome.volume: outcome.verdict for outcome in batch.run(ZONE)}
    kept = {Deed.SHIP: Verdict.KEPT} if ending != DELETE else {}
    wanted = {volume: {**VERDICTS, **kept}[deed] for volume, deed in expected.items() if deed is not Deed.LEAVE}
    assert done == wanted
    assert set(expected.values()) >= {*VERDICTS, Deed.LEAVE} - {Deed.KEEP, Deed.DELETE}


def test_it_changes_nothing(leftovers: Leftovers) -> None:
    here = leftovers.host()
    attached(leftovers, leftovers.add(), leftovers.host())
    shipped(leftovers)
    leftovers.cloud.aws.calls.clear()
    told(leftovers, here)
    assert {call.name for call in leftovers.cloud.aws.calls} == {"ec2:DescribeVolumes"}


def test_the_oldest_is_first_and_what_is_left_alone_last(leftovers: Leftovers) -> None:
    ages = {minute: leftovers.add(told=label(minute=minute)) for minute in (2, 1, 3)}
    alone = quarantined(leftovers)
    held = attached(leftovers, leftovers.add(told=label(minute=-5)), leftovers.host())
    assert list(told(leftovers, leftovers.host())) == [ages[1], ages[2], ages[3], held, alone]


class TestTheReason:
    def test_of_what_is_shipped_says_what_comes_then(self, leftovers: Leftovers) -> None:
        volume, here = leftovers.add(), leftovers.host()
        assert told(leftovers, here)[volume].reason == "then deleted, if nothing is wrong"
        assert told(leftovers, here, Ending(keep=True))[volume].reason == "then kept"
        week = told(leftovers, here, Ending(retain=timedelta(days=7)))[volume].reason
        assert week == "then kept until 2026-11-30 00:00 UTC"

    def test_of_what_is_kept_says_until_when(self, leftovers: Leftovers) -> None:
        volume, here = leftovers.add(told=label(VolumeState.SHIPPED)), leftovers.host()
        leftovers.volumes.tag(volume, {SHIPPED_TAG: BEGINNING.isoformat(), MANIFEST_TAG: "key"})
        assert (
            told(leftovers, here, Ending(retain=timedelta(days=1)))[volume].reason == "kept until 2026-11-24 00:00 UTC"
        )
        assert told(leftovers, here)[volume].deed is Deed.DELETE

    def test_of_what_another_host_holds_says_what_has_to_happen(self, leftovers: Leftovers) -> None:
        other = leftovers.host()
        volume = attached(leftovers, leftovers.add(), other)
        reason = told(leftovers, leftovers.host())[volume].reason
        assert reason.endswith(f"taken over from {other.worker}, if its lease is not renewed within 3 min")

    def test_of_what_is_left_alone_says_why(self, leftovers: Leftovers) -> None:
        assert told(leftovers, leftovers.host()) == {}
        volume, wearer = quarantined(leftovers), leftovers.host()
        worn = attached(leftovers, leftovers.add(told=label(instance=wearer.instance_id)), wearer)
        person = attached(leftovers, leftovers.add(), leftovers.host(), lease=False)
        found = told(leftovers, leftovers.host())
        assert found[volume].reason == "in quarantine: a block is lost"
        assert found[worn].reason == f"attached to its own instance, {wearer.instance_id}"
        assert "by somebody without a lease" in found[person].reason

    def test_of_layers_names_them(self, leftovers: Leftovers) -> None:
        volume = leftovers.add()
        leftovers.volumes.tag(volume, {"spotwatch:layer-1": "LVM", "spotwatch:layer-2": "RAID"})
        found = told(leftovers, leftovers.host())[volume]
        assert (found.deed, found.reason) == (Deed.QUARANTINE, "LVM over RAID cannot be read")

    def test_of_tags_that_make_no_sense_names_the_tag(self, leftovers: Leftovers) -> None:
        volume = leftovers.cloud.volume(tags={STATE_TAG: "armed", "spotwatch:instance-id": DEAD})
        found = told(leftovers, leftovers.host())[volume]
        assert (found.deed, "availability-zone is missing" in found.reason) == (Deed.FAIL, True)
