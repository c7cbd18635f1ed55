"""Each rule of the double's network interfaces, by itself."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.addresses.rig import Rig
from tests.cloud import OTHER_ZONE, ManualClock
from tests.strict_network import StrictNetworkAws

pytestmark = pytest.mark.slow


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    clock = ManualClock()
    with StrictNetworkAws(clock=clock.now) as aws:
        for name, value in aws.environment().items():
            monkeypatch.setenv(name, value)
        rig = Rig(aws, clock)
        rig.start("m5.large", cidr="172.31.240.0/24")
        yield rig


def create(rig: Rig, **parameters: Any) -> str:
    made = rig.ec2.create_network_interface(**{"SubnetId": rig.subnet_id, **parameters})
    return str(made["NetworkInterface"]["NetworkInterfaceId"])


def attach(rig: Rig, interface: str, index: int = 1) -> str:
    made = rig.ec2.attach_network_interface(NetworkInterfaceId=interface, InstanceId=rig.instance_id, DeviceIndex=index)
    return str(made["AttachmentId"])


def described(rig: Rig, interface: str) -> Any:
    return rig.ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"][0]


def addresses(rig: Rig, interface: str) -> list[str]:
    return [each["PrivateIpAddress"] for each in described(rig, interface)["PrivateIpAddresses"]]


def primary(rig: Rig) -> str:
    return str(rig.interfaces()[0]["NetworkInterfaceId"])


def test_an_interface_is_attached_once(rig: Rig) -> None:
    interface = create(rig)
    attach(rig, interface)
    with pytest.raises(ClientError, match=r"InvalidNetworkInterface\.InUse"):
        attach(rig, interface, 2)


def test_a_device_index_is_taken_once(rig: Rig) -> None:
    attach(rig, create(rig))
    with pytest.raises(ClientError, match="already has an interface attached at device index '1'"):
        attach(rig, create(rig))


def test_a_type_takes_so_many_interfaces(rig: Rig) -> None:
    attach(rig, create(rig), 1)
    attach(rig, create(rig), 2)
    with pytest.raises(ClientError, match="AttachmentLimitExceeded"):
        attach(rig, create(rig), 3)


def test_an_interface_of_another_zone_cannot_be_attached(rig: Rig) -> None:
    subnets = rig.ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": [OTHER_ZONE]}])["Subnets"]
    with pytest.raises(ClientError, match="InvalidParameterCombination"):
        attach(rig, create(rig, SubnetId=subnets[0]["SubnetId"]))


def test_a_terminated_instance_takes_none(rig: Rig) -> None:
    rig.ec2.terminate_instances(InstanceIds=[rig.instance_id])
    with pytest.raises(ClientError, match="IncorrectState"):
        attach(rig, create(rig))


def test_creating_attaching_and_detaching_take_their_time(rig: Rig) -> None:
    delays = rig.aws.network.delays
    delays.created = delays.attached = delays.detached = 5
    interface = create(rig)
    assert described(rig, interface)["Status"] == "pending"
    with pytest.raises(ClientError, match="IncorrectState"):
        attach(rig, interface)
    rig.clock.sleep(5)
    attachment = attach(rig, interface)
    assert described(rig, interface)["Attachment"]["Status"] == "attaching"
    rig.clock.sleep(5)
    assert described(rig, interface)["Attachment"]["Status"] == "attached"
    rig.ec2.detach_network_interface(AttachmentId=attachment)
    assert described(rig, interface)["Status"] == "detaching"
    with pytest.raises(ClientError, match="IncorrectState"):
        rig.ec2.detach_network_interface(AttachmentId=attachment)
    rig.clock.sleep(5)
    assert described(rig, interface)["Status"] == "available"


def test_an_interface_in_use_is_not_deleted_also_while_it_is_detached(rig: Rig) -> None:
    rig.aws.network.delays.detached = 5
    interface = create(rig)
    attachment = attach(rig, interface)
    for _ in range(2):
        with pytest.raises(ClientError, match="is currently in use"):
            rig.ec2.delete_network_interface(NetworkInterfaceId=interface)
        if described(rig, interface)["Status"] == "in-use":
            rig.ec2.detach_network_interface(AttachmentId=attachment)
    rig.clock.sleep(5)
    rig.ec2.delete_network_interface(NetworkInterfaceId=interface)
    with pytest.raises(ClientError, match=r"InvalidNetworkInterfaceID\.NotFound"):
        described(rig, interface)


def test_the_primary_interface_is_not_detached(rig: Rig) -> None:
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        rig.ec2.detach_network_interface(AttachmentId=rig.interfaces()[0]["Attachment"]["AttachmentId"])


def test_an_attachment_that_is_not_there_is_not_detached(rig: Rig) -> None:
    with pytest.raises(ClientError, match=r"InvalidAttachmentID\.NotFound"):
        rig.ec2.detach_network_interface(AttachmentId="eni-attach-0123456789abcdef0")


def test_an_interface_stays_after_its_instance_unless_it_is_set_to_go(rig: Rig) -> None:
    staying, going = create(rig), create(rig)
    attach(rig, staying, 1)
    attachment = {"AttachmentId": attach(rig, going, 2), "DeleteOnTermination": True}
    rig.ec2.modify_network_interface_attribute(NetworkInterfaceId=going, Attachment=attachment)
    assert described(rig, going)["Attachment"]["DeleteOnTermination"] is True
    first = primary(rig)
    rig.ec2.terminate_instances(InstanceIds=[rig.instance_id])
    there = [each["NetworkInterfaceId"] for each in rig.ec2.describe_network_interfaces()["NetworkInterfaces"]]
    assert staying in there
    assert not {going, first} & set(there)
    assert described(rig, staying)["Status"] == "available"


def test_the_attribute_of_another_attachment_is_refused(rig: Rig) -> None:
    interface = create(rig)
    attach(rig, interface)
    wrong = {"AttachmentId": rig.interfaces()[0]["Attachment"]["AttachmentId"], "DeleteOnTermination": True}
    with pytest.raises(ClientError, match=r"InvalidAttachmentID\.NotFound"):
        rig.ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, Attachment=wrong)


def test_an_assignment_answers_with_the_new_addresses_only(rig: Rig) -> None:
    for count in (2, 3):
        answer = rig.ec2.assign_private_ip_addresses(
            NetworkInterfaceId=primary(rig), SecondaryPrivateIpAddressCount=count
        )
        assert len(answer["AssignedPrivateIpAddresses"]) == count
    assert len(addresses(rig, primary(rig))) == 6


def test_a_type_s_interface_takes_so_many_addresses(rig: Rig) -> None:
    rig.ec2.assign_private_ip_addresses(NetworkInterfaceId=primary(rig), SecondaryPrivateIpAddressCount=9)
    with pytest.raises(ClientError, match="PrivateIpAddressLimitExceeded"):
        rig.ec2.assign_private_ip_addresses(NetworkInterfaceId=primary(rig), SecondaryPrivateIpAddressCount=1)


def test_an_address_in_use_is_refused_and_moves_only_where_it_is_allowed_to(rig: Rig) -> None:
    other = create(rig, SecondaryPrivateIpAddressCount=1)
    first, second = addresses(rig, other)
    asked = {"NetworkInterfaceId": primary(rig), "PrivateIpAddresses": [second]}
    with pytest.raises(ClientError, match=r"InvalidIPAddress\.InUse"):
        rig.ec2.assign_private_ip_addresses(**asked)
    with pytest.raises(ClientError, match=r"InvalidIPAddress\.InUse"):
        rig.ec2.assign_private_ip_addresses(**{**asked, "PrivateIpAddresses": [first]}, AllowReassignment=True)
    rig.ec2.assign_private_ip_addresses(**asked, AllowReassignment=True)
    assert addresses(rig, other) == [first]
    assert second in addresses(rig, primary(rig))


def test_an_address_outside_of_the_subnet_is_refused(rig: Rig) -> None:
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        rig.ec2.assign_private_ip_addresses(NetworkInterfaceId=primary(rig), PrivateIpAddresses=["10.99.0.9"])


def test_a_subnet_has_only_so_many_addresses(rig: Rig) -> None:
    rig.start(cidr="172.31.241.0/28")
    create(rig, SecondaryPrivateIpAddressCount=9)
    with pytest.raises(ClientError, match="InsufficientFreeAddressesInSubnet"):
        create(rig)
    with pytest.raises(ClientError, match="InsufficientFreeAddressesInSubnet"):
        rig.ec2.assign_private_ip_addresses(NetworkInterfaceId=primary(rig), SecondaryPrivateIpAddressCount=1)
    told = rig.ec2.describe_subnets(SubnetIds=[rig.subnet_id])["Subnets"][0]
    assert told["AvailableIpAddressCount"] == 0


def test_only_secondary_addresses_that_are_there_are_unassigned(rig: Rig) -> None:
    own = addresses(rig, primary(rig))
    for wrong in (own, ["172.31.240.200"]):
        with pytest.raises(ClientError, match="InvalidParameterValue"):
            rig.ec2.unassign_private_ip_addresses(NetworkInterfaceId=primary(rig), PrivateIpAddresses=wrong)


def test_a_client_token_creates_one_interface(rig: Rig) -> None:
    first, second = (create(rig, ClientToken="one") for _ in range(2))
    assert first == second
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        create(rig, ClientToken="one", SecondaryPrivateIpAddressCount=1)
    assert create(rig, ClientToken="two") != first


def test_a_new_interface_and_a_new_address_show_late(rig: Rig) -> None:
    rig.aws.network.delays.shown = 5
    interface = create(rig)
    rig.ec2.assign_private_ip_addresses(NetworkInterfaceId=primary(rig), SecondaryPrivateIpAddressCount=1)
    assert len(addresses(rig, primary(rig))) == 1
    with pytest.raises(ClientError, match=r"InvalidNetworkInterfaceID\.NotFound"):
        described(rig, interface)
    rig.clock.sleep(5)
    assert len(addresses(rig, primary(rig))) == 2
    assert described(rig, interface)["Status"] == "available"


def test_descriptions_come_in_pages_and_by_filters(rig: Rig) -> None:
    tagged = create(
        rig, TagSpecifications=[{"ResourceType": "network-interface", "Tags": [{"Key": "a", "Value": "b"}]}]
    )
    rig.aws.world.page = 1
    pages = rig.ec2.get_paginator("describe_network_interfaces").paginate()
    assert [len(page["NetworkInterfaces"]) for page in pages] == [1, 1]
    for name, value in {"tag:a": "b", "tag-key": "a", "status": "available"}.items():
        found = rig.ec2.describe_network_interfaces(Filters=[{"Name": name, "Values": [value]}])["NetworkInterfaces"]
        assert [each["NetworkInterfaceId"] for each in found] == [tagged]
