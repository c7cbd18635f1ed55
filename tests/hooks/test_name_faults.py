"""What goes wrong with join-dns and leave-dns: the same table for both hooks and for every name service.

The faults of an SQL database and of a server with dynamic updates are in `tests/dns`, but for the swallowed packets.
"""

import socket
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import Any

import pytest

from spotwatch.hooks import built_in
from spotwatch.simulate.strict_aws import Fault
from tests.balancers import RunHook
from tests.naming import NAME, ONE, OTHER, HookServices, Names, registration

HOOKS = ["join-dns", "leave-dns"]
ROUTE53 = ("route53", "--name", NAME)
CLOUD_MAP = ("cloud-map", "--name", NAME)

ours = registration(ONE, "10.0.0.5", "10.0.0.6")
theirs = registration(OTHER, "10.0.0.7")
third = registration("i-0333", "10.0.0.9")

aws_places = pytest.mark.parametrize("words", [ROUTE53, CLOUD_MAP], ids=["Route 53", "Cloud Map"])
both_hooks = pytest.mark.parametrize("hook", HOOKS)


def join(names: Names, words: Sequence[str], *registrations: Any) -> None:
    service = names.route53() if words[0] == "route53" else names.cloud_map()
    for each in registrations:
        service.join(each)


def there(names: Names, words: Sequence[str], service: str) -> set[str]:
    return names.values() if words[0] == "route53" else set(names.registered(service).values())


@aws_places
@both_hooks
@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.BROKEN])
def test_trouble_that_passes_only_takes_time(
    names: Names, run_hook: RunHook, hook: str, words: tuple[str, ...], fault: Fault
) -> None:
    service = names.service()
    if hook == "leave-dns":
        join(names, words, ours)
    names.aws.plan(fault, "*", times=4)
    assert run_hook(hook, names.services(), *words)[0] == 0
    assert there(names, words, service) == ({"10.0.0.5", "10.0.0.6"} if hook == "join-dns" else set())


@aws_places
@both_hooks
@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.BROKEN])
def test_trouble_that_does_not_pass_is_an_error_at_the_deadline(
    names: Names, run_hook: RunHook, hook: str, words: tuple[str, ...], fault: Fault
) -> None:
    names.service()
    names.aws.plan(fault, "*", times=1000)
    began = names.clock.now()
    code, said = run_hook(hook, names.services(), *words)
    assert (code, said.startswith(f"failed: {NAME}: ")) == (69, True)
    assert 90 < names.clock.now() - began < 119


@aws_places
@both_hooks
def test_every_aws_action_that_is_called_is_declared(
    names: Names, run_hook: RunHook, hook: str, words: tuple[str, ...]
) -> None:
    names.service()
    join(names, words, ours)
    names.aws.calls.clear()
    assert run_hook(hook, names.services(), *words)[0] == 0
    assert {call.name for call in names.aws.calls} <= set(built_in(hook).IAM_ACTIONS)


CALLED = {
    "route53": ("ListHostedZonesByName", "ListResourceRecordSets", "ChangeResourceRecordSets", "GetChange"),
    "cloud-map": ("ListNamespaces", "ListServices", "GetService", "ListInstances", "GetOperation"),
}
CHANGES = {"join-dns": "RegisterInstance", "leave-dns": "DeregisterInstance"}


@pytest.mark.parametrize(
    ("hook", "place", "call"),
    [
        (hook, place, call)
        for hook in HOOKS
        for place, calls in CALLED.items()
        for call in (*calls, *((CHANGES[hook],) if place == "cloud-map" else ()))
    ],
)
def test_every_action_that_is_denied_is_named(
    names: Names, run_hook: RunHook, hook: str, place: str, call: str
) -> None:
    service = names.service()
    words = [place, "--name", NAME, *(("--service-id", service) if call == "GetService" else ())]
    if hook == "leave-dns":
        join(names, words, ours)
    names.aws.naming.delays.in_sync = names.aws.naming.delays.operation = 10
    action = f"{'route53' if place == 'route53' else 'servicediscovery'}:{call}"
    names.aws.plan(Fault.DENIED, action, times=1000)
    code, said = run_hook(hook, names.services(), *words)
    assert code == 77
    assert f"; allow the IAM action {action}\n" in said


@aws_places
@both_hooks
def test_two_instances_at_once_leave_the_third_alone(names: Names, hook: str, words: tuple[str, ...]) -> None:
    """At the same simple record, which is the one that they could lose for each other."""
    words = (*words, *(("--policy", "simple") if (hook, words) == ("join-dns", ROUTE53) else ()))
    service = names.service()
    before = [third] if hook == "join-dns" else [ours, theirs, third]
    for each in before:
        (names.route53("simple") if words[0] == "route53" else names.cloud_map()).join(each)
    module: Any = built_in(hook)
    parser = ArgumentParser()
    module.add_arguments(parser)
    both = [names.services(each.instance_id, *each.addresses) for each in (ours, theirs)]
    with ThreadPoolExecutor() as pool:
        codes = pool.map(lambda services: module.run(parser.parse_args(words), services, dry_run=False), both)
        assert list(codes) == [0, 0]
    joined = {*ours.addresses, *theirs.addresses} if hook == "join-dns" else set()
    assert there(names, words, service) == {"10.0.0.9", *joined}


@aws_places
@both_hooks
def test_half_done_and_run_again_it_is_done(names: Names, run_hook: RunHook, hook: str, words: tuple[str, ...]) -> None:
    """The first run came as far as one of two addresses."""
    service = names.service()
    join(names, words, registration(ONE, "10.0.0.5"))
    code, said = run_hook(hook, names.services(), *words)
    change = {
        "join-dns": "10.0.0.6) put there, and answered",
        "leave-dns": "10.0.0.5) taken out, and no longer answered",
    }
    assert (code, said) == (0, f"{NAME}: 1 IPv4 address ({change[hook]}\n")
    assert there(names, words, service) == ({"10.0.0.5", "10.0.0.6"} if hook == "join-dns" else set())


class RealClock:
    def now(self) -> float:
        return monotonic()

    def sleep(self, seconds: float) -> None:
        sleep(seconds)

    def utc(self) -> datetime:
        return datetime.now(UTC)


@pytest.fixture
def silence() -> Iterator[int]:
    """The port of somebody who accepts connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield int(listener.getsockname()[1])


@pytest.mark.slow
@both_hooks
@pytest.mark.parametrize(
    "words",
    [
        ROUTE53,
        CLOUD_MAP,
        ("update", "--name", NAME, "--server", "127.0.0.1:{port}"),
        ("sql", "--name", NAME, "--schema", "mydns", "--database", "mysql://me@127.0.0.1:{port}/dns"),
        ("sql", "--name", NAME, "--schema", "mydns", "--database", "postgresql://me@127.0.0.1:{port}/dns"),
    ],
    ids=["Route 53", "Cloud Map", "update", "MySQL", "PostgreSQL"],
)
@pytest.mark.usefixtures("names")
def test_an_endpoint_that_swallows_everything_does_not_outlast_the_deadline(
    run_hook: RunHook, monkeypatch: pytest.MonkeyPatch, silence: int, hook: str, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silence}")
    clock = RealClock()
    services = HookServices(environment={"SPOTWATCH_TIMEOUT": "4"}, clock=clock, born=clock.now())
    began = clock.now()
    code, said = run_hook(hook, services, *(word.format(port=silence) for word in words))
    assert code == 75
    assert f"cut by the deadline: no answer yet for {NAME}" in said
    assert clock.now() - began < 4
