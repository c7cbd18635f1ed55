"""Each rule of the double's Route 53, by itself."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.naming import NAME, Names


def record(*addresses: str, ttl: int = 30, **more: Any) -> dict[str, Any]:
    return {"Name": NAME, "Type": "A", "TTL": ttl, "ResourceRecords": [{"Value": each} for each in addresses], **more}


def test_a_record_that_is_there_cannot_be_created(names: Names) -> None:
    names.put(record("10.0.0.5"))
    with pytest.raises(ClientError, match=r"InvalidChangeBatch.*already exists"):
        names.put(record("10.0.0.6"))


def test_a_record_is_deleted_only_with_its_present_values(names: Names) -> None:
    names.put(record("10.0.0.5"))
    names.put(record("10.0.0.6"), "UPSERT")
    with pytest.raises(ClientError, match="do not match the current values"):
        names.put(record("10.0.0.5"), "DELETE")
    with pytest.raises(ClientError, match="do not match the current values"):
        names.put(record("10.0.0.6", ttl=31), "DELETE")
    names.put(record("10.0.0.6"), "DELETE")
    with pytest.raises(ClientError, match="was not found"):
        names.put(record("10.0.0.6"), "DELETE")


def test_a_record_of_the_same_identifier_under_another_name_stays(names: Names) -> None:
    for name in (NAME, "web.example.internal"):
        names.put(record("10.0.0.5", SetIdentifier="i-1", Weight=1) | {"Name": name})
    names.put(record("10.0.0.5", SetIdentifier="i-1", Weight=1), "DELETE")
    assert names.values("web.example.internal") == {"10.0.0.5"}


def test_a_batch_is_carried_out_whole_or_not_at_all(names: Names) -> None:
    names.put(record("10.0.0.5"))
    changes = [
        {"Action": "DELETE", "ResourceRecordSet": record("10.0.0.5")},
        {"Action": "DELETE", "ResourceRecordSet": record("10.0.0.5")},
    ]
    with pytest.raises(ClientError, match="was not found"):
        names.client.change_resource_record_sets(HostedZoneId=names.zone, ChangeBatch={"Changes": changes})
    assert names.values() == {"10.0.0.5"}


def test_the_records_of_a_name_have_one_routing_policy(names: Names) -> None:
    names.put(record("10.0.0.5", SetIdentifier="i-1", Weight=1))
    with pytest.raises(ClientError, match="InvalidChangeBatch"):
        names.put(record("10.0.0.6"))


def test_a_change_is_pending_for_a_while(names: Names) -> None:
    names.aws.naming.delays.in_sync = 5
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record("10.0.0.5")}]}
    told = names.client.change_resource_record_sets(HostedZoneId=names.zone, ChangeBatch=batch)
    number = told["ChangeInfo"]["Id"]
    assert names.client.get_change(Id=number)["ChangeInfo"]["Status"] == "PENDING"
    names.clock.sleep(5)
    assert names.client.get_change(Id=number)["ChangeInfo"]["Status"] == "INSYNC"


def test_a_weight_is_255_at_the_most(names: Names) -> None:
    with pytest.raises(ClientError, match="Weight"):
        names.put(record("10.0.0.5", SetIdentifier="i-1", Weight=256))


def test_a_request_has_a_thousand_records_at_the_most_and_an_upsert_counts_twice(names: Names) -> None:
    many = [f"10.0.{number // 256}.{number % 256}" for number in range(501)]
    with pytest.raises(ClientError, match="1000 exceeded"):
        names.put(record(*many), "UPSERT")


def test_a_name_outside_the_zone_is_refused(names: Names) -> None:
    with pytest.raises(ClientError, match="not permitted in zone"):
        names.put(record("10.0.0.5") | {"Name": "notexample.internal"})


def test_an_earlier_request_that_is_not_done_is_in_the_way(names: Names) -> None:
    names.aws.naming.prior = 1
    with pytest.raises(ClientError, match="PriorRequestNotComplete"):
        names.put(record("10.0.0.5"))
    names.put(record("10.0.0.5"))


@pytest.mark.parametrize(("fault", "code"), [("throttled", "Throttling"), ("denied", "AccessDenied")])
def test_a_refusal_has_the_form_of_the_service(names: Names, fault: str, code: str) -> None:
    from spotwatch.simulate.strict_aws import Fault

    names.aws.plan(Fault(fault), "route53:*")
    with pytest.raises(ClientError) as raised:
        names.put(record("10.0.0.5"))
    assert raised.value.response["Error"]["Code"] == code
