"""ECS as AWS's client brings it; the hook's tests go through the rest of it."""

import pytest

from spotwatch.core.container_instance import ContainerInstance
from spotwatch.core.errors import AwsNotFound, AwsRefused
from tests.balancers import Account


def test_more_than_a_hundred_tasks_are_asked_for_in_several_calls(account: Account) -> None:
    instance = account.container_instance()
    tasks = {account.task(instance, "family:batch").rpartition("/")[2] for _ in range(101)}
    found = account.services("i-0").ecs("eu-west-1", 60).unfinished_tasks(instance)
    assert {task.id for task in found} == tasks
    assert account.aws.count("ecs:DescribeTasks") == 2


def test_an_instance_that_is_not_registered_is_not_found(account: Account) -> None:
    account.ecs.create_cluster(clusterName="apps")
    ecs = account.services("i-0").ecs("eu-west-1", 60)
    gone = ContainerInstance("apps", "0123456789abcdef")
    with pytest.raises(AwsNotFound):
        ecs.drain(gone)
    with pytest.raises(AwsNotFound):
        ecs.unfinished_tasks(gone)


def test_a_cluster_that_does_not_exist_is_refused_with_what_to_correct(account: Account) -> None:
    ecs = account.services("i-0").ecs("eu-west-1", 60)
    lost = ContainerInstance("no-such-cluster", "0123456789abcdef")
    for ask in (ecs.drain, ecs.unfinished_tasks):
        with pytest.raises(AwsRefused) as caught:
            ask(lost)
        assert "--cluster" in caught.value.hint
