"""moto, as an HTTP server, takes the requests that are written, and what it then describes is read back.

moto has neither `AvailabilityZoneIds` of groups nor `AWS::EC2::EC2Fleet` in its CloudFormation, so the groups are sent
with subnets, and the template is validated but no stack made of it.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from spotwatch.pools.check import Checked, check
from spotwatch.pools.formats import LaunchTemplate, Settings, write
from spotwatch.pools.limits import Facts
from spotwatch.pools.plan import Plan
from tests.pools.plans import AZ_IDS, aligned_plan, free_plan

pytestmark = pytest.mark.slow


class Aws:
    """moto's server, with an empty account of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Aws(f"http://{host}:{port}")
    server.stop()


@pytest.fixture(scope="module")
def settings(aws: Aws) -> Settings:
    ec2 = aws.client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    template = ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": image})
    subnets = {subnet["AvailabilityZoneId"]: subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]}
    return Settings(
        launch_templates={"x86_64": LaunchTemplate(id=template["LaunchTemplate"]["LaunchTemplateId"])},
        subnets={az: subnets[az] for az in AZ_IDS},
        fleet_role="arn:aws:iam::123456789012:role/fleet",
    )


def small() -> Plan:
    """Moto runs every instance, so few of them."""
    plan = free_plan(200)
    return replace(plan, pools=plan.pools[:6])


def requests(name: str, plan: Plan, settings: Settings) -> list[dict[str, Any]]:
    document = json.loads(write(name, plan, settings).text)
    return document if isinstance(document, list) else [document]


def described(tmp_path: Path, answer: dict[str, Any], plan: Plan, settings: Settings) -> Checked:
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(answer, default=str))
    types = {pool.pool.type.name: pool.pool.type for pool in plan.pools}
    return check(path, Facts(types), {subnet: az for az, subnet in settings.subnets.items()})


def test_ec2_fleets_are_taken(aws: Aws, settings: Settings) -> None:
    plan = small()
    ec2 = aws.client("ec2")
    ids = [ec2.create_fleet(**request)["FleetId"] for request in requests("ec2-fleet", plan, settings)]
    fleets = ec2.describe_fleets(FleetIds=ids)["Fleets"]
    assert sum(fleet["TargetCapacitySpecification"]["TotalTargetCapacity"] for fleet in fleets) == plan.capacity


def test_ec2_fleets_are_taken_with_az_ids_in_the_place_of_subnets(aws: Aws, settings: Settings) -> None:
    for request in requests("ec2-fleet", small(), replace(settings, subnets={})):
        assert aws.client("ec2").create_fleet(**request)["FleetId"]


def test_spot_fleets_are_taken(aws: Aws, settings: Settings) -> None:
    for request in requests("spot-fleet", small(), settings):
        assert aws.client("ec2").request_spot_fleet(**request)["SpotFleetRequestId"]


def test_groups_are_taken_and_read_back_with_the_plan_s_losses(aws: Aws, settings: Settings, tmp_path: Path) -> None:
    plan = small()
    autoscaling = aws.client("autoscaling")
    for request in requests("auto-scaling", plan, settings):
        autoscaling.create_auto_scaling_group(**request)
    result = described(tmp_path, autoscaling.describe_auto_scaling_groups(), plan, settings)
    assert {loss.group: loss.worst for loss in result.losses.losses} == pytest.approx(
        {loss.group: plan.worst_loss(loss.group) for loss in result.losses.losses}
    )
    assert len(result.losses.losses) == 5


def test_the_template_is_valid(aws: Aws, settings: Settings) -> None:
    for plan in (aligned_plan(), small()):
        aws.client("cloudformation").validate_template(TemplateBody=write("cloudformation", plan, settings).text)
