"""Recipients out of the words of `notify`, up to real servers."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from spotwatch.cli.recipients import recipients
from spotwatch.core.errors import InputError, UsageError
from spotwatch.core.notification import Notification
from spotwatch.hooks.recipient_places import EventBusPlace, ServicePlace, SnsPlace, WebhookPlace
from tests.cli.conftest import Spotwatch

Main = Callable[..., tuple[int, str, str]]

SECRET = "s3cr3ts3cr3t"


class NoSession(AssertionError):
    """AWS is asked although nobody is told yet."""


def no_session(region: str) -> Any:
    raise NoSession(region)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("SPOTWATCH_DRAIN_ID", raising=False)


def names(place: Any) -> list[str]:
    return [recipient.name for recipient in recipients(place, no_session)]


def test_each_url_of_a_file_is_a_recipient_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "urls"
    file.write_text(f"https://a.example.com/{SECRET}\nhttps://b.example.com:8443/{SECRET}\n")
    assert names(WebhookPlace(file)) == ["webhook a.example.com", "webhook b.example.com:8443"]
    file.write_text(f"slack://{SECRET}/a/b\n# later: more\npagerduty://{SECRET}@x\n")
    assert names(ServicePlace(file)) == [f"slack of {file}, entry 1", f"pagerduty of {file}, entry 2"]


def test_aws_is_loaded_when_somebody_is_told_and_asked_in_the_region_of_the_arn() -> None:
    topic = SnsPlace("arn:aws:sns:eu-west-1:123456789012:ops")
    bus = EventBusPlace("arn:aws:events:us-east-1:123456789012:event-bus/fleet")
    assert names(topic) + names(bus) + names(EventBusPlace("default")) == [
        "SNS topic ops",
        "event bus fleet",
        "event bus default",
    ]
    for place, region in ((topic, "eu-west-1"), (bus, "us-east-1"), (EventBusPlace("default"), "")):
        (recipient,) = recipients(place, no_session)
        with pytest.raises(NoSession) as raised:
            recipient.tell(Notification("trial"))
        assert raised.value.args == (region,)


def test_without_apprise_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    file = tmp_path / "urls"
    file.write_text(f"slack://{SECRET}/a/b\n")
    (recipient,) = recipients(ServicePlace(file), no_session)
    with pytest.raises(UsageError, match="apprise is not installed") as raised:
        recipient.tell(Notification("trial"))
    assert "[notify]" in raised.value.hint


def test_files_that_are_missing_or_wrong_are_named(tmp_path: Path) -> None:
    urls, template = tmp_path / "urls", tmp_path / "t.json"
    urls.write_text("https://a/b\n")
    template.write_text('{"text": "$nothing"}')
    with pytest.raises(InputError, match=r"t\.json: there is no"):
        names(WebhookPlace(urls, template=template))
    with pytest.raises(InputError, match="missing cannot be read"):
        names(WebhookPlace(urls, template=tmp_path / "missing"))
    with pytest.raises(InputError, match="missing cannot be read"):
        names(WebhookPlace(urls, header_file=tmp_path / "missing"))
    with pytest.raises(InputError, match="missing cannot be read"):
        names(ServicePlace(tmp_path / "missing"))


@pytest.fixture
def files(tmp_path: Path, httpserver: HTTPServer) -> tuple[str, ...]:
    """The words for a webhook of ours, all of it in files."""
    httpserver.expect_request(f"/{SECRET}", headers={"X-Token": SECRET}).respond_with_data("ok")
    contents = {
        "urls": httpserver.url_for(f"/{SECRET}"),
        "headers": f"X-Token: {SECRET}",
        "template": '{"text": "$title", "state": "$state", "left": "$seconds_left"}',
    }
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / name) for name in contents]
    return ("--webhook-file", files[0], "--header-file", files[1], "--template", files[2])


NOWHERE = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9"}


def test_by_hand_the_command_tries_it(spotwatch: Spotwatch, httpserver: HTTPServer, files: tuple[str, ...]) -> None:
    done = spotwatch("hook", "notify", *files, **NOWHERE)
    assert (done.returncode, done.stdout) == (0, f"trial: told webhook {httpserver.host}:{httpserver.port}\n")
    ((request, _),) = httpserver.log
    assert json.loads(request.data) == {
        "text": "an instance: a trial of spotwatch's notifications",
        "state": "trial",
        "left": None,
    }


def test_a_dry_run_reads_everything_shows_the_body_and_no_secret(
    spotwatch: Spotwatch, httpserver: HTTPServer, files: tuple[str, ...]
) -> None:
    done = spotwatch("hook", "notify", "--dry-run", *files, **NOWHERE)
    head, _, body = done.stdout.partition("\n")
    assert (done.returncode, head) == (0, f"would tell webhook {httpserver.host}:{httpserver.port}:")
    assert json.loads(body)["state"] == "trial"
    assert SECRET not in done.stdout + done.stderr
    assert httpserver.log == []


def test_a_refusal_shows_no_secret(spotwatch: Spotwatch, httpserver: HTTPServer, files: tuple[str, ...]) -> None:
    httpserver.clear()
    httpserver.expect_request(f"/{SECRET}").respond_with_data(f"who is {SECRET}?", 403)
    done = spotwatch("hook", "notify", *files, **NOWHERE)
    assert done.returncode == 69
    assert "answered 403 FORBIDDEN: who is ***?; see its URL, its headers and its template" in done.stdout
    assert SECRET not in done.stdout + done.stderr


def test_check_and_the_settings_show_no_secret(main: Main, tmp_path: Path) -> None:
    settings = tmp_path / "spotwatch.toml"
    settings.write_text(
        '[[hook]]\nname = "tell"\nuse = "notify"\nbackground = true\n'
        f'args = ["--webhook", "https://hooks.example.com/{SECRET}", "--limt", "5s"]\n'
    )
    _, out, err = main("check", "--config", str(settings), "--set", "metadata.endpoint=http://127.0.0.1:9")
    assert "unrecognized arguments: --limt 5s" in out
    assert SECRET not in out + err


@pytest.mark.parametrize("module", ["httpx", "apprise", "boto3"])
def test_a_rehearsal_loads_no_client_of_anything(module: str) -> None:
    words = ["hook", "notify", "--webhook", "https://a/b", "--service-file", "/x", "--event-bus", "default"]
    script = (
        "import os, sys; os.environ['SPOTWATCH_REHEARSAL'] = '1'; from spotwatch.cli import main; "
        f"code = main({words!r}); print(code, {module!r} in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False"
