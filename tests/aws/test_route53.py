"""Route 53: whose records are whose, races, and the wait for all of its servers."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotwatch.aws.route53 import Policy, joining, leaving
from spotwatch.core.errors import (
    AwsConflict,
    AwsDenied,
    AwsError,
    AwsNotFound,
    AwsThrottled,
    AwsUnreachable,
    AwsUnsettled,
)
from spotwatch.simulate.strict_aws import Fault
from tests.naming import NAME, ONE, OTHER, ZONE, Names, registration

POLICIES = ("simple", "weighted", "multivalue")

ours = registration(ONE, "10.0.0.5", "10.0.0.6")
theirs = registration(OTHER, "10.0.0.7")


@pytest.mark.parametrize("policy", POLICIES)
def test_what_was_joined_is_there_and_what_has_left_is_not(names: Names, policy: str) -> None:
    service = names.route53(policy)
    joined = service.join(ours)
    service.wait(joined)
    assert joined.put == ("10.0.0.5", "10.0.0.6")
    assert names.values() == {"10.0.0.5", "10.0.0.6"}
    left = service.leave(ours)
    service.wait(left)
    assert (left.taken, left.ttl) == (("10.0.0.5", "10.0.0.6"), 30)
    assert names.records() == {}


@pytest.mark.parametrize("policy", POLICIES)
def test_another_instance_s_records_stay(names: Names, policy: str) -> None:
    service = names.route53(policy)
    service.join(ours)
    service.join(theirs)
    service.leave(ours)
    assert names.values() == {"10.0.0.7"}


@pytest.mark.parametrize("policy", POLICIES)
def test_to_join_or_leave_twice_changes_nothing_more(names: Names, policy: str) -> None:
    service = names.route53(policy)
    for attempt in (service.join, service.leave):
        attempt(ours)
        before = names.aws.count("route53:ChangeResourceRecordSets")
        again = attempt(ours)
        service.wait(again)
        assert (again.put, again.taken, again.pending) == ((), (), ())
        assert names.aws.count("route53:ChangeResourceRecordSets") == before


def test_a_multivalue_record_holds_one_address_and_says_whose_it_is(names: Names) -> None:
    names.route53("multivalue").join(ours)
    assert names.records() == {("A", f"{ONE}/10.0.0.5"): ["10.0.0.5"], ("A", f"{ONE}/10.0.0.6"): ["10.0.0.6"]}


def test_a_weighted_record_holds_all_addresses_of_its_instance(names: Names) -> None:
    names.route53("weighted").join(registration(ONE, "10.0.0.5", "10.0.0.6", weight=8))
    assert names.records() == {("A", ONE): ["10.0.0.5", "10.0.0.6"]}
    (record,) = [each for each in _sets(names) if each["Type"] == "A"]
    assert record["Weight"] == 8


def test_a_changed_weight_is_put_right(names: Names) -> None:
    service = names.route53("weighted")
    service.join(registration(ONE, "10.0.0.5", weight=2))
    service.join(registration(ONE, "10.0.0.5", weight=8))
    (record,) = [each for each in _sets(names) if each["Type"] == "A"]
    assert record["Weight"] == 8


def test_ipv6_addresses_are_records_of_their_own_type(names: Names) -> None:
    service = names.route53("simple")
    service.join(registration(ONE, "10.0.0.5", "fd00::5"))
    assert names.records() == {("A", ""): ["10.0.0.5"], ("AAAA", ""): ["fd00::5"]}
    service.leave(registration(ONE, "10.0.0.5", "fd00::5"))
    assert names.records() == {}


@pytest.mark.parametrize("policy", ["weighted", "multivalue"])
def test_addresses_that_the_instance_has_lost_since_leave_too(names: Names, policy: str) -> None:
    service = names.route53(policy)
    service.join(ours)
    service.leave(registration(ONE))
    assert names.records() == {}


def test_to_join_anew_takes_out_what_the_instance_has_lost(names: Names) -> None:
    service = names.route53("multivalue")
    service.join(ours)
    change = service.join(registration(ONE, "10.0.0.6", "10.0.0.9"))
    assert change.put == ("10.0.0.9",)
    assert names.values() == {"10.0.0.6", "10.0.0.9"}


def test_a_simple_record_keeps_the_ttl_that_it_has(names: Names) -> None:
    names.put({"Name": NAME, "Type": "A", "TTL": 300, "ResourceRecords": [{"Value": "10.0.0.7"}]})
    service = names.route53("simple")
    service.join(ours)
    assert {each["TTL"] for each in _sets(names) if each["Type"] == "A"} == {300}
    assert service.leave(ours).ttl == 300


def test_a_wildcard_is_found_again(names: Names) -> None:
    wild = registration(ONE, "10.0.0.5", name=f"*.{ZONE}")
    service = names.route53()
    service.join(wild)
    assert names.values(f"*.{ZONE}") == {"10.0.0.5"}
    service.leave(wild)
    assert names.values(f"*.{ZONE}") == set()


def test_a_name_at_the_top_of_the_zone_leaves_its_other_records_alone(names: Names) -> None:
    service = names.route53("simple")
    before = len(_sets(names))
    service.join(registration(ONE, "10.0.0.5", name=ZONE))
    service.leave(registration(ONE, "10.0.0.5", name=ZONE))
    assert len(_sets(names)) == before


def test_records_beyond_the_first_page_are_found(names: Names) -> None:
    service = names.route53("multivalue")
    many = registration(ONE, *(f"10.0.1.{number}" for number in range(8)))
    service.join(theirs)
    service.join(many)
    names.aws.world.page = 3
    assert len(service.leave(many).taken) == 8
    assert names.values() == {"10.0.0.7"}


def test_a_name_that_is_an_alias_is_refused() -> None:
    alias = {"Name": NAME, "Type": "A", "TTL": 1, "AliasTarget": {"DNSName": "lb."}}
    with pytest.raises(AwsConflict, match="alias") as raised:
        joining([alias], ours, Policy.SIMPLE)
    assert raised.value.hint
    assert leaving([alias], ours) == []


# races


def test_a_simple_record_that_somebody_changes_meanwhile_is_read_again(names: Names) -> None:
    """Both instances read the same record; neither change is lost."""
    service = names.route53("simple")
    service.join(ours)
    names.aws.naming.before_change = lambda: _quicker(names, lambda other: other.join(theirs))
    service.leave(ours)
    assert names.values() == {"10.0.0.7"}


def test_two_first_ones_at_the_same_time_are_both_there(names: Names) -> None:
    names.aws.naming.before_change = lambda: _quicker(names, lambda other: other.join(theirs))
    names.route53("simple").join(ours)
    assert names.values() == {"10.0.0.5", "10.0.0.6", "10.0.0.7"}


def test_two_last_ones_at_the_same_time_are_both_gone(names: Names) -> None:
    service = names.route53("simple")
    service.join(ours)
    service.join(theirs)
    names.aws.naming.before_change = lambda: _quicker(names, lambda other: other.leave(theirs))
    service.leave(ours)
    assert names.records() == {}


def test_another_policy_under_the_name_is_refused_at_once(names: Names) -> None:
    names.route53("weighted").join(theirs)
    before = names.clock.now()
    with pytest.raises(AwsConflict, match="cannot be created") as raised:
        names.route53("multivalue").join(ours)
    assert "--policy" in raised.value.hint
    assert names.clock.now() == before


steps = st.lists(
    st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from(["join", "leave"]), st.sets(st.integers(0, 2), max_size=2)),
    max_size=12,
)


@pytest.mark.parametrize("policy", POLICIES)
@given(steps=steps)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_instance_ever_removes_what_is_another_s(policy: str, steps: list[tuple[int, str, set[int]]]) -> None:
    """Whatever joins and leaves come in whatever order, each at any of its own addresses."""
    there: dict[tuple[str, str], dict[str, Any]] = {}
    expected: dict[int, set[str]] = {0: set(), 1: set(), 2: set()}
    for instance, step, numbers in steps:
        addresses = tuple(f"10.0.{instance}.{number}" for number in sorted(numbers))
        wanted = registration(f"i-{instance}", *addresses)
        found = list(there.values())
        changes = joining(found, wanted, Policy(policy)) if step == "join" else leaving(found, wanted)
        for change in changes:
            _apply(there, change)
        _expect(expected, policy, instance, step, set(addresses))
        for each, values in expected.items():
            assert {v for v in _all_values(there) if v.startswith(f"10.0.{each}.")} == values


def _expect(expected: dict[int, set[str]], policy: str, instance: int, step: str, addresses: set[str]) -> None:
    """A simple record has no place for whose an address is, so only those that are named leave it."""
    if policy == "simple":
        expected[instance] = expected[instance] | addresses if step == "join" else expected[instance] - addresses
    else:
        expected[instance] = addresses if step == "join" else set()


def _apply(there: dict[tuple[str, str], dict[str, Any]], change: Any) -> None:
    record = change["ResourceRecordSet"]
    key = (record["Type"], record.get("SetIdentifier", ""))
    if change["Action"] == "DELETE":
        assert there.pop(key) == record
    else:
        assert change["Action"] == "UPSERT" or key not in there
        there[key] = record


def _all_values(there: dict[tuple[str, str], dict[str, Any]]) -> list[str]:
    return [value["Value"] for record in there.values() for value in record["ResourceRecords"]]


# the wait


def test_the_wait_ends_when_all_servers_answer_with_the_change(names: Names) -> None:
    names.aws.naming.delays.in_sync = 25
    service = names.route53()
    change = service.join(ours)
    service.wait(change)
    assert 25 <= names.clock.now() < 45


def test_a_wait_that_is_cut_says_that_the_change_is_made(names: Names) -> None:
    names.aws.naming.delays.in_sync = 100
    service = names.route53(patience=20)
    change = service.join(ours)
    with pytest.raises(AwsUnsettled, match="not all of its servers"):
        service.wait(change)
    assert names.clock.now() <= 20
    assert names.values() == {"10.0.0.5", "10.0.0.6"}


# what can go wrong


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.BROKEN, Fault.RESET, Fault.CUT])
@pytest.mark.parametrize("call", ["ListHostedZonesByName", "ListResourceRecordSets", "ChangeResourceRecordSets"])
def test_what_passes_is_waited_for(names: Names, fault: Fault, call: str) -> None:
    names.aws.plan(fault, f"route53:{call}", times=2)
    names.route53().join(ours)
    assert names.values() == {"10.0.0.5", "10.0.0.6"}


def test_throttling_does_not_end_the_wait(names: Names) -> None:
    service = names.route53()
    change = service.join(ours)
    names.aws.plan(Fault.THROTTLED, "route53:GetChange", times=3)
    service.wait(change)
    assert names.aws.count("route53:GetChange") == 4


def test_a_change_whose_answer_is_lost_is_found_to_be_made(names: Names) -> None:
    service = names.route53("simple")
    names.aws.plan(Fault.LOST, "route53:ChangeResourceRecordSets")
    service.join(ours)
    names.aws.plan(Fault.LOST, "route53:ChangeResourceRecordSets")
    service.leave(ours)
    assert names.records() == {}


def test_changes_before_an_earlier_one_is_done_are_tried_again(names: Names) -> None:
    names.aws.naming.prior = 3
    names.route53().join(ours)
    assert names.values() == {"10.0.0.5", "10.0.0.6"}


def test_throttling_that_does_not_end_is_said(names: Names) -> None:
    names.aws.plan(Fault.THROTTLED, "route53:*", times=1000)
    with pytest.raises(AwsThrottled):
        names.route53(patience=20).leave(ours)
    assert names.clock.now() <= 20


@pytest.mark.parametrize("call", ["ListHostedZonesByName", "ListResourceRecordSets", "ChangeResourceRecordSets"])
def test_a_denial_names_the_iam_action(names: Names, call: str) -> None:
    names.aws.plan(Fault.DENIED, f"route53:{call}")
    with pytest.raises(AwsDenied) as raised:
        names.route53().join(ours)
    assert raised.value.hint == f"allow the IAM action route53:{call}"


def test_an_endpoint_where_nobody_listens_is_unreachable(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(AwsUnreachable):
        names.route53(patience=5).leave(ours)


def test_a_name_in_no_zone_is_said_to_be(names: Names) -> None:
    with pytest.raises(AwsNotFound, match=r"no hosted zone for app\.nowhere"):
        names.route53().join(registration(ONE, "10.0.0.5", name="app.nowhere"))


def test_the_zone_with_the_longest_name_is_taken(names: Names) -> None:
    inner = names.new_zone(f"app.{ZONE}")
    names.route53().join(ours)
    assert names.values() == set()
    assert any(each["Type"] == "A" for each in _sets(names, inner))


def test_of_two_zones_of_one_name_the_operator_has_to_choose(names: Names) -> None:
    second = names.new_zone(reference="two")
    with pytest.raises(AwsConflict, match="2 hosted zones") as raised:
        names.route53().join(ours)
    assert "--zone-id" in raised.value.hint
    names.route53(zone_id=second).join(ours)
    assert names.values() == set()


def test_a_dry_run_changes_nothing(names: Names) -> None:
    assert names.route53().join(ours, dry_run=True).put == ("10.0.0.5", "10.0.0.6")
    assert names.records() == {}
    names.route53().join(ours)
    assert names.route53().leave(ours, dry_run=True).taken == ("10.0.0.5", "10.0.0.6")
    assert names.values() == {"10.0.0.5", "10.0.0.6"}


def _sets(names: Names, zone: str = "") -> list[Any]:
    told = names.client.list_resource_record_sets(HostedZoneId=zone or names.zone)["ResourceRecordSets"]
    return list(told)


def _quicker(names: Names, do: Callable[[Any], AwsError | Any]) -> None:
    """Somebody else has the world to himself for a moment; the lock is the requests'."""
    from threading import Thread

    names.aws.world.lock.release()
    try:
        thread = Thread(target=lambda: do(names.route53("simple")))
        thread.start()
        thread.join()
    finally:
        names.aws.world.lock.acquire()
