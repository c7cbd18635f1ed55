"""A real S3 server: Debian's radosgw with one monitor and one OSD that keeps everything in memory, on loopback ports.

It looks at Content-MD5 and at the signature over the content, checks the parts of an upload, and has pages and quotas.
It ignores the newer checksums, and `If-None-Match` where a multipart upload is completed.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from spotwatch.aws.session import Api

PROGRAMS: Final = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")

MISSING: Final = [program for program in PROGRAMS if shutil.which(program) is None]

WHY_NOT: Final = f"not installed: {', '.join(MISSING)} (apt: radosgw ceph-mon ceph-osd ceph-common)" if MISSING else ""
"""Why there can be no such server here; empty if there can."""

USER: Final = "tester"
ACCESS_KEY: Final = "AKIATESTTESTTESTTEST"
SECRET_KEY: Final = "a-secret-key-of-nobody"
REGION: Final = "default"
"""The name of radosgw's zone group."""

SECONDS: Final = 60.0
"""After which a server that does not answer is given up; alone on a machine it takes less than two."""

_CONFIGURATION: Final = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = {here}/keyring
run dir = {here}
crash dir = {here}
log file = {here}/$name.log
admin socket = {here}/$name.asok
pid file =
mon data = {here}/mon
mon cluster log file = {here}/cluster.log
mon data avail crit = 0
mon data avail warn = 0
# Pools are made one after the other, each with a new map, which is otherwise proposed once a second.
paxos propose interval = 0.02
paxos min wait = 0.01
osd data = {here}/osd
osd objectstore = memstore
memstore device bytes = {memory}
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon max pg per osd = 1000
rgw data = {here}/rgw
rgw frontends = beast endpoint=127.0.0.1:{http}
# A quota is looked at for each object, not remembered for minutes.
rgw bucket quota ttl = 0
debug ms = 0/0
debug osd = 0/0
debug rgw = 0/0
"""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running server.

    Attributes:
        directory: of its configuration and its logs.
        port: where it speaks S3.
    """

    directory: Path
    port: int

    @property
    def url(self) -> str:
        """For ``--endpoint-url``."""
        return f"http://127.0.0.1:{self.port}"

    def admin(self, *words: str) -> str:
        """What ``radosgw-admin`` answers."""
        return _run("radosgw-admin", "-c", self.directory / "ceph.conf", *words)

    def environment(self, url: str = "") -> Mapping[str, str]:
        """What makes every client of AWS talk to it, or to what listens at another address."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": url or self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }


@contextmanager
def gateway(*, memory: int = 4 << 30) -> Iterator[Gateway]:
    """A server with one user; its processes and all that it stored end with the context.

    Args:
        memory: bytes that it says it has; nothing is taken before it is used.
    """
    with tempfile.TemporaryDirectory(prefix="radosgw-") as name, ExitStack() as processes:
        here = Path(name)
        port = _prepare(here, memory)
        configured = ("-c", str(here / "ceph.conf"))
        processes.enter_context(_process("ceph-mon", *configured, "-i", "a"))
        osd = str(uuid.uuid4())
        _run("ceph", *configured, "--connect-timeout", f"{SECONDS:.0f}", "osd", "new", osd)
        _run("ceph-osd", *configured, "-i", "0", "--mkfs", "--osd-uuid", osd)
        processes.enter_context(_process("ceph-osd", *configured, "-i", "0"))
        running = Gateway(here, port)
        # Before the server, or both would make the same pools at the same time.
        running.admin(
            "user", "create", f"--uid={USER}", f"--display-name={USER}",
            f"--access-key={ACCESS_KEY}", f"--secret-key={SECRET_KEY}",
        )  # fmt: skip
        server = processes.enter_context(_process("radosgw", *configured, "-n", "client.rgw.a", "--no-mon-config"))
        _await(running, server)
        yield running


@pytest.fixture(scope="session")
def radosgw() -> Iterator[Gateway]:
    """One server for all tests."""
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    with gateway() as running:
        yield running


@pytest.fixture
def radosgw_bucket(radosgw: Gateway, monkeypatch: pytest.MonkeyPatch) -> "tuple[Api, str]":
    """S3 at the server, and a bucket of the test's own."""
    from spotwatch.aws.session import Session
    from spotwatch.host.clock import Clock

    for name, value in radosgw.environment().items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{uuid.uuid4()}"
    api = Session(Clock(), patience=30).api("s3")
    api.call("CreateBucket", Bucket=bucket)
    return api, bucket


def _prepare(here: Path, memory: int) -> int:
    """Configuration, keys and the monitor's data; the port for S3."""
    v2, v1, http = _free_ports(3)
    fsid = str(uuid.uuid4())
    for directory in ("mon", "osd", "rgw"):
        (here / directory).mkdir()
    configuration = here / "ceph.conf"
    told = _CONFIGURATION.format(fsid=fsid, here=here, v2=v2, v1=v1, http=http, memory=memory)
    configuration.write_text(told, encoding="utf-8")
    keyring, monmap = str(here / "keyring"), str(here / "monmap")
    _run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    for who in ("client.admin", "osd.0", "client.rgw.a"):
        _run("ceph-authtool", keyring, "--gen-key", "-n", who, "--cap", "mon", "allow *", "--cap", "osd", "allow *")
    _run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]", monmap)
    _run("ceph-mon", "-c", configuration, "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", keyring)
    return http


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listened on a moment ago."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _run(*argv: str | Path) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


@contextmanager
def _process(*argv: str) -> Iterator[subprocess.Popen[bytes]]:
    """Killed at the end: when asked, an OSD would first write to disk what it has in memory."""
    process = subprocess.Popen([*argv, "-f"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _await(running: Gateway, server: subprocess.Popen[bytes]) -> None:
    """Until it takes connections."""
    give_up = time.monotonic() + SECONDS
    while time.monotonic() < give_up:
        assert server.poll() is None, f"radosgw ended with {server.returncode}"
        try:
            socket.create_connection(("127.0.0.1", running.port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("radosgw takes no connections")
