"""Network interfaces with the rules that moto leaves out.

Sources: EC2 API reference (AttachNetworkInterface, AssignPrivateIpAddresses, CreateNetworkInterface,
ModifyNetworkInterfaceAttribute, "Error codes for the Amazon EC2 API"), EC2 user guide ("Elastic network interfaces":
the primary one cannot be detached; "Maximum IP addresses per network interface").
"""

from collections.abc import Iterator
from functools import partial
from ipaddress import ip_network
from typing import Any, Final

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.utils import add_tag_specification

from spotwatch.simulate.strict_aws.ec2 import StrictEc2
from spotwatch.simulate.strict_aws.world import World
from tests.strict_network.world import NetworkWorld

_RESERVED: Final = 4
"""The first addresses of a subnet that AWS keeps (VPC user guide, "Subnet sizing"); the last one, too."""


class StrictNetworkEc2(StrictEc2):
    """One request to EC2. Where a method is not here, `StrictEc2`'s or moto's holds."""

    def __init__(self, world: World, network: NetworkWorld) -> None:
        super().__init__(world)
        self._network = network

    def create_network_interface(self) -> ActionResult:
        """`pending` for a while; its addresses are taken from what the subnet has left."""
        subnet = self.ec2_backend.get_subnet(self._get_param("SubnetId"))
        more = int(self._get_param("SecondaryPrivateIpAddressCount") or 0)
        addresses = self._free(subnet, more + 1)
        listed = [{"Primary": not index, "PrivateIpAddress": each} for index, each in enumerate(addresses)]
        self.error_on_dryrun()
        eni = self.ec2_backend.create_network_interface(
            subnet,
            addresses[0],
            listed,
            self._get_param("Groups", []),
            self._get_param("Description"),
            add_tag_specification(self._get_param("TagSpecifications", [])),
        )
        eni.device_index = None
        self._on_its_way(eni.id, "pending", self._network.delays.created)
        self._hide(eni.id)
        return ActionResult({"NetworkInterface": self._shown(eni)})

    def delete_network_interface(self) -> ActionResult:
        """Only of one that is attached to nothing."""
        eni = self._eni()
        if eni.attachment_id:
            raise EC2ClientError("InvalidParameterValue", f"Network interface '{eni.id}' is currently in use.")
        self.error_on_dryrun()
        self.ec2_backend.delete_network_interface(eni.id)
        return EmptyResult()

    def attach_network_interface(self) -> ActionResult:
        """One wins; zone, device index, the instance's state and the limit of its type are looked at."""
        eni = self._eni()
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        index = int(self._get_param("DeviceIndex"))
        self._refuse_interface(eni, instance, index)
        self.error_on_dryrun()
        attachment = self.ec2_backend.attach_network_interface(eni.id, instance.id, index)
        eni.delete_on_termination = False
        self._on_its_way(eni.id, "attaching", self._network.delays.attached)
        return ActionResult({"AttachmentId": attachment.attachment_id, "NetworkCardIndex": 0})

    def _refuse_interface(self, eni: Any, instance: Any, index: int) -> None:
        if eni.attachment_id:
            raise EC2ClientError("InvalidNetworkInterface.InUse", f"Interface: [{eni.id}] in use.")
        if eni.id in self._network.states:
            raise EC2ClientError("IncorrectState", f"Network interface '{eni.id}' is pending.")
        if instance.state not in ("running", "stopped"):
            raise EC2ClientError("IncorrectState", f"Instance '{instance.id}' is {instance.state}.")
        if eni.availability_zone != instance.availability_zone:
            raise EC2ClientError(
                "InvalidParameterCombination",
                "You may not attach a network interface to an instance if they are not in the same availability zone",
            )
        if index in instance.nics:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Instance '{instance.id}' already has an interface attached at device index '{index}'.",
            )
        if len(instance.nics) >= self._limits(instance)["MaximumNetworkInterfaces"]:
            raise EC2ClientError("AttachmentLimitExceeded", f"Interface count exceeds the limit of {instance.id}")

    def detach_network_interface(self) -> ActionResult:
        """`detaching` for a while; never the primary one."""
        attachment_id = self._get_param("AttachmentId")
        eni = next((each for each in self._enis() if each.attachment_id == attachment_id), None)
        if eni is None:
            raise EC2ClientError("InvalidAttachmentID.NotFound", f"The attachment '{attachment_id}' does not exist")
        if eni.device_index == 0:
            raise EC2ClientError(
                "OperationNotPermitted",
                "The network interface at device index 0 and networkCard index 0 cannot be detached.",
            )
        if self._network.states.get(eni.id) == "detaching":
            raise EC2ClientError("IncorrectState", f"Network interface '{eni.id}' is detaching.")
        self.error_on_dryrun()
        self._network.states[eni.id] = "detaching"
        self._due(
            self._network.delays.detached, partial(self._interface_detached, self.ec2_backend, eni, attachment_id)
        )
        return EmptyResult()

    def _interface_detached(self, backend: Any, eni: Any, attachment_id: str) -> None:
        if eni.attachment_id == attachment_id:
            self._network.states.pop(eni.id, None)
            backend.detach_network_interface(attachment_id)

    def modify_network_interface_attribute(self) -> ActionResult:
        """DeleteOnTermination of an attachment, which moto does not know."""
        asked = self._get_param("Attachment")
        if not asked:
            return super().modify_network_interface_attribute()
        eni = self._eni()
        if asked.get("AttachmentId") != eni.attachment_id:
            raise EC2ClientError("InvalidAttachmentID.NotFound", f"{eni.id} has no attachment {asked}")
        self.error_on_dryrun()
        value = asked.get("DeleteOnTermination") in (True, "true")
        self._due(self._network.delays.shown, partial(setattr, eni, "delete_on_termination", value))
        return EmptyResult()

    def assign_private_ip_addresses(self) -> ActionResult:
        """Within the limit of the type; somebody else's only with AllowReassignment; only the new ones are told."""
        eni, named = self._eni(), self._get_param("PrivateIpAddresses", [])
        count = int(self._get_param("SecondaryPrivateIpAddressCount") or 0)
        if bool(named) == bool(count):
            raise EC2ClientError("InvalidParameterCombination", "Either addresses or their number")
        present = [each["PrivateIpAddress"] for each in eni.private_ip_addresses]
        new = [each for each in named if each not in present]
        self._refuse_more_than_the_type_holds(eni, len(present) + (len(new) or count if named else count))
        reassign = str(self._get_param("AllowReassignment")).lower() == "true"
        sources = [self._holder(each, eni, reassign=reassign) for each in new]
        new = new if named else self._free(eni.subnet, count)
        self.error_on_dryrun()
        for holder, address in zip(sources, new, strict=False):
            if holder is not None:
                _take(holder, address)
        for address in new:
            eni.private_ip_addresses.append({"Primary": False, "PrivateIpAddress": address})
            self._hide(f"{eni.id} {address}")
        told = [{"PrivateIpAddress": each} for each in new]
        return ActionResult({"NetworkInterfaceId": eni.id, "AssignedPrivateIpAddresses": told})

    def _holder(self, address: str, eni: Any, *, reassign: bool) -> Any:
        """Who has an address now; None: nobody."""
        if address not in map(str, ip_network(eni.subnet.cidr_block).hosts()):
            raise EC2ClientError("InvalidParameterValue", f"Address {address} does not fall within the subnet's range")
        for other in self._enis():
            for each in other.private_ip_addresses:
                if each["PrivateIpAddress"] == address and other.subnet.id == eni.subnet.id:
                    if each.get("Primary") or not reassign:
                        raise EC2ClientError("InvalidIPAddress.InUse", f"Address {address} is in use.")
                    return other
        return None

    def _refuse_more_than_the_type_holds(self, eni: Any, count: int) -> None:
        if eni.instance is not None and count > self._limits(eni.instance)["Ipv4AddressesPerInterface"]:
            raise EC2ClientError(
                "PrivateIpAddressLimitExceeded", f"Number of private addresses will exceed limit of {eni.id}."
            )

    def unassign_private_ip_addresses(self) -> ActionResult:
        """Only what it has, and not the primary one."""
        eni, named = self._eni(), self._get_param("PrivateIpAddresses", [])
        secondary = [each["PrivateIpAddress"] for each in eni.private_ip_addresses if not each.get("Primary")]
        if set(named) - set(secondary):
            raise EC2ClientError(
                "InvalidParameterValue", f"Some of the specified addresses are not assigned to interface {eni.id}"
            )
        for address in named:
            _take(eni, address)
        return EmptyResult()

    def describe_network_interfaces(self) -> ActionResult:
        """In pages, with the states that moto does not know; by a tag, a status, a subnet, an instance."""
        ids = self._get_param("NetworkInterfaceIds", [])
        self._refuse_pages_of(ids, "networkInterfaceIds")
        visible = [eni for eni in self._enis() if eni.id not in self._network.hidden]
        for missing in set(ids) - {eni.id for eni in visible}:
            raise EC2ClientError(
                "InvalidNetworkInterfaceID.NotFound", f"The networkInterface ID '{missing}' does not exist"
            )
        found = [self._shown(eni) for eni in visible if not ids or eni.id in ids]
        for name, values in self._filters_from_querystring().items():
            found = [told for told in found if set(_values(told, name)) & set(values)]
        page, token = self._page(found, lambda told: str(told["NetworkInterfaceId"]))
        return ActionResult({"NetworkInterfaces": page, "NextToken": token})

    def _shown(self, eni: Any) -> dict[str, Any]:
        state = self._network.states.get(eni.id)
        addresses = [
            each
            for each in eni.private_ip_addresses
            if f"{eni.id} {each['PrivateIpAddress']}" not in self._network.hidden
        ]
        primary = next(each["PrivateIpAddress"] for each in addresses if each.get("Primary") or len(addresses) == 1)
        told: dict[str, Any] = {
            "NetworkInterfaceId": eni.id,
            "SubnetId": eni.subnet.id,
            "VpcId": eni.subnet.vpc_id,
            "AvailabilityZone": eni.availability_zone,
            "MacAddress": eni.mac_address,
            "Description": eni.description,
            "Groups": [{"GroupId": group.id, "GroupName": group.name} for group in eni._group_set],
            "Status": state or ("in-use" if eni.attachment_id else "available"),
            "PrivateIpAddress": primary,
            "PrivateIpAddresses": [
                {"PrivateIpAddress": each["PrivateIpAddress"], "Primary": each["PrivateIpAddress"] == primary}
                for each in addresses
            ],
            "TagSet": [{"Key": tag["key"], "Value": tag["value"]} for tag in eni.get_tags()],
        }
        if eni.attachment_id:
            told["Attachment"] = {
                "AttachmentId": eni.attachment_id,
                "InstanceId": eni.instance.id,
                "DeviceIndex": eni.device_index,
                "NetworkCardIndex": 0,
                "Status": state or "attached",
                "DeleteOnTermination": bool(eni.delete_on_termination),
            }
        return told

    def _terminate(self, backend: Any, instance: Any) -> None:
        """Interfaces go with the instance if they are to; the others are free, and stay."""
        nics = dict(instance.nics)
        super()._terminate(backend, instance)
        for index, eni in nics.items():
            self._network.states.pop(eni.id, None)
            if index and eni.attachment_id:  # of a terminated instance moto still reads the primary one
                instance.detach_eni(eni)
            if index == 0 or eni.delete_on_termination:
                backend.enis.pop(eni.id, None)

    # what they share

    def _eni(self) -> Any:
        return self.ec2_backend.get_network_interface(self._get_param("NetworkInterfaceId"))

    def _enis(self) -> list[Any]:
        return list(self.ec2_backend.enis.values())

    def _limits(self, instance: Any) -> Any:
        return self.ec2_backend.describe_instance_types([instance.instance_type])[0]["NetworkInfo"]

    def _free(self, subnet: Any, count: int) -> list[str]:
        """The lowest addresses of a subnet that nobody has."""
        taken = {
            each["PrivateIpAddress"]
            for eni in self._enis()
            if eni.subnet.id == subnet.id
            for each in eni.private_ip_addresses
        }
        hosts = [str(each) for each in list(ip_network(subnet.cidr_block))[_RESERVED:-1] if str(each) not in taken]
        if len(hosts) < count:
            raise EC2ClientError(
                "InsufficientFreeAddressesInSubnet",
                f"The specified subnet does not have enough free addresses to satisfy the request: {subnet.id}",
            )
        return hosts[:count]

    def _on_its_way(self, eni_id: str, state: str, seconds: float) -> None:
        self._network.states[eni_id] = state

        def arrived() -> None:
            if self._network.states.get(eni_id) == state:
                del self._network.states[eni_id]

        self._due(seconds, arrived)

    def _hide(self, what: str) -> None:
        if self._network.delays.shown:
            self._network.hidden.add(what)
            self._due(self._network.delays.shown, partial(self._network.hidden.discard, what))

    def _due(self, seconds: float, do: Any) -> None:
        self._world.schedule.after(seconds, do)


def _take(eni: Any, address: str) -> None:
    eni.private_ip_addresses[:] = [each for each in eni.private_ip_addresses if each["PrivateIpAddress"] != address]


def _values(told: dict[str, Any], name: str) -> Iterator[str]:
    """What a filter is compared with."""
    kind, _, key = name.partition(":")
    if kind == "tag":
        yield from (tag["Value"] for tag in told["TagSet"] if tag["Key"] == key)
    elif kind == "tag-key":
        yield from (tag["Key"] for tag in told["TagSet"])
    elif name == "attachment.instance-id":
        yield from filter(None, [told.get("Attachment", {}).get("InstanceId")])
    else:
        yield {"status": told["Status"], "subnet-id": told["SubnetId"]}[name]
