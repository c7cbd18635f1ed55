"""Who is to be told, in the words of the command line; the command line makes the recipients out of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class WebhookPlace:
    """Webhooks.

    Attributes:
        source: a URL, or a file with one or more of them.
        header_file: with more headers; None: none.
        template: of the body; None: the whole notification.
    """

    source: str | Path
    header_file: Path | None = None
    template: Path | None = None


@dataclass(frozen=True, slots=True)
class ServicePlace:
    """Named services.

    Attributes:
        file: with one or more URLs of apprise's.
    """

    file: Path


@dataclass(frozen=True, slots=True)
class SnsPlace:
    """An SNS topic.

    Attributes:
        arn: of the topic; its region is in it.
    """

    arn: str


@dataclass(frozen=True, slots=True)
class EventBusPlace:
    """An event bus of EventBridge.

    Attributes:
        bus: its name, or its ARN with the region.
    """

    bus: str


RecipientPlace: TypeAlias = WebhookPlace | ServicePlace | SnsPlace | EventBusPlace
