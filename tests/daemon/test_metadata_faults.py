"""Whatever the metadata service does, the daemon lives, says it once, and drains the notice that comes afterwards."""

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

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
from spotwatch.simulate.service import TOKEN_PATH, MetadataService
from tests.daemon.process import QUICK, DaemonProcess, from_now, hook

pytestmark = pytest.mark.slow

HOOK = hook("drain", "true")

WHILE_IT_RUNS: dict[str, tuple[Fault, str]] = {
    "400": (Status(400), "MetadataRefused"),
    "401": (Status(401), "MetadataRefused"),
    "403": (Status(403), "MetadataRefused"),
    "405": (Status(405), "MetadataRefused"),
    "429": (Status(429), "MetadataThrottled"),
    "500": (Status(500), "MetadataBroken"),
    "502": (Status(502), "MetadataBroken"),
    "503": (Status(503), "MetadataThrottled"),
    "refused": (Refused(), "MetadataUnreachable"),
    "reset": (Reset(), "MetadataUnreachable"),
    "silent": (Silent(), "MetadataTimedOut"),
    "slow drip": (Slow(interval=0.02), "MetadataTimedOut"),
    "truncated": (Truncated(), "MetadataUnreachable"),
    "headers cut": (HeadersCut(), "MetadataUnreachable"),
    "oversized": (Oversized(), "MetadataBroken"),
    "endless": (Oversized(None), "MetadataBroken"),
    "malformed": (MALFORMED_JSON, "MetadataMalformed"),
    "empty": (EMPTY_BODY, "MetadataMalformed"),
    "binary": (BINARY_BODY, "MetadataMalformed"),
    "not HTTP": (NotHttp(), "MetadataUnreachable"),
}
"""What goes wrong with every answer to a daemon that has a token, and what the daemon takes it for."""

FROM_THE_START: dict[str, tuple[Fault, str]] = {
    "401": (Status(401), "MetadataRefused"),
    "403": (Status(403), "MetadataRefused"),
    "404": (Status(404), "MetadataRefused"),
    "405": (Status(405), "MetadataRefused"),
    "503": (Status(503), "MetadataThrottled"),
    "refused": (Refused(), "MetadataUnreachable"),
    "silent": (Silent(), "MetadataTokenUnanswered"),
    "slow drip": (Slow(interval=0.02), "MetadataTokenUnanswered"),
    "empty": (EMPTY_BODY, "MetadataBroken"),
}
"""The same for one that has yet to get its token."""

RARE_WHILE_IT_RUNS = {
    "400",
    "401",
    "405",
    "502",
    "503",
    "reset",
    "truncated",
    "headers cut",
    "endless",
    "empty",
    "binary",
}
RARE_FROM_THE_START = {"401", "403", "405", "503", "slow drip", "empty"}
"""Much like another row of the table, and a second each."""

CURES = {
    "MetadataRefused": ["modify-instance-metadata-options", "metadata.imdsv1", "check what answers at the endpoint"],
    "MetadataTokenUnanswered": ["--http-put-response-hop-limit 2"],
}
"""What the hint has to name one of, where only a particular thing helps."""


def rows(table: Mapping[str, tuple[Fault, str]], rare: Collection[str]) -> list[ParameterSet]:
    """The rows of a table of troubles, each with its name as a test's."""
    assert set(rare) <= set(table)
    return [pytest.param(*row, id=name, marks=[pytest.mark.slow] * (name in rare)) for name, row in table.items()]


def assert_said_once(daemon: DaemonProcess, problem: str) -> None:
    """The log names the problem, once for each item that it concerns, and a cure where there is one."""
    failures = daemon.records("metadata-failure", problem=problem)
    assert set(Counter(failure["item"] for failure in failures).values()) == {1}, daemon.log
    for failure in failures:
        assert failure["level"] == "warning"
        assert failure["message"]
        assert any(cure in failure.get("hint", "") for cure in CURES.get(problem, [""]))


def assert_drains(daemon: DaemonProcess, service: MetadataService) -> None:
    """A notice that is given now is drained."""
    service.interrupt("terminate", from_now(60))
    assert daemon.report("terminate").verdict == "drained"


def says_that_it_is_over(daemon: DaemonProcess) -> object:
    return daemon.records("metadata-recovered") or daemon.records("item-readable")


@pytest.mark.parametrize(("fault", "problem"), rows(WHILE_IT_RUNS, RARE_WHILE_IT_RUNS))
def test_a_service_that_falls_ill_is_said_once_and_outlived(tmp_path: Path, fault: Fault, problem: str) -> None:
    with MetadataService() as service, DaemonProcess(tmp_path, HOOK, endpoint=service.url) as daemon:
        daemon.record("instance")
        service.trouble(fault)
        daemon.record("metadata-failure", problem=problem)
        daemon.pass_by(2)
        assert_said_once(daemon, problem)
        service.trouble(None)
        assert_drains(daemon, service)
        assert says_that_it_is_over(daemon)


