"""A webhook, posted to a real server that behaves as the test wants."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path

import pytest
import trustme
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from spotwatch.core.errors import (
    InputError,
    NotificationDeferred,
    NotificationError,
    NotificationRefused,
    NotificationUnanswered,
    SpotwatchError,
    Transient,
)
from spotwatch.notify import webhook as module
from spotwatch.notify.secret_file import read_lines
from spotwatch.notify.template import Template
from spotwatch.notify.webhook import Webhook, host_of, read_headers
from tests.notify.notifications import notification

SECRET = "T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
PATH = f"/services/{SECRET}"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def url(httpserver: HTTPServer) -> str:
    return httpserver.url_for(PATH)


def error_of(hook: Webhook) -> NotificationError:
    with pytest.raises(NotificationError) as raised:
        hook.tell(notification())
    told = f"{raised.value.message} {raised.value.hint}"
    assert SECRET not in told
    assert "XXXXXXXX" not in told
    assert "B00000000" not in told
    return raised.value


def test_all_that_there_is_to_tell_is_posted(httpserver: HTTPServer, url: str) -> None:
    httpserver.expect_request(PATH, method="POST").respond_with_data("ok")
    Webhook(url).tell(notification())
    ((request, _),) = httpserver.log
    assert json.loads(request.data) == notification().to_json()
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Idempotency-Key"] == f'"{notification().id}"'
    assert request.headers["User-Agent"].startswith("spotwatch/")


def test_or_what_a_template_says_with_headers_of_one_s_own(httpserver: HTTPServer, url: str) -> None:
    httpserver.expect_request(PATH).respond_with_data("", HTTPStatus.ACCEPTED)
    template = Template('{"text": "$title", "left": "$seconds_left"}', "t")
    Webhook(url, {"Authorization": "Bearer abc", "Content-Type": "application/vnd.x+json"}, template).tell(
        notification()
    )
    ((request, _),) = httpserver.log
    assert json.loads(request.data) == {"text": notification().title, "left": 118.5}
    assert request.headers["Authorization"] == "Bearer abc"
    assert request.headers["Content-Type"] == "application/vnd.x+json"


def test_its_name_has_the_host_and_no_secret() -> None:
    assert Webhook(f"https://user:word@hooks.example.com:8443{PATH}?token=abc").name == (
        "webhook hooks.example.com:8443"
    )


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_trouble_and_a_wish_for_patience_are_worth_another_attempt(
    httpserver: HTTPServer, url: str, status: int
) -> None:
    httpserver.expect_request(PATH).respond_with_data("no", status, headers={"Retry-After": "7"})
    error = error_of(Webhook(url))
    assert isinstance(error, NotificationDeferred)
    assert isinstance(error, Transient)
    assert (error.after, f"answered {status}" in error.message) == (7.0, True)


@pytest.mark.parametrize("value", ["soon", "-5", "nan", "inf", "Thu, 01 Jan 1970 00:00:00 GMT", ""])
def test_a_retry_after_that_says_nothing_is_none(httpserver: HTTPServer, url: str, value: str) -> None:
    httpserver.expect_request(PATH).respond_with_data("no", 429, headers={"Retry-After": value})
    error = error_of(Webhook(url))
    assert isinstance(error, NotificationDeferred)
    assert error.after == 0


def test_a_retry_after_may_be_a_date(httpserver: HTTPServer, url: str) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    httpserver.expect_request(PATH).respond_with_data("no", 503, headers={"Retry-After": when})
    error = error_of(Webhook(url))
    assert isinstance(error, NotificationDeferred)
    assert 25 < error.after <= 30


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413])
def test_a_refusal_is_final_and_shows_what_was_said(httpserver: HTTPServer, url: str, status: int) -> None:
    httpserver.expect_request(PATH).respond_with_data("invalid_token", status)
    error = error_of(Webhook(url))
    assert isinstance(error, NotificationRefused)
    assert not isinstance(error, Transient)
    assert error.message.endswith(": invalid_token")


def test_an_answer_that_repeats_the_secret_is_shown_without_it(httpserver: HTTPServer, url: str) -> None:
    httpserver.expect_request(PATH).respond_with_data(f"nothing at {url} ({PATH}), nor for s3cr3t-token", 404)
    error = error_of(Webhook(url, {"Authorization": "s3cr3t-token"}))
    assert "***" in error.message
    assert "s3cr3t-token" not in error.message


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_nobody_follows_a_redirection_with_a_secret(httpserver: HTTPServer, url: str, status: int) -> None:
    elsewhere = f"https://elsewhere.example.com{PATH}"
    httpserver.expect_request(PATH).respond_with_data("", status, headers={"Location": elsewhere})
    error = error_of(Webhook(url))
    assert isinstance(error, NotificationRefused)
    assert error.message == f"answered {status}: it has moved to elsewhere.example.com"
    assert len(httpserver.log) == 1


def test_an_endless_answer_is_not_read_to_its_end(httpserver: HTTPServer, url: str) -> None:
    def endless(_: Request) -> Response:
        return Response((b"x" * 65536 for _ in range(10**6)), 404)

    httpserver.expect_request(PATH).respond_with_handler(endless)
    began = time.monotonic()
    error = error_of(Webhook(url))
    assert time.monotonic() - began < 3
    assert len(error.message) < 300


@pytest.fixture
def silence() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}{PATH}"


def test_silence_is_no_answer(silence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 0.3)
    assert isinstance(error_of(Webhook(silence)), NotificationUnanswered)


@pytest.mark.parametrize("what", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_what_is_cut_off_or_no_http_is_no_answer(what: bytes) -> None:
    """But for a body: the status is what counts."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(what)

        threading.Thread(target=serve, daemon=True).start()
        hook = Webhook(f"http://127.0.0.1:{server.getsockname()[1]}{PATH}")
        if what.startswith(b"HTTP"):
            hook.tell(notification())
        else:
            assert isinstance(error_of(hook), NotificationUnanswered)


