"""Name services out of the words of `join-dns` and `leave-dns`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from spotwatch.cli.extras import install_hint, not_installed
from spotwatch.core.errors import NameServiceRefused
from spotwatch.hooks.name_places import CloudMapPlace, DynamicUpdatePlace, Place, Route53Place, SqlPlace
from spotwatch.hooks.services import NameService
from spotwatch.host.clock import Clock

if TYPE_CHECKING:
    from spotwatch.aws.session import Session

_Made = TypeVar("_Made")


def name_service(place: Place, clock: Clock, until: float, session: "Callable[[], Session]") -> NameService:
    """The name service at a place, patient until `until` (boot clock, seconds); only its own library is loaded.

    Raises:
        UsageError: what is named cannot be.
        NameServiceRefused: a library is not installed.
        SpotwatchError: a file cannot be read, or AWS is not configured.
    """
    match place:
        case Route53Place():
            return _route53(place, session())
        case CloudMapPlace():
            return _cloud_map(place, session())
        case DynamicUpdatePlace():
            return _installed(lambda: _dynamic_updates(place, clock, until))
        case SqlPlace():
            return _installed(lambda: _sql(place, clock, until))


def _route53(place: Route53Place, session: "Session") -> NameService:
    from spotwatch.aws.route53 import Policy, Route53

    return Route53(session.api("route53"), zone_id=place.zone_id, policy=Policy(place.policy))


def _cloud_map(place: CloudMapPlace, session: "Session") -> NameService:
    from spotwatch.aws.cloud_map import CloudMap

    return CloudMap(session.api("servicediscovery"), service_id=place.service_id, port=place.port)


def _dynamic_updates(place: DynamicUpdatePlace, clock: Clock, until: float) -> NameService:
    from spotwatch.dns.dynamic_update import DynamicUpdates
    from spotwatch.dns.server import Server
    from spotwatch.dns.tsig import read_key

    return DynamicUpdates(
        Server.parse(place.server),
        clock,
        until,
        key=None if place.key_file is None else read_key(place.key_file),
        zone=place.zone,
        checked=[Server.parse(text) for text in place.checked],
    )


def _sql(place: SqlPlace, clock: Clock, until: float) -> NameService:
    from spotwatch.dns.database import Database
    from spotwatch.dns.mydns import MyDns
    from spotwatch.dns.powerdns import PowerDns
    from spotwatch.dns.server import Server
    from spotwatch.dns.sql import SqlRecords

    database = Database.parse(place.url, password_file=place.password_file, ca=place.tls_ca)
    database.load_driver()
    tables = MyDns(aux=place.aux, owner_column=place.owner_column) if place.schema == "mydns" else PowerDns()
    checked = [Server.parse(text) for text in place.checked]
    return SqlRecords(database, tables, clock, until, zone=place.zone, checked=checked, repeated=place.repeated)


def _installed(make: Callable[[], _Made]) -> _Made:
    try:
        return make()
    except ModuleNotFoundError as error:
        raise NameServiceRefused(not_installed(error), hint=install_hint("dns")) from None
