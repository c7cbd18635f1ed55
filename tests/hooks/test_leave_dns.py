"""leave-dns: nobody is sent to the instance any more, and nobody else's records are gone."""

import time
from datetime import UTC, datetime

import pytest

from spotwatch.core.errors import StateUnavailable
from spotwatch.hooks.name_records import listed
from tests.balancers import RunHook
from tests.dns.conftest import bind as bind  # the fixture
from tests.dns.servers import RealServer
from tests.naming import DRAIN, NAME, ONE, OTHER, HookServices, Kept, Names, registration

ROUTE53 = ("route53", "--name", NAME)
CLOUD_MAP = ("cloud-map", "--name", NAME)

ours = registration(ONE, "10.0.0.5", "10.0.0.6")
theirs = registration(OTHER, "10.0.0.7")


class RealClock:
    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def utc(self) -> datetime:
        return datetime.now(UTC)


def test_what_was_joined_is_taken_out(names: Names, run_hook: RunHook) -> None:
    names.route53().join(ours)
    code, said = run_hook("leave-dns", names.services(), *ROUTE53)
    assert (code, said) == (0, f"{NAME}: 2 IPv4 addresses (10.0.0.5, 10.0.0.6) taken out, and no longer answered\n")
    assert names.records() == {}


def test_of_an_instance_that_is_not_there_nothing_is_changed(names: Names, run_hook: RunHook) -> None:
    names.route53().join(theirs)
    code, said = run_hook("leave-dns", names.services(), *ROUTE53)
    assert (code, said) == (0, f"{NAME}: nothing of this instance is there\n")
    assert names.values() == {"10.0.0.7"}


def test_with_wait_ttl_it_ends_when_nobody_can_remember(names: Names, run_hook: RunHook) -> None:
    names.aws.naming.delays.in_sync = 10
    names.route53().join(ours)
    names.clock.sleep(10)
    services = names.services()
    began = names.clock.now()
    code, said = run_hook("leave-dns", services, *ROUTE53, "--wait-ttl")
    assert code == 0
    assert said.endswith(
        "waiting for at most 30 s, for which others may remember the records\n"
        "nobody remembers the records any more, 30 s later\n"
    )
    assert names.clock.now() - began >= 40


def test_a_ttl_that_outlasts_the_deadline_is_a_cut_and_the_rest_is_named(names: Names, run_hook: RunHook) -> None:
    names.route53("simple").join(registration(ONE, "10.0.0.5", ttl=300))
    began = names.clock.now()
    code, said = run_hook("leave-dns", names.services(), *ROUTE53, "--wait-ttl")
    assert code == 75
    assert "cut by the deadline: others may remember the records for 3 min 1 s more" in said
    assert names.clock.now() - began == pytest.approx(119)
    assert names.records() == {}


class Killed(BaseException):
    """The end of the process: nothing in the program catches it."""


def killed_at(services: HookServices, seconds: float) -> None:
    """Let the process end when so much time has passed."""
    end, sleep = services.clock.now() + seconds, services.clock.sleep

    def until_then(span: float) -> None:
        sleep(min(span, end - services.clock.now()))
        if services.clock.now() >= end:
            services.clock.sleep = sleep
            raise Killed

    services.clock.sleep = until_then


@pytest.mark.parametrize("words", [ROUTE53, CLOUD_MAP], ids=["Route 53", "Cloud Map"])
def test_killed_while_others_remember_and_run_again_it_waits_once_more(
    names: Names, run_hook: RunHook, words: tuple[str, ...]
) -> None:
    service = names.service(ttl=30)
    (names.route53() if words is ROUTE53 else names.cloud_map()).join(ours)
    services = names.services(ONE, **{**DRAIN, "SPOTWATCH_DRAIN_ID": "one"})
    services.kept = Kept()
    killed_at(services, 10)
    with pytest.raises(Killed):
        run_hook("leave-dns", services, *words, "--wait-ttl")
    assert (names.records() if words is ROUTE53 else names.registered(service)) == {}
    code, said = run_hook("leave-dns", services, *words, "--wait-ttl")
    assert (code, names.clock.now()) == (0, 40)
    assert said == (
        f"{NAME}: 2 IPv4 addresses (10.0.0.5, 10.0.0.6) taken out, and no longer answered\n"
        "waiting for at most 30 s, for which others may remember the records\n"
        "nobody remembers the records any more, 30 s later\n"
    )


def test_what_another_drain_has_taken_out_is_not_waited_for(names: Names, run_hook: RunHook) -> None:
    kept = Kept()
    for drain, seconds in (("one", 30), ("two", 30)):
        services = names.services(ONE, **{**DRAIN, "SPOTWATCH_DRAIN_ID": drain})
        services.kept = kept
        if drain == "one":
            names.route53().join(ours)
        assert run_hook("leave-dns", services, *ROUTE53, "--wait-ttl")[0] == 0
        assert names.clock.now() == seconds


@pytest.mark.parametrize("text", ["{", "[]", '{"drain": "one"}', '{"drain": "one", "names": {"a": 1}}'])
def test_a_note_that_is_damaged_is_none(names: Names, run_hook: RunHook, text: str) -> None:
    names.route53().join(ours)
    services = names.services(ONE, **{**DRAIN, "SPOTWATCH_DRAIN_ID": "one"})
    services.kept = Kept(text)
    assert run_hook("leave-dns", services, *ROUTE53, "--wait-ttl")[0] == 0
    assert names.records() == {}


