"""Each rule of the double's Auto Scaling groups, by itself."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.balancers import GROUP, Account


def standby(account: Account, instance: str, *, decrement: bool = False) -> Any:
    return account.autoscaling.enter_standby(
        InstanceIds=[instance], AutoScalingGroupName=GROUP, ShouldDecrementDesiredCapacity=decrement
    )


def detach(account: Account, instance: str, *, decrement: bool = False) -> Any:
    return account.autoscaling.detach_instances(
        InstanceIds=[instance], AutoScalingGroupName=GROUP, ShouldDecrementDesiredCapacity=decrement
    )


def action(account: Account, call: str, instance: str, hook: str = "drain", **more: str) -> Any:
    return getattr(account.autoscaling, call)(
        AutoScalingGroupName=GROUP, LifecycleHookName=hook, InstanceId=instance, **more
    )


def test_standby_is_entered_later(account: Account) -> None:
    (instance,) = account.scaled()
    account.delays.standby = 5
    standby(account, instance)
    assert account.states()[instance] == "EnteringStandby"
    account.clock.sleep(5)
    assert account.states()[instance] == "Standby"


def test_standby_without_a_decrement_launches_a_replacement(account: Account) -> None:
    (instance,) = account.scaled()
    standby(account, instance)
    assert sorted(account.states().values()) == ["InService", "Standby"]


def test_standby_with_a_decrement_launches_none(account: Account) -> None:
    (instance,) = account.scaled()
    standby(account, instance, decrement=True)
    assert account.states() == {instance: "Standby"}
    assert account.desired() == 0


@pytest.mark.parametrize("change", [standby, detach])
def test_a_group_is_not_decremented_below_its_minimum(account: Account, change: Any) -> None:
    (instance,) = account.scaled(minimum=1)
    with pytest.raises(ClientError, match="has min-size=1"):
        change(account, instance, decrement=True)


def test_only_what_is_in_service_can_enter_standby(account: Account) -> None:
    (instance,) = account.scaled()
    standby(account, instance)
    with pytest.raises(ClientError, match="is not in InService"):
        standby(account, instance)


def test_a_detached_instance_is_a_member_for_a_while(account: Account) -> None:
    (instance,) = account.scaled()
    account.delays.detached = 5
    detach(account, instance)
    assert account.states()[instance] == "Detaching"
    account.clock.sleep(5)
    assert instance not in account.states()


def test_an_instance_cannot_be_detached_twice(account: Account) -> None:
    (instance,) = account.scaled()
    detach(account, instance)
    with pytest.raises(ClientError, match="is not part of Auto Scaling group"):
        detach(account, instance)


def test_what_is_unhealthy_is_terminated(account: Account) -> None:
    (instance,) = account.scaled()
    account.delays.unhealthy = 5
    account.autoscaling.set_instance_health(InstanceId=instance, HealthStatus="Unhealthy")
    told = account.autoscaling.describe_auto_scaling_instances()["AutoScalingInstances"]
    assert told[0]["HealthStatus"] == "UNHEALTHY"
    account.clock.sleep(5)
    assert instance not in account.states()


def test_without_a_lifecycle_hook_nothing_holds_up_a_termination(account: Account) -> None:
    (instance,) = account.scaled()
    account.lifecycle_hook(terminating=False)
    account.terminate(instance)
    assert instance not in account.states()


def test_a_lifecycle_hook_holds_it_up_until_its_action_is_completed(account: Account) -> None:
    (instance,) = account.scaled()
    account.lifecycle_hook()
    account.delays.waiting = 2
    account.terminate(instance)
    assert account.states()[instance] == "Terminating"
    account.clock.sleep(2)
    assert account.states()[instance] == "Terminating:Wait"
    action(account, "complete_lifecycle_action", instance, LifecycleActionResult="CONTINUE")
    assert instance not in account.states()
    assert account.aws.balancing.results == {(instance, "drain"): "CONTINUE"}


def test_two_lifecycle_hooks_both_hold_it_up(account: Account) -> None:
    (instance,) = account.scaled()
    for name in ("a", "b"):
        account.lifecycle_hook(name)
    account.terminate(instance)
    action(account, "complete_lifecycle_action", instance, "a", LifecycleActionResult="CONTINUE")
    assert account.states()[instance] == "Terminating:Wait"
    action(account, "complete_lifecycle_action", instance, "b", LifecycleActionResult="CONTINUE")
    assert instance not in account.states()


def test_an_abandoned_action_ends_the_others(account: Account) -> None:
    (instance,) = account.scaled()
    for name in ("a", "b"):
        account.lifecycle_hook(name)
    account.terminate(instance)
    action(account, "complete_lifecycle_action", instance, "a", LifecycleActionResult="ABANDON")
    assert instance not in account.states()


def test_an_action_expires_after_its_heartbeat_timeout(account: Account) -> None:
    (instance,) = account.scaled()
    account.lifecycle_hook(timeout=60)
    account.terminate(instance)
    account.clock.sleep(59)
    assert account.states()[instance] == "Terminating:Wait"
    account.clock.sleep(1)
    assert instance not in account.states()
    assert account.aws.balancing.results == {(instance, "drain"): "EXPIRED"}


def test_a_heartbeat_begins_the_timeout_anew(account: Account) -> None:
    (instance,) = account.scaled()
    account.lifecycle_hook(timeout=60)
    account.terminate(instance)
    account.clock.sleep(59)
    action(account, "record_lifecycle_action_heartbeat", instance)
    account.clock.sleep(59)
    assert account.states()[instance] == "Terminating:Wait"
    account.clock.sleep(1)
    assert instance not in account.states()


@pytest.mark.parametrize("call", ["complete_lifecycle_action", "record_lifecycle_action_heartbeat"])
def test_without_an_action_there_is_nothing_to_hold_up_or_to_complete(account: Account, call: str) -> None:
    (instance,) = account.scaled()
    account.lifecycle_hook()
    more = {"LifecycleActionResult": "CONTINUE"} if call.startswith("complete") else {}
    with pytest.raises(ClientError, match="No active Lifecycle Action found"):
        action(account, call, instance, **more)


def test_an_instance_of_no_group_has_no_health(account: Account) -> None:
    with pytest.raises(ClientError, match="No managed instance found"):
        account.autoscaling.set_instance_health(InstanceId=account.instance(), HealthStatus="Unhealthy")
