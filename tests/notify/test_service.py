"""Services that apprise knows; one of them is a plain server of ours, spoken to through the library."""

import json

import pytest
from pytest_httpserver import HTTPServer

from spotwatch.core.errors import InputError, NotificationDeferred
from spotwatch.notify.service import Service
from tests.notify.notifications import FAILED, notification

KEY = "s3cr3tk3yofours"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


def url_of(server: HTTPServer, options: str = "") -> str:
    return f"json://user:{KEY}@{server.host}:{server.port}/{KEY}{options}"


@pytest.mark.parametrize(
    ("state", "kind"), [("noticed", "warning"), ("drained", "success"), ("failed", "failure"), ("canceled", "info")]
)
def test_title_text_and_kind_arrive(httpserver: HTTPServer, state: str, kind: str) -> None:
    httpserver.expect_request(f"/{KEY}", method="POST").respond_with_data("ok")
    told = notification(state, hooks=(FAILED,))
    Service(url_of(httpserver), "urls, entry 1").tell(told)
    ((request, _),) = httpserver.log
    document = json.loads(request.data)
    assert (document["title"], document["message"], document["type"]) == (told.title, told.text, kind)


@pytest.mark.parametrize("status", [500, 404])
def test_a_failure_is_worth_another_attempt_and_holds_no_secret(
    httpserver: HTTPServer, capfd: pytest.CaptureFixture[str], status: int
) -> None:
    httpserver.expect_request(f"/{KEY}").respond_with_data(f"no {KEY}", status)
    with pytest.raises(NotificationDeferred) as raised:
        Service(url_of(httpserver), "urls, entry 1").tell(notification())
    said = f"{raised.value.message} {raised.value.hint} {capfd.readouterr()}"
    assert KEY not in said
    assert str(status) in raised.value.message


def test_nobody_there_is_worth_another_attempt() -> None:
    with pytest.raises(NotificationDeferred) as raised:
        Service(f"json://127.0.0.1:9/{KEY}", "urls, entry 1").tell(notification())
    assert KEY not in raised.value.message


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("slack://T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX", "slack"),
        ("pagerduty://1234567890abcdef1234567890abcdef@0123456789abcdef0123", "pagerduty"),
        ("workflows://prod-01.westeurope.logic.azure.com:443/0123456789/sIgNaTuRe", "workflows"),
        ("mailto://user:password@example.com?to=ops@example.com", "mailto"),
    ],
)
def test_the_named_services_are_known_and_their_names_hold_no_secret(url: str, scheme: str) -> None:
    assert Service(url, "urls, entry 1").name == f"{scheme} of urls, entry 1"


@pytest.mark.parametrize("url", [f"slck://{KEY}/a/b", KEY, f"slack://{KEY}", ""])
def test_what_apprise_does_not_know_is_refused_without_being_shown(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="urls, entry 2: this is no URL that apprise knows") as raised:
        Service(url, "urls, entry 2")
    assert KEY not in f"{raised.value.message} {capfd.readouterr()}"


def test_a_preview_is_the_text_itself(httpserver: HTTPServer) -> None:
    assert Service(url_of(httpserver), "urls").preview(notification()) == notification().text
    assert httpserver.log == []
