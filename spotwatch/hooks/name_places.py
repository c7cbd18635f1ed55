"""Where records can be, in the words of the command line; the command line makes the name services out of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Route53Place:
    """AWS Route 53.

    Attributes:
        zone_id: the hosted zone; empty: found by the name.
        policy: what records are made: simple, weighted, multivalue.
    """

    zone_id: str
    policy: str


@dataclass(frozen=True, slots=True)
class CloudMapPlace:
    """AWS Cloud Map.

    Attributes:
        service_id: the service; empty: found by the name.
        port: where the application listens.
    """

    service_id: str
    port: int | None


@dataclass(frozen=True, slots=True)
class DynamicUpdatePlace:
    """A name server that takes dynamic updates.

    Attributes:
        server: `HOST[:PORT]`.
        zone: empty: the server is asked.
        key_file: with the TSIG key; None: no signature.
        checked: further servers that have to show a change.
    """

    server: str
    zone: str
    key_file: Path | None
    checked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SqlPlace:
    """The database of a name server.

    Attributes:
        url: which, and where.
        schema: `mydns` or `powerdns`.
        password_file: its first line is the password.
        tls_ca: the certificate authorities; empty: no TLS is asked for.
        zone: empty: found by the name.
        owner_column: of MyDNS's `rr`; empty: none.
        aux: of MyDNS's new records.
        checked: the name servers that have to show a change.
        repeated: seconds for which they repeat an answer that they have given; None: as they do by default.
    """

    url: str
    schema: str
    password_file: Path | None
    tls_ca: str
    zone: str
    owner_column: str
    aux: int
    checked: tuple[str, ...]
    repeated: float | None


Place: TypeAlias = Route53Place | CloudMapPlace | DynamicUpdatePlace | SqlPlace
