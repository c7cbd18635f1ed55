"""An account with load balancers, an Auto Scaling group and an ECS cluster, and built-in hooks that run in it."""

import json
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from spotwatch.core.container_instance import ContainerInstance
from spotwatch.core.errors import EcsAgentUnavailable
from spotwatch.core.report import InstanceFacts
from spotwatch.hooks import built_in
from tests.cloud import IMAGE, ZONE, ManualClock

if TYPE_CHECKING:
    from spotwatch.aws.auto_scaling import AutoScaling
    from spotwatch.aws.ecs import Ecs
    from spotwatch.aws.session import Session
    from spotwatch.aws.target_groups import TargetGroups
    from tests.strict_balancers import StrictBalancers

DRAIN = {"SPOTWATCH_TIMEOUT": "120", "SPOTWATCH_SECONDS_LEFT": "122", "SPOTWATCH_EVENT": "terminate"}
"""What the daemon tells a hook that has nearly all of the two minutes."""

GROUP = "workers"


class HookClock(ManualClock):
    """Seconds that pass only when somebody sleeps, and the time of day."""

    def utc(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)


@dataclass
class FakeAgent:
    """The ECS agent: what it answers, in order; the last answer for good."""

    answers: list[ContainerInstance | None] = field(default_factory=lambda: [None])
    urls: list[str] = field(default_factory=list)

    def container_instance(self, url: str, seconds: float) -> ContainerInstance:
        assert seconds > 0
        self.urls.append(url)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise EcsAgentUnavailable("the ECS agent does not answer", hint="see 'systemctl status ecs'")
        return answer


@dataclass
class HookServices:
    """What a hook works with: AWS is the double, time is the test's own; the process was born at second 0.

    Attributes:
        companions: what is answered, in order, to the question who else runs in the stage; the last one for good.
    """

    facts: InstanceFacts
    environment: Mapping[str, str]
    clock: HookClock
    ecs_agent: FakeAgent
    companions: Sequence[Sequence[str] | None] = (None,)
    asked: int = 0
    born: float = 0.0

    def instance(self) -> InstanceFacts:
        return self.facts

    def target_groups(self, region: str, until: float) -> "TargetGroups":
        from spotwatch.aws.target_groups import TargetGroups

        session = self._session(region, until)
        return TargetGroups(session.api("elbv2"), session.api("ec2"))

    def auto_scaling(self, region: str, until: float) -> "AutoScaling":
        from spotwatch.aws.auto_scaling import AutoScaling

        return AutoScaling(self._session(region, until).api("autoscaling"))

    def ecs(self, region: str, until: float) -> "Ecs":
        from spotwatch.aws.ecs import Ecs

        return Ecs(self._session(region, until).api("ecs"))

    def stage_companions(self) -> Sequence[str] | None:
        self.asked += 1
        return self.companions[min(self.asked, len(self.companions)) - 1]

    def _session(self, region: str, until: float) -> "Session":
        from spotwatch.aws.session import Session

        return Session(self.clock, until=until, region=region)


