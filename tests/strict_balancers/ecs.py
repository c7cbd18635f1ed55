"""Container instances that drain: the tasks of services are told to stop, and end later; others run on.

Sources: ECS API reference (UpdateContainerInstancesState, ListTasks, DescribeTasks), developer guide ("Draining Amazon
ECS container instances", "Amazon ECS task lifecycle").
"""

from functools import partial
from typing import Any, Final

from moto.core.responses import ActionResult
from moto.ecs.exceptions import InvalidParameterException
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.moto_server.werkzeug_app import BackendRequest

from spotwatch.simulate.strict_aws.world import World
from tests.strict_balancers.world import Balancing

MOST: Final = 100


class StrictEcs(EC2ContainerServiceResponse):
    """One request to ECS. Where a method is not here, moto's holds."""

    def __init__(self, world: World, balancing: Balancing) -> None:
        super().__init__()
        self._world = world
        self._balancing = balancing

    def answer(self, request: BackendRequest) -> Any:
        """Status, headers and body."""
        self.setup_class(request)
        return self.call_action()

    def update_container_instances_state(self) -> ActionResult:
        """DRAINING tells the tasks of services to stop, after a while."""
        self.ecs_backend.container_instances.setdefault(self._cluster_name(), {})
        answer = super().update_container_instances_state()
        told: Any = answer.result
        if self._get_param("status") == "DRAINING":
            for instance in told["containerInstances"]:
                for task in self._tasks_of(instance.container_instance_arn):
                    if task.group.startswith("service:"):
                        self._world.schedule.after(self._balancing.delays.told, partial(self._stop, task))
        return answer

    def _stop(self, task: Any) -> None:
        if task.desired_status == "RUNNING":
            task.desired_status = "STOPPED"
            self._balancing.tasks[task.task_arn] = "STOPPING"
            ended = partial(self._balancing.tasks.__setitem__, task.task_arn, "STOPPED")
            self._world.schedule.after(self._balancing.delays.stopped, ended)

    def stop_task(self) -> ActionResult:
        """It ends later."""
        stopped = super().stop_task()
        for task in self._all_tasks():
            if self._get_param("task") in (task.task_arn, task.id):
                task.desired_status = "RUNNING"
                self._stop(task)
        return stopped

    def list_tasks(self) -> ActionResult:
        """In pages; those that are wanted to run, unless asked otherwise."""
        most = self._get_param("maxResults") or MOST
        if not 1 <= int(most) <= MOST:
            raise InvalidParameterException("maxResults must be between 1 and 100")
        instance = self._get_param("containerInstance")
        known = self.ecs_backend.container_instances.get(self._cluster_name(), {})
        self.ecs_backend._get_cluster(self._get_param("cluster", "default"))
        if instance and instance.rpartition("/")[2] not in known:
            raise InvalidParameterException("The referenced container instance was not found.")
        wanted = self._get_param("desiredStatus") or "RUNNING"
        found = [
            task.task_arn
            for task in (self._tasks_of(instance) if instance else self._all_tasks())
            if task.desired_status == wanted
        ]
        start, most = int(self._get_param("nextToken") or 0), min(int(most), self._world.page or MOST)
        following = str(start + most) if len(found) > start + most else None
        return ActionResult({"taskArns": sorted(found)[start : start + most], "nextToken": following})

    def describe_tasks(self) -> ActionResult:
        """At most a hundred, with the status that they really have."""
        asked = self._get_param("tasks", [])
        if not 1 <= len(asked) <= MOST:
            raise InvalidParameterException("Tasks cannot be empty, nor be more than 100.")
        tasks = [
            {
                "taskArn": task.task_arn,
                "group": task.group,
                "desiredStatus": task.desired_status,
                "lastStatus": self._balancing.tasks.get(task.task_arn, "RUNNING"),
            }
            for task in self._all_tasks()
            if task.task_arn in asked
        ]
        return ActionResult({"tasks": tasks, "failures": []})

    def _cluster_name(self) -> str:
        return str(self._get_param("cluster", "default")).rpartition("/")[2]

    def _all_tasks(self) -> list[Any]:
        return list(self.ecs_backend.tasks.get(self._cluster_name(), {}).values())

    def _tasks_of(self, instance: str) -> list[Any]:
        name = instance.rpartition("/")[2]
        return [task for task in self._all_tasks() if (task.container_instance_arn or "").rpartition("/")[2] == name]
