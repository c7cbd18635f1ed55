"""A webhook: JSON is posted to a URL.

What this survives: an endpoint that answers nothing, or without end; a URL that is a secret and must not be told, not
even by an error's text; a redirection, which would have the secret go elsewhere.
"""

import json
import math
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from spotwatch import __version__
from spotwatch.core.errors import (
    InputError,
    NotificationDeferred,
    NotificationError,
    NotificationRefused,
    NotificationUnanswered,
)
from spotwatch.core.notification import Notification
from spotwatch.notify.secret_file import redacted
from spotwatch.notify.template import Template

CONNECT_SECONDS: Final = 3.0
"""A connection within a continent takes milliseconds, and one lost packet is sent again after one second."""

READ_SECONDS: Final = 5.0
"""Between two bytes of an answer; webhooks queue what they get, and answer in well under one."""

MOST_OF_AN_ANSWER: Final = 2048
"""Bytes that are read of it, for the message."""

SHOWN: Final = 120
"""Characters of an answer that an error shows."""

_PATIENCE_ASKED: Final = frozenset({408, 425, 429})


class Webhook:
    """One URL; implements `spotwatch.hooks.services.Recipient`.

    Args:
        url: a secret, but for its host.
        headers: more headers, secrets as well.
        template: of the body; None: the whole notification.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None, template: Template | None = None) -> None:
        self._url = url
        self._headers = headers or {}
        self._template = template
        self.name = f"webhook {host_of(url)}"

    def preview(self, notification: Notification) -> str:
        """The body."""
        return json.dumps(self._document(notification), indent=2)

    def tell(self, notification: Notification) -> None:
        """One attempt.

        Raises:
            NotificationError: as its subclasses say.
        """
        headers = {
            "User-Agent": f"spotwatch/{__version__}",
            "Content-Type": "application/json",
            "Idempotency-Key": f'"{notification.id}"',
            **self._headers,
        }
        body = json.dumps(self._document(notification)).encode()
        try:
            timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
            with (
                httpx.Client(timeout=timeout, follow_redirects=False) as client,
                client.stream("POST", self._url, content=body, headers=headers) as answer,
            ):
                _raise_for(answer, self._safe)
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, ValueError) as error:
            raise self._mapped(error) from None

    def _document(self, notification: Notification) -> Any:
        return notification.to_json() if self._template is None else self._template.fill(notification)

    def _mapped(self, error: Exception) -> NotificationError:
        text = self._safe(str(error)) or type(error).__name__
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
            return NotificationRefused(
                f"its certificate is not trusted: {text}", hint="see the clock, the proxy, and SSL_CERT_FILE"
            )
        if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL | ValueError):
            return NotificationRefused(f"it cannot be asked: {text}", hint="see its URL and its headers")
        return NotificationUnanswered(
            f"no complete answer: {text}", hint="see whether it can be reached from here, and HTTPS_PROXY"
        )

    def _safe(self, text: str) -> str:
        """A text without our secrets: the URL, whole or in parts, and the values of our headers."""
        parts = urlsplit(self._url)
        pieces = [
            piece for piece in re.split(r"[/?&=:@]", f"{parts.netloc}{parts.path}?{parts.query}") if len(piece) > 7
        ]
        secrets = [piece for piece in pieces if piece != parts.hostname]
        return redacted(text, self._url, parts.path.strip("/"), parts.query, *secrets, *self._headers.values())


def host_of(url: str) -> str:
    """The part of a URL that is no secret.

    Raises:
        InputError: it is none of a webhook.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise InputError("the URL of a webhook is none", hint="write it whole: https://HOST/PATH")
    return host if port is None else f"{host}:{port}"


def read_headers(lines: list[str], name: str) -> dict[str, str]:
    """``Name: value``, one a line.

    Raises:
        InputError: a line is no header; it is not shown.
    """
    headers = dict(_headers(lines))
    if len(headers) != len(lines):
        raise InputError(f"{name}: a line is no header", hint="write Name: value, each name once")
    return headers


def _headers(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        match = re.fullmatch(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+):\s*([\x20-\x7e]+)", line)
        if match is not None:
            yield match[1], match[2].strip()


def _raise_for(answer: httpx.Response, safe: Callable[[str], str]) -> None:
    status = answer.status_code
    if answer.is_success:
        return
    said = safe(" ".join(_beginning(answer).split()))[:SHOWN]
    text = f"answered {status} {answer.reason_phrase}".rstrip() + (f": {said}" if said else "")
    if answer.is_redirect:
        host = urlsplit(answer.headers.get("location", "")).hostname or "elsewhere"
        raise NotificationRefused(
            f"answered {status}: it has moved to {host}", hint="write its new URL; nobody follows with a secret"
        )
    if status in _PATIENCE_ASKED or status >= 500:
        raise NotificationDeferred(text, after=_retry_after(answer.headers.get("retry-after", "")))
    raise NotificationRefused(text, hint="see its URL, its headers and its template")


def _beginning(answer: httpx.Response) -> str:
    content = b""
    for chunk in answer.iter_bytes():
        content += chunk
        if len(content) >= MOST_OF_AN_ANSWER:
            break
    return content[:MOST_OF_AN_ANSWER].decode(errors="replace")


def _retry_after(value: str) -> float:
    """Seconds (RFC 9110, "Retry-After": seconds or a date); 0 if it does not say."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return 0.0
        seconds = (when - datetime.now(UTC if when.tzinfo else None)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
