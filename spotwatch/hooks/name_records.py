"""What `join-dns` and `leave-dns` share: their words, whose addresses they are about, and the wait for the effect."""

from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Final, TypeVar

from spotwatch.core.errors import AwsUnsettled, NotInTime, SpotwatchError
from spotwatch.core.name_record import NameChange, Registration, by_type
from spotwatch.core.quantity import format_duration
from spotwatch.hooks.name_places import CloudMapPlace, DynamicUpdatePlace, Place, Route53Place, SqlPlace
from spotwatch.hooks.own_instance import own_instance
from spotwatch.hooks.services import NameService, Services
from spotwatch.hooks.side_by_side import CUT, Answers, in_time, side_by_side
from spotwatch.hooks.time_left import TimeLeft
from spotwatch.hooks.volume_words import duration, positive_seconds

IAM_ACTIONS: Final[tuple[str, ...]] = (
    "route53:ListHostedZonesByName",
    "route53:ListResourceRecordSets",
    "route53:ChangeResourceRecordSets",
    "route53:GetChange",
    "servicediscovery:ListNamespaces",
    "servicediscovery:ListServices",
    "servicediscovery:GetService",
    "servicediscovery:ListInstances",
    "servicediscovery:GetOperation",
)
"""Of both hooks. Only those of the name service that is used are needed."""

DEFAULT_TTL: Final = 30.0
"""Seconds: at an interruption Route 53 may take a minute to be in sync, and caches should be done within the other."""

_KINDS: Final = {"A": "IPv4", "AAAA": "IPv6"}

_Answer = TypeVar("_Answer")


def add_arguments(parser: ArgumentParser, *, joining: bool) -> None:
    """Declare the words: the name service first, then its own."""
    places = parser.add_subparsers(dest="place", metavar="SERVICE", required=True, title="name services")
    _add_route53(_added(places, "route53", "AWS Route 53", _route53, joining=joining), joining=joining)
    _add_cloud_map(_added(places, "cloud-map", "AWS Cloud Map", _cloud_map, joining=joining), joining=joining)
    _add_update(
        _added(places, "update", "a server that takes dynamic updates: BIND, PowerDNS, Knot", _update, joining=joining)
    )
    _add_sql(_added(places, "sql", "the database of MyDNS or PowerDNS", _sql, joining=joining), joining=joining)


def _added(
    places: object, name: str, what: str, make: Callable[[Namespace], Place], *, joining: bool
) -> ArgumentParser:
    """One name service with the words that all have."""
    parser: ArgumentParser = places.add_parser(name, help=what, description=f"{what}.")  # type: ignore[attr-defined]
    parser.set_defaults(make_place=make)
    parser.add_argument("--dry-run", action="store_true", default=SUPPRESS, help="say what would be done, do nothing")
    parser.add_argument(
        "--name",
        dest="names",
        metavar="NAME",
        type=_name,
        action="append",
        required=True,
        help="such as app.example.internal; may be repeated",
    )
    parser.add_argument(
        "--address",
        dest="addresses",
        metavar="ADDRESS",
        type=_address,
        action="append",
        default=[],
        help="may be repeated (default: all addresses of the network interfaces of the instance)",
    )
    parser.add_argument(
        "--interface",
        dest="interfaces",
        metavar="NAME",
        action="append",
        default=[],
        help="take the addresses of this network interface; may be repeated (default: those with a device behind)",
    )
    if joining:
        parser.add_argument("--ipv6", action="store_true", help="register IPv6 addresses too (AAAA records)")
        if name != "cloud-map":
            parser.add_argument(
                "--ttl",
                metavar="TIME",
                type=positive_seconds,
                default=DEFAULT_TTL,
                help="how long others may remember an answer (default: 30s)",
            )
    else:
        parser.add_argument(
            "--wait-ttl",
            action="store_true",
            help="when the records are gone, wait until nobody can remember them any more, which takes their TTL",
        )
    return parser


def _add_route53(parser: ArgumentParser, *, joining: bool) -> None:
    parser.add_argument("--zone-id", metavar="ID", default="", help="the hosted zone (default: found by the name)")
    if joining:
        parser.add_argument(
            "--policy",
            choices=("simple", "weighted", "multivalue"),
            default="multivalue",
            help="multivalue (default): a record for each address, of which an answer has eight at most; weighted: a "
            "record for the instance; simple: one record for all instances",
        )
        parser.add_argument(
            "--weight-per-vcpu",
            metavar="N",
            type=_positive,
            default=1,
            help="of a weighted record (default: 1)",
        )


