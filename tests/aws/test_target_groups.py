"""Target groups as AWS's client brings them."""

import pytest

from spotwatch.aws.target_groups import TargetGroups
from spotwatch.core.errors import AwsNotFound
from spotwatch.core.target_group import Target
from tests.balancers import Account

pytestmark = pytest.mark.slow


@pytest.fixture
def groups(account: Account) -> TargetGroups:
    groups: TargetGroups = account.services("i-0").target_groups("eu-west-1", 60)
    return groups


def test_an_instance_s_addresses_are_those_of_all_its_interfaces(account: Account, groups: TargetGroups) -> None:
    instance = account.instance()
    first = account.interface(instance)
    made = account.ec2.create_network_interface(SubnetId=first["SubnetId"])["NetworkInterface"]
    account.ec2.attach_network_interface(
        NetworkInterfaceId=made["NetworkInterfaceId"], InstanceId=instance, DeviceIndex=1
    )
    account.more_addresses(instance, 1)
    mine = groups.addresses_of(instance)
    assert mine.addresses == {*account.addresses(instance), made["PrivateIpAddress"]}
    assert len(mine.addresses) == 3
    assert mine.vpc_ids == {account.vpc()}


def test_an_instance_that_is_not_there_is_not_found(groups: TargetGroups) -> None:
    with pytest.raises(AwsNotFound):
        groups.addresses_of("i-0123456789abcdef0")


def test_a_target_comes_with_its_port_and_its_state(account: Account, groups: TargetGroups) -> None:
    arn, instance = account.group(), account.instance()
    account.register(arn, (instance, 8080))
    assert groups.targets(arn) == (Target(instance, 8080, "", "healthy"),)
    assert [group.target_type for group in groups.groups()] == ["instance"]


def test_a_target_outside_the_vpc_is_deregistered_with_its_zone(account: Account, groups: TargetGroups) -> None:
    arn = account.group(kind="ip", used=False)
    account.elbv2.register_targets(TargetGroupArn=arn, Targets=[{"Id": "10.9.9.9", "AvailabilityZone": "all"}])
    targets = groups.targets(arn)
    assert [target.availability_zone for target in targets] == ["all"]
    groups.deregister(arn, targets)
    assert groups.targets(arn) == ()


def test_what_is_deregistered_already_is_no_error(account: Account, groups: TargetGroups) -> None:
    groups.deregister(account.group(), [Target("i-0", 80, "", "healthy")])


def test_a_group_that_is_gone_is_not_found(account: Account, groups: TargetGroups) -> None:
    gone = account.group() + "0"
    with pytest.raises(AwsNotFound, match=f"no target group {gone}"):
        groups.targets(gone)
    with pytest.raises(AwsNotFound):
        groups.deregister(gone, [Target("i-0", 80, "", "healthy")])


def test_the_delay_of_a_group_is_known(account: Account, groups: TargetGroups) -> None:
    assert groups.deregistration_delay(account.group(delay=17)) == 17.0
