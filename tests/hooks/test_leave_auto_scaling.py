"""leave-auto-scaling, in a group whose changes take time and whose lifecycle hooks hold up terminations."""

import os
import subprocess
import sys
import threading
import time

import pytest

from spotwatch.core.errors import AwsBroken, AwsDenied, AwsRefused, NotInTime, UsageError
from spotwatch.simulate.strict_aws import Fault
from tests.balancers import DRAIN, GROUP, Account, HookServices, RunHook

pytestmark = pytest.mark.slow

NAME = "leave-auto-scaling"
LIFECYCLE = {
    "SPOTWATCH_EVENT": "lifecycle",
    "SPOTWATCH_ACTION": "Terminated",
    "SPOTWATCH_TIMEOUT": "590",
    "SPOTWATCH_SECONDS_LEFT": "600",
}


@pytest.fixture
def instance(account: Account) -> str:
    """A member of a group of one."""
    (instance,) = account.scaled()
    return instance


@pytest.fixture
def held_up(account: Account, instance: str) -> str:
    """A member whose termination waits for the lifecycle hook `drain`, for 60 s."""
    account.lifecycle_hook(timeout=60)
    account.terminate(instance)
    return instance


def lifecycle(account: Account, instance: str, **more: str) -> HookServices:
    return account.services(instance, **{**LIFECYCLE, **more})


def test_it_is_detached_by_default_and_a_replacement_launched(
    account: Account, instance: str, run_hook: RunHook
) -> None:
    account.delays.detached = 5
    code, out = run_hook(NAME, account.services(instance))
    assert (code, out) == (0, f"detach of {instance} from {GROUP}: in no group after 5.0 s\n")
    assert instance not in account.states()
    assert account.desired() == 1


def test_standby_is_waited_for(account: Account, instance: str, run_hook: RunHook) -> None:
    account.delays.standby = 5
    code, out = run_hook(NAME, account.services(instance), "--how", "standby")
    assert (code, out) == (0, f"standby of {instance} from {GROUP}: Standby in {GROUP} after 5.0 s\n")
    assert sorted(account.states().values()) == ["InService", "Standby"]


@pytest.mark.parametrize("how", ["standby", "detach"])
def test_with_decrement_no_replacement_is_launched(
    account: Account, instance: str, run_hook: RunHook, how: str
) -> None:
    assert run_hook(NAME, account.services(instance), "--how", how, "--decrement")[0] == 0
    assert (account.desired(), set(account.states()) - {instance}) == (0, set())


def test_unhealthy_has_the_group_replace_it(account: Account, instance: str, run_hook: RunHook) -> None:
    code, out = run_hook(NAME, account.services(instance), "--how", "unhealthy")
    assert (code, out) == (
        0,
        f"unhealthy of {instance} from {GROUP}: InService in {GROUP} and unhealthy after 0.0 s\n",
    )


@pytest.mark.parametrize("how", ["standby", "detach"])
def test_half_done_and_run_again_it_only_waits(account: Account, instance: str, run_hook: RunHook, how: str) -> None:
    account.delays.standby = account.delays.detached = 30
    cut = account.services(instance, **{**DRAIN, "SPOTWATCH_TIMEOUT": "5"})
    with pytest.raises(NotInTime, match=f"cut by the deadline: {instance} is still "):
        run_hook(NAME, cut, "--how", how)
    assert account.clock.now() == 4
    assert run_hook(NAME, account.services(instance), "--how", how)[0] == 0
    assert account.clock.now() == 30


@pytest.mark.parametrize("how", ["standby", "detach", "unhealthy", "lifecycle"])
def test_what_is_in_no_group_has_nothing_to_leave(account: Account, run_hook: RunHook, how: str) -> None:
    instance = account.instance()
    code, out = run_hook(NAME, account.services(instance), "--how", how)
    assert (code, out) == (0, f"{instance} is in no Auto Scaling group: nothing to leave\n")


def test_unhealthy_twice_is_unhealthy_once(account: Account, instance: str, run_hook: RunHook) -> None:
    for _ in range(2):
        assert run_hook(NAME, account.services(instance), "--how", "unhealthy")[0] == 0
    assert list(account.states()) == [instance]


