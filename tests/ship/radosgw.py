"""A real S3 server on loopback: Debian's radosgw over one monitor and one OSD that keeps its objects in memory.

It checks what moto and our layer over it only pretend to: signatures, parts, Content-MD5. It ignores the newer
checksums, and If-None-Match at the end of a multipart upload. Needs root and the Debian packages `radosgw`, `ceph-mon`,
`ceph-osd` and `ceph-common`.
"""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from spotwatch.aws.session import Api

PROGRAMS = ("ceph-mon", "ceph-osd", "ceph-authtool", "monmaptool", "ceph", "radosgw", "radosgw-admin")
KEY, SECRET = "anaccesskey", "asecretkey"
PATIENCE = 60.0
"""Seconds; on an idle machine it is up after ten."""


def why_not() -> str:
    """Why there can be no such server here; empty if there can."""
    if os.geteuid() != 0:
        return "ceph's daemons are started as root"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"not installed: {', '.join(missing)} (apt: radosgw ceph-mon ceph-osd ceph-common)" if missing else ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Cluster:
    """The daemons' directory, and how their programs are called."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.fsid = str(uuid4())
        self.monitor, self.gateway = free_port(), free_port()
        self.keyring = directory / "keyring"
        self.configuration = directory / "ceph.conf"

    def configure(self) -> None:
        self.configuration.write_text(
            f"""[global]
fsid = {self.fsid}
mon host = v1:127.0.0.1:{self.monitor}
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 2147483648
mon allow pool size one = true
mon warn on pool no redundancy = false
osd pool default pg autoscale mode = off
keyring = {self.keyring}
run dir = {self.directory}
log file = {self.directory}/$name.log
admin socket = {self.directory}/$name.asok
mon data = {self.directory}/mon
osd data = {self.directory}/osd
mgr data = {self.directory}/mgr
ms bind msgr2 = false
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{self.gateway}
rgw data = {self.directory}/rgw
"""
        )

    def run(self, program: str, *words: str) -> str:
        done = subprocess.run(
            [program, "-c", str(self.configuration), *words],
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{program} {' '.join(words)}: {done.stderr}"
        return done.stdout

    def wait_for_the_disk(self) -> None:
        """A pool that is made before the OSD is up sometimes waits for it for ever."""
        until = time.monotonic() + PATIENCE
        while json.loads(self.run("ceph", "osd", "stat", "-f", "json"))["num_up_osds"] != 1:
            assert time.monotonic() < until, "the OSD does not come up"
            time.sleep(0.5)

    @contextmanager
    def daemon(self, program: str, *words: str) -> Iterator[None]:
        with (self.directory / f"{program}.out").open("wb") as output:
            process = subprocess.Popen(
                [program, "-c", str(self.configuration), "-f", *words], stdout=output, stderr=subprocess.STDOUT
            )
            try:
                yield
            finally:
                process.kill()
                process.wait()

    def make_disks(self) -> None:
        map_file = str(self.directory / "monmap")
        address = f"[v1:127.0.0.1:{self.monitor}]"
        words = ["--create", "--clobber", "--fsid", self.fsid, "--addv", "a", address, map_file]
        subprocess.run(["monmaptool", *words], check=True, capture_output=True, timeout=PATIENCE)
        self.keyring.touch()
        for name in ("mon", "osd", "rgw"):
            (self.directory / name).mkdir()
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", map_file)


@contextmanager
def radosgw(directory: Path) -> Iterator[str]:
    """The server's URL, while it runs.

    Args:
        directory: empty; its path is short enough for sockets.
    """
    cluster = Cluster(directory)
    cluster.configure()
    cluster.make_disks()
    with ExitStack() as daemons:
        daemons.enter_context(cluster.daemon("ceph-mon", "-i", "a"))
        disk = str(uuid4())
        cluster.run("ceph", "--connect-timeout", "60", "osd", "new", disk)
        cluster.run("ceph", "osd", "crush", "add", "osd.0", "1.0", "host=here", "root=default")
        cluster.run("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", disk)
        daemons.enter_context(cluster.daemon("ceph-osd", "-i", "0"))
        cluster.wait_for_the_disk()
        cluster.run("radosgw-admin", "user", "create", "--uid=tester", "--display-name=tester",
                    f"--access-key={KEY}", f"--secret-key={SECRET}")  # fmt: skip
        daemons.enter_context(cluster.daemon("radosgw", "-n", "client.rgw"))
        url = f"http://127.0.0.1:{cluster.gateway}"
        _wait_for(url)
        yield url


def _wait_for(url: str) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()  # noqa: S310  # our own server
        except OSError:
            assert time.monotonic() < until, "radosgw does not answer"
            time.sleep(0.2)
        else:
            return


@pytest.fixture(scope="session")
def radosgw_url() -> Iterator[str]:
    """One server for all tests."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with TemporaryDirectory(prefix="rgw", ignore_cleanup_errors=True) as directory, radosgw(Path(directory)) as url:
        yield url


@pytest.fixture
def radosgw_bucket(radosgw_url: str, monkeypatch: pytest.MonkeyPatch) -> "tuple[Api, str]":
    """S3 at the server, and a bucket of the test's own."""
    from spotwatch.aws.session import Session
    from spotwatch.host.clock import Clock

    for name, value in environment(radosgw_url).items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{uuid4()}"
    api = Session(Clock(), patience=30).api("s3")
    api.call("CreateBucket", Bucket=name)
    return api, name


def environment(url: str) -> dict[str, str]:
    """What a client has in its environment in order to talk to the server."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
