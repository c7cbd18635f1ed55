"""Records in SQLite, and in a real MariaDB and a real PostgreSQL, in MyDNS's tables and in PowerDNS's."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread

import dns.message
import dns.query
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotwatch.core.errors import (
    InputError,
    NameServerBusy,
    NameServerUnreachable,
    NameServiceDenied,
    NameServiceRefused,
    NotInTime,
    UsageError,
)
from spotwatch.core.name_record import Registration
from spotwatch.dns.database import Database
from spotwatch.dns.mydns import MyDns
from spotwatch.dns.powerdns import PowerDns
from spotwatch.dns.sql import SqlRecords, Tables, Zone
from tests.cloud import ManualClock
from tests.dns import servers, tables
from tests.dns.servers import NAME, ZONE, RealServer, SystemClock
from tests.naming import ONE, OTHER, registration

ours = registration(ONE, "10.0.0.5", "10.0.0.6")
theirs = registration(OTHER, "10.0.0.7")

SCHEMAS: Mapping[str, tuple[Callable[[str], Sequence[str]], Tables]] = {
    "MyDNS": (tables.mydns, MyDns()),
    "MyDNS with owners": (tables.mydns, MyDns(owner_column="owner")),
    "PowerDNS": (tables.powerdns, PowerDns()),
}


class Place:
    """One schema in one database."""

    def __init__(self, database: Database, schema: str) -> None:
        lay, self.tables = SCHEMAS[schema]
        self.database, self.schema = database, schema
        self.clock = ManualClock()
        tables.lay_out(database, lay(database.kind))

    def records(self, database: Database | None = None, patience: float = 20) -> SqlRecords:
        return SqlRecords(database or self.database, self.tables, self.clock, self.clock.now() + patience)

    def there(self, name: str = NAME, zone: int = 1) -> set[str]:
        """The addresses under a name."""
        with self.database.transaction() as transaction:
            rows = [
                row
                for kind in ("A", "AAAA")
                for row in self.tables.rows(transaction, Zone(zone, ZONE if zone == 1 else "internal"), name, kind)
            ]
        return {row.address for row in rows if row.active}

    def serial(self) -> int:
        with self.database.transaction() as transaction:
            if isinstance(self.tables, MyDns):
                return int(transaction.rows("SELECT serial FROM soa WHERE id = 1")[0]["serial"])
            soa = transaction.rows("SELECT content FROM records WHERE type = 'SOA' AND domain_id = 1")[0]
        return int(str(soa["content"]).split()[2])

    def by_hand(self, address: str, name: str = NAME) -> None:
        """A record without a mark."""
        with self.database.transaction() as transaction:
            if isinstance(self.tables, MyDns):
                transaction.run(
                    "INSERT INTO rr (zone, name, type, data, aux, ttl) VALUES (1, %s, 'A', %s, 0, 60)",
                    name + ".",
                    address,
                )
            else:
                transaction.run(
                    "INSERT INTO records (domain_id, name, type, content, ttl) VALUES (1, %s, 'A', %s, 60)",
                    name,
                    address,
                )


@pytest.fixture(params=SCHEMAS)
def place(request: pytest.FixtureRequest, database: Database) -> Place:
    return Place(database, request.param)


@pytest.fixture(params=["MyDNS with owners", "PowerDNS"])
def marked(request: pytest.FixtureRequest, database: Database) -> Place:
    """Only schemas with a place for marks."""
    return Place(database, request.param)


def test_what_was_joined_is_there_and_what_has_left_is_not(place: Place) -> None:
    assert place.records().join(ours).put == ("10.0.0.5", "10.0.0.6")
    assert place.there() == {"10.0.0.5", "10.0.0.6"}
    left = place.records().leave(ours)
    assert (set(left.taken), left.ttl) == ({"10.0.0.5", "10.0.0.6"}, 30 + place.tables.repeated)
    assert place.there() == set()


def test_another_instance_s_addresses_stay(place: Place) -> None:
    place.records().join(ours)
    place.records().join(theirs)
    place.records().leave(ours)
    assert place.there() == {"10.0.0.7"}


def test_a_second_run_changes_nothing_and_not_the_serial(place: Place) -> None:
    for attempt, done in ((place.records().join, "put"), (place.records().leave, "taken")):
        attempt(ours)
        serial = place.serial()
        assert getattr(attempt(ours), done) == ()
        assert place.serial() == serial


def test_each_change_raises_the_serial_by_one(place: Place) -> None:
    before = place.serial()
    place.records().join(ours)
    place.records().leave(ours)
    assert place.serial() == before + 2


def test_the_zone_with_the_longest_name_is_taken(place: Place) -> None:
    place.records().join(ours)
    outside = registration(ONE, "10.0.0.5", name="web.internal")
    place.records().join(outside)
    assert place.there() == {"10.0.0.5", "10.0.0.6"}
    assert place.there("web.internal", zone=2) == {"10.0.0.5"}


def test_a_name_at_the_top_of_the_zone_and_a_wildcard_are_names_like_others(place: Place) -> None:
    for name in (ZONE, f"*.{ZONE}"):
        wanted = registration(ONE, "10.0.0.5", name=name)
        place.records().join(wanted)
        assert place.there(name) == {"10.0.0.5"}
        place.records().leave(wanted)
        assert place.there(name) == set()


def test_ipv6_addresses_are_records_of_their_own_type(place: Place) -> None:
    both = registration(ONE, "10.0.0.5", "fd00::5")
    place.records().join(both)
    assert place.there() == {"10.0.0.5", "fd00::5"}
    place.records().leave(both)
    assert place.there() == set()


def test_a_record_made_by_hand_is_taken_out_only_by_who_has_its_address(place: Place) -> None:
    place.by_hand("10.0.0.5")
    place.by_hand("10.0.0.99")
    change = place.records().leave(ours)
    assert (change.taken, change.ttl) == (("10.0.0.5",), 60 + place.tables.repeated)
    assert place.there() == {"10.0.0.99"}


def test_an_address_that_another_instance_has_by_now_is_its_own(marked: Place) -> None:
    marked.records().join(ours)
    marked.records().join(registration(OTHER, "10.0.0.6"))
    change = marked.records().leave(ours)
    assert change.taken == ("10.0.0.5",)
    assert change.remarks == (f"10.0.0.6 is left alone: it is marked as {OTHER}'s",)
    assert marked.there() == {"10.0.0.6"}


def test_addresses_that_the_instance_has_lost_since_leave_too(marked: Place) -> None:
    marked.records().join(ours)
    assert set(marked.records().leave(registration(ONE)).taken) == {"10.0.0.5", "10.0.0.6"}


def test_to_join_anew_takes_out_what_the_instance_has_lost(marked: Place) -> None:
    marked.records().join(ours)
    marked.records().join(registration(ONE, "10.0.0.6", "10.0.0.9"))
    assert marked.there() == {"10.0.0.6", "10.0.0.9"}


def test_a_record_that_is_switched_off_is_no_answer_and_leaves_too(place: Place) -> None:
    place.records().join(ours)
    off = "UPDATE rr SET active = 'N'" if isinstance(place.tables, MyDns) else "UPDATE records SET disabled = TRUE"
    with place.database.transaction() as transaction:
        transaction.run(off)
    assert place.records().join(ours).put == ("10.0.0.5", "10.0.0.6")
    assert set(place.records().leave(ours).taken) == {"10.0.0.5", "10.0.0.6"}
    assert place.records().leave(ours).taken == ()


def test_a_dry_run_changes_nothing(place: Place) -> None:
    assert place.records().join(ours, dry_run=True).put == ("10.0.0.5", "10.0.0.6")
    assert place.there() == set()
    place.records().join(ours)
    assert set(place.records().leave(ours, dry_run=True).taken) == {"10.0.0.5", "10.0.0.6"}
    assert place.there() == {"10.0.0.5", "10.0.0.6"}


def test_a_run_that_dies_in_the_middle_has_changed_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(place.tables), "raise_serial", die)
        with pytest.raises(KeyboardInterrupt):
            place.records().join(ours)
    assert place.there() == set()
    place.records().join(ours)
    assert place.there() == {"10.0.0.5", "10.0.0.6"}


def test_eight_instances_that_come_and_go_at_once_do_not_hurt_each_other(place: Place) -> None:
    """Four join while four others leave; the serial counts each of them."""
    staying = [registration(f"i-{number}", f"10.0.{number}.1", f"10.0.{number}.2") for number in range(4)]
    leaving = [registration(f"i-{number}", f"10.0.{number}.1", f"10.0.{number}.2") for number in range(4, 8)]
    for one in leaving:
        place.records().join(one)
    serial = place.serial()

    def run(one: Registration) -> None:
        clock = SystemClock()
        records = SqlRecords(place.database, place.tables, clock, clock.now() + 30)
        (records.join if one in staying else records.leave)(one)

    threads = [Thread(target=run, args=(one,)) for one in (*staying, *leaving)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert place.there() == {address for one in staying for address in one.addresses}
    assert place.serial() == serial + 8


steps = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["join", "leave"]), st.sets(st.integers(0, 2), min_size=1)), max_size=6
)


@pytest.mark.parametrize("schema", SCHEMAS)
@given(steps=steps)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_instance_ever_removes_what_is_another_s(
    tmp_path: Path, schema: str, steps: Sequence[tuple[int, str, set[int]]]
) -> None:
    sqlite3.connect(tmp_path / "property.sqlite3").close()
    place = Place(Database("sqlite", str(tmp_path / "property.sqlite3")), schema)
    for instance, step, numbers in steps:
        others = {one for one in place.there() if not one.startswith(f"10.0.{instance}.")}
        wanted = registration(f"i-{instance}", *(f"10.0.{instance}.{number}" for number in sorted(numbers)))
        (place.records().join if step == "join" else place.records().leave)(wanted)
        after = place.there()
        assert {one for one in after if not one.startswith(f"10.0.{instance}.")} == others
        assert (set(wanted.addresses) <= after) == (step == "join")


@pytest.mark.slow
def test_without_transactions_as_mydns_makes_its_tables_two_do_not_hurt_each_other(mariadb_server: Database) -> None:
    """MyISAM."""
    tables.lay_out(mariadb_server, tables.mydns("mysql", engine="MyISAM"))
    clock = SystemClock()
    records = SqlRecords(mariadb_server, MyDns(), clock, clock.now() + 30)
    many = [registration(f"i-{number}", f"10.0.{number}.1") for number in range(8)]
    for attempt in (records.join, records.leave):
        threads = [Thread(target=attempt, args=(one,)) for one in many]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with mariadb_server.transaction() as transaction:
            count = transaction.rows("SELECT COUNT(*) AS n FROM rr")[0]["n"]
        assert count == (8 if attempt == records.join else 0)


# PowerDNS and MyDNS


def test_a_serial_that_powerdns_makes_itself_is_left_to_it(database: Database) -> None:
    place = Place(database, "PowerDNS")
    with database.transaction() as transaction:
        transaction.run("UPDATE records SET content = 'a b 0 1 1 1 1' WHERE type = 'SOA'")
    place.records().join(ours)
    assert place.serial() == 0


def test_after_the_highest_serial_comes_one(place: Place) -> None:
    with place.database.transaction() as transaction:
        if isinstance(place.tables, MyDns):
            transaction.run("UPDATE soa SET serial = 4294967295")
        else:
            transaction.run("UPDATE records SET content = 'a b 4294967295 1 1 1 1' WHERE type = 'SOA'")
    place.records().join(ours)
    assert place.serial() == 1


def test_mydns_names_are_relative_and_a_name_in_full_is_the_same(database: Database) -> None:
    place = Place(database, "MyDNS")
    place.by_hand("10.0.0.5")
    assert place.records().join(ours).put == ("10.0.0.6",)
    with database.transaction() as transaction:
        names = {str(row["name"]) for row in transaction.rows("SELECT name FROM rr")}
    assert names == {"app", f"{NAME}."}


def test_aux_is_what_it_is_told_to_be(database: Database) -> None:
    place = Place(database, "MyDNS")
    place.tables = MyDns(aux=20)
    place.records().join(ours)
    with database.transaction() as transaction:
        assert {row["aux"] for row in transaction.rows("SELECT aux FROM rr")} == {20}


@pytest.mark.parametrize("name", ["owner; DROP TABLE rr", "1st", "a-b"])
def test_a_column_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no name of a column"):
        MyDns(owner_column=name)


# what can go wrong


def test_a_name_in_no_zone_is_refused(place: Place) -> None:
    with pytest.raises(NameServiceRefused, match=r"no zone for app\.nowhere"):
        place.records().join(registration(ONE, "10.0.0.5", name="app.nowhere"))


def test_tables_of_another_schema_are_refused_at_once(database: Database) -> None:
    place = Place(database, "MyDNS")
    place.tables = PowerDns()
    with pytest.raises(NameServiceRefused) as raised:
        place.records().join(ours)
    assert "--schema" in raised.value.hint
    assert place.clock.now() == 0


@contextmanager
def held(database: Database) -> Iterator[None]:
    """Somebody else has the zone locked."""
    with database.transaction() as transaction:
        MyDns().lock(transaction, Zone(1, ZONE))
        yield


def test_a_lock_that_somebody_holds_too_long_is_said_to_be(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spotwatch.dns.database.LIMIT_SECONDS", 1)
    place = Place(database, "MyDNS")
    with held(database), pytest.raises(NameServerBusy) as raised:
        place.records(patience=0.1).join(ours)
    assert "lock" in raised.value.hint
    assert place.there() == set()
    place.records().join(ours)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["mariadb_server", "postgresql_server"])
@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"password": "wrong"}, NameServiceDenied),
        ({"user": "nobody-known"}, NameServiceDenied),
        ({"user": "reader"}, NameServiceDenied),
        ({"port": 1}, NameServerUnreachable),
    ],
    ids=str,
)
def test_a_database_that_does_not_let_us_says_why(
    request: pytest.FixtureRequest, server: str, changed: Mapping[str, object], error: type[Exception]
) -> None:
    database: Database = request.getfixturevalue(server)
    place = Place(database, "MyDNS")
    with pytest.raises(error) as raised:
        place.records(replace(database, **changed)).join(ours)  # type: ignore[arg-type]
    assert getattr(raised.value, "hint", "")
    assert "correct horse" not in str(raised.value)
    assert (place.clock.now() > 0) == (error is NameServerUnreachable)


def test_an_sqlite_file_that_is_missing_is_not_made(tmp_path: Path) -> None:
    database = Database("sqlite", str(tmp_path / "missing.sqlite3"))
    clock = ManualClock()
    with pytest.raises(NameServiceRefused, match="unable to open") as raised:
        SqlRecords(database, PowerDns(), clock, 5).join(ours)
    assert "file" in raised.value.hint
    assert list(tmp_path.iterdir()) == []


def test_an_sqlite_url_with_a_fourth_slash_names_the_same_file(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "dns.sqlite3").close()
    database = Database.parse(f"sqlite:///{tmp_path / 'dns.sqlite3'}")
    assert database.name.startswith("//")
    with database.transaction() as transaction:
        assert transaction.rows("SELECT 1 AS one") == [{"one": 1}]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("oracle://db/dns", "names no database"),
        ("mysql://db", "names no database"),
        ("mysql://me:secret@db/dns", "has a password in it"),
        ("mysql://db:port/dns", "Port could not be cast"),
    ],
)
def test_a_url_that_cannot_be_is_refused_and_never_shown_with_its_password(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        Database.parse(url)
    assert "secret" not in raised.value.message
    assert raised.value.hint


def test_a_password_comes_from_the_first_line_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("correct horse\n\n")
    database = Database.parse("postgresql://me@db/dns", password_file=tmp_path / "password")
    assert (database.password, database.port, database.user) == ("correct horse", 5432, "me")
    assert "correct horse" not in repr(database)
    with pytest.raises(InputError, match="missing cannot be read"):
        Database.parse("postgresql://me@db/dns", password_file=tmp_path / "missing")


def test_statements_have_their_parameters_in_every_database(database: Database) -> None:
    tables.lay_out(database, tables.mydns(database.kind))
    with database.transaction() as transaction:
        found = transaction.rows("SELECT id FROM soa WHERE origin = %s AND id < %s", "example.internal.", 5)
    assert [dict(row) for row in found] == [{"id": 1}]


# a real PowerDNS that reads them


@pytest.mark.slow
def test_a_real_powerdns_answers_with_the_records_and_then_without(powerdns: tuple[RealServer, Database]) -> None:
    server, database = powerdns
    clock = SystemClock()
    records = SqlRecords(database, PowerDns(), clock, clock.now() + 20, checked=[server.server])
    assert server.addresses() == set()
    serial = server.serial()
    records.wait(records.join(ours))
    assert server.addresses() == {"10.0.0.5", "10.0.0.6"}
    records.wait(records.join(theirs))
    records.wait(records.leave(ours))
    assert server.addresses() == {"10.0.0.7"}
    assert server.serial() == serial + 3


def test_what_powerdns_repeats_to_others_counts_as_remembered(tmp_path: Path) -> None:
    """It keeps answers by the form of the question: what it does not answer to us it may still answer to others."""
    asked = dns.message.make_query(NAME, "A", use_edns=0)
    with servers.powerdns(tmp_path, answer_cache=4, query_cache=0) as (server, database):

        def answered() -> bool:
            return bool(dns.query.udp(asked, "127.0.0.1", port=server.port, timeout=5).answer)

        clock = SystemClock()
        records = SqlRecords(database, PowerDns(), clock, clock.now() + 20, checked=[server.server], repeated=4)
        records.join(ours)
        assert answered()
        change = records.leave(ours)
        records.wait(change)
        shown = clock.now()
        assert answered()
        while answered():
            clock.sleep(0.05)
        assert change.ttl == ours.ttl + 4
        assert clock.now() - shown <= 4 + 1  # it counts whole seconds


def test_what_a_server_still_remembers_is_waited_for_until_the_deadline(powerdns: tuple[RealServer, Database]) -> None:
    """It is told nothing, since another file is changed."""
    server, database = powerdns
    other = Path(database.name).with_name("other.sqlite3")
    other.write_bytes(Path(database.name).read_bytes())
    clock = ManualClock()
    records = SqlRecords(Database("sqlite", str(other)), PowerDns(), clock, 30, checked=[server.server])
    change = records.join(ours)
    with pytest.raises(NotInTime, match=r"does not answer 10\.0\.0\.5, 10\.0\.0\.6"):
        records.wait(change)
    assert clock.now() <= 30
