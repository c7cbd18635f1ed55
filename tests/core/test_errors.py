"""The tree of errors is as the docstring draws it."""

import re
from typing import NamedTuple

import pytest

from spotwatch.core import errors
from spotwatch.core.errors import SettingsError, SpotwatchError, Transient

LINE = re.compile(
    r"    (?P<branches>[│├└─ ]*)(?P<name>[A-Z]\w+)(?P<transient> \(Transient\))? +(?:(?P<code>\d\d) +)?\S.*"
)


class Drawn(NamedTuple):
    """One line of the drawing."""

    name: str
    parent: str
    transient: bool
    code: int | None


def drawing() -> list[Drawn]:
    """What the docstring draws; a branch is four characters wide."""
    drawn: list[Drawn] = []
    path: list[str] = []
    for match in filter(None, map(LINE.fullmatch, (errors.__doc__ or "").splitlines())):
        path[len(match["branches"]) // 4 :] = [match["name"]]
        parent = path[-2] if len(path) > 1 else "Exception"
        drawn.append(Drawn(match["name"], parent, bool(match["transient"]), int(match["code"] or 0) or None))
    return drawn


def defined() -> dict[str, type[SpotwatchError]]:
    members = vars(errors).values()
    return {one.__name__: one for one in members if isinstance(one, type) and issubclass(one, SpotwatchError)}


def test_every_error_that_is_drawn_is_defined_and_none_else() -> None:
    assert [one.name for one in drawing()] == list(defined())


@pytest.mark.parametrize("drawn", drawing(), ids=lambda drawn: drawn.name)
def test_an_error_is_what_the_drawing_says(drawn: Drawn) -> None:
    error = defined()[drawn.name]
    parent = error.__bases__[0]
    assert parent.__name__ == drawn.parent
    assert (Transient in error.__bases__) == drawn.transient
    assert error.exit_code == drawn.code or (drawn.code is None and error.exit_code == getattr(parent, "exit_code", 0))


def test_an_error_carries_its_message_and_a_hint() -> None:
    error = SpotwatchError("it is broken", hint="mend it")
    assert (str(error), error.message, error.hint) == ("it is broken", "it is broken", "mend it")


@pytest.mark.parametrize(
    ("mistakes", "message"),
    [(["a"], "1 mistake in the settings"), (["a", "b"], "2 mistakes in the settings")],
)
def test_all_mistakes_in_the_settings_are_told_at_once(mistakes: list[str], message: str) -> None:
    error = SettingsError(mistakes)
    assert (error.message, error.mistakes) == (message, tuple(mistakes))
    assert error.hint