def test_nobody_there_is_no_answer() -> None:
    assert isinstance(error_of(Webhook(f"http://127.0.0.1:9{PATH}")), NotificationUnanswered)


def test_a_name_that_does_not_resolve_is_no_answer() -> None:
    assert isinstance(error_of(Webhook(f"http://nowhere.invalid{PATH}")), NotificationUnanswered)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(authority: trustme.CA) -> Iterator[HTTPServer]:
    """A server with a certificate that this authority vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with HTTPServer(host="localhost", port=0, ssl_context=context) as server:
        server.expect_request(PATH).respond_with_data("ok")
        yield server


class TestTls:
    def test_a_certificate_that_nobody_vouches_for_is_refused(self, secure: HTTPServer) -> None:
        error = error_of(Webhook(secure.url_for(PATH)))
        assert isinstance(error, NotificationRefused)
        assert error.message.startswith("its certificate is not trusted: ")
        assert "SSL_CERT_FILE" in error.hint

    def test_a_private_authority_can_be_named(
        self, secure: HTTPServer, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(str(file))
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        Webhook(secure.url_for(PATH)).tell(notification())

    def test_a_server_without_tls_is_no_answer(self, httpserver: HTTPServer) -> None:
        error = error_of(Webhook(httpserver.url_for(PATH).replace("http://", "https://")))
        assert isinstance(error, NotificationUnanswered)


@pytest.mark.parametrize(
    "url", ["", "hooks.example.com/x", "ftp://x.example.com/abc", "https:///x", "https://a:b:c", "https://a:99999/"]
)
def test_what_is_no_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(InputError) as raised:
        host_of(url)
    assert not url or url not in raised.value.message


@pytest.mark.parametrize("url", ["http://exa mple.com/x", "http://[::1/x", f"http://{'a' * 300}.example.com/"])
def test_odd_urls_raise_nothing_else_than_our_errors(url: str) -> None:
    with pytest.raises(SpotwatchError):
        Webhook(url).tell(notification())


def test_headers_are_read_and_wrong_ones_not_shown() -> None:
    assert read_headers(["Authorization: Bearer a:b", "X-Y:  z "], "f") == {"Authorization": "Bearer a:b", "X-Y": "z"}
    for wrong in (["s3cr3t"], ["A: b", "A: c"], ["A B: c"], ["A: \x07"]):
        with pytest.raises(InputError, match="f: a line is no header") as raised:
            read_headers(wrong, "f")
        assert "s3cr3t" not in raised.value.message


def test_files_of_secrets_may_have_comments(tmp_path: Path) -> None:
    file = tmp_path / "urls"
    file.write_text("# ours\n\n https://a/b \nhttps://c/d\n")
    assert read_lines(file) == ["https://a/b", "https://c/d"]


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), (b"\n# x\n", "nothing"), (b"\xff", "UTF-8")])
def test_a_file_of_secrets_that_is_none_is_said(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "urls"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_lines(file)
