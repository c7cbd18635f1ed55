"""The public feed: fetched with patience, dated by AWS, and whatever httpx raises comes out as an `AwsError`."""

import json
import ssl
from datetime import date
from typing import Any

import httpx
import pytest
from werkzeug import Response

from spotwatch.aws.session import READ_TIMEOUT
from spotwatch.aws.spot_advisor import MOST_BYTES, Feed, interruptions, spot_advisor
from spotwatch.core.errors import (
    AwsBroken,
    AwsError,
    AwsNotFound,
    AwsRefused,
    AwsThrottled,
    AwsUnreachable,
    Transient,
)
from tests.aws.conftest import ScriptedAws, VirtualClock
from tests.pools.data import DATA, needs_data

DOCUMENT: dict[str, Any] = {
    "ranges": [
        {"index": 0, "label": "<5%", "dots": 0, "max": 5},
        {"index": 1, "label": "5-10%", "dots": 1, "max": 11},
        {"index": 2, "label": "10-15%", "dots": 2, "max": 16},
        {"index": 3, "label": "15-20%", "dots": 3, "max": 22},
        {"index": 4, "label": ">20%", "dots": 4, "max": 100},
    ],
    "spot_advisor": {
        "us-east-1": {
            "Linux": {"c6i.large": {"s": 58, "r": 0}, "m6i.large": {"s": 60, "r": 4}},
            "Windows": {"c6i.large": {"s": 10, "r": 2}},
        }
    },
}
MADE = "Sat, 21 Nov 2026 23:59:59 GMT"


def fed(document: Any = DOCUMENT, **headers: str) -> Response:
    sent = {"ETag": '"v1"', "Last-Modified": MADE, **headers}
    return Response(json.dumps(document), 200, headers=sent, content_type="application/json")


@pytest.fixture
def url(aws: ScriptedAws) -> str:
    return aws.url.rstrip("/") + "/feed.json"


def fetch(clock: VirtualClock, url: str, etag: str = "") -> Feed | None:
    return spot_advisor(clock, clock.now() + 10, url=url, etag=etag)


def test_the_feed_has_its_own_date(aws: ScriptedAws, url: str, clock: VirtualClock) -> None:
    aws.lay("/feed.json", fed())
    assert fetch(clock, url) == Feed(DOCUMENT, date(2026, 11, 21), '"v1"')
    assert "Authorization" not in aws.calls[0].headers


@pytest.mark.parametrize("said", ["", "yesterday", "Sat, 99 Nov 2026 23:59:59 GMT"])
def test_a_date_that_is_none_is_missing(aws: ScriptedAws, url: str, clock: VirtualClock, said: str) -> None:
    aws.lay("/feed.json", fed(**{"Last-Modified": said}))
    feed = fetch(clock, url)
    assert feed is not None
    assert feed.modified is None


def test_a_version_that_is_here_already_is_not_transferred(aws: ScriptedAws, url: str, clock: VirtualClock) -> None:
    aws.lay("/feed.json", Response(status=304))
    assert fetch(clock, url, '"v1"') is None
    assert aws.calls[0].headers["If-None-Match"] == '"v1"'


STATUSES: dict[int, type[AwsError]] = {
    301: AwsRefused,
    304: AwsRefused,
    403: AwsRefused,
    404: AwsNotFound,
    407: AwsRefused,
    429: AwsThrottled,
    500: AwsBroken,
    503: AwsThrottled,
}


@pytest.mark.parametrize(("status", "error"), STATUSES.items())
def test_any_other_status_is_an_error_with_a_hint(
    aws: ScriptedAws, url: str, clock: VirtualClock, status: int, error: type[AwsError]
) -> None:
    aws.lay("/feed.json", Response(status=status))
    with pytest.raises(error, match=str(status)) as raised:
        fetch(clock, url)
    assert raised.value.hint
    assert (len(aws.calls) > 1) == issubclass(error, Transient)


def test_trouble_that_passes_is_survived(aws: ScriptedAws, url: str, clock: VirtualClock) -> None:
    aws.lay("/feed.json", Response(status=503), Response("<html>", 200), fed())
    assert fetch(clock, url) is not None


def test_what_is_much_larger_than_the_feed_is_not_read_to_its_end(
    aws: ScriptedAws, url: str, clock: VirtualClock
) -> None:
    aws.lay("/feed.json", Response(bytes(MOST_BYTES + 1), 200))
    with pytest.raises(AwsBroken, match="more than 33554432 bytes"):
        spot_advisor(clock, clock.now() + 0.001, url=url)


