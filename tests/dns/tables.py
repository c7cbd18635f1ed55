"""The tables of MyDNS and PowerDNS in each kind of database, with the columns that their manuals name."""

from collections.abc import Sequence

from spotwatch.dns.database import Database

_ID = {
    "sqlite": "INTEGER PRIMARY KEY",
    "mysql": "INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY",
    "postgresql": "SERIAL NOT NULL PRIMARY KEY",
}
_DATA = {"sqlite": "VARCHAR(128)", "mysql": "VARBINARY(128)", "postgresql": "VARCHAR(128)"}
_TYPE = {
    "sqlite": "VARCHAR(5)",
    "mysql": "ENUM('A','AAAA','CNAME','HINFO','MX','NAPTR','NS','PTR','RP','SRV','TXT')",
    "postgresql": "VARCHAR(5) CHECK (type IN ('A','AAAA','CNAME','HINFO','MX','NAPTR','NS','PTR','RP','SRV','TXT'))",
}


def mydns(kind: str, *, engine: str = "InnoDB") -> Sequence[str]:
    """MyDNS 1.2.8's layout, with a column of our own in `rr`."""
    end = f" ENGINE={engine}" if kind == "mysql" else ""
    big = "INTEGER" if kind == "sqlite" else "BIGINT"
    return (
        f"""CREATE TABLE soa (id {_ID[kind]}, origin CHAR(255) NOT NULL UNIQUE, ns CHAR(255) NOT NULL,
            mbox CHAR(255) NOT NULL, serial {big} NOT NULL DEFAULT 1, refresh INT NOT NULL DEFAULT 28800,
            retry INT NOT NULL DEFAULT 7200, expire INT NOT NULL DEFAULT 604800, minimum INT NOT NULL DEFAULT 86400,
            ttl INT NOT NULL DEFAULT 86400, active CHAR(1) NOT NULL DEFAULT 'Y'){end}""",
        f"""CREATE TABLE rr (id {_ID[kind]}, zone INT NOT NULL, name VARCHAR(200) NOT NULL, data {_DATA[kind]} NOT NULL,
            aux INT NOT NULL, ttl INT NOT NULL DEFAULT 86400, type {_TYPE[kind]}, active CHAR(1) NOT NULL DEFAULT 'Y',
            owner VARCHAR(64) NOT NULL DEFAULT '', UNIQUE (zone, name, type, data, aux, active)){end}""",
        "INSERT INTO soa (id, origin, ns, mbox, serial) VALUES (1, 'example.internal.', 'ns', 'host', 7)",
        "INSERT INTO soa (id, origin, ns, mbox, serial) VALUES (2, 'internal.', 'ns', 'host', 7)",
    )  # fmt: skip


def powerdns(kind: str) -> Sequence[str]:
    """The layout of PowerDNS 4."""
    soa = "ns.example.internal host.example.internal 7 60 60 60 5"
    return (
        f"""CREATE TABLE domains (id {_ID[kind]}, name VARCHAR(255) NOT NULL UNIQUE, master VARCHAR(128) DEFAULT NULL,
            last_check INT DEFAULT NULL, type VARCHAR(8) NOT NULL, notified_serial BIGINT DEFAULT NULL,
            account VARCHAR(40) DEFAULT NULL)""",
        f"""CREATE TABLE records (id {_ID[kind]}, domain_id INT DEFAULT NULL, name VARCHAR(255) DEFAULT NULL,
            type VARCHAR(10) DEFAULT NULL, content VARCHAR(2000) DEFAULT NULL, ttl INT DEFAULT NULL,
            prio INT DEFAULT NULL,
            disabled BOOL DEFAULT FALSE, ordername VARCHAR(255), auth BOOL DEFAULT TRUE)""",
        f"""CREATE TABLE comments (id {_ID[kind]}, domain_id INT NOT NULL, name VARCHAR(255) NOT NULL,
            type VARCHAR(10) NOT NULL, modified_at INT NOT NULL, account VARCHAR(40) DEFAULT NULL,
            comment VARCHAR(2000) NOT NULL)""",
        "INSERT INTO domains (id, name, type) VALUES (1, 'example.internal', 'MASTER')",
        f"INSERT INTO records (domain_id, name, type, content, ttl) VALUES (1, 'example.internal', 'SOA', '{soa}', 30)",  # noqa: S608 (our own)
        "INSERT INTO domains (id, name, type) VALUES (2, 'internal', 'MASTER')",
        "INSERT INTO records (domain_id, name, type, content, ttl) VALUES (2, 'internal', 'SOA', 'a b 7 1 1 1 1', 30)",
    )  # fmt: skip


NAMES = ("soa", "rr", "domains", "records", "comments")


def lay_out(database: Database, statements: Sequence[str]) -> None:
    """These tables and no others of their names."""
    with database.transaction() as transaction:
        for name in NAMES:
            transaction.run(f"DROP TABLE IF EXISTS {name}")
        for statement in statements:
            transaction.run(statement)
