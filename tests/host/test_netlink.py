"""The kernel itself: real interfaces, real packets."""

from collections.abc import Iterator

import pytest

from spotwatch.addresses.routes import FIRST_TABLE, Wanted, changes, removal
from spotwatch.core.errors import NetworkRefused
from spotwatch.core.routing import Address, Change, Link, Route, Rule
from spotwatch.host.netlink import Netlink
from tests.host.veth import GATEWAY, REMOTE, SUBNET, Vpc, ip, needs_namespaces, vpc

pytestmark = [pytest.mark.slow, *needs_namespaces]

MACS = {"eth0": "06:00:00:00:00:01", "eth1": "06:00:00:00:00:02", "eth2": "06:00:00:00:00:03"}
PRIMARY = "10.77.0.10"
WANTED = (
    Wanted("eni-0", MACS["eth0"], ("10.77.0.11",), 0, SUBNET),
    Wanted("eni-1", MACS["eth1"], ("10.77.0.20", "10.77.0.21"), FIRST_TABLE + 1, SUBNET),
    Wanted("eni-2", MACS["eth2"], ("10.77.0.30", "10.77.0.31"), FIRST_TABLE + 2, SUBNET),
)
ADDED = [address for each in WANTED for address in each.addresses]


@pytest.fixture
def network() -> Iterator[Vpc]:
    """An instance with a primary interface as DHCP has left it, and two new ones."""
    with vpc() as made:
        for link, mac in MACS.items():
            made.plug(link, mac)
        ip("-n", made.instance, "link", "set", "eth0", "up")
        ip("-n", made.instance, "addr", "add", f"{PRIMARY}/24", "dev", "eth0")
        ip("-n", made.instance, "route", "add", "default", "via", GATEWAY, "dev", "eth0")
        yield made


@pytest.fixture
def kernel(network: Vpc) -> Netlink:
    return Netlink(namespace=network.instance)


def configure(kernel: Netlink) -> tuple[Change, ...]:
    todo = changes(WANTED, kernel.look())
    for change in todo:
        kernel.change(change)
    return todo


def seen(network: Vpc) -> dict[str, set[str]]:
    """From which interface packets of which address have come."""
    return {link: network.sources(link) for link in MACS}


def test_packets_from_each_added_address_leave_by_its_own_interface_and_are_answered(
    network: Vpc, kernel: Netlink
) -> None:
    configure(kernel)
    assert all(network.ask(address) for address in [PRIMARY, *ADDED])
    assert seen(network) == {
        "eth0": {PRIMARY, "10.77.0.11"},
        "eth1": {"10.77.0.20", "10.77.0.21"},
        "eth2": {"10.77.0.30", "10.77.0.31"},
    }


def test_without_the_rules_they_would_leave_by_the_primary_interface(network: Vpc, kernel: Netlink) -> None:
    """What the test above sees is the rules' doing."""
    configure(kernel)
    for rule in kernel.look().rules:
        kernel.change(("delete", rule))
    assert network.ask(PRIMARY)
    for address in ADDED:
        network.ask(address, seconds=0.2)
    assert seen(network) == {"eth0": {PRIMARY, *ADDED}, "eth1": set(), "eth2": set()}


def test_packets_to_the_own_subnet_leave_by_the_own_interface_too(network: Vpc, kernel: Netlink) -> None:
    configure(kernel)
    told = ip("-n", network.instance, "route", "get", "10.77.0.77", "from", "10.77.0.20")
    assert "dev eth1" in told
    assert "via" not in told


def test_a_second_configuration_finds_nothing_to_do(network: Vpc, kernel: Netlink) -> None:
    assert len(configure(kernel)) == 2 + 5 + 4 + 4
    state = network.state()
    assert configure(kernel) == ()
    assert network.state() == state