@pytest.mark.parametrize(("fault", "problem"), rows(FROM_THE_START, RARE_FROM_THE_START))
def test_a_service_that_is_ill_from_the_start_is_said_once_and_outlived(
    tmp_path: Path, fault: Fault, problem: str
) -> None:
    with MetadataService() as service:
        service.trouble(fault)
        with DaemonProcess(tmp_path, HOOK, endpoint=service.url) as daemon:
            daemon.record("metadata-failure", problem=problem)
            daemon.pass_by(2)
            assert_said_once(daemon, problem)
            service.trouble(None)
            assert_drains(daemon, service)
            assert says_that_it_is_over(daemon)


def test_every_trouble_comes_with_a_hint(tmp_path: Path) -> None:
    troubles = dict.fromkeys((problem for _, problem in WHILE_IT_RUNS.values()), "")
    with MetadataService() as service, DaemonProcess(tmp_path, HOOK, endpoint=service.url) as daemon:
        daemon.record("instance")
        for fault, problem in WHILE_IT_RUNS.values():
            if not troubles[problem]:
                service.trouble(fault)
                troubles[problem] = daemon.record("metadata-failure", problem=problem).get("hint") or "none"
    assert [problem for problem, hint in troubles.items() if hint == "none"] == []


def test_a_service_that_comes_and_goes_and_comes_is_found_again(tmp_path: Path) -> None:
    service = MetadataService()
    service.start()
    url, port = service.url, int(service.url.rpartition(":")[2])
    service.close()
    with DaemonProcess(tmp_path, HOOK, endpoint=url) as daemon:
        daemon.record("metadata-failure", problem="MetadataUnreachable")
        with MetadataService(port=port):
            daemon.record("metadata-recovered")
        daemon.record("metadata-failure", nth=2, problem="MetadataUnreachable")
        with MetadataService(port=port) as service:  # another process: it knows no token of the first
            daemon.record("metadata-recovered", nth=2)
            assert_drains(daemon, service)


def test_a_missing_item_is_no_trouble(tmp_path: Path) -> None:
    with MetadataService() as service, DaemonProcess(tmp_path, HOOK, endpoint=service.url) as daemon:
        daemon.record("instance")
        service.trouble(Status(404), item="events/recommendations/rebalance")
        daemon.pass_by(2)
        assert daemon.records("metadata-failure") == []
        assert_drains(daemon, service)


def test_trouble_with_one_item_keeps_no_other_from_being_read(tmp_path: Path) -> None:
    item = "events/recommendations/rebalance"
    with MetadataService() as service, DaemonProcess(tmp_path, HOOK, endpoint=service.url) as daemon:
        service.trouble(MALFORMED_JSON, item=item)
        daemon.record("metadata-failure", problem="MetadataMalformed", item=item)
        assert_drains(daemon, service)


def test_a_token_is_renewed_before_it_expires(tmp_path: Path) -> None:
    options = (*QUICK, "metadata.token_ttl=1s")
    with MetadataService() as service, DaemonProcess(tmp_path, HOOK, endpoint=service.url, options=options) as daemon:
        daemon.wait_for(lambda: sum(request.method == "PUT" for request in service.requests) >= 2, "the second token")
        assert service.statuses[401] == 0
        assert_drains(daemon, service)


@pytest.mark.parametrize("loss", ["revoked", "expired"])
def test_a_token_that_is_no_longer_good_is_replaced_without_a_word(tmp_path: Path, loss: str) -> None:
    with MetadataService() as service, DaemonProcess(tmp_path, HOOK, endpoint=service.url) as daemon:
        daemon.record("instance")
        service.revoke_tokens() if loss == "revoked" else service.advance(21600)
        daemon.wait_for(lambda: service.statuses[401], "an answer to the old token")
        assert_drains(daemon, service)
        assert daemon.records("metadata-failure") == []
        assert service.statuses[401] == 1


def test_a_token_that_cannot_be_renewed_serves_on(tmp_path: Path) -> None:
    options = (*QUICK, "metadata.token_ttl=9s")
    with MetadataService() as service, DaemonProcess(tmp_path, HOOK, endpoint=service.url, options=options) as daemon:
        daemon.record("instance")
        service.trouble(Status(503), item=TOKEN_PATH)
        daemon.wait_for(lambda: service.statuses[503], "an attempt to renew the token")
        assert_drains(daemon, service)
        assert daemon.records("metadata-failure") == []


def test_a_hop_limit_that_is_too_low_is_named_with_its_cure(tmp_path: Path) -> None:
    with (
        MetadataService(hop_limit_exceeded=True, imdsv1=True) as service,
        DaemonProcess(tmp_path, HOOK, endpoint=service.url) as daemon,
    ):
        failure = daemon.record("metadata-failure", problem="MetadataTokenUnanswered")
        assert "--http-put-response-hop-limit 2" in failure["hint"]
        assert {request.method for request in service.requests} == {"PUT"}


def test_imdsv1_is_used_and_said_loudly_where_it_is_allowed_and_no_token_comes(tmp_path: Path) -> None:
    options = (*QUICK, "metadata.imdsv1=true")
    with (
        MetadataService(hop_limit_exceeded=True, imdsv1=True) as service,
        DaemonProcess(tmp_path, HOOK, endpoint=service.url, options=options) as daemon,
    ):
        assert "--http-put-response-hop-limit" in daemon.record("imdsv1", level="warning")["message"]
        assert_drains(daemon, service)
