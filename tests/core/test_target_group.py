"""Which targets are an instance's, and which groups are worth looking into."""

import pytest

from spotwatch.core.target_group import InstanceAddresses, TargetGroup

ARN = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/73e2d6bc24d8a067"
MINE = InstanceAddresses(
    "i-0123456789abcdef0",
    vpc_ids=frozenset({"vpc-1"}),
    addresses=frozenset({"10.0.0.5", "2001:db8::5"}),
    prefixes=("10.0.1.16/28", "2001:db8:0:1::/80"),
)


@pytest.mark.parametrize(
    ("target", "is_mine"),
    [
        ("i-0123456789abcdef0", True),
        ("i-0123456789abcdef1", False),
        ("10.0.0.5", True),
        ("10.0.0.50", False),
        ("2001:0db8:0000:0000:0000:0000:0000:0005", True),
        ("10.0.1.31", True),
        ("10.0.1.32", False),
        ("2001:db8:0:1::abcd", True),
        ("arn:aws:lambda:eu-west-1:123456789012:function:f", False),
    ],
)
def test_a_target_is_mine_by_id_address_or_prefix(target: str, is_mine: bool) -> None:
    assert MINE.has(target) is is_mine


@pytest.mark.parametrize(
    ("kind", "vpc", "worth_it"),
    [
        ("instance", "vpc-1", True),
        ("ip", "vpc-1", True),
        ("ip", "vpc-2", False),
        ("lambda", "", False),
        ("alb", "vpc-1", False),
        ("", "", True),
    ],
)
def test_only_groups_that_can_hold_it_are_looked_into(kind: str, vpc: str, worth_it: bool) -> None:
    assert MINE.may_be_in(TargetGroup(ARN, kind, vpc)) is worth_it


@pytest.mark.parametrize(("arn", "name"), [(ARN, "web"), ("web", "web")])
def test_a_group_is_called_by_the_name_in_its_arn(arn: str, name: str) -> None:
    assert TargetGroup(arn).name == name
