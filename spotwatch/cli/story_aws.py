"""The AWS of the story: moto, made strict, with an instance that dies and another one that ships its log volume."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final

from spotwatch.aws.session import Api, Session
from spotwatch.aws.volumes import Volumes
from spotwatch.core.errors import AwsConflict, AwsUnsettled
from spotwatch.host.clock import Clock
from spotwatch.simulate.instance import Instance
from spotwatch.simulate.strict_aws import Delays, StrictAws

DELAYS: Final = Delays(running=0.2, terminated=0.5, attached=0.5, detached=0.5, deleted=0.3, attribute=1.0, tags=0.2)
"""AWS takes up to minutes for these; the order in which things become true is the same."""

PATIENCE_SECONDS: Final = 30.0

BUCKET: Final = "log-archive"

LOG_DEVICE: Final = "/dev/sdf"


@dataclass(frozen=True, slots=True)
class StoryAws:
    """An account with two instances in one AZ, and a bucket.

    Attributes:
        url: where it is.
        instance: the one that is going to be interrupted, as its metadata service describes it.
        volume_id: of its log volume, which DeleteOnTermination would delete.
        permanent_id: of the instance that ships.
        bucket: to which it does.
    """

    url: str
    instance: Instance
    volume_id: str
    permanent_id: str
    bucket: str
    _ec2: Api

    def terminate(self) -> bool:
        """Terminate the instance; whether its log volume has survived."""
        self._ec2.call("TerminateInstances", InstanceIds=[self.instance.instance_id])
        return bool(self._ec2.wait_for(self._survived))

    def _survived(self) -> bool:
        told = self._ec2.call("DescribeInstances", InstanceIds=[self.instance.instance_id])
        state = told["Reservations"][0]["Instances"][0]["State"]["Name"]
        if state != "terminated":
            raise AwsUnsettled(f"{self.instance.instance_id} is {state}")
        return Volumes(self._ec2).describe(self.volume_id) is not None


@contextmanager
def story_aws(pretended: Instance) -> Iterator[StoryAws]:
    """AWS while it is played. Where it is stays in our environment, for everything that is started.

    Args:
        pretended: an instance; the one that is launched has its own id, and is like this one.
    """
    with StrictAws(delays=DELAYS) as aws:
        os.environ |= {**aws.environment(), "AWS_REGION": pretended.region, "AWS_DEFAULT_REGION": pretended.region}
        session = Session(Clock(), patience=PATIENCE_SECONDS)
        ec2 = session.api("ec2")
        mine, volume_id = _launch(ec2, pretended)
        permanent, _ = _launch(ec2, pretended)
        _make_bucket(session.api("s3"), pretended.region)
        yield StoryAws(aws.url, replace(pretended, instance_id=mine), volume_id, permanent, BUCKET, ec2)


def _make_bucket(s3: Api, region: str) -> None:
    with suppress(AwsConflict):  # it is ours already, if the answer to the first attempt was not understood
        s3.call("CreateBucket", Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": region})


def _launch(ec2: Api, like: Instance) -> tuple[str, str]:
    """An instance and its log volume, which is to be deleted with it, as launch templates have it too often."""
    ebs = {"VolumeSize": 8, "VolumeType": "gp3", "DeleteOnTermination": True}
    launched = ec2.call(
        "RunInstances",
        ImageId=like.ami_id,
        InstanceType=like.instance_type,
        MinCount=1,
        MaxCount=1,
        Placement={"AvailabilityZone": like.availability_zone},
        BlockDeviceMappings=[{"DeviceName": LOG_DEVICE, "Ebs": ebs}],
    )
    instance_id = str(launched["Instances"][0]["InstanceId"])
    (told,) = ec2.call("DescribeInstances", InstanceIds=[instance_id])["Reservations"][0]["Instances"]
    volumes = {each["DeviceName"]: str(each["Ebs"]["VolumeId"]) for each in told["BlockDeviceMappings"]}
    return instance_id, volumes[LOG_DEVICE]
