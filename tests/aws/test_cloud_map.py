"""Cloud Map: an instance of a service for each address, and the wait for its operations."""

import pytest

from spotwatch.core.errors import AwsConflict, AwsDenied, AwsNotFound, AwsRefused, AwsUnsettled
from spotwatch.simulate.strict_aws import Fault
from tests.naming import NAME, ONE, OTHER, ZONE, Names, registration

ours = registration(ONE, "10.0.0.5", "10.0.0.6")
theirs = registration(OTHER, "10.0.0.7")


def test_what_was_joined_is_there_and_what_has_left_is_not(names: Names) -> None:
    service = names.service(ttl=15)
    cloud_map = names.cloud_map()
    joined = cloud_map.join(ours)
    cloud_map.wait(joined)
    assert joined.put == ("10.0.0.5", "10.0.0.6")
    assert names.registered(service) == {f"{ONE}/10.0.0.5": "10.0.0.5", f"{ONE}/10.0.0.6": "10.0.0.6"}
    left = cloud_map.leave(ours)
    cloud_map.wait(left)
    assert (left.taken, left.ttl) == (("10.0.0.5", "10.0.0.6"), 15)
    assert names.registered(service) == {}


def test_another_instance_s_addresses_stay(names: Names) -> None:
    service = names.service()
    names.cloud_map().join(ours)
    names.cloud_map().join(theirs)
    names.cloud_map().leave(registration(ONE, "10.0.0.5", "10.0.0.6", "10.0.0.7"))
    assert names.registered(service) == {f"{OTHER}/10.0.0.7": "10.0.0.7"}


def test_what_somebody_else_has_registered_under_another_id_stays(names: Names) -> None:
    service = names.service()
    for number in (f"{ONE}0/10.0.0.5", "by-hand"):
        names.map.register_instance(ServiceId=service, InstanceId=number, Attributes={"AWS_INSTANCE_IPV4": "10.0.0.5"})
    names.cloud_map().leave(ours)
    assert set(names.registered(service)) == {f"{ONE}0/10.0.0.5", "by-hand"}


def test_to_join_or_leave_twice_changes_nothing_more(names: Names) -> None:
    names.service()
    cloud_map = names.cloud_map()
    cloud_map.join(ours)
    again = cloud_map.join(ours)
    assert (again.put, again.pending) == ((), ())
    cloud_map.leave(ours)
    again = cloud_map.leave(ours)
    assert (again.taken, again.pending, again.ttl) == ((), (), None)


def test_to_join_anew_takes_out_what_the_instance_has_lost(names: Names) -> None:
    service = names.service()
    names.cloud_map().join(ours)
    names.cloud_map().join(registration(ONE, "10.0.0.6", "10.0.0.9"))
    assert set(names.registered(service).values()) == {"10.0.0.6", "10.0.0.9"}


def test_a_port_is_told_to_a_service_with_srv_records(names: Names) -> None:
    service = names.service("A", "SRV")
    with pytest.raises(AwsRefused, match="AWS_INSTANCE_PORT"):
        names.cloud_map().join(ours)
    names.cloud_map(port=8080).join(ours)
    told = names.map.list_instances(ServiceId=service)["Instances"]
    assert {each["Attributes"]["AWS_INSTANCE_PORT"] for each in told} == {"8080"}


def test_addresses_for_which_the_service_has_no_records_are_left_out_and_named(names: Names) -> None:
    service = names.service("A")
    change = names.cloud_map().join(registration(ONE, "10.0.0.5", "fd00::5"))
    assert change.remarks == ("fd00::5 is left out: the service has no AAAA records",)
    assert set(names.registered(service).values()) == {"10.0.0.5"}


def test_an_ipv6_address_is_an_instance_too(names: Names) -> None:
    service = names.service("AAAA")
    names.cloud_map().join(registration(ONE, "fd00::5"))
    assert names.registered(service) == {f"{ONE}/fd00::5": "fd00::5"}


def test_the_wait_ends_with_the_operations(names: Names) -> None:
    service = names.service()
    names.aws.naming.delays.operation = 8
    cloud_map = names.cloud_map()
    change = cloud_map.join(ours)
    assert names.registered(service) == {}
    cloud_map.wait(change)
    assert len(names.registered(service)) == 2


def test_a_wait_that_is_cut_says_how_the_operation_stands(names: Names) -> None:
    names.service()
    names.aws.naming.delays.operation = 100
    cloud_map = names.cloud_map(patience=10)
    change = cloud_map.join(ours)
    with pytest.raises(AwsUnsettled, match="is submitted"):
        cloud_map.wait(change)
    assert names.clock.now() <= 10


