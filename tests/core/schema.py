"""The published schema of the drain report, and a document held against it."""

import json
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator

from spotwatch.core.report import DrainReport

SCHEMA: dict[str, Any] = json.loads((files("spotwatch.core") / "drain_report.schema.json").read_text("utf-8"))

_VALIDATOR = Draft202012Validator(SCHEMA)


def as_published(report: DrainReport) -> dict[str, Any]:
    """What someone reads who reads the report's JSON."""
    document: dict[str, Any] = json.loads(json.dumps(report.to_json(), allow_nan=False))
    return document


def complaints(document: dict[str, Any]) -> list[str]:
    """Where the document is not as the schema says, as ``hooks.0.status: what is wrong``."""
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in _VALIDATOR.iter_errors(document)]
