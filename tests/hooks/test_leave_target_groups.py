"""leave-target-groups, in an account whose target groups drain as AWS's do."""

import os
import subprocess
import sys
import threading
import time

import pytest

from spotwatch.core.errors import AwsDenied, AwsThrottled, UsageError
from spotwatch.simulate.strict_aws import Fault
from tests.balancers import DRAIN, Account, RunHook

pytestmark = pytest.mark.slow

NAME = "leave-target-groups"


@pytest.fixture
def instance(account: Account) -> str:
    return account.instance()


def test_it_leaves_and_waits_until_draining_is_over(account: Account, instance: str, run_hook: RunHook) -> None:
    group = account.group(delay=10)
    account.register(group, instance)
    code, out = run_hook(NAME, account.services(instance))
    assert (code, account.health(group)) == (0, {})
    assert out == f"deregistered {instance} from 1 target group; drained after 10.0 s: web\n"


def test_several_groups_and_ports_are_left_at_once(account: Account, instance: str, run_hook: RunHook) -> None:
    web, api = account.group("web", delay=10), account.group("api", delay=20)
    account.register(web, (instance, 8080), (instance, 8081))
    account.register(api, instance)
    code, out = run_hook(NAME, account.services(instance))
    assert (code, account.health(web), account.health(api)) == (0, {}, {})
    assert out == f"deregistered {instance} from 2 target groups; drained after 20.0 s: api, web\n"


def test_targets_by_address_are_left_too_secondary_ones_included(
    account: Account, instance: str, run_hook: RunHook
) -> None:
    account.more_addresses(instance, 2)
    group = account.group(kind="ip")
    account.register(group, *account.addresses(instance), "10.9.9.9")
    assert len(account.health(group)) == 4
    assert run_hook(NAME, account.services(instance))[0] == 0
    assert account.health(group) == {("10.9.9.9", 80): "healthy"}


def test_the_same_address_in_another_vpc_is_another_machine_s(
    account: Account, instance: str, run_hook: RunHook
) -> None:
    other = account.ec2.create_vpc(CidrBlock="172.31.0.0/16")["Vpc"]["VpcId"]
    group = account.group(kind="ip", vpc=other)
    account.register(group, *account.addresses(instance))
    code, out = run_hook(NAME, account.services(instance))
    assert (code, out) == (0, f"{instance} is in none of 0 target groups: nothing to leave\n")
    assert set(account.health(group).values()) == {"healthy"}


def test_others_stay_and_so_do_their_addresses(account: Account, instance: str, run_hook: RunHook) -> None:
    group, other = account.group(), account.instance()
    account.register(group, instance, other)
    run_hook(NAME, account.services(instance))
    assert account.health(group) == {(other, 80): "healthy"}


def test_two_instances_that_leave_at_the_same_time_leave_the_group_empty(account: Account, run_hook: RunHook) -> None:
    group, both = account.group(), [account.instance(), account.instance()]
    account.register(group, *both)
    hooks = [threading.Thread(target=run_hook, args=(NAME, account.services(each))) for each in both]
    for hook in hooks:
        hook.start()
    for hook in hooks:
        hook.join()
    assert account.health(group) == {}
    assert account.aws.count("elasticloadbalancing:DeregisterTargets") == 2


def test_a_wait_that_the_deadline_cuts_is_an_outcome_of_its_own(
    account: Account, instance: str, run_hook: RunHook
) -> None:
    slow, quick = account.group("slow", delay=300), account.group("quick", delay=5)
    for group in (slow, quick):
        account.register(group, instance)
    code, out = run_hook(NAME, account.services(instance))
    assert code == 75
    assert account.clock.now() == 119  # a second before SIGTERM
    assert account.health(slow) == {(instance, 80): "draining"}
    assert out == (
        "slow drains for 300 s, and 119 s are left: lower its deregistration_delay.timeout_seconds\n"
        f"deregistered {instance} from 2 target groups; drained after 119.0 s: quick\n"
        "cut by the deadline: slow (still draining)\n"
    )


