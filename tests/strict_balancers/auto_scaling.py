"""Auto Scaling groups whose changes take time and whose lifecycle hooks hold up a termination.

Sources: EC2 Auto Scaling API reference (EnterStandby, DetachInstances, SetInstanceHealth, CompleteLifecycleAction,
RecordLifecycleActionHeartbeat), user guide ("Amazon EC2 Auto Scaling instance lifecycle", "How lifecycle hooks work").
"""

from functools import partial
from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.moto_server.werkzeug_app import BackendRequest

from spotwatch.simulate.strict_aws.world import World
from tests.strict_balancers.world import Action, Balancing

TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"


class StrictAutoScaling(AutoScalingResponse):
    """One request to EC2 Auto Scaling. Where a method is not here, moto's holds."""

    def __init__(self, world: World, balancing: Balancing) -> None:
        super().__init__()
        self._world = world
        self._balancing = balancing

    def answer(self, request: BackendRequest) -> Any:
        """Status, headers and body."""
        self.setup_class(request)
        return self.call_action()

    def describe_auto_scaling_instances(self) -> ActionResult:
        """Health is in capitals here, unlike in DescribeAutoScalingGroups."""
        found = self.autoscaling_backend.describe_auto_scaling_instances(self._get_param("InstanceIds", []))
        return ActionResult({"AutoScalingInstances": [_shown(member) for member in found]})

    def enter_standby(self) -> ActionResult:
        """Only from InService, and not below the group's minimum; EnteringStandby for a while."""
        members = self._members("InService")
        self._refuse_below_minimum(members)
        entered = super().enter_standby()
        for member in members:
            member.lifecycle_state = "EnteringStandby"
            self._later(self._balancing.delays.standby, partial(_move, member, "EnteringStandby", "Standby"))
        return entered

    def detach_instances(self) -> ActionResult:
        """Detaching for a while; only then it is no member any more, and a replacement is launched."""
        members = self._members("InService", "Standby")
        self._refuse_below_minimum(members)
        decrement = self._get_bool_param("ShouldDecrementDesiredCapacity", False)
        for member in members:
            member.lifecycle_state = "Detaching"
            group, instance = member.auto_scaling_group_name, member.instance.id
            detach = partial(self.autoscaling_backend.detach_instances, group, [instance], decrement)
            self._later(self._balancing.delays.detached, detach)
        return ActionResult({"Activities": []})

    def set_instance_health(self) -> ActionResult:
        """The group terminates what is unhealthy."""
        member = self._managed(self._get_param("InstanceId"))
        done = super().set_instance_health()
        self._later(self._balancing.delays.unhealthy, partial(self._terminate, self.autoscaling_backend, member))
        return done

    def terminate_instance_in_auto_scaling_group(self) -> ActionResult:
        """Terminating, then as long in Terminating:Wait as lifecycle hooks hold it up."""
        member = self._managed(self._get_param("InstanceId"))
        self._terminate(self.autoscaling_backend, member)
        return ActionResult({"Activity": None})

    def record_lifecycle_action_heartbeat(self) -> ActionResult:
        """The action's time begins anew."""
        action = self._action()
        action.expires_at, action.heartbeats = self._now() + action.timeout, action.heartbeats + 1
        return EmptyResult()

    def complete_lifecycle_action(self) -> ActionResult:
        """The last one lets the group go on; so does ABANDON, whatever other hooks there are."""
        action, instance = self._action(), self._get_param("InstanceId")
        self._end(self.autoscaling_backend, instance, action, self._get_param("LifecycleActionResult"))
        return EmptyResult()

    # the termination

    def _terminate(self, backend: Any, member: Any) -> None:
        if not member.lifecycle_state.startswith("Terminat"):
            member.lifecycle_state = "Terminating"
            self._later(self._balancing.delays.waiting, partial(self._wait, backend, member))

    def _wait(self, backend: Any, member: Any) -> None:
        hooks = backend.describe_lifecycle_hooks(member.auto_scaling_group_name)
        mine = [hook for hook in hooks if hook.lifecycle_transition == TERMINATING]
        if not mine:
            self._proceed(backend, member)
            return
        member.lifecycle_state = "Terminating:Wait"
        for hook in mine:
            timeout = float(hook.heartbeat_timeout)
            action = Action(hook.name, timeout, self._now() + timeout)
            self._balancing.actions.setdefault(member.instance.id, {})[hook.name] = action
            self._later(timeout, partial(self._expire, backend, member.instance.id, action))

    def _expire(self, backend: Any, instance: str, action: Action) -> None:
        if self._balancing.actions.get(instance, {}).get(action.hook) is not action:
            return
        left = action.expires_at - self._now()
        if left > 0:
            self._later(left, partial(self._expire, backend, instance, action))
        else:
            self._end(backend, instance, action, "EXPIRED")

    def _end(self, backend: Any, instance: str, action: Action, result: str) -> None:
        self._balancing.results[instance, action.hook] = result
        waiting = self._balancing.actions[instance]
        del waiting[action.hook]
        if result == "ABANDON":
            waiting.clear()
        if not waiting:
            self._proceed(backend, next(iter(backend.describe_auto_scaling_instances([instance]))))

    def _proceed(self, backend: Any, member: Any) -> None:
        member.lifecycle_state = "Terminating:Proceed"
        terminate = partial(backend.terminate_instance, member.instance.id, should_decrement=False)
        self._later(self._balancing.delays.terminated, terminate)

    # what they share

    def _action(self) -> Action:
        instance, hook = self._get_param("InstanceId"), self._get_param("LifecycleHookName")
        group = self._get_param("AutoScalingGroupName")
        if hook not in [each.name for each in self.autoscaling_backend.describe_lifecycle_hooks(group)]:
            raise ValidationError(f"Lifecycle hook {hook} not found for AutoScalingGroup {group}")
        action = self._balancing.actions.get(instance, {}).get(hook)
        if action is None:
            raise ValidationError(f"No active Lifecycle Action found with instance ID {instance}")
        return action

    def _managed(self, instance: str) -> Any:
        found = self.autoscaling_backend.describe_auto_scaling_instances([instance])
        if not found:
            raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance}")
        return found[0]

    def _members(self, *states: str) -> list[Any]:
        name = self._get_param("AutoScalingGroupName")
        group = self.autoscaling_backend.autoscaling_groups.get(name)
        if group is None:
            raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup: {name} not found")
        members = []
        for instance in self._get_param("InstanceIds", []):
            member = next((each for each in group.instance_states if each.instance.id == instance), None)
            if member is None:
                raise ValidationError(f"The instance {instance} is not part of Auto Scaling group {name}.")
            if member.lifecycle_state not in states:
                raise ValidationError(f"The instance {instance} is not in {' or '.join(states)}.")
            members.append(member)
        return members

    def _refuse_below_minimum(self, members: list[Any]) -> None:
        group = self.autoscaling_backend.autoscaling_groups[self._get_param("AutoScalingGroupName")]
        decrement = self._get_bool_param("ShouldDecrementDesiredCapacity", False)
        if decrement and (group.desired_capacity or 0) - len(members) < (group.min_size or 0):
            raise ValidationError(
                f"AutoScalingGroup {group.name} has min-size={group.min_size}, max-size={group.max_size}, and "
                f"desired-size={group.desired_capacity}. Please update the AutoScalingGroup sizes appropriately."
            )

    def _later(self, seconds: float, do: Any) -> None:
        self._world.schedule.after(seconds, do)

    def _now(self) -> float:
        return self._world.schedule._clock()


def _move(member: Any, before: str, after: str) -> None:
    if member.lifecycle_state == before:
        member.lifecycle_state = after


def _shown(member: Any) -> dict[str, Any]:
    return {
        "InstanceId": member.instance.id,
        "AutoScalingGroupName": member.auto_scaling_group_name,
        "AvailabilityZone": member.availability_zone,
        "LifecycleState": member.lifecycle_state,
        "HealthStatus": member.health_status.upper(),
        "ProtectedFromScaleIn": False,
    }