def test_what_the_group_terminates_already_is_left_alone(account: Account, held_up: str, run_hook: RunHook) -> None:
    code, out = run_hook(NAME, account.services(held_up), "--how", "detach")
    assert (code, out) == (0, f"{held_up} is Terminating:Wait in {GROUP}: it leaves already\n")


def test_a_group_at_its_minimum_says_so(account: Account, run_hook: RunHook) -> None:
    (instance,) = account.scaled(minimum=1)
    with pytest.raises(AwsRefused, match="has min-size=1"):
        run_hook(NAME, account.services(instance), "--how", "standby", "--decrement")


def test_two_instances_leave_at_the_same_time(account: Account, run_hook: RunHook) -> None:
    both = account.scaled(size=2)
    hooks = [threading.Thread(target=run_hook, args=(NAME, account.services(each))) for each in both]
    for hook in hooks:
        hook.start()
    for hook in hooks:
        hook.join()
    assert not set(both) & set(account.states())
    assert account.desired() == 2


# Lifecycle actions


def test_a_lifecycle_action_is_completed(account: Account, held_up: str, run_hook: RunHook) -> None:
    code, out = run_hook(NAME, lifecycle(account, held_up))
    assert (code, out) == (0, f"lifecycle hook drain of {GROUP}: completed with CONTINUE\n")
    assert account.aws.balancing.results == {(held_up, "drain"): "CONTINUE"}


def test_all_lifecycle_hooks_are_completed_but_none_of_launching_ones(
    account: Account, instance: str, run_hook: RunHook
) -> None:
    for name in ("a", "b"):
        account.lifecycle_hook(name)
    account.lifecycle_hook("launch", terminating=False)
    account.terminate(instance)
    assert run_hook(NAME, lifecycle(account, instance))[0] == 0
    assert account.aws.balancing.results == {(instance, "a"): "CONTINUE", (instance, "b"): "CONTINUE"}


def test_only_the_named_lifecycle_hook_is_completed(account: Account, instance: str, run_hook: RunHook) -> None:
    for name in ("ours", "theirs"):
        account.lifecycle_hook(name)
    account.terminate(instance)
    assert run_hook(NAME, lifecycle(account, instance), "--lifecycle-hook", "ours", "--result", "CONTINUE")[0] == 0
    assert account.aws.balancing.results == {(instance, "ours"): "CONTINUE"}
    assert account.states()[instance] == "Terminating:Wait"


def test_a_lifecycle_hook_that_is_not_there_is_a_mistake_of_the_words(
    account: Account, held_up: str, run_hook: RunHook
) -> None:
    with pytest.raises(UsageError, match="has no lifecycle hook dran"):
        run_hook(NAME, lifecycle(account, held_up), "--lifecycle-hook", "dran")


def test_an_action_that_is_about_to_begin_is_waited_for(account: Account, instance: str, run_hook: RunHook) -> None:
    account.lifecycle_hook()
    account.delays.waiting = 4
    account.terminate(instance)
    assert run_hook(NAME, lifecycle(account, instance))[0] == 0
    assert account.clock.now() == 4
    assert account.aws.balancing.results == {(instance, "drain"): "CONTINUE"}


def test_a_completed_action_is_not_missed(account: Account, held_up: str, run_hook: RunHook) -> None:
    account.delays.terminated = 30
    assert run_hook(NAME, lifecycle(account, held_up))[0] == 0
    code, out = run_hook(NAME, lifecycle(account, held_up))
    assert (code, out) == (0, f"{held_up} is Terminating:Proceed in {GROUP}: it waits for no lifecycle action\n")


def test_two_instances_complete_their_own_actions_at_the_same_time(account: Account, run_hook: RunHook) -> None:
    both = account.scaled(size=2)
    account.lifecycle_hook(timeout=3600)
    for each in both:
        account.terminate(each)
    hooks = [threading.Thread(target=run_hook, args=(NAME, lifecycle(account, each))) for each in both]
    for hook in hooks:
        hook.start()
    for hook in hooks:
        hook.join()
    assert account.aws.balancing.results == {(each, "drain"): "CONTINUE" for each in both}


