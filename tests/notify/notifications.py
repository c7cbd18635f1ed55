"""Notifications for tests of who tells them."""

from typing import Any

from spotwatch.core.notification import Notification
from spotwatch.core.report import InstanceFacts
from tests.reports import make_hook_report

INSTANCE = InstanceFacts("i-0123456789abcdef0", "c6i.large", "eu-west-1b", "eu-west-1")

FAILED = make_hook_report("flush-logs", status="failed", exit_code=3)


def notification(state: str = "noticed", **values: Any) -> Notification:
    """Of a termination."""
    told: dict[str, Any] = {
        "drain": "20260101T000000.000Z-terminate",
        "event": "terminate",
        "action": "terminate",
        "notice_time": "2026-01-01T00:02:00Z",
        "deadline": "2026-01-01T00:02:00Z",
        "seconds_left": 118.5,
        "instance": INSTANCE,
    }
    return Notification(state, **{**told, **values})
