"""Target groups with draining, ports and pages.

Sources: Elastic Load Balancing API reference (RegisterTargets, DeregisterTargets, DescribeTargetHealth,
DescribeTargetGroups), user guide ("Deregistration delay", "Target health status").
"""

from collections.abc import Mapping
from typing import Any, Final

from moto.core.responses import ActionResult, EmptyResult
from moto.elbv2.exceptions import ELBClientError, TargetGroupNotFoundError
from moto.elbv2.responses import ELBV2Response
from moto.moto_server.werkzeug_app import BackendRequest

from spotwatch.simulate.strict_aws.world import World
from tests.strict_balancers.world import Balancing, Registration

PAGES: Final = range(1, 401)


class StrictTargetGroups(ELBV2Response):
    """One request to ELBv2. Where a method is not here, moto's holds."""

    def __init__(self, world: World, balancing: Balancing) -> None:
        super().__init__()
        self._world = world
        self._balancing = balancing

    def answer(self, request: BackendRequest) -> Any:
        """Status, headers and body."""
        self.setup_class(request)
        return self.call_action()

    def register_targets(self) -> ActionResult:
        """With its port; a target that drains is in service again."""
        group = self._group()
        for target in self._get_param("Targets", []):
            self._refuse_zone(group, target)
            self._targets(group)[self._key(group, target)] = Registration(target.get("AvailabilityZone", ""))
        return EmptyResult()

    def deregister_targets(self) -> ActionResult:
        """Draining, for the deregistration delay; without a port the group's. A target that is not there is fine."""
        group = self._group()
        delay = float(group.attributes["deregistration_delay.timeout_seconds"])
        for target in self._get_param("Targets", []):
            self._refuse_zone(group, target)
            found = self._targets(group).get(self._key(group, target))
            if found is not None and found.drains_until is None:
                found.drains_until = self._now() + (delay if group.load_balancer_arns else 0.0)
        return EmptyResult()

    def describe_target_health(self) -> ActionResult:
        """All that are registered or drain; one that was asked for and is neither is unused."""
        group = self._group()
        targets = self._targets(group)
        for key, each in list(targets.items()):
            if each.drains_until is not None and each.drains_until <= self._now():
                del targets[key]
        asked = [self._key(group, each) for each in self._get_param("Targets", [])] or list(targets)
        return ActionResult({"TargetHealthDescriptions": [_health(group, key, targets.get(key)) for key in asked]})

    def describe_target_groups(self) -> ActionResult:
        """In pages, unless ARNs or names were asked for."""
        size = self._get_param("PageSize")
        if size is not None and int(size) not in PAGES:
            raise ELBClientError("ValidationError", f"The page size '{size}' must be between 1 and 400")
        found: Any = super().describe_target_groups().result
        groups = sorted(found["TargetGroups"], key=lambda group: str(group.arn))
        start, most = int(self._get_param("Marker") or 0), min(int(size or 400), self._world.page or 400)
        following = str(start + most) if len(groups) > start + most else None
        return ActionResult({"TargetGroups": groups[start : start + most], "NextMarker": following})

    def _group(self) -> Any:
        group = self.elbv2_backend.target_groups.get(self._get_param("TargetGroupArn"))
        if group is None:
            raise TargetGroupNotFoundError
        return group

    def _targets(self, group: Any) -> dict[tuple[str, int], Registration]:
        return self._balancing.targets.setdefault(group.arn, {})

    @staticmethod
    def _key(group: Any, target: Mapping[str, Any]) -> tuple[str, int]:
        return target["Id"], int(target.get("Port") or group.port)

    @staticmethod
    def _refuse_zone(group: Any, target: Mapping[str, Any]) -> None:
        if group.target_type == "instance" and "AvailabilityZone" in target:
            raise ELBClientError(
                "ValidationError", "You cannot specify an Availability Zone for a target of type instance"
            )

    def _now(self) -> float:
        return self._world.schedule._clock()


def _health(group: Any, key: tuple[str, int], found: Registration | None) -> dict[str, Any]:
    target = {"Id": key[0], "Port": key[1], **({"AvailabilityZone": found.zone} if found and found.zone else {})}
    if found is None:
        health = {"State": "unused", "Reason": "Target.NotRegistered"}
    elif found.drains_until is not None:
        health = {"State": "draining", "Reason": "Target.DeregistrationInProgress"}
    elif not group.load_balancer_arns:
        health = {"State": "unused", "Reason": "Target.NotInUse"}
    else:
        health = {"State": found.state}
    return {"Target": target, "TargetHealth": health}