class Account:
    """The double, boto3's clients of it, and the resources that a test begins with."""

    def __init__(self, aws: "StrictBalancers", clock: HookClock) -> None:
        self.aws = aws
        self.clock = clock
        self.delays = aws.balancing.delays
        self.agent = FakeAgent()
        self._balancer = ""
        self._listeners = 0

    @cached_property
    def ec2(self) -> Any:
        return _client("ec2")

    @cached_property
    def elbv2(self) -> Any:
        return _client("elbv2")

    @cached_property
    def autoscaling(self) -> Any:
        return _client("autoscaling")

    @cached_property
    def ecs(self) -> Any:
        return _client("ecs")

    # what a hook runs in

    def services(self, instance: str, **environment: str) -> HookServices:
        facts = InstanceFacts(instance, "m5.large", ZONE, "eu-west-1")
        return HookServices(facts, environment or DRAIN, self.clock, self.agent)

    # load balancing

    def instance(self) -> str:
        made = self.ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="m5.large")
        return str(made["Instances"][0]["InstanceId"])

    def interface(self, instance: str) -> Any:
        """The first network interface, as EC2 describes it."""
        told = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        return told["NetworkInterfaces"][0]

    def addresses(self, instance: str) -> list[str]:
        return [str(each["PrivateIpAddress"]) for each in self.interface(instance)["PrivateIpAddresses"]]

    def more_addresses(self, instance: str, count: int) -> None:
        self.ec2.assign_private_ip_addresses(
            NetworkInterfaceId=self.interface(instance)["NetworkInterfaceId"], SecondaryPrivateIpAddressCount=count
        )

    def vpc(self) -> str:
        """The default one."""
        return str(self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"])

    def group(
        self, name: str = "web", *, delay: int = 10, kind: str = "instance", used: bool = True, vpc: str = ""
    ) -> str:
        """A target group behind a listener; its ARN."""
        made = self.elbv2.create_target_group(
            Name=name, Protocol="HTTP", Port=80, VpcId=vpc or self.vpc(), TargetType=kind
        )
        arn = str(made["TargetGroups"][0]["TargetGroupArn"])
        wanted = [{"Key": "deregistration_delay.timeout_seconds", "Value": str(delay)}]
        self.elbv2.modify_target_group_attributes(TargetGroupArn=arn, Attributes=wanted)
        if used:
            self._listen(arn)
        return arn

    def _listen(self, arn: str) -> None:
        if not self._balancer:
            subnets = [each["SubnetId"] for each in self.ec2.describe_subnets()["Subnets"]][:2]
            made = self.elbv2.create_load_balancer(Name="front", Subnets=subnets)
            self._balancer = made["LoadBalancers"][0]["LoadBalancerArn"]
        self._listeners += 1
        self.elbv2.create_listener(
            LoadBalancerArn=self._balancer,
            Protocol="HTTP",
            Port=8000 + self._listeners,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
        )

    def register(self, arn: str, *targets: str | tuple[str, int]) -> None:
        told = [{"Id": each} if isinstance(each, str) else {"Id": each[0], "Port": each[1]} for each in targets]
        self.elbv2.register_targets(TargetGroupArn=arn, Targets=told)

    def health(self, arn: str) -> dict[tuple[str, int], str]:
        """The state of each target, by id and port."""
        told = self.elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return {(each["Target"]["Id"], each["Target"]["Port"]): each["TargetHealth"]["State"] for each in told}

    # Auto Scaling

    def scaled(self, *, size: int = 1, minimum: int = 0) -> list[str]:
        """A group of instances; their ids."""
        self.autoscaling.create_launch_configuration(
            LaunchConfigurationName="workers", ImageId=IMAGE, InstanceType="m5.large"
        )
        self.autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=GROUP,
            LaunchConfigurationName="workers",
            MinSize=minimum,
            MaxSize=5,
            DesiredCapacity=size,
            AvailabilityZones=[ZONE],
        )
        return sorted(self.states())

    def lifecycle_hook(self, name: str = "drain", *, timeout: int = 60, terminating: bool = True) -> str:
        self.autoscaling.put_lifecycle_hook(
            AutoScalingGroupName=GROUP,
            LifecycleHookName=name,
            LifecycleTransition=f"autoscaling:EC2_INSTANCE_{'TERMINATING' if terminating else 'LAUNCHING'}",
            HeartbeatTimeout=timeout,
        )
        return name

    def terminate(self, instance: str) -> None:
        self.autoscaling.terminate_instance_in_auto_scaling_group(
            InstanceId=instance, ShouldDecrementDesiredCapacity=False
        )

    def states(self) -> dict[str, str]:
        """The lifecycle state of each member."""
        told = self.autoscaling.describe_auto_scaling_instances()["AutoScalingInstances"]
        return {each["InstanceId"]: each["LifecycleState"] for each in told}

    def desired(self) -> int:
        return int(self.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]["DesiredCapacity"])

    # ECS

    def container_instance(self, cluster: str = "apps") -> ContainerInstance:
        """One of a cluster, which the agent knows of."""
        self.ecs.create_cluster(clusterName=cluster)
        document = json.dumps({"instanceId": self.instance()})
        made = self.ecs.register_container_instance(cluster=cluster, instanceIdentityDocument=document)
        instance = ContainerInstance(cluster, made["containerInstance"]["containerInstanceArn"])
        self.agent.answers = [instance]
        return instance

    def task(self, instance: ContainerInstance, group: str) -> str:
        """A running task; its ARN."""
        self.ecs.register_task_definition(
            family="app", containerDefinitions=[{"name": "app", "image": "app", "memory": 1, "cpu": 1}]
        )
        made = self.ecs.start_task(
            cluster=instance.cluster, taskDefinition="app", containerInstances=[instance.arn], group=group
        )
        return str(made["tasks"][0]["taskArn"])

    def container_status(self, instance: ContainerInstance) -> str:
        told = self.ecs.describe_container_instances(cluster=instance.cluster, containerInstances=[instance.arn])
        return str(told["containerInstances"][0]["status"])


def _client(service: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(service, config=Config(retries={"total_max_attempts": 1}, read_timeout=20))


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """AWS as it is when nobody has used it yet; every client in this process and its children talks to it."""
    from tests.strict_balancers import StrictBalancers

    clock = HookClock()
    with StrictBalancers(clock=clock.now) as aws:
        for name, value in aws.environment().items():
            monkeypatch.setenv(name, value)
        yield Account(aws, clock)


RunHook = Callable[..., tuple[int, str]]


@pytest.fixture
def run_hook(capsys: pytest.CaptureFixture[str]) -> RunHook:
    """Run a built-in in this process: its exit code and what it says. Errors are the caller's."""

    def run(name: str, services: HookServices, *words: str, dry_run: bool = False) -> tuple[int, str]:
        hook: Any = built_in(name)
        parser = ArgumentParser()
        hook.add_arguments(parser)
        capsys.readouterr()
        code = hook.run(parser.parse_args(words), services, dry_run=dry_run)
        return code, capsys.readouterr().out

    return run
