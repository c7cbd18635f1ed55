"""An instance as a member of an Auto Scaling group, in the words of EC2 Auto Scaling."""

from dataclasses import dataclass

DETACHING = "Detaching"
STANDBY = "Standby"

_LEAVING = ("Terminating", "Terminated", "Detaching", "Detached")


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a group.

    Attributes:
        instance_id: the instance.
        group: the group's name.
        state: its lifecycle state, such as `InService` or `Terminating:Wait`.
        is_healthy: what the group believes of its health.
    """

    instance_id: str
    group: str
    state: str
    is_healthy: bool

    @property
    def is_leaving(self) -> bool:
        """Whether the group has already begun to terminate or to detach it, a return to the warm pool included."""
        return self.state.startswith(_LEAVING) or ":Terminating" in self.state

    @property
    def is_held_up(self) -> bool:
        """Whether its termination, or its return to the warm pool, waits for a lifecycle action."""
        return self.state.endswith("Terminating:Wait")

    @property
    def may_be_held_up_soon(self) -> bool:
        """Whether its termination has begun, and no lifecycle action yet."""
        return self.state.endswith("Terminating")


@dataclass(frozen=True, slots=True)
class TerminationHook:
    """A lifecycle hook for `autoscaling:EC2_INSTANCE_TERMINATING`.

    Attributes:
        name: unique in its group.
        heartbeat_timeout: seconds from the beginning of an action, or from its last heartbeat, until Auto Scaling goes
            on without waiting for its completion.
    """

    name: str
    heartbeat_timeout: float
