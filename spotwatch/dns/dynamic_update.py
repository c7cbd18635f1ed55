"""Records by dynamic updates (RFC 2136), signed with TSIG (RFC 8945): BIND, PowerDNS, Knot, Microsoft's server.

Whose a record is stands beside it in the zone, as TXT records below the name:

    app.example.internal.                                  A    10.0.0.5
    10-0-0-5._spotwatch.app.example.internal.              TXT  "i-0123456789abcdef0"     the mark of the address
    i-0123456789abcdef0._spotwatch.app.example.internal.   TXT  "10.0.0.5"                the list of the instance

Address, mark and list are changed in one update, which the server carries out whole or not at all.

What this survives:

- An instance that leaves an address which another one has by now: the removal has the prerequisite that the mark names
  the instance, and the server looks at it and removes in one step.
- An instance that has lost an address since it joined: its list still says so.
- A record that was made by hand: without a mark it is removed only by who has the address.
- A crash, a lost answer, an update that arrives twice: done again, all of them end in the same state.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

import dns.rcode
import dns.tsig
import dns.update

from spotwatch.core.errors import NotInTime
from spotwatch.core.name_record import NameChange, Registration, record_type
from spotwatch.dns.patience import Clock, patiently
from spotwatch.dns.server import Server, refusal, why_not_shown

BELOW: Final = "_spotwatch"
"""The label that keeps marks and lists apart from names that people use; host names have no underscore."""

LIST_TTL: Final = 0
"""Seconds; marks and lists are read from the authoritative server only, and nobody should remember them."""

_UNMET: Final = (dns.rcode.NXRRSET, dns.rcode.YXRRSET, dns.rcode.NXDOMAIN, dns.rcode.YXDOMAIN)
"""How a server says that a prerequisite does not hold."""


class DynamicUpdates:
    """Implements `spotwatch.hooks.services.NameService`."""

    def __init__(
        self,
        server: Server,
        clock: Clock,
        until: float,
        *,
        key: dns.tsig.Key | None = None,
        zone: str = "",
        checked: Sequence[Server] = (),
    ) -> None:
        """Nothing is asked yet.

        Args:
            server: the primary of the zone, or a secondary that forwards updates.
            clock: measures the time and passes it.
            until: when the last attempt may begin, in seconds on `clock`.
            key: None: updates are not signed.
            zone: empty: the server is asked.
            checked: further servers that have to show a change before it counts as done.
        """
        self._server = server
        self._clock = clock
        self._until = until
        self._key = key
        self._zone = zone
        self._checked = (server, *checked)

    def join(self, registration: Registration, *, dry_run: bool = False) -> NameChange:
        """Put the addresses under the name, each with its mark; an address of another instance's becomes ours.

        Raises:
            NameServiceError: as its subclasses say.
        """
        return patiently(lambda: self._join(registration, dry_run=dry_run), self._until, self._clock)

    def leave(self, registration: Registration, *, dry_run: bool = False) -> NameChange:
        """Take out what is marked as the instance's, and what is at its addresses without a mark.

        Raises:
            NameServiceError: as its subclasses say.
        """
        return patiently(lambda: self._leave(registration, dry_run=dry_run), self._until, self._clock)

    def wait(self, change: NameChange) -> None:
        """Until every server that is to be looked at answers as the change wants it.

        Raises:
            NotInTime: one does not yet.
            NameServiceError: one cannot be asked.
        """

        def look() -> None:
            for server in self._checked:
                if said := why_not_shown(server, change):
                    raise NotInTime(said, hint="see whether the change is transferred to this server")

        patiently(look, self._until, self._clock)

    def _join(self, registration: Registration, *, dry_run: bool) -> NameChange:
        zone = self._zone or self._server.zone_of(registration.name)
        now = self._server.addresses(registration.name)
        if not dry_run:
            update = self._update(zone)
            for address in registration.addresses:
                _put(update, registration, address)
            self._send(update, registration.name)
        return NameChange(
            registration.name,
            put=tuple(address for address in registration.addresses if address not in now),
            expected=registration.addresses,
        )

    def _leave(self, registration: Registration, *, dry_run: bool) -> NameChange:
        zone = self._zone or self._server.zone_of(registration.name)
        now = self._server.addresses(registration.name)
        listed = self._server.texts(_list_name(registration))
        taken: list[str] = []
        remarks: list[str] = []
        for address in dict.fromkeys((*registration.addresses, *sorted(_addresses(listed)))):
            whose = self._server.texts(mark_name(registration.name, address))
            if whose == (registration.instance_id,) or (not whose and address in registration.addresses):
                if dry_run or self._take(zone, registration, address, marked=bool(whose)):
                    taken += [address] if address in now else []
                    continue
                whose = self._server.texts(mark_name(registration.name, address))
            if address in now and whose:
                remarks.append(f"{address} is left alone: it is marked as {', '.join(whose)}'s")
        self._forget_list(zone, registration, dry_run=dry_run or not listed)
        return NameChange(
            registration.name,
            taken=tuple(taken),
            ttl=max((now[address] for address in taken), default=None),
            remarks=tuple(remarks),
        )

    def _take(self, zone: str, registration: Registration, address: str, *, marked: bool) -> bool:
        """Take one address out, if its mark is still as it was; whether it was."""
        update = self._update(zone)
        mark = mark_name(registration.name, address)
        if marked:
            update.present(_absolute(mark), "TXT", _quoted(registration.instance_id))
            update.delete(_absolute(mark), "TXT")
        else:
            update.absent(_absolute(mark), "TXT")
        update.delete(_absolute(registration.name), record_type(address), address)
        return self._send(update, registration.name)

    def _forget_list(self, zone: str, registration: Registration, *, dry_run: bool) -> None:
        """Last of all: until then it says what is left to do after a crash."""
        if dry_run:
            return
        update = self._update(zone)
        update.delete(_absolute(_list_name(registration)), "TXT")
        self._send(update, registration.name)

    def _update(self, zone: str) -> dns.update.UpdateMessage:
        return dns.update.UpdateMessage(_absolute(zone), keyring=self._key)

    def _send(self, update: dns.update.UpdateMessage, name: str) -> bool:
        """Whether it was carried out; False if a prerequisite does not hold."""
        code = self._server.exchange(update).rcode()
        if code in _UNMET:
            return False
        if code != dns.rcode.NOERROR:
            raise refusal(code, f"{self._server} was to change {name}{'' if self._key else ' without a signature'}")
        return True


def mark_name(name: str, address: str) -> str:
    """Where the mark of an address is; the long form of IPv6, whose labels begin with no hyphen."""
    label = ip_address(address).exploded.replace(".", "-").replace(":", "-")
    return f"{label}.{BELOW}.{name}"


def _list_name(registration: Registration) -> str:
    return f"{registration.instance_id}.{BELOW}.{registration.name}"


def _addresses(texts: Sequence[str]) -> list[str]:
    """What of the list of an instance is an address; others can write into the zone too."""
    found = []
    for text in texts:
        try:
            found.append(str(ip_address(text)))
        except ValueError:
            continue
    return found


def _put(update: dns.update.UpdateMessage, registration: Registration, address: str) -> None:
    mark = _absolute(mark_name(registration.name, address))
    update.add(_absolute(registration.name), registration.ttl, record_type(address), address)
    update.replace(mark, LIST_TTL, "TXT", _quoted(registration.instance_id))
    update.add(_absolute(_list_name(registration)), LIST_TTL, "TXT", _quoted(address))


def _absolute(name: str) -> str:
    return f"{name}."


def _quoted(text: str) -> str:
    return f'"{text}"'
