"""Applying and releasing, against EC2 as an HTTP server and a kernel that sees its interfaces."""

import pytest

from spotwatch.addresses.application import Configure
from spotwatch.addresses.ledger import Ledgers
from spotwatch.addresses.plan import OWNER_TAG, Wish
from spotwatch.addresses.routes import FIRST_TABLE
from spotwatch.core.errors import NotInTime
from spotwatch.core.routing import Route, Rule
from tests.addresses.rig import Rig

pytestmark = pytest.mark.slow


def test_the_primary_interface_is_filled_before_one_is_added(rig: Rig) -> None:
    rig.start("m5.large")
    outcome = rig.apply(12)
    assert outcome.complete
    assert rig.addresses() == [10, 2]


def test_an_added_interface_is_in_the_subnet_and_the_groups_of_the_primary_one_and_goes_with_the_instance(
    rig: Rig,
) -> None:
    rig.start()
    rig.apply(11)
    primary, added = rig.interfaces()
    assert added["SubnetId"] == primary["SubnetId"]
    assert added["Groups"] == primary["Groups"]
    assert added["Attachment"]["DeleteOnTermination"] is True
    rig.ec2.terminate_instances(InstanceIds=[rig.instance_id])
    assert rig.mine() == []


def test_a_second_run_changes_nothing(rig: Rig) -> None:
    rig.start()
    rig.apply(12)
    before, calls = rig.state(), len(rig.aws.calls)
    outcome = rig.apply(12)
    assert outcome.done == ()
    assert rig.state() == before
    assert all(call.operation.startswith("Describe") for call in rig.aws.calls[calls:])


def test_every_address_but_the_primary_one_is_in_the_kernel_and_those_of_added_interfaces_have_their_table(
    rig: Rig,
) -> None:
    rig.start()
    rig.apply(12)
    network = rig.kernel.look()
    added = [each["PrivateIpAddress"] for each in rig.interfaces()[1]["PrivateIpAddresses"]]
    assert [len([a for a in network.addresses if a.link == link]) for link in (100, 101)] == [9, 2]
    assert network.rules == tuple(Rule(each, FIRST_TABLE + 1, FIRST_TABLE + 1) for each in added)
    assert Route(101, FIRST_TABLE + 1, "0.0.0.0/0", _gateway(rig)) in network.routes


def _gateway(rig: Rig) -> str:
    cidr = rig.ec2.describe_subnets(SubnetIds=[rig.subnet_id])["Subnets"][0]["CidrBlock"]
    return str(cidr.rpartition(".")[0]) + ".1"


def test_more_can_be_asked_for_later(rig: Rig) -> None:
    rig.start()
    rig.apply(3)
    rig.apply(14)
    assert rig.addresses() == [10, 4]
    assert len(rig.kernel.look().addresses) == 13


def test_changes_that_take_time_are_waited_for(rig: Rig) -> None:
    rig.start()
    delays = rig.aws.network.delays
    delays.created, delays.attached, delays.detached, delays.shown = 3.0, 5.0, 7.0, 9.0
    assert rig.apply(12).complete
    assert rig.addresses() == [10, 2]
    rig.release()
    assert rig.addresses() == [1]
    assert rig.aws.count("ec2:CreateNetworkInterface") == 1


def test_release_takes_away_what_apply_added_and_nothing_else(rig: Rig) -> None:
    rig.start()
    primary = rig.interfaces()[0]["NetworkInterfaceId"]
    rig.ec2.assign_private_ip_addresses(NetworkInterfaceId=primary, SecondaryPrivateIpAddressCount=2)
    before = rig.interfaces()
    rig.apply(12)
    rig.release()
    assert rig.interfaces() == before
    network = rig.kernel.look()
    assert (network.routes, network.rules, rig.mine()) == ((), (), [])


def test_release_leaves_an_address_that_somebody_else_has_assigned_since(rig: Rig) -> None:
    rig.start()
    rig.apply(3)
    primary = rig.interfaces()[0]["NetworkInterfaceId"]
    rig.ec2.assign_private_ip_addresses(NetworkInterfaceId=primary, SecondaryPrivateIpAddressCount=1)
    theirs = rig.interfaces()[0]["PrivateIpAddresses"][-1]
    rig.release()
    assert rig.interfaces()[0]["PrivateIpAddresses"][1:] == [theirs]


def test_release_twice_is_release_once(rig: Rig) -> None:
    rig.start()
    rig.apply(12)
    rig.release()
    assert rig.release().done == ()


