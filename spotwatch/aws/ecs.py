"""Amazon ECS, for a container instance that drains.

What this survives: an instance that somebody else has set to DRAINING, or has deregistered, and more tasks than one
answer holds.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from spotwatch.aws.session import Api
from spotwatch.core.container_instance import ContainerInstance, Task
from spotwatch.core.errors import AwsConflict, AwsNotFound, AwsRefused

MOST_TASKS: Final = 100
"""In one call of DescribeTasks."""

_GONE: Final = ("MISSING", "INACTIVE")


class Ecs:
    """Amazon ECS; implements `spotwatch.hooks.services.Ecs`."""

    def __init__(self, ecs: Api) -> None:
        self._ecs = ecs

    def drain(self, instance: ContainerInstance) -> None:
        """Set it to DRAINING; no error if it is that already.

        Raises:
            AwsNotFound: it is not registered (any more).
            AwsRefused: there is no such cluster.
            AwsConflict: ECS cannot drain it as it is, such as while it is being registered.
        """
        try:
            told = self._ecs.call(
                "UpdateContainerInstancesState",
                cluster=instance.cluster,
                containerInstances=[instance.arn],
                status="DRAINING",
            )
        except (AwsRefused, AwsNotFound) as error:
            raise _gone(error) from None
        for failure in told.get("failures", ()):
            reason = failure.get("reason", "")
            kind = AwsNotFound if reason in _GONE else AwsConflict
            raise kind(f"ecs:UpdateContainerInstancesState: {instance.arn}: {reason}", code=reason)

    def unfinished_tasks(self, instance: ContainerInstance) -> tuple[Task, ...]:
        """Its tasks that have not stopped, also those that are on their way to it.

        A task that is to stop still ends its requests for as long as its containers run, though ECS lists it among
        those that are to be stopped, with those that have stopped in the last hour.
        """
        arns = [arn for wanted in ("RUNNING", "STOPPED") for arn in self._arns(instance, wanted)]
        told = (task for start in range(0, len(arns), MOST_TASKS) for task in self._told(instance, arns[start:]))
        return tuple(_task(task) for task in told if task.get("lastStatus") != "STOPPED")

    def _arns(self, instance: ContainerInstance, wanted: str) -> Iterator[str]:
        pages = self._ecs.pages(
            "ListTasks",
            asked="nextToken",
            told="nextToken",
            cluster=instance.cluster,
            containerInstance=instance.arn,
            desiredStatus=wanted,
        )
        try:
            for page in pages:
                yield from page["taskArns"]
        except (AwsRefused, AwsNotFound) as error:
            raise _gone(error) from None

    def _told(self, instance: ContainerInstance, arns: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        """Of the first hundred; those that are forgotten meanwhile are left out."""
        tasks: Sequence[Mapping[str, Any]] = self._ecs.call(
            "DescribeTasks", cluster=instance.cluster, tasks=list(arns[:MOST_TASKS])
        )["tasks"]
        return tasks


def _gone(error: AwsRefused | AwsNotFound) -> AwsRefused | AwsNotFound:
    """An instance that is not registered is a wrong parameter to ECS; a cluster that is not there is our mistake."""
    if error.code == "ClusterNotFoundException":
        return AwsRefused(error.message, code=error.code, hint="correct --cluster; see its region and account too")
    if "container instance" in error.message.lower():
        return AwsNotFound(error.message, code=error.code)
    return error


def _task(told: Mapping[str, Any]) -> Task:
    return Task(
        id=told["taskArn"].rpartition("/")[2],
        group=told.get("group", ""),
        status=told.get("lastStatus", ""),
        is_to_stop=told.get("desiredStatus") == "STOPPED",
    )
