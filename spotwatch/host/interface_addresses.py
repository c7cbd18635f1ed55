"""The addresses that the network interfaces of this machine have, secondary ones among them, as the kernel says.

Asked over rtnetlink (rtnetlink(7), netlink(7)) with the standard library: no library is worth it for one question.
"""

import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from spotwatch.core.errors import UsageError

_HEADER: Final = struct.Struct("=IHHII")
"""`struct nlmsghdr`: length, type, flags, number, port."""

_ADDRESS: Final = struct.Struct("=BBBBI")
"""`struct ifaddrmsg`: family, prefix length, flags, scope, interface."""

_ATTRIBUTE: Final = struct.Struct("=HH")
"""`struct rtattr`: length, type."""

_GET_ADDRESSES: Final = 22
_NEW_ADDRESS: Final = 20
_DONE: Final = 3
_REQUEST_ALL: Final = 0x301
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_IFA_FLAGS: Final = 8
_GLOBAL_SCOPE: Final = 0

_UNUSABLE: Final = 0x08 | 0x20 | 0x40
"""Duplicate, deprecated, tentative (`IFA_F_DADFAILED`, `IFA_F_DEPRECATED`, `IFA_F_TENTATIVE`)."""

_TEMPORARY_IPV6: Final = 0x01
"""For IPv6 `IFA_F_TEMPORARY`: a privacy address, gone tomorrow. For IPv4 the same bit says secondary."""

DEVICES: Final = Path("/sys/class/net")


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """One address, and the name of the network interface that has it."""

    interface: str
    address: str


def interface_addresses(names: Sequence[str] = (), *, devices: Path = DEVICES) -> tuple[str, ...]:
    """The addresses of global scope, those of one interface after the other, its primary address first.

    Args:
        names: of the interfaces; none: those with a device behind, which leaves out loopback and what containers have.
        devices: where the kernel shows network interfaces.

    Raises:
        UsageError: there is no interface of a name.
    """
    for name in names:
        if not (devices / name).exists():
            raise UsageError(f"there is no network interface {name}", hint="see 'ip address'")
    return tuple(
        found.address
        for found in all_addresses()
        if (found.interface in names if names else (devices / found.interface / "device").exists())
    )


def all_addresses() -> list[InterfaceAddress]:
    """Of all interfaces, of global scope and fit for use."""
    return [found for message in _messages() if (found := _address(message)) is not None]


def _messages() -> Iterator[bytes]:
    """The kernel's answers, without their headers."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        request = _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        kernel.send(_HEADER.pack(_HEADER.size + len(request), _GET_ADDRESSES, _REQUEST_ALL, 1, 0) + request)
        while True:
            data = kernel.recv(1 << 16)
            while data:
                length, kind, *_ = _HEADER.unpack_from(data)
                if kind == _DONE:
                    return
                if kind == _NEW_ADDRESS:
                    yield data[_HEADER.size : length]
                data = data[_aligned(length) :]


def _address(message: bytes) -> InterfaceAddress | None:
    family, _, flags, scope, index = _ADDRESS.unpack_from(message)
    attributes = dict(_attributes(message[_ADDRESS.size :]))
    if _IFA_FLAGS in attributes:
        flags = int.from_bytes(attributes[_IFA_FLAGS], sys.byteorder)
    unusable = _UNUSABLE | (_TEMPORARY_IPV6 if family == socket.AF_INET6 else 0)
    packed = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
    if scope != _GLOBAL_SCOPE or flags & unusable or packed is None:
        return None
    try:
        return InterfaceAddress(socket.if_indextoname(index), str(ip_address(packed)))
    except OSError:  # the interface has gone since
        return None


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        yield kind, data[_ATTRIBUTE.size : length]
        data = data[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3
