"""EC2 as the double plays it, asked by boto3 over HTTP: each test is a rule of AWS's that moto leaves out or breaks."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotwatch.simulate.strict_aws import StrictAws
from tests.cloud import OTHER_ZONE, Cloud


@contextmanager
def refused(code: str) -> Iterator[None]:
    """EC2 refuses what is done inside, with this code."""
    with pytest.raises(ClientError) as caught:
        yield
    assert caught.value.response["Error"]["Code"] == code


class TestAttachVolume:
    def test_of_a_volume_in_use_is_refused_with_volume_in_use(self, cloud: Cloud) -> None:
        volume = cloud.volume()
        cloud.attach(volume, cloud.instance())
        with refused("VolumeInUse"):
            cloud.attach(volume, cloud.instance())

    def test_of_a_volume_that_the_instance_itself_has_is_refused_with_volume_in_use(self, cloud: Cloud) -> None:
        volume, instance = cloud.volume(), cloud.instance()
        cloud.attach(volume, instance)
        with refused("VolumeInUse"):
            cloud.attach(volume, instance, "/dev/sdg")

    def test_by_eight_at_once_has_one_winner(self, cloud: Cloud) -> None:
        volume = cloud.volume()
        instances = [cloud.instance() for _ in range(8)]

        def attach(instance: str) -> str:
            try:
                cloud.attach(volume, instance)
            except ClientError as error:
                return str(error.response["Error"]["Code"])
            return instance

        with ThreadPoolExecutor(8) as racers:
            results = list(racers.map(attach, instances))
        (winner,) = [result for result in results if result in instances]
        assert sorted(result for result in results if result != winner) == ["VolumeInUse"] * 7
        assert cloud.described(volume)["Attachments"][0]["InstanceId"] == winner

    def test_in_another_zone_is_refused_with_zone_mismatch(self, cloud: Cloud) -> None:
        volume = cloud.volume(zone=OTHER_ZONE)
        with refused("InvalidVolume.ZoneMismatch"):
            cloud.attach(volume, cloud.instance())

    @pytest.mark.parametrize("device", ["/dev/sdf", "/dev/sda1"])
    def test_under_a_device_name_that_is_taken_is_refused(self, cloud: Cloud, device: str) -> None:
        instance = cloud.instance()
        cloud.attach(cloud.volume(), instance, "/dev/sdf")
        with refused("InvalidParameterValue"):
            cloud.attach(cloud.volume(), instance, device)

    def test_to_a_terminated_instance_is_refused_with_incorrect_state(self, cloud: Cloud) -> None:
        instance = cloud.instance()
        cloud.ec2.terminate_instances(InstanceIds=[instance])
        with refused("IncorrectState"):
            cloud.attach(cloud.volume(), instance)

    @pytest.mark.parametrize(("kind", "most"), [("m5.large", 27), ("m7i.large", 32)])
    def test_beyond_the_limit_of_the_type_is_refused(self, cloud: Cloud, kind: str, most: int) -> None:
        """The root volume counts."""
        instance = cloud.instance(kind=kind)
        names = [f"/dev/xvdb{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
        names += [f"/dev/xvdc{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
        for name in names[: most - 1]:
            cloud.attach(cloud.volume(), instance, name)
        with refused("AttachmentLimitExceeded"):
            cloud.attach(cloud.volume(), instance, names[most])

    def test_of_a_volume_that_is_gone_is_not_found(self, cloud: Cloud) -> None:
        with refused("InvalidVolume.NotFound"):
            cloud.attach("vol-0123456789abcdef0", cloud.instance())

    def test_of_a_volume_that_is_being_created_is_refused_with_incorrect_state(self, cloud: Cloud) -> None:
        cloud.aws.world.delays.created = 5
        volume = cloud.volume()
        assert cloud.state(volume) == "creating"
        with refused("IncorrectState"):
            cloud.attach(volume, cloud.instance())
        cloud.clock.sleep(5)
        cloud.attach(volume, cloud.instance())

    def test_is_attaching_for_a_while(self, cloud: Cloud) -> None:
        cloud.aws.world.delays.attached = 4
        volume, instance = cloud.volume(), cloud.instance()
        assert cloud.attach(volume, instance)["State"] == "attaching"
        assert (cloud.state(volume), cloud.attachment(volume)) == ("in-use", "attaching")
        assert cloud.mappings(instance)["/dev/sdf"]["Status"] == "attaching"
        cloud.clock.sleep(4)
        assert cloud.attachment(volume) == "attached"
        assert cloud.mappings(instance)["/dev/sdf"]["Status"] == "attached"

    def test_leaves_the_volume_to_outlive_the_instance(self, cloud: Cloud) -> None:
        volume, instance = cloud.volume(), cloud.instance()
        cloud.attach(volume, instance)
        assert cloud.described(volume)["Attachments"][0]["DeleteOnTermination"] is False
        cloud.ec2.terminate_instances(InstanceIds=[instance])
        assert cloud.state(volume) == "available"


class TestDetachVolume:
    def test_of_an_available_volume_is_refused_with_incorrect_state(self, cloud: Cloud) -> None:
        with refused("IncorrectState"):
            cloud.ec2.detach_volume(VolumeId=cloud.volume())

    def test_needs_no_instance_id(self, cloud: Cloud) -> None:
        volume = cloud.volume()
        cloud.attached(volume, cloud.instance())
        assert cloud.ec2.detach_volume(VolumeId=volume)["State"] == "detaching"
        assert cloud.state(volume) == "available"

    def test_from_an_instance_that_does_not_have_it_is_refused(self, cloud: Cloud) -> None:
        volume, other = cloud.volume(), cloud.instance()
        cloud.attached(volume, cloud.instance())
        with refused("InvalidAttachment.NotFound"):
            cloud.ec2.detach_volume(VolumeId=volume, InstanceId=other)

    def test_is_detaching_for_a_while_and_keeps_its_device_name(self, cloud: Cloud) -> None:
        volume, instance = cloud.volume(), cloud.instance()
        cloud.attached(volume, instance)
        cloud.aws.world.delays.detached = 7
        cloud.ec2.detach_volume(VolumeId=volume)
        assert (cloud.state(volume), cloud.attachment(volume)) == ("in-use", "detaching")
        with refused("InvalidParameterValue"):
            cloud.attach(cloud.volume(), instance)
        with refused("VolumeInUse"):
            cloud.attach(volume, cloud.instance())
        cloud.clock.sleep(7)
        assert cloud.state(volume) == "available"
        cloud.attach(cloud.volume(), instance)

    def test_of_a_mounted_volume_sticks_in_busy_until_it_is_unmounted(self, cloud: Cloud) -> None:
        volume = cloud.volume()
        cloud.attached(volume, cloud.instance())
        cloud.aws.world.mounted.add(volume)
        cloud.ec2.detach_volume(VolumeId=volume)
        cloud.clock.sleep(1000)
        assert cloud.attachment(volume) == "busy"
        cloud.aws.world.mounted.clear()
        cloud.clock.sleep(2)
        assert cloud.state(volume) == "available"

    def test_frees_the_volume_for_another_instance(self, cloud: Cloud) -> None:
        volume = cloud.volume()
        cloud.attached(volume, cloud.instance())
        cloud.ec2.detach_volume(VolumeId=volume)
        cloud.attach(volume, cloud.instance())


class TestDeleteVolume:
    def test_of_an_attached_volume_is_refused_with_volume_in_use(self, cloud: Cloud) -> None:
        volume = cloud.volume()
        cloud.attached(volume, cloud.instance())
        with refused("VolumeInUse"):
            cloud.ec2.delete_volume(VolumeId=volume)

    def test_while_it_is_detaching_is_refused_with_volume_in_use(self, cloud: Cloud) -> None:
        volume = cloud.volume()
        cloud.attached(volume, cloud.instance())
        cloud.aws.world.delays.detached = 7
        cloud.ec2.detach_volume(VolumeId=volume)
        with refused("VolumeInUse"):
            cloud.ec2.delete_volume(VolumeId=volume)

    def test_shows_it_deleting_and_then_not_at_all(self, cloud: Cloud) -> None:
        cloud.aws.world.delays.deleted = 3
        volume = cloud.volume()
        cloud.ec2.delete_volume(VolumeId=volume)
        assert cloud.state(volume) == "deleting"
        with refused("IncorrectState"):
            cloud.attach(volume, cloud.instance())
        cloud.clock.sleep(3)
        with refused("InvalidVolume.NotFound"):
            cloud.described(volume)
        with refused("InvalidVolume.NotFound"):
            cloud.ec2.delete_volume(VolumeId=volume)


class TestTermination:
    def test_takes_a_while_and_holds_the_volumes_until_then(self, cloud: Cloud) -> None:
        cloud.aws.world.delays.terminated = 40
        volume, instance = cloud.volume(), cloud.instance()
        root = cloud.mappings(instance)["/dev/sda1"]["VolumeId"]
        cloud.attached(volume, instance)
        told = cloud.ec2.terminate_instances(InstanceIds=[instance])["TerminatingInstances"][0]
        assert (told["PreviousState"]["Name"], told["CurrentState"]["Name"]) == ("running", "shutting-down")
        assert cloud.state(volume) == "in-use"
        cloud.clock.sleep(40)
        assert cloud.state(volume) == "available"
        with refused("InvalidVolume.NotFound"):
            cloud.described(root)

    def test_deletes_what_was_flipped_back_although_the_flip_does_not_show_yet(self, cloud: Cloud) -> None:
        """What DeleteOnTermination means holds at once; only reads of it lag."""
        cloud.aws.world.delays.attribute = 30
        volume, instance = cloud.volume(), cloud.instance()
        cloud.attached(volume, instance)
        flip(cloud, instance, "/dev/sdf", DeleteOnTermination=True)
        cloud.ec2.terminate_instances(InstanceIds=[instance])
        with refused("InvalidVolume.NotFound"):
            cloud.described(volume)

    def test_an_instance_is_pending_for_a_while(self, cloud: Cloud) -> None:
        cloud.aws.world.delays.running = 20
        instance = cloud.instance()
        assert instance_state(cloud, instance) == "pending"
        cloud.clock.sleep(20)
        assert instance_state(cloud, instance) == "running"

    def test_a_terminated_one_stays_so_although_it_was_still_pending(self, cloud: Cloud) -> None:
        cloud.aws.world.delays.running = 20
        instance = cloud.instance()
        cloud.ec2.terminate_instances(InstanceIds=[instance])
        cloud.clock.sleep(20)
        assert instance_state(cloud, instance) == "terminated"


class TestDeleteOnTermination:
    def test_shows_late(self, cloud: Cloud) -> None:
        cloud.aws.world.delays.attribute = 30
        instance = cloud.instance()
        flip(cloud, instance, "/dev/sda1", DeleteOnTermination=False)
        assert cloud.mappings(instance)["/dev/sda1"]["DeleteOnTermination"] is True
        cloud.clock.sleep(30)
        assert cloud.mappings(instance)["/dev/sda1"]["DeleteOnTermination"] is False

    def test_whose_value_is_left_out_becomes_true(self, cloud: Cloud) -> None:
        instance = cloud.instance()
        flip(cloud, instance, "/dev/sda1", DeleteOnTermination=False)
        flip(cloud, instance, "/dev/sda1")
        assert cloud.mappings(instance)["/dev/sda1"]["DeleteOnTermination"] is True

    def test_of_an_unknown_device_is_refused(self, cloud: Cloud) -> None:
        with refused("InvalidInstanceAttributeValue"):
            flip(cloud, cloud.instance(), "/dev/sdz", DeleteOnTermination=False)

    def test_is_a_filter_of_volumes(self, cloud: Cloud) -> None:
        instance, kept = cloud.instance(), cloud.volume()
        cloud.attached(kept, instance)
        root = cloud.mappings(instance)["/dev/sda1"]["VolumeId"]
        cloud.volume()
        assert filtered(cloud, "attachment.delete-on-termination", "false") == [kept]
        assert filtered(cloud, "attachment.delete-on-termination", "true") == [root]

    def test_the_root_volume_is_there_also_where_others_are_asked_for(self, cloud: Cloud) -> None:
        """And a mapping of the launch says itself what becomes of its volume."""
        mapping = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 8, "DeleteOnTermination": False}}
        mappings = cloud.mappings(cloud.instance(BlockDeviceMappings=[mapping]))
        assert {name: ebs["DeleteOnTermination"] for name, ebs in mappings.items()} == {
            "/dev/sda1": True,
            "/dev/sdf": False,
        }

    def test_the_root_device_has_the_name_that_the_image_says(
        self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("MOTO_EC2_LOAD_DEFAULT_AMIS")
        with StrictAws() as aws:
            monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
            assert set(Cloud(aws, cloud.clock).mappings(Cloud(aws, cloud.clock).instance())) == {"/dev/xvda"}


class TestReads:
    def test_tags_show_late(self, cloud: Cloud) -> None:
        cloud.aws.world.delays.tags = 5
        volume = cloud.volume(tags={"a": "1"})
        cloud.ec2.create_tags(Resources=[volume], Tags=[{"Key": "a", "Value": "2"}])
        cloud.ec2.create_tags(Resources=[volume], Tags=[{"Key": "b", "Value": "3"}])
        cloud.ec2.delete_tags(Resources=[volume], Tags=[{"Key": "b"}])
        assert cloud.tags(volume) == {"a": "1"}
        cloud.clock.sleep(5)
        assert cloud.tags(volume) == {"a": "2"}

    def test_a_tag_s_value_has_256_characters_at_most(self, cloud: Cloud) -> None:
        volume = cloud.volume()
        cloud.ec2.create_tags(Resources=[volume], Tags=[{"Key": "a", "Value": "x" * 256}])
        with refused("InvalidParameterValue"):
            cloud.ec2.create_tags(Resources=[volume], Tags=[{"Key": "a", "Value": "x" * 257}])

    def test_volumes_are_found_by_state(self, cloud: Cloud) -> None:
        cloud.aws.world.delays.created = 5
        creating = cloud.volume()
        cloud.clock.sleep(4)
        later = cloud.volume()
        cloud.clock.sleep(1)
        assert filtered(cloud, "status", "available") == [creating]
        assert filtered(cloud, "status", "creating") == [later]


class TestPages:
    @pytest.mark.parametrize(("size", "lengths"), [(5, [5, 5, 2]), (12, [12]), (1000, [12])])
    def test_volumes_come_in_pages(self, cloud: Cloud, size: int, lengths: list[int]) -> None:
        volumes = {cloud.volume() for _ in range(12)}
        pages = list(all_pages(cloud.ec2.describe_volumes, "Volumes", MaxResults=size))
        assert [len(page) for page in pages] == lengths
        assert {volume["VolumeId"] for page in pages for volume in page} == volumes

    def test_instances_come_in_pages(self, cloud: Cloud) -> None:
        instances = {cloud.instance() for _ in range(7)}
        pages = list(all_pages(cloud.ec2.describe_instances, "Reservations", MaxResults=5))
        assert [len(page) for page in pages] == [5, 2]
        assert {each["Instances"][0]["InstanceId"] for page in pages for each in page} == instances

    def test_snapshots_come_in_pages(self, cloud: Cloud) -> None:
        volume = cloud.volume()
        made = {cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"] for _ in range(6)}
        pages = list(all_pages(cloud.ec2.describe_snapshots, "Snapshots", MaxResults=5, OwnerIds=["self"]))
        assert [len(page) for page in pages] == [5, 1]
        assert {each["SnapshotId"] for page in pages for each in page} == made

    def test_instance_types_come_in_pages(self, cloud: Cloud) -> None:
        sizes = [{"Name": "instance-type", "Values": ["m5.*", "m6g.*"]}]
        found = cloud.ec2.describe_instance_types(Filters=sizes)["InstanceTypes"]
        pages = list(all_pages(cloud.ec2.describe_instance_types, "InstanceTypes", MaxResults=10, Filters=sizes))
        assert [len(page) for page in pages] == [10, len(found) - 10]
        assert [each["InstanceType"] for page in pages for each in page] == [each["InstanceType"] for each in found]

    def test_they_may_be_shorter_than_asked_for(self, cloud: Cloud) -> None:
        for _ in range(3):
            cloud.volume()
        cloud.aws.world.page = 1
        assert [len(page) for page in all_pages(cloud.ec2.describe_volumes, "Volumes", MaxResults=100)] == [1, 1, 1]

    def test_a_volume_that_is_deleted_between_two_pages_hides_no_other(self, cloud: Cloud) -> None:
        volumes = sorted(cloud.volume() for _ in range(10))
        first = cloud.ec2.describe_volumes(MaxResults=5)
        cloud.ec2.delete_volume(VolumeId=volumes[0])
        second = cloud.ec2.describe_volumes(MaxResults=5, NextToken=first["NextToken"])
        assert [volume["VolumeId"] for volume in second["Volumes"]] == volumes[5:]

    def test_of_named_volumes_there_are_none(self, cloud: Cloud) -> None:
        with refused("InvalidParameterCombination"):
            cloud.ec2.describe_volumes(VolumeIds=[cloud.volume()], MaxResults=5)

    @pytest.mark.parametrize("size", [4, 1001])
    def test_of_another_size_are_refused(self, cloud: Cloud, size: int) -> None:
        with refused("InvalidParameterValue"):
            cloud.ec2.describe_volumes(MaxResults=size)

    def test_a_token_that_is_none_is_refused(self, cloud: Cloud) -> None:
        with refused("InvalidNextToken"):
            cloud.ec2.describe_volumes(NextToken="\N{SNOWMAN}")


class TestClientToken:
    def test_the_same_request_again_makes_no_second_volume(self, cloud: Cloud) -> None:
        first, second = cloud.volume(ClientToken="one"), cloud.volume(ClientToken="one")
        assert first == second
        assert len(cloud.ec2.describe_volumes()["Volumes"]) == 1

    def test_the_same_request_again_makes_no_second_instance(self, cloud: Cloud) -> None:
        assert cloud.instance(ClientToken="one") == cloud.instance(ClientToken="one")

    def test_with_other_parameters_is_refused(self, cloud: Cloud) -> None:
        cloud.volume(ClientToken="one")
        with refused("IdempotentParameterMismatch"):
            cloud.volume(ClientToken="one", zone=OTHER_ZONE)

    def test_of_a_request_that_failed_can_be_used_again(self, cloud: Cloud) -> None:
        with refused("InvalidSnapshot.NotFound"):
            cloud.volume(ClientToken="one", SnapshotId="snap-0123456789abcdef0")
        cloud.volume(ClientToken="one")


class TestSnapshots:
    def test_are_pending_for_a_while(self, cloud: Cloud) -> None:
        cloud.aws.world.delays.snapshot = 60
        snapshot = cloud.ec2.create_snapshot(VolumeId=cloud.volume())["SnapshotId"]
        assert snapshot_state(cloud, snapshot) == "pending"
        cloud.clock.sleep(60)
        assert snapshot_state(cloud, snapshot) == "completed"


class TestHooks:
    def test_attachments_and_their_ends_are_told(self, cloud: Cloud) -> None:
        """So that a test gives the instance a block device with the volume's serial."""
        cloud.aws.world.delays.attached = 3
        told: list[tuple[str, ...]] = []
        cloud.aws.world.on_attached = lambda *names: told.append(names)
        cloud.aws.world.on_detached = lambda volume: told.append((volume,))
        volume, instance = cloud.volume(), cloud.instance()
        root = cloud.mappings(instance)["/dev/sda1"]["VolumeId"]
        cloud.attach(volume, instance)
        assert told == [(root, instance, "/dev/sda1")]
        cloud.clock.sleep(3)
        cloud.ec2.detach_volume(VolumeId=volume)
        cloud.ec2.terminate_instances(InstanceIds=[instance])
        assert told[1:] == [(volume, instance, "/dev/sdf"), (volume,), (root,)]

    def test_a_volume_that_is_detached_while_it_attaches_is_never_told_as_attached(self, cloud: Cloud) -> None:
        cloud.aws.world.delays.attached = 3
        volume, instance = cloud.volume(), cloud.instance()
        told: list[str] = []
        cloud.aws.world.on_attached = lambda volume, *_: told.append(volume)
        cloud.attach(volume, instance)
        cloud.ec2.detach_volume(VolumeId=volume)
        cloud.clock.sleep(10)
        assert (told, cloud.state(volume)) == ([], "available")


def flip(cloud: Cloud, instance: str, device: str, **ebs: bool) -> None:
    cloud.ec2.modify_instance_attribute(
        InstanceId=instance,
        BlockDeviceMappings=[{"DeviceName": device, "Ebs": ebs}] if ebs else [{"DeviceName": device}],
    )


def filtered(cloud: Cloud, name: str, value: str) -> list[str]:
    found = cloud.ec2.describe_volumes(Filters=[{"Name": name, "Values": [value]}])["Volumes"]
    return [volume["VolumeId"] for volume in found]


def all_pages(call: Any, entries: str, **parameters: Any) -> Iterator[list[Any]]:
    token: dict[str, str] = {}
    while True:
        answer = call(**parameters, **token)
        yield answer[entries]
        if not answer.get("NextToken"):
            return
        token = {"NextToken": answer["NextToken"]}


def instance_state(cloud: Cloud, instance: str) -> str:
    told = cloud.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return str(told["State"]["Name"])


def snapshot_state(cloud: Cloud, snapshot: str) -> str:
    return str(cloud.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["State"])
