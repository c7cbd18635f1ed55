"""Each rule of the double's target groups, by itself."""

import pytest
from botocore.exceptions import ClientError

from tests.balancers import Account


def test_a_deregistered_target_drains_for_the_deregistration_delay_and_is_gone_then(account: Account) -> None:
    group, instance = account.group(delay=10), account.instance()
    account.register(group, instance)
    account.elbv2.deregister_targets(TargetGroupArn=group, Targets=[{"Id": instance}])
    account.clock.sleep(9.9)
    assert account.health(group) == {(instance, 80): "draining"}
    account.clock.sleep(0.1)
    assert account.health(group) == {}


def test_a_target_of_a_group_that_no_load_balancer_uses_does_not_drain(account: Account) -> None:
    group, instance = account.group(used=False), account.instance()
    account.register(group, instance)
    assert account.health(group) == {(instance, 80): "unused"}
    account.elbv2.deregister_targets(TargetGroupArn=group, Targets=[{"Id": instance}])
    assert account.health(group) == {}


def test_a_target_is_deregistered_by_its_port(account: Account) -> None:
    group, instance = account.group(), account.instance()
    account.register(group, (instance, 8080), (instance, 8081))
    account.elbv2.deregister_targets(TargetGroupArn=group, Targets=[{"Id": instance, "Port": 8081}])
    account.elbv2.deregister_targets(TargetGroupArn=group, Targets=[{"Id": instance}])
    assert account.health(group) == {(instance, 8080): "healthy", (instance, 8081): "draining"}


def test_a_second_deregistration_does_not_begin_the_draining_anew(account: Account) -> None:
    group, instance = account.group(delay=10), account.instance()
    account.register(group, instance)
    for _ in range(2):
        account.elbv2.deregister_targets(TargetGroupArn=group, Targets=[{"Id": instance}])
        account.clock.sleep(5)
    assert account.health(group) == {}


def test_a_target_that_is_registered_again_does_not_drain_any_more(account: Account) -> None:
    group, instance = account.group(), account.instance()
    account.register(group, instance)
    account.elbv2.deregister_targets(TargetGroupArn=group, Targets=[{"Id": instance}])
    account.register(group, instance)
    assert account.health(group) == {(instance, 80): "healthy"}


def test_a_target_that_was_asked_for_and_is_not_registered_is_unused(account: Account) -> None:
    told = account.elbv2.describe_target_health(TargetGroupArn=account.group(), Targets=[{"Id": "i-0", "Port": 80}])
    assert told["TargetHealthDescriptions"][0]["TargetHealth"]["Reason"] == "Target.NotRegistered"


def test_an_instance_has_no_availability_zone_as_a_target(account: Account) -> None:
    target = {"Id": account.instance(), "AvailabilityZone": "all"}
    with pytest.raises(ClientError, match="ValidationError"):
        account.elbv2.deregister_targets(TargetGroupArn=account.group(), Targets=[target])


def test_a_group_that_is_not_there_is_named_so(account: Account) -> None:
    with pytest.raises(ClientError, match="TargetGroupNotFound"):
        account.elbv2.describe_target_health(TargetGroupArn=account.group() + "0")


def test_groups_come_in_pages(account: Account) -> None:
    groups = {account.group(f"g{number}", used=False) for number in range(3)}
    account.aws.world.page = 2
    first = account.elbv2.describe_target_groups()
    second = account.elbv2.describe_target_groups(Marker=first["NextMarker"])
    assert len(first["TargetGroups"]) == 2
    assert "NextMarker" not in second
    assert {each["TargetGroupArn"] for each in [*first["TargetGroups"], *second["TargetGroups"]]} == groups


def test_a_page_has_at_most_400_groups(account: Account) -> None:
    with pytest.raises(ClientError, match="between 1 and 400"):
        account.elbv2.describe_target_groups(PageSize=401)


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [("throttled", "Throttling", 400), ("denied", "AccessDenied", 400), ("broken", "InternalFailure", 500)],
)
def test_a_refusal_has_the_form_of_the_service(account: Account, fault: str, code: str, status: int) -> None:
    from spotwatch.simulate.strict_aws import Fault

    account.aws.plan(Fault(fault), "elasticloadbalancing:*")
    with pytest.raises(ClientError) as raised:
        account.elbv2.describe_target_groups()
    assert raised.value.response["Error"]["Code"] == code
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