@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
def test_an_end_after_any_change_is_made_good_by_the_next_run(network: Vpc, kernel: Netlink, step: int) -> None:
    """Also every change made twice, as after an end between the change and the note of it."""
    before = network.state()
    todo = configure(kernel)
    expected = network.state()
    for ended in range(0, len(todo) + 1, step):
        _take_away(kernel)
        assert [line for line in network.state() if line not in before] == []
        for change in todo[:ended]:
            kernel.change(change)
            kernel.change(change)
        configure(kernel)
        assert network.state() == expected, f"ended after {ended} changes"
    print(f"ended after {len(range(0, len(todo) + 1, step))} of {len(todo) + 1} changes")


def _take_away(kernel: Netlink) -> None:
    for change in removal(kernel.look(), ADDED):
        kernel.change(change)
        kernel.change(change)


def test_a_removal_leaves_what_is_not_ours(network: Vpc, kernel: Netlink) -> None:
    ip("-n", network.instance, "link", "set", "eth1", "up")
    ip("-n", network.instance, "addr", "add", "10.77.0.99/32", "dev", "eth1")
    ip("-n", network.instance, "rule", "add", "from", "10.77.0.99", "table", "10001", "priority", "10001")
    ip("-n", network.instance, "route", "add", "default", "via", GATEWAY, "dev", "eth1", "onlink", "table", "10001")
    ip("-n", network.instance, "link", "set", "eth2", "up")
    before = network.state()
    configure(kernel)
    _take_away(kernel)
    assert network.state() == before


def test_what_amazon_ec2_net_utils_would_have_done_is_seen_as_done(network: Vpc, kernel: Netlink) -> None:
    """Its rules and its tables, beside ours for the interface that it has not come to yet."""
    ip("-n", network.instance, "link", "set", "eth1", "up")
    for address in WANTED[1].addresses:
        ip("-n", network.instance, "addr", "add", f"{address}/32", "dev", "eth1")
        ip(
            "-n",
            network.instance,
            "rule",
            "add",
            "from",
            address,
            "table",
            "10001",
            "priority",
            "10001",
            "proto",
            "static",
        )
    ip("-n", network.instance, "route", "add", "default", "via", GATEWAY, "dev", "eth1", "onlink", "table", "10001")
    assert changes([WANTED[1]], kernel.look()) == ()
    configure(kernel)
    assert all(network.ask(address) for address in ADDED)
    assert seen(network)["eth1"] == {"10.77.0.20", "10.77.0.21"}


@pytest.mark.parametrize(
    "condition", [("iif", "lo"), ("fwmark", "1"), ("to", REMOTE), ("ipproto", "tcp")], ids=lambda words: str(words[0])
)
def test_a_rule_for_some_packets_of_a_source_is_not_taken_for_its_way(
    network: Vpc, kernel: Netlink, condition: tuple[str, str]
) -> None:
    ip("-n", network.instance, "rule", "add", "from", "10.77.0.20", *condition, "table", "10001", "priority", "100")
    assert kernel.look().rules == ()


def test_the_main_table_is_left_as_it_was(network: Vpc, kernel: Netlink) -> None:
    before = ip("-n", network.instance, "route")
    configure(kernel)
    assert ip("-n", network.instance, "route") == before


@pytest.mark.parametrize(
    "change",
    [
        ("add", Address(999, "10.77.0.50")),
        ("add", Route(999, FIRST_TABLE, SUBNET)),
        ("up", Link(999, "eth9", "", False)),
    ],
    ids=["address", "route", "link"],
)
def test_a_change_of_an_interface_that_is_not_there_is_refused(kernel: Netlink, change: Change) -> None:
    with pytest.raises(NetworkRefused, match="ENODEV"):
        kernel.change(change)


def test_what_is_gone_already_can_be_deleted(kernel: Netlink) -> None:
    for thing in (
        Address(2, "10.77.0.50"),
        Route(2, FIRST_TABLE, SUBNET),
        Rule("10.77.0.50", FIRST_TABLE, FIRST_TABLE),
    ):
        kernel.change(("delete", thing))
