"""EC2's volumes and instances with the rules that moto leaves out.

Sources: EC2 API reference (the actions' pages, "Error codes for the Amazon EC2 API"), EC2 user guide ("Amazon EBS
volume limits for Amazon EC2 instances", "Device names for volumes on Amazon EC2 instances").
"""

import base64
import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response
from moto.moto_server.werkzeug_app import BackendRequest

from spotwatch.simulate.strict_aws.world import World

_SHARED_SLOTS: Final = 28
_LIMIT_OF_A_PAGE: Final = range(5, 1001)
_GP3: Final = {"iops": 3000, "throughput": 125}
"""What a gp3 volume has when nothing more was asked for."""

_OUR_FILTERS: Final = frozenset({"status", "attachment.delete-on-termination"})
"""Filters of DescribeVolumes that ask for what moto does not know."""

_Entry = TypeVar("_Entry")


class StrictEc2(EC2Response):
    """One request to EC2. Where a method is not here, moto's holds."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def answer(self, request: BackendRequest) -> tuple[int, dict[str, Any], Any]:
        """Status, headers and body."""
        with self._world.lock:
            self._world.schedule.settle()
            self.setup_class(request)
            answer = self._answer_once()
            self._world.schedule.settle()
            return answer

    def _answer_once(self) -> tuple[int, dict[str, Any], Any]:
        """A request that comes with a client token is carried out once, and answered alike ever after."""
        token = self._get_param("ClientToken")
        if not token:
            return self._carried_out()
        key, asked = (self._get_action(), token), repr(sorted(self.data.items()))
        earlier, answer = self._world.answers.get(key, (asked, None))
        if earlier != asked:
            error = EC2ClientError("IdempotentParameterMismatch", "the token was used with other parameters")
            return self._told(self.serialized(ActionResult(error)))
        if answer is None:
            answer = self._carried_out()
            if answer[0] == 200:
                self._world.answers[key] = (asked, answer)
        return copy.deepcopy(answer)  # type: ignore[return-value]

    def _carried_out(self) -> tuple[int, dict[str, Any], Any]:
        return self._told(self.call_action())

    @staticmethod
    def _told(answer: Any) -> tuple[int, dict[str, Any], Any]:
        status, headers, body = answer
        return int(status), dict(headers), body

    # volumes

    def create_volume(self) -> ActionResult:
        """`creating` for a while."""
        made = super().create_volume()
        volume: Any = made.result
        self._world.states[volume.id] = "creating"
        self._later("created", partial(self._world.states.pop, volume.id, None))
        return made

    def delete_volume(self) -> ActionResult:
        """Only of a volume that is available."""
        volume = self.ec2_backend.get_volume(self._get_param("VolumeId"))
        if volume.attachment:
            raise EC2ClientError(
                "VolumeInUse", f"Volume {volume.id} is currently attached to {volume.attachment.instance.id}"
            )
        self._refuse_unless_available(volume)
        self.error_on_dryrun()
        self._world.states[volume.id] = "deleting"
        self._later("deleted", partial(self._delete, self.ec2_backend, volume.id))
        return EmptyResult()

    def _delete(self, backend: Any, volume_id: str) -> None:
        self._world.states.pop(volume_id, None)
        backend.delete_volume(volume_id)

    def attach_volume(self) -> ActionResult:
        """One wins; the zone, the device name, the instance's state and its limit are looked at."""
        volume = self.ec2_backend.get_volume(self._get_param("VolumeId"))
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        device = self._get_param("Device")
        self._refuse_attachment(volume, instance, device)
        self.error_on_dryrun()
        attachment = self.ec2_backend.attach_volume(volume.id, instance.id, device)
        self._show(attachment, "attaching")
        self._later("attached", partial(self._attached, attachment))
        return _attachment_result(attachment)

    def _refuse_attachment(self, volume: Any, instance: Any, device: str) -> None:
        if volume.attachment:
            raise EC2ClientError("VolumeInUse", f"{volume.id} is already attached to an instance")
        self._refuse_unless_available(volume)
        if instance.state not in ("running", "stopped", "pending", "stopping"):
            raise EC2ClientError("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
        if volume.zone.name != instance.availability_zone:
            raise EC2ClientError(
                "InvalidVolume.ZoneMismatch",
                f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'",
            )
        if device in instance.block_device_mapping or device == instance.root_device_name:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use",
            )
        if len(instance.block_device_mapping) >= self._most_volumes(instance):
            raise EC2ClientError("AttachmentLimitExceeded", f"{instance.id} has as many volumes as its type allows")

    def _refuse_unless_available(self, volume: Any) -> None:
        state = self._world.states.get(volume.id)
        if state:
            raise EC2ClientError("IncorrectState", f"Volume '{volume.id}' is in the '{state}' state.")

    def _most_volumes(self, instance: Any) -> int:
        """Of the type; where it shares slots, each further network interface takes one. The first is counted in."""
        told = self.ec2_backend.describe_instance_types([instance.instance_type])[0]["EbsInfo"]
        most = int(told.get("MaximumEbsAttachments", _SHARED_SLOTS - 1))
        return most - (len(instance.nics) - 1 if told.get("AttachmentLimitType") == "shared" else 0)

    def _attached(self, attachment: Any) -> None:
        if attachment.volume.attachment is attachment and attachment.status == "attaching":
            self._show(attachment, "attached")
            self._world.on_attached(attachment.volume.id, attachment.instance.id, attachment.device)

    def detach_volume(self) -> ActionResult:
        """The instance may be left out; a volume that is mounted there sticks in `busy`."""
        volume = self.ec2_backend.get_volume(self._get_param("VolumeId"))
        attachment = volume.attachment
        if attachment is None:
            state = self._world.states.get(volume.id, "available")
            raise EC2ClientError("IncorrectState", f"Volume '{volume.id}' is in the '{state}' state.")
        instance = self._get_param("InstanceId") or attachment.instance.id
        device = self._get_param("Device") or attachment.device
        if (instance, device) != (attachment.instance.id, attachment.device):
            raise EC2ClientError(
                "InvalidAttachment.NotFound", f"'{volume.id}' is not attached to '{instance}' as device '{device}'."
            )
        if attachment.status not in ("attaching", "attached"):
            raise EC2ClientError("IncorrectState", f"Volume '{volume.id}' is in the 'detaching' state.")
        self.error_on_dryrun()
        self._show(attachment, "busy" if volume.id in self._world.mounted else "detaching")
        self._later("detached", partial(self._detached, self.ec2_backend, attachment))
        return _attachment_result(attachment, "detaching")

    def _detached(self, backend: Any, attachment: Any) -> None:
        volume = attachment.volume
        if volume.attachment is not attachment:
            return
        if volume.id in self._world.mounted:
            self._world.schedule.after(
                max(1.0, self._world.delays.detached), partial(self._detached, backend, attachment)
            )
            return
        backend.detach_volume(volume.id, attachment.instance.id, attachment.device)
        self._world.on_detached(volume.id)

    def _show(self, attachment: Any, state: str) -> None:
        """In both places where an attachment is shown: at the volume and at the instance."""
        attachment.status = state
        mapping = attachment.instance.block_device_mapping[attachment.device]
        mapping.status = "in-use" if state == "attached" else state

    def describe_volumes(self) -> ActionResult:
        """In pages, with the states that moto does not know."""
        ids = self._get_param("VolumeIds", [])
        self._refuse_pages_of(ids, "volumesSet")
        filters: dict[str, Any] = self._filters_from_querystring()
        ours = {name: filters.pop(name) for name in _OUR_FILTERS & set(filters)}
        found = self.ec2_backend.describe_volumes(volume_ids=ids, filters=filters)
        volumes = [told for told in map(self._volume, found) if _passes(told, ours)]
        page, token = self._page(volumes, lambda told: str(told["VolumeId"]))
        return ActionResult({"Volumes": page, "NextToken": token})

    def _volume(self, volume: Any) -> dict[str, Any]:
        standard = _GP3 if volume.volume_type == "gp3" else {}
        return {
            "VolumeId": volume.id,
            "Size": int(volume.size),
            "VolumeType": volume.volume_type,
            "AvailabilityZone": volume.zone.name,
            "State": self._world.states.get(volume.id, volume.status),
            "CreateTime": volume.create_time,
            "SnapshotId": volume.snapshot_id or "",
            "Encrypted": volume.encrypted,
            "Iops": volume.iops or standard.get("iops"),
            "Throughput": volume.throughput or standard.get("throughput"),
            "MultiAttachEnabled": False,
            "Tags": volume.tag_set or None,
            "Attachments": [_shown(attachment) for attachment in volume.attachments],
        }

    # snapshots

    def create_snapshot(self) -> ActionResult:
        """`pending` for a while."""
        made = super().create_snapshot()
        self._pend(made.result)
        return made

    def _pend(self, snapshot: Any) -> None:
        snapshot.status = "pending"
        self._later("snapshot", partial(setattr, snapshot, "status", "completed"))

    def describe_snapshots(self) -> ActionResult:
        """In pages."""
        ids = self._get_param("SnapshotIds", [])
        self._refuse_pages_of(ids, "snapshotSet")
        snapshots = self.ec2_backend.describe_snapshots(snapshot_ids=ids, filters=self._filters_from_querystring())
        owners = self._get_param("OwnerIds", [])
        ours = [
            each for each in snapshots if not owners or (not each.from_ami and {each.owner_id, "self"} & set(owners))
        ]
        page, token = self._page(ours, lambda snapshot: str(snapshot.id))
        return ActionResult({"Snapshots": page, "NextToken": token})

    # instances

    def run_instances(self) -> ActionResult:
        """`pending` for a while; each has a root volume; its volumes count as attached at once."""
        made = super().run_instances()
        reservation: Any = made.result
        for instance in reservation.instances:
            _give_root_volume(self.ec2_backend, instance)
            instance._state.name, instance._state.code = "pending", 0
            self._later("running", partial(_run, instance))
            for device, mapping in instance.get_block_device_mapping:
                self._world.on_attached(mapping.volume_id, instance.id, device)
        return made

    def terminate_instances(self) -> ActionResult:
        """`shutting-down` for a while; only then its volumes are deleted or free."""
        ids = self._get_param("InstanceIds", [])
        instances = self.ec2_backend.get_multi_instances_by_id(ids)
        self.error_on_dryrun()
        result = []
        for instance in instances:
            before = copy.copy(instance.instance_state)
            result.append({"InstanceId": instance.id, "PreviousState": before, "CurrentState": _shut_down(instance)})
            if before.name not in ("shutting-down", "terminated"):
                self._later("terminated", partial(self._terminate, self.ec2_backend, instance))
        return ActionResult({"TerminatingInstances": result})

    def _terminate(self, backend: Any, instance: Any) -> None:
        self._world.schedule.finish(instance.id)
        volumes = [mapping.volume_id for _, mapping in instance.get_block_device_mapping]
        backend.terminate_instances([instance.id])
        for volume in volumes:
            self._world.on_detached(volume)

    def describe_instances(self) -> ActionResult:
        """In pages."""
        ids = self._get_param("InstanceIds", [])
        self._refuse_pages_of(ids, "instancesSet")
        filters = self._filters_from_querystring()
        if ids:
            found = self.ec2_backend.get_reservations_by_instance_ids(ids, filters=filters)
        else:
            found = self.ec2_backend.describe_instances(filters=filters)
        page, token = self._page(found, lambda reservation: str(reservation.id))
        return ActionResult({"Reservations": page, "NextToken": token})

    def describe_instance_types(self) -> ActionResult:
        """In pages."""
        types = self._get_param("InstanceTypes", [])
        self._refuse_pages_of(types, "instanceTypes")
        found = self.ec2_backend.describe_instance_types(types, self._filters_from_querystring())
        page, token = self._page(found, lambda told: str(told["InstanceType"]))
        return ActionResult({"InstanceTypes": page, "NextToken": token})

    def modify_instance_attribute(self) -> ActionResult:
        """DeleteOnTermination by device name: it shows late, and a value that is left out means true."""
        mappings = self._get_param("BlockDeviceMappings", [])
        if not mappings:
            return super().modify_instance_attribute()
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        for mapping in mappings:
            if mapping.get("DeviceName") not in instance.block_device_mapping:
                raise EC2ClientError(
                    "InvalidInstanceAttributeValue", f"No device is currently mapped at {mapping.get('DeviceName')}"
                )
        self.error_on_dryrun()
        for mapping in mappings:
            value = mapping.get("Ebs", {}).get("DeleteOnTermination", True)
            device = instance.block_device_mapping[mapping["DeviceName"]]
            self._later("attribute", partial(setattr, device, "delete_on_termination", value), about=instance.id)
        return EmptyResult()

    # tags

    def create_tags(self) -> ActionResult:
        """They show late; their lengths are looked at."""
        for tag in self._get_param("Tags", []):
            if len(tag["Key"]) > 128 or len(tag.get("Value", "")) > 256:
                raise EC2ClientError("InvalidParameterValue", f"Tag {tag['Key'][:20]} exceeds the maximum length")
        return self._lagging("create_tags", super().create_tags)

    def delete_tags(self) -> ActionResult:
        """They show late."""
        return self._lagging("delete_tags", super().delete_tags)

    def _lagging(self, method: str, do: Callable[[], ActionResult]) -> ActionResult:
        """What moto would do now is done later, unless it would refuse."""
        if not self._world.delays.tags:
            return do()
        resources = self._get_param("Resources", [])
        tags = {tag["Key"]: tag.get("Value") for tag in self._get_param("Tags", [])}
        self.ec2_backend.do_resources_exist(resources)
        self.error_on_dryrun()
        self._later("tags", partial(getattr(self.ec2_backend, method), resources, tags))
        return EmptyResult()

    # what they share

    def _later(self, delay: str, do: Callable[[], object], about: str = "") -> None:
        def carry_out() -> None:
            do()

        self._world.schedule.after(getattr(self._world.delays, delay), carry_out, about)

    def _refuse_pages_of(self, named: Sequence[str], what: str) -> None:
        if named and self._get_param("MaxResults") is not None:
            raise EC2ClientError(
                "InvalidParameterCombination", f"The parameter {what} cannot be used with the parameter maxResults"
            )

    def _page(self, found: Sequence[_Entry], key: Callable[[_Entry], str]) -> tuple[list[_Entry], str | None]:
        """The entries after the token's, in the order of their keys, and the token of the next ones."""
        asked = self._get_param("MaxResults")
        if asked is not None and int(asked) not in _LIMIT_OF_A_PAGE:
            raise EC2ClientError("InvalidParameterValue", f"Value ( {asked} ) for parameter maxResults is invalid.")
        most = min(int(asked or 1000), self._world.page or 1000)
        after = _cursor(self._get_param("NextToken"))
        rest = sorted((entry for entry in found if key(entry) > after), key=key)
        page = rest[:most]
        return page, _token(key(page[-1])) if len(rest) > most else None


