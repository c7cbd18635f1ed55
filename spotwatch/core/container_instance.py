"""An instance as a container instance of an ECS cluster, and its tasks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ContainerInstance:
    """A container instance.

    Attributes:
        cluster: the cluster's name or ARN.
        arn: its own ARN, or the last part of it.
    """

    cluster: str
    arn: str


@dataclass(frozen=True, slots=True)
class Task:
    """A task.

    Attributes:
        id: the last part of its ARN.
        group: `service:NAME`, or `family:NAME` for one that no service keeps.
        status: `RUNNING`, `DEACTIVATING`, `STOPPING`, …
        is_to_stop: whether ECS wants it to stop.
    """

    id: str
    group: str
    status: str
    is_to_stop: bool