def test_an_operation_that_fails_says_why(names: Names) -> None:
    names.service()
    names.aws.naming.failing = "not authorized to change the hosted zone"
    cloud_map = names.cloud_map()
    change = cloud_map.join(ours)
    with pytest.raises(AwsRefused, match="ACCESS_DENIED: not authorized to change the hosted zone"):
        cloud_map.wait(change)


def test_an_operation_that_is_on_its_way_already_is_waited_for(names: Names) -> None:
    """As after a crash: the first run has begun it, the second one waits for its end."""
    service = names.service()
    cloud_map = names.cloud_map()
    cloud_map.join(ours)
    names.aws.naming.delays.operation = 8
    first = cloud_map.leave(ours)
    second = cloud_map.leave(ours)
    assert second.pending == first.pending
    cloud_map.wait(second)
    assert names.registered(service) == {}


def test_what_another_run_has_deregistered_meanwhile_is_gone(names: Names) -> None:
    service = names.service()
    cloud_map = names.cloud_map()
    cloud_map.join(ours)
    names.aws.plan(Fault.LOST, "servicediscovery:DeregisterInstance")
    cloud_map.wait(cloud_map.leave(ours))
    assert names.registered(service) == {}


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.BROKEN, Fault.RESET, Fault.CUT, Fault.LOST])
@pytest.mark.parametrize("call", ["ListNamespaces", "ListServices", "ListInstances", "RegisterInstance"])
def test_what_passes_is_waited_for(names: Names, fault: Fault, call: str) -> None:
    service = names.service()
    names.aws.plan(fault, f"servicediscovery:{call}", times=2)
    names.cloud_map().join(ours)
    assert len(names.registered(service)) == 2


@pytest.mark.parametrize("call", ["ListNamespaces", "ListServices", "ListInstances", "RegisterInstance"])
def test_a_denial_names_the_iam_action(names: Names, call: str) -> None:
    names.service()
    names.aws.plan(Fault.DENIED, f"servicediscovery:{call}")
    with pytest.raises(AwsDenied) as raised:
        names.cloud_map().join(ours)
    assert raised.value.hint == f"allow the IAM action servicediscovery:{call}"


def test_everything_is_found_beyond_the_first_page(names: Names) -> None:
    for number in range(3):
        names.service(name=f"s{number}", namespace=f"n{number}.internal")
    service = names.service()
    for number in range(2):
        names.service(name=f"t{number}")
    names.aws.world.page = 1
    names.cloud_map().join(ours)
    names.aws.world.page = 0
    assert len(names.registered(service)) == 2


def test_a_service_of_the_same_name_in_another_namespace_is_not_taken(names: Names) -> None:
    other = names.service(namespace="elsewhere.internal")
    with pytest.raises(AwsNotFound, match="no namespace"):
        names.cloud_map().join(ours)
    names.service(name="web")
    with pytest.raises(AwsNotFound, match="has no service app"):
        names.cloud_map().join(ours)
    assert names.registered(other) == {}


def test_of_two_namespaces_of_one_name_the_operator_has_to_choose(names: Names) -> None:
    service = names.service()
    names.map.create_private_dns_namespace(Name=ZONE, Vpc="vpc-1")
    with pytest.raises(AwsConflict, match="2 namespaces") as raised:
        names.cloud_map().join(ours)
    assert "--service-id" in raised.value.hint
    names.cloud_map(service_id=service).join(ours)
    assert len(names.registered(service)) == 2


def test_a_service_that_is_not_there_is_said_to_be(names: Names) -> None:
    with pytest.raises(AwsNotFound):
        names.cloud_map(service_id="srv-0").leave(ours)


def test_a_dry_run_changes_nothing(names: Names) -> None:
    service = names.service()
    assert names.cloud_map().join(ours, dry_run=True).put == ("10.0.0.5", "10.0.0.6")
    assert names.registered(service) == {}
    names.cloud_map().join(ours)
    assert len(names.cloud_map().leave(ours, dry_run=True).taken) == 2
    assert len(names.registered(service)) == 2


def test_the_name_is_the_one_that_the_service_has_in_dns(names: Names) -> None:
    service = names.service(name="App")
    names.cloud_map().join(registration(ONE, "10.0.0.5", name=NAME))
    assert len(names.registered(service)) == 1
