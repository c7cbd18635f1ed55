"""``spotwatch volumes`` against the strict double: the list, the costs, the alarms, the metric, and what goes wrong."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from spotwatch.aws.storage_prices import StoragePrices
from spotwatch.core.volume import Volume, VolumeLabel, VolumeState
from spotwatch.host.clock import Clock
from spotwatch.ship.job import REASON_TAG
from spotwatch.ship.volumes import Lease
from spotwatch.simulate.strict_aws import Fault
from tests.cloud import OTHER_ZONE, ZONE, Cloud

Main = Callable[..., tuple[int, str, str]]

DEAD = "i-00000000000000dead"


@pytest.fixture(autouse=True)
def no_waiting(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command's clock is the test's: its patience is over as soon as it has waited for it."""
    monkeypatch.setattr(Clock, "now", lambda _: cloud.clock.now())
    monkeypatch.setattr(Clock, "sleep", lambda _, seconds: cloud.clock.sleep(seconds))


def label(hours: float = 5, state: VolumeState = VolumeState.INTERRUPTED, **told: Any) -> VolumeLabel:
    return VolumeLabel(
        state, told.pop("instance_id", DEAD), ZONE, datetime.now(UTC) - timedelta(hours=hours), "/var/log/app", **told
    )


def add(cloud: Cloud, told: VolumeLabel | None = None, **parameters: Any) -> str:
    return cloud.volume(tags=(told or label()).to_tags(), **parameters)


def price_gp3(cloud: Cloud, region: str = "eu-west-1") -> None:
    """The three products that AWS sells of gp3, in the units that it writes."""
    for usd, unit, family, usage in [
        ("0.0880000000", "GB-Mo", "Storage", "EU-EBS:VolumeUsage.gp3"),
        ("0.0055000000", "IOPS-Mo", "System Operation", "EU-EBS:VolumeP-IOPS.gp3"),
        ("45.0560000000", "GiBps-mo", "Provisioned Throughput", "EU-EBS:VolumeP-Throughput.gp3"),
    ]:
        cloud.aws.prices.add(usd, unit, family, regionCode=region, volumeApiName="gp3", usagetype=usage)


def listed(main: Main, *words: str) -> dict[str, Any]:
    code, out, err = main("volumes", "--json", *words)
    assert (code, err) == (0, "")
    document: dict[str, Any] = json.loads(out)
    return document


