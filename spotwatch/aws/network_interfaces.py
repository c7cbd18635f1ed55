"""EC2's network interfaces and their addresses, for an instance that is to hold more of them.

What this survives:

- A call that was carried out although its answer got lost: a creation has a client token; an assignment, which takes
  none, is counted again before it is repeated; after a refused attachment it is looked whether it is there already.
- Answers that lag behind: every change is waited for until it shows, and no longer than the session is patient.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from spotwatch.aws.session import Api
from spotwatch.core.errors import AwsBroken, AwsConflict, AwsNotFound, AwsRefused, AwsUnsettled
from spotwatch.core.network_interface import Attachment, NetworkInterface, Subnet, TypeLimits

PAGE: Final = 200
"""Network interfaces in one answer, of at most 1,000."""

IAM_ACTIONS: Final = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:AttachNetworkInterface",
    "ec2:CreateNetworkInterface",
    "ec2:CreateTags",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DetachNetworkInterface",
    "ec2:ModifyNetworkInterfaceAttribute",
    "ec2:UnassignPrivateIpAddresses",
)
"""All that `spotwatch addresses` calls; CreateTags comes with the creation."""

READING_ACTIONS: Final = tuple(action for action in IAM_ACTIONS if action.startswith("ec2:Describe"))
"""What planning and showing need."""

_GONE: Final = frozenset({"terminated"})

_HINTS: Final = {
    "AttachmentLimitExceeded": "the instance type takes no more network interfaces; ask for fewer addresses",
    "InsufficientFreeAddressesInSubnet": "free addresses of the subnet, or start the instances in a larger one",
    "NetworkInterfaceLimitExceeded": "have the account's quota of network interfaces raised",
    "PrivateIpAddressLimitExceeded": "the instance type takes no more addresses on an interface; ask for fewer",
}
"""By the code of a refusal ("Error codes for the Amazon EC2 API")."""


class NetworkInterfaces:
    """EC2; implements `spotwatch.addresses.services.NetworkInterfaces`."""

    def __init__(self, ec2: Api) -> None:
        self._ec2 = ec2

    def limits(self, instance_type: str) -> TypeLimits:
        """What a type can hold, as DescribeInstanceTypes says it now."""
        told = self._ec2.call("DescribeInstanceTypes", InstanceTypes=[instance_type])["InstanceTypes"]
        try:
            network = told[0]["NetworkInfo"]
            cards = {card["NetworkCardIndex"]: card for card in network.get("NetworkCards", ())}
            card = cards.get(network.get("DefaultNetworkCardIndex", 0), network)
            return TypeLimits(
                instance_type,
                int(told[0]["VCpuInfo"]["DefaultVCpus"]),
                int(card["MaximumNetworkInterfaces"]),
                int(network["Ipv4AddressesPerInterface"]),
            )
        except (KeyError, IndexError) as missing:
            raise AwsBroken(f"DescribeInstanceTypes does not say the limits of {instance_type}: {missing}") from None

    def subnet(self, subnet_id: str) -> Subnet:
        """A subnet as it is now."""
        told = self._ec2.call("DescribeSubnets", SubnetIds=[subnet_id])["Subnets"][0]
        return Subnet(told["SubnetId"], told["CidrBlock"], int(told["AvailableIpAddressCount"]))

    def attached_to(self, instance_id: str) -> tuple[NetworkInterface, ...]:
        """All interfaces of an instance, also those that are attached or detached just now."""
        return tuple(self._found(_filter("attachment.instance-id", instance_id)))

    def tagged(self, tag: str, value: str) -> tuple[NetworkInterface, ...]:
        """All interfaces with a tag, attached or not."""
        return tuple(self._found(_filter(f"tag:{tag}", value)))

    def forsaken(self, tag: str, subnet_id: str) -> tuple[NetworkInterface, ...]:
        """Those of a subnet that hang free and whose tag names an instance that is gone for good.

        An instance is that if it is terminated, or not shown any more, which it is for an hour after its end.
        """
        filters = _filter("tag-key", tag), _filter("status", "available"), _filter("subnet-id", subnet_id)
        free = tuple(self._found(*filters))
        if not free:
            return ()
        alive = self._alive(sorted({each.tags[tag] for each in free}))
        return tuple(each for each in free if each.tags[tag] not in alive)

    def assign(self, interface_id: str, total: int) -> tuple[str, ...]:
        """Bring the number of its addresses to `total`; all of them, the primary one first."""
        answered: set[str] = set()

        def hold() -> tuple[str, ...]:
            shown = self._interface(interface_id).addresses
            missing = total - len(shown)
            if missing <= 0:
                return shown
            if not answered:
                answer = self._ec2.attempt(
                    "AssignPrivateIpAddresses",
                    NetworkInterfaceId=interface_id,
                    SecondaryPrivateIpAddressCount=missing,
                )
                answered.update(each["PrivateIpAddress"] for each in answer.get("AssignedPrivateIpAddresses", ()))
            raise AwsUnsettled(f"{interface_id} does not show its {total} addresses yet")

        with _Explained():
            return self._ec2.wait_for(hold)

    def unassign(self, interface_id: str, addresses: Sequence[str]) -> None:
        """Take addresses away from it; no error if it does not have them."""

        def look() -> None:
            there = [each for each in self._interface(interface_id).addresses if each in addresses]
            if there:
                self._ec2.attempt(
                    "UnassignPrivateIpAddresses", NetworkInterfaceId=interface_id, PrivateIpAddresses=there
                )
                raise AwsUnsettled(f"{interface_id} still shows {' '.join(there)}")

        self._ec2.wait_for(look)

    def create(self, subnet_id: str, groups: Sequence[str], addresses: int, token: str, tags: Mapping[str, str]) -> str:
        """Create one, and return its id when it is available; once for a token and the same parameters."""
        told = [{"Key": key, "Value": value} for key, value in tags.items()]
        more = {"SecondaryPrivateIpAddressCount": addresses - 1} if addresses > 1 else {}
        with _Explained():
            made = self._ec2.call(
                "CreateNetworkInterface",
                SubnetId=subnet_id,
                Groups=list(groups),
                Description="more addresses for an instance, by spotwatch",
                ClientToken=token,
                TagSpecifications=[{"ResourceType": "network-interface", "Tags": told}],
                **more,
            )["NetworkInterface"]["NetworkInterfaceId"]
        self._ec2.wait_for(lambda: self._created(str(made)))
        return str(made)

    def attach(self, interface_id: str, instance_id: str, device_index: int) -> None:
        """Attach it; no error if it is attached there already."""
        try:
            with _Explained():
                self._ec2.call(
                    "AttachNetworkInterface",
                    NetworkInterfaceId=interface_id,
                    InstanceId=instance_id,
                    DeviceIndex=device_index,
                )
        except (AwsConflict, AwsRefused):
            attachment = self._interface(interface_id).attachment
            if attachment is None or attachment.instance_id != instance_id:
                raise
        self.wait_until_settled(interface_id)

    def delete_with_instance(self, interface_id: str) -> None:
        """Have EC2 delete it when its instance is terminated."""

        def look() -> None:
            attachment = self._interface(interface_id).attachment
            if attachment is None:
                raise AwsConflict(f"{interface_id} is not attached any more", hint="run it again")
            if not attachment.delete_on_termination:
                self._ec2.attempt(
                    "ModifyNetworkInterfaceAttribute",
                    NetworkInterfaceId=interface_id,
                    Attachment={"AttachmentId": attachment.id, "DeleteOnTermination": True},
                )
                raise AwsUnsettled(f"{interface_id} does not show its delete-on-termination yet")

        self._ec2.wait_for(look)

    def detach(self, interface_id: str) -> None:
        """Detach it; no error if it is attached to nothing."""

        def look() -> None:
            found = self._described(interface_id)
            if found is None or found.attachment is None:
                return
            if found.attachment.state == "attached":
                self._ec2.attempt("DetachNetworkInterface", AttachmentId=found.attachment.id)
            raise AwsUnsettled(f"{interface_id} is still {found.attachment.state}")

        self._ec2.wait_for(look)

    def delete(self, interface_id: str) -> None:
        """Delete it; no error if it is gone."""
        try:
            self._ec2.call("DeleteNetworkInterface", NetworkInterfaceId=interface_id)
        except AwsNotFound:
            return

    def wait_until_settled(self, interface_id: str) -> None:
        """Return when it is available, attached for good, or gone."""

        def look() -> None:
            found = self._described(interface_id)
            if found is not None and not found.settled:
                raise AwsUnsettled(
                    f"{interface_id} is still {found.attachment.state if found.attachment else found.status}"
                )

        self._ec2.wait_for(look)

    def _created(self, interface_id: str) -> None:
        found = self._described(interface_id)
        if found is None or not found.settled:
            raise AwsUnsettled(f"{interface_id} is not available yet")

    def _interface(self, interface_id: str) -> NetworkInterface:
        found = self._described(interface_id)
        if found is None:
            raise AwsNotFound(f"{interface_id} is not there (any more)", hint="run it again")
        return found

    def _described(self, interface_id: str) -> NetworkInterface | None:
        try:
            told = self._ec2.call("DescribeNetworkInterfaces", NetworkInterfaceIds=[interface_id])
        except AwsNotFound:
            return None
        return next(map(_interface, told["NetworkInterfaces"]), None)

    def _found(self, *filters: Mapping[str, Any]) -> Iterator[NetworkInterface]:
        for page in self._ec2.pages("DescribeNetworkInterfaces", Filters=list(filters), MaxResults=PAGE):
            yield from map(_interface, page["NetworkInterfaces"])

    def _alive(self, instance_ids: Sequence[str]) -> frozenset[str]:
        """Those that are there and not terminated. By a filter: an id that is not known would be an error."""
        filters = [{"Name": "instance-id", "Values": list(instance_ids)}]
        return frozenset(
            instance["InstanceId"]
            for page in self._ec2.pages("DescribeInstances", Filters=filters)
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
            if instance["State"]["Name"] not in _GONE
        )


class _Explained:
    """Gives a refusal the hint that belongs to its code."""

    def __enter__(self) -> None:
        """Nothing yet."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, AwsRefused) and not error.hint:
            error.hint = _HINTS.get(error.code, "")