def test_another_interface_s_addresses_do_not_count_and_it_is_left_alone(rig: Rig) -> None:
    rig.start()
    made = rig.ec2.create_network_interface(SubnetId=rig.subnet_id)["NetworkInterface"]["NetworkInterfaceId"]
    rig.ec2.attach_network_interface(NetworkInterfaceId=made, InstanceId=rig.instance_id, DeviceIndex=1)
    rig.apply(12)
    assert rig.addresses() == [10, 1, 2]
    rig.release()
    assert rig.addresses() == [1, 1]


def test_a_free_interface_of_ours_is_used_before_one_is_created(rig: Rig) -> None:
    rig.start()
    rig.apply(10)
    orphan = _orphan(rig)
    rig.apply(12)
    assert rig.interfaces()[1]["NetworkInterfaceId"] == orphan
    assert rig.addresses() == [10, 2]


def test_a_free_interface_of_ours_that_is_not_needed_is_deleted(rig: Rig) -> None:
    rig.start()
    _orphan(rig)
    rig.apply(3)
    assert rig.mine() == []


def test_what_a_terminated_instance_has_left_is_deleted_and_a_living_one_s_is_not(rig: Rig) -> None:
    dead = rig.start()
    left = _orphan(rig)
    living = rig.start()
    kept = _orphan(rig)
    rig.ec2.terminate_instances(InstanceIds=[dead])
    rig.start()
    outcome = rig.apply(2)
    there = [each["NetworkInterfaceId"] for each in rig.ec2.describe_network_interfaces()["NetworkInterfaces"]]
    assert left not in there
    assert kept in there
    assert any(dead in line for line in outcome.done)
    assert not any(living in line for line in outcome.done)


def _orphan(rig: Rig) -> str:
    made = rig.ec2.create_network_interface(
        SubnetId=rig.subnet_id,
        TagSpecifications=[
            {"ResourceType": "network-interface", "Tags": [{"Key": OWNER_TAG, "Value": rig.instance_id}]}
        ],
    )
    return str(made["NetworkInterface"]["NetworkInterfaceId"])


def test_a_type_that_holds_fewer_gets_all_it_can(rig: Rig) -> None:
    rig.start("m5.large")
    outcome = rig.apply(40)
    assert rig.addresses() == [10, 10, 10]
    assert not outcome.complete
    assert "10 of 40 addresses cannot be had" in outcome.notes[0]


def test_a_subnet_that_runs_out_gives_what_it_has_and_it_is_said(rig: Rig) -> None:
    rig.start(cidr="172.31.240.0/28")  # eleven addresses
    outcome = rig.apply(14)
    assert rig.addresses() == [10, 1]
    assert not outcome.complete
    assert f"{rig.subnet_id} has no more free addresses" in outcome.notes[0]
    assert len(rig.kernel.look().addresses) == 10


def test_where_another_program_configures_the_kernel_it_is_waited_for_and_said(rig: Rig) -> None:
    rig.start()
    rig.managers.program = "netplan"
    with pytest.raises(NotInTime, match="netplan has not done, in time: add address"):
        rig.apply(2)
    assert rig.kernel.look().addresses == ()
    assert rig.apply(2, configure=Configure.ALWAYS).notes == ()
    assert "netplan configures" in rig.apply(2).notes[0]


def test_the_kernel_is_left_alone_if_asked_for(rig: Rig) -> None:
    rig.start()
    rig.apply(12, configure=Configure.NEVER)
    assert rig.kernel.look().addresses == ()


def test_a_link_that_never_shows_ends_with_the_time_limit(rig: Rig) -> None:
    rig.start()
    rig.kernel.macs = dict
    with pytest.raises(NotInTime, match="the machine does not show"):
        rig.apply(2)


def test_rules_of_ours_for_addresses_that_are_gone_are_taken_away(rig: Rig) -> None:
    rig.start()
    rig.kernel.rules.append(Rule("10.9.9.9", FIRST_TABLE + 2, FIRST_TABLE + 2))
    theirs = Rule("10.9.9.8", 10002, 10002, ours=False)
    rig.kernel.rules.append(theirs)
    rig.apply(2)
    assert rig.kernel.look().rules == (theirs,)


def test_a_ledger_of_another_instance_is_not_ours(rig: Rig) -> None:
    rig.start()
    rig.apply(3)
    text = rig.memory.text
    rig.start()
    rig.memory.text = text
    assert Ledgers(rig.memory, rig.instance_id).read().added == ()
    assert rig.apply(3).complete


def test_the_number_follows_the_vcpus(rig: Rig) -> None:
    rig.start("m5.2xlarge")
    assert rig.application().apply(Wish(), Configure.AUTO).plan.held == 4
