"""All leftovers of an AZ: the oldest first, as many at once as there is room for, and what dead hosts left."""

from collections.abc import Callable
from itertools import count
from threading import Barrier, Lock

import pytest

from spotwatch.core.errors import AwsDenied, AwsRefused
from spotwatch.core.volume import VolumeState
from spotwatch.ship.batch import LEASE_SILENCE, Batch, at_once, exit_code
from spotwatch.ship.job import RENEW_EVERY, Ending, Outcome, Verdict
from spotwatch.ship.volumes import Lease
from spotwatch.simulate.strict_aws import Fault
from tests.cloud import OTHER_ZONE, ZONE, Cloud
from tests.ship.leftovers import DEAD, DELETE, Host, Leftovers, label


@pytest.fixture
def leftovers(cloud: Cloud) -> Leftovers:
    return Leftovers(cloud)


def batch(
    leftovers: Leftovers,
    host: Host,
    *,
    most: int = 1,
    ending: Ending = DELETE,
    tell: Callable[[Outcome], None] = lambda _: None,
) -> Batch:
    job = leftovers.job(host, ending)
    return Batch(leftovers.volumes, host, job, most=most, wait=leftovers.cloud.clock.sleep, tell=tell)


def verdicts(outcomes: list[Outcome]) -> dict[str, Verdict]:
    assert len({outcome.volume for outcome in outcomes}) == len(outcomes)
    return {outcome.volume: outcome.verdict for outcome in outcomes}


def held_by(leftovers: Leftovers, host: Host, *, epoch: int = 1) -> str:
    """A leftover that a worker of a host has attached and leased."""
    volume = leftovers.add()
    leftovers.volumes.tag(volume, Lease(host.worker, epoch, host.now()).to_tags())
    leftovers.cloud.attached(volume, host.instance_id, next(NAMES))
    return volume


NAMES = (f"/dev/xvd{first}{second}" for first in "bc" for second in "abcdefghijklmnopqrstuvwxyz" for _ in count(1, 99))


