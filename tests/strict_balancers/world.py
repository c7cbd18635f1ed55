"""What the layer remembers beside moto."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class BalancerDelays:
    """Seconds that changes take; how long a target drains is an attribute of its group.

    Attributes:
        standby: from EnteringStandby to Standby.
        detached: from Detaching until the instance is no member any more.
        unhealthy: from SetInstanceHealth until the group terminates the instance.
        waiting: from Terminating to Terminating:Wait.
        terminated: from Terminating:Proceed until the instance is no member any more.
        told: from DRAINING until ECS wants the tasks of services to stop.
        stopped: from then until such a task has stopped.
    """

    standby: float = 0.0
    detached: float = 0.0
    unhealthy: float = 1000.0
    waiting: float = 0.0
    terminated: float = 0.0
    told: float = 0.0
    stopped: float = 0.0


@dataclass(slots=True)
class Registration:
    """A target of a group; `drains_until` is None as long as nobody has deregistered it."""

    zone: str
    state: str = "healthy"
    drains_until: float | None = None


@dataclass(slots=True)
class Action:
    """A lifecycle action that a group waits for, until `expires_at`."""

    hook: str
    timeout: float
    expires_at: float
    heartbeats: int = 0


@dataclass(slots=True)
class Balancing:
    """Shared by all requests.

    Attributes:
        targets: of each target group (ARN), by id and port.
        actions: of each instance that is held up.
        results: what lifecycle actions ended with, by instance and lifecycle hook; also `EXPIRED`.
        tasks: the last status of ECS's tasks (ARN); one that is not here is running.
    """

    delays: BalancerDelays = field(default_factory=BalancerDelays)
    targets: dict[str, dict[tuple[str, int], Registration]] = field(default_factory=dict)
    actions: dict[str, dict[str, Action]] = field(default_factory=dict)
    results: dict[tuple[str, str], str] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)
