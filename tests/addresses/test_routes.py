"""What the kernel is to be told, given what it knows."""

from spotwatch.addresses.routes import FIRST_TABLE, Wanted, changes, obsolete, removal
from spotwatch.core.routing import Address, Change, Link, Network, Route, Rule, described

TABLE = FIRST_TABLE + 1
SUBNET = "10.0.16.0/20"
GATEWAY = "10.0.16.1"
SECOND = Wanted("eni-1", "06:00:00:00:00:01", ("10.0.16.9", "10.0.16.10"), TABLE, SUBNET)
LINK = Link(7, "ens6", SECOND.mac, True)
ROUTES = (Route(7, TABLE, SUBNET), Route(7, TABLE, "0.0.0.0/0", GATEWAY))
ADDRESSES = tuple(Address(7, each) for each in SECOND.addresses)
RULES = tuple(Rule(each, TABLE, TABLE) for each in SECOND.addresses)
DONE = Network((LINK,), ADDRESSES, ROUTES, RULES)


def after(network: Network, todo: tuple[Change, ...]) -> Network:
    """The network when additions have been made."""
    things = [thing for _, thing in todo]
    return Network(
        network.links,
        (*network.addresses, *(each for each in things if isinstance(each, Address))),
        (*network.routes, *(each for each in things if isinstance(each, Route))),
        (*network.rules, *(each for each in things if isinstance(each, Rule))),
    )


def test_a_new_interface_gets_addresses_then_its_table_then_its_rules() -> None:
    found = changes([SECOND], Network((LINK,)))
    assert found == tuple(("add", thing) for thing in (*ADDRESSES, *ROUTES, *RULES))
    assert after(Network((LINK,)), found) == DONE


def test_a_link_that_is_down_is_set_up_first() -> None:
    down = Link(7, "ens6", SECOND.mac, False)
    assert changes([SECOND], Network((down,)))[0] == ("up", down)


def test_nothing_is_done_twice() -> None:
    assert changes([SECOND], DONE) == ()


def test_whatever_is_missing_is_added_and_no_more() -> None:
    for missing in ADDRESSES:
        rest = tuple(each for each in ADDRESSES if each != missing)
        assert changes([SECOND], Network((LINK,), rest, ROUTES, RULES)) == (("add", missing),)
    for route in ROUTES:
        left = tuple(each for each in ROUTES if each != route)
        assert changes([SECOND], Network((LINK,), ADDRESSES, left, RULES)) == (("add", route),)
    for rule in RULES:
        others = tuple(each for each in RULES if each != rule)
        assert changes([SECOND], Network((LINK,), ADDRESSES, ROUTES, others)) == (("add", rule),)


def test_what_another_program_has_done_to_the_same_effect_is_left() -> None:
    routes = (Route(7, 10001, "0.0.0.0/0", GATEWAY, ours=False),)
    rules = tuple(Rule(each, 10001, 10001, ours=False) for each in SECOND.addresses)
    assert changes([SECOND], Network((LINK,), ADDRESSES, routes, rules)) == ()


def test_another_program_s_way_by_another_interface_is_no_way() -> None:
    routes = (Route(3, 10001, "0.0.0.0/0", GATEWAY, ours=False),)
    rules = tuple(Rule(each, 10001, 10001, ours=False) for each in SECOND.addresses)
    found = changes([SECOND], Network((LINK,), ADDRESSES, routes, rules))
    assert found == tuple(("add", thing) for thing in (*ROUTES, *RULES))
    assert all(rule.priority < 10000 for rule in RULES), "ours is asked first"


def test_the_primary_interface_s_addresses_need_no_table() -> None:
    first = Wanted("eni-0", SECOND.mac, ("10.0.16.5",), 0, SUBNET)
    assert changes([first], Network((LINK,))) == (("add", Address(7, "10.0.16.5")),)


def test_a_rule_of_ours_for_an_address_that_is_gone_is_obsolete_and_nobody_else_s() -> None:
    stale, theirs = Rule("10.0.16.99", TABLE, TABLE), Rule("10.0.16.99", 10001, 10001, ours=False)
    network = Network((LINK,), ADDRESSES, ROUTES, (*RULES, stale, theirs))
    assert obsolete([SECOND], network) == (("delete", stale),)


def test_a_removal_takes_what_is_ours_and_the_addresses_that_are_named() -> None:
    theirs = Rule("10.0.16.9", 10001, 10001, ours=False), Route(7, 10001, "0.0.0.0/0", GATEWAY, ours=False)
    primary = Address(3, "10.0.16.4")
    network = Network((LINK,), (primary, *ADDRESSES), (*ROUTES, theirs[1]), (*RULES, theirs[0]))
    found = removal(network, SECOND.addresses)
    assert {thing for _, thing in found} == {*ADDRESSES, *ROUTES, *RULES}
    assert {what for what, _ in found} == {"delete"}


def test_changes_are_told_in_words() -> None:
    told = [described(change) for change in (("up", LINK), *changes([SECOND], Network((LINK,))))]
    assert told[0] == "ens6 up"
    assert told[1] == "add address 10.0.16.9"
    assert told[4] == f"add route 0.0.0.0/0 via {GATEWAY} in table {TABLE}"
    assert told[-1] == f"add rule from 10.0.16.10 to table {TABLE}"