def _add_cloud_map(parser: ArgumentParser, *, joining: bool) -> None:
    parser.add_argument(
        "--service-id", metavar="ID", default="", help="such as srv-… (default: found by the name, SERVICE.NAMESPACE)"
    )
    if joining:
        parser.add_argument(
            "--port", type=_positive, help="where the application listens, for a service with SRV records"
        )


def _add_update(parser: ArgumentParser) -> None:
    parser.add_argument("--server", metavar="HOST[:PORT]", required=True, help="the primary name server of the zone")
    parser.add_argument("--zone", metavar="NAME", type=_name, help="(default: the server is asked)")
    parser.add_argument(
        "--key-file", metavar="FILE", type=Path, help="the TSIG key, as tsig-keygen writes it (default: no signature)"
    )
    _add_check_server(parser, "wait until this server shows the change too; may be repeated")


def _add_sql(parser: ArgumentParser, *, joining: bool) -> None:
    parser.add_argument(
        "--database",
        metavar="URL",
        required=True,
        help="mysql://USER@HOST/DATABASE, postgresql://USER@HOST/DATABASE or sqlite:///PATH",
    )
    parser.add_argument("--schema", choices=("mydns", "powerdns"), required=True, help="whose tables they are")
    parser.add_argument("--password-file", metavar="FILE", type=Path, help="its first line is the password")
    parser.add_argument(
        "--tls-ca",
        metavar="FILE",
        default="",
        help="speak TLS, and trust these authorities; system: those of this machine (default: no TLS is asked for)",
    )
    parser.add_argument("--zone", metavar="NAME", type=_name, help="(default: found by the name)")
    parser.add_argument(
        "--owner-column",
        metavar="NAME",
        default="",
        help="MyDNS: a column of rr for the id of the instance (default: none)",
    )
    if joining:
        parser.add_argument("--aux", metavar="N", type=int, default=0, help="MyDNS: aux of new records (default: 0)")
    else:
        parser.add_argument(
            "--answer-cache",
            dest="repeated",
            metavar="TIME",
            type=duration,
            help="how long the name server repeats an answer that it has given, which --wait-ttl waits for too: "
            "PowerDNS's cache-ttl, MyDNS's reply-cache-expire (default: theirs, 20s and 30s)",
        )
    _add_check_server(parser, "wait until this name server shows the change; may be repeated")


def _add_check_server(parser: ArgumentParser, help_text: str) -> None:
    parser.add_argument(
        "--check-server", dest="checked", metavar="HOST[:PORT]", action="append", default=[], help=help_text
    )


def _route53(arguments: Namespace) -> Place:
    return Route53Place(arguments.zone_id, getattr(arguments, "policy", "multivalue"))


def _cloud_map(arguments: Namespace) -> Place:
    return CloudMapPlace(arguments.service_id, getattr(arguments, "port", None))


def _update(arguments: Namespace) -> Place:
    return DynamicUpdatePlace(arguments.server, arguments.zone or "", arguments.key_file, tuple(arguments.checked))


def _sql(arguments: Namespace) -> Place:
    return SqlPlace(
        arguments.database,
        arguments.schema,
        arguments.password_file,
        arguments.tls_ca,
        arguments.zone or "",
        arguments.owner_column,
        getattr(arguments, "aux", 0),
        tuple(arguments.checked),
        getattr(arguments, "repeated", None),
    )


