"""The fake metadata service answers as AWS's does, and fails as it is told to."""

import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

from spotwatch.simulate.faults import (
    BINARY_BODY,
    EMPTY_BODY,
    MALFORMED_JSON,
    Fault,
    HeadersCut,
    NotHttp,
    Oversized,
    Refused,
    Reset,
    Silent,
    Slow,
    Status,
    Truncated,
)
from spotwatch.simulate.instance import Instance, MaintenanceEvent
from spotwatch.simulate.service import TOKEN_PATH, MetadataService

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"
META_DATA = "/latest/meta-data/"
NOTICE = META_DATA + "spot/instance-action"
INSTANCE_ID = META_DATA + "instance-id"
IN_TWO_MINUTES = datetime(2026, 11, 22, 8, 22, tzinfo=UTC)
LONG = 3600.0


@pytest.fixture
def service() -> Iterator[MetadataService]:
    with MetadataService() as service:
        yield service


@pytest.fixture
def connect() -> Iterator[Callable[[MetadataService], httpx.Client]]:
    """Clients that have a token, and never a proxy."""
    clients: list[httpx.Client] = []

    def connect(service: MetadataService) -> httpx.Client:
        client = httpx.Client(base_url=service.url, trust_env=False, timeout=5.0)
        clients.append(client)
        client.headers[TOKEN] = new_token(client)
        return client

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def client(service: MetadataService, connect: Callable[[MetadataService], httpx.Client]) -> httpx.Client:
    return connect(service)


def new_token(client: httpx.Client, ttl: str = "60") -> str:
    answer = client.put(TOKEN_PATH, headers={TTL: ttl})
    assert answer.status_code == 200
    return answer.text


def without_token(client: httpx.Client, path: str) -> int:
    del client.headers[TOKEN]
    return client.get(path).status_code


def dial(service: MetadataService) -> socket.socket:
    url = httpx.URL(service.url)
    assert url.port is not None
    return socket.create_connection((url.host, url.port), timeout=5.0)


def exchange(service: MetadataService, *pieces: bytes) -> bytes:
    """Send bytes as they are, and return all that comes until the service ends the connection."""
    with dial(service) as sock:
        for piece in pieces:
            sock.sendall(piece)
        return b"".join(iter(lambda: sock.recv(65536), b""))


