"""The IMDSv2 session: which request to send next, given what was answered. A protocol without I/O.

`Session.get` is a generator: it yields a `Request`, is sent the `Response` or thrown the `MetadataError` that came of
it, and returns the item's text, or None where the item does not exist. Statuses as in the EC2 user guide, "Use the
Instance Metadata Service", and as seen on real instances:

- 401 means that the token is missing, invalid or expired: a new one **replaces** it and the same item is asked again;
- a token request that is never answered is how an exceeded hop limit shows (the reply is dropped, not refused);
- 404 is the normal answer for an item that does not exist now.
"""

from collections.abc import Callable, Generator

from spotwatch.core.errors import (
    MetadataBroken,
    MetadataError,
    MetadataRefused,
    MetadataThrottled,
    MetadataTimedOut,
    MetadataTokenUnanswered,
)
from spotwatch.watch.exchange import Request, Response

TOKEN_PATH = "/latest/api/token"  # noqa: S105 (a path)
TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105 (a header's name)
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
META_DATA = "/latest/meta-data/"

LONGEST_TTL = 21600
"""Seconds; the service answers 400 to more (EC2 user guide)."""

TOKEN_LIMIT_SECONDS = 1.0
"""A token comes within milliseconds or, past the hop limit, never."""

TOKENLESS_SECONDS = 60.0
"""How long IMDSv1 is used, where it is allowed, before a token is tried for again."""

RENEWAL_SHARE = 0.9
"""A token is renewed when this share of its life is over, so that a failed renewal has time to be repeated."""

RENEWAL_RETRY_SECONDS = 60.0
"""After a failed renewal the old token serves on, and a new one is asked for this much later."""

CONCLUSIVE_SECONDS = 0.05
"""A token request that waited less than this in vain says nothing of the hop limit: the caller had no more time."""

Flow = Generator[Request, Response, str | None]

_HOP_LIMIT_HINT = (
    "the token's answer was probably dropped by the hop limit: raise it with "
    "'aws ec2 modify-instance-metadata-options --instance-id ID --http-put-response-hop-limit 2'"
)
_BROKEN_HINT = "this passes, or something else than a metadata service answers at this address"
_OFF_HINT = (
    "turn the metadata service on with 'aws ec2 modify-instance-metadata-options --instance-id ID "
    "--http-endpoint enabled', and let no proxy stand between"
)


class Session:
    """Holds the token; `now` is a clock in seconds that goes on in hibernation."""

    def __init__(self, *, timeout: float, token_ttl: float, imdsv1: bool, now: Callable[[], float]) -> None:
        self._timeout = timeout
        self._ttl = max(1, min(LONGEST_TTL, round(token_ttl)))
        self._imdsv1 = imdsv1
        self._now = now
        self._version = ""
        self._forget()

    @property
    def version(self) -> str:
        """How the last item was asked for, ``IMDSv2`` or ``IMDSv1``; an empty text before the first."""
        return self._version

    def get(self, item: str) -> Flow:
        """Ask for an item under ``/latest/meta-data/``.

        Raises:
            MetadataError: in the generator's last step; each kind is in `spotwatch.core.errors`.
        """
        verdict = self._why_tokenless
        yield from self._have_token()
        response = yield self._request(item)
        if response.status == 401 and self._why_tokenless is verdict:
            self._forget()
            yield from self._fetch_token()
            response = yield self._request(item)
        if response.status == 401 and self._why_tokenless is not None:
            # Doing without a token is allowed here, but not over there: that none can be had is the trouble.
            raise self._why_tokenless
        return _text(item, response)

    def _forget(self) -> None:
        """There is no token, and no verdict that there can be none."""
        self._token = ""
        self._renew_at = self._expires_at = self._tokenless_until = float("-inf")
        self._why_tokenless: MetadataError | None = None

    def _request(self, item: str) -> Request:
        self._version = "IMDSv2" if self._token else "IMDSv1"
        headers = {TOKEN_HEADER: self._token} if self._token else {}
        return Request("GET", META_DATA + item, self._timeout, headers)

    def _have_token(self) -> Generator[Request, Response, None]:
        now = self._now()
        if now < self._tokenless_until or now < self._renew_at:
            return
        try:
            yield from self._fetch_token()
        except MetadataError:
            if self._now() >= self._expires_at:
                self._forget()
                raise
            self._renew_at = self._now() + RENEWAL_RETRY_SECONDS

    def _fetch_token(self) -> Generator[Request, Response, None]:
        asked_at = self._now()
        request = Request("PUT", TOKEN_PATH, min(self._timeout, TOKEN_LIMIT_SECONDS), {TTL_HEADER: str(self._ttl)})
        try:
            response = yield request
        except MetadataTimedOut as error:
            if self._now() - asked_at < min(CONCLUSIVE_SECONDS, request.limit / 2):
                raise
            self._without_token(
                MetadataTokenUnanswered(f"no answer to the token request: {error.message}", hint=_HOP_LIMIT_HINT)
            )
            return
        if response.status in {404, 405, 501}:
            self._without_token(
                MetadataRefused(
                    f"the service grants no tokens (status {response.status})",
                    hint="set metadata.imdsv1 = true if it is meant to know IMDSv1 only",
                )
            )
            return
        self._token, self._why_tokenless = _granted(response), None
        self._renew_at = asked_at + RENEWAL_SHARE * self._ttl
        self._expires_at = asked_at + self._ttl

    def _without_token(self, error: MetadataError) -> None:
        """Go on with IMDSv1 if the settings allow it and no valid token is left."""
        if not self._imdsv1 or self._now() < self._expires_at:
            raise error
        self._forget()
        self._tokenless_until, self._why_tokenless = self._now() + TOKENLESS_SECONDS, error


def _granted(response: Response) -> str:
    """The token in a good answer; the error that any other means."""
    if response.status != 200:
        raise _failure("the session token", response)
    token = response.body.strip()
    if not token or not token.isascii() or not token.isprintable():
        raise MetadataBroken("the answer to the token request holds no token", hint=_BROKEN_HINT)
    return token


def _text(item: str, response: Response) -> str | None:
    if response.status == 404:
        return None
    if response.status != 200:
        raise _failure(item, response)
    return response.body


def _failure(what: str, response: Response) -> MetadataError:
    """What a status other than 200 and 404 means."""
    status = response.status
    match status:
        case 429 | 503:
            return MetadataThrottled(
                f"asked for {what}: throttled (status {status})",
                hint="something on this host may ask too often: it has 1,024 packets a second, shared with DNS and NTP",
            )
        case 401:
            return MetadataRefused(
                f"asked for {what}: refused, and no new token helps (status 401)",
                hint="right after a launch this passes; later, check what answers at the endpoint",
            )
        case 403:
            return MetadataRefused(f"asked for {what}: forbidden (status 403)", hint=_OFF_HINT)
        case 400 | 405:
            return MetadataRefused(
                f"asked for {what}: refused (status {status})",
                hint="check what answers at the endpoint; the metadata service of EC2 accepts this request",
            )
    return MetadataBroken(f"asked for {what}: status {status}", hint=_BROKEN_HINT)
