"""preserve-volume against EC2 as the strict double plays it: the volume is there after its instance."""

from dataclasses import replace
from typing import Any

import pytest

from spotwatch.aws.instances import Instances
from spotwatch.core.volume import VolumeLabel, VolumeState
from spotwatch.hooks.preserve_volume import IAM_ACTIONS
from spotwatch.hooks.services import Ec2
from spotwatch.simulate.strict_aws import Fault
from tests.cloud import ZONE, Cloud
from tests.hooks.services import INSTANCE, FakeLogVolume, FakeServices
from tests.hooks.test_preserve_volume import run

LOG_DEVICE = "/dev/sdf"
MAPPING = {"DeviceName": LOG_DEVICE, "Ebs": {"VolumeSize": 8, "DeleteOnTermination": True}}
"""As a launch template may have it."""


class CloudServices(FakeServices):
    """The hook's services with the real client, patient for 60 s of the test's time."""

    def __init__(self, cloud: Cloud, event: str, **parts: Any) -> None:
        self.cloud = cloud
        self.id = cloud.instance(BlockDeviceMappings=[MAPPING])
        self.volume_id = str(cloud.mappings(self.id)[LOG_DEVICE]["VolumeId"])
        facts = replace(INSTANCE, id=self.id, availability_zone=ZONE)
        volume = FakeLogVolume((self.volume_id,))
        super().__init__({"SPOTWATCH_EVENT": event}, volume=volume, facts=facts, **parts)

    def ec2(self, region: str, until: float) -> Ec2:  # type: ignore[override]  # noqa: ARG002
        return Instances(self.cloud.session(60).api("ec2"))

    def survives(self) -> bool:
        """Terminate the instance, and look."""
        self.cloud.ec2.terminate_instances(InstanceIds=[self.id])
        found = self.cloud.ec2.describe_volumes(Filters=[{"Name": "volume-id", "Values": [self.volume_id]}])["Volumes"]
        return bool(found)


def test_the_volume_is_there_after_the_instance_and_its_label_can_be_read(cloud: Cloud) -> None:
    services = CloudServices(cloud, "terminate")
    assert run(services) == 0
    assert services.survives()
    label = VolumeLabel.from_tags(cloud.tags(services.volume_id))
    assert (label.state, label.instance_id, label.availability_zone) == (VolumeState.INTERRUPTED, services.id, ZONE)


def test_without_the_hook_it_would_be_gone(cloud: Cloud) -> None:
    assert not CloudServices(cloud, "terminate").survives()


def test_a_value_that_shows_late_is_waited_for(cloud: Cloud) -> None:
    services = CloudServices(cloud, "start")
    cloud.aws.world.delays.attribute = 40
    assert run(services) == 0
    assert cloud.clock.now() >= 40


def test_run_again_it_changes_nothing_but_the_state(cloud: Cloud) -> None:
    services = CloudServices(cloud, "start")
    assert run(services) == 0
    armed = cloud.tags(services.volume_id)
    services.environment = {"SPOTWATCH_EVENT": "terminate"}
    assert run(services) == 0
    interrupted = cloud.tags(services.volume_id)
    assert cloud.aws.count("ec2:ModifyInstanceAttribute") == 1
    assert {key for key in interrupted if interrupted[key] != armed.get(key)} <= {
        "spotwatch:state",
        "spotwatch:marked-at",
    }


@pytest.mark.parametrize("action", IAM_ACTIONS)
def test_whatever_iam_refuses_is_named_and_the_volume_survives_if_it_can(
    cloud: Cloud, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    services = CloudServices(cloud, "terminate")
    cloud.aws.plan(Fault.DENIED, action, times=100)
    decisive = action in {"ec2:DescribeInstances", "ec2:ModifyInstanceAttribute"}
    assert run(services) == (1 if decisive else 0)
    assert f"allow the IAM action {action}" in capsys.readouterr().out
    assert "/var/log/app/label.json" in services.file_systems.notes
    cloud.aws.forgive()
    assert services.survives() is not decisive


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.BROKEN, Fault.RESET, Fault.LOST, Fault.NONSENSE])
def test_trouble_that_passes_leaves_no_trace(cloud: Cloud, fault: Fault) -> None:
    services = CloudServices(cloud, "terminate")
    cloud.aws.plan(fault, "ec2:*", times=3)
    assert run(services) == 0
    assert services.survives()


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.RESET])
def test_trouble_that_stays_ends_with_our_patience(
    cloud: Cloud, fault: Fault, capsys: pytest.CaptureFixture[str]
) -> None:
    services = CloudServices(cloud, "terminate")
    cloud.aws.plan(fault, "ec2:*", times=1000)
    assert run(services) == 1
    assert cloud.clock.now() <= 60
    assert capsys.readouterr().out.count("missing: ") == 3
    assert "/var/log/app/label.json" in services.file_systems.notes


def test_no_other_iam_action_is_needed(cloud: Cloud) -> None:
    run(CloudServices(cloud, "terminate"))
    ours = {"ec2:RunInstances", *IAM_ACTIONS}
    assert {call.name for call in cloud.aws.calls} <= ours