@dataclass(slots=True)
class Work:
    """One run of either hook.

    Attributes:
        until: when it should be done (boot clock, seconds).
        service: where the records are.
        errors: what went wrong, in the order of its happening.
        is_cut: whether the deadline has cut a wait.
    """

    services: Services
    until: float
    service: NameService
    errors: list[SpotwatchError] = field(default_factory=list)
    is_cut: bool = False

    @classmethod
    def begin(cls, arguments: Namespace, services: Services, region: str) -> "Work":
        """Know how long there is, and reach the name service.

        Raises:
            SpotwatchError: the words or the configuration of this machine do not allow it.
        """
        until = TimeLeft.of(services).until
        place: Place = arguments.make_place(arguments)
        service = in_time(
            lambda: services.name_service(place, region, until),
            until,
            services.clock,
            "the configuration of this machine",
        )
        return cls(services, until, service)

    def change(self, jobs: Mapping[str, Callable[[], NameChange]]) -> list[NameChange]:
        """Change several names at once; those that could be."""
        answers = side_by_side(jobs, self.until, self.services.clock)
        self._remark_on(answers)
        return [answers.found[name] for name in jobs if name in answers.found]

    def wait(self, changes: Sequence[NameChange]) -> set[str]:
        """Wait for the effect of all; the names whose change shows."""
        jobs = {change.name: partial(self.service.wait, change) for change in changes}
        answers = side_by_side(jobs, self.until, self.services.clock)
        self._remark_on(answers)
        return set(answers.found)

    def let_caches_expire(self, changes: Sequence[NameChange]) -> None:
        """Wait for the TTL of what was taken out, from now on, as far as the deadline allows."""
        seconds = max((change.ttl for change in changes if change.ttl is not None), default=0)
        left = max(0.0, self.until - self.services.clock.now())
        if seconds:
            print(f"waiting for at most {seconds} s, for which others may remember the records", flush=True)
        self.services.clock.sleep(min(float(seconds), left))
        if seconds > left:
            self._cut(f"others may remember the records for {format_duration(seconds - left)} more")
        elif seconds:
            print(f"nobody remembers the records any more, {seconds} s later", flush=True)

    @property
    def exit_code(self) -> int:
        """0, the code of the first error, or 75 if nothing but the time was missing."""
        if self.errors:
            return self.errors[0].exit_code
        return CUT if self.is_cut else 0

    def _remark_on(self, answers: Answers[str, _Answer]) -> None:
        for name, error in answers.failed.items():
            if isinstance(error, NotInTime | AwsUnsettled):
                self._cut(error.message, error.hint)
            else:
                self.errors.append(error)
                print(f"failed: {name}: {error.message}{f'; {error.hint}' if error.hint else ''}", flush=True)
        for name in sorted(answers.missing):
            self._cut(f"no answer yet for {name}", "see whether the name service can be reached from here")

    def _cut(self, what: str, hint: str = "") -> None:
        self.is_cut = True
        print(f"cut by the deadline: {what}{f'; {hint}' if hint else ''}", flush=True)


def own_addresses(arguments: Namespace, services: Services) -> tuple[str, ...]:
    """Those of the command line, else those of the network interfaces; each once, in their order.

    Raises:
        UsageError: a network interface is not there.
    """
    found = arguments.addresses or services.interface_addresses(tuple(arguments.interfaces))
    return tuple(dict.fromkeys(found))


def registrations(
    arguments: Namespace, services: Services, addresses: Sequence[str], weight: int
) -> list[Registration]:
    """One for each name.

    Raises:
        UsageError: nobody knows which instance this is.
    """
    instance = own_instance(services)
    ttl = max(1, round(getattr(arguments, "ttl", DEFAULT_TTL)))
    return [Registration(instance.id, name, tuple(addresses), ttl, weight) for name in dict.fromkeys(arguments.names)]


def listed(addresses: Sequence[str]) -> str:
    """Addresses for people: how many of which kind, and each of them."""
    kinds = by_type(addresses)
    counts = " and ".join(f"{len(found)} {_KINDS[kind]}" for kind, found in kinds.items())
    return f"{counts} address{'' if len(addresses) == 1 else 'es'} ({', '.join(addresses)})"


def _name(text: str) -> str:
    """A domain name, in lower case and without a dot at its end."""
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(0 < len(label) < 64 and label.isascii() and label.isprintable() for label in labels):
        raise ArgumentTypeError(f'"{text}" is no domain name; write it in full, such as app.example.internal')
    return name


def _address(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        raise ArgumentTypeError(f'"{text}" is no address') from None
    if address.is_unspecified or address.is_multicast or address == _BROADCAST:
        raise ArgumentTypeError(f"{text} is no address of an instance")
    return str(address)


_BROADCAST: Final = IPv4Address("255.255.255.255")


def _positive(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ArgumentTypeError(f'"{text}": write a whole number from 1 to 65535')
    return int(text)
