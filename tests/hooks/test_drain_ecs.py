"""drain-ecs, in a cluster whose tasks take time to end."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from spotwatch.core.container_instance import ContainerInstance
from spotwatch.core.errors import AwsDenied, AwsRefused, AwsThrottled, EcsAgentUnavailable, UsageError
from spotwatch.hooks.drain_ecs import AGENT_URL
from spotwatch.simulate.strict_aws import Fault
from tests.balancers import Account, RunHook

pytestmark = pytest.mark.slow

NAME = "drain-ecs"
HERE = "i-0123456789abcdef0"


@pytest.fixture
def instance(account: Account) -> ContainerInstance:
    account.delays.told, account.delays.stopped = 2, 5
    return account.container_instance()


def test_it_drains_and_waits_for_its_tasks(account: Account, instance: ContainerInstance, run_hook: RunHook) -> None:
    account.task(instance, "service:web")
    code, out = run_hook(NAME, account.services(HERE))
    assert code == 0
    assert out == f"{instance.arn} of apps is DRAINING, and its 1 tasks have ended after 7.0 s\n"
    assert account.container_status(instance) == "DRAINING"
    assert account.agent.urls == [AGENT_URL]


def test_a_task_that_is_stopping_has_not_ended(
    account: Account, instance: ContainerInstance, run_hook: RunHook
) -> None:
    task = account.task(instance, "family:batch")
    account.ecs.stop_task(cluster=instance.cluster, task=task)
    assert run_hook(NAME, account.services(HERE))[0] == 0
    assert account.clock.now() == 5


def test_tasks_that_do_not_end_are_named_when_the_deadline_cuts_the_wait(
    account: Account, instance: ContainerInstance, run_hook: RunHook
) -> None:
    account.task(instance, "service:web")
    task = account.task(instance, "family:batch").rpartition("/")[2]
    code, out = run_hook(NAME, account.services(HERE))
    assert (code, account.clock.now()) == (75, 119)
    assert out == (
        f"cut by the deadline: DRAINING for 119.0 s, and of 2 tasks these still run: {task} (family:batch, RUNNING)\n"
    )


def test_more_tasks_than_one_answer_holds_are_waited_for(
    account: Account, instance: ContainerInstance, run_hook: RunHook
) -> None:
    for _ in range(7):
        account.task(instance, "service:web")
    account.aws.world.page = 3
    code, out = run_hook(NAME, account.services(HERE))
    assert (code, "its 7 tasks have ended" in out) == (0, True)


def test_only_its_own_tasks_are_waited_for(account: Account, instance: ContainerInstance, run_hook: RunHook) -> None:
    other = account.container_instance()
    account.task(other, "family:batch")
    account.agent.answers = [instance]
    code, out = run_hook(NAME, account.services(HERE))
    assert (code, account.container_status(other)) == (0, "ACTIVE")
    assert "its 0 tasks have ended" in out


def test_half_done_and_run_again_it_only_waits(
    account: Account, instance: ContainerInstance, run_hook: RunHook
) -> None:
    account.task(instance, "service:web")
    account.ecs.update_container_instances_state(
        cluster=instance.cluster, containerInstances=[instance.arn], status="DRAINING"
    )
    account.clock.sleep(2)
    assert run_hook(NAME, account.services(HERE))[0] == 0
    assert account.clock.now() == 7


def test_two_instances_at_once_each_wait_for_their_own(
    account: Account, instance: ContainerInstance, run_hook: RunHook
) -> None:
    both = [instance, account.container_instance()]
    for each in both:
        account.task(each, "service:web")
    words = [("--cluster", each.cluster, "--container-instance", each.arn) for each in both]
    with ThreadPoolExecutor() as pool:
        done = [pool.submit(run_hook, NAME, account.services(HERE), *each) for each in words]
        assert [each.result()[0] for each in done] == [0, 0]
    assert [account.container_status(each) for each in both] == ["DRAINING", "DRAINING"]


def test_an_instance_that_is_deregistered_has_left(account: Account, run_hook: RunHook) -> None:
    account.ecs.create_cluster(clusterName="apps")
    account.agent.answers = [ContainerInstance("apps", "0123456789abcdef")]
    code, out = run_hook(NAME, account.services(HERE))
    assert code == 0
    assert "is not in apps (any more)" in out


def test_a_cluster_that_does_not_exist_is_no_success(account: Account, run_hook: RunHook) -> None:
    words = ("--cluster", "no-such-cluster", "--container-instance", "0123456789abcdef")
    with pytest.raises(AwsRefused):
        run_hook(NAME, account.services(HERE), *words)


def test_cluster_and_instance_can_be_named(account: Account, instance: ContainerInstance, run_hook: RunHook) -> None:
    account.agent.answers = [None]
    words = ("--cluster", "apps", "--container-instance", instance.arn)
    assert run_hook(NAME, account.services(HERE), *words)[0] == 0
    assert account.container_status(instance) == "DRAINING"
    assert account.agent.urls == []


def test_one_of_the_two_alone_is_refused(account: Account, run_hook: RunHook) -> None:
    with pytest.raises(UsageError, match="go together"):
        run_hook(NAME, account.services(HERE), "--cluster", "apps")


def test_an_agent_that_is_being_restarted_is_waited_for(
    account: Account, instance: ContainerInstance, run_hook: RunHook
) -> None:
    account.agent.answers = [None, None, instance]
    assert run_hook(NAME, account.services(HERE))[0] == 0
    assert account.clock.now() == 2


def test_an_agent_that_does_not_answer_is_given_up_soon(account: Account, run_hook: RunHook) -> None:
    with pytest.raises(EcsAgentUnavailable):
        run_hook(NAME, account.services(HERE))
    assert account.clock.now() < 11


def test_a_dry_run_names_the_tasks(account: Account, instance: ContainerInstance, run_hook: RunHook) -> None:
    task = account.task(instance, "service:web").rpartition("/")[2]
    code, out = run_hook(NAME, account.services(HERE), dry_run=True)
    assert code == 0
    assert out == f"would set {instance.arn} of apps to DRAINING; tasks: {task} (service:web, RUNNING)\n"
    assert account.container_status(instance) == "ACTIVE"


def test_a_rehearsal_asks_nobody(account: Account, run_hook: RunHook) -> None:
    assert run_hook(NAME, account.services(HERE, SPOTWATCH_REHEARSAL="1"), dry_run=True)[0] == 0
    assert (account.aws.calls, account.agent.urls) == ([], [])


CALLS = ["UpdateContainerInstancesState", "ListTasks", "DescribeTasks"]


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.BROKEN, Fault.LOST, Fault.NONSENSE, Fault.DENIED])
@pytest.mark.parametrize("call", CALLS)
def test_trouble_that_passes_is_overcome_and_a_refusal_names_the_iam_action(
    account: Account, instance: ContainerInstance, run_hook: RunHook, call: str, fault: Fault
) -> None:
    account.task(instance, "service:web")
    account.aws.plan(fault, f"ecs:{call}", 2)
    if fault is Fault.DENIED:
        with pytest.raises(AwsDenied) as raised:
            run_hook(NAME, account.services(HERE))
        assert raised.value.hint == f"allow the IAM action ecs:{call}"
    else:
        assert run_hook(NAME, account.services(HERE))[0] == 0
        assert account.container_status(instance) == "DRAINING"


@pytest.mark.usefixtures("instance")
def test_trouble_that_does_not_pass_is_an_error_at_the_deadline(account: Account, run_hook: RunHook) -> None:
    account.aws.plan(Fault.THROTTLED, "ecs:UpdateContainerInstancesState", 1000)
    with pytest.raises(AwsThrottled):
        run_hook(NAME, account.services(HERE))
    assert 90 < account.clock.now() < 119


def test_an_endpoint_that_never_answers_does_not_outlast_the_deadline(
    account: Account, instance: ContainerInstance
) -> None:
    forever = threading.Event()
    account.aws.slowness = forever.wait  # type: ignore[assignment]
    account.aws.plan(Fault.SLOW, "ecs:*", 1000)
    told = {"SPOTWATCH_INSTANCE_ID": HERE, "SPOTWATCH_REGION": "eu-west-1", "SPOTWATCH_TIMEOUT": "5"}
    words = ["--cluster", instance.cluster, "--container-instance", instance.arn]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "spotwatch", "hook", NAME, *words],
        env={**os.environ, **told},
        capture_output=True,
        text=True,
    )
    took = time.monotonic() - began
    forever.set()
    assert took < 5, done
    assert (done.returncode, done.stderr.partition(" to ")[0]) == (
        75,
        "spotwatch: cut by the deadline: no answer yet",
    )