def _token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode()


def _cursor(token: str | None) -> str:
    try:
        return base64.urlsafe_b64decode(token or "").decode()
    except ValueError:
        raise EC2ClientError("InvalidNextToken", "The token is not one of ours") from None


def _passes(told: dict[str, Any], filters: dict[str, list[str]]) -> bool:
    """The filters that moto cannot apply to what it does not know."""
    return all(set(_values(told, name)) & set(values) for name, values in filters.items())


def _values(told: dict[str, Any], name: str) -> Iterator[str]:
    if name == "status":
        yield told["State"]
    else:
        yield from (str(attachment["DeleteOnTermination"]).lower() for attachment in told["Attachments"])


def _shown(attachment: Any) -> dict[str, Any]:
    mapping = attachment.instance.block_device_mapping[attachment.device]
    return {
        "VolumeId": attachment.volume.id,
        "InstanceId": attachment.instance.id,
        "Device": attachment.device,
        "State": attachment.status,
        "AttachTime": attachment.attach_time,
        "DeleteOnTermination": bool(mapping.delete_on_termination),
    }


def _attachment_result(attachment: Any, state: str = "attaching") -> ActionResult:
    return ActionResult({**_shown(attachment), "State": state, "AttachTime": utcnow()})


def _give_root_volume(backend: Any, instance: Any) -> None:
    """One under the name that the AMI says: moto knows one name, and forgets it where other volumes are asked for."""
    root, moto_s = instance.root_device_name, "/dev/sda1"
    if root in instance.block_device_mapping:
        return
    if moto_s in instance.block_device_mapping:
        mapping = instance.block_device_mapping.pop(moto_s)
        instance.block_device_mapping[root] = mapping
        backend.get_volume(mapping.volume_id).attachment.device = root
        return
    volume = backend.create_volume(size=8, zone_name=instance.availability_zone)
    backend.attach_volume(volume.id, instance.id, root, True)


def _run(instance: Any) -> None:
    if instance.state == "pending":
        instance._state.name, instance._state.code = "running", 16


def _shut_down(instance: Any) -> Any:
    if instance.state != "terminated":
        instance._state.name, instance._state.code = "shutting-down", 32
    return copy.copy(instance.instance_state)
