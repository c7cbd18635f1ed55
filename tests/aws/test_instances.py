"""The volumes of an instance, and that one of them outlives it."""

import pytest

from spotwatch.aws.instances import Attachment, Instances
from spotwatch.core.errors import AwsDenied, AwsNotFound, AwsRefused, AwsUnsettled
from spotwatch.simulate.strict_aws import Fault
from tests.cloud import Cloud

ABSENT = "i-0123456789abcdef0"


def instances(cloud: Cloud, patience: float = 300.0) -> Instances:
    return Instances(cloud.session(patience).api("ec2"))


def test_an_instance_has_its_root_volume_and_those_attached_later(cloud: Cloud) -> None:
    instance, volume = cloud.instance(), cloud.volume()
    root = cloud.mappings(instance)["/dev/sda1"]["VolumeId"]
    cloud.attached(volume, instance)
    assert instances(cloud).attachments(instance) == (
        Attachment(root, "/dev/sda1", delete_on_termination=True, is_root=True),
        Attachment(volume, "/dev/sdf", delete_on_termination=False, is_root=False),
    )


def test_an_instance_that_is_not_there_has_none(cloud: Cloud) -> None:
    with pytest.raises(AwsNotFound):
        instances(cloud).attachments(ABSENT)


def test_a_volume_is_kept_and_the_answer_waits_until_that_shows(cloud: Cloud) -> None:
    instance = cloud.instance()
    cloud.aws.world.delays.attribute = 40
    instances(cloud).keep_on_termination(instance, "/dev/sda1")
    assert cloud.clock.now() >= 40
    assert cloud.mappings(instance)["/dev/sda1"]["DeleteOnTermination"] is False
    assert cloud.aws.count("ec2:ModifyInstanceAttribute") == 1


def test_the_value_is_spelled_out(cloud: Cloud) -> None:
    instances(cloud).keep_on_termination(cloud.instance(), "/dev/sda1")
    (call,) = [call for call in cloud.aws.calls if call.name == "ec2:ModifyInstanceAttribute"]
    assert call.parameters["BlockDeviceMapping.1.Ebs.DeleteOnTermination"] == "false"


def test_what_does_not_show_in_time_is_said_to_be_unsettled_and_holds_all_the_same(cloud: Cloud) -> None:
    instance = cloud.instance()
    root = cloud.mappings(instance)["/dev/sda1"]["VolumeId"]
    cloud.aws.world.delays.attribute = 40
    with pytest.raises(AwsUnsettled, match="still reads true"):
        instances(cloud, patience=20).keep_on_termination(instance, "/dev/sda1")
    assert cloud.clock.now() < 20
    cloud.ec2.terminate_instances(InstanceIds=[instance])
    assert cloud.state(root) == "available"


def test_a_device_name_that_the_instance_does_not_have_is_refused(cloud: Cloud) -> None:
    with pytest.raises(AwsRefused) as caught:
        instances(cloud).keep_on_termination(cloud.instance(), "/dev/sdz")
    assert caught.value.code == "InvalidInstanceAttributeValue"


def test_a_volume_that_is_detached_meanwhile_is_not_found(cloud: Cloud) -> None:
    instance, volume = cloud.instance(), cloud.volume()
    cloud.attached(volume, instance)
    cloud.aws.world.delays.attribute = 40
    cloud.aws.slowness = lambda: cloud.ec2.detach_volume(VolumeId=volume)
    cloud.aws.plan(Fault.SLOW, "ec2:ModifyInstanceAttribute")
    with pytest.raises(AwsNotFound, match="has nothing at /dev/sdf any more"):
        instances(cloud).keep_on_termination(instance, "/dev/sdf")


@pytest.mark.parametrize("operation", ["ModifyInstanceAttribute", "DescribeInstances"])
def test_a_refusal_names_the_iam_action(cloud: Cloud, operation: str) -> None:
    instance = cloud.instance()
    cloud.aws.plan(Fault.DENIED, f"ec2:{operation}")
    with pytest.raises(AwsDenied) as caught:
        instances(cloud).keep_on_termination(instance, "/dev/sda1")
    assert f"ec2:{operation}" in caught.value.hint


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.BROKEN, Fault.RESET, Fault.LOST, Fault.NONSENSE])
def test_trouble_is_outlasted(cloud: Cloud, fault: Fault) -> None:
    instance = cloud.instance()
    cloud.aws.plan(fault, "ec2:*", times=3)
    instances(cloud).keep_on_termination(instance, "/dev/sda1")
    assert cloud.mappings(instance)["/dev/sda1"]["DeleteOnTermination"] is False


def test_a_volume_is_described_and_tagged(cloud: Cloud) -> None:
    volume = cloud.volume(tags={"theirs": "1"})
    asked = instances(cloud)
    asked.tag(volume, {"spotwatch:state": "armed"})
    found = asked.describe(volume)
    assert found is not None
    assert found.tags == {"theirs": "1", "spotwatch:state": "armed"}