def test_an_announced_termination_that_does_not_show_yet_is_waited_for(
    account: Account, instance: str, run_hook: RunHook
) -> None:
    account.lifecycle_hook()
    account.aws.world.schedule.after(3, lambda: None)
    code, out = run_hook(NAME, lifecycle(account, instance))
    assert (code, out) == (0, f"{instance} is InService in {GROUP}: it waits for no lifecycle action\n")
    assert account.clock.now() == 10


def test_a_group_without_lifecycle_hooks_waits_for_nobody(account: Account, instance: str, run_hook: RunHook) -> None:
    code, out = run_hook(NAME, lifecycle(account, instance))
    assert (code, out) == (0, f"{GROUP} has no lifecycle hook for terminating instances: nothing waits for us\n")


# Heartbeats


def test_heartbeats_go_on_while_other_hooks_of_the_stage_run(account: Account, held_up: str, run_hook: RunHook) -> None:
    services = lifecycle(account, held_up)
    services.companions = [["finish-jobs"]] * 200 + [[]]
    code, out = run_hook(NAME, services, "--heartbeat")
    assert code == 0
    assert account.clock.now() > 180  # three times the timeout
    assert account.states()[held_up] == "Terminating:Wait"
    assert out == "11 heartbeats, 60 s each, to drain: the other hooks of the stage are over\n"


def test_one_heartbeat_is_enough_if_it_lasts_longer_than_the_drain(
    account: Account, instance: str, run_hook: RunHook
) -> None:
    account.lifecycle_hook(timeout=3600)
    account.terminate(instance)
    code, out = run_hook(NAME, lifecycle(account, instance), "--heartbeat")
    assert (code, out) == (0, "1 heartbeats, 3600 s each, to drain: no more are needed in 600 s\n")
    assert account.aws.balancing.actions[instance]["drain"].heartbeats == 1


def test_heartbeats_end_at_the_deadline_and_say_so(account: Account, held_up: str, run_hook: RunHook) -> None:
    services = lifecycle(account, held_up)
    services.companions = [["finish-jobs"]]
    code, out = run_hook(NAME, services, "--heartbeat")
    assert (code, account.clock.now()) == (75, 589)
    assert out.endswith("cut by the deadline, while other hooks of the stage ran\n")
    assert account.states()[held_up] == "Terminating:Wait"


def test_heartbeats_end_with_the_action(account: Account, held_up: str, run_hook: RunHook) -> None:
    services = lifecycle(account, held_up)
    services.companions = [["finish-jobs"]]
    account.delays.terminated = 1000
    account.aws.world.schedule.after(30, lambda: complete(account, held_up))
    code, out = run_hook(NAME, services, "--heartbeat")
    assert code == 0
    assert out.endswith("the action is over\n")
    assert account.clock.now() < 60


def complete(account: Account, instance: str) -> None:
    """As somebody else would, from within a request."""
    del account.aws.balancing.actions[instance]["drain"]


def test_without_a_journal_one_heartbeat_is_sent(account: Account, held_up: str, run_hook: RunHook) -> None:
    code, out = run_hook(NAME, lifecycle(account, held_up), "--heartbeat")
    assert (code, out) == (0, "1 heartbeats, 60 s each, to drain: the journal does not say who else runs\n")


def test_two_heartbeats_may_fail(account: Account, held_up: str, run_hook: RunHook) -> None:
    services = lifecycle(account, held_up)
    services.companions = [["finish-jobs"]] * 30 + [[]]
    account.aws.plan(Fault.DENIED, "autoscaling:RecordLifecycleActionHeartbeat", 2)
    assert run_hook(NAME, services, "--heartbeat")[0] == 0
    assert account.states()[held_up] == "Terminating:Wait"


