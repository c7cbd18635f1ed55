"""EC2's volumes through the strict double: waits in virtual time, answers that got lost, everybody's races."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from spotwatch.aws.volumes import SNAPSHOT_TAG, Volumes
from spotwatch.core.errors import (
    AwsBroken,
    AwsConflict,
    AwsDenied,
    AwsError,
    AwsNotFound,
    AwsRefused,
    AwsThrottled,
    AwsUnreachable,
    AwsUnsettled,
)
from spotwatch.core.volume import STATE_TAG
from spotwatch.simulate.strict_aws import Fault
from tests.cloud import OTHER_ZONE, ZONE, Cloud

ABSENT = "vol-0123456789abcdef0"
LABEL = {STATE_TAG: "interrupted"}


def volumes(cloud: Cloud, patience: float = 300.0) -> Volumes:
    return Volumes(cloud.session(patience).api("ec2"))


class TestLabelled:
    def test_are_the_labelled_ones_of_the_zone_on_however_many_pages(self, cloud: Cloud) -> None:
        ours = {cloud.volume(tags=LABEL) for _ in range(5)}
        cloud.volume(tags={"Name": "theirs"})
        elsewhere = cloud.volume(tags=LABEL, zone=OTHER_ZONE)
        cloud.aws.world.page = 2
        assert {volume.id for volume in volumes(cloud).labelled(ZONE)} == ours
        assert {volume.id for volume in volumes(cloud).labelled()} == {*ours, elsewhere}

    def test_are_asked_for_in_large_pages(self, cloud: Cloud) -> None:
        for _ in range(12):
            cloud.volume(tags=LABEL)
        assert len(list(volumes(cloud).labelled(ZONE))) == 12
        assert cloud.aws.count("ec2:DescribeVolumes") == 1


class TestDescribe:
    def test_tells_what_ec2_knows(self, cloud: Cloud) -> None:
        instance, volume = cloud.instance(), cloud.volume(tags=LABEL)
        cloud.attached(volume, instance)
        found = volumes(cloud).describe(volume)
        assert found is not None
        assert (found.id, found.size_gib, found.kind, found.availability_zone) == (volume, 8, "gp3", ZONE)
        assert (found.state, found.instance_id, found.device) == ("in-use", instance, "/dev/sdf")
        assert (found.attachment, found.iops, found.throughput_mib) == ("attached", 3000, 125)
        assert found.tags == LABEL
        assert abs(found.created - datetime.now(UTC)) < timedelta(minutes=5)

    def test_of_a_free_one_has_no_attachment(self, cloud: Cloud) -> None:
        found = volumes(cloud).describe(cloud.volume())
        assert found is not None
        assert (found.state, found.instance_id, found.device, found.attachment) == ("available", "", "", "")

    def test_of_one_that_is_not_there_is_none(self, cloud: Cloud) -> None:
        assert volumes(cloud).describe(ABSENT) is None


class TestTag:
    def test_sets_some_and_leaves_the_others(self, cloud: Cloud) -> None:
        volume = cloud.volume(tags={"a": "1", "b": "1"})
        volumes(cloud).tag(volume, {"b": "2", "c": "2"})
        assert cloud.tags(volume) == {"a": "1", "b": "2", "c": "2"}

    def test_of_one_that_is_not_there_is_an_error(self, cloud: Cloud) -> None:
        with pytest.raises(AwsNotFound):
            volumes(cloud).tag(ABSENT, {"a": "1"})


class TestAttach:
    def test_begins_an_attachment_that_is_then_waited_for(self, cloud: Cloud) -> None:
        cloud.aws.world.delays.attached = 12
        instance, volume = cloud.instance(), cloud.volume()
        asked = volumes(cloud)
        asked.attach(volume, instance, "/dev/sdf")
        assert cloud.attachment(volume) == "attaching"
        asked.wait_until_attached(volume, instance)
        assert cloud.attachment(volume) == "attached"
        assert 12 <= cloud.clock.now() < 40

    def test_of_what_the_instance_has_already_is_no_error(self, cloud: Cloud) -> None:
        instance, volume = cloud.instance(), cloud.volume()
        cloud.attached(volume, instance)
        volumes(cloud).attach(volume, instance, "/dev/sdg")

    def test_whose_answer_got_lost_is_carried_out_once(self, cloud: Cloud) -> None:
        instance, volume = cloud.instance(), cloud.volume()
        cloud.aws.plan(Fault.LOST, "ec2:AttachVolume")
        volumes(cloud).attach(volume, instance, "/dev/sdf")
        assert cloud.described(volume)["Attachments"][0]["InstanceId"] == instance

    def test_of_what_another_has_is_a_conflict(self, cloud: Cloud) -> None:
        volume = cloud.volume()
        cloud.attached(volume, cloud.instance())
        with pytest.raises(AwsConflict) as caught:
            volumes(cloud).attach(volume, cloud.instance(), "/dev/sdf")
        assert caught.value.code == "VolumeInUse"

    def test_to_a_terminated_instance_is_a_conflict(self, cloud: Cloud) -> None:
        instance = cloud.instance()
        cloud.ec2.terminate_instances(InstanceIds=[instance])
        with pytest.raises(AwsConflict) as caught:
            volumes(cloud).attach(cloud.volume(), instance, "/dev/sdf")
        assert caught.value.code == "IncorrectState"

    def test_in_another_zone_is_refused(self, cloud: Cloud) -> None:
        with pytest.raises(AwsRefused) as caught:
            volumes(cloud).attach(cloud.volume(zone=OTHER_ZONE), cloud.instance(), "/dev/sdf")
        assert caught.value.code == "InvalidVolume.ZoneMismatch"

    def test_under_a_name_in_use_is_refused(self, cloud: Cloud) -> None:
        with pytest.raises(AwsRefused) as caught:
            volumes(cloud).attach(cloud.volume(), cloud.instance(), "/dev/sda1")
        assert caught.value.code == "InvalidParameterValue"

    def test_is_given_up_when_another_instance_gets_it_meanwhile(self, cloud: Cloud) -> None:
        volume = cloud.volume()
        cloud.attached(volume, cloud.instance())
        cloud.clock.slept.clear()
        with pytest.raises(AwsConflict):
            volumes(cloud).wait_until_attached(volume, cloud.instance())
        assert cloud.clock.slept == []

    def test_is_given_up_when_somebody_detaches_it_meanwhile(self, cloud: Cloud) -> None:
        volume, instance = cloud.volume(), cloud.instance()
        cloud.attached(volume, instance)
        cloud.aws.world.delays.detached = 60
        cloud.ec2.detach_volume(VolumeId=volume)
        with pytest.raises(AwsConflict, match="detaching"):
            volumes(cloud).wait_until_attached(volume, instance)

    def test_is_given_up_when_the_volume_is_gone(self, cloud: Cloud) -> None:
        with pytest.raises(AwsConflict, match="gone"):
            volumes(cloud).wait_until_attached(ABSENT, cloud.instance())

    def test_that_sticks_is_unsettled_when_patience_ends(self, cloud: Cloud) -> None:
        cloud.aws.world.delays.attached = 10_000
        volume, instance = cloud.volume(), cloud.instance()
        asked = volumes(cloud, patience=100)
        asked.attach(volume, instance, "/dev/sdf")
        with pytest.raises(AwsUnsettled, match="is attaching"):
            asked.wait_until_attached(volume, instance)
        assert cloud.clock.now() <= 100


class TestDetach:
    def test_is_begun_and_then_waited_for(self, cloud: Cloud) -> None:
        volume, instance = cloud.volume(), cloud.instance()
        cloud.attached(volume, instance)
        cloud.aws.world.delays.detached = 25
        asked = volumes(cloud)
        asked.detach(volume, instance)
        free = asked.wait_until_available(volume, instance)
        assert free is not None
        assert (free.id, free.state, free.instance_id) == (volume, "available", "")
        assert cloud.state(volume) == "available"
        assert cloud.clock.now() >= 25

    def test_again_is_no_error(self, cloud: Cloud) -> None:
        volume, instance = cloud.volume(), cloud.instance()
        cloud.attached(volume, instance)
        cloud.aws.world.delays.detached = 25
        asked = volumes(cloud)
        for _ in range(2):
            asked.detach(volume, instance)
        asked.wait_until_available(volume, instance)
        asked.detach(volume, instance)

    def test_of_one_that_is_gone_is_no_error(self, cloud: Cloud) -> None:
        asked = volumes(cloud)
        asked.detach(ABSENT, cloud.instance())
        assert asked.wait_until_available(ABSENT, cloud.instance()) is None

    def test_leaves_an_attachment_that_another_instance_has_made_since(self, cloud: Cloud) -> None:
        volume, other = cloud.volume(), cloud.instance()
        cloud.attached(volume, other)
        volumes(cloud).detach(volume, cloud.instance())
        assert cloud.described(volume)["Attachments"][0]["InstanceId"] == other
        assert cloud.attachment(volume) == "attached"

    def test_is_not_waited_for_once_another_instance_has_the_volume(self, cloud: Cloud) -> None:
        volume = cloud.volume()
        cloud.attached(volume, cloud.instance())
        with pytest.raises(AwsConflict, match="by now"):
            volumes(cloud).wait_until_available(volume, cloud.instance())

    def test_is_never_forced(self, cloud: Cloud) -> None:
        volume, instance = cloud.volume(), cloud.instance()
        cloud.attached(volume, instance)
        volumes(cloud).detach(volume, instance)
        (call,) = [call for call in cloud.aws.calls if call.name == "ec2:DetachVolume"]
        assert "Force" not in call.parameters

    def test_of_a_mounted_volume_says_so_when_patience_ends(self, cloud: Cloud) -> None:
        volume, instance = cloud.volume(), cloud.instance()
        cloud.attached(volume, instance)
        cloud.aws.world.mounted.add(volume)
        asked = volumes(cloud, patience=60)
        asked.detach(volume, instance)
        with pytest.raises(AwsUnsettled, match="busy") as caught:
            asked.wait_until_available(volume, instance)
        assert "mounted" in caught.value.hint


class TestDelete:
    def test_deletes_a_free_volume(self, cloud: Cloud) -> None:
        volume = cloud.volume()
        volumes(cloud).delete(volume)
        assert volumes(cloud).describe(volume) is None

    def test_again_is_no_error(self, cloud: Cloud) -> None:
        volume = cloud.volume()
        cloud.aws.world.delays.deleted = 30
        for _ in range(2):
            volumes(cloud).delete(volume)
        cloud.clock.sleep(30)
        volumes(cloud).delete(volume)

    def test_whose_answer_got_lost_is_no_error(self, cloud: Cloud) -> None:
        volume = cloud.volume()
        cloud.aws.plan(Fault.LOST, "ec2:DeleteVolume")
        volumes(cloud).delete(volume)

    def test_of_an_attached_one_is_a_conflict_and_deletes_nothing(self, cloud: Cloud) -> None:
        volume = cloud.volume()
        cloud.attached(volume, cloud.instance())
        with pytest.raises(AwsConflict):
            volumes(cloud).delete(volume)
        assert cloud.state(volume) == "in-use"


class TestSnapshot:
    def test_is_made_and_tagged_with_its_volume(self, cloud: Cloud) -> None:
        volume = cloud.volume()
        made = volumes(cloud).snapshot(volume, "why")
        (found,) = snapshots(cloud)
        assert (found["SnapshotId"], found["VolumeId"], found["Description"]) == (made, volume, "why")
        assert found["Tags"] == [{"Key": SNAPSHOT_TAG, "Value": volume}]

    def test_is_made_once(self, cloud: Cloud) -> None:
        volume, other = cloud.volume(), cloud.volume()
        cloud.aws.world.delays.snapshot = 600
        asked = volumes(cloud)
        assert asked.snapshot(volume, "why") == asked.snapshot(volume, "again")
        assert asked.snapshot(other, "why") != asked.snapshot(volume, "why")
        assert len(snapshots(cloud)) == 2

    def test_is_made_once_although_the_answer_got_lost(self, cloud: Cloud) -> None:
        volume = cloud.volume()
        cloud.aws.plan(Fault.LOST, "ec2:CreateSnapshot")
        made = volumes(cloud).snapshot(volume, "why")
        assert [found["SnapshotId"] for found in snapshots(cloud)] == [made]


class TestSlots:
    def test_the_names_in_use_are_those_of_the_instance_and_its_root(self, cloud: Cloud) -> None:
        instance = cloud.instance()
        cloud.attached(cloud.volume(), instance, "/dev/sdg")
        assert volumes(cloud).device_names(instance) == {"/dev/sda1", "/dev/sdg"}

    @pytest.mark.parametrize(
        ("kind", "limit"), [("m5.large", 27), ("c5d.large", 26), ("m7i.large", 32), ("m8g.48xlarge", 128)]
    )
    def test_the_limit_is_what_ec2_would_let_attach(self, cloud: Cloud, kind: str, limit: int) -> None:
        """Less the root volume."""
        assert volumes(cloud).attachment_limit(cloud.instance(kind=kind)) == limit - 1

    def test_every_slot_counted_can_be_used_and_none_more(self, cloud: Cloud) -> None:
        instance, asked = cloud.instance(), volumes(cloud)
        names = [f"/dev/xvdb{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
        for name in names[: asked.attachment_limit(instance)]:
            cloud.attach(cloud.volume(), instance, name)
        assert asked.attachment_limit(instance) == 0
        with pytest.raises(AwsRefused) as caught:
            asked.attach(cloud.volume(), instance, "/dev/xvdca")
        assert caught.value.code == "AttachmentLimitExceeded"

    def test_of_an_instance_that_is_not_there_are_not_found(self, cloud: Cloud) -> None:
        with pytest.raises(AwsNotFound):
            volumes(cloud).attachment_limit("i-0123456789abcdef0")


CALLS: dict[str, Callable[[Volumes, str, str], object]] = {
    "DescribeVolumes": lambda asked, _, __: list(asked.labelled(ZONE)),
    "CreateTags": lambda asked, volume, _: asked.tag(volume, {"a": "1"}),
    "AttachVolume": lambda asked, volume, instance: asked.attach(volume, instance, "/dev/sdf"),
    "DetachVolume": lambda asked, volume, instance: asked.detach(volume, instance),
    "DeleteVolume": lambda asked, volume, _: asked.delete(volume),
    "DescribeSnapshots": lambda asked, volume, _: asked.snapshot(volume, "why"),
    "CreateSnapshot": lambda asked, volume, _: asked.snapshot(volume, "why"),
    "DescribeInstances": lambda asked, _, instance: asked.device_names(instance),
    "DescribeInstanceTypes": lambda asked, _, instance: asked.attachment_limit(instance),
}
"""Every operation, and a method that calls it."""


@pytest.mark.parametrize("operation", CALLS)
class TestTrouble:
    def test_is_outlasted(self, cloud: Cloud, operation: str) -> None:
        volume, instance = cloud.volume(), cloud.instance()
        if operation == "DetachVolume":
            cloud.attached(volume, instance)
        for fault in (Fault.THROTTLED, Fault.BROKEN, Fault.RESET, Fault.NONSENSE, Fault.LOST):
            cloud.aws.plan(fault, f"ec2:{operation}")
        CALLS[operation](volumes(cloud), volume, instance)

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            (Fault.THROTTLED, AwsThrottled),
            (Fault.BROKEN, AwsBroken),
            (Fault.RESET, AwsUnreachable),
            (Fault.NONSENSE, AwsBroken),
        ],
    )
    def test_that_does_not_end_is_told_when_patience_does(
        self, cloud: Cloud, operation: str, fault: Fault, kind: type[AwsError]
    ) -> None:
        volume, instance = cloud.volume(), cloud.instance()
        cloud.aws.plan(fault, f"ec2:{operation}", times=1000)
        with pytest.raises(kind, match=operation):
            CALLS[operation](volumes(cloud, patience=60), volume, instance)
        assert cloud.clock.now() <= 60

    def test_with_permissions_is_told_at_once_with_the_iam_action(self, cloud: Cloud, operation: str) -> None:
        volume, instance = cloud.volume(), cloud.instance()
        cloud.aws.plan(Fault.DENIED, f"ec2:{operation}", times=1000)
        with pytest.raises(AwsDenied) as caught:
            CALLS[operation](volumes(cloud), volume, instance)
        assert f"ec2:{operation}" in caught.value.hint
        assert cloud.clock.slept == []


def snapshots(cloud: Cloud) -> list[dict[str, object]]:
    found: list[dict[str, object]] = cloud.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    return found
