"""MyDNS's tables `soa` and `rr` (MyDNS manual, "Database"; the layouts of MyDNS 1.1.0 and 1.2.8).

- `soa.origin` ends with a dot; `rr.name` is relative to it, or ends with a dot; the origin itself is empty or in full.
- `rr.active` came with 1.2: a row that is not active is not answered, and an active one beside it is no duplicate.
- `rr.aux` of address records: 0 everywhere means all in turn; where one is not 0, low ones are answered first.
- "You can freely add columns": one of them may say whose a row is.
- MyDNS answers from its caches for a while (`zone-cache-expire`, `reply-cache-expire`), and reads no serial for itself.
"""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from spotwatch.core.errors import UsageError
from spotwatch.core.name_record import Registration, record_type
from spotwatch.dns.database import Row, Transaction
from spotwatch.dns.sql import AddressRow, Zone

_INACTIVE = frozenset({"n", "no", "0", "false", "d", "deleted", "inactive"})


class MyDns:
    """Implements `spotwatch.dns.sql.Tables`."""

    repeated = 30.0  # `reply-cache-expire`, whatever the TTL is (mydns.conf)

    def __init__(self, *, aux: int = 0, owner_column: str = "") -> None:
        """Nothing is asked yet.

        Args:
            aux: of new rows.
            owner_column: a text column of `rr` for the instance that a row belongs to; empty: there is none.

        Raises:
            UsageError: the column has no usable name.
        """
        if owner_column and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", owner_column):
            raise UsageError(f'"{owner_column}" is no name of a column', hint="write letters, digits and _ only")
        self._aux = aux
        self._owner = owner_column.lower()

    def has_marks(self) -> bool:
        """Only with a column for them."""
        return bool(self._owner)

    def zone(self, transaction: Transaction, candidates: Sequence[str]) -> Zone | None:
        """The zone with the longest of these names."""
        origins = [f"{name}." for name in candidates]
        places = ", ".join(["%s"] * len(origins))
        found = transaction.rows(f"SELECT id, origin FROM soa WHERE origin IN ({places})", *origins)  # noqa: S608 (places)
        zones = [Zone(int(row["id"]), _text(row["origin"]).rstrip(".").lower()) for row in found]
        return max(zones, key=lambda zone: len(zone.name), default=None)

    def lock(self, transaction: Transaction, zone: Zone) -> None:
        """By the row of its SOA."""
        transaction.rows("SELECT serial FROM soa WHERE id = %s", zone.id, lock=True)

    def rows(self, transaction: Transaction, zone: Zone, name: str, kind: str) -> Sequence[AddressRow]:
        """In either way of writing the name."""
        spelled = (_relative(name, zone), f"{name}.")
        found = transaction.rows(
            "SELECT * FROM rr WHERE zone = %s AND name IN (%s, %s) AND type = %s", zone.id, *spelled, kind
        )
        return [self._row(row, kind) for row in found if _is_address(row)]

    def _row(self, row: Row, kind: str) -> AddressRow:
        content = _text(row["data"])
        return AddressRow(
            id=int(row["id"]),
            kind=kind,
            content=content,
            address=str(ip_address(content)),
            ttl=int(row["ttl"]),
            owner=_text(row.get(self._owner) or "") if self._owner else "",
            active=_text(row.get("active", "Y")).lower() not in _INACTIVE,
        )

    def insert(self, transaction: Transaction, zone: Zone, registration: Registration, address: str) -> None:
        """One row, its name relative to the zone."""
        columns = ["zone", "name", "type", "data", "aux", "ttl", *([self._owner] if self._owner else [])]
        values: list[object] = [
            zone.id, _relative(registration.name, zone), record_type(address), address, self._aux, registration.ttl,
            *([registration.instance_id] if self._owner else []),
        ]  # fmt: skip
        places = ", ".join(["%s"] * len(columns))
        transaction.run(f"INSERT INTO rr ({', '.join(columns)}) VALUES ({places})", *values)  # noqa: S608 (our names)

    def mark(self, transaction: Transaction, zone: Zone, registration: Registration, row: AddressRow) -> None:
        """In the column for it."""
        transaction.run(
            f"UPDATE rr SET {self._owner} = %s WHERE id = %s AND zone = %s",  # noqa: S608 (a checked name)
            registration.instance_id, row.id, zone.id,
        )  # fmt: skip

    def delete(self, transaction: Transaction, zone: Zone, name: str, row: AddressRow) -> None:
        """By number and address."""
        del name
        transaction.run("DELETE FROM rr WHERE id = %s AND zone = %s AND data = %s", row.id, zone.id, row.content)

    def raise_serial(self, transaction: Transaction, zone: Zone) -> None:
        """Of the zone's row; after the highest number comes 1 (RFC 1982)."""
        transaction.run(
            "UPDATE soa SET serial = CASE WHEN serial >= 4294967295 THEN 1 ELSE serial + 1 END WHERE id = %s", zone.id
        )


def _relative(name: str, zone: Zone) -> str:
    return "" if name == zone.name else name.removesuffix(f".{zone.name}")


def _text(value: Any) -> str:
    """Some layouts keep names and data as bytes, and CHAR columns of PostgreSQL come padded."""
    return (value.decode(errors="replace") if isinstance(value, bytes | bytearray) else str(value)).strip()


def _is_address(row: Row) -> bool:
    try:
        ip_address(_text(row["data"]))
    except ValueError:
        return False
    return True
