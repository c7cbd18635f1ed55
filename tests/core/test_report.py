"""The report's JSON form: it reads back the same, and the published schema describes it."""

from dataclasses import fields, replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from spotwatch.core.event import EVENT_NAMES
from spotwatch.core.hook import HookStatus
from spotwatch.core.report import SCHEMA as SCHEMA_VERSION
from spotwatch.core.report import DrainReport, EventReport, HookReport, InstanceFacts, Verdict
from spotwatch.drain.machine import Effect
from tests.core.schema import SCHEMA, as_published, complaints

HOOK = HookReport(
    name="flush",
    stage=20,
    status="killed",
    reason="its end was not seen after SIGKILL",
    started_at="2026-11-22T08:20:31.125Z",
    ended_at="2026-11-22T08:22:26.125Z",
    seconds=115.0,
    allowed_seconds=112.5,
    timeout_seconds=None,
    exit_code=None,
    signal=9,
    output="output/flush.log",
    output_dropped_bytes=17,
)

EVENT = EventReport(
    event="terminate",
    action="terminate",
    effect="began",
    notice_time="2026-11-22T08:22:31.000Z",
    seen_at="2026-11-22T08:20:31.125Z",
    seconds_left=119.875,
)

REPORT = DrainReport(
    drain="20261122T082031.125Z-terminate",
    verdict="cut",
    event="terminate",
    action="terminate",
    notice_time="2026-11-22T08:22:31.000Z",
    notice_seen_at="2026-11-22T08:20:31.125Z",
    seconds_left=119.875,
    deadline="2026-11-22T08:22:31.000Z",
    began_at="2026-11-22T08:20:31.125Z",
    ended_at="2026-11-22T08:22:26.125Z",
    seconds_to_spare=4.875,
    clock_skew_seconds=-0.25,
    instance=InstanceFacts("i-0123456789abcdef0", "t4g.nano", "eu-west-1c", "eu-west-1"),
    events=(EVENT,),
    hooks=(HOOK,),
    not_recorded=("report: no space left on device",),
    spotwatch="1.0",
)

RUNNING = replace(
    REPORT,
    verdict="running",
    notice_time=None,
    ended_at=None,
    seconds_to_spare=None,
    clock_skew_seconds=None,
    instance=InstanceFacts(),
    hooks=(),
    not_recorded=(),
)


@pytest.mark.parametrize("report", [REPORT, RUNNING], ids=["whole", "running"])
def test_a_report_reads_back_from_its_json_the_same(report: DrainReport) -> None:
    assert DrainReport.from_json(as_published(report)) == report


@pytest.mark.parametrize("report", [REPORT, RUNNING], ids=["whole", "running"])
def test_a_report_is_as_the_schema_says(report: DrainReport) -> None:
    assert complaints(as_published(report)) == []


@pytest.mark.parametrize("version", [None, 0, 2, "1"])
def test_a_report_of_another_schema_is_refused_by_number(version: object) -> None:
    with pytest.raises(ValueError, match=f"of schema {version!r}; this version reads 1"):
        DrainReport.from_json(as_published(REPORT) | {"schema": version})


@pytest.mark.parametrize(
    "change",
    [{"instance": None}, {"events": 3}, {"events": ["x"]}, {"hooks": [{}]}, {"hooks": None}, {"more": 1}],
    ids=str,
)
def test_a_document_that_is_no_report_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a drain report"):
        DrainReport.from_json(as_published(REPORT) | change)


@pytest.mark.parametrize("key", sorted(as_published(REPORT)))
def test_no_property_may_be_missing(key: str) -> None:
    document = as_published(REPORT)
    del document[key]
    with pytest.raises(ValueError, match="drain report"):
        DrainReport.from_json(document)
    assert complaints(document) == [f": '{key}' is a required property"]


# The schema


def objects() -> dict[str, dict[str, Any]]:
    """Every kind of object that the schema describes."""
    return {"report": SCHEMA} | {name: one for name, one in SCHEMA["$defs"].items() if one.get("type") == "object"}


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("report", DrainReport),
        ("instance", InstanceFacts),
        ("event_report", EventReport),
        ("hook_report", HookReport),
    ],
)
def test_the_schema_describes_exactly_what_is_written(name: str, kind: type[DrainReport]) -> None:
    described, written = objects()[name], {field.name for field in fields(kind)}
    assert set(described["properties"]) == set(described["required"]) == written
    assert described["additionalProperties"] is False


@pytest.mark.parametrize("name", objects())
def test_every_property_is_described_and_every_number_and_time_with_its_unit(name: str) -> None:
    for key, described in objects()[name]["properties"].items():
        meaning, kinds = described["description"], described.get("type", [])
        assert meaning.endswith("."), key
        if described.get("$ref", "").endswith("time"):
            assert "UTC" in meaning, key
        if {"number", "integer"} & set([kinds] if isinstance(kinds, str) else kinds):
            assert any(unit in meaning for unit in ("in seconds", "in bytes", "without unit")), key


@pytest.mark.parametrize(
    ("described", "words"),
    [
        (SCHEMA["properties"]["verdict"], list(Verdict)),
        (SCHEMA["$defs"]["event"], list(EVENT_NAMES)),
        (SCHEMA["$defs"]["hook_report"]["properties"]["status"], list(HookStatus)),
        (SCHEMA["$defs"]["event_report"]["properties"]["effect"], [effect.value for effect in Effect]),
        (SCHEMA["properties"]["schema"], [SCHEMA_VERSION]),
    ],
    ids=["verdict", "event", "status", "effect", "schema"],
)
def test_the_schema_knows_every_word_and_no_other(described: dict[str, Any], words: list[object]) -> None:
    assert described.get("enum", [described.get("const")]) == words


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"verdict": "fine"}, "verdict: 'fine' is not one of"),
        ({"deadline": "2026-11-22 08:22:31"}, "deadline: '2026-11-22 08:22:31' does not match"),
        ({"ended_at": 5}, "ended_at: 5 is not valid"),
        ({"events": []}, "events: [] should be non-empty"),
        ({"schema": 2}, "schema: 1 was expected"),
        ({"hooks": [as_published(REPORT)["hooks"][0] | {"status": "dead"}]}, "hooks.0.status: 'dead' is not one of"),
        ({"colour": "red"}, ": Additional properties are not allowed"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_the_schema_refuses_what_a_report_never_says(change: dict[str, object], complaint: str) -> None:
    [found] = complaints(as_published(REPORT) | change)
    assert found.startswith(complaint)
