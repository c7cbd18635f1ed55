"""How many addresses, on which interfaces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotwatch.addresses.plan import (
    OWNER_TAG,
    Assign,
    Attach,
    Await,
    Create,
    Delete,
    Instance,
    KeepNot,
    Plan,
    Wish,
    of_type,
    plan,
)
from spotwatch.core.errors import UsageError
from spotwatch.core.network_interface import Attachment, NetworkInterface, Subnet, TypeLimits

ID = "i-0123456789abcdef0"
LARGE = TypeLimits("m5.large", 2, 3, 10)


def interface(
    name: str, count: int, device: int | None, *, ours: bool = True, state: str = "attached", prefixes: int = 0
) -> NetworkInterface:
    attachment = None if device is None else Attachment(f"attach-{name}", ID, device, state, True)
    addresses = tuple(f"10.0.{device or 99}.{number}" for number in range(count))
    tags = {OWNER_TAG: ID} if ours else {}
    status = "available" if device is None else "in-use"
    return NetworkInterface(name, "", "subnet-1", ("sg-1",), status, addresses, prefixes, attachment, tags)


def primary(count: int = 1, prefixes: int = 0) -> NetworkInterface:
    return interface("eni-0", count, 0, ours=False, prefixes=prefixes)


def instance(*attached: NetworkInterface, free: tuple[NetworkInterface, ...] = (), left: int = 1000) -> Instance:
    return Instance(ID, 2, LARGE, attached, free, Subnet("subnet-1", "10.0.0.0/16", left))


@pytest.mark.parametrize(
    ("vcpus", "each", "count"), [(1, 2, 1), (2, 2, 1), (8, 2, 4), (9, 2, 5), (96, 4, 24), (8, 1, 8)]
)
def test_there_is_one_address_for_so_many_vcpus(vcpus: int, each: int, count: int) -> None:
    assert Wish(vcpus_per_address=each).of(vcpus) == count


@pytest.mark.parametrize("wish", [Wish(-1), Wish(vcpus_per_address=0)])
def test_a_wish_without_sense_is_refused(wish: Wish) -> None:
    with pytest.raises(UsageError):
        wish.of(4)


def test_the_primary_interface_comes_first_then_ours_then_a_free_one_then_a_new_one() -> None:
    ours, free = interface("eni-1", 4, 1), interface("eni-9", 2, None)
    found = plan(instance(primary(3), ours, free=(free,)), Wish(29))
    assert found.steps == (
        Assign(primary(3), 10),
        Assign(ours, 10),
        Attach(free, 2),
        Assign(free, 9),
    )


def test_new_interfaces_take_the_lowest_device_indexes_that_are_free() -> None:
    others = interface("eni-7", 1, 1, ours=False)
    assert plan(instance(primary(10), others), Wish(12)).steps == (Create(2, 2),)


def test_a_prefix_takes_the_place_of_an_address() -> None:
    found = plan(instance(primary(1, prefixes=4)), Wish(9))
    assert found.steps == (Assign(primary(1, prefixes=4), 6), Create(3, 1))


def test_what_is_on_its_way_is_waited_for_first() -> None:
    coming = interface("eni-1", 2, 1, state="attaching")
    assert plan(instance(primary(10), coming), Wish(12)).steps == (Await(coming),)


def test_an_interface_that_would_outlive_the_instance_is_set_right() -> None:
    attachment = Attachment("a", ID, 1, "attached", False)
    staying = NetworkInterface("eni-1", "", "subnet-1", (), "in-use", ("a",), 0, attachment, {OWNER_TAG: ID})
    assert plan(instance(primary(), staying), Wish(1)).steps == (KeepNot(staying),)


def test_a_free_interface_of_another_subnet_is_not_used() -> None:
    strange = NetworkInterface("eni-9", "", "subnet-2", (), "available", ("a",), 0, None, {OWNER_TAG: ID})
    assert plan(instance(primary(10), free=(strange,)), Wish(11)).steps == (Delete(strange), Create(1, 1))


def test_what_the_subnet_cannot_give_is_said() -> None:
    found = plan(instance(primary(1), left=3), Wish(6))
    assert found.steps == (Assign(primary(1), 4),)
    assert found.notes == ("2 of 6 addresses cannot be had: subnet-1 has no more free addresses",)


def test_a_type_without_an_instance_can_be_planned() -> None:
    found = of_type(TypeLimits("c6i.32xlarge", 128, 15, 50), Wish())
    assert (found.wanted, [str(step) for step in found.steps]) == (
        64,
        [
            "assign 49 more addresses to its primary interface",
            "create an interface with 14 addresses and attach it as device 1",
        ],
    )


def test_an_instance_without_interfaces_is_refused() -> None:
    with pytest.raises(UsageError, match="no network interface"):
        plan(instance(), Wish(1))


LIMITS = st.builds(TypeLimits, st.just("t"), st.integers(1, 128), st.integers(1, 15), st.integers(1, 50))


@given(
    limits=LIMITS,
    wanted=st.integers(1, 900),
    left=st.integers(0, 900),
    prefixes=st.integers(0, 10),
    others=st.integers(0, 4),
)
def test_a_plan_reaches_what_is_wanted_or_says_why_not_and_keeps_every_limit(
    limits: TypeLimits, wanted: int, left: int, prefixes: int, others: int
) -> None:
    prefixes = min(prefixes, limits.ipv4_per_eni - 1)
    strangers = [interface(f"eni-x{n}", 1, n + 1, ours=False) for n in range(min(others, limits.enis - 1))]
    first = primary(1, prefixes)
    asked = Instance(ID, 2, limits, (first, *strangers), (), Subnet("subnet-1", "10.0.0.0/16", left))
    found = plan(asked, Wish(wanted))
    assigned = [step.total for step in found.steps if isinstance(step, Assign)]
    created = [step.addresses for step in found.steps if isinstance(step, Create)]
    held = (assigned or [1])[0] + sum(created)
    assert held == wanted or (held < wanted and len(found.notes) == 1)
    assert held <= max(1, wanted)
    assert held - 1 <= left
    assert 1 + len(strangers) + len(created) <= limits.enis
    assert all(count <= limits.ipv4_per_eni for count in created)
    assert all(total + prefixes <= limits.ipv4_per_eni for total in assigned)
    if found.notes and left > held - 1:
        assert held == _most(limits, prefixes, len(strangers))


def _most(limits: TypeLimits, prefixes: int, strangers: int) -> int:
    return limits.ipv4_per_eni - prefixes + (limits.enis - 1 - strangers) * limits.ipv4_per_eni


def test_a_plan_without_steps_and_notes_has_reached_what_was_wanted() -> None:
    found: Plan = plan(instance(primary(4)), Wish(4))
    assert (found.steps, found.notes, found.held) == ((), (), 4)
