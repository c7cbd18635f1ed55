"""Dynamic updates against a real BIND and a real PowerDNS."""

import socket
import socketserver
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BufferedIOBase
from math import inf
from pathlib import Path
from threading import Thread

import dns.message
import dns.query
import dns.rcode
import dns.update
import pytest

from spotwatch.core.errors import (
    NameServerBusy,
    NameServerUnreachable,
    NameServiceDenied,
    NameServiceError,
    NameServiceRefused,
    NotInTime,
)
from spotwatch.dns.dynamic_update import DynamicUpdates, mark_name
from spotwatch.dns.server import Server
from spotwatch.dns.tsig import read_key
from tests.cloud import ManualClock
from tests.dns.servers import NAME, ZONE, RealServer, SystemClock
from tests.naming import ONE, OTHER, registration

ours = registration(ONE, "10.0.0.5", "10.0.0.6")
theirs = registration(OTHER, "10.0.0.7")


def updates(real: RealServer, key: Path | None = None, *, patience: float = 20, signed: bool = True) -> DynamicUpdates:
    clock = SystemClock()
    used = read_key(key or real.key) if signed else None
    return DynamicUpdates(real.server, clock, clock.now() + patience, key=used)


def by_hand(real: RealServer, address: str, name: str = NAME) -> None:
    update = dns.update.UpdateMessage(ZONE, keyring=read_key(real.key))
    update.add(f"{name}.", 30, "A", address)
    while (code := dns.query.tcp(update, "127.0.0.1", port=real.port, timeout=5).rcode()) == dns.rcode.SERVFAIL:
        """PowerDNS's own threads lock its SQLite file."""
    assert code == dns.rcode.NOERROR


def test_what_was_joined_is_answered_and_what_has_left_is_not(updated: RealServer) -> None:
    service = updates(updated)
    assert updated.addresses() == set()
    joined = service.join(ours)
    service.wait(joined)
    assert joined.put == ("10.0.0.5", "10.0.0.6")
    assert updated.addresses() == {"10.0.0.5", "10.0.0.6"}
    left = service.leave(ours)
    service.wait(left)
    assert (left.taken, left.ttl) == (("10.0.0.5", "10.0.0.6"), 30)
    assert updated.addresses() == set()


def test_nothing_of_ours_is_left_in_the_zone(bind: RealServer) -> None:
    before = set(transferred(bind))
    updates(bind).join(ours)
    assert set(transferred(bind)) > before
    updates(bind).leave(ours)
    assert set(transferred(bind)) == before


def test_another_instance_s_addresses_stay(updated: RealServer) -> None:
    service = updates(updated)
    service.join(ours)
    service.join(theirs)
    service.leave(ours)
    service.leave(ours)
    assert updated.addresses() == {"10.0.0.7"}


def test_an_address_that_another_instance_has_by_now_is_its_own(updated: RealServer) -> None:
    """It was ours, it moved, and both have joined with it."""
    service = updates(updated)
    service.join(ours)
    service.join(registration(OTHER, "10.0.0.6"))
    change = service.leave(ours)
    assert change.taken == ("10.0.0.5",)
    assert change.remarks == (f"10.0.0.6 is left alone: it is marked as {OTHER}'s",)
    assert updated.addresses() == {"10.0.0.6"}
    assert service.leave(registration(OTHER)).taken == ("10.0.0.6",)


def test_an_address_that_moves_between_our_look_and_our_update_is_not_removed(bind: RealServer) -> None:
    """The server itself refuses the removal: the prerequisite does not hold any more."""
    service = updates(bind)
    service.join(ours)
    texts = Server.texts
    moved: list[str] = []

    class Hasty(Server):
        def texts(self, name: str) -> tuple[str, ...]:
            seen = texts(self, name)
            if name == mark_name(NAME, "10.0.0.6") and not moved:
                moved.append(name)
                updates(bind).join(registration(OTHER, "10.0.0.6"))
            return seen

    clock = SystemClock()
    hasty = DynamicUpdates(Hasty("127.0.0.1", bind.port), clock, clock.now() + 20, key=read_key(bind.key))
    assert hasty.leave(ours).taken == ("10.0.0.5",)
    assert moved
    assert bind.addresses() == {"10.0.0.6"}


