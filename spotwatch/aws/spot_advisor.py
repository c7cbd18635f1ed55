"""AWS's public feed of the Spot Instance Advisor: fetched over HTTPS, without credentials, through the user's proxy."""

import email.utils
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date
from typing import Any, Final

import httpx

from spotwatch.aws.session import CONNECT_TIMEOUT, READ_TIMEOUT, Clock, patiently
from spotwatch.core.advisor import MIDDLES
from spotwatch.core.errors import AwsBroken, AwsError, AwsNotFound, AwsRefused, AwsThrottled, AwsUnreachable

FEED_URL: Final = "https://spot-bid-advisor.s3.amazonaws.com/spot-advisor-data.json"

MOST_BYTES: Final = 32 * 1024 * 1024
"""The feed has about one megabyte; what is much larger is something else."""

_FAILURES: Final = (httpx.HTTPError, httpx.StreamError)
"""The network's; tried again."""

_IMPOSSIBLE: Final = (
    httpx.InvalidURL,
    httpx.CookieConflict,
    httpx.UnsupportedProtocol,
    ValueError,
    OSError,
    ImportError,
)
"""The configuration's: the URL, a proxy of a kind that httpx needs another package for, a missing `SSL_CERT_FILE`."""


@dataclass(frozen=True, slots=True)
class Feed:
    """The feed as it was fetched.

    Attributes:
        document: the parsed JSON.
        modified: the day on which AWS made it, None if it was not said.
        etag: tells this version from others; empty if none was said.
    """

    document: Any
    modified: date | None
    etag: str


def spot_advisor(clock: Clock, until: float, *, url: str = FEED_URL, etag: str = "") -> Feed | None:
    """Fetch the feed; None if it is still the version that `etag` names.

    Args:
        clock: measures the time and passes it.
        until: when the feed has to be here, in seconds on `clock`.
        url: of the feed.
        etag: of the version that is here already.

    Raises:
        AwsError: as its subclasses say.
    """
    return patiently(until, clock)(_attempt, clock, until, url, etag)


def _attempt(clock: Clock, until: float, url: str, etag: str) -> Feed | None:
    timeout = httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT)
    headers = {"If-None-Match": etag} if etag else {}
    try:
        with httpx.Client(timeout=timeout) as client, client.stream("GET", url, headers=headers) as response:
            if response.status_code == 304 and etag:
                return None
            if response.status_code != 200:
                raise _refusal(response.status_code, url)
            return _feed(_body(response, clock, until), response.headers)
    except _IMPOSSIBLE as error:
        raise AwsRefused(f"{url}: {error}", hint="see the URL and the proxy settings") from error
    except _FAILURES as error:
        said = str(error) or type(error).__name__
        raise AwsUnreachable(f"{url}: {said}", hint="see whether it can be reached from here; HTTPS_PROXY") from error


def _refusal(status: int, url: str) -> AwsError:
    message, code = f"{url} answered {status}", str(status)
    if status in (429, 503):
        return AwsThrottled(message, code=code, hint="try again later")
    if status in (404, 410):
        return AwsNotFound(message, code=code, hint="AWS has moved the feed: give a file of it")
    if status >= 500:
        return AwsBroken(message, code=code, hint="see what answers there; AWS may have trouble")
    return AwsRefused(message, code=code, hint="see the proxy, or give a file of the feed")


def _body(response: httpx.Response, clock: Clock, until: float) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MOST_BYTES:
            raise AwsBroken(f"{response.url} answered more than {MOST_BYTES} bytes", hint="see what answers there")
        if clock.now() >= until:
            raise AwsUnreachable(f"{response.url} was not complete in time", hint="allow more time")
    return bytes(body)


def _feed(body: bytes, headers: httpx.Headers) -> Feed:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise AwsBroken(f"the Spot Advisor's feed is no JSON: {error}", hint="see what answers there") from error
    return Feed(document, _date(headers.get("Last-Modified", "")), headers.get("ETag", ""))


def _date(text: str) -> date | None:
    try:
        return email.utils.parsedate_to_datetime(text).astimezone(UTC).date()
    except (ValueError, OverflowError):
        return None


def interruptions(feed: Feed, region: str) -> dict[str, float]:
    """The probability that a Linux instance is interrupted within a month, by type name; see `core.advisor.MIDDLES`.

    Raises:
        AwsNotFound: it says nothing of the region.
        AwsBroken: it is not the feed, or has bands that are not known here.
    """
    regions = _object(feed.document, "spot_advisor")
    if region not in regions:
        raise AwsNotFound(f"the Spot Advisor's feed has nothing of {region}", hint="plan without interruption bands")
    middles = _middles(_object(feed.document, "ranges", list))
    advised = _object(regions[region], "Linux")
    return {name: _middle(name, advice, middles) for name, advice in advised.items()}


def _middles(ranges: list[Any]) -> dict[int, float]:
    try:
        return {band["index"]: MIDDLES[band["label"]] for band in ranges}
    except (LookupError, TypeError) as error:
        raise AwsBroken(f"the Spot Advisor's feed has bands that are not known: {ranges!r}", hint=_CHANGED) from error


def _middle(name: str, advice: Mapping[str, Any], middles: Mapping[int, float]) -> float:
    try:
        return middles[advice["r"]]
    except (LookupError, TypeError) as error:
        raise AwsBroken(f"the Spot Advisor's feed has no known band for {name}: {advice!r}", hint=_CHANGED) from error


def _object(value: Any, key: str, kind: type = dict) -> Any:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, kind):
        raise AwsBroken(f'the Spot Advisor\'s feed has no "{key}"', hint=_CHANGED)
    return found


_CHANGED: Final = "AWS has changed the feed: give an older file of it, or plan without interruption bands"
