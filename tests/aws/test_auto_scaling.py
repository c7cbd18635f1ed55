"""Auto Scaling as AWS's client brings it; the hooks' tests go through the rest of it."""

from collections.abc import Callable
from typing import Any

import pytest

from spotwatch.aws.auto_scaling import AutoScaling
from spotwatch.aws.session import Api, patiently
from spotwatch.core.auto_scaling import Member, TerminationHook
from spotwatch.core.errors import AwsConflict, AwsUnsettled
from tests.balancers import Account, HookClock


class BusyApi(Api):
    """Somebody else changes the group: so many calls are refused for that."""

    def __init__(self, clock: HookClock, refusals: int, code: str) -> None:
        self.service = "autoscaling"
        self.calls: list[str] = []
        self._manual, self._refusals, self._word = clock, refusals, code

    def attempt(self, operation: str, **_: Any) -> dict[str, Any]:
        self.calls.append(operation)
        if len(self.calls) <= self._refusals:
            raise AwsConflict("autoscaling: busy", code=self._word)
        return {}

    def wait_for(self, look: Callable[[], Any]) -> Any:
        return patiently(60.0, self._manual)(look)


MEMBER = Member("i-0", "workers", "InService", is_healthy=True)


def test_a_group_that_somebody_else_is_changing_is_waited_for() -> None:
    api = BusyApi(HookClock(), 3, "ResourceContention")
    AutoScaling(api).set_unhealthy(MEMBER)
    assert api.calls == ["SetInstanceHealth"] * 4


def test_a_group_that_is_being_changed_for_good_is_an_error() -> None:
    with pytest.raises(AwsUnsettled, match="busy"):
        AutoScaling(BusyApi(HookClock(), 1000, "ResourceContention")).set_unhealthy(MEMBER)


def test_another_conflict_is_not_tried_again() -> None:
    api = BusyApi(HookClock(), 3, "ResourceInUse")
    with pytest.raises(AwsConflict):
        AutoScaling(api).set_unhealthy(MEMBER)
    assert api.calls == ["SetInstanceHealth"]


def test_only_lifecycle_hooks_for_terminating_instances_are_told(account: Account) -> None:
    account.scaled()
    account.lifecycle_hook("launch", terminating=False)
    account.lifecycle_hook("drain", timeout=300)
    aws = account.services("i-0").auto_scaling("eu-west-1", 60)
    assert list(aws.termination_hooks("workers")) == [TerminationHook("drain", 300.0)]


@pytest.mark.parametrize(
    ("state", "leaving", "held_up", "soon"),
    [
        ("InService", False, False, False),
        ("Terminating", True, False, True),
        ("Terminating:Wait", True, True, False),
        ("Terminating:Proceed", True, False, False),
        ("Warmed:Terminating", True, False, True),
        ("Warmed:Terminating:Wait", True, True, False),
        ("Standby", False, False, False),
        ("EnteringStandby", False, False, False),
        ("Detaching", True, False, False),
        ("Pending:Wait", False, False, False),
    ],
)
def test_each_lifecycle_state_has_its_meaning(state: str, leaving: bool, held_up: bool, soon: bool) -> None:
    member = Member("i-0", "workers", state, is_healthy=True)
    assert (member.is_leaving, member.is_held_up, member.may_be_held_up_soon) == (leaving, held_up, soon)
