"""Real name servers and databases on loopback, started without systemd; a test skips where its server is missing.

Debian packages: bind9, pdns-server, pdns-backend-sqlite3, mariadb-server, postgresql.
"""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import dns.exception
import dns.message
import dns.query
import pytest

from spotwatch.dns.database import Database
from spotwatch.dns.server import Server

ZONE = "example.internal"
NAME = "app.example.internal"
PASSWORD = "correct horse"

SEARCHED = os.pathsep.join(
    [
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
        *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)),
    ]
)
"""Where Debian puts them; not all of it is in everybody's PATH."""


class SystemClock:
    """Real time."""

    def now(self) -> float:
        return monotonic()

    def sleep(self, seconds: float) -> None:
        sleep(seconds)


def program(name: str, package: str) -> str:
    """The path of a program; the test skips without it."""
    found = shutil.which(name, path=SEARCHED)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: {package})")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(holds: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = monotonic() + 30
    while not holds():
        assert process.poll() is None, log.read_text(errors="replace")
        assert monotonic() < deadline, log.read_text(errors="replace")
        sleep(0.02)


@contextmanager
def running(words: Sequence[str], log: Path, ready: Callable[[], bool], **settings: Any) -> Iterator[None]:
    """A process of a server, until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, **settings
        )
    try:
        wait_until(ready, process, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def answers(port: int, address: str = "127.0.0.1") -> bool:
    question = dns.message.make_query(f"ns.{ZONE}", "A")
    try:
        return bool(dns.query.tcp(question, address, port=port, timeout=1).answer)
    except (dns.exception.DNSException, OSError, EOFError):
        return False


def accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class RealServer:
    """A name server that takes updates which are signed with `key`.

    Attributes:
        wrong: another key.
        forged: one of the same name with another secret.
    """

    port: int
    key: Path
    wrong: Path
    forged: Path

    @property
    def server(self) -> Server:
        return Server("127.0.0.1", self.port)

    def addresses(self, name: str = NAME) -> set[str]:
        """As dnspython alone asks for them, by UDP."""
        found: set[str] = set()
        for kind in ("A", "AAAA"):
            answer = dns.query.udp(dns.message.make_query(name, kind), "127.0.0.1", port=self.port, timeout=5)
            found |= {rdata.to_text() for part in answer.answer for rdata in part}
        return found

    def serial(self) -> int:
        answer = dns.query.udp(dns.message.make_query(ZONE, "SOA"), "127.0.0.1", port=self.port, timeout=5)
        return int(answer.answer[0][0].serial)


def write_keys(directory: Path) -> tuple[Path, Path, Path]:
    secrets = ("c2VjcmV0IG9mIHRoZSB0ZXN0cyBvbmx5//8=", "YW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3RzIQ==")
    made = []
    for file, name, secret in (("key", "spotwatch", 0), ("wrong", "stranger", 1), ("forged", "spotwatch", 1)):
        path = directory / f"{file}.conf"
        path.write_text(f'key "{name}" {{\n\talgorithm hmac-sha256;\n\tsecret "{secrets[secret]}";\n}};\n')
        made.append(path)
    return made[0], made[1], made[2]


@contextmanager
def bind(directory: Path, *, address: str = "127.0.0.1") -> Iterator[RealServer]:
    named = program("named", "bind9")
    keys, port = write_keys(directory), free_port()
    (directory / "zone").write_text(
        f"$TTL 30\n@ SOA ns.{ZONE}. host.{ZONE}. 1 60 60 60 5\n@ NS ns\nns A 127.0.0.1\nstatic A 192.0.2.1\n"
    )
    (directory / "named.conf").write_text(
        f'include "{keys[0]}";\n'
        f'options {{ directory "{directory}"; listen-on port {port} {{ {address}; }}; listen-on-v6 {{ none; }};\n'
        f'  pid-file "{directory}/pid"; session-keyfile "{directory}/session.key"; recursion no; }};\n'
        "controls { };\n"
        f'zone "{ZONE}" {{ type primary; file "{directory}/zone";\n'
        f"  update-policy {{ grant spotwatch subdomain {NAME}. A AAAA TXT; }}; }};\n"
    )
    words = [named, "-g", "-c", str(directory / "named.conf")]
    with running(words, directory / "log", lambda: answers(port, address)):
        yield RealServer(port, *keys)


def pdns_schema() -> str:
    path = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
    if not path.exists():
        pytest.skip("the schema of PowerDNS is not installed (Debian: pdns-backend-sqlite3)")
    return path.read_text(encoding="utf-8")


@contextmanager
def powerdns(directory: Path, *, answer_cache: int = 1, query_cache: int = 1) -> Iterator[tuple[RealServer, Database]]:
    """The caches in seconds: of whole answers, and of what is read from the database."""
    server = program("pdns_server", "pdns-server")
    keys, port, file = write_keys(directory), free_port(), directory / "pdns.sqlite3"
    secret = keys[0].read_text().split('secret "')[1].partition('"')[0]
    connection = sqlite3.connect(file)
    connection.executescript(pdns_schema())
    connection.execute("INSERT INTO domains (id, name, type) VALUES (1, ?, 'MASTER')", (ZONE,))
    records = [
        (ZONE, "SOA", f"ns.{ZONE} host.{ZONE} 7 60 60 60 5"), (ZONE, "NS", f"ns.{ZONE}"),
        (f"ns.{ZONE}", "A", "127.0.0.1"),
    ]  # fmt: skip
    connection.executemany(
        "INSERT INTO records (domain_id, name, type, content, ttl, auth) VALUES (1, ?, ?, ?, 30, 1)", records
    )
    connection.execute(
        "INSERT INTO tsigkeys (name, algorithm, secret) VALUES ('spotwatch', 'hmac-sha256', ?)", (secret,)
    )
    connection.execute(
        "INSERT INTO domainmetadata (domain_id, kind, content) VALUES (1, 'TSIG-ALLOW-DNSUPDATE', 'spotwatch')"
    )
    connection.commit()
    connection.close()
    (directory / "pdns.conf").write_text(
        f"launch=gsqlite3\ngsqlite3-database={file}\ngsqlite3-dnssec=yes\nlocal-address=127.0.0.1\nlocal-port={port}\n"
        f"socket-dir={directory}\ndnsupdate=yes\nallow-dnsupdate-from=127.0.0.0/8\n"
        f"cache-ttl={answer_cache}\nquery-cache-ttl={query_cache}\n"
        "negquery-cache-ttl=1\nzone-cache-refresh-interval=0\nprimary=yes\n"
    )
    words = [server, f"--config-dir={directory}", "--daemon=no", "--guardian=no", "--disable-syslog"]
    with running(words, directory / "log", lambda: answers(port)):
        yield RealServer(port, *keys), Database("sqlite", str(file))


@contextmanager
def _unprivileged_directory() -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """A directory of a user who may run a database; and how to become him."""
    directory = Path(tempfile.mkdtemp(prefix="spotwatch-test-"))
    as_whom: dict[str, Any] = {}
    if os.geteuid() == 0:
        shutil.chown(directory, "nobody", "nogroup")
        as_whom = {"user": "nobody", "group": "nogroup", "extra_groups": ()}
    try:
        yield directory, as_whom
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def mariadb() -> Iterator[Database]:
    server, install = program("mariadbd", "mariadb-server"), program("mariadb-install-db", "mariadb-server")
    with _unprivileged_directory() as (directory, as_whom):
        data, port = directory / "data", free_port()
        words = ["--no-defaults", f"--datadir={data}"]
        subprocess.run(
            [install, *words, "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True, capture_output=True, cwd=directory, **as_whom,
        )  # fmt: skip
        listening = [
            f"--port={port}",
            "--bind-address=127.0.0.1",
            f"--socket={directory}/socket",
            "--innodb-fast-shutdown=2",
        ]
        with running([server, *words, *listening], directory / "log", lambda: accepts(port), cwd=directory, **as_whom):
            import pymysql

            root = pymysql.connect(unix_socket=f"{directory}/socket", user="root")
            with root.cursor() as cursor:
                cursor.execute("CREATE DATABASE dns")
                cursor.execute("CREATE USER keeper@'127.0.0.1' IDENTIFIED BY %s", (PASSWORD,))
                cursor.execute("GRANT ALL ON dns.* TO keeper@'127.0.0.1'")
                cursor.execute("CREATE USER reader@'127.0.0.1' IDENTIFIED BY %s", (PASSWORD,))
                cursor.execute("GRANT SELECT ON dns.* TO reader@'127.0.0.1'")
            root.close()
            yield Database("mysql", "dns", "127.0.0.1", port, "keeper", PASSWORD)


@contextmanager
def postgresql() -> Iterator[Database]:
    server, initdb = program("postgres", "postgresql"), program("initdb", "postgresql")
    with _unprivileged_directory() as (directory, as_whom):
        data, port = directory / "data", free_port()
        (directory / "password").write_text(PASSWORD)
        (directory / "password").chmod(0o644)
        words = [initdb, "-D", str(data), "-U", "keeper", "-A", "scram-sha-256", f"--pwfile={directory}/password"]
        subprocess.run([*words, "--no-sync"], check=True, capture_output=True, cwd=directory, **as_whom)
        listening = ["-h", "127.0.0.1", "-p", str(port), "-k", str(directory), "-F"]
        with running(
            [server, "-D", str(data), *listening], directory / "log", lambda: accepts(port), cwd=directory, **as_whom
        ):
            database = Database("postgresql", "postgres", "127.0.0.1", port, "keeper", PASSWORD)
            with database.transaction() as transaction:
                transaction.run(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
                transaction.run("GRANT pg_read_all_data TO reader")
            yield database
