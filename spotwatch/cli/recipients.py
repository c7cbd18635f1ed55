"""Recipients out of the words of `notify`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spotwatch.cli.extras import install_hint, not_installed
from spotwatch.core.errors import InputError, NotificationRefused
from spotwatch.core.notification import Notification
from spotwatch.hooks.recipient_places import EventBusPlace, RecipientPlace, ServicePlace, SnsPlace, WebhookPlace
from spotwatch.hooks.services import Recipient
from spotwatch.notify.secret_file import read_lines

if TYPE_CHECKING:
    from spotwatch.aws.session import Session

Sessions = Callable[[str], "Session"]
"""AWS, in a region; with an empty one where we are."""


class LateRecipient:
    """One whose library takes longer to load than most hooks run: it is made when it is first used."""

    def __init__(self, name: str, make: Callable[[], Recipient]) -> None:
        self.name = name
        self._make = make
        self._made: Recipient | None = None

    def preview(self, notification: Notification) -> str:
        """What would be told."""
        return self._recipient().preview(notification)

    def tell(self, notification: Notification) -> None:
        """One attempt."""
        self._recipient().tell(notification)

    def _recipient(self) -> Recipient:
        if self._made is None:
            self._made = self._make()
        return self._made


def recipients(place: RecipientPlace, session: Sessions) -> Sequence[Recipient]:
    """Those that a place means.

    Raises:
        InputError: a file that is named cannot be used.
        NotificationRefused: a library is not installed; told when the recipient is first used.
    """
    match place:
        case WebhookPlace():
            return _webhooks(place)
        case ServicePlace(file):
            return [_service(url, f"{file}, entry {number}") for number, url in enumerate(read_lines(file), start=1)]
        case SnsPlace(arn):
            return [LateRecipient(f"SNS topic {arn.rpartition(':')[2]}", lambda: _topic(arn, session))]
        case EventBusPlace(bus):
            return [LateRecipient(f"event bus {bus.rpartition('/')[2]}", lambda: _bus(bus, session))]


def _webhooks(place: WebhookPlace) -> list[Recipient]:
    from spotwatch.notify.template import Template
    from spotwatch.notify.webhook import Webhook, read_headers

    urls = read_lines(place.source) if isinstance(place.source, Path) else [place.source]
    headers = read_headers(read_lines(place.header_file), str(place.header_file)) if place.header_file else {}
    template = Template(_text(place.template), str(place.template)) if place.template else None
    return [Webhook(url, headers, template) for url in urls]


def _service(url: str, place: str) -> Recipient:
    def make() -> Recipient:
        from spotwatch.notify.service import Service

        try:
            return Service(url, place)
        except ModuleNotFoundError as error:
            raise NotificationRefused(not_installed(error), hint=install_hint("notify")) from None

    return LateRecipient(f"{url.partition('://')[0] if '://' in url else 'service'} of {place}", make)


def _topic(arn: str, session: Sessions) -> Recipient:
    made = session(_region(arn))
    from spotwatch.aws.sns import SnsTopic

    return SnsTopic(made.api("sns"), arn)


def _bus(bus: str, session: Sessions) -> Recipient:
    made = session(_region(bus))
    from spotwatch.aws.event_bridge import EventBus

    return EventBus(made.api("events"), bus)


def _region(arn: str) -> str:
    """Of an ARN; empty if it is none."""
    parts = arn.split(":")
    return parts[3] if len(parts) > 5 else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"{path} cannot be read: {reason}", hint="see its path and its owner") from None
