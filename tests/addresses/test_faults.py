"""What goes wrong between us and EC2, and two runs at once."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from spotwatch.core.errors import AwsDenied, AwsError, AwsUnreachable
from spotwatch.host.clock import Clock
from spotwatch.simulate.strict_aws import Fault
from tests.addresses.rig import Rig

pytestmark = pytest.mark.slow

CALLS = [
    "AssignPrivateIpAddresses",
    "AttachNetworkInterface",
    "CreateNetworkInterface",
    "DescribeInstanceTypes",
    "DescribeNetworkInterfaces",
    "DescribeSubnets",
    "ModifyNetworkInterfaceAttribute",
]
UNDOING = ["DeleteNetworkInterface", "DetachNetworkInterface", "UnassignPrivateIpAddresses"]


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.BROKEN, Fault.RESET, Fault.LOST])
def test_trouble_that_passes_leaves_no_trace(rig: Rig, fault: Fault) -> None:
    """Also an answer that gets lost: nothing is assigned or created twice."""
    rig.start()
    for call in CALLS:
        rig.aws.plan(fault, f"ec2:{call}")
    assert rig.apply(12).complete
    assert rig.addresses() == [10, 2]
    assert len(rig.mine()) == 1
    for call in UNDOING:
        rig.aws.plan(fault, f"ec2:{call}")
    rig.release()
    assert (rig.addresses(), rig.mine()) == ([1], [])


@pytest.mark.parametrize("call", CALLS)
def test_who_may_not_is_told_the_iam_action_and_nothing_is_left_over(rig: Rig, call: str) -> None:
    rig.start()
    rig.aws.plan(Fault.DENIED, f"ec2:{call}")
    with pytest.raises(AwsDenied) as caught:
        rig.apply(12)
    assert caught.value.hint == f"allow the IAM action ec2:{call}"
    assert [each for each in rig.mine() if "Attachment" not in each] == []
    assert rig.apply(12).complete
    assert rig.addresses() == [10, 2]


@pytest.mark.parametrize("call", UNDOING)
def test_who_may_not_release_is_told_the_iam_action_and_can_go_on_later(rig: Rig, call: str) -> None:
    rig.start()
    rig.apply(12)
    rig.aws.plan(Fault.DENIED, f"ec2:{call}")
    with pytest.raises(AwsDenied, match=call):
        rig.release()
    rig.release()
    assert (rig.addresses(), rig.mine()) == ([1], [])


def test_who_may_not_look_for_what_the_dead_have_left_is_served_all_the_same(rig: Rig) -> None:
    dead = rig.start()
    rig.ec2.create_network_interface(
        SubnetId=rig.subnet_id,
        TagSpecifications=[
            {"ResourceType": "network-interface", "Tags": [{"Key": "spotwatch:addresses-of", "Value": dead}]}
        ],
    )
    rig.start()
    rig.aws.plan(Fault.DENIED, "ec2:DescribeInstances")
    outcome = rig.apply(2)
    assert outcome.complete
    assert "could not look for interfaces that dead instances have left" in outcome.notes[0]


def test_trouble_that_stays_ends_with_the_time_limit(rig: Rig) -> None:
    rig.start()
    rig.aws.plan(Fault.THROTTLED, "ec2:AssignPrivateIpAddresses", times=1000)
    began = rig.clock.now()
    with pytest.raises(AwsError, match="RequestLimitExceeded"):
        rig.apply(2, limit=60)
    assert rig.clock.now() - began <= 60


@contextmanager
def black_hole() -> Iterator[str]:
    """A port whose connections are taken and never answered."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


def test_an_endpoint_that_never_answers_ends_with_the_time_limit() -> None:
    """In real seconds: the limit of one answer is half a second, that of all of them two."""
    from spotwatch.aws.network_interfaces import NetworkInterfaces
    from spotwatch.aws.session import Session

    clock = Clock()
    began = clock.now()
    with black_hole() as endpoint, pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "no-secret",
            "AWS_ENDPOINT_URL": endpoint,
        }.items():
            patch.setenv(name, value)
        session = Session(clock, until=began + 2, region="eu-west-1", read_timeout=0.5)
        with pytest.raises(AwsUnreachable):
            NetworkInterfaces(session.api("ec2")).attached_to("i-0123456789abcdef0")
    assert clock.now() - began < 4


def test_an_attachment_that_is_refused_for_good_leaves_no_interface(rig: Rig) -> None:
    """Somebody else took the last place after we had looked."""
    rig.start()
    rig.apply(10)
    for index in (1, 2):
        made = rig.ec2.create_network_interface(SubnetId=rig.subnet_id)["NetworkInterface"]["NetworkInterfaceId"]
        rig.ec2.attach_network_interface(NetworkInterfaceId=made, InstanceId=rig.instance_id, DeviceIndex=index)
    outcome = rig.apply(12)
    assert not outcome.complete
    assert "2 of which are used otherwise" in outcome.notes[0]
    assert rig.mine() == []


def test_two_instances_at_once_get_each_their_own(rig: Rig) -> None:
    """In one subnet, and with answers that get lost, so that both look for interfaces that they may have made."""
    rig.start()
    other = Rig(rig.aws, rig.clock)
    other.start()
    for call in ("AssignPrivateIpAddresses", "CreateNetworkInterface", "AttachNetworkInterface"):
        rig.aws.plan(Fault.LOST, f"ec2:{call}", times=2)
    with ThreadPoolExecutor() as pool:
        outcomes = [each.result() for each in [pool.submit(one.apply, 12) for one in (rig, other)]]
    assert [outcome.complete for outcome in outcomes] == [True, True]
    for one in (rig, other):
        assert (one.addresses(), len(one.mine())) == ([10, 2], 1)
    rig.release()
    assert (rig.addresses(), rig.mine()) == ([1], [])
    assert (other.addresses(), len(other.mine())) == ([10, 2], 1)


def test_a_subnet_that_somebody_empties_meanwhile_is_a_shortfall_and_no_error(rig: Rig) -> None:
    rig.start(cidr="172.31.240.0/28")
    rig.aws.slowness = lambda: None
    rig.ec2.create_network_interface(SubnetId=rig.subnet_id, SecondaryPrivateIpAddressCount=8)
    outcome = rig.apply(4)
    assert rig.addresses() == [2]
    assert "no more free addresses" in outcome.notes[0]
    assert rig.apply(2).complete