def test_heartbeats_that_are_denied_to_the_last_name_the_iam_action(
    account: Account, held_up: str, run_hook: RunHook
) -> None:
    services = lifecycle(account, held_up)
    services.companions = [["finish-jobs"]] * 5 + [[]]
    account.aws.plan(Fault.DENIED, "autoscaling:RecordLifecycleActionHeartbeat", 1000)
    with pytest.raises(AwsDenied) as raised:
        run_hook(NAME, services, "--heartbeat")
    assert raised.value.hint == "allow the IAM action autoscaling:RecordLifecycleActionHeartbeat"


# Words, faults


@pytest.mark.parametrize(
    "words", [("--how", "detach", "--heartbeat"), ("--how", "unhealthy", "--decrement"), ("--heartbeat",)]
)
def test_words_that_contradict_each_other_are_refused(
    account: Account, instance: str, run_hook: RunHook, words: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError):
        run_hook(NAME, account.services(instance), *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--how", "standby"), "would have standby for {}, which is Terminating:Wait in workers\n"),
        (("--how", "lifecycle"), "would complete drain of Terminating:Wait in workers\n"),
        (("--how", "lifecycle", "--heartbeat"), "would hold up drain of Terminating:Wait in workers\n"),
    ],
)
def test_a_dry_run_changes_nothing(
    account: Account, held_up: str, run_hook: RunHook, words: tuple[str, ...], said: str
) -> None:
    code, out = run_hook(NAME, account.services(held_up), *words, dry_run=True)
    assert (code, out) == (0, said.format(held_up))
    assert account.states()[held_up] == "Terminating:Wait"


def test_a_rehearsal_asks_aws_nothing(account: Account, run_hook: RunHook) -> None:
    assert run_hook(NAME, account.services("i-0", SPOTWATCH_REHEARSAL="1"), dry_run=True)[0] == 0
    assert account.aws.calls == []


@pytest.mark.parametrize(
    ("how", "call"),
    [
        ("standby", "DescribeAutoScalingInstances"),
        ("standby", "EnterStandby"),
        ("detach", "DetachInstances"),
        ("unhealthy", "SetInstanceHealth"),
        ("lifecycle", "DescribeLifecycleHooks"),
        ("lifecycle", "CompleteLifecycleAction"),
    ],
)
@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.BROKEN, Fault.LOST, Fault.DENIED])
def test_trouble_that_passes_is_overcome_and_a_refusal_names_the_iam_action(
    account: Account, instance: str, run_hook: RunHook, how: str, call: str, fault: Fault
) -> None:
    if how == "lifecycle":
        account.lifecycle_hook(timeout=3600)
        account.terminate(instance)
    account.aws.plan(fault, f"autoscaling:{call}", 2)
    if fault is Fault.DENIED:
        with pytest.raises(AwsDenied) as raised:
            run_hook(NAME, account.services(instance), "--how", how)
        assert raised.value.hint == f"allow the IAM action autoscaling:{call}"
        return
    assert run_hook(NAME, account.services(instance), "--how", how)[0] == 0
    if how == "lifecycle":
        assert account.aws.balancing.results == {(instance, "drain"): "CONTINUE"}


def test_trouble_that_does_not_pass_is_an_error_at_the_deadline(
    account: Account, instance: str, run_hook: RunHook
) -> None:
    account.aws.plan(Fault.BROKEN, "autoscaling:DetachInstances", 1000)
    with pytest.raises(AwsBroken):
        run_hook(NAME, account.services(instance))
    assert 90 < account.clock.now() < 119


def test_an_endpoint_that_never_answers_does_not_outlast_the_deadline(account: Account, instance: str) -> None:
    forever = threading.Event()
    account.aws.slowness = forever.wait  # type: ignore[assignment]
    account.aws.plan(Fault.SLOW, "autoscaling:*", 1000)
    told = {"SPOTWATCH_INSTANCE_ID": instance, "SPOTWATCH_REGION": "eu-west-1", "SPOTWATCH_TIMEOUT": "5"}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "spotwatch", "hook", NAME], env={**os.environ, **told}, capture_output=True, text=True
    )
    took = time.monotonic() - began
    forever.set()
    assert took < 5, done
    assert (done.returncode, done.stderr.partition(" to ")[0]) == (
        75,
        "spotwatch: cut by the deadline: no answer yet",
    )
