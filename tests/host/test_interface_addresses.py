"""The addresses that the kernel says this machine has; in a network namespace with interfaces of our own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotwatch.core.errors import UsageError
from spotwatch.host.interface_addresses import all_addresses, interface_addresses

SCRIPT = """
import json, sys
from spotwatch.host.interface_addresses import interface_addresses
print(json.dumps(interface_addresses(sys.argv[1:])))
"""


@pytest.fixture
def namespace() -> Iterator[str]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and iproute2")
    name = f"spotwatch-addresses-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for words in (
            "link set lo up", "link add one type veth peer name far", "link set one up", "link set far up",
            "link add two type veth peer name away", "addr add 10.0.0.5/24 dev one", "addr add 10.0.0.6/24 dev one",
            "addr add 10.9.0.1/24 dev two", "addr add fd00::5/64 dev one nodad",
            "addr add fd00::6/64 dev one nodad preferred_lft 0",
        ):  # fmt: skip
            subprocess.run(["ip", "-n", name, *words.split()], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def seen(namespace: str, *names: str) -> list[str]:
    words = ["ip", "netns", "exec", namespace, sys.executable, "-c", SCRIPT, *names]
    found: list[str] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return found


@pytest.mark.root
def test_secondary_addresses_are_among_them_and_those_that_are_deprecated_are_not(namespace: str) -> None:
    assert seen(namespace, "one") == ["10.0.0.5", "10.0.0.6", "fd00::5"]


@pytest.mark.root
def test_interfaces_without_a_device_are_left_out_unless_they_are_named(namespace: str) -> None:
    assert seen(namespace) == []
    assert seen(namespace, "two", "one") == ["10.0.0.5", "10.0.0.6", "10.9.0.1", "fd00::5"]


def test_loopback_has_no_address_that_others_could_use() -> None:
    assert not [found for found in all_addresses() if found.interface == "lo" and found.address.startswith("127.")]


def test_an_interface_that_is_not_there_is_a_mistake_of_the_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no network interface eth7"):
        interface_addresses(["eth7"], devices=tmp_path)
