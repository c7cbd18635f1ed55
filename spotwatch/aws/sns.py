"""Amazon SNS: a topic is told."""

import hashlib
import json
import re
from typing import Any, Final

from spotwatch.aws.session import Api
from spotwatch.core.notification import Notification

SUBJECT: Final = 99
"""Characters of a subject; SNS takes fewer than 100, of ASCII, in one line (API reference, "Publish")."""


class SnsTopic:
    """One topic; implements `spotwatch.hooks.services.Recipient`.

    Mail and text messages get the text, everything else the JSON. For filter policies the state, the event and the
    instance's id are attributes. A FIFO topic takes the same notification once within its five minutes.
    """

    def __init__(self, sns: Api, arn: str) -> None:
        self._sns = sns
        self._arn = arn
        self.name = f"SNS topic {arn.rpartition(':')[2]}"

    def preview(self, notification: Notification) -> str:
        """What most subscribers would get."""
        return json.dumps(notification.to_json(), indent=2)

    def tell(self, notification: Notification) -> None:
        """One attempt.

        Raises:
            AwsError: as its subclasses say.
        """
        text = notification.text
        message = {"default": json.dumps(notification.to_json()), "email": text, "sms": notification.title}
        attributes = {
            "state": notification.state,
            "event": notification.event,
            "severity": notification.severity,
            "instance_id": notification.instance.id,
        }
        self._sns.attempt(
            "Publish",
            TopicArn=self._arn,
            Subject=re.sub(r"[^\x20-\x7e]", " ", notification.title)[:SUBJECT],
            Message=json.dumps(message),
            MessageStructure="json",
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value
            },
            **self._once(notification),
        )

    def _once(self, notification: Notification) -> dict[str, Any]:
        if not self._arn.endswith(".fifo"):
            return {}
        return {
            "MessageGroupId": notification.instance.id or "spotwatch",
            "MessageDeduplicationId": hashlib.sha256(notification.id.encode()).hexdigest(),
        }
