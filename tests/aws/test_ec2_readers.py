"""EC2's answers, as EC2 gives them, become the words of capacity planning."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from spotwatch.aws.instance_types import availability_zones, instance_types, offerings
from spotwatch.aws.placement_scores import placement_scores
from spotwatch.aws.running import AUTO_SCALING_TAG, running_spot
from spotwatch.aws.service_quotas import spot_quotas
from spotwatch.aws.session import Api, Session
from spotwatch.aws.spot_prices import spot_prices
from spotwatch.core.capacity import TypeName
from spotwatch.core.errors import AwsBroken, AwsDenied, AwsNotFound, AwsRefused, UsageError
from spotwatch.pools.quota import quota_class
from tests.aws.answers import ZONES, change, history, instance, quotas, quotas_denied, reservations, scores, zones
from tests.aws.conftest import ScriptedAws, VirtualClock, refusal, throttled, unauthorized, xml

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def ec2(aws: ScriptedAws, session: Session) -> Api:  # noqa: ARG001 (the endpoint that the session finds)
    return session.api("ec2")


@pytest.fixture
def moto_ec2(moto: str, session: Session) -> Api:  # noqa: ARG001 (as above)
    return session.api("ec2")


# --------------------------------------------------------------------------------------- instance types, with moto


@pytest.mark.slow
def test_every_type_of_a_region_is_described_and_none_left_out(moto_ec2: Api) -> None:
    remarks: list[str] = []
    types = instance_types(moto_ec2, remarks.append)
    assert len(types) > 500
    assert remarks == []
    found = types["c6gn.2xlarge"]
    assert (found.vcpus, found.threads_per_core, found.memory_mib, found.architectures) == (8, 1, 16384, ("arm64",))
    assert (found.hypervisor, found.spot, found.enis, found.ipv4_per_eni) == ("nitro", True, 4, 15)
    assert types["t3.micro"].burstable
    assert types["g5.xlarge"].accelerators
    assert types["m5d.large"].local_disk
    assert types["c5.metal"].bare_metal
    assert types["c5.metal"].hypervisor == ""
    assert not types["mac2.metal"].spot


def test_offerings_are_by_the_ids_of_the_wanted_zones(moto_ec2: Api) -> None:
    az_ids = availability_zones(moto_ec2)
    assert set(az_ids) == {f"us-east-1{letter}" for letter in "abcdef"}
    everywhere = offerings(moto_ec2, az_ids.values())
    assert set(everywhere["c6i.large"]) <= set(az_ids.values())
    assert len(everywhere["c6i.large"]) >= 5
    one = az_ids["us-east-1a"]
    assert set(offerings(moto_ec2, [one]).values()) == {(one,)}


# ----------------------------------------------------------------------------- instance types, as AWS answers pages

DESCRIBED = (
    "<item><instanceType>{name}</instanceType><bareMetal>false</bareMetal><hypervisor>nitro</hypervisor>"
    "<burstablePerformanceSupported>false</burstablePerformanceSupported>"
    "<instanceStorageSupported>false</instanceStorageSupported>"
    "<supportedUsageClasses><item>on-demand</item><item>spot</item></supportedUsageClasses>"
    "<processorInfo><supportedArchitectures><item>x86_64</item></supportedArchitectures></processorInfo>"
    "<vCpuInfo><defaultVCpus>8</defaultVCpus><defaultCores>4</defaultCores>"
    "<defaultThreadsPerCore>2</defaultThreadsPerCore></vCpuInfo>"
    "<memoryInfo><sizeInMiB>16384</sizeInMiB></memoryInfo>"
    "<networkInfo><maximumNetworkInterfaces>4</maximumNetworkInterfaces>"
    "<ipv4AddressesPerInterface>15</ipv4AddressesPerInterface></networkInfo></item>"
)


def types_page(*names: str, token: str = "") -> str:
    following = f"<nextToken>{token}</nextToken>" if token else ""
    return f"<instanceTypeSet>{''.join(DESCRIBED.format(name=name) for name in names)}</instanceTypeSet>{following}"


def test_types_come_in_pages_and_a_throttled_page_is_asked_for_again(ec2: Api, aws: ScriptedAws) -> None:
    aws.lay(
        "DescribeInstanceTypes",
        xml("DescribeInstanceTypes", types_page("c6i.2xlarge", token="more")),
        throttled(),
        xml("DescribeInstanceTypes", types_page("c7i-flex.2xlarge")),
    )
    types = instance_types(ec2, pytest.fail)
    assert list(types) == ["c6i.2xlarge", "c7i-flex.2xlarge"]
    assert types["c7i-flex.2xlarge"].flex
    assert [call.parameters["MaxResults"] for call in aws.calls] == ["100"] * 3


def test_a_type_that_is_not_understood_is_left_out_and_said(ec2: Api, aws: ScriptedAws) -> None:
    aws.lay("DescribeInstanceTypes", xml("DescribeInstanceTypes", types_page("c6i.2xlarge", "QUANTUM")))
    remarks: list[str] = []
    assert list(instance_types(ec2, remarks.append)) == ["c6i.2xlarge"]
    assert ["QUANTUM" in remark for remark in remarks] == [True]


def test_zones_are_those_that_the_account_can_use(ec2: Api, aws: ScriptedAws) -> None:
    aws.lay("DescribeAvailabilityZones", zones(local=True))
    assert availability_zones(ec2) == ZONES


def test_offerings_of_other_zones_are_left_out(ec2: Api, aws: ScriptedAws) -> None:
    items = "".join(
        f"<item><instanceType>{name}</instanceType><locationType>availability-zone-id</locationType>"
        f"<location>{zone}</location></item>"
        for name, zone in [("c6i.large", "use1-az2"), ("c6i.large", "use1-bos1-az1"), ("c6i.large", "use1-az1")]
    )
    aws.lay(
        "DescribeInstanceTypeOfferings",
        xml("DescribeInstanceTypeOfferings", f"<instanceTypeOfferingSet>{items}</instanceTypeOfferingSet>"),
    )
    assert offerings(ec2, ["use1-az1", "use1-az2"]) == {"c6i.large": ("use1-az1", "use1-az2")}
    assert aws.calls[0].parameters["LocationType"] == "availability-zone-id"


# ---------------------------------------------------------------------------------------------------------- prices


def prices(ec2: Api, days: float = 0.0, types: tuple[str, ...] = ()) -> dict[tuple[str, str], float]:
    return spot_prices(ec2, ZONES, now=NOON, window=timedelta(days=days), types=types)


def test_the_price_of_now_is_that_of_the_last_change_however_old(ec2: Api, aws: ScriptedAws) -> None:
    aws.lay(
        "DescribeSpotPriceHistory",
        history(
            change("us-east-1a", "c6i.large", "2026-11-22T11:00:01.000Z", "0.031200"),
            change("us-east-1a", "c6i.large", "2026-11-20T02:00:01.000Z", "0.040000"),
            change("us-east-1b", "c6i.large", "2026-09-01T02:00:01.000Z", "0.035000"),
        ),
    )
    assert prices(ec2) == {("use1-az1", "c6i.large"): 0.0312, ("use1-az2", "c6i.large"): 0.035}
    (call,) = aws.calls
    assert call.parameters["StartTime"] == call.parameters["EndTime"] == "2026-11-22T12:00:00Z"
    assert call.parameters["ProductDescription.1"] == "Linux/UNIX"
    assert not [name for name in call.parameters if name.startswith("Filter")]


def test_the_mean_weighs_each_price_by_how_long_it_held_within_the_window(ec2: Api, aws: ScriptedAws) -> None:
    """Ten days: 0.04 since before the window for 6 of them, then 0.03 for 3, then 0.02 for 1."""
    aws.lay(
        "DescribeSpotPriceHistory",
        history(change("us-east-1a", "c6i.large", "2026-11-21T12:00:00Z", "0.02"), token="more"),
        history(
            change("us-east-1a", "c6i.large", "2026-11-18T12:00:00Z", "0.03"),
            change("us-east-1a", "c6i.large", "2026-11-01T00:00:00Z", "0.04"),
        ),
    )
    assert prices(ec2, days=10) == {("use1-az1", "c6i.large"): pytest.approx((6 * 0.04 + 3 * 0.03 + 0.02) / 10)}
    assert aws.calls[0].parameters["StartTime"] == "2026-11-12T12:00:00Z"
    assert aws.calls[1].parameters["NextToken"] == "more"


def test_a_new_pool_counts_from_its_first_price_on(ec2: Api, aws: ScriptedAws) -> None:
    aws.lay("DescribeSpotPriceHistory", history(change("us-east-1a", "c8i.large", "2026-11-22T11:00:00Z", "0.05")))
    assert prices(ec2, days=10) == {("use1-az1", "c8i.large"): pytest.approx(0.05)}


def test_an_id_in_the_answer_is_stronger_than_the_zone_s_name(ec2: Api, aws: ScriptedAws) -> None:
    one = change("us-east-1a", "c6i.large", "2026-11-22T11:00:00Z", "0.05")
    aws.lay(
        "DescribeSpotPriceHistory",
        history(one.replace("<spotPrice>", "<availabilityZoneId>use1-az2</availabilityZoneId><spotPrice>")),
    )
    assert list(prices(ec2)) == [("use1-az2", "c6i.large")]


def test_other_products_and_other_zones_are_left_out(ec2: Api, aws: ScriptedAws) -> None:
    aws.lay(
        "DescribeSpotPriceHistory",
        history(
            change("us-east-1a", "c6i.large", "2026-11-22T11:00:00Z", "0.09", product="Windows"),
            change("us-east-1-bos-1a", "c6i.large", "2026-11-22T11:00:00Z", "0.09"),
            change("us-east-1a", "m6i.large", "2026-11-22T11:00:00Z", "0.05"),
        ),
    )
    assert prices(ec2) == {("use1-az1", "m6i.large"): 0.05}


def test_only_wanted_types_are_asked_for(ec2: Api, aws: ScriptedAws) -> None:
    aws.lay("DescribeSpotPriceHistory", history(change("us-east-1a", "c6i.large", "2026-11-22T11:00:00Z", "0.05")))
    prices(ec2, types=("c6i.*", "c7i.*"))
    asked = aws.calls[0].parameters
    assert (asked["Filter.1.Name"], asked["Filter.1.Value.1"], asked["Filter.1.Value.2"]) == (
        "instance-type",
        "c6i.*",
        "c7i.*",
    )


def test_an_empty_history_is_said_with_the_region_and_the_types(ec2: Api, aws: ScriptedAws) -> None:
    aws.lay("DescribeSpotPriceHistory", history())
    with pytest.raises(AwsNotFound, match=r"Linux/UNIX in us-east-1 for c99\.\*") as raised:
        prices(ec2, types=("c99.*",))
    assert raised.value.hint


@pytest.mark.parametrize("price", ["", "free", "nan", "inf", "-0.1", "0"])
def test_a_price_that_is_none_is_a_broken_answer(ec2: Api, aws: ScriptedAws, price: str) -> None:
    aws.lay("DescribeSpotPriceHistory", history(change("us-east-1a", "c6i.large", "2026-11-22T11:00:00Z", price)))
    with pytest.raises(AwsBroken):
        prices(ec2)


@pytest.mark.parametrize("days", [-1, 91])
def test_a_window_that_aws_does_not_remember_is_refused_before_it_is_asked(
    ec2: Api, aws: ScriptedAws, days: float
) -> None:
    with pytest.raises(UsageError, match="90 days"):
        prices(ec2, days=days)
    assert aws.calls == []


def test_a_refused_history_names_the_iam_action(ec2: Api, aws: ScriptedAws) -> None:
    aws.lay("DescribeSpotPriceHistory", unauthorized("ec2:DescribeSpotPriceHistory"))
    with pytest.raises(AwsDenied) as raised:
        prices(ec2)
    assert raised.value.hint == "allow the IAM action ec2:DescribeSpotPriceHistory"


# ------------------------------------------------------------------------------------------------ placement scores

THREE = ("c6i.large", "c6i.xlarge", "m6i.large")


def test_scores_are_asked_for_one_zone_at_a_time_and_come_by_zone(ec2: Api, aws: ScriptedAws) -> None:
    aws.lay(
        "GetSpotPlacementScores",
        scores({"use1-az1": 9}, token="more"),
        throttled(),
        scores({"use1-az2": 3}),
    )
    found = placement_scores(ec2, instance_types=THREE, capacity=1000, regions=["us-east-1"])
    assert found == {"use1-az1": 9, "use1-az2": 3}
    asked = aws.calls[0].parameters
    assert (asked["TargetCapacity"], asked["TargetCapacityUnitType"]) == ("1000", "vcpu")
    assert (asked["SingleAvailabilityZone"], asked["RegionName.1"]) == ("true", "us-east-1")
    assert [asked[f"InstanceType.{number}"] for number in (1, 2, 3)] == sorted(THREE)


@pytest.mark.parametrize("names", [(), ("c6i.large",), ("c6i.large", "c6i.xlarge", "c6i.large")])
def test_scores_of_fewer_than_three_types_would_mean_nothing(
    ec2: Api, aws: ScriptedAws, names: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError, match="always low"):
        placement_scores(ec2, instance_types=names, capacity=1, regions=["us-east-1"])
    assert aws.calls == []


@pytest.mark.parametrize("regions", [[], [f"xx-east-{number}" for number in range(11)]])
def test_scores_are_for_one_to_ten_regions(ec2: Api, aws: ScriptedAws, regions: list[str]) -> None:
    with pytest.raises(UsageError, match="1 to 10 regions"):
        placement_scores(ec2, instance_types=THREE, capacity=1, regions=regions)
    assert aws.calls == []


def test_scores_are_for_at_most_a_thousand_types(ec2: Api) -> None:
    with pytest.raises(UsageError, match="1000"):
        placement_scores(
            ec2, instance_types=[f"c{number}.large" for number in range(1001)], capacity=1, regions=["us-east-1"]
        )


def test_too_many_questions_about_scores_are_told_how_to_go_on(ec2: Api, aws: ScriptedAws) -> None:
    aws.lay("GetSpotPlacementScores", refusal("MaxConfigLimitExceeded", "You have exceeded the maximum.", 400))
    with pytest.raises(AwsRefused, match="exceeded") as raised:
        placement_scores(ec2, instance_types=THREE, capacity=1, regions=["us-east-1"])
    assert raised.value.code == "MaxConfigLimitExceeded"
    assert "24 hours" in raised.value.hint


def test_another_refusal_of_scores_stays_as_it_is(ec2: Api, aws: ScriptedAws) -> None:
    aws.lay("GetSpotPlacementScores", refusal("InvalidParameterValue", "no such type", 400))
    with pytest.raises(AwsRefused, match="no such type") as raised:
        placement_scores(ec2, instance_types=THREE, capacity=1, regions=["us-east-1"])
    assert raised.value.hint == ""


# ---------------------------------------------------------------------------------------------------------- quotas

STANDARD = "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests"


@pytest.fixture
def service_quotas(aws: ScriptedAws, session: Session) -> Api:  # noqa: ARG001 (as above)
    return session.api("service-quotas")


def test_an_applied_quota_is_stronger_than_the_default(service_quotas: Api, aws: ScriptedAws) -> None:
    aws.lay(
        "ListAWSDefaultServiceQuotas",
        quotas({STANDARD: 5.0}, token="more"),
        quotas({"All F Spot Instance Requests": 0}),
    )
    aws.lay("ListServiceQuotas", quotas({STANDARD: 640.0, "Running On-Demand Standard instances": 9}))
    assert spot_quotas(service_quotas) == {"standard": 640.0, "f": 0.0}
    assert {json.dumps(call.parameters, sort_keys=True) for call in aws.called("ListServiceQuotas")} == {
        '{"MaxResults": 100, "ServiceCode": "ec2"}'
    }
    assert [call.parameters.get("NextToken") for call in aws.called("ListAWSDefaultServiceQuotas")] == [None, "more"]


CLASSES = {
    STANDARD: "c6i.large",
    "All DL Spot Instance Requests": "dl1.24xlarge",
    "All F Spot Instance Requests": "f2.6xlarge",
    "All G and VT Spot Instance Requests": "g5.xlarge",
    "All Inf Spot Instance Requests": "inf2.xlarge",
    "All P4, P3 and P2 Spot Instance Requests": "p4d.24xlarge",
    "All P5 Spot Instance Requests": "p5.48xlarge",
    "All Trn Spot Instance Requests": "trn1.2xlarge",
    "All X Spot Instance Requests": "x2idn.16xlarge",
}
"""The names of the quotas (Amazon EC2 General Reference, "Spot Instance quotas"), each with a type that it counts."""


@pytest.mark.parametrize(("name", "type_name"), CLASSES.items(), ids=CLASSES.values())
def test_a_quota_s_class_is_the_planner_s_word_for_it(
    service_quotas: Api, aws: ScriptedAws, name: str, type_name: str
) -> None:
    aws.lay("ListAWSDefaultServiceQuotas", quotas({}))
    aws.lay("ListServiceQuotas", quotas({name: 7.0}))
    assert spot_quotas(service_quotas) == {quota_class(TypeName.parse(type_name)): 7.0}


def test_the_older_name_of_the_p_quota_is_the_same_class(service_quotas: Api, aws: ScriptedAws) -> None:
    aws.lay("ListAWSDefaultServiceQuotas", quotas({"All P Spot Instance Requests": 0}))
    aws.lay("ListServiceQuotas", quotas({}))
    assert spot_quotas(service_quotas) == {"p": 0.0}


def test_refused_quotas_name_the_iam_action(service_quotas: Api, aws: ScriptedAws) -> None:
    aws.lay("ListAWSDefaultServiceQuotas", quotas_denied())
    with pytest.raises(AwsDenied) as raised:
        spot_quotas(service_quotas)
    assert raised.value.hint == "allow the IAM action servicequotas:ListAWSDefaultServiceQuotas"


# --------------------------------------------------------------------------------------------------- what runs now


def test_running_spot_instances_are_counted_by_pool(ec2: Api, aws: ScriptedAws) -> None:
    aws.lay(
        "DescribeInstances",
        reservations(instance("us-east-1a", "c6i.large"), instance("us-east-1a", "c6i.large"), token="more"),
        reservations(instance("us-east-1b", "c6i.large"), instance("us-east-1a", "m6i.large", az_id="use1-az1")),
    )
    assert running_spot(ec2, ZONES, tags={AUTO_SCALING_TAG: "web"}) == {
        ("use1-az1", "c6i.large"): 2,
        ("use1-az2", "c6i.large"): 1,
        ("use1-az1", "m6i.large"): 1,
    }
    asked = aws.calls[0].parameters
    filters = {asked[f"Filter.{n}.Name"]: asked[f"Filter.{n}.Value.1"] for n in (1, 2, 3)}
    assert filters == {
        "instance-lifecycle": "spot",
        "instance-state-name": "pending",
        "tag:aws:autoscaling:groupName": "web",
    }


def test_nothing_that_runs_is_an_empty_count(ec2: Api, aws: ScriptedAws) -> None:
    aws.lay("DescribeInstances", reservations())
    assert running_spot(ec2, ZONES) == {}


def test_each_reader_gives_up_when_throttled_to_the_end(ec2: Api, aws: ScriptedAws, clock: VirtualClock) -> None:
    aws.lay("DescribeInstanceTypes", throttled())
    began = clock.now()
    with pytest.raises(Exception, match="RequestLimitExceeded"):
        instance_types(ec2, pytest.fail)
    assert clock.now() - began < 60