class TestList:
    def test_without_any_says_so(self, main: Main, cloud: Cloud) -> None:
        cloud.volume(tags={"Name": "theirs"})
        assert main("volumes") == (0, "no leftover volume\n", "")

    def test_is_a_table_the_oldest_first_with_a_sum(self, main: Main, cloud: Cloud) -> None:
        price_gp3(cloud)
        young = add(cloud, label(1.25, owner="team-a"))
        old = add(cloud, label(77, VolumeState.QUARANTINED, expires=datetime(2027, 1, 31, tzinfo=UTC)))
        cloud.ec2.create_tags(Resources=[old], Tags=[{"Key": REASON_TAG, "Value": "kernel: a block is lost"}])
        code, out, err = main("volumes")
        assert (code, err) == (0, "")
        assert [" ".join(line.split()) for line in out.splitlines()] == [
            "volume instance zone age size state attached to owner expires USD a month",
            f"{old} {DEAD} {ZONE} 3 d 5 h 8 GiB quarantined - - 2027-01-31 0.70",
            f"{young} {DEAD} {ZONE} 75 min 8 GiB interrupted - team-a - 0.70",
            f"{old}: in quarantine: kernel: a block is lost",
            "2 volumes, 16 GiB, 1.41 USD a month",
        ]

    def test_as_json_has_every_field(self, main: Main, cloud: Cloud) -> None:
        price_gp3(cloud)
        told = label(24, VolumeState.SHIPPING, owner="team-a", expires=datetime(2027, 1, 31, tzinfo=UTC))
        volume, worker = add(cloud, told), cloud.instance()
        lease = Lease(f"{worker}/1", 1, datetime.now(UTC)).to_tags()
        cloud.ec2.create_tags(Resources=[volume], Tags=[{"Key": key, "Value": value} for key, value in lease.items()])
        cloud.attached(volume, worker)
        document = listed(main)
        (found,) = document.pop("volumes")
        assert abs(found.pop("age_seconds") - 86400) < 60
        assert found == {
            "id": volume, "instance": DEAD, "availability_zone": ZONE, "size_gib": 8, "kind": "gp3",
            "state": "shipping", "attached_to": worker, "holder": f"{worker}/1", "owner": "team-a",
            "expires": "2027-01-31T00:00:00+00:00", "usd_a_month": 0.704, "quarantine": "",
            "problem": "",
        }  # fmt: skip
        assert document == {"usd_a_month": 0.704, "price_problem": None, "alarms": []}

    def test_is_of_the_region_or_of_one_zone(self, main: Main, cloud: Cloud) -> None:
        here, there = add(cloud), add(cloud, zone=OTHER_ZONE)
        assert {volume["id"] for volume in listed(main)["volumes"]} == {here, there}
        assert [volume["id"] for volume in listed(main, "--availability-zone", OTHER_ZONE)["volumes"]] == [there]
        assert listed(main, "--region", "eu-central-1")["volumes"] == []

    @pytest.mark.parametrize("zone", ["eu-central-1b", "eu-central-1-ham-1a"])
    def test_of_a_zone_is_asked_for_in_its_region(self, main: Main, cloud: Cloud, zone: str) -> None:
        listed(main, "--availability-zone", zone)
        listed(main, "--region", "eu-central-1")
        assert cloud.aws.count("ec2:DescribeVolumes") == 2

    def test_has_no_volume_that_its_own_instance_wears(self, main: Main, cloud: Cloud) -> None:
        living = cloud.instance()
        cloud.attached(add(cloud, label(state=VolumeState.ARMED, instance_id=living)), living)
        assert listed(main)["volumes"] == []

    def test_has_volumes_with_a_label_that_makes_no_sense_and_says_what_is_wrong(
        self, main: Main, cloud: Cloud
    ) -> None:
        volume = cloud.volume(tags={"spotwatch:state": "interrupted"})
        code, out, _ = main("volumes", "--usd-per-gib-month", "0.1")
        assert code == 0
        assert f"{volume}: the tag spotwatch:instance-id is missing" in out
        assert f"{volume}  unknown" in out


