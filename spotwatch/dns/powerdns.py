"""PowerDNS's tables `domains`, `records` and `comments` (PowerDNS documentation, "Generic SQL backends").

Names are lower case without a dot at their end. Whose a record is stands in a comment of its name and type, which
PowerDNS keeps and does not serve. A primary tells its secondaries when it sees a higher serial than the one that it
told them last, which it looks for every `xfr-cycle-interval`; a serial of 0 is one that PowerDNS makes itself.
"""

import time
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from spotwatch.core.errors import NameServiceRefused
from spotwatch.core.name_record import Registration, record_type
from spotwatch.dns.database import Row, Transaction
from spotwatch.dns.sql import AddressRow, Zone

ACCOUNT: Final = "spotwatch"
"""Whose comments are marks."""

_SERIAL: Final = 2
"""The place of the serial in an SOA: primary, mailbox, serial, refresh, retry, expire, minimum."""


class PowerDns:
    """Implements `spotwatch.dns.sql.Tables`."""

    repeated = 20.0  # `cache-ttl` (PowerDNS documentation, "Performance and Tuning")

    def has_marks(self) -> bool:
        """Comments."""
        return True

    def zone(self, transaction: Transaction, candidates: Sequence[str]) -> Zone | None:
        """The zone with the longest of these names."""
        places = ", ".join(["%s"] * len(candidates))
        found = transaction.rows(f"SELECT id, name FROM domains WHERE name IN ({places})", *candidates)  # noqa: S608 (places)
        zones = [Zone(int(row["id"]), str(row["name"]).lower()) for row in found]
        return max(zones, key=lambda zone: len(zone.name), default=None)

    def lock(self, transaction: Transaction, zone: Zone) -> None:
        """By the record of its SOA."""
        self._soa(transaction, zone)

    def _soa(self, transaction: Transaction, zone: Zone) -> Row:
        found = transaction.rows(
            "SELECT id, content FROM records WHERE domain_id = %s AND type = %s AND name = %s",
            zone.id, "SOA", zone.name, lock=True,
        )  # fmt: skip
        if not found:
            raise NameServiceRefused(f"the zone {zone.name} has no SOA record", hint="see 'pdnsutil check-zone'")
        return found[0]

    def rows(self, transaction: Transaction, zone: Zone, name: str, kind: str) -> Sequence[AddressRow]:
        """With the marks out of the comments."""
        owners = self._owners(transaction, zone, name, kind)
        found = transaction.rows(
            "SELECT id, content, ttl, disabled FROM records WHERE domain_id = %s AND name = %s AND type = %s",
            zone.id, name, kind,
        )  # fmt: skip
        return [_row(row, kind, owners) for row in found]

    def _owners(self, transaction: Transaction, zone: Zone, name: str, kind: str) -> dict[str, str]:
        """The instance by address."""
        found = transaction.rows(
            "SELECT comment FROM comments WHERE domain_id = %s AND name = %s AND type = %s AND account = %s "
            "ORDER BY id",
            zone.id, name, kind, ACCOUNT,
        )  # fmt: skip
        marks = (str(row["comment"]).partition(" ") for row in found)
        return {address: instance for instance, _, address in marks}

    def insert(self, transaction: Transaction, zone: Zone, registration: Registration, address: str) -> None:
        """Not disabled, and authoritative as DNSSEC means it."""
        kind = record_type(address)
        transaction.run(
            "INSERT INTO records (domain_id, name, type, content, ttl, prio, disabled, ordername, auth) "
            "VALUES (%s, %s, %s, %s, %s, 0, %s, %s, %s)",
            zone.id, registration.name, kind, address, registration.ttl, False,
            self._ordername(transaction, zone, registration.name), True,
        )  # fmt: skip
        self._write_mark(transaction, zone, registration, address)

    def _ordername(self, transaction: Transaction, zone: Zone, name: str) -> object:
        """What DNSSEC orders by, out of another record of the name; in an unsigned zone nothing is needed."""
        found = transaction.rows(
            "SELECT ordername FROM records WHERE domain_id = %s AND name = %s AND ordername IS NOT NULL", zone.id, name
        )
        return found[0]["ordername"] if found else None

    def mark(self, transaction: Transaction, zone: Zone, registration: Registration, row: AddressRow) -> None:
        """In place of any other mark of the address."""
        self._write_mark(transaction, zone, registration, row.address)

    def _write_mark(self, transaction: Transaction, zone: Zone, registration: Registration, address: str) -> None:
        kind = record_type(address)
        self._erase_mark(transaction, zone, registration.name, kind, address)
        transaction.run(
            "INSERT INTO comments (domain_id, name, type, modified_at, account, comment) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            zone.id, registration.name, kind, int(time.time()), ACCOUNT, f"{registration.instance_id} {address}",
        )  # fmt: skip

    def _erase_mark(self, transaction: Transaction, zone: Zone, name: str, kind: str, address: str) -> None:
        transaction.run(
            "DELETE FROM comments WHERE domain_id = %s AND name = %s AND type = %s AND account = %s "
            "AND comment LIKE %s",
            zone.id, name, kind, ACCOUNT, f"% {address}",
        )  # fmt: skip

    def delete(self, transaction: Transaction, zone: Zone, name: str, row: AddressRow) -> None:
        """By number and content."""
        transaction.run("DELETE FROM records WHERE id = %s AND content = %s", row.id, row.content)
        self._erase_mark(transaction, zone, name, row.kind, row.address)

    def raise_serial(self, transaction: Transaction, zone: Zone) -> None:
        """In the content of the SOA; after the highest number comes 1 (RFC 1982)."""
        soa = self._soa(transaction, zone)
        fields = str(soa["content"]).split()
        if len(fields) <= _SERIAL or fields[_SERIAL] == "0":
            return
        fields[_SERIAL] = str(int(fields[_SERIAL]) % 0xFFFFFFFF + 1)
        transaction.run("UPDATE records SET content = %s WHERE id = %s", " ".join(fields), soa["id"])


def _row(row: Row, kind: str, owners: dict[str, str]) -> AddressRow:
    address = str(ip_address(str(row["content"]).strip()))
    return AddressRow(
        id=int(row["id"]),
        kind=kind,
        content=str(row["content"]),
        address=address,
        ttl=None if row["ttl"] is None else int(row["ttl"]),
        owner=owners.get(address, ""),
        active=not row["disabled"],
    )
