"""Recipients out of the words of `notify`, up to real servers."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from spotwatch.cli.recipients import recipients
from spotwatch.core.errors import InputError, NotificationRefused
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
    with pytest.raises(NotificationRefused, match="apprise is not installed") as raised:
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


@pytest.fixture
def silence() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["webhook", "service", "sns", "event-bus"])
def test_an_endpoint_that_never_answers_does_not_outlast_the_deadline(
    spotwatch: Spotwatch, silence: str, tmp_path: Path, kind: str
) -> None:
    """The real command in a process of its own, with seven seconds until SIGTERM."""
    (tmp_path / "webhook").write_text(f"http://{silence}/{SECRET}\n")
    (tmp_path / "service").write_text(f"json://{silence}/{SECRET}\n")
    words = {
        "webhook": ["--webhook-file", str(tmp_path / "webhook")],
        "service": ["--service-file", str(tmp_path / "service")],
        "sns": ["--sns", "arn:aws:sns:eu-west-1:123456789012:ops"],
        "event-bus": ["--event-bus", "default"],
    }
    told = {"SPOTWATCH_TIMEOUT": "7", "SPOTWATCH_SECONDS_LEFT": "9", "SPOTWATCH_INSTANCE_ID": "i-0"}
    aws = {"AWS_ENDPOINT_URL": f"http://{silence}", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    began = time.monotonic()
    done = spotwatch("hook", "notify", *words[kind], SPOTWATCH_REGION="eu-west-1", **told, **aws)
    assert time.monotonic() - began < 7, done
    assert done.returncode == 75, done
    assert SECRET not in done.stdout + done.stderr


def test_a_trial_reaches_queues_behind_a_topic_and_a_bus(spotwatch: Spotwatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real command, and moto as AWS."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    aws = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    for name, value in aws.items():
        monkeypatch.setenv(name, value)
    try:
        sns, sqs, events = (boto3.client(name, region_name="eu-west-1") for name in ("sns", "sqs", "events"))
        topic = sns.create_topic(Name="ops")["TopicArn"]
        url = sqs.create_queue(QueueName="told")["QueueUrl"]
        queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
        events.put_rule(Name="told", EventPattern='{"source": ["spotwatch"]}')
        events.put_targets(Rule="told", Targets=[{"Id": "queue", "Arn": queue}])
        instance = {"SPOTWATCH_INSTANCE_ID": "i-0123456789abcdef0", "SPOTWATCH_REGION": "eu-west-1"}
        done = spotwatch("hook", "notify", "--sns", topic, "--event-bus", "default", **instance, **aws)
        assert (done.returncode, sorted(done.stdout.splitlines())) == (
            0,
            ["trial: told SNS topic ops", "trial: told event bus default"],
        )
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        bodies = [json.loads(message["Body"]) for message in messages]
        documents = [body["detail"] if "detail" in body else json.loads(body["Message"]) for body in bodies]
        assert [each["id"] for each in documents] == ["i-0123456789abcdef0/trial"] * 2
    finally:
        server.stop()
