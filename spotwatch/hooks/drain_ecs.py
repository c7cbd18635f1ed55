"""``drain-ecs``: ECS places no more tasks here, moves those of services elsewhere, and the last one has ended.

ECS stops the tasks of services as their `minimumHealthyPercent` allows. Tasks that no service keeps are not stopped by
it, only waited for (ECS developer guide, "Draining Amazon ECS container instances").
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Final

from spotwatch.core.container_instance import ContainerInstance, Task
from spotwatch.core.errors import AwsNotFound, EcsAgentUnavailable, UsageError
from spotwatch.hooks.services import Ecs, Services
from spotwatch.hooks.side_by_side import CUT, in_time
from spotwatch.hooks.time_left import TimeLeft

SUMMARY = "set this container instance to DRAINING, and wait until its tasks have ended"
IAM_ACTIONS: tuple[str, ...] = ("ecs:UpdateContainerInstancesState", "ecs:ListTasks", "ecs:DescribeTasks")

AGENT_URL: Final = "http://localhost:51678/v1/metadata"

AGENT_SECONDS: Final = 10.0
"""For an agent that is just being restarted; without an answer by then there is none."""

AGENT_LIMIT: Final = 2.0
"""Seconds for one answer of the agent, which is on this machine."""

POLL_SECONDS: Final = 1.0
"""Between two looks."""

NAMED: Final = 5
"""Tasks that are named, where more are left."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the words of its command line."""
    parser.add_argument(
        "--agent", metavar="URL", default=AGENT_URL, help=f"the agent's introspection endpoint (default: {AGENT_URL})"
    )
    parser.add_argument("--cluster", metavar="NAME", default="", help="do not ask the agent; with the next one")
    parser.add_argument("--container-instance", metavar="ARN", default="", help="do not ask the agent")


def run(arguments: Namespace, services: Services, *, dry_run: bool) -> int:
    """Drain it; 75 if the wait was cut by the deadline.

    Raises:
        SpotwatchError: it could not be done.
    """
    if bool(arguments.cluster) != bool(arguments.container_instance):
        raise UsageError("--cluster and --container-instance go together", hint="name both, or none of them")
    if dry_run and "SPOTWATCH_REHEARSAL" in services.environment:
        print("would set this container instance to DRAINING, and wait until its tasks have ended")
        return 0
    until = TimeLeft.of(services).until
    instance = _named(arguments) or _of_agent(arguments.agent, services, until)
    region = _region_of(instance) or services.instance().region
    ecs = in_time(lambda: services.ecs(region, until), until, services.clock, "AWS")
    if dry_run:
        tasks = in_time(lambda: ecs.unfinished_tasks(instance), until, services.clock, "ecs:ListTasks")
        print(f"would set {instance.arn} of {instance.cluster} to DRAINING; tasks: {_names(tasks)}")
        return 0
    return _drain(ecs, instance, services, until)


def _named(arguments: Namespace) -> ContainerInstance | None:
    return ContainerInstance(arguments.cluster, arguments.container_instance) if arguments.cluster else None


def _region_of(instance: ContainerInstance) -> str:
    """Of an ARN; empty if it is not a whole one."""
    parts = instance.arn.split(":")
    return parts[3] if len(parts) > 5 else ""


def _of_agent(url: str, services: Services, until: float) -> ContainerInstance:
    give_up_at = min(until, services.clock.now() + AGENT_SECONDS)
    while True:
        try:
            return in_time(
                lambda: services.ecs_agent.container_instance(url, AGENT_LIMIT),
                services.clock.now() + AGENT_LIMIT,
                services.clock,
                f"the ECS agent at {url}",
            )
        except EcsAgentUnavailable:
            if services.clock.now() + POLL_SECONDS >= give_up_at:
                raise
            services.clock.sleep(POLL_SECONDS)


def _drain(ecs: Ecs, instance: ContainerInstance, services: Services, until: float) -> int:
    clock, began = services.clock, services.clock.now()
    try:
        in_time(lambda: ecs.drain(instance), until, clock, "ecs:UpdateContainerInstancesState")
        tasks = in_time(lambda: ecs.unfinished_tasks(instance), until, clock, "ecs:ListTasks")
        at_first = len(tasks)
        while tasks:
            clock.sleep(min(POLL_SECONDS, max(0.0, until - clock.now())))
            if clock.now() >= until:
                break
            tasks = in_time(lambda: ecs.unfinished_tasks(instance), until, clock, "ecs:ListTasks")
    except AwsNotFound as error:
        print(f"{instance.arn} is not in {instance.cluster} (any more): {error.message}")
        return 0
    seconds = f"{clock.now() - began:.1f} s"
    if tasks:
        print(f"cut by the deadline: DRAINING for {seconds}, and of {at_first} tasks these still run: {_names(tasks)}")
        return CUT
    print(f"{instance.arn} of {instance.cluster} is DRAINING, and its {at_first} tasks have ended after {seconds}")
    return 0


def _names(tasks: Sequence[Task]) -> str:
    """The first ones, with their group, and whether ECS has told them to stop."""
    shown = [f"{task.id} ({task.group}, {task.status}{', to stop' if task.is_to_stop else ''})" for task in tasks]
    more = [f"and {len(shown) - NAMED} more"] if len(shown) > NAMED else []
    return ", ".join([*shown[:NAMED], *more]) or "none"
