"""Slack, PagerDuty, Microsoft Teams, mail and a hundred others, through the library apprise and its URLs.

What this survives: a library that says only whether it has succeeded. What it writes into its log is the reason, and
the secrets of the URL are taken out of it.
"""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import unquote

from spotwatch.core.errors import InputError, NotificationDeferred
from spotwatch.core.notification import DrainState, Notification
from spotwatch.notify.secret_file import redacted

SHOWN: Final = 200
"""Characters of the library's reason that an error shows."""

_TYPES: Final = {"info": "info", "warning": "warning", "critical": "failure"}


class Service:
    """One URL of apprise's; implements `spotwatch.hooks.services.Recipient`.

    Args:
        url: a secret, but for its scheme.
        place: for messages, where it comes from.

    Raises:
        InputError: apprise does not know such a URL.
        ModuleNotFoundError: apprise is not installed.
    """

    def __init__(self, url: str, place: str) -> None:
        import apprise

        self._url = url
        # No threads of its own: the process would wait for those that hang, and nobody could tell whose complaint is
        # whose. We run in a thread that is left behind when it hangs.
        asset = apprise.AppriseAsset(async_mode=False, service_timeout=0, app_id="spotwatch")
        self._service = apprise.Apprise(asset=asset)
        scheme = url.partition("://")[0] if "://" in url else ""
        self.name = f"{scheme} of {place}"
        with _reasons():
            known = scheme and self._service.add(url)
        if not known:
            raise InputError(
                f"{place}: this is no URL that apprise knows{f', {scheme}://' if scheme else ''}",
                hint="see https://github.com/caronc/apprise/wiki",
            )

    def preview(self, notification: Notification) -> str:
        """Title and text."""
        return notification.text

    def tell(self, notification: Notification) -> None:
        """One attempt.

        Raises:
            NotificationDeferred: it did not succeed; whether it would the next time the library does not say.
        """
        kind = "success" if notification.state == DrainState.DRAINED else _TYPES[notification.severity]
        with _reasons() as reasons:
            told = self._service.notify(body=notification.text, title=notification.title, notify_type=kind)
        if not told:
            reason = redacted(reasons[-1] if reasons else "apprise says no more", *_secrets(self._url))
            raise NotificationDeferred(reason[:SHOWN], hint="see its URL, and whether it can be reached from here")


def _secrets(url: str) -> list[str]:
    """The parts of a URL that are long enough to be one."""
    pieces = re.split(r"[/?&=:@]+", url.partition("://")[2])
    return [url, *(piece for piece in [*pieces, *map(unquote, pieces)] if len(piece) > 4)]


@contextmanager
def _reasons() -> Iterator[list[str]]:
    """What the library complains of in this thread.

    Somebody has to listen, or Python would print complaints, which may hold secrets (logging.lastResort).
    """
    found: list[str] = []
    ours = threading.get_ident()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == ours and record.levelno >= logging.WARNING:
                found.append(record.getMessage())

    log: Any = logging.getLogger("apprise")
    listener = Listener()
    log.addHandler(listener)
    try:
        yield found
    finally:
        log.removeHandler(listener)