def test_half_done_and_run_again_it_only_waits(account: Account, instance: str, run_hook: RunHook) -> None:
    group = account.group(delay=10)
    account.register(group, instance)
    account.elbv2.deregister_targets(TargetGroupArn=group, Targets=[{"Id": instance}])
    assert run_hook(NAME, account.services(instance))[0] == 0
    assert account.clock.now() == 10
    assert account.aws.count("elasticloadbalancing:DeregisterTargets") == 1


def test_what_is_in_no_group_has_nothing_to_leave(account: Account, instance: str, run_hook: RunHook) -> None:
    account.group()
    code, out = run_hook(NAME, account.services(instance))
    assert (code, out) == (0, f"{instance} is in none of 1 target group: nothing to leave\n")


def test_all_pages_of_groups_are_looked_at(account: Account, instance: str, run_hook: RunHook) -> None:
    groups = [account.group(f"g{number}") for number in range(5)]
    account.register(groups[-1], instance)
    account.aws.world.page = 2
    assert run_hook(NAME, account.services(instance))[0] == 0
    assert account.health(groups[-1]) == {}


def test_only_named_groups_are_looked_at(account: Account, instance: str, run_hook: RunHook) -> None:
    web, api = account.group("web"), account.group("api")
    for group in (web, api):
        account.register(group, instance)
    assert run_hook(NAME, account.services(instance), "--target-group", web)[0] == 0
    assert (account.health(web), set(account.health(api).values())) == ({}, {"healthy"})
    assert account.aws.count("elasticloadbalancing:DescribeTargetGroups") == 0


def test_a_named_group_that_is_not_there_is_said(account: Account, instance: str, run_hook: RunHook) -> None:
    arn = account.group() + "0"
    code, out = run_hook(NAME, account.services(instance), "--target-group", arn)
    assert code == 69
    assert out == f"missing: web: there is no target group {arn}\n"


def test_a_group_that_is_deleted_meanwhile_is_left(account: Account, instance: str, run_hook: RunHook) -> None:
    arn = account.group(used=False, name="brief")
    account.register(arn, instance)
    services = account.services(instance)
    aws = services.target_groups("eu-west-1", 60)
    groups = aws.groups()
    account.elbv2.delete_target_group(TargetGroupArn=arn)

    class Early:
        addresses_of, targets, deregister = aws.addresses_of, aws.targets, aws.deregister
        deregistration_delay = aws.deregistration_delay

        def groups(self) -> object:
            return groups

    services.target_groups = lambda *_: Early()  # type: ignore[method-assign, assignment]
    assert run_hook(NAME, services)[0] == 0


def test_a_dry_run_names_the_targets_and_leaves_them(account: Account, instance: str, run_hook: RunHook) -> None:
    group = account.group()
    account.register(group, (instance, 8080))
    code, out = run_hook(NAME, account.services(instance), dry_run=True)
    assert (code, out) == (0, f"would deregister {instance} port 8080 (healthy) from web\n")
    assert account.health(group) == {(instance, 8080): "healthy"}


def test_a_rehearsal_asks_aws_nothing(account: Account, run_hook: RunHook) -> None:
    assert run_hook(NAME, account.services("i-0", SPOTWATCH_REHEARSAL="1"), dry_run=True)[0] == 0
    assert account.aws.calls == []


def test_who_does_not_know_which_instance_it_is_is_told_so(account: Account, run_hook: RunHook) -> None:
    with pytest.raises(UsageError, match="SPOTWATCH_INSTANCE_ID"):
        run_hook(NAME, account.services(""))


CALLS = ["DescribeTargetGroups", "DescribeTargetHealth", "DeregisterTargets"]


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.BROKEN, Fault.RESET, Fault.LOST, Fault.CUT, Fault.NONSENSE])
@pytest.mark.parametrize("call", CALLS)
def test_trouble_that_passes_is_overcome(
    account: Account, instance: str, run_hook: RunHook, call: str, fault: Fault
) -> None:
    group = account.group(delay=10)
    account.register(group, instance)
    account.aws.plan(fault, f"elasticloadbalancing:{call}", 2)
    assert run_hook(NAME, account.services(instance))[0] == 0
    assert account.health(group) == {}


