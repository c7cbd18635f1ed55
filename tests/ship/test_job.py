"""One leftover volume from lease to end: with the strict double for EC2, in virtual time.

The sweep at the end stops a worker before and after each of its effects, or lets another host act there, and sees that
whoever comes next brings the volume to its end: shipped once, never deleted early, attached to nothing.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from spotwatch.core.volume import STATE_TAG, VolumeState
from spotwatch.ship.job import (
    MANIFEST_TAG,
    REASON_TAG,
    RENEW_EVERY,
    SHIPPED_TAG,
    Ending,
    Job,
    Outcome,
    Verdict,
)
from spotwatch.ship.volumes import EPOCH_TAG, HOLDER_TAG, Lease
from spotwatch.simulate.strict_aws import Fault
from tests.cloud import Cloud
from tests.ship.leftovers import BEGINNING, DEAD, DELETE, Host, Leftovers, label

WEEK = timedelta(days=7)


@pytest.fixture
def leftovers(cloud: Cloud) -> Leftovers:
    return Leftovers(cloud)


def work(leftovers: Leftovers, volume: str, host: Host | None = None, ending: Ending = DELETE) -> Outcome:
    return leftovers.job(host or leftovers.host(), ending).work(leftovers.look(volume))


def take_over(leftovers: Leftovers, volume: str, host: Host) -> Outcome:
    return leftovers.job(host).take_over(leftovers.look(volume))


def lease_of(leftovers: Leftovers, volume: str) -> Lease:
    lease = Lease.from_tags(leftovers.look(volume).tags)
    assert lease is not None
    return lease


def half_done(leftovers: Leftovers, volume: str, host: Host, *, life: int = 1) -> None:
    """As a worker of the host leaves it that dies while it ships."""
    lease = Lease(f"{host.instance_id}/{life}", 1, host.now())
    leftovers.volumes.tag(volume, {STATE_TAG: "shipping", **lease.to_tags()})
    leftovers.cloud.attached(volume, host.instance_id)


class TestAnAvailableVolume:
    def test_is_shipped_verified_detached_and_deleted(self, leftovers: Leftovers) -> None:
        volume = leftovers.add("the last lines")
        assert work(leftovers, volume) == Outcome(volume, Verdict.DELETED, shipped_bytes=14)
        assert leftovers.shelf.shipped(volume) == "the last lines"
        assert leftovers.is_gone(volume)

    def test_takes_its_time(self, leftovers: Leftovers) -> None:
        delays = leftovers.cloud.aws.world.delays
        delays.attached, delays.detached, delays.deleted, delays.tags = 12, 20, 5, 3
        volume = leftovers.add()
        assert work(leftovers, volume).verdict is Verdict.DELETED
        leftovers.cloud.clock.sleep(5)
        assert leftovers.is_gone(volume)

    def test_costs_a_dozen_and_a_half_calls(self, leftovers: Leftovers) -> None:
        volume, host = leftovers.add(), leftovers.host()
        found = leftovers.look(volume)
        leftovers.cloud.aws.calls.clear()
        leftovers.job(host).work(found)
        assert len(leftovers.cloud.aws.calls) <= 18

    def test_is_worn_by_its_worker_while_it_is_read(self, leftovers: Leftovers) -> None:
        volume, host = leftovers.add(), leftovers.host()
        seen: list[dict[str, str]] = []
        leftovers.shelf.while_shipping = lambda _: seen.append(leftovers.cloud.tags(volume))
        work(leftovers, volume, host)
        assert (seen[0][STATE_TAG], seen[0][HOLDER_TAG], seen[0][EPOCH_TAG]) == ("shipping", host.worker, "1")

    def test_s_lease_is_renewed_once_a_minute_while_it_is_read(self, leftovers: Leftovers) -> None:
        volume, clock = leftovers.add(), leftovers.cloud.clock
        renewals: list[str] = []

        def read_for_an_hour(renew: Callable[[], None]) -> None:
            for _ in range(360):
                clock.sleep(10)
                before = leftovers.cloud.aws.count("ec2:CreateTags")
                renew()
                renewals.extend(["renewed"] * (leftovers.cloud.aws.count("ec2:CreateTags") - before))

        leftovers.shelf.while_shipping = read_for_an_hour
        assert work(leftovers, volume).verdict is Verdict.DELETED
        assert len(renewals) == 3600 / RENEW_EVERY

    def test_of_another_zone_fails_with_ec2_s_word(self, leftovers: Leftovers) -> None:
        volume = leftovers.add()
        host = Host(leftovers.cloud, leftovers.cloud.instance(zone="eu-west-1b"))
        outcome = work(leftovers, volume, host)
        assert (outcome.verdict, "InvalidVolume.ZoneMismatch" in outcome.reason) == (Verdict.FAILED, True)

    def test_gets_another_device_name_when_one_turns_out_to_be_taken(self, leftovers: Leftovers) -> None:
        """A detachment by another, of a name that EC2 does not list."""
        volume, host = leftovers.add(), leftovers.host()
        leftovers.cloud.attached(leftovers.add(), host.instance_id, "/dev/sdf")
        job = leftovers.job(host)
        job._names._used = frozenset
        assert job.work(leftovers.look(volume)).verdict is Verdict.DELETED
        attached = [call.parameters["Device"] for call in leftovers.cloud.aws.calls if call.name == "ec2:AttachVolume"]
        assert attached[-2:] == ["/dev/sdf", "/dev/sdg"]

    def test_that_vanished_meanwhile_is_nobody_s_any_more(self, leftovers: Leftovers) -> None:
        volume = leftovers.add()
        found = leftovers.look(volume)
        leftovers.cloud.ec2.delete_volume(VolumeId=volume)
        outcome = leftovers.job(leftovers.host()).work(found)
        assert (outcome.verdict, outcome.reason) == (Verdict.BUSY, f"{volume} is gone")

    def test_with_a_label_that_makes_no_sense_is_left_alone(self, leftovers: Leftovers) -> None:
        volume = leftovers.add()
        leftovers.volumes.tag(volume, {"spotwatch:marked-at": "yesterday"})
        outcome = work(leftovers, volume)
        assert outcome.verdict is Verdict.FAILED
        assert leftovers.cloud.state(volume) == "available"
        assert EPOCH_TAG not in leftovers.cloud.tags(volume)


class TestAVolumeThatThisHostHasAlready:
    def test_is_gone_on_with_after_a_crash(self, leftovers: Leftovers) -> None:
        volume, host = leftovers.add(), leftovers.host()
        half_done(leftovers, volume, host)
        attachments = leftovers.cloud.aws.count("ec2:AttachVolume")
        assert work(leftovers, volume, Host(leftovers.cloud, host.instance_id, life=2)).verdict is Verdict.DELETED
        assert leftovers.cloud.aws.count("ec2:AttachVolume") == attachments

    def test_is_left_to_the_process_of_this_host_that_works_on_it(self, leftovers: Leftovers) -> None:
        volume, host = leftovers.add(), leftovers.host()
        host.claimed.add(volume)
        leftovers.cloud.aws.calls.clear()
        assert work(leftovers, volume, host).verdict is Verdict.BUSY
        assert leftovers.cloud.aws.count("ec2:CreateTags") == 0


class TestAVolumeThatAnotherHostHas:
    def test_is_left_alone(self, leftovers: Leftovers) -> None:
        volume, other = leftovers.add(), leftovers.host()
        half_done(leftovers, volume, other)
        before = leftovers.cloud.tags(volume)
        assert work(leftovers, volume).verdict is Verdict.BUSY
        assert leftovers.cloud.tags(volume) == before
        assert leftovers.cloud.attachment(volume) == "attached"

    def test_is_left_alone_although_it_was_free_when_it_was_listed(self, leftovers: Leftovers) -> None:
        volume, other = leftovers.add(), leftovers.host()
        listed = leftovers.look(volume)
        half_done(leftovers, volume, other)
        assert leftovers.job(leftovers.host()).work(listed).verdict is Verdict.BUSY
        assert lease_of(leftovers, volume).holder == f"{other.instance_id}/1"

    def test_is_taken_over_with_the_next_epoch_and_without_force(self, leftovers: Leftovers) -> None:
        volume, dead = leftovers.add(), leftovers.host()
        half_done(leftovers, volume, dead)
        leftovers.cloud.aws.world.delays.detached = 30
        epochs: list[int] = []
        leftovers.shelf.while_shipping = lambda _: epochs.append(lease_of(leftovers, volume).epoch)
        assert take_over(leftovers, volume, leftovers.host()).verdict is Verdict.DELETED
        assert epochs == [3]
        assert all("Force" not in call.parameters for call in leftovers.cloud.aws.calls)

    def test_is_not_taken_over_if_its_lease_was_renewed_since(self, leftovers: Leftovers) -> None:
        volume, other = leftovers.add(), leftovers.host()
        half_done(leftovers, volume, other)
        seen = leftovers.look(volume)
        leftovers.cloud.clock.sleep(50)
        leftovers.volumes.tag(volume, Lease(f"{other.instance_id}/1", 1, other.now()).to_tags())
        outcome = leftovers.job(leftovers.host()).take_over(seen)
        assert (outcome.verdict, outcome.reason) == (Verdict.BUSY, "its holder lives")
        assert leftovers.cloud.attachment(volume) == "attached"

    def test_is_not_taken_over_if_it_never_had_a_lease(self, leftovers: Leftovers) -> None:
        """A person may have attached it, to look."""
        volume = leftovers.add()
        leftovers.cloud.attached(volume, leftovers.host().instance_id)
        assert take_over(leftovers, volume, leftovers.host()).verdict is Verdict.BUSY
        assert leftovers.cloud.attachment(volume) == "attached"

    def test_is_taken_over_also_if_its_holder_died_before_it_was_attached(self, leftovers: Leftovers) -> None:
        volume, dead = leftovers.add(), leftovers.host()
        leftovers.volumes.tag(volume, Lease(dead.worker, 5, dead.now()).to_tags())
        assert take_over(leftovers, volume, leftovers.host()).verdict is Verdict.DELETED

    def test_stays_where_it_is_if_it_is_mounted_there_and_is_told_to_be_stuck(self, leftovers: Leftovers) -> None:
        volume, dead = leftovers.add(), leftovers.host()
        half_done(leftovers, volume, dead)
        leftovers.cloud.aws.world.mounted.add(volume)
        outcome = take_over(leftovers, volume, leftovers.host())
        assert (outcome.verdict, "busy" in outcome.reason) == (Verdict.FAILED, True)
        leftovers.cloud.aws.world.mounted.clear()
        leftovers.cloud.clock.sleep(10)
        assert work(leftovers, volume).verdict is Verdict.DELETED


class TestAWorkerThatWasThoughtDead:
    def test_stops_at_the_next_renewal_and_leaves_the_volume_to_the_other(self, leftovers: Leftovers) -> None:
        volume, other = leftovers.add(), leftovers.host()

        def taken_over_meanwhile(renew: Callable[[], None]) -> None:
            leftovers.shelf.while_shipping = lambda _: None
            leftovers.cloud.clock.sleep(RENEW_EVERY)
            assert take_over(leftovers, volume, other).verdict is Verdict.DELETED
            renew()

        leftovers.shelf.while_shipping = taken_over_meanwhile
        outcome = work(leftovers, volume)
        assert (outcome.verdict, outcome.reason) == (Verdict.BUSY, f"{volume} is gone")

    def test_publishes_nothing_while_the_other_works(self, leftovers: Leftovers) -> None:
        volume, first, other = leftovers.add(), leftovers.host(), leftovers.host()

        def taken_over_meanwhile(_: Callable[[], None]) -> None:
            leftovers.cloud.ec2.detach_volume(VolumeId=volume)
            leftovers.volumes.tag(volume, Lease(other.worker, 2, other.now()).to_tags())
            leftovers.cloud.attached(volume, other.instance_id)

        leftovers.shelf.while_shipping = taken_over_meanwhile
        outcome = work(leftovers, volume, first)
        assert outcome.verdict is Verdict.BUSY
        assert other.worker in outcome.reason
        assert leftovers.shelf.shipped(volume) is None
        assert lease_of(leftovers, volume).holder == other.worker
        assert leftovers.cloud.described(volume)["Attachments"][0]["InstanceId"] == other.instance_id

    def test_goes_on_if_the_other_wrote_a_lease_of_the_same_epoch_and_could_not_attach(
        self, leftovers: Leftovers
    ) -> None:
        volume, other = leftovers.add(), leftovers.host()

        def came_too_late(_: Callable[[], None]) -> None:
            leftovers.volumes.tag(volume, Lease(other.worker, 1, other.now()).to_tags())

        leftovers.shelf.while_shipping = came_too_late
        assert work(leftovers, volume).verdict is Verdict.DELETED


class TestAFailure:
    def test_of_the_destination_is_told_and_the_volume_let_go(self, leftovers: Leftovers) -> None:
        volume = leftovers.add()
        leftovers.shelf.problem = "the bucket is not there"
        outcome = work(leftovers, volume)
        assert outcome == Outcome(volume, Verdict.FAILED, "the bucket is not there", "see the destination")
        assert leftovers.cloud.state(volume) == "available"
        leftovers.shelf.problem = ""
        assert work(leftovers, volume).verdict is Verdict.DELETED

    def test_of_the_device_to_appear_quarantines_nothing(self, leftovers: Leftovers) -> None:
        volume, host = leftovers.add(), leftovers.host()
        host.has_devices = False
        outcome = work(leftovers, volume, host)
        assert outcome.verdict is not Verdict.DELETED
        assert leftovers.cloud.tags(volume)[STATE_TAG] == "shipping"
        assert leftovers.cloud.state(volume) == "available"

    @pytest.mark.parametrize(
        "operation",
        ["DescribeVolumes", "DescribeInstances", "CreateTags", "AttachVolume", "DetachVolume", "DeleteVolume"],
    )
    def test_of_permissions_at_any_call_names_the_action(self, leftovers: Leftovers, operation: str) -> None:
        volume, host = leftovers.add(), leftovers.host()
        found = leftovers.look(volume)
        leftovers.cloud.aws.plan(Fault.DENIED, f"ec2:{operation}", times=1000)
        outcome = leftovers.job(host).work(found)
        assert outcome.verdict is Verdict.FAILED
        assert f"ec2:{operation}" in outcome.hint
        leftovers.cloud.aws.forgive()
        assert work(leftovers, volume, host).verdict is Verdict.DELETED

    @pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.BROKEN, Fault.LOST, Fault.RESET])
    def test_of_every_call_once_is_outlasted(self, leftovers: Leftovers, fault: Fault) -> None:
        volume = leftovers.add()
        for operation in ("DescribeVolumes", "CreateTags", "AttachVolume", "DetachVolume", "DeleteVolume"):
            leftovers.cloud.aws.plan(fault, f"ec2:{operation}")
        assert work(leftovers, volume).verdict is Verdict.DELETED


class TestAVolumeWithSomethingWrong:
    def test_is_shipped_and_quarantined_with_the_reason(self, leftovers: Leftovers) -> None:
        volume = leftovers.add("what can be read", wrong=["a block cannot be read"])
        outcome = work(leftovers, volume)
        assert (outcome.verdict, outcome.reason) == (Verdict.QUARANTINED, "a block cannot be read")
        assert leftovers.shelf.shipped(volume) == "what can be read"
        tags = leftovers.cloud.tags(volume)
        assert (tags[STATE_TAG], tags[REASON_TAG]) == ("quarantined", "a block cannot be read")
        assert tags[MANIFEST_TAG] == f"{DEAD}/{volume}/manifest"
        assert leftovers.cloud.state(volume) == "available"

    def test_is_quarantined_also_if_tags_show_late(self, leftovers: Leftovers) -> None:
        leftovers.cloud.aws.world.delays.tags = 20
        volume = leftovers.add(wrong=["a block cannot be read"])
        assert work(leftovers, volume).verdict is Verdict.QUARANTINED

    def test_has_a_reason_no_longer_than_a_tag(self, leftovers: Leftovers) -> None:
        volume = leftovers.add(wrong=[f"block {number} cannot be read" for number in range(99)])
        assert work(leftovers, volume).verdict is Verdict.QUARANTINED
        assert len(leftovers.cloud.tags(volume)[REASON_TAG]) == 250

    def test_gets_a_snapshot_if_asked_for_and_only_then(self, leftovers: Leftovers) -> None:
        first, second = leftovers.add(wrong=["a"]), leftovers.add(wrong=["b"])
        work(leftovers, first)
        work(leftovers, second, ending=Ending(snapshot=True))
        found = leftovers.cloud.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        assert [snapshot["VolumeId"] for snapshot in found] == [second]

    def test_stays_quarantined_whatever_comes(self, leftovers: Leftovers) -> None:
        volume = leftovers.add(wrong=["a block cannot be read"])
        work(leftovers, volume)
        leftovers.shelf.anomalies.clear()
        assert work(leftovers, volume).verdict is Verdict.QUARANTINED
        assert not leftovers.is_gone(volume)

    def test_on_which_nothing_can_be_read_is_quarantined_without_a_manifest(self, leftovers: Leftovers) -> None:
        volume = leftovers.add(None)
        outcome = work(leftovers, volume, ending=Ending(snapshot=True))
        assert (outcome.verdict, "holds no file system" in outcome.reason) == (Verdict.QUARANTINED, True)
        assert MANIFEST_TAG not in leftovers.cloud.tags(volume)
        assert leftovers.shelf.objects == {}
        assert leftovers.cloud.state(volume) == "available"
        assert len(leftovers.cloud.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 1


class TestAShippedVolume:
    def test_is_kept_if_so_set(self, leftovers: Leftovers) -> None:
        volume = leftovers.add()
        assert work(leftovers, volume, ending=Ending(keep=True)).verdict is Verdict.KEPT
        assert leftovers.cloud.state(volume) == "available"
        assert leftovers.cloud.tags(volume)[STATE_TAG] == "shipped"

    def test_is_retained_as_long_as_set_and_then_deleted_without_being_read_again(self, leftovers: Leftovers) -> None:
        volume, ending = leftovers.add(), Ending(retain=WEEK)
        assert work(leftovers, volume, ending=ending).verdict is Verdict.KEPT
        attachments = leftovers.cloud.aws.count("ec2:AttachVolume")
        leftovers.cloud.clock.sleep(WEEK.total_seconds() - 60)
        assert work(leftovers, volume, ending=ending).verdict is Verdict.KEPT
        leftovers.cloud.clock.sleep(120)
        assert work(leftovers, volume, ending=ending).verdict is Verdict.DELETED
        assert leftovers.cloud.aws.count("ec2:AttachVolume") == attachments

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda objects, key: objects.pop(key),
            lambda objects, key: objects.update({key: b"{}"}),
            lambda objects, key: [objects.pop(each) for each in list(objects) if each != key],
        ],
        ids=["the manifest is gone", "the manifest is none", "an object is gone"],
    )
    def test_is_not_deleted_if_the_manifest_is_not_valid_any_more(
        self, leftovers: Leftovers, spoil: Callable[[dict[str, bytes], str], object]
    ) -> None:
        volume = leftovers.add()
        work(leftovers, volume, ending=Ending(keep=True))
        spoil(leftovers.shelf.objects, leftovers.cloud.tags(volume)[MANIFEST_TAG])
        assert work(leftovers, volume).verdict is Verdict.FAILED
        assert not leftovers.is_gone(volume)

    def test_is_not_deleted_on_the_word_of_another_volume_s_manifest(self, leftovers: Leftovers) -> None:
        one, other = leftovers.add(), leftovers.add("others")
        for volume in (one, other):
            work(leftovers, volume, ending=Ending(keep=True))
        leftovers.volumes.tag(one, {MANIFEST_TAG: leftovers.cloud.tags(other)[MANIFEST_TAG]})
        assert work(leftovers, one).verdict is Verdict.FAILED
        assert not leftovers.is_gone(one)

    @pytest.mark.parametrize("tags", [{}, {SHIPPED_TAG: "yesterday"}, {SHIPPED_TAG: "2026-11-22T00:00:00"}])
    def test_that_does_not_say_when_and_where_to_is_not_deleted(
        self, leftovers: Leftovers, tags: dict[str, str]
    ) -> None:
        volume = leftovers.add(told=label(VolumeState.SHIPPED))
        leftovers.volumes.tag(volume, {**tags, MANIFEST_TAG: "key"} if tags else {MANIFEST_TAG: "key"})
        assert work(leftovers, volume).verdict is Verdict.FAILED
        assert leftovers.cloud.state(volume) == "available"

    def test_that_a_dead_worker_left_attached_here_is_detached_and_deleted(self, leftovers: Leftovers) -> None:
        volume, host = leftovers.add(), leftovers.host()
        work(leftovers, volume, host, Ending(keep=True))
        leftovers.cloud.attached(volume, host.instance_id)
        assert work(leftovers, volume, host).verdict is Verdict.DELETED

    def test_that_another_host_has_attached_is_left_alone(self, leftovers: Leftovers) -> None:
        volume, other = leftovers.add(), leftovers.host()
        work(leftovers, volume, ending=Ending(keep=True))
        leftovers.cloud.attached(volume, other.instance_id)
        assert work(leftovers, volume).verdict is Verdict.BUSY
        assert leftovers.cloud.attachment(volume) == "attached"


class Adrift(Host):
    """A host whose clock shows another time; how fast it goes is right, as that of a boot clock is."""

    offset = timedelta()

    def now(self) -> datetime:
        return super().now() + self.offset


@pytest.mark.parametrize("offset", [timedelta(days=-20_000), timedelta(hours=-1), timedelta(days=20_000)])
class TestAClockThatIsWrong:
    def host(self, leftovers: Leftovers, offset: timedelta) -> Adrift:
        host = Adrift(leftovers.cloud, leftovers.cloud.instance())
        host.offset = offset
        return host

    def test_keeps_no_volume_from_being_shipped(self, leftovers: Leftovers, offset: timedelta) -> None:
        volume = leftovers.add("text")
        assert work(leftovers, volume, self.host(leftovers, offset)).verdict is Verdict.DELETED
        assert leftovers.shelf.shipped(volume) == "text"

    def test_makes_no_living_lease_silent_and_no_silent_one_live(self, leftovers: Leftovers, offset: timedelta) -> None:
        holder, host = self.host(leftovers, offset), leftovers.host()
        volume = leftovers.add("text")
        lease = Lease(holder.worker, 1, holder.now())
        leftovers.volumes.tag(volume, lease.to_tags())
        leftovers.cloud.attached(volume, holder.instance_id)
        seen = leftovers.look(volume)
        leftovers.cloud.clock.sleep(60)
        leftovers.volumes.tag(volume, replace(lease, renewed=holder.now()).to_tags())
        assert leftovers.job(host).take_over(seen).verdict is Verdict.BUSY
        seen = leftovers.look(volume)
        leftovers.cloud.clock.sleep(1000)
        assert leftovers.job(host).take_over(seen).verdict is Verdict.DELETED

    def test_can_make_a_retention_shorter_or_longer_but_what_is_deleted_is_shipped(
        self, leftovers: Leftovers, offset: timedelta
    ) -> None:
        """When it was shipped is what the one clock says, and how long ago that is the other."""
        volume, right = leftovers.add(), leftovers.host()
        work(leftovers, volume, self.host(leftovers, offset), Ending(keep=True))
        verdict = work(leftovers, volume, right, Ending(retain=WEEK)).verdict
        assert verdict is (Verdict.KEPT if offset > -WEEK else Verdict.DELETED)
        assert leftovers.shelf.shipped(volume) is not None


class Crash(BaseException):
    """The process ends here."""


class Effects:
    """Stands before something that acts, counts its calls, and does something at one of them.

    Args:
        target: who acts.
        at: the number of the point, two for each call: before it and after it.
        do: what is done there.
    """

    def __init__(self, at: int, do: Callable[[], None]) -> None:
        self.passed = 0
        self._at = at
        self._do = do

    def of(self, target: Any) -> Any:
        """The same, with its calls counted."""
        return _Counted(target, self)

    def point(self) -> None:
        self.passed += 1
        if self.passed - 1 == self._at:
            self._do()


class _Counted:
    def __init__(self, target: Any, effects: Effects) -> None:
        self._target = target
        self._effects = effects

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)

        def counted(*words: Any, **named: Any) -> Any:
            self._effects.point()
            answer = method(*words, **named)
            self._effects.point()
            return answer

        return counted


def crash() -> None:
    raise Crash


def nothing() -> None:
    """No crash."""


def settle(leftovers: Leftovers, volume: str, host: Host, ending: Ending = DELETE) -> None:
    """What the batches of a host do in the end: they come again and again, and wait for silent leases."""
    for _ in range(6):
        found = leftovers.volumes.describe(volume)
        if found is None:
            return
        leftovers.cloud.clock.sleep(200)
        job = leftovers.job(host, ending)
        elsewhere = found.instance_id not in ("", host.instance_id)
        outcome = job.take_over(found) if elsewhere else job.work(found)
        if outcome.verdict is Verdict.QUARANTINED:
            return


def assert_done(leftovers: Leftovers, volume: str, content: str, *, wrong: bool) -> None:
    assert leftovers.shelf.shipped(volume) == content
    assert len([key for key in leftovers.shelf.objects if volume in key]) == 2, "an object and a manifest"
    if wrong:
        assert leftovers.cloud.state(volume) == "available"
        assert leftovers.cloud.tags(volume)[STATE_TAG] == "quarantined"
        snapshots = leftovers.cloud.ec2.describe_snapshots(Filters=[{"Name": "volume-id", "Values": [volume]}])
        assert len(snapshots["Snapshots"]) == 1
    else:
        assert leftovers.is_gone(volume)


def deleted_with_a_manifest(leftovers: Leftovers) -> None:
    """Watch every deletion: it is an error while no manifest says that the volume is shipped."""
    backend = leftovers.volumes.delete

    def delete(volume_id: str) -> None:
        assert leftovers.shelf.shipped(volume_id) is not None, "deleted before it was shipped"
        backend(volume_id)

    leftovers.volumes.delete = delete  # type: ignore[method-assign]


ENDINGS = {False: DELETE, True: Ending(snapshot=True)}


def points(leftovers: Leftovers, host: Host, *, wrong: bool) -> int:
    """How many points a volume's way to its end has."""
    effects = Effects(-1, nothing)
    volume = leftovers.add("text", wrong=["a block"] * wrong)
    Job(effects.of(leftovers.volumes), host, effects.of(leftovers.shelf), ENDINGS[wrong]).work(leftovers.look(volume))
    return effects.passed


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [False, True], ids=["deleted", "quarantined"])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["the same host", "another host"])
def test_a_crash_at_any_point_is_made_good_by_the_next_worker(
    leftovers: Leftovers, *, wrong: bool, elsewhere: bool
) -> None:
    host, other = leftovers.host(), leftovers.host()
    deleted_with_a_manifest(leftovers)
    count = points(leftovers, host, wrong=wrong)
    for point in range(count):
        volume = leftovers.add(f"text {point}", wrong=["a block"] * wrong)
        effects = Effects(point, crash)
        first = Host(leftovers.cloud, host.instance_id)
        job = Job(effects.of(leftovers.volumes), first, effects.of(leftovers.shelf), ENDINGS[wrong])
        with pytest.raises(Crash):
            job.work(leftovers.look(volume))
        heir = other if elsewhere else Host(leftovers.cloud, host.instance_id, life=2)
        settle(leftovers, volume, heir, ENDINGS[wrong])
        assert_done(leftovers, volume, f"text {point}", wrong=wrong)
    print(f"{count} crash points")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["work", "take_over"])
