"""JSON out of a template."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotwatch.core.errors import InputError
from spotwatch.core.notification import FIELDS
from spotwatch.notify.template import Template
from tests.notify.notifications import FAILED, notification


def filled(template: Any, **values: Any) -> Any:
    return Template(json.dumps(template), "t.json").fill(notification(**values))


def test_placeholders_in_a_text_become_texts() -> None:
    assert filled({"text": "$event of ${instance_id}: $$5, $seconds_left s"}) == {
        "text": "terminate of i-0123456789abcdef0: $5, 118.5 s"
    }


@pytest.mark.parametrize("form", ["$seconds_left", "${seconds_left}"])
def test_a_text_that_is_one_placeholder_becomes_the_value(form: str) -> None:
    assert filled([form]) == [118.5]
    assert filled([form], seconds_left=None) == [None]


def test_lists_and_objects_are_values_too() -> None:
    hooks = filled({"deep": [{"er": "$hooks"}], "in text": "hooks: $hooks"}, hooks=(FAILED,))
    assert hooks["deep"][0]["er"] == [{"name": "flush-logs", "stage": 10, "status": "failed", "reason": ""}]
    assert hooks["in text"].startswith('hooks: [{"name": "flush-logs"')


def test_what_is_no_text_and_the_names_of_members_stay() -> None:
    assert filled({"$event": 1, "a": [True, None, 2.5]}) == {"$event": 1, "a": [True, None, 2.5]}


def test_every_field_can_be_asked_for() -> None:
    assert set(filled({name: f"${name}" for name in FIELDS})) == set(FIELDS)


@given(st.text())
def test_whatever_a_value_holds_the_result_is_json(action: str) -> None:
    document = filled({"a": "<$action>", "b": "$action"}, action=action)
    assert json.loads(json.dumps(document)) == {"a": f"<{action}>", "b": action}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"text": $event}', "t.json is no JSON"),
        ("", "t.json is no JSON"),
        ('{"text": "$evnt"}', "t.json: there is no $evnt"),
        ('{"text": "100 $"}', "t.json: Invalid placeholder"),
        ("[" * 100_000, "t.json is no JSON"),
    ],
)
def test_mistakes_are_found_before_anything_is_told(text: str, said: str) -> None:
    with pytest.raises(InputError) as raised:
        Template(text, "t.json")
    assert raised.value.message.startswith(said)
    assert raised.value.hint