class TestCosts:
    def test_come_from_the_price_list_with_what_is_provisioned_beyond_the_free_part(
        self, main: Main, cloud: Cloud
    ) -> None:
        price_gp3(cloud)
        add(cloud, Iops=4000, Throughput=253)
        (found,) = listed(main)["volumes"]
        assert found["usd_a_month"] == pytest.approx(8 * 0.088 + 1000 * 0.0055 + 128 / 1024 * 45.056)

    def test_are_asked_for_once_a_kind(self, main: Main, cloud: Cloud) -> None:
        price_gp3(cloud)
        for _ in range(3):
            add(cloud)
        listed(main)
        assert cloud.aws.count("pricing:GetProducts") == 1

    def test_that_aws_does_not_list_are_said_to_be_missing(self, main: Main, cloud: Cloud) -> None:
        price_gp3(cloud, region="us-east-1")
        add(cloud)
        document = listed(main)
        assert document["volumes"][0]["usd_a_month"] is None
        assert (document["usd_a_month"], document["price_problem"]) == (None, "AWS lists no price of gp3 in eu-west-1")
        code, out, _ = main("volumes")
        assert code == 0
        assert "unknown\n" in out
        assert "1 volume, 8 GiB, costs not known\nprices: AWS lists no price of gp3 in eu-west-1" in out

    def test_that_may_not_be_asked_for_are_missing_and_the_iam_action_is_named(self, main: Main, cloud: Cloud) -> None:
        add(cloud)
        cloud.aws.plan(Fault.DENIED, "pricing:GetProducts")
        problem = listed(main)["price_problem"]
        assert "pricing:GetProducts" in problem
        assert "IAM action" in problem

    def test_can_be_counted_with_a_price_of_one_s_own(self, main: Main, cloud: Cloud) -> None:
        add(cloud)
        document = listed(main, "--usd-per-gib-month", "0.1")
        assert (document["usd_a_month"], document["price_problem"]) == (0.8, None)
        assert cloud.aws.count("pricing:GetProducts") == 0

    @pytest.mark.parametrize(
        ("kind", "iops", "expected"),
        [
            ("io2", 100, 10 * Decimal("0.142") + 100 * Decimal("0.065")),
            ("io2", 70_000, None),
            ("io1", 100, None),
            ("gp2", 100, Decimal("1.00")),
            ("sc1", None, None),
        ],
    )
    def test_of_other_kinds(self, cloud: Cloud, kind: str, iops: int | None, expected: Decimal | None) -> None:
        """io2 in tiers, of which the third is missing here; gp2's IOPS are free; of sc1 nothing is listed."""
        for name, usd, unit, family, usage in [
            ("io2", "0.142", "GB-month", "Storage", "EBS:VolumeUsage.io2"),
            ("io2", "0.065", "IOPS-Mo", "System Operation", "EBS:VolumeP-IOPS.io2"),
            ("io2", "0.046", "IOPS-Mo", "System Operation", "EBS:VolumeP-IOPS.io2.tier2"),
            ("io1", "0.138", "GB-Mo", "Storage", "EBS:VolumeUsage.piops"),
            ("gp2", "0.1", "GB-Mo", "Storage", "EBS:VolumeUsage.gp2"),
        ]:
            cloud.aws.prices.add(usd, unit, family, regionCode="eu-west-1", volumeApiName=name, usagetype=usage)
        volume = Volume("vol-1", 10, kind, ZONE, "available", datetime.now(UTC), {}, iops=iops)
        prices = StoragePrices(cloud.session().api("pricing", region="us-east-1"), "eu-west-1")
        assert prices.usd_a_month(volume) == expected

    def test_of_io2_follow_its_tiers(self, cloud: Cloud) -> None:
        for usd, unit, family, usage in [
            ("0.1", "GB-month", "Storage", "EBS:VolumeUsage.io2"),
            ("0.07", "IOPS-Mo", "System Operation", "EBS:VolumeP-IOPS.io2"),
            ("0.05", "IOPS-Mo", "System Operation", "EBS:VolumeP-IOPS.io2.tier2"),
            ("0.03", "IOPS-Mo", "System Operation", "EBS:VolumeP-IOPS.io2.tier3"),
        ]:
            cloud.aws.prices.add(usd, unit, family, regionCode="eu-west-1", volumeApiName="io2", usagetype=usage)
        volume = Volume("vol-1", 10, "io2", ZONE, "available", datetime.now(UTC), {}, iops=70_000)
        prices = StoragePrices(cloud.session().api("pricing", region="us-east-1"), "eu-west-1")
        assert prices.usd_a_month(volume) == Decimal("1.0") + 2240 + 1600 + 180

    def test_that_are_told_twice_and_differently_are_not_known(self, main: Main, cloud: Cloud) -> None:
        price_gp3(cloud)
        cloud.aws.prices.add("9", "GB-Mo", "Storage", regionCode="eu-west-1", volumeApiName="gp3", usagetype="other")
        add(cloud)
        assert listed(main)["usd_a_month"] is None


