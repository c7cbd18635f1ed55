"""EC2's instances and the volumes that they have, for whoever sees to it that a volume outlives its instance."""

from collections.abc import Mapping
from dataclasses import dataclass

from spotwatch.aws.session import Api
from spotwatch.aws.volumes import Volumes, described_instance
from spotwatch.core.errors import AwsNotFound, AwsUnsettled
from spotwatch.core.volume import Volume


@dataclass(frozen=True, slots=True)
class Attachment:
    """A volume that an instance has.

    Attributes:
        volume_id: such as `vol-0123456789abcdef0`.
        device: the device name that it was attached with.
        delete_on_termination: whether it is deleted together with the instance.
        is_root: whether the instance has booted from it.
    """

    volume_id: str
    device: str
    delete_on_termination: bool
    is_root: bool


class Instances:
    """EC2, as the instance itself asks it; implements `spotwatch.hooks.services.Ec2`."""

    def __init__(self, ec2: Api) -> None:
        self._ec2 = ec2
        self._volumes = Volumes(ec2)

    def attachments(self, instance_id: str) -> tuple[Attachment, ...]:
        """The EBS volumes that an instance has.

        Raises:
            AwsNotFound: there is no such instance.
        """
        instance = described_instance(self._ec2, instance_id)
        root = instance.get("RootDeviceName", "")
        return tuple(
            Attachment(
                volume_id=mapping["Ebs"]["VolumeId"],
                device=mapping["DeviceName"],
                delete_on_termination=bool(mapping["Ebs"]["DeleteOnTermination"]),
                is_root=mapping["DeviceName"] == root,
            )
            for mapping in instance.get("BlockDeviceMappings", ())
            if "Ebs" in mapping
        )

    def keep_on_termination(self, instance_id: str, device: str) -> None:
        """Set DeleteOnTermination of a volume to false, and return when that shows, which can take tens of seconds.

        Args:
            instance_id: the instance.
            device: the device name; ModifyInstanceAttribute knows no volume ids. The value is spelled out, since
                without one it would become true.

        Raises:
            AwsRefused: the instance has nothing under this name.
            AwsUnsettled: it was accepted, and does not show yet at the end of our patience.
        """
        kept = [{"DeviceName": device, "Ebs": {"DeleteOnTermination": False}}]
        self._ec2.call("ModifyInstanceAttribute", InstanceId=instance_id, BlockDeviceMappings=kept)
        self._ec2.wait_for(lambda: self._see_that_it_is_kept(instance_id, device))

    def describe(self, volume_id: str) -> Volume | None:
        """What is known of a volume; None if there is none."""
        return self._volumes.describe(volume_id)

    def tag(self, volume_id: str, tags: Mapping[str, str]) -> None:
        """Set these tags of a volume; others stay."""
        self._volumes.tag(volume_id, tags)

    def _see_that_it_is_kept(self, instance_id: str, device: str) -> None:
        found = next((each for each in self.attachments(instance_id) if each.device == device), None)
        if found is None:
            raise AwsNotFound(f"{instance_id} has nothing at {device} any more")
        if found.delete_on_termination:
            raise AwsUnsettled(
                f"DeleteOnTermination of {device} at {instance_id} was set to false and still reads true",
                hint="it holds as soon as it is accepted; look again with 'aws ec2 describe-instances'",
            )
