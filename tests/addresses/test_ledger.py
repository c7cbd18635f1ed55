"""What is ours, and what had just begun."""

from dataclasses import replace

import pytest

from spotwatch.addresses.ledger import Creation, Ledger, Ledgers
from tests.addresses.rig import Text

ID = "i-0123456789abcdef0"
FULL = Ledger(ID, ("10.0.0.5",), ("10.0.0.4",), Creation("token", "subnet-1", ("sg-1", "sg-2"), 15))


def test_a_ledger_is_read_as_it_was_written() -> None:
    ledgers = Ledgers(Text(), ID)
    ledgers.write(FULL)
    assert ledgers.read() == FULL


def test_a_ledger_that_has_not_changed_is_not_written_again() -> None:
    text = Text()
    Ledgers(text, ID).write(FULL)
    reached = text.points.reached
    Ledgers(text, ID).write(FULL)
    assert text.points.reached == reached


HEAD = f'{{"instance_id": "{ID}", "added": [], "before": null, "creation": '


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        f'{{"instance_id": "{ID}"}}',
        HEAD + '{"security_groups": "sg-1", "token": "t", "subnet_id": "s", "addresses": 1}}',
        HEAD + '{"security_groups": ["sg-1"], "token": "t", "subnet_id": "s", "addresses": "few"}}',
    ],
)
def test_a_damaged_ledger_is_an_empty_one(text: str) -> None:
    assert Ledgers(Text(text), ID).read() == Ledger(ID)


def test_what_appears_after_the_beginning_of_an_assignment_is_ours_and_nothing_else() -> None:
    begun = Ledger(ID, added=("a",), before=("a", "theirs"))
    assert begun.with_assigned(("a", "theirs", "new")) == Ledger(ID, added=("a", "new"))


def test_an_address_that_has_gone_is_ours_no_more() -> None:
    assert replace(FULL, added=("a", "b")).without_gone(("b",)).added == ("b",)