def test_addresses_that_the_instance_has_lost_since_leave_too(updated: RealServer) -> None:
    service = updates(updated)
    service.join(ours)
    assert set(service.leave(registration(ONE)).taken) == {"10.0.0.5", "10.0.0.6"}
    assert updated.addresses() == set()


def test_a_record_made_by_hand_is_taken_out_only_by_who_has_its_address(updated: RealServer) -> None:
    by_hand(updated, "10.0.0.5")
    by_hand(updated, "10.0.0.99")
    assert updates(updated).leave(ours).taken == ("10.0.0.5",)
    assert updated.addresses() == {"10.0.0.99"}


def test_ipv6_addresses_are_records_of_their_own_type(updated: RealServer) -> None:
    both = registration(ONE, "10.0.0.5", "fd00::5")
    service = updates(updated)
    service.wait(service.join(both))
    assert updated.addresses() == {"10.0.0.5", "fd00::5"}
    service.leave(both)
    assert updated.addresses() == set()


def test_a_second_run_finds_nothing_left_to_do(updated: RealServer) -> None:
    service = updates(updated)
    service.join(ours)
    assert service.join(ours).put == ()
    service.leave(ours)
    again = service.leave(ours)
    service.wait(again)
    assert (again.taken, again.ttl) == ((), None)


def test_half_done_and_run_again_it_is_done(updated: RealServer) -> None:
    """The first run has taken one of two addresses out, and the list still names both."""

    class Dying(DynamicUpdates):
        def _take(self, *words: object, **more: object) -> bool:
            if updated.addresses() != {"10.0.0.5", "10.0.0.6"}:
                raise KeyboardInterrupt
            return super()._take(*words, **more)  # type: ignore[arg-type]

    service = updates(updated)
    service.wait(service.join(ours))
    clock = SystemClock()
    with pytest.raises(KeyboardInterrupt):
        Dying(updated.server, clock, clock.now() + 20, key=read_key(updated.key)).leave(ours)
    left = service.leave(registration(ONE))
    service.wait(left)
    assert (left.taken, updated.addresses()) == (("10.0.0.6",), set())


def test_four_instances_that_come_and_go_at_once_do_not_hurt_each_other(bind: RealServer) -> None:
    """Two join while two others leave."""
    many = [registration(f"i-{number}", f"10.0.{number}.1", f"10.0.{number}.2") for number in range(4)]
    for one in many[2:]:
        updates(bind).join(one)
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(updates(bind).join if one in many[:2] else updates(bind).leave, one) for one in many]:
            done.result()
    assert bind.addresses() == {address for one in many[:2] for address in one.addresses}
    assert not any("i-2." in record or "i-3." in record for record in transferred(bind))


