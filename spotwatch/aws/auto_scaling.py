"""EC2 Auto Scaling, for an instance that leaves its group, and for the lifecycle actions that hold up its end.

What this survives: a call that was done although its answer got lost (done again it is refused, and the state tells
that it was done), and a group that is being changed by somebody else at the moment (`ResourceContention`).
"""

from collections.abc import Callable
from typing import Any, Final

from spotwatch.aws.session import Api
from spotwatch.core.auto_scaling import STANDBY, Member, TerminationHook
from spotwatch.core.errors import AwsConflict, AwsRefused, AwsUnsettled

TERMINATING: Final = "autoscaling:EC2_INSTANCE_TERMINATING"

_NO_ACTION: Final = "No active Lifecycle Action"
"""Auto Scaling has one error code, `ValidationError`, for most refusals; this is how the message of this one begins."""


class AutoScaling:
    """EC2 Auto Scaling; implements `spotwatch.hooks.services.AutoScaling`."""

    def __init__(self, autoscaling: Api) -> None:
        self._autoscaling = autoscaling

    def member(self, instance_id: str) -> Member | None:
        """The instance as a member of its group; None if it is in none (any more)."""
        told = self._autoscaling.call("DescribeAutoScalingInstances", InstanceIds=[instance_id])
        for each in told["AutoScalingInstances"]:
            healthy = str(each["HealthStatus"]).upper() == "HEALTHY"
            return Member(instance_id, each["AutoScalingGroupName"], each["LifecycleState"], healthy)
        return None

    def enter_standby(self, member: Member, *, decrement: bool) -> None:
        """Begin to put it into standby; no error if it is there, or on its way."""
        try:
            self._change("EnterStandby", **_of_group(member), ShouldDecrementDesiredCapacity=decrement)
        except AwsRefused:
            now = self.member(member.instance_id)
            if now is not None and not now.is_leaving and not now.state.endswith(STANDBY):
                raise

    def detach(self, member: Member, *, decrement: bool) -> None:
        """Begin to take it out of its group; no error if it is out, or on its way."""
        try:
            self._change("DetachInstances", **_of_group(member), ShouldDecrementDesiredCapacity=decrement)
        except AwsRefused:
            now = self.member(member.instance_id)
            if now is not None and not now.is_leaving:
                raise

    def set_unhealthy(self, member: Member) -> None:
        """Have the group replace it, whatever its grace period."""
        self._change(
            "SetInstanceHealth",
            InstanceId=member.instance_id,
            HealthStatus="Unhealthy",
            ShouldRespectGracePeriod=False,
        )

    def termination_hooks(self, group: str) -> tuple[TerminationHook, ...]:
        """The lifecycle hooks that hold up the termination of the group's instances."""
        told = self._autoscaling.call("DescribeLifecycleHooks", AutoScalingGroupName=group)["LifecycleHooks"]
        return tuple(
            TerminationHook(each["LifecycleHookName"], float(each["HeartbeatTimeout"]))
            for each in told
            if each["LifecycleTransition"] == TERMINATING
        )

    def heartbeat(self, member: Member, hook: str) -> bool:
        """Begin the time of a lifecycle action anew; False if there is none to be held up (yet, or any more)."""
        return self._is_active(lambda: self._change("RecordLifecycleActionHeartbeat", **_of_action(member, hook)))

    def complete(self, member: Member, hook: str, result: str) -> bool:
        """End a lifecycle action; False if there is none to be ended (yet, or any more)."""
        return self._is_active(
            lambda: self._change("CompleteLifecycleAction", **_of_action(member, hook), LifecycleActionResult=result)
        )

    def _change(self, operation: str, **parameters: Any) -> None:
        def attempt() -> None:
            try:
                self._autoscaling.attempt(operation, **parameters)
            except AwsConflict as error:
                if error.code != "ResourceContention":
                    raise
                raise AwsUnsettled(error.message, code=error.code, hint="somebody else is changing the group") from None

        self._autoscaling.wait_for(attempt)

    @staticmethod
    def _is_active(change: Callable[[], None]) -> bool:
        try:
            change()
        except AwsRefused as error:
            if _NO_ACTION not in error.message:
                raise
            return False
        return True


def _of_group(member: Member) -> dict[str, Any]:
    return {"InstanceIds": [member.instance_id], "AutoScalingGroupName": member.group}


def _of_action(member: Member, hook: str) -> dict[str, Any]:
    return {"InstanceId": member.instance_id, "AutoScalingGroupName": member.group, "LifecycleHookName": hook}
