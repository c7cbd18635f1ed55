"""Messages as systemd would receive them, and silence where it would not."""

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotwatch.host.service_manager import ServiceManager, environment_for_children


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """The receiving end, and what NOTIFY_SOCKET says about it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        if request.param == "path":
            receiver.bind(str(tmp_path / "notify"))
            yield receiver, str(tmp_path / "notify")
        else:
            receiver.bind(f"\0{tmp_path}")
            yield receiver, f"@{tmp_path}"


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("ready", ["watching"], r"READY=1\nSTATUS=watching"),
        ("status", ["one\ntwo"], r"STATUS=one two"),
        ("watchdog", [], r"WATCHDOG=1"),
        ("reloading", [], r"RELOADING=1\nMONOTONIC_USEC=\d+"),
        ("stopping", ["leaving"], r"STOPPING=1\nSTATUS=leaving"),
        ("extend_timeout", [1.5], r"EXTEND_TIMEOUT_USEC=1500000"),
    ],
)
def test_each_notification_is_one_datagram(
    systemd: tuple[socket.socket, str], method: str, arguments: list[object], message: str
) -> None:
    receiver, address = systemd
    getattr(ServiceManager({"NOTIFY_SOCKET": address}), method)(*arguments)
    assert re.fullmatch(message, receiver.recv(4096).decode())


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "/no/such/socket", "/" + "x" * 200, "@" + "x" * 200])
def test_without_a_socket_that_answers_nothing_happens(address: str | None) -> None:
    ServiceManager({} if address is None else {"NOTIFY_SOCKET": address}).ready("watching")


def test_a_full_socket_blocks_nobody(systemd: tuple[socket.socket, str]) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": systemd[1]})
    for _ in range(2_000):
        manager.watchdog()


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_wants_a_sign_of_life_in_half_its_time(environ: dict[str, str], interval: float | None) -> None:
    assert ServiceManager(environ).watchdog_interval == interval


def test_children_cannot_speak_for_us() -> None:
    ours = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "LISTEN_FDS": "1", "LISTEN_PID": "1"}
    assert environment_for_children({**ours, "PATH": "/bin", "LISTEN_ADDRESS": "::"}) == {
        "PATH": "/bin",
        "LISTEN_ADDRESS": "::",
    }