class TestAlarms:
    @pytest.mark.parametrize(
        ("words", "alarm"),
        [
            (["--alarm-age", "1d"], "has been left over for 2 d 0 h, longer than 24 h"),
            (["--alarm-count", "1"], "2 volumes left over, more than 1"),
        ],
    )
    def test_end_with_1_and_say_why(self, main: Main, cloud: Cloud, words: list[str], alarm: str) -> None:
        add(cloud, label(48))
        add(cloud, label(1))
        code, out, err = main("volumes", *words)
        assert code == 1
        assert alarm in err
        assert "2 volumes, 16 GiB" in out
        code, out, _ = main("volumes", "--json", *words)
        assert (code, len(json.loads(out)["alarms"])) == (1, 1)

    def test_stay_silent_below_their_limits(self, main: Main, cloud: Cloud) -> None:
        add(cloud, label(20))
        assert main("volumes", "--alarm-age", "1d", "--alarm-count", "1")[0] == 0

    def test_without_leftovers_stay_silent(self, main: Main, cloud: Cloud) -> None:
        assert cloud.aws.calls == []
        assert main("volumes", "--alarm-age", "1s", "--alarm-count", "0")[0] == 0


class TestMetric:
    def test_is_published_with_number_and_age(self, main: Main, cloud: Cloud) -> None:
        add(cloud, label(2))
        add(cloud, label(1))
        assert main("volumes", "--metric", "--availability-zone", ZONE)[0] == 0
        found = cloud.client("cloudwatch").list_metrics(Namespace="spotwatch")["Metrics"]
        assert {metric["MetricName"] for metric in found} == {"LeftoverVolumes", "OldestLeftoverAgeSeconds"}
        assert found[0]["Dimensions"] == [{"Name": "AvailabilityZone", "Value": ZONE}]
        assert values(cloud, "LeftoverVolumes", "AvailabilityZone", ZONE) == [2.0]
        assert values(cloud, "OldestLeftoverAgeSeconds", "AvailabilityZone", ZONE) == [pytest.approx(7200, abs=60)]

    def test_is_published_also_when_there_are_none(self, main: Main, cloud: Cloud) -> None:
        assert main("volumes", "--metric", "own/space")[0] == 0
        assert values(cloud, "LeftoverVolumes", "Region", "eu-west-1", "own/space") == [0.0]

    def test_that_may_not_be_published_is_77_after_the_list(self, main: Main, cloud: Cloud) -> None:
        volume = add(cloud)
        cloud.aws.plan(Fault.DENIED, "cloudwatch:PutMetricData")
        code, out, err = main("volumes", "--metric")
        assert code == 77
        assert volume in out
        assert "cloudwatch:PutMetricData" in err


class TestTrouble:
    def test_without_permission_is_77_with_the_iam_action(self, main: Main, cloud: Cloud) -> None:
        cloud.aws.plan(Fault.DENIED, "ec2:DescribeVolumes")
        code, out, err = main("volumes")
        assert (code, out) == (77, "")
        assert "ec2:DescribeVolumes" in err
        assert "hint: " in err

    def test_that_does_not_end_is_69(self, main: Main, cloud: Cloud) -> None:
        cloud.aws.plan(Fault.BROKEN, "ec2:*", times=1000)
        code, out, err = main("volumes")
        assert (code, out) == (69, "")
        assert "ec2:DescribeVolumes" in err

    def test_without_a_region_says_so(self, main: Main, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_REGION")
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        code, _, err = main("volumes")
        assert code == 69
        assert "You must specify a region" in err
        assert "set AWS_REGION" in err
        assert cloud.aws.calls == []

    @pytest.mark.parametrize(
        "words",
        [
            ["--alarm-age", "1"],
            ["--alarm-count", "-1"],
            ["--usd-per-gib-month", "cheap"],
            ["--usd-per-gib-month", "nan"],
            ["--region", "eu-west-1", "--availability-zone", ZONE],
        ],
    )
    def test_with_the_command_line_is_64(self, main: Main, words: list[str]) -> None:
        assert main("volumes", *words)[0] == 64


def values(cloud: Cloud, name: str, dimension: str, value: str, namespace: str = "spotwatch") -> list[float]:
    now = datetime.now(UTC)
    told = cloud.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=[{"Name": dimension, "Value": value}],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=10),
        Period=3600,
        Statistics=["Maximum"],
    )
    return [point["Maximum"] for point in told["Datapoints"]]
