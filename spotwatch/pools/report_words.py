"""Figures and lists as a report writes them."""

from collections.abc import Sequence
from typing import Final

from spotwatch.core.capacity import Group
from spotwatch.pools.demand import Demand, Weights

_LEAST_USD: Final = 0.0001
"""Less is not written as 0."""

NAMES: Final = {
    Group.POOL: "pool",
    Group.TYPE: "instance type",
    Group.FAMILY: "family",
    Group.GENERATION: "generation",
    Group.AZ: "AZ",
}
"""What a group of each kind is called."""


def usd(amount: float) -> str:
    """An amount in USD without its sign of currency: cents, or four decimals below 1, none above 10,000."""
    if 0 < amount < _LEAST_USD:
        return f"<{_LEAST_USD}"
    decimals = 4 if abs(amount) < 1 else 2 if abs(amount) < 10_000 else 0
    return f"{amount:,.{decimals}f}"


def percent(share: float, decimals: int = 1) -> str:
    """A share as a percentage, with a narrow space that does not break."""
    return f"{100 * share:,.{decimals}f}\N{NARROW NO-BREAK SPACE}%"


def number(amount: float) -> str:
    """A count or a number of units: thousands apart, one decimal where it is not whole."""
    return f"{amount:,.1f}".removesuffix(".0")


def signed(amount: float) -> str:
    """A difference in USD."""
    cents = round(amount, 2)
    sign = "+" if cents > 0 else "\N{MINUS SIGN}" if cents < 0 else "\N{PLUS-MINUS SIGN}"
    return f"{sign}{abs(cents):,.2f}"


def cell(share: float) -> str:
    """A share in percent, short; what is there is not written as nothing."""
    return f"{100 * share:.1f}" if share >= 0.0005 else "<0.1"


def position(place: float) -> str:
    """A position in a figure."""
    return f"{place:.2f}"


def axis(value: float) -> str:
    """A round number at an axis."""
    return f"{value:,.10g}"


def unit(demand: Demand) -> str:
    """What a unit of capacity is called."""
    return "vCPU" if demand.weights is Weights.VCPUS else "units"


def counted(one: str, many: str, words: Sequence[str]) -> str:
    """What is listed, with its name in the right number."""
    return f"{one if len(words) == 1 else many} {all_of(words)}"


def all_of(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def any_of(words: Sequence[str]) -> str:
    """`a, b or c`."""
    return " or ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
