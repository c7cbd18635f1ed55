"""SNS and EventBridge: what is told reaches a queue behind them, and refusals name the IAM action."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import boto3
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from spotwatch.aws.event_bridge import DETAIL_TYPE, EventBus
from spotwatch.aws.session import Session
from spotwatch.aws.sns import SnsTopic
from spotwatch.core.errors import AwsBroken, AwsDenied, AwsError, AwsNotFound, AwsRefused, AwsThrottled, AwsUnreachable
from tests.aws.conftest import REGION, ScriptedAws
from tests.notify.notifications import FAILED, notification


def client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)


@dataclass
class Queue:
    """A queue behind what is told."""

    sqs: Any
    url: str
    arn: str

    @classmethod
    def make(cls, name: str = "told", **attributes: str) -> "Queue":
        sqs = client("sqs")
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return cls(sqs, url, told["Attributes"]["QueueArn"])

    def messages(self) -> list[dict[str, Any]]:
        """All that have arrived; they are taken off."""
        found: list[dict[str, Any]] = []
        while True:
            told = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10)
            if not told.get("Messages"):
                return found
            for message in told["Messages"]:
                found.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])


class TestSns:
    @pytest.fixture
    def topic(self, moto: str) -> str:  # noqa: ARG002
        return str(client("sns").create_topic(Name=f"ops-{uuid4().hex}")["TopicArn"])

    def test_the_json_reaches_a_queue_with_attributes_to_filter_by(self, topic: str, session: Session) -> None:
        queue = Queue.make()
        client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
        told = notification("failed", verdict="cut", hooks=(FAILED,))
        SnsTopic(session.api("sns"), topic).tell(told)
        (message,) = queue.messages()
        assert json.loads(message["Message"]) == told.to_json()
        assert message["Subject"] == told.title
        assert {name: value["Value"] for name, value in message["MessageAttributes"].items()} == {
            "state": "failed",
            "event": "terminate",
            "severity": "critical",
            "instance_id": "i-0123456789abcdef0",
        }

    def test_a_subscriber_gets_only_the_states_that_it_filters_for(self, topic: str, session: Session) -> None:
        queue = Queue.make("failures")
        client("sns").subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint=queue.arn,
            Attributes={"FilterPolicy": json.dumps({"state": ["failed", "unfinished"]})},
        )
        for state in ("noticed", "failed"):
            SnsTopic(session.api("sns"), topic).tell(notification(state))
        assert [json.loads(message["Message"])["state"] for message in queue.messages()] == ["failed"]

    def test_a_fifo_topic_takes_the_same_change_once(self, moto: str, session: Session) -> None:  # noqa: ARG002
        attributes = {"FifoTopic": "true"}
        topic = str(client("sns").create_topic(Name="ops.fifo", Attributes=attributes)["TopicArn"])
        queue = Queue.make("ops.fifo", FifoQueue="true")
        client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
        recipient = SnsTopic(session.api("sns"), topic)
        for told in (notification("noticed"), notification("noticed", seconds_left=3.0), notification("drained")):
            recipient.tell(told)
        assert [json.loads(message["Message"])["state"] for message in queue.messages()] == ["noticed", "drained"]

    def test_a_title_of_any_length_and_language_is_a_subject(self, topic: str, session: Session) -> None:
        SnsTopic(session.api("sns"), topic).tell(notification(event="ümläut\n" * 40))

    def test_a_topic_that_is_not_there_is_not_found(self, topic: str, session: Session) -> None:
        with pytest.raises(AwsNotFound):
            SnsTopic(session.api("sns"), f"{topic}-of-others").tell(notification())

    @pytest.mark.parametrize(
        ("status", "code", "error"),
        [
            (403, "AuthorizationError", AwsDenied),
            (400, "InvalidParameter", AwsRefused),
            (429, "Throttled", AwsThrottled),
            (500, "InternalError", AwsBroken),
        ],
    )
    def test_refusals_are_told_apart(
        self, aws: ScriptedAws, session: Session, status: int, code: str, error: type[AwsError]
    ) -> None:
        body = f"<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
        aws.lay("Publish", Response(body, status, content_type="text/xml"))
        with pytest.raises(error) as raised:
            SnsTopic(session.api("sns"), "arn:aws:sns:us-east-1:123456789012:ops").tell(notification())
        assert len(aws.called("Publish")) == 1, "one attempt"
        assert error is not AwsDenied or raised.value.hint == "allow the IAM action sns:Publish"


class TestEventBridge:
    @pytest.fixture
    def queue(self, moto: str) -> Queue:  # noqa: ARG002
        """Behind a rule for the detail type that the manual names."""
        queue = Queue.make("drains")
        events = client("events")
        events.put_rule(Name="drains", EventPattern=json.dumps({"detail-type": [DETAIL_TYPE]}))
        events.put_targets(Rule="drains", Targets=[{"Id": "queue", "Arn": queue.arn}])
        return queue

    def test_a_rule_finds_the_event_and_the_queue_gets_it(self, queue: Queue, session: Session) -> None:
        told = notification("drained", verdict="drained", hooks=(FAILED,))
        EventBus(session.api("events"), "default").tell(told)
        (event,) = queue.messages()
        assert (event["source"], event["detail-type"], event["region"]) == ("spotwatch", DETAIL_TYPE, REGION)
        assert event["detail"] == told.to_json()
        assert event["resources"] == ["i-0123456789abcdef0"]

    @pytest.mark.parametrize(
        ("code", "error"),
        [
            ("InternalFailure", AwsBroken),
            ("ThrottlingException", AwsThrottled),
            ("NotAuthorizedForSourceException", AwsDenied),
            ("MalformedDetail", AwsRefused),
        ],
    )
    def test_an_event_that_is_refused_in_an_answer_of_200_is_refused(
        self, events: Callable[..., EventBus], code: str, error: type[AwsError]
    ) -> None:
        entry = {"ErrorCode": code, "ErrorMessage": "no"}
        with pytest.raises(error, match=f"events:PutEvents: {code}: no"):
            events({"FailedEntryCount": 1, "Entries": [entry]}).tell(notification())

    def test_a_failure_that_nobody_explains_is_one(self, events: Callable[..., EventBus]) -> None:
        with pytest.raises(AwsBroken):
            events({"FailedEntryCount": 1, "Entries": [{}]}).tell(notification())

    def test_without_the_permission_the_iam_action_is_named(self, events: Callable[..., EventBus]) -> None:
        denied = {"__type": "AccessDeniedException", "Message": "not authorized to perform: events:PutEvents"}
        with pytest.raises(AwsDenied) as raised:
            events(denied, status=400).tell(notification())
        assert raised.value.hint == "allow the IAM action events:PutEvents"

    @pytest.fixture
    def events(
        self, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, session: Session
    ) -> Callable[..., EventBus]:
        def events(answer: dict[str, Any], status: int = 200) -> EventBus:
            monkeypatch.setenv("AWS_ENDPOINT_URL", httpserver.url_for("/"))
            httpserver.expect_request("/").respond_with_json(
                answer, status, headers={"Content-Type": "application/x-amz-json-1.1"}
            )
            return EventBus(session.api("events"), "default")

        return events


@pytest.mark.parametrize("service", ["sns", "events"])
def test_nobody_there_is_unreachable(session: Session, monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    api = session.api(service)
    recipient = SnsTopic(api, "arn:aws:sns:us-east-1:123456789012:ops") if service == "sns" else EventBus(api, "b")
    with pytest.raises(AwsUnreachable):
        recipient.tell(notification())


def test_their_names_are_those_that_people_know(session: Session) -> None:
    assert SnsTopic(session.api("sns"), "arn:aws:sns:us-east-1:123456789012:ops").name == "SNS topic ops"
    bus = "arn:aws:events:us-east-1:123456789012:event-bus/fleet"
    assert [EventBus(session.api("events"), each).name for each in (bus, "default")] == [
        "event bus fleet",
        "event bus default",
    ]