class TestTokens:
    def test_a_token_is_a_text_and_tells_how_long_it_lives(self, client: httpx.Client) -> None:
        answer = client.put(TOKEN_PATH, headers={TTL: "21600"})
        assert (answer.status_code, answer.headers[TTL]) == (200, "21600")
        assert answer.headers["Content-Type"] == "text/plain"
        assert len(answer.text) > 40

    @pytest.mark.parametrize("ttl", ["0", "21601", "-1", "1.5", "", "six", "999999", "٣"])
    def test_a_lifetime_out_of_range_or_not_a_number_is_a_bad_request(self, client: httpx.Client, ttl: str) -> None:
        assert client.put(TOKEN_PATH, headers=[(TTL.encode(), ttl.encode())]).status_code == 400

    def test_a_missing_lifetime_is_a_bad_request(self, client: httpx.Client) -> None:
        assert client.put(TOKEN_PATH).status_code == 400

    @pytest.mark.parametrize("ttl", ["1", "21600"])
    def test_the_lifetimes_at_the_ends_of_the_range_are_good(self, client: httpx.Client, ttl: str) -> None:
        assert new_token(client, ttl)

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "HEAD"])
    def test_another_method_than_put_is_told_which_are_allowed(self, client: httpx.Client, method: str) -> None:
        answer = client.request(method, TOKEN_PATH)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "OPTIONS, PUT")

    def test_the_token_path_exists_only_under_latest(self, client: httpx.Client) -> None:
        assert client.put("/2021-03-23/api/token", headers={TTL: "60"}).status_code == 403

    def test_a_proxy_gets_no_token(self, client: httpx.Client) -> None:
        headers = {TTL: "60", "X-Forwarded-For": "10.0.0.1"}
        assert client.put(TOKEN_PATH, headers=headers).status_code == 403

    @pytest.mark.parametrize("path", [INSTANCE_ID, META_DATA, "/", "/latest", "/no/such/path", NOTICE])
    def test_without_a_token_nobody_learns_what_exists(self, client: httpx.Client, path: str) -> None:
        assert without_token(client, path) == 401

    def test_without_a_token_an_instance_that_allows_version_1_answers(
        self, connect: Callable[[MetadataService], httpx.Client]
    ) -> None:
        with MetadataService(imdsv1=True) as service:
            client = connect(service)
            assert without_token(client, INSTANCE_ID) == 200
            assert client.get(NOTICE).status_code == 404

    @pytest.mark.parametrize("imdsv1", [True, False])
    def test_an_invalid_token_is_refused_even_where_none_is_needed(
        self, connect: Callable[[MetadataService], httpx.Client], imdsv1: bool
    ) -> None:
        with MetadataService(imdsv1=imdsv1) as service:
            answer = connect(service).get(INSTANCE_ID, headers={TOKEN: "made up"})
            assert answer.status_code == 401

    def test_a_token_ends_with_its_lifetime_and_not_before(
        self, service: MetadataService, client: httpx.Client
    ) -> None:
        service.advance(58)
        assert client.get(INSTANCE_ID).headers[TTL] == "2"
        service.advance(2)
        assert client.get(INSTANCE_ID).status_code == 401

    def test_tokens_live_side_by_side_until_they_are_revoked(
        self, service: MetadataService, client: httpx.Client
    ) -> None:
        first, second = new_token(client), new_token(client)
        assert {client.get(INSTANCE_ID, headers={TOKEN: t}).status_code for t in (first, second)} == {200}
        service.revoke_tokens()
        assert {client.get(INSTANCE_ID, headers={TOKEN: t}).status_code for t in (first, second)} == {401}

    def test_beyond_the_hop_limit_a_token_request_hangs_and_is_not_refused(self) -> None:
        with (
            MetadataService(imdsv1=True, hop_limit_exceeded=True) as service,
            httpx.Client(base_url=service.url, trust_env=False, timeout=5.0) as client,
        ):
            with pytest.raises(httpx.ReadTimeout):
                client.put(TOKEN_PATH, headers={TTL: "60"}, timeout=0.05)
            assert client.get(INSTANCE_ID).status_code == 200


