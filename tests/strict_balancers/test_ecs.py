"""Each rule of the double's container instances, by itself."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotwatch.core.container_instance import ContainerInstance
from tests.balancers import Account


def drain(account: Account, instance: ContainerInstance) -> Any:
    return account.ecs.update_container_instances_state(
        cluster=instance.cluster, containerInstances=[instance.arn], status="DRAINING"
    )


def status(account: Account, instance: ContainerInstance, task: str) -> tuple[str, str]:
    """What ECS wants of a task, and what it is."""
    told = account.ecs.describe_tasks(cluster=instance.cluster, tasks=[task])["tasks"][0]
    return told["desiredStatus"], told["lastStatus"]


def test_the_task_of_a_service_is_told_to_stop_and_ends_later(account: Account) -> None:
    instance = account.container_instance()
    task = account.task(instance, "service:web")
    account.delays.told, account.delays.stopped = 2, 5
    drain(account, instance)
    assert account.container_status(instance) == "DRAINING"
    assert status(account, instance, task) == ("RUNNING", "RUNNING")
    account.clock.sleep(2)
    assert status(account, instance, task) == ("STOPPED", "STOPPING")
    account.clock.sleep(5)
    assert status(account, instance, task) == ("STOPPED", "STOPPED")


def test_a_task_of_no_service_runs_on(account: Account) -> None:
    instance = account.container_instance()
    task = account.task(instance, "family:batch")
    drain(account, instance)
    account.clock.sleep(3600)
    assert status(account, instance, task) == ("RUNNING", "RUNNING")


def test_a_task_that_is_stopped_by_hand_ends_later(account: Account) -> None:
    instance = account.container_instance()
    task = account.task(instance, "family:batch")
    account.delays.stopped = 5
    account.ecs.stop_task(cluster=instance.cluster, task=task)
    assert status(account, instance, task) == ("STOPPED", "STOPPING")
    account.clock.sleep(5)
    assert status(account, instance, task) == ("STOPPED", "STOPPED")


def test_tasks_are_listed_by_what_is_wanted_of_them_in_pages(account: Account) -> None:
    instance = account.container_instance()
    tasks = {account.task(instance, "family:batch") for _ in range(3)}
    account.ecs.stop_task(cluster=instance.cluster, task=account.task(instance, "family:batch"))
    account.aws.world.page = 2
    first = account.ecs.list_tasks(cluster=instance.cluster, containerInstance=instance.arn)
    second = account.ecs.list_tasks(
        cluster=instance.cluster, containerInstance=instance.arn, nextToken=first["nextToken"]
    )
    assert {*first["taskArns"], *second["taskArns"]} == tasks


def test_a_container_instance_that_is_not_registered_is_missing(account: Account) -> None:
    account.ecs.create_cluster(clusterName="apps")
    told = drain(account, ContainerInstance("apps", "0123456789abcdef"))
    assert [failure["reason"] for failure in told["failures"]] == ["MISSING"]


def test_at_most_a_hundred_tasks_are_described_at_once(account: Account) -> None:
    instance = account.container_instance()
    with pytest.raises(ClientError, match="InvalidParameterException"):
        account.ecs.describe_tasks(cluster=instance.cluster, tasks=[f"{number:032}" for number in range(101)])