class Busy(socketserver.ThreadingTCPServer):
    """In front of a name server: the next `times` messages are answered with SERVFAIL, as one does that is starting."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, real: RealServer, times: float) -> None:
        self.real, self.times = real, times
        super().__init__(("127.0.0.1", 0), _Exchange)

    def answer(self, question: bytes) -> bytes:
        self.times -= 1
        if self.times >= 0:
            response = dns.message.make_response(dns.message.from_wire(question, keyring=False))
            response.set_rcode(dns.rcode.SERVFAIL)
            return response.to_wire()
        with socket.create_connection(("127.0.0.1", self.real.port), 5) as connection:
            connection.sendall(len(question).to_bytes(2, "big") + question)
            return _message(connection.makefile("rb"))


class _Exchange(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Busy)
        answer = self.server.answer(_message(self.rfile))
        self.wfile.write(len(answer).to_bytes(2, "big") + answer)


def _message(stream: BufferedIOBase) -> bytes:
    return stream.read(int.from_bytes(stream.read(2), "big"))


@contextmanager
def busy(real: RealServer, times: float) -> Iterator[Server]:
    with Busy(real, times) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield Server("127.0.0.1", server.server_address[1])
        server.shutdown()


@pytest.mark.parametrize("hook", ["join", "leave"])
def test_a_server_that_is_busy_for_a_while_is_asked_again(bind: RealServer, hook: str) -> None:
    clock = ManualClock()
    with busy(bind, 3) as server:
        service = DynamicUpdates(server, clock, 20, key=read_key(bind.key))
        getattr(service, hook)(ours)
    assert bind.addresses() == ({"10.0.0.5", "10.0.0.6"} if hook == "join" else set())
    assert 0 < clock.now() < 20


@pytest.mark.parametrize("hook", ["join", "leave"])
def test_a_server_that_is_busy_for_good_says_so_at_the_deadline(bind: RealServer, hook: str) -> None:
    clock = ManualClock()
    with busy(bind, inf) as server, pytest.raises(NameServerBusy, match="SERVFAIL"):
        getattr(DynamicUpdates(server, clock, 20, key=read_key(bind.key)), hook)(ours)
    assert 10 < clock.now() <= 20


def test_fifty_addresses_fit(updated: RealServer) -> None:
    many = registration(ONE, *(f"10.0.1.{number}" for number in range(50)))
    service = updates(updated)
    service.wait(service.join(many))
    service.wait(service.leave(many))
    assert updated.addresses() == set()


def test_a_dry_run_changes_nothing(updated: RealServer) -> None:
    service = updates(updated)
    assert service.join(ours, dry_run=True).put == ("10.0.0.5", "10.0.0.6")
    assert updated.addresses() == set()
    service.join(ours)
    assert service.leave(ours, dry_run=True).taken == ("10.0.0.5", "10.0.0.6")
    assert updated.addresses() == {"10.0.0.5", "10.0.0.6"}


# keys


@pytest.mark.parametrize("key", ["wrong", "forged"])
def test_a_wrong_key_is_refused_at_once_and_the_hint_says_what_to_compare(updated: RealServer, key: str) -> None:
    with pytest.raises(NameServiceDenied) as raised:
        updates(updated, getattr(updated, key)).join(ours)
    assert "compare name, algorithm and secret" in raised.value.hint
    assert raised.value.exit_code == 77
    assert updated.addresses() == set()


def test_an_update_without_a_signature_is_refused_and_said_to_be_without(updated: RealServer) -> None:
    with pytest.raises(NameServiceDenied, match="without a signature: it says REFUSED") as raised:
        updates(updated, signed=False).join(ours)
    assert "name the key" in raised.value.hint
    assert updated.addresses() == set()


def test_a_name_that_the_key_is_not_for_is_refused(bind: RealServer) -> None:
    with pytest.raises(NameServiceDenied, match="it says REFUSED"):
        updates(bind).join(registration(ONE, "10.0.0.5", name=f"other.{ZONE}"))


def test_a_name_in_no_zone_of_the_server_is_refused(updated: RealServer) -> None:
    with pytest.raises(NameServiceRefused):
        updates(updated).join(registration(ONE, "10.0.0.5", name="app.nowhere"))


# servers that do not answer


def test_a_port_where_nobody_listens_is_unreachable_until_the_deadline() -> None:
    clock = ManualClock()
    with pytest.raises(NameServerUnreachable, match="gave no answer"):
        DynamicUpdates(Server("127.0.0.1", 1), clock, 20).leave(ours)
    assert 10 < clock.now() <= 20


def test_a_server_that_hangs_up_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server("127.0.0.1", listener.getsockname()[1])
        listener.close()
        with pytest.raises(NameServiceError):
            server.addresses(NAME)


def test_a_change_that_does_not_show_everywhere_is_waited_for_until_the_deadline(
    bind: RealServer, tmp_path: Path
) -> None:
    """The second server is another BIND, which nobody tells anything."""
    from tests.dns.servers import bind as another

    (tmp_path / "second").mkdir()
    with another(tmp_path / "second") as second:
        clock = ManualClock()
        service = DynamicUpdates(bind.server, clock, 30, key=read_key(bind.key), checked=[second.server])
        change = service.join(ours)
        with pytest.raises(NotInTime, match=f"{second.port} does not answer 10.0.0.5, 10.0.0.6 for {NAME} yet"):
            service.wait(change)
    assert clock.now() <= 30


def transferred(real: RealServer) -> list[str]:
    """All records of the zone but its SOA, whose serial moves."""
    lines = []
    for message in dns.query.xfr("127.0.0.1", ZONE, port=real.port, timeout=5, lifetime=5):
        lines += [f"{part.name} {rdata}" for part in message.answer for rdata in part if part.rdtype != 6]
    return lines