class TestAnswers:
    def test_an_item_is_plain_text_on_a_connection_that_is_kept(
        self, service: MetadataService, client: httpx.Client
    ) -> None:
        answers = [client.get(INSTANCE_ID) for _ in range(3)]
        assert {answer.text for answer in answers} == {Instance().instance_id}
        assert answers[0].headers["Content-Type"] == "text/plain"
        assert service.connections == 1

    def test_an_error_is_a_page_and_ends_the_connection(self, client: httpx.Client) -> None:
        answer = client.get(NOTICE)
        assert answer.status_code == 404
        assert answer.headers["Content-Type"] == "text/html"
        assert answer.headers["Server"] == "EC2ws"
        assert answer.headers["Connection"] == "close"
        assert "<title>404 - Not Found</title>" in answer.text
        assert answer.text.startswith("<?xml")

    def test_an_answer_leaves_in_one_piece(self, service: MetadataService, client: httpx.Client) -> None:
        """Two small pieces would meet Nagle's algorithm and the client's delayed acknowledgement."""
        with dial(service) as sock:
            request = f"GET {INSTANCE_ID} HTTP/1.1\r\n{TOKEN}: {client.headers[TOKEN]}\r\n\r\n"
            sock.sendall(request.encode())
            assert sock.recv(65536).endswith(b"\r\n\r\n" + Instance().instance_id.encode())

    def test_the_date_is_that_of_the_clock(self, connect: Callable[[MetadataService], httpx.Client]) -> None:
        noon = datetime(2031, 3, 4, 12, tzinfo=UTC)
        with MetadataService(clock=lambda: noon) as service:
            client = connect(service)
            for path in (INSTANCE_ID, NOTICE):
                assert client.get(path).headers["Date"] == "Tue, 04 Mar 2031 12:00:00 GMT"

    def test_the_clock_of_a_service_is_by_default_the_machines(self, client: httpx.Client) -> None:
        told = parsedate_to_datetime(client.get(INSTANCE_ID).headers["Date"])
        assert abs(datetime.now(UTC) - told) < timedelta(seconds=5)

    @pytest.mark.parametrize("path", ["/latest/meta-data", META_DATA])
    def test_a_directory_is_listed_with_and_without_a_slash(self, client: httpx.Client, path: str) -> None:
        assert {"instance-id", "placement/", "public-keys/"} < set(client.get(path).text.splitlines())

    def test_an_item_is_answered_with_a_slash_too(self, client: httpx.Client) -> None:
        """As botocore asks when it wants to know the region."""
        assert client.get(META_DATA + "placement/availability-zone/").text == "ap-northeast-1a"

    def test_the_root_lists_the_versions(self, client: httpx.Client) -> None:
        versions = client.get("/").text.splitlines()
        assert versions[0] == "1.0"
        assert versions[-1] == "latest"

    @pytest.mark.parametrize("version", ["1.0", "2009-04-04", "2021-03-23"])
    def test_a_version_answers_like_latest(self, client: httpx.Client, version: str) -> None:
        assert client.get(f"/{version}/meta-data/instance-id").text == Instance().instance_id
        assert client.get(f"/{version}/").text == client.get("/latest").text

    @pytest.mark.parametrize("path", ["/oldest/meta-data/mac", "/latest/user-data", "/latest/meta-data/mac/x"])
    def test_what_does_not_exist_is_not_found(self, client: httpx.Client, path: str) -> None:
        assert client.get(path).status_code == 404

    def test_user_data_is_bytes_to_the_service(self, connect: Callable[[MetadataService], httpx.Client]) -> None:
        with MetadataService(Instance(user_data="#!/bin/sh\n")) as service:
            answer = connect(service).get("/latest/user-data")
        assert (answer.text, answer.headers["Content-Type"]) == ("#!/bin/sh\n", "application/octet-stream")

    def test_a_path_may_be_percent_encoded_and_have_a_query(self, client: httpx.Client) -> None:
        mac = Instance().mac.replace(":", "%3A")
        assert client.get(f"{META_DATA}network/interfaces/macs/{mac}/device-number?x=1").text == "0"

    @pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
    def test_items_can_only_be_read(self, client: httpx.Client, method: str) -> None:
        assert client.request(method, INSTANCE_ID).status_code == 405

    def test_head_tells_the_length_and_leaves_the_body_out(self, client: httpx.Client) -> None:
        answer = client.head(INSTANCE_ID)
        assert (answer.headers["Content-Length"], answer.content) == (str(len(Instance().instance_id)), b"")

    def test_a_body_is_not_taken_for_the_next_request(self, service: MetadataService, client: httpx.Client) -> None:
        answer = client.put(TOKEN_PATH, headers={TTL: "60"}, content=b"GET / HTTP/1.1\r\n\r\n")
        assert answer.status_code == 200
        assert client.get(INSTANCE_ID).status_code == 200
        assert [request.method for request in service.requests] == ["PUT", "PUT", "GET"]

    @pytest.mark.parametrize(
        "request_text",
        [
            pytest.param(b"GET /latest/ HTTP/1.1\r\nA: b\r\n c\r\n\r\n", id="folded header"),
            pytest.param(b"GET /latest/ HTTP/1.1\r\n a: b\r\n\r\n", id="begins with a continuation"),
            pytest.param(b"GET /latest/ HTTP/1.1\r\nno colon\r\n\r\n", id="no colon"),
            pytest.param(b"GET /latest/ HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", id="too many headers"),
            pytest.param(b"GET /latest/\r\n\r\n", id="no version"),
            pytest.param(b"GET /latest/ HTTP/2.0\r\n\r\n", id="wrong version"),
            pytest.param(b"\x16\x03\x01\r\n\r\n", id="TLS"),
            pytest.param(b"PUT / HTTP/1.1\r\nContent-Length: ten\r\n\r\n", id="length is no number"),
            pytest.param(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", id="chunks"),
        ],
    )
    def test_what_http_does_not_allow_is_a_bad_request(self, service: MetadataService, request_text: bytes) -> None:
        assert exchange(service, request_text).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert [request.status for request in service.requests] == [400]

    def test_a_client_of_http_1_0_sees_the_connection_end(self) -> None:
        with MetadataService(imdsv1=True) as service:
            answer = exchange(service, f"GET {INSTANCE_ID} HTTP/1.0\r\n\r\n".encode())
        assert b"\r\nConnection: close\r\n" in answer
        assert answer.endswith(Instance().instance_id.encode())


class TestItems:
    def test_an_instance_that_nothing_happens_to_has_no_notice_and_no_maintenance(self, client: httpx.Client) -> None:
        absent = ("spot/instance-action", "spot/termination-time", "events/recommendations/rebalance")
        assert {client.get(META_DATA + item).status_code for item in absent} == {404}
        assert client.get(META_DATA + "events/maintenance/scheduled").text == "[]"

    def test_what_is_put_is_listed_until_it_is_withdrawn(self, service: MetadataService, client: httpx.Client) -> None:
        service.put("spot/instance-action", "soon")
        assert client.get(NOTICE).text == "soon"
        assert "spot/" in client.get(META_DATA).text.splitlines()
        service.withdraw("spot/instance-action")
        assert client.get(NOTICE).status_code == 404
        assert "spot/" not in client.get(META_DATA).text.splitlines()

    def test_what_the_instance_has_can_be_withdrawn_too(self, service: MetadataService, client: httpx.Client) -> None:
        service.withdraw("events/maintenance/scheduled")
        assert client.get(META_DATA + "events/maintenance/scheduled").status_code == 404

    @pytest.mark.parametrize("action", ["terminate", "stop", "hibernate"])
    def test_an_interruption_notice_is_written_as_aws_writes_it(
        self, service: MetadataService, client: httpx.Client, action: str
    ) -> None:
        service.interrupt(action, IN_TWO_MINUTES)
        assert client.get(NOTICE).text == f'{{"action": "{action}", "time": "2026-11-22T08:22:00Z"}}'

    def test_only_a_termination_has_a_termination_time(self, service: MetadataService, client: httpx.Client) -> None:
        service.interrupt("terminate", IN_TWO_MINUTES)
        assert client.get(META_DATA + "spot/termination-time").text == "2026-11-22T08:22:00Z"
        service.interrupt("stop", IN_TWO_MINUTES)
        assert client.get(META_DATA + "spot/termination-time").status_code == 404

    def test_an_action_that_ec2_does_not_know_is_refused(self, service: MetadataService) -> None:
        with pytest.raises(ValueError, match="'reboot'"):
            service.interrupt("reboot", IN_TWO_MINUTES)

    def test_a_rebalance_recommendation_tells_its_time(self, service: MetadataService, client: httpx.Client) -> None:
        service.recommend_rebalance(IN_TWO_MINUTES)
        answer = client.get(META_DATA + "events/recommendations/rebalance")
        assert answer.text == '{"noticeTime": "2026-11-22T08:22:00Z"}'

    def test_maintenance_is_an_array_of_events(self, service: MetadataService, client: httpx.Client) -> None:
        service.schedule_maintenance([MaintenanceEvent("system-reboot", not_before=IN_TWO_MINUTES)])
        [event] = json.loads(client.get(META_DATA + "events/maintenance/scheduled").text)
        assert (event["Code"], event["NotBefore"]) == ("system-reboot", "22 Nov 2026 08:22:00 GMT")

    def test_the_target_lifecycle_state_can_be_set(self, service: MetadataService, client: httpx.Client) -> None:
        service.set_target_lifecycle_state("Terminated")
        assert client.get(META_DATA + "autoscaling/target-lifecycle-state").text == "Terminated"


class TestRecords:
    def test_a_request_is_recorded_before_its_answer_goes_out(
        self, service: MetadataService, client: httpx.Client
    ) -> None:
        started = time.monotonic()
        client.get(NOTICE, headers={"User-Agent": "curious"})
        last = service.requests[-1]
        assert (last.method, last.path, last.status) == ("GET", NOTICE, 404)
        assert last.headers["user-agent"] == "curious"
        assert started <= last.time <= time.monotonic()

    def test_statuses_are_counted_and_silence_is_one(self, service: MetadataService, client: httpx.Client) -> None:
        client.get(INSTANCE_ID)
        service.trouble(Reset())
        with pytest.raises(httpx.ReadError):
            client.get(INSTANCE_ID)
        assert service.statuses == {200: 2, None: 1}

    def test_half_a_request_line_is_no_request(self, service: MetadataService) -> None:
        with dial(service) as sock:
            sock.sendall(b"GET /latest/me")
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(65536) == b""
        assert service.requests == ()

    def test_old_requests_are_forgotten_but_stay_counted(self) -> None:
        request = f"GET {INSTANCE_ID} HTTP/1.1\r\n\r\n".encode()
        with MetadataService(imdsv1=True) as service:
            exchange(service, request * 1100, b"GET /none HTTP/1.1\r\n\r\n")
            assert len(service.requests) == 1000
            assert service.requests[-1].path == "/none"
            assert service.statuses == {200: 1100, 404: 1}


class TestTrouble:
    @pytest.mark.parametrize("code", [400, 401, 403, 405, 429, 500, 503])
    def test_a_status_comes_with_the_page_of_aws(
        self, service: MetadataService, client: httpx.Client, code: int
    ) -> None:
        service.trouble(Status(code))
        answer = client.get(INSTANCE_ID)
        assert (answer.status_code, answer.headers["Server"]) == (code, "EC2ws")
        assert f"<h1>{code} - " in answer.text
        assert service.requests[-1].status == code

    def test_metadata_that_is_turned_off_refuses_tokens_too(
        self, service: MetadataService, client: httpx.Client
    ) -> None:
        service.trouble(Status(403))
        assert client.put(TOKEN_PATH, headers={TTL: "60"}).status_code == 403
        assert client.get("/").status_code == 403

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Refused(), (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)),
            (Reset(), httpx.ReadError),
            (Silent(), httpx.ReadTimeout),
            (Slow(size=1, interval=LONG), httpx.ReadTimeout),
            (Truncated(), httpx.RemoteProtocolError),
            (NotHttp(), httpx.RemoteProtocolError),
            (HeadersCut(), httpx.RemoteProtocolError),
        ],
        ids=repr,
    )
    def test_a_client_sees_the_failure_and_then_the_service_well_again(
        self,
        service: MetadataService,
        client: httpx.Client,
        fault: Fault,
        error: type[Exception] | tuple[type[Exception], ...],
    ) -> None:
        service.trouble(fault)
        with pytest.raises(error):
            client.get(INSTANCE_ID, timeout=0.05)
        service.trouble(None)
        assert client.get(INSTANCE_ID).text == Instance().instance_id

    def test_nobody_listens_on_the_port_of_a_service_that_refuses(self, service: MetadataService) -> None:
        url = service.url
        service.trouble(Refused())
        with pytest.raises(ConnectionRefusedError):
            dial(service)
        service.trouble(Status(503))
        assert service.url == url
        dial(service).close()

    def test_a_service_can_refuse_from_its_first_second(self) -> None:
        service = MetadataService()
        service.trouble(Refused())
        with service, pytest.raises(ConnectionRefusedError):
            dial(service)

    def test_connections_that_are_open_end_when_the_service_refuses(self, service: MetadataService) -> None:
        with dial(service) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert sock.recv(65536)
            service.trouble(Refused())
            assert sock.recv(65536) == b""

    def test_one_item_cannot_be_refused(self, service: MetadataService) -> None:
        with pytest.raises(ValueError, match="before anybody knows"):
            service.trouble(Refused(), item="mac")

    def test_a_slow_answer_is_complete_in_the_end(self, service: MetadataService, client: httpx.Client) -> None:
        service.trouble(Slow(size=7, interval=0.0))
        assert client.get(INSTANCE_ID).text == Instance().instance_id

    def test_a_slow_answer_is_slow_from_its_first_byte(self, service: MetadataService) -> None:
        service.trouble(Slow(size=3, interval=LONG))
        with dial(service) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert sock.recv(65536) == b"HTT"

    def test_a_truncated_body_announces_its_whole_length(self, service: MetadataService, client: httpx.Client) -> None:
        service.trouble(Truncated(missing=2))
        request = f"GET {INSTANCE_ID} HTTP/1.1\r\n{TOKEN}: {client.headers[TOKEN]}\r\n\r\n"
        head, _, body = exchange(service, request.encode()).partition(b"\r\n\r\n")
        assert b"Content-Length: 19\r\n" in head
        assert body == Instance().instance_id.encode()[:-2]

    def test_an_oversized_body_is_still_valid_json(self, service: MetadataService, client: httpx.Client) -> None:
        service.interrupt("stop", IN_TWO_MINUTES)
        service.trouble(Oversized(size=3_000_000))
        answer = client.get(NOTICE)
        assert len(answer.content) == 3_000_000
        assert json.loads(answer.text)["action"] == "stop"

    def test_an_endless_body_has_no_length(self, service: MetadataService, client: httpx.Client) -> None:
        service.trouble(Oversized(size=None))
        with client.stream("GET", INSTANCE_ID) as answer:
            assert "Content-Length" not in answer.headers
            received = 0
            for chunk in answer.iter_bytes():
                received += len(chunk)
                if received > 5_000_000:
                    break

    @pytest.mark.parametrize("fault", [EMPTY_BODY, MALFORMED_JSON, BINARY_BODY], ids=repr)
    def test_a_wrong_body_comes_with_status_200(
        self, service: MetadataService, client: httpx.Client, fault: Fault
    ) -> None:
        service.trouble(fault)
        answer = client.get(NOTICE)
        assert answer.status_code == 200
        with pytest.raises(ValueError, match=r"."):
            answer.json()

    def test_trouble_with_one_item_leaves_the_others_alone(
        self, service: MetadataService, client: httpx.Client
    ) -> None:
        service.trouble(Status(500), item="instance-id")
        assert client.get(INSTANCE_ID).status_code == 500
        assert client.get("/2021-03-23/meta-data/instance-id").status_code == 500
        assert client.get(META_DATA + "mac").status_code == 200
        service.trouble(None, item="instance-id")
        assert client.get(INSTANCE_ID).status_code == 200

    def test_trouble_with_one_item_goes_before_that_with_all(
        self, service: MetadataService, client: httpx.Client
    ) -> None:
        service.trouble(Status(429), item="mac")
        service.trouble(Status(503))
        assert client.get(META_DATA + "mac").status_code == 429
        assert client.get(INSTANCE_ID).status_code == 503
        service.trouble(None)
        assert client.get(META_DATA + "mac").status_code == 200

    def test_tokens_alone_can_be_in_trouble(self, service: MetadataService, client: httpx.Client) -> None:
        service.trouble(Status(503), item=TOKEN_PATH)
        assert client.put(TOKEN_PATH, headers={TTL: "60"}).status_code == 503
        assert client.get(INSTANCE_ID).status_code == 200

    def test_a_client_that_is_kept_waiting_delays_nobody_else(
        self, service: MetadataService, client: httpx.Client
    ) -> None:
        service.trouble(Silent(), item="mac")
        with dial(service) as waiting:
            waiting.sendall(f"GET {META_DATA}mac HTTP/1.1\r\n\r\n".encode())
            assert client.get(INSTANCE_ID).status_code == 200

    @pytest.mark.parametrize(
        "nonsense",
        [lambda: Status(999), lambda: Slow(size=0), lambda: Slow(interval=-1.0), lambda: Truncated(missing=0)],
    )
    def test_a_fault_that_cannot_be_is_refused_at_once(self, nonsense: Callable[[], Fault]) -> None:
        with pytest.raises(ValueError, match=r"999|cannot send|not truncated"):
            nonsense()