def exceptions_of_httpx() -> list[type[Exception]]:
    public = [getattr(httpx, name) for name in httpx.__all__]
    return [one for one in public if isinstance(one, type) and issubclass(one, Exception)]


OTHERS = [ImportError, OSError, ssl.SSLError, UnicodeError, ValueError]
FINAL = {"InvalidURL", "CookieConflict", "UnsupportedProtocol", *(one.__name__ for one in OTHERS)}


@pytest.mark.parametrize("error", [*exceptions_of_httpx(), *OTHERS], ids=lambda error: error.__name__)
def test_no_exception_of_httpx_escapes(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        exception = error.__new__(error, "made up")
        exception.args = ("made up",)
        raise exception

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", fail)
    with pytest.raises(AwsError) as raised:
        fetch(clock, "https://feed.example/")
    assert isinstance(raised.value, Transient) == (error.__name__ not in FINAL)
    assert raised.value.hint


@pytest.mark.parametrize("wrong", ["ftp://feed.example/", "http://", "no url", "http://a\x00b/"])
def test_a_url_that_is_none_is_refused_at_once(clock: VirtualClock, wrong: str) -> None:
    with pytest.raises(AwsRefused):
        fetch(clock, wrong)
    assert clock.sleeps == []


def test_the_user_s_proxy_is_asked(aws: ScriptedAws, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", aws.url)
    aws.lay("/feed.json", fed())
    assert fetch(clock, "http://feed.example/feed.json") is not None
    assert aws.calls[0].headers["Host"] == "feed.example"


@pytest.mark.parametrize(
    ("variable", "value"), [("http_proxy", "gopher://proxy:70"), ("SSL_CERT_FILE", "/nonexistent/certificates")]
)
def test_a_proxy_or_a_certificate_file_that_cannot_be_used_is_refused(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(AwsError) as raised:
        fetch(clock, "http://127.0.0.1:9/")
    assert raised.value.hint


def test_where_nobody_is_it_gives_up_in_time(clock: VirtualClock) -> None:
    with pytest.raises(AwsUnreachable):
        fetch(clock, "http://127.0.0.1:9/")
    assert clock.now() < 1_000 + 10 + READ_TIMEOUT


# ------------------------------------------------------------------------------------------------- what it says


def feed(document: Any) -> Feed:
    return Feed(document, None, "")


def test_bands_become_probabilities_of_linux_instances() -> None:
    assert interruptions(feed(DOCUMENT), "us-east-1") == {"c6i.large": 0.025, "m6i.large": 0.3}


def test_a_region_that_it_does_not_have_is_said() -> None:
    with pytest.raises(AwsNotFound, match="mars-1"):
        interruptions(feed(DOCUMENT), "mars-1")


RUBBISH: dict[str, Any] = {
    "a list": [],
    "nothing": {},
    "no ranges": {"spot_advisor": DOCUMENT["spot_advisor"]},
    "a new band": {**DOCUMENT, "ranges": [{"index": 0, "label": "<1%"}]},
    "bands that are none": {**DOCUMENT, "ranges": [7]},
    "no Linux": {**DOCUMENT, "spot_advisor": {"us-east-1": {}}},
    "a region that is none": {**DOCUMENT, "spot_advisor": {"us-east-1": 7}},
    "a type without a band": {**DOCUMENT, "spot_advisor": {"us-east-1": {"Linux": {"c6i.large": {"s": 1}}}}},
    "a type with another band": {**DOCUMENT, "spot_advisor": {"us-east-1": {"Linux": {"c6i.large": {"r": 9}}}}},
    "a type that is none": {**DOCUMENT, "spot_advisor": {"us-east-1": {"Linux": {"c6i.large": None}}}},
}


@pytest.mark.parametrize("document", RUBBISH.values(), ids=RUBBISH.keys())
def test_what_is_not_the_feed_is_broken(document: Any) -> None:
    with pytest.raises(AwsBroken) as raised:
        interruptions(feed(document), "us-east-1")
    assert raised.value.hint


@needs_data
def test_the_real_feed_is_read() -> None:
    found = interruptions(feed(json.loads((DATA / "spot-advisor-data.json").read_text())), "ap-northeast-1")
    assert len(found) > 300
    assert set(found.values()) <= {0.025, 0.075, 0.125, 0.175, 0.3}
