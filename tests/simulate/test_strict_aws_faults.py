"""What can be made to go wrong with the double, as boto3 sees it; what it remembers of calls; its Price List."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, HTTPClientError

from spotwatch.simulate.strict_aws import Fault, StrictAws
from tests.cloud import BUCKET, Cloud

Do = Callable[[Cloud], Any]

CALLS: dict[str, Do] = {
    "ec2:DescribeVolumes": lambda cloud: cloud.ec2.describe_volumes(),
    "s3:ListObjectsV2": lambda cloud: cloud.s3.list_objects_v2(Bucket=BUCKET),
    "pricing:GetProducts": lambda cloud: cloud.client("pricing").get_products(ServiceCode="AmazonEC2"),
}

REFUSALS = {
    ("ec2:DescribeVolumes", Fault.THROTTLED): (503, "RequestLimitExceeded"),
    ("ec2:DescribeVolumes", Fault.BROKEN): (500, "InternalError"),
    ("ec2:DescribeVolumes", Fault.DENIED): (403, "UnauthorizedOperation"),
    ("s3:ListObjectsV2", Fault.THROTTLED): (503, "SlowDown"),
    ("s3:ListObjectsV2", Fault.BROKEN): (500, "InternalError"),
    ("s3:ListObjectsV2", Fault.DENIED): (403, "AccessDenied"),
    ("pricing:GetProducts", Fault.THROTTLED): (400, "ThrottlingException"),
    ("pricing:GetProducts", Fault.BROKEN): (500, "InternalFailure"),
    ("pricing:GetProducts", Fault.DENIED): (400, "AccessDeniedException"),
}


@pytest.mark.parametrize(("name", "fault"), REFUSALS)
def test_a_call_is_refused_as_often_as_planned_and_in_the_service_s_own_words(
    cloud: Cloud, name: str, fault: Fault
) -> None:
    cloud.bucket()
    cloud.aws.plan(fault, name, times=2)
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            CALLS[name](cloud)
        answer = caught.value.response
        assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == REFUSALS[name, fault]
    CALLS[name](cloud)


def test_a_plan_fits_calls_by_pattern_and_can_be_forgiven(cloud: Cloud) -> None:
    cloud.aws.plan(Fault.DENIED, "ec2:Create*", times=100)
    cloud.ec2.describe_volumes()
    with pytest.raises(ClientError):
        cloud.volume()
    cloud.aws.forgive()
    cloud.volume()


def test_a_reset_call_was_not_carried_out(cloud: Cloud) -> None:
    cloud.aws.plan(Fault.RESET, "ec2:CreateVolume")
    with pytest.raises(ConnectionClosedError):
        cloud.volume()
    assert cloud.ec2.describe_volumes()["Volumes"] == []


def test_a_part_can_be_reset_in_its_middle(cloud: Cloud) -> None:
    cloud.bucket()
    cloud.aws.plan(Fault.RESET, "s3:PutObject")
    with pytest.raises((HTTPClientError, EndpointConnectionError)):
        cloud.s3.put_object(Bucket=BUCKET, Key="key", Body=bytes(8 * 1024 * 1024))
    assert "Contents" not in cloud.s3.list_objects_v2(Bucket=BUCKET)


def test_a_lost_call_was_carried_out(cloud: Cloud) -> None:
    cloud.aws.plan(Fault.LOST, "ec2:CreateVolume")
    with pytest.raises(ConnectionClosedError):
        cloud.volume()
    assert len(cloud.ec2.describe_volumes()["Volumes"]) == 1


def test_an_object_can_be_cut_while_it_is_read(cloud: Cloud) -> None:
    cloud.bucket()
    cloud.s3.put_object(Bucket=BUCKET, Key="key", Body=bytes(1000))
    cloud.aws.plan(Fault.CUT, "s3:GetObject")
    with pytest.raises(Exception, match=r"Connection broken|IncompleteRead|incomplete"):
        cloud.s3.get_object(Bucket=BUCKET, Key="key")["Body"].read()


def test_nonsense_is_answered_by_somebody_else(cloud: Cloud) -> None:
    cloud.aws.plan(Fault.NONSENSE, "ec2:DescribeVolumes")
    answer = cloud.ec2.describe_volumes()
    assert answer["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "text/html"
    assert "Volumes" not in answer, "botocore takes the page for an answer"


def test_an_altered_body_has_another_checksum(cloud: Cloud) -> None:
    cloud.bucket()
    cloud.aws.plan(Fault.ALTERED, "s3:PutObject")
    with pytest.raises(ClientError, match="BadDigest"):
        cloud.s3.put_object(Bucket=BUCKET, Key="key", Body=b"abc", ChecksumCRC32="NSRBwg==")


def test_a_slow_call_is_answered_when_it_may(cloud: Cloud) -> None:
    waited: list[str] = []
    cloud.aws.slowness = lambda: waited.append("waited")
    cloud.aws.plan(Fault.SLOW, "ec2:DescribeVolumes")
    assert cloud.ec2.describe_volumes()["Volumes"] == []
    assert waited == ["waited"]


def test_calls_are_remembered_with_their_parameters(cloud: Cloud) -> None:
    cloud.bucket()
    cloud.s3.put_object(Bucket=BUCKET, Key="a/b c", Body=b"", StorageClass="STANDARD_IA", IfNoneMatch="*")
    cloud.ec2.describe_volumes(Filters=[{"Name": "status", "Values": ["available"]}])
    CALLS["pricing:GetProducts"](cloud)
    put, describe, products = cloud.aws.calls[-3:]
    assert (put.name, put.parameters["Bucket"], put.parameters["Key"]) == ("s3:PutObject", BUCKET, "a/b c")
    assert put.parameters["x-amz-storage-class"] == "STANDARD_IA"
    assert put.parameters["if-none-match"] == "*"
    assert describe.name == "ec2:DescribeVolumes"
    assert (describe.parameters["Filter.1.Name"], describe.parameters["Filter.1.Value.1"]) == ("status", "available")
    assert (products.name, products.parameters["ServiceCode"]) == ("pricing:GetProducts", "AmazonEC2")
    assert cloud.aws.count("s3:PutObject") == 1


def test_prices_are_found_by_their_attributes_and_come_in_pages(cloud: Cloud) -> None:
    for number in range(3):
        cloud.aws.prices.add(
            f"0.{number}", "GB-Mo", "Storage", regionCode="eu-west-1", volumeApiName=f"kind{number % 2}"
        )
    cloud.aws.world.page = 1
    pricing = cloud.client("pricing")
    asked = {
        "ServiceCode": "AmazonEC2",
        "Filters": [{"Type": "TERM_MATCH", "Field": "volumeApiName", "Value": "kind0"}],
    }
    first = pricing.get_products(**asked)
    second = pricing.get_products(**asked, NextToken=first["NextToken"])
    assert "NextToken" not in second
    products = [json.loads(text) for text in first["PriceList"] + second["PriceList"]]
    assert [product["product"]["attributes"]["volumeApiName"] for product in products] == ["kind0", "kind0"]


def test_the_next_double_has_forgotten_everything(cloud: Cloud) -> None:
    cloud.volume()
    with StrictAws() as another:
        assert another.url != cloud.aws.url
        assert cloud.ec2.describe_volumes()["Volumes"] == []


def test_it_has_no_address_before_it_listens() -> None:
    with pytest.raises(RuntimeError, match="inside its `with`"):
        _ = StrictAws().url
