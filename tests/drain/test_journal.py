"""What the journal holds is what was put into it; what cannot be understood is one of three errors."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotwatch.core.event import Event, EventKind
from spotwatch.core.hook import Hook, OnFailure
from spotwatch.core.instant import Instant
from spotwatch.core.report import InstanceFacts
from spotwatch.core.settings import DrainSettings, LimitSettings
from spotwatch.drain.journal import (
    Opening,
    decode_happening,
    decode_opening,
    encode_happening,
    encode_opening,
    encode_orders,
)
from spotwatch.drain.orders import (
    EventCame,
    EventWithdrawn,
    Happening,
    HookEnded,
    HookLost,
    HookNotStarted,
    KillHook,
    Order,
    StartHook,
    StopAsked,
    TerminateHook,
    TimePassed,
)
from tests.drain.driver import make_event, make_hook

SECONDS = st.floats(allow_nan=False, allow_infinity=False)
MILLISECONDS = st.integers(0, 10**11).map(
    lambda count: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=count)
)
EVENTS = st.builds(
    Event, st.sampled_from(EventKind), st.text(), st.none() | MILLISECONDS, seen_at=SECONDS, deadline=SECONDS
)
HOOKS = st.builds(
    Hook,
    name=st.text(),
    on=st.frozensets(st.sampled_from(EventKind)),
    command=st.lists(st.text()).map(tuple),
    stage=st.integers(),
    timeout=st.none() | SECONDS,
    reserve=SECONDS,
    start_before=st.none() | SECONDS,
    on_failure=st.sampled_from(OnFailure),
    background=st.booleans(),
    always=st.booleans(),
    rerun=st.booleans(),
    user=st.none() | st.text(),
    group=st.none() | st.text(),
    directory=st.none() | st.text(),
    environment=st.dictionaries(st.text(), st.text()),
)
CODES = st.none() | st.integers()
HAPPENINGS = st.one_of(
    st.builds(EventCame, EVENTS),
    st.builds(EventWithdrawn, st.sampled_from(EventKind)),
    st.builds(HookEnded, st.text(), CODES, CODES, st.integers(0), st.text()),
    st.builds(HookNotStarted, st.text(), st.text()),
    st.builds(HookLost, st.text()),
    st.just(TimePassed()),
    st.just(StopAsked()),
)
OPENINGS = st.builds(
    Opening,
    drain=st.text(),
    boot=st.text(),
    began=st.builds(Instant, SECONDS, st.datetimes(timezones=st.just(UTC))),
    instance=st.builds(InstanceFacts, st.text(), st.text(), st.text(), st.text()),
    event=EVENTS,
    hooks=st.lists(HOOKS, max_size=3).map(tuple),
    settings=st.builds(DrainSettings, SECONDS, SECONDS, st.booleans(), st.builds(LimitSettings, start=SECONDS)),
    by_hand=st.booleans(),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | SECONDS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)

OPENING = Opening(
    "d-1",
    "a-boot",
    Instant(1.0, datetime(2026, 11, 22, tzinfo=UTC)),
    InstanceFacts("i-1"),
    make_event(),
    (make_hook("a", environment={"A": "b"}),),
    DrainSettings(),
)


@given(HAPPENINGS)
def test_every_happening_comes_back_as_it_was(happening: Happening) -> None:
    assert decode_happening(encode_happening(happening)) == happening


@given(OPENINGS)
def test_every_opening_comes_back_as_it_was(opening: Opening) -> None:
    assert decode_opening(encode_opening(opening)) == opening


def test_every_kind_of_happening_is_in_the_test_above() -> None:
    kinds = {EventCame, EventWithdrawn, HookEnded, HookNotStarted, HookLost, TimePassed, StopAsked}
    assert kinds == set(Happening.__args__)


def test_a_notice_time_comes_back_in_utc() -> None:
    there = datetime(2026, 11, 22, 10, 0, tzinfo=timezone(timedelta(hours=2)))
    happening = EventCame(Event(EventKind.STOP, "stop", there, 0.0, 1.0))
    assert decode_happening(encode_happening(happening)) == happening


def test_an_opening_of_a_version_that_did_not_know_by_hand_is_read() -> None:
    document = json.loads(encode_opening(OPENING))
    del document["by_hand"]
    assert decode_opening(json.dumps(document)) == OPENING


def test_an_opening_of_a_version_that_did_not_know_the_background_is_read() -> None:
    document = json.loads(encode_opening(OPENING))
    del document["hooks"][0]["background"]
    assert decode_opening(json.dumps(document)) == OPENING


def test_orders_are_told_by_the_names_of_their_hooks() -> None:
    orders: list[Order] = [StartHook(make_hook("a"), 1.5), TerminateHook("b"), KillHook("c")]
    assert json.loads(encode_orders(orders)) == [
        {"what": "StartHook", "hook": "a", "allowed": 1.5},
        {"what": "TerminateHook", "hook": "b"},
        {"what": "KillHook", "hook": "c"},
    ]


def refused(decode: Any, text: str) -> bool:
    """Whether a text is refused in one of the documented ways; any other error fails the test."""
    try:
        decode(text)
    except (KeyError, TypeError, ValueError):
        return True
    return False


@pytest.mark.parametrize("text", ["", "{", "null", "1", "[]", '"x"', "{}", "[" * 100_000, '{"what": "Nothing"}', "\0"])
def test_what_is_none_is_refused(text: str) -> None:
    assert refused(decode_happening, text)
    assert refused(decode_opening, text)


@given(JSON)
def test_any_other_json_is_refused_or_understood_but_nothing_else(document: Any) -> None:
    refused(decode_happening, json.dumps(document))
    refused(decode_opening, json.dumps(document))


@given(st.data())
def test_an_opening_with_anything_in_one_place_is_refused_or_understood_but_nothing_else(data: st.DataObject) -> None:
    document = json.loads(encode_opening(OPENING))
    place = document
    while True:
        key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(JSON)
    refused(decode_opening, json.dumps(document))


@given(HAPPENINGS, st.data())
def test_a_happening_with_anything_in_one_place_is_refused_or_understood_but_nothing_else(
    happening: Happening, data: st.DataObject
) -> None:
    document = json.loads(encode_happening(happening))
    document[data.draw(st.sampled_from(list(document)))] = data.draw(JSON)
    refused(decode_happening, json.dumps(document))
