"""A name server that is asked and told, by TCP: an answer is whole, and nobody has to guess what became of a datagram.

What this survives:

- Silence: every exchange has a limit of its own, a few seconds, and who waits for longer tries again.
- Foreign exceptions: whatever dnspython or the socket raises comes out as a `NameServiceError`.
- A server that refuses: the hint says whether the key, its name, its secret or the clock is wrong.
"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Self

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.ANY.TXT import TXT

from spotwatch.core.errors import (
    NameServerBusy,
    NameServerUnreachable,
    NameServiceDenied,
    NameServiceError,
    NameServiceRefused,
    UsageError,
)
from spotwatch.core.name_record import RECORD_TYPES, NameChange

EXCHANGE_SECONDS: Final = 3.0
"""For one question or update, connection included: one lost packet is sent again after one second."""

PORT: Final = 53

CLOCK_HINT: Final = "set the clocks of both machines, by NTP: a signature is good for five minutes"
KEY_HINT: Final = "compare name, algorithm and secret of the key on both sides"


@dataclass(frozen=True, slots=True)
class Server:
    """Where it listens.

    Attributes:
        host: its name or address.
        port: its port, for TCP.
    """

    host: str
    port: int = PORT

    @classmethod
    def parse(cls, text: str) -> Self:
        """`HOST`, `HOST:PORT`, `[IPv6]:PORT`.

        Raises:
            UsageError: it is none of these.
        """
        host, _, port = text.removeprefix("[").partition("]:") if text.startswith("[") else text.partition(":")
        if text.count(":") > 1 and not text.startswith("["):
            host, port = text, ""
        if not host or (port and not (port.isdecimal() and 0 < int(port) < 65536)):
            raise UsageError(f'"{text}" is no server', hint="write HOST, HOST:PORT or [ADDRESS]:PORT")
        return cls(host.removesuffix("]"), int(port or PORT))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def addresses(self, name: str) -> dict[str, int]:
        """The addresses under a name as it answers them now, each with its TTL.

        Raises:
            NameServiceError: as its subclasses say.
        """
        return {address: ttl for kind in RECORD_TYPES for address, ttl in self._addresses(name, kind)}

    def _addresses(self, name: str, kind: str) -> Iterator[tuple[str, int]]:
        answer = self.ask(name, kind)
        for found in answer.answer:
            if found.rdtype == dns.rdatatype.from_text(kind):
                yield from ((str(ip_address(rdata.to_text())), found.ttl) for rdata in found)

    def texts(self, name: str) -> tuple[str, ...]:
        """The TXT records under a name; empty if there are none."""
        found = [rdata for part in self.ask(name, "TXT").answer for rdata in part]
        return tuple(b"".join(rdata.strings).decode(errors="replace") for rdata in found if isinstance(rdata, TXT))

    def zone_of(self, name: str) -> str:
        """The zone that a name is in, as the server has it.

        Raises:
            NameServiceRefused: the server has none for it.
        """
        answer = self.ask(name, "SOA")
        for part in (*answer.answer, *answer.authority):
            if any(isinstance(rdata, SOA) for rdata in part):
                return part.name.to_text(omit_final_dot=True)
        raise NameServiceRefused(
            f"{self} has no zone for {name}", hint="correct --name, or ask a server that is authoritative for it"
        )

    def ask(self, name: str, kind: str) -> dns.message.Message:
        """Ask for records, as one asks an authoritative server; that there are none is an answer."""
        question = dns.message.make_query(dns.name.from_text(name), kind, flags=0)
        answer = self.exchange(question)
        if answer.rcode() == dns.rcode.REFUSED:
            raise NameServiceRefused(
                f"{self} refuses to answer questions for {name}",
                hint="correct --name, or ask a server that is authoritative for it and answers this machine",
            )
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise refusal(answer.rcode(), f"{self} was asked for {name}")
        return answer

    def exchange(self, message: dns.message.Message) -> dns.message.Message:
        """Send a message and return its answer, whatever it says.

        Raises:
            NameServiceError: there was none, or one that cannot be believed.
        """
        try:
            answer = dns.query.tcp(message, self._address(), timeout=EXCHANGE_SECONDS, port=self.port)
        except dns.tsig.PeerBadTime as error:
            raise NameServiceDenied(f"{self} refuses our signature: {error}", hint=CLOCK_HINT) from error
        except (dns.tsig.PeerError, dns.tsig.BadKey, dns.tsig.BadSignature, dns.message.UnknownTSIGKey) as error:
            raise NameServiceDenied(f"{self} refuses our signature: {_words(error)}", hint=KEY_HINT) from error
        except dns.tsig.BadTime as error:
            raise NameServiceDenied(f"{self}: {error}", hint=CLOCK_HINT) from error
        except (dns.exception.DNSException, OSError, EOFError) as error:
            if isinstance(error, dns.exception.FormError) and "TSIG" in str(error):
                raise self._unsigned() from error
            raise NameServerUnreachable(
                f"{self} gave no answer: {_words(error)}", hint="see whether it can be reached from here, by TCP"
            ) from error

        if message.keyring and not answer.had_tsig:  # older versions of dnspython leave this to their caller
            raise self._unsigned()
        return answer

    def _unsigned(self) -> NameServiceDenied:
        said = f"{self} answers without a signature, as servers do that refuse the key"
        return NameServiceDenied(said, hint=KEY_HINT)

    def _address(self) -> str:
        """The address to connect to; a name is looked up as this machine looks up names."""
        try:
            return str(ip_address(self.host))
        except ValueError:
            return str(socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0][4][0])


def _words(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


def refusal(code: dns.rcode.Rcode, what: str) -> NameServiceError:
    """What a response code means that is not the hoped-for one."""
    said = f"{what}: it says {dns.rcode.to_text(code)}"
    if code == dns.rcode.SERVFAIL:
        return NameServerBusy(said, hint="see the server's log")
    if code in (dns.rcode.REFUSED, dns.rcode.NOTAUTH):
        return NameServiceDenied(
            said,
            hint="allow it there for the key (BIND: update-policy, PowerDNS: TSIG-ALLOW-DNSUPDATE), or name the key",
        )
    return NameServiceRefused(said, hint="see the server's log")


def why_not_shown(server: Server, change: NameChange) -> str:
    """What of a change a server does not answer yet; empty if it answers as it should.

    Raises:
        NameServiceError: it cannot be asked.
    """
    now = server.addresses(change.name)
    still = [address for address in change.taken if address in now]
    lacking = [address for address in change.expected if address not in now]
    if still:
        return f"{server} still answers {', '.join(still)} for {change.name}"
    return f"{server} does not answer {', '.join(lacking)} for {change.name} yet" if lacking else ""