class TestRun:
    def test_without_leftovers_does_nothing(self, leftovers: Leftovers) -> None:
        leftovers.cloud.volume(tags={"Name": "theirs"})
        assert batch(leftovers, leftovers.host()).run(ZONE) == []
        assert leftovers.cloud.aws.count("ec2:AttachVolume") == 0

    def test_brings_every_leftover_of_the_zone_to_its_end_the_oldest_first(self, leftovers: Leftovers) -> None:
        minutes = [30, 10, 20]
        volumes = {minute: leftovers.add(f"{minute}", label(minute=minute)) for minute in minutes}
        elsewhere = leftovers.cloud.volume(zone=OTHER_ZONE, tags=label().to_tags())
        told: list[str] = []
        outcomes = batch(leftovers, leftovers.host(), tell=lambda outcome: told.append(outcome.volume)).run(ZONE)
        assert told == [volumes[10], volumes[20], volumes[30]]
        assert verdicts(outcomes) == dict.fromkeys(volumes.values(), Verdict.DELETED)
        assert leftovers.cloud.state(elsewhere) == "available"

    def test_works_on_several_at_once_and_on_no_more_than_allowed(self, leftovers: Leftovers) -> None:
        for _ in range(6):
            leftovers.add()
        together, lock, running, most = Barrier(3), Lock(), [0], [0]

        def read(_: Callable[[], None]) -> None:
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            together.wait(20)
            with lock:
                running[0] -= 1

        leftovers.shelf.while_shipping = read
        outcomes = batch(leftovers, leftovers.host(), most=3).run(ZONE)
        assert [outcome.verdict for outcome in outcomes] == [Verdict.DELETED] * 6
        assert most == [3]

    def test_takes_no_more_at_once_than_the_instance_has_slots(self, leftovers: Leftovers) -> None:
        host = leftovers.host()
        for name in [f"/dev/xvdb{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"][:25]:
            leftovers.cloud.attach(leftovers.cloud.volume(), host.instance_id, name)
        for _ in range(3):
            leftovers.add()
        outcomes = batch(leftovers, host, most=8).run(ZONE)
        assert [outcome.verdict for outcome in outcomes] == [Verdict.DELETED] * 3
        assert leftovers.cloud.aws.count("ec2:AttachVolume") == 25 + 3, "none was refused and tried again"

    def test_without_any_slot_says_so(self, leftovers: Leftovers) -> None:
        host = leftovers.host()
        for name in [f"/dev/xvdb{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]:
            leftovers.cloud.attach(leftovers.cloud.volume(), host.instance_id, name)
        leftovers.add()
        with pytest.raises(AwsRefused, match="can have no more volumes attached"):
            batch(leftovers, host).run(ZONE)

    def test_that_may_not_list_names_the_iam_action(self, leftovers: Leftovers) -> None:
        leftovers.cloud.aws.plan(Fault.DENIED, "ec2:DescribeVolumes")
        with pytest.raises(AwsDenied) as caught:
            batch(leftovers, leftovers.host()).run(ZONE)
        assert "ec2:DescribeVolumes" in caught.value.hint

    def test_goes_on_after_one_that_failed(self, leftovers: Leftovers) -> None:
        bad, good = leftovers.add(None, label(minute=1)), leftovers.add("text", label(minute=2))
        assert verdicts(batch(leftovers, leftovers.host()).run(ZONE)) == {
            bad: Verdict.QUARANTINED,
            good: Verdict.DELETED,
        }

    def test_by_two_hosts_at_once_ships_each_volume_once(self, leftovers: Leftovers) -> None:
        volumes = [leftovers.add(f"{number}") for number in range(6)]
        first, second = leftovers.host(), leftovers.host()
        theirs: list[Outcome] = []

        def the_other_begins(_: Callable[[], None]) -> None:
            leftovers.shelf.while_shipping = lambda _: None
            theirs.extend(batch(leftovers, second).run(ZONE))

        leftovers.shelf.while_shipping = the_other_begins
        mine = verdicts(batch(leftovers, first).run(ZONE))
        assert all(leftovers.is_gone(volume) for volume in volumes)
        assert [leftovers.shelf.shipped(volume) for volume in volumes] == [f"{number}" for number in range(6)]
        assert [*mine.values(), *verdicts(theirs).values()].count(Verdict.DELETED) == 6
        assert Verdict.FAILED not in mine.values()


class TestWhatIsNoLeftover:
    def test_the_volume_of_an_instance_that_wears_it(self, leftovers: Leftovers) -> None:
        host, living = leftovers.host(), leftovers.cloud.instance()
        volume = leftovers.add(told=label(VolumeState.ARMED, instance=living))
        leftovers.cloud.attached(volume, living)
        assert batch(leftovers, host).run(ZONE) == []
        assert leftovers.cloud.attachment(volume) == "attached"

    def test_that_instance_s_volume_stays_with_it_even_if_its_tags_speak_of_a_silent_lease(
        self, leftovers: Leftovers
    ) -> None:
        living = leftovers.host()
        volume = leftovers.add(told=label(VolumeState.SHIPPING, instance=living.instance_id))
        leftovers.volumes.tag(volume, Lease("i-1/1", 3, living.now()).to_tags())
        leftovers.cloud.attached(volume, living.instance_id)
        assert batch(leftovers, leftovers.host()).run(ZONE) == []
        assert leftovers.cloud.clock.now() == 0

    def test_this_host_s_own_log_volume(self, leftovers: Leftovers) -> None:
        host = leftovers.host()
        volume = leftovers.add(told=label(VolumeState.ARMED, instance=host.instance_id))
        leftovers.cloud.attached(volume, host.instance_id)
        assert batch(leftovers, host).run(ZONE) == []

    def test_but_the_armed_volume_of_an_instance_that_died_without_a_notice_is(self, leftovers: Leftovers) -> None:
        living = leftovers.cloud.instance()
        volume = leftovers.add(told=label(VolumeState.ARMED, instance=living))
        leftovers.cloud.attached(volume, living)
        leftovers.cloud.ec2.terminate_instances(InstanceIds=[living])
        assert [outcome.verdict for outcome in batch(leftovers, leftovers.host()).run(ZONE)] == [Verdict.DELETED]

    def test_a_quarantined_volume(self, leftovers: Leftovers) -> None:
        leftovers.add(told=label(VolumeState.QUARANTINED))
        assert batch(leftovers, leftovers.host()).run(ZONE) == []

    def test_but_a_quarantined_volume_that_is_still_attached_here_is_detached(self, leftovers: Leftovers) -> None:
        host = leftovers.host()
        volume = leftovers.add(told=label(VolumeState.QUARANTINED))
        leftovers.cloud.attached(volume, host.instance_id)
        assert verdicts(batch(leftovers, host).run(ZONE)) == {volume: Verdict.QUARANTINED}
        assert leftovers.cloud.state(volume) == "available"

    def test_a_volume_that_is_being_deleted(self, leftovers: Leftovers) -> None:
        leftovers.cloud.aws.world.delays.deleted = 60
        leftovers.cloud.ec2.delete_volume(VolumeId=leftovers.add())
        assert batch(leftovers, leftovers.host()).run(ZONE) == []


class TestForeignLeases:
    def test_that_are_silent_are_taken_over_after_a_while(self, leftovers: Leftovers) -> None:
        dead, host = leftovers.host(), leftovers.host()
        volume = held_by(leftovers, dead)
        assert verdicts(batch(leftovers, host).run(ZONE)) == {volume: Verdict.DELETED}
        assert leftovers.cloud.clock.now() >= LEASE_SILENCE

    def test_that_are_renewed_meanwhile_are_left_alone(self, leftovers: Leftovers) -> None:
        living, host = leftovers.host(), leftovers.host()
        volume, clock = held_by(leftovers, living), leftovers.cloud.clock

        def renewed_meanwhile(seconds: float) -> None:
            clock.sleep(seconds)
            leftovers.volumes.tag(volume, Lease(living.worker, 1, living.now()).to_tags())

        run = Batch(leftovers.volumes, host, leftovers.job(host), most=1, wait=renewed_meanwhile)
        assert verdicts(run.run(ZONE)) == {volume: Verdict.BUSY}
        assert leftovers.cloud.attachment(volume) == "attached"

    def test_are_not_waited_for_longer_than_the_own_work_has_not_taken_already(self, leftovers: Leftovers) -> None:
        dead, host = leftovers.host(), leftovers.host()
        held_by(leftovers, dead)
        leftovers.add()
        leftovers.shelf.while_shipping = lambda _: leftovers.cloud.clock.sleep(100)
        batch(leftovers, host).run(ZONE)
        assert leftovers.cloud.clock.now() < LEASE_SILENCE + 110

    def test_without_any_nothing_is_waited_for(self, leftovers: Leftovers) -> None:
        leftovers.add()
        batch(leftovers, leftovers.host()).run(ZONE)
        assert leftovers.cloud.clock.now() < 10

    def test_of_nobody_a_volume_that_a_person_has_attached_to_look_at_is_left_alone(self, leftovers: Leftovers) -> None:
        volume = leftovers.add()
        leftovers.cloud.attached(volume, leftovers.host().instance_id)
        assert batch(leftovers, leftovers.host()).run(ZONE) == []
        assert leftovers.cloud.attachment(volume) == "attached"

    def test_are_taken_for_silent_only_after_more_than_two_renewals(self) -> None:
        assert LEASE_SILENCE > 2 * RENEW_EVERY


@pytest.mark.parametrize(
    ("cores", "memory", "asked", "expected"),
    [(2, 4 * 10**9, None, 2), (8, 4 * 10**9, 3, 3), (64, 10**9, None, 6), (4, 10**6, None, 1), (2, 4 * 10**9, 16, 16)],
)
def test_as_many_at_once_as_cores_and_memory_allow(cores: int, memory: int, asked: int | None, expected: int) -> None:
    assert at_once(cores=cores, memory=memory, asked=asked) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], 0),
        ([Verdict.DELETED, Verdict.KEPT, Verdict.BUSY], 0),
        ([Verdict.DELETED, Verdict.QUARANTINED], 65),
        ([Verdict.QUARANTINED, Verdict.FAILED, Verdict.DELETED], 75),
    ],
)
def test_the_exit_code_follows_from_the_worst_verdict(found: list[Verdict], expected: int) -> None:
    assert exit_code(Outcome(DEAD, verdict) for verdict in found) == expected
