"""Records in the tables of a database that a name server answers from.

What this survives:

- Two instances at the same time: each works in a transaction that holds the zone's SOA, one after the other; and each
  row is deleted by its number and its address, so that even without transactions (MyISAM) none can hit another's.
- A crash, a lost answer: what was not committed did not happen, and done again it ends in the same state.
- A row that was made by hand, or before there was a mark: it is taken out only by who has its address.
- A name server that repeats whole answers, by the form of the question (UDP or TCP, with EDNS or without): to others it
  goes on answering what it does not answer to us any more. Nobody can see that from here, so it counts as remembered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Protocol

from spotwatch.core.errors import NameServiceRefused, NotInTime
from spotwatch.core.name_record import RECORD_TYPES, NameChange, Registration, parents
from spotwatch.dns.database import Database, Transaction
from spotwatch.dns.patience import Clock, patiently
from spotwatch.dns.server import Server, why_not_shown


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone as a table knows it.

    Attributes:
        id: its number.
        name: without a dot at its end.
    """

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class AddressRow:
    """One address record.

    Attributes:
        id: the number of its row.
        kind: `A` or `AAAA`.
        content: the address as it is written there.
        address: the same as `ipaddress` writes it.
        ttl: seconds, None if the row does not say.
        owner: the instance that it is marked as; empty if nobody is.
        active: whether the name server answers with it.
    """

    id: int
    kind: str
    content: str
    address: str
    ttl: int | None
    owner: str
    active: bool


class Tables(Protocol):
    """How a name server keeps zones and records."""

    def zone(self, transaction: Transaction, candidates: Sequence[str]) -> Zone | None:
        """The zone with the longest of these names."""
        ...

    def lock(self, transaction: Transaction, zone: Zone) -> None:
        """Wait until nobody else works on the zone, and keep others from it."""
        ...

    def rows(self, transaction: Transaction, zone: Zone, name: str, kind: str) -> Sequence[AddressRow]:
        """The address records of one type under a name."""
        ...

    def insert(self, transaction: Transaction, zone: Zone, registration: Registration, address: str) -> None:
        """Add a record, with its mark."""
        ...

    def mark(self, transaction: Transaction, zone: Zone, registration: Registration, row: AddressRow) -> None:
        """Mark a record as the instance's."""
        ...

    def delete(self, transaction: Transaction, zone: Zone, name: str, row: AddressRow) -> None:
        """Delete a record, with its mark."""
        ...

    def raise_serial(self, transaction: Transaction, zone: Zone) -> None:
        """Let secondaries see that the zone has changed."""
        ...

    def has_marks(self) -> bool:
        """Whether the tables have a place for marks."""
        ...

    @property
    def repeated(self) -> float:
        """Seconds for which the name server repeats an answer that it has given, unless it is configured otherwise."""
        ...


@dataclass(slots=True)
class _Plan:
    insert: list[str]
    mark: list[AddressRow]
    delete: list[AddressRow]

    @property
    def changes_answers(self) -> bool:
        return bool(self.insert or self.delete)