def test_trouble_that_does_not_pass_is_an_error_at_the_deadline(
    account: Account, instance: str, run_hook: RunHook
) -> None:
    account.aws.plan(Fault.THROTTLED, "elasticloadbalancing:DescribeTargetGroups", 1000)
    with pytest.raises(AwsThrottled):
        run_hook(NAME, account.services(instance))
    assert 90 < account.clock.now() < 119


def test_without_the_permission_to_list_the_iam_action_is_named(
    account: Account, instance: str, run_hook: RunHook
) -> None:
    account.aws.plan(Fault.DENIED, "elasticloadbalancing:DescribeTargetGroups", 1000)
    with pytest.raises(AwsDenied) as raised:
        run_hook(NAME, account.services(instance))
    assert raised.value.hint == "allow the IAM action elasticloadbalancing:DescribeTargetGroups"


@pytest.mark.parametrize("call", ["DescribeTargetHealth", "DeregisterTargets"])
def test_without_another_permission_it_is_named_once_for_all_groups(
    account: Account, instance: str, run_hook: RunHook, call: str
) -> None:
    for name in ("web", "api"):
        account.register(account.group(name), instance)
    account.aws.plan(Fault.DENIED, f"elasticloadbalancing:{call}", 1000)
    code, out = run_hook(NAME, account.services(instance))
    assert code == 77
    assert out.startswith("missing: api, web: ")
    assert out.endswith(f"; allow the IAM action elasticloadbalancing:{call}\n")


def test_without_the_permission_to_read_the_delay_it_leaves_all_the_same(
    account: Account, instance: str, run_hook: RunHook
) -> None:
    group = account.group(delay=10)
    account.register(group, instance)
    account.aws.plan(Fault.DENIED, "elasticloadbalancing:DescribeTargetGroupAttributes", 1000)
    assert run_hook(NAME, account.services(instance))[0] == 0
    assert account.health(group) == {}


def test_without_addresses_the_instance_id_still_leaves(account: Account, instance: str, run_hook: RunHook) -> None:
    group = account.group()
    account.register(group, instance)
    account.aws.plan(Fault.DENIED, "ec2:DescribeInstances", 1000)
    code, out = run_hook(NAME, account.services(instance))
    assert (code, account.health(group)) == (77, {})
    assert "missing: its addresses: " in out
    assert "allow the IAM action ec2:DescribeInstances" in out


@pytest.mark.parametrize("call", ["ec2:DescribeInstances", *(f"elasticloadbalancing:{call}" for call in CALLS)])
def test_an_endpoint_that_never_answers_does_not_outlast_the_deadline(
    account: Account, instance: str, call: str
) -> None:
    """The real command in a process of its own, with six seconds until SIGTERM."""
    account.register(account.group(delay=0), instance)
    forever = threading.Event()
    account.aws.slowness = forever.wait  # type: ignore[assignment]
    account.aws.plan(Fault.SLOW, call, 1000)
    told = {"SPOTWATCH_INSTANCE_ID": instance, "SPOTWATCH_REGION": "eu-west-1", "SPOTWATCH_TIMEOUT": "6"}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "spotwatch", "hook", NAME], env={**os.environ, **told}, capture_output=True, text=True
    )
    took = time.monotonic() - began
    forever.set()
    assert took < 6, done
    assert done.returncode == 75, done
    assert "cut by the deadline" in done.stdout + done.stderr


def test_the_deadline_is_that_of_the_environment(account: Account, instance: str, run_hook: RunHook) -> None:
    group = account.group(delay=300)
    account.register(group, instance)
    assert run_hook(NAME, account.services(instance, **{**DRAIN, "SPOTWATCH_TIMEOUT": "20"}))[0] == 75
    assert account.clock.now() == 19
