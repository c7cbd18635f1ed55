"""Each rule of the double's Cloud Map, by itself."""

import pytest
from botocore.exceptions import ClientError

from tests.naming import Names


def register(names: Names, service: str, address: str, number: str = "i-1") -> str:
    told = names.map.register_instance(ServiceId=service, InstanceId=number, Attributes={"AWS_INSTANCE_IPV4": address})
    return str(told["OperationId"])


def test_an_instance_that_is_registered_twice_is_there_once(names: Names) -> None:
    service = names.service()
    for address in ("10.0.0.5", "10.0.0.6"):
        register(names, service, address)
    assert names.registered(service) == {"i-1": "10.0.0.6"}


def test_an_operation_takes_its_time_and_only_then_shows(names: Names) -> None:
    service = names.service()
    names.aws.naming.delays.operation = 5
    number = register(names, service, "10.0.0.5")
    assert names.map.get_operation(OperationId=number)["Operation"]["Status"] == "SUBMITTED"
    assert names.registered(service) == {}
    names.clock.sleep(5)
    assert names.map.get_operation(OperationId=number)["Operation"]["Status"] == "SUCCESS"
    assert names.registered(service) == {"i-1": "10.0.0.5"}


def test_a_second_operation_on_the_same_instance_is_a_duplicate_that_names_the_first(names: Names) -> None:
    service = names.service()
    names.aws.naming.delays.operation = 5
    number = register(names, service, "10.0.0.5")
    with pytest.raises(ClientError, match="DuplicateRequest") as raised:
        register(names, service, "10.0.0.5")
    assert raised.value.response["DuplicateOperationId"] == number


def test_what_is_not_registered_cannot_be_deregistered(names: Names) -> None:
    with pytest.raises(ClientError, match="InstanceNotFound"):
        names.map.deregister_instance(ServiceId=names.service(), InstanceId="i-1")


def test_an_id_has_no_other_characters_than_aws_allows(names: Names) -> None:
    with pytest.raises(ClientError, match="InvalidInput"):
        register(names, names.service(), "10.0.0.5", "i-1 10.0.0.5")


def test_an_a_record_needs_an_address(names: Names) -> None:
    with pytest.raises(ClientError, match="AWS_INSTANCE_IPV4"):
        names.map.register_instance(ServiceId=names.service(), InstanceId="i-1", Attributes={"a": "b"})


def test_services_are_listed_by_namespace_in_pages(names: Names) -> None:
    wanted = {names.service(name=f"s{number}") for number in range(3)}
    names.service(name="other", namespace="elsewhere.internal")
    spaces = {each["Name"]: each["Id"] for each in names.map.list_namespaces()["Namespaces"]}
    filters = [{"Name": "NAMESPACE_ID", "Values": [spaces["example.internal"]], "Condition": "EQ"}]
    names.aws.world.page = 2
    first = names.map.list_services(Filters=filters)
    second = names.map.list_services(Filters=filters, NextToken=first["NextToken"])
    assert {each["Id"] for each in [*first["Services"], *second["Services"]]} == wanted