class SqlRecords:
    """Implements `spotwatch.hooks.services.NameService`."""

    def __init__(
        self,
        database: Database,
        tables: Tables,
        clock: Clock,
        until: float,
        *,
        zone: str = "",
        checked: Sequence[Server] = (),
        repeated: float | None = None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            database: where the tables are.
            tables: how records are kept in it.
            clock: measures the time and passes it.
            until: when the last attempt may begin, in seconds on `clock`.
            zone: empty: the one with the longest name that fits.
            checked: name servers that have to show a change before it counts as done.
            repeated: seconds for which they repeat an answer that they have given; None: as `tables` says.
        """
        self._database = database
        self._tables = tables
        self._clock = clock
        self._until = until
        self._zone = zone
        self._checked = checked
        self._repeated = tables.repeated if repeated is None else repeated

    def join(self, registration: Registration, *, dry_run: bool = False) -> NameChange:
        """Put the addresses under the name, each with its mark; an address of another instance's becomes ours.

        Raises:
            NameServiceError: as its subclasses say.
        """
        plan, _ = self._patiently(registration, self._joining, dry_run=dry_run)
        return NameChange(registration.name, put=tuple(plan.insert), expected=registration.addresses)

    def leave(self, registration: Registration, *, dry_run: bool = False) -> NameChange:
        """Take out what is marked as the instance's, and what is at its addresses without a mark.

        Raises:
            NameServiceError: as its subclasses say.
        """
        plan, rows = self._patiently(registration, self._leaving, dry_run=dry_run)
        return NameChange(
            registration.name,
            taken=tuple(dict.fromkeys(row.address for row in plan.delete)),
            ttl=self._remembered(plan),
            remarks=tuple(
                f"{row.address} is left alone: it is marked as {row.owner}'s"
                for row in rows
                if row not in plan.delete and row.address in registration.addresses
            ),
        )

    def _remembered(self, plan: _Plan) -> int | None:
        """An answer may be repeated to the last of its seconds, and then be remembered for its TTL."""
        ttls = [row.ttl for row in plan.delete if row.ttl is not None]
        return max(ttls) + ceil(self._repeated) if ttls else None

    def wait(self, change: NameChange) -> None:
        """Until every server that is to be looked at answers as the change wants it.

        Raises:
            NotInTime: one does not yet.
            NameServiceError: one cannot be asked.
        """

        def look() -> None:
            for server in self._checked:
                if said := why_not_shown(server, change):
                    raise NotInTime(
                        said, hint="see how long the server remembers what it has read (its cache settings)"
                    )

        patiently(look, self._until, self._clock)

    def _patiently(
        self, registration: Registration, planned: "_Planner", *, dry_run: bool
    ) -> tuple[_Plan, Sequence[AddressRow]]:
        return patiently(lambda: self._once(registration, planned, dry_run=dry_run), self._until, self._clock)

    def _once(
        self, registration: Registration, planned: "_Planner", *, dry_run: bool
    ) -> tuple[_Plan, Sequence[AddressRow]]:
        with self._database.transaction() as transaction:
            zone = self._zone_for(transaction, registration.name)
        with self._database.transaction() as transaction:  # begun anew, so that it sees what others did before the lock
            if not dry_run:
                self._tables.lock(transaction, zone)
            rows = [
                row for kind in RECORD_TYPES for row in self._tables.rows(transaction, zone, registration.name, kind)
            ]
            plan = planned(registration, rows)
            if not dry_run:
                self._carry_out(transaction, zone, registration, plan)
        return plan, rows

    def _zone_for(self, transaction: Transaction, name: str) -> Zone:
        zone = self._tables.zone(transaction, [self._zone] if self._zone else parents(name))
        if zone is None:
            raise NameServiceRefused(
                f"{self._database} has no zone {self._zone or f'for {name}'}", hint="correct --name or --zone"
            )
        return zone

    def _carry_out(self, transaction: Transaction, zone: Zone, registration: Registration, plan: _Plan) -> None:
        """New records first, so that a server that looks in between has more to answer with, not less."""
        for address in plan.insert:
            self._tables.insert(transaction, zone, registration, address)
        for row in plan.mark:
            self._tables.mark(transaction, zone, registration, row)
        for row in plan.delete:
            self._tables.delete(transaction, zone, registration.name, row)
        if plan.changes_answers:
            self._tables.raise_serial(transaction, zone)

    def _joining(self, registration: Registration, rows: Sequence[AddressRow]) -> _Plan:
        there = {row.address: row for row in rows if row.active}
        ours = registration.instance_id
        wanted = registration.addresses
        return _Plan(
            insert=[address for address in wanted if address not in there],
            mark=[
                there[one] for one in wanted if one in there and self._tables.has_marks() and there[one].owner != ours
            ],
            delete=[row for row in rows if row.owner == ours and row.address not in wanted],
        )

    def _leaving(self, registration: Registration, rows: Sequence[AddressRow]) -> _Plan:
        def is_ours(row: AddressRow) -> bool:
            return row.owner == registration.instance_id or (not row.owner and row.address in registration.addresses)

        return _Plan(insert=[], mark=[], delete=[row for row in rows if is_ours(row)])


class _Planner(Protocol):
    def __call__(self, registration: Registration, rows: Sequence[AddressRow], /) -> _Plan: ...
