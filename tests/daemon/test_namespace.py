"""The daemon at the real address, http://169.254.169.254, in a network namespace of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT
from uuid import uuid4

import pytest

from tests.daemon.process import QUICK, DaemonProcess, hook, statuses

ADDRESS = "169.254.169.254"
TELL = hook("tell", 'echo "$SPOTWATCH_EVENT $SPOTWATCH_INSTANCE_ID"; echo "$SPOTWATCH_SECONDS_LEFT"')

pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network namespace"),
    pytest.mark.skipif(shutil.which("ip") is None, reason="needs iproute2"),
]


class Namespace:
    """A network namespace with nothing but the metadata service's address.

    Attributes:
        under: what executes a command in it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.under = ("ip", "netns", "exec", name)

    def filter(self, rule: str) -> None:
        """Let this rule of nftables, and no other, decide on what arrives."""
        chain = f"chain test {{ type filter hook input priority 0; {rule}; }}"
        self._nft(f"flush ruleset\ntable inet test {{ {chain}; }}\n")

    def let_everything_pass(self) -> None:
        """Have no rule."""
        self._nft("flush ruleset\n")

    def _nft(self, commands: str) -> None:
        subprocess.run([*self.under, "nft", "-f", "-"], input=commands, text=True, check=True)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    name = f"spotwatch-{uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        subprocess.run(["ip", "-n", name, "addr", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
        yield Namespace(name)
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@contextmanager
def service(namespace: Namespace, step: str) -> Iterator[None]:
    """The fake metadata service at the real address, playing one step."""
    words = ["simulate", "--serve", "--host", ADDRESS, "--port", "80", "--at", step]
    command = [*namespace.under, sys.executable, "-m", "spotwatch", *words]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert f"http://{ADDRESS}:80" in process.stdout.readline()
            yield
        finally:
            process.send_signal(SIGINT)
            assert process.wait(timeout=5) == 0


def test_with_default_settings_a_notice_at_the_real_address_is_drained(tmp_path: Path, namespace: Namespace) -> None:
    with (
        service(namespace, "1s terminate 120s"),
        DaemonProcess(tmp_path, TELL, options=(), under=namespace.under) as daemon,
    ):
        report = daemon.report("terminate")
        assert daemon.records("metadata-failure") == []
    assert (report.verdict, statuses(report)) == ("drained", {"tell": "succeeded"})
    assert 115 < report.seconds_left <= 120
    told, seconds_left = Path(report.hooks[0].output or "").read_text().splitlines()
    assert told == "terminate i-0123456789abcdef0"
    assert float(seconds_left) == pytest.approx(report.seconds_left, abs=0.3)


def test_proxies_in_the_environment_are_not_asked(tmp_path: Path, namespace: Namespace) -> None:
    under = (*namespace.under, "env", "http_proxy=http://127.0.0.1:9", "all_proxy=http://127.0.0.1:9")
    with service(namespace, "0s terminate 120s"), DaemonProcess(tmp_path, TELL, under=under) as daemon:
        assert daemon.report("terminate").verdict == "drained"
        assert daemon.records("metadata-failure") == []


@pytest.mark.skipif(shutil.which("nft") is None, reason="needs nftables")
@pytest.mark.parametrize(
    ("rule", "words"),
    [
        pytest.param(
            "tcp sport 80 tcp flags & (psh | ack) == psh | ack drop",
            "--http-put-response-hop-limit 2",
            id="the answers are dropped, as past the hop limit",
        ),
        pytest.param("tcp dport 80 drop", "within", id="everything is dropped"),
        pytest.param("tcp dport 80 reject with tcp reset", "Connection refused", id="connections are rejected"),
    ],
)
def test_a_network_in_the_way_is_named_and_outlived(
    tmp_path: Path, namespace: Namespace, rule: str, words: str
) -> None:
    namespace.filter(rule)
    with (
        service(namespace, "0s terminate 120s"),
        DaemonProcess(tmp_path, TELL, options=QUICK, under=namespace.under) as daemon,
    ):
        failure = daemon.record("metadata-failure", level="warning")
        assert words in f"{failure['message']} {failure.get('hint')}"
        daemon.pass_by(3)
        assert len(daemon.records("metadata-failure", problem=failure["problem"])) == 1
        namespace.let_everything_pass()
        daemon.record("metadata-recovered")
        assert daemon.report("terminate").verdict == "drained"
