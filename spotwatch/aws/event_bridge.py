"""Amazon EventBridge: an event is put on a bus."""

import json
from typing import Final

from spotwatch.aws.session import Api
from spotwatch.core.errors import AwsBroken, AwsDenied, AwsRefused, AwsThrottled
from spotwatch.core.notification import Notification

SOURCE: Final = "spotwatch"
DETAIL_TYPE: Final = "Spot Instance Drain State-change Notification"
"""By which rules find it, in the manner of EC2's own events."""

_BROKEN: Final = frozenset({"InternalFailure", "InternalException"})
_THROTTLED: Final = frozenset({"ThrottlingException", "LimitExceededException"})
_DENIED: Final = frozenset({"NotAuthorizedForSourceException", "AccessDeniedException"})


class EventBus:
    """One bus, by its name or its ARN; implements `spotwatch.hooks.services.Recipient`."""

    def __init__(self, events: Api, bus: str) -> None:
        self._events = events
        self._bus = bus
        self.name = f"event bus {bus.rpartition('/')[2]}"

    def preview(self, notification: Notification) -> str:
        """The event's detail."""
        return json.dumps(notification.to_json(), indent=2)

    def tell(self, notification: Notification) -> None:
        """One attempt.

        Raises:
            AwsError: as its subclasses say.
        """
        entry = {
            "Source": SOURCE,
            "DetailType": DETAIL_TYPE,
            "Detail": json.dumps(notification.to_json()),
            "Resources": [notification.instance.id] if notification.instance.id else [],
            "EventBusName": self._bus,
        }
        answer = self._events.attempt("PutEvents", Entries=[entry])
        for told in answer.get("Entries", ()):
            if told.get("ErrorCode"):
                _refuse(told["ErrorCode"], told.get("ErrorMessage", ""))
        if answer.get("FailedEntryCount", 0):
            raise AwsBroken("events:PutEvents: the event was not taken, and nobody says why")


def _refuse(code: str, message: str) -> None:
    """The answer is 200, and each event in it may have been refused."""
    text = f"events:PutEvents: {code}: {message}".rstrip(": ")
    if code in _BROKEN:
        raise AwsBroken(text, code=code)
    if code in _THROTTLED:
        raise AwsThrottled(text, code=code)
    if code in _DENIED:
        raise AwsDenied(text, code=code, hint="allow the IAM action events:PutEvents")
    raise AwsRefused(text, code=code)