class TestLifeCycle:
    @pytest.mark.parametrize("fault", [Silent(), Slow(interval=LONG), Oversized(size=None)], ids=repr)
    def test_close_waits_for_no_client_and_leaves_no_thread(self, fault: Fault) -> None:
        threads = set(threading.enumerate())
        service = MetadataService()
        service.start()
        service.trouble(fault)
        with dial(service) as asking, dial(service) as idle:
            asking.sendall(b"GET / HTTP/1.1\r\n\r\n")
            idle.sendall(b"GET /latest/me")
            if not isinstance(fault, Silent):
                assert asking.recv(1)
            started = time.monotonic()
            service.close()
            assert time.monotonic() - started < 1.0
        assert set(threading.enumerate()) == threads

    def test_the_port_is_given_back(self) -> None:
        with MetadataService() as service:
            url = httpx.URL(service.url)
        with MetadataService(port=url.port or 0) as again:
            assert again.url == url

    def test_a_port_that_is_taken_is_an_error_at_once(self, service: MetadataService) -> None:
        second = MetadataService(port=httpx.URL(service.url).port or 0)
        with pytest.raises(OSError, match="in use"):
            second.start()
        second.close()

    def test_a_service_is_started_once_at_a_time(self, service: MetadataService) -> None:
        with pytest.raises(RuntimeError, match="running already"):
            service.start()

    def test_a_service_that_is_not_running_has_no_address(self) -> None:
        with pytest.raises(RuntimeError, match="no address"):
            _ = MetadataService().url

    def test_an_ipv6_address_stands_in_brackets(self) -> None:
        try:
            service = MetadataService(host="::1", imdsv1=True)
            service.start()
        except OSError as error:
            pytest.skip(f"no IPv6 here: {error}")
        try:
            assert service.url.startswith("http://[::1]:")
            assert httpx.get(service.url + INSTANCE_ID, trust_env=False).status_code == 200
        finally:
            service.close()

    def test_many_clients_at_once_are_all_answered(self, service: MetadataService, client: httpx.Client) -> None:
        answers: list[int] = []

        def ask() -> None:
            answers.append(httpx.get(service.url + INSTANCE_ID, headers=client.headers, trust_env=False).status_code)

        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [200] * 20


def blocked_signals(thread: int) -> int:
    """The mask of a thread of this process, as proc_pid_status(5) shows it."""
    status = Path(f"/proc/self/task/{thread}/status").read_text(encoding="ascii")
    return int(status.split("SigBlk:")[1].split()[0], 16)


def test_no_thread_of_the_service_takes_signals(client: httpx.Client) -> None:
    """One that did would leave the main thread asleep, and ``simulate --serve`` deaf to SIGTERM."""
    client.get(INSTANCE_ID)
    threads = [thread.native_id for thread in threading.enumerate() if thread.name.startswith("metadata")]
    assert len(threads) >= 2
    for thread in threads:
        assert thread is not None
        assert blocked_signals(thread) & 1 << (signal.SIGTERM - 1)