def test_another_host_that_acts_at_any_point_does_no_harm(leftovers: Leftovers, how: str) -> None:
    """With `take_over` the first was thought dead, and is not."""
    host, other = leftovers.host(), leftovers.host()
    deleted_with_a_manifest(leftovers)
    count = points(leftovers, host, wrong=False)
    for point in range(count):
        volume = leftovers.add(f"text {point}")
        verdicts: list[Verdict] = []

        def act(volume: str = volume, verdicts: list[Verdict] = verdicts) -> None:
            found = leftovers.volumes.describe(volume)
            if found is not None:
                verdicts.append(getattr(leftovers.job(other), how)(found).verdict)

        effects = Effects(point, act)
        job = Job(effects.of(leftovers.volumes), host, effects.of(leftovers.shelf), Ending())
        verdicts.append(job.work(leftovers.look(volume)).verdict)
        settle(leftovers, volume, host)
        assert_done(leftovers, volume, f"text {point}", wrong=False)
        assert verdicts.count(Verdict.DELETED) <= 2
    print(f"{count} points")


def test_a_lease_is_of_its_holder_and_epoch() -> None:
    lease = Lease("i-1/1", 2, BEGINNING)
    assert lease.is_of(replace(lease, renewed=BEGINNING + WEEK))
    assert not lease.is_of(replace(lease, epoch=3))
    assert not lease.is_of(None)
    assert Lease.from_tags(lease.to_tags()) == lease


@pytest.mark.parametrize("tags", [{}, {EPOCH_TAG: "one"}, {"spotwatch:lease-renewed": "noon"}])
def test_a_lease_that_makes_no_sense_is_none(tags: dict[str, str]) -> None:
    whole = Lease("i-1/1", 2, BEGINNING).to_tags()
    assert Lease.from_tags({**whole, **tags} if tags else {}) is None