def _filter(name: str, value: str) -> dict[str, Any]:
    return {"Name": name, "Values": [value]}


def _interface(told: Mapping[str, Any]) -> NetworkInterface:
    """One out of an answer of DescribeNetworkInterfaces."""
    listed = sorted(told.get("PrivateIpAddresses", ()), key=lambda each: not each.get("Primary"))
    return NetworkInterface(
        id=told["NetworkInterfaceId"],
        mac=told.get("MacAddress", "").lower(),
        subnet_id=told["SubnetId"],
        security_groups=tuple(group["GroupId"] for group in told.get("Groups", ())),
        status=told["Status"],
        addresses=tuple(each["PrivateIpAddress"] for each in listed),
        prefixes=len(told.get("Ipv4Prefixes", ())),
        attachment=_attachment(told.get("Attachment") or {}),
        tags={tag["Key"]: tag["Value"] for tag in told.get("TagSet", ())},
    )


def _attachment(told: Mapping[str, Any]) -> Attachment | None:
    if not told.get("AttachmentId") or told.get("Status") == "detached":
        return None
    return Attachment(
        told["AttachmentId"],
        told.get("InstanceId", ""),
        int(told["DeviceIndex"]),
        told["Status"],
        bool(told.get("DeleteOnTermination")),
    )
