"""What is told when a drain's state changes."""

import json

import pytest

from spotwatch.core.notification import FIELDS, TRIAL, DrainState, Notification, end_state
from spotwatch.core.report import Verdict
from tests.notify.notifications import FAILED, notification
from tests.reports import make_hook_report

NAME = "i-0123456789abcdef0 (c6i.large, eu-west-1b)"


@pytest.mark.parametrize(
    ("state", "title"),
    [
        ("noticed", "terminate noticed, 118.5 s left"),
        ("drained", "drained for terminate, 118.5 s left"),
        ("failed", "drain for terminate failed (cut), 118.5 s left"),
        ("canceled", "drain for terminate canceled"),
        ("unfinished", "drain for terminate not over, 118.5 s left"),
        ("trial", "a trial of spotwatch's notifications"),
    ],
)
def test_the_title_says_which_instance_and_what_about_it(state: str, title: str) -> None:
    assert notification(state, verdict="cut").title == f"{NAME}: {title}"


def test_an_instance_that_nobody_knows_is_one_all_the_same() -> None:
    assert Notification("noticed", event="stop").title == "an instance: stop noticed"


def test_the_text_names_the_hooks_that_failed_and_no_others() -> None:
    hooks = (
        make_hook_report("fine"),
        FAILED,
        make_hook_report("late", status="given-up", reason="0 s left"),
        make_hook_report("later", None, status="skipped", reason="late (stage 10) failed"),
    )
    assert notification("failed", verdict="cut", hooks=hooks).text.splitlines()[1:] == [
        "flush-logs: failed with exit code 3",
        "late: given up (0 s left)",
        "later: skipped (late (stage 10) failed)",
    ]


def test_what_still_runs_is_named_where_that_is_the_news() -> None:
    assert notification("unfinished", unfinished=("a", "b")).text.splitlines()[1:] == ["a: not over", "b: not over"]
    assert notification("noticed", unfinished=("a", "b")).text == notification("noticed").title


def test_the_same_change_has_the_same_id_and_another_one_another() -> None:
    noticed = notification()
    assert noticed.id == notification(seconds_left=3.0).id == "20260101T000000.000Z-terminate/terminate/noticed"
    others = {notification("drained").id, notification(event="stop").id, notification(drain="another").id}
    assert noticed.id not in others
    assert len(others) == 3


def test_an_id_outside_a_drain_is_the_instance_s() -> None:
    assert notification(TRIAL, drain="", event="").id == "i-0123456789abcdef0/trial"


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (Verdict.DRAINED, DrainState.DRAINED),
        (Verdict.FAILED, DrainState.FAILED),
        (Verdict.CUT, DrainState.FAILED),
        (Verdict.CANCELED, DrainState.CANCELED),
        (Verdict.RUNNING, DrainState.UNFINISHED),
    ],
)
def test_every_verdict_is_told_as_a_state(verdict: Verdict, state: DrainState) -> None:
    assert end_state(verdict) is state


def test_only_what_somebody_should_look_at_is_critical() -> None:
    severities = {state: notification(state).severity for state in (*DrainState, TRIAL)}
    assert [state for state, severity in severities.items() if severity == "critical"] == ["failed", "unfinished"]
    assert severities["noticed"] == "warning"


def test_its_json_has_a_name_for_everything() -> None:
    document = notification("failed", hooks=(FAILED,), unfinished=("a",)).to_json()
    assert tuple(document) == FIELDS
    assert document["hooks"] == [{"name": "flush-logs", "stage": 10, "status": "failed", "reason": ""}]
    assert (document["instance_id"], document["availability_zone"]) == ("i-0123456789abcdef0", "eu-west-1b")
    assert json.loads(json.dumps(document)) == document
