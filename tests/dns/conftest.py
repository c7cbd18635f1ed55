"""The servers and databases that the tests of this room work with; each real database is started once a module."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotwatch.dns.database import Database
from tests.dns import servers
from tests.dns.servers import RealServer


@pytest.fixture(scope="module")  # other rooms count their children
def mariadb_server() -> Iterator[Database]:
    with servers.mariadb() as database:
        yield database


@pytest.fixture(scope="module")  # other rooms count their children
def postgresql_server() -> Iterator[Database]:
    with servers.postgresql() as database:
        yield database


@pytest.fixture(
    params=["sqlite", pytest.param("mysql", marks=pytest.mark.slow), pytest.param("postgresql", marks=pytest.mark.slow)]
)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An SQLite file, a real MariaDB, a real PostgreSQL."""
    if request.param == "sqlite":
        sqlite3.connect(tmp_path / "dns.sqlite3").close()
        return Database("sqlite", str(tmp_path / "dns.sqlite3"))
    fixture = {"mysql": "mariadb_server", "postgresql": "postgresql_server"}[request.param]
    found: Database = request.getfixturevalue(fixture)
    return found


@pytest.fixture
def bind(tmp_path: Path) -> Iterator[RealServer]:
    """BIND, anew for each test: it is up in a tenth of a second."""
    with servers.bind(tmp_path) as server:
        yield server


@pytest.fixture
def powerdns(tmp_path: Path) -> Iterator[tuple[RealServer, Database]]:
    """PowerDNS and its SQLite file."""
    with servers.powerdns(tmp_path) as pair:
        yield pair


@pytest.fixture(params=["BIND", "PowerDNS"])
def updated(request: pytest.FixtureRequest) -> RealServer:
    """A real server that takes dynamic updates, of either make."""
    if request.param == "BIND":
        server: RealServer = request.getfixturevalue("bind")
        return server
    return request.getfixturevalue("powerdns")[0]  # type: ignore[no-any-return]