def test_without_a_place_for_the_note_it_leaves_all_the_same_and_says_so(names: Names, run_hook: RunHook) -> None:
    class Full(Kept):
        def write(self, text: str) -> None:  # noqa: ARG002
            raise StateUnavailable("cannot write it: No space left on device")

    names.route53().join(ours)
    services = names.services()
    services.kept = Full()
    code, said = run_hook("leave-dns", services, *ROUTE53, "--wait-ttl")
    assert (code, names.records()) == (0, {})
    assert said.startswith(
        "cannot write it: No space left on device; if this hook is killed and run again, it will not"
    )


def test_where_nothing_was_taken_out_nobody_waits(names: Names, run_hook: RunHook) -> None:
    began = names.clock.now()
    assert run_hook("leave-dns", names.services(), *ROUTE53, "--wait-ttl")[0] == 0
    assert names.clock.now() == began


def test_a_wait_that_the_deadline_cuts_has_its_own_exit_code_and_words(names: Names, run_hook: RunHook) -> None:
    names.route53().join(ours)
    names.aws.naming.delays.in_sync = 1000
    code, said = run_hook("leave-dns", names.services(), *ROUTE53)
    assert code == 75
    assert said.startswith("cut by the deadline: Route 53 has the change")
    assert said.endswith("(10.0.0.5, 10.0.0.6) taken out\n")
    assert names.records() == {}


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(names: Names, run_hook: RunHook) -> None:
    names.route53().join(ours)
    code, said = run_hook("leave-dns", names.services(), *ROUTE53, dry_run=True)
    assert (code, said) == (0, f"{NAME}: 2 IPv4 addresses (10.0.0.5, 10.0.0.6) would be taken out\n")
    assert names.values() == {"10.0.0.5", "10.0.0.6"}


def test_in_a_rehearsal_nobody_is_asked(names: Names, run_hook: RunHook) -> None:
    names.aws.calls.clear()
    assert run_hook("leave-dns", names.services(SPOTWATCH_REHEARSAL="1"), *ROUTE53, dry_run=True)[0] == 0
    assert names.aws.calls == []


def test_a_real_bind_answers_with_the_instance_and_then_without(bind: RealServer, run_hook: RunHook) -> None:
    clock = RealClock()
    words = ("update", "--name", NAME, "--server", f"127.0.0.1:{bind.port}", "--key-file", str(bind.key))
    one, other = (
        HookServices(instance, addresses, clock=clock, born=clock.now())
        for instance, addresses in ((ONE, ("10.0.0.5", "10.0.0.6")), (OTHER, ("10.0.0.7",)))
    )
    for services in (one, other):
        assert run_hook("join-dns", services, *words)[0] == 0
    assert bind.addresses() == {"10.0.0.5", "10.0.0.6", "10.0.0.7"}
    assert run_hook("leave-dns", one, *words) == (
        0,
        f"{NAME}: 2 IPv4 addresses (10.0.0.5, 10.0.0.6) taken out, and no longer answered\n",
    )
    assert bind.addresses() == {"10.0.0.7"}


def test_a_server_that_has_not_shown_the_change_is_asked_once_more_when_it_is_run_again(
    bind: RealServer, run_hook: RunHook
) -> None:
    clock = RealClock()
    words = ("update", "--name", NAME, "--server", f"127.0.0.1:{bind.port}", "--key-file", str(bind.key))
    environment = {**DRAIN, "SPOTWATCH_TIMEOUT": "3", "SPOTWATCH_DRAIN_ID": "one"}
    services = HookServices(ONE, ("10.0.0.5",), environment, clock, kept=Kept())
    services.born = clock.now()
    assert run_hook("join-dns", services, *words)[0] == 0
    for _ in range(2):
        services.born = clock.now()
        code, said = run_hook("leave-dns", services, *words, "--check-server", "127.0.0.1:1")
        assert code == 69
        assert "127.0.0.1:1 gave no answer" in said
        assert bind.addresses() == set()
    services.born = clock.now()
    code, said = run_hook("leave-dns", services, *words, "--check-server", f"127.0.0.1:{bind.port}")
    assert (code, said) == (0, f"{NAME}: 1 IPv4 address (10.0.0.5) taken out, and no longer answered\n")


def test_a_real_bind_that_refuses_the_key_is_77_with_a_hint(bind: RealServer, run_hook: RunHook) -> None:
    clock = RealClock()
    services = HookServices(clock=clock, born=clock.now())
    words = ("update", "--name", NAME, "--server", f"127.0.0.1:{bind.port}", "--key-file", str(bind.forged))
    code, said = run_hook("join-dns", services, *words)
    assert code == 77
    assert "compare name, algorithm and secret of the key on both sides" in said


def test_addresses_are_counted_by_their_kind() -> None:
    assert listed(["10.0.0.5", "fd00::5"]) == "1 IPv4 and 1 IPv6 addresses (10.0.0.5, fd00::5)"
    assert listed(["fd00::5"]) == "1 IPv6 address (fd00::5)"
