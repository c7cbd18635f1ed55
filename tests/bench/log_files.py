"""Log files as applications write them, of the same content on every machine."""

import gzip
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

BEGINNING: Final = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)

POOL_BYTES: Final = 8 * 1024 * 1024
"""Different text of each format; a longer file repeats it, from further away than a quick compressor looks back."""

PATHS: Final = ("/", "/login", "/api/v1/orders", "/api/v1/orders/{}/items", "/static/app.{}.js", "/search?q={}")
AGENTS: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "ELB-HealthChecker/2.0",
    "python-requests/2.32.3",
)
MESSAGES: Final = (
    "order accepted", "payment authorised", "cache miss", "retrying request", "slow query", "user logged in",
    "connection reset by peer", "message published",
)  # fmt: skip


def access_log(rng: random.Random, time: datetime) -> str:
    """The combined format of web servers."""
    path = rng.choice(PATHS).format(rng.randrange(10**6))
    address = ".".join(str(rng.randrange(256)) for _ in range(4))
    return (
        f"{address} - - [{time:%d/%b/%Y:%H:%M:%S +0000}] "
        f'"GET {path} HTTP/1.1" {rng.choice((200, 200, 200, 304, 404, 500))} {rng.randrange(50_000)} '
        f'"-" "{rng.choice(AGENTS)}" {rng.random():.3f}\n'
    )


def json_lines(rng: random.Random, time: datetime) -> str:
    """What structured loggers write."""
    return (
        f'{{"time":"{time.isoformat()}","level":"{rng.choice(("info", "info", "warn", "error"))}",'
        f'"msg":"{rng.choice(MESSAGES)}","trace_id":"{rng.getrandbits(128):032x}","span_id":"{rng.getrandbits(64):016x}",'
        f'"user":{rng.randrange(10**7)},"duration_ms":{rng.random() * 900:.2f},"service":"checkout"}}\n'
    )


def syslog(rng: random.Random, time: datetime) -> str:
    """RFC 3164, as syslog daemons write it to files."""
    host, program = (
        f"ip-10-0-{rng.randrange(8)}-{rng.randrange(256)}",
        rng.choice(("kernel", "sshd", "systemd", "cron")),
    )
    return f"{time:%b %d %H:%M:%S} {host} {program}[{rng.randrange(32768)}]: {rng.choice(MESSAGES)} {rng.random()}\n"


def logfmt(rng: random.Random, time: datetime) -> str:
    """What Go programs write."""
    return (
        f"ts={time:%Y-%m-%dT%H:%M:%S.%fZ} caller=server.go:{rng.randrange(900)} level=info "
        f'msg="{rng.choice(MESSAGES)}" '
        f"peer=10.0.{rng.randrange(256)}.{rng.randrange(256)}:{rng.randrange(65536)} took={rng.random() * 80:.6f}ms\n"
    )


def stack_traces(rng: random.Random, time: datetime) -> str:
    """Java: a line, and now and then an exception over many."""
    first = (
        f"{time:%Y-%m-%d %H:%M:%S,%f} ERROR [worker-{rng.randrange(64)}] c.e.o.OrderService - {rng.getrandbits(48):x}\n"
    )
    if rng.random() < 0.8:
        return first.replace("ERROR", "INFO ")
    frames = (f"\tat com.example.orders.Service{rng.randrange(40)}.handle(Service.java:{rng.randrange(900)})\n"
              for _ in range(rng.randrange(4, 24)))  # fmt: skip
    return first + "java.lang.IllegalStateException: order is closed\n" + "".join(frames)


FORMATS: Final[tuple[Callable[[random.Random, datetime], str], ...]] = (
    access_log, json_lines, syslog, logfmt, stack_traces,
)  # fmt: skip


def pools(seed: int = 1) -> list[bytes]:
    """A long text of each format."""
    return [_pool(lines, random.Random(f"{seed} {lines.__name__}")) for lines in FORMATS]


def _pool(lines: Callable[[random.Random, datetime], str], rng: random.Random) -> bytes:
    time, text, size = BEGINNING, [], 0
    while size < POOL_BYTES:
        text.append(lines(rng, time))
        time += timedelta(milliseconds=rng.randrange(40))
        size += len(text[-1])
    return "".join(text).encode()


def mixed_sizes(rng: random.Random) -> Iterator[int]:
    """1 GB in 2,116 files."""
    yield 200_000_000
    for count, size in ((3, 60_000_000), (12, 20_000_000), (60, 4_000_000), (240, 400_000)):
        yield from (int(size * rng.uniform(0.9, 1.1)) for _ in range(count))
    yield from small_sizes(rng, 1800)


def small_sizes(rng: random.Random, count: int) -> Iterator[int]:
    """From 1 KB to 128 KB, half of them below 11 KB."""
    return (int(1000 * 2 ** rng.uniform(0, 7)) for _ in range(count))


def write_files(root: Path, sizes: Iterator[int], seed: int = 1) -> int:
    """Write files of these sizes, in directories of services; every fortieth is a rotated one that is compressed.

    Returns:
        Bytes of all files.
    """
    rng, texts, total = random.Random(seed), pools(seed), 0
    for number, size in enumerate(sizes):
        kind = rng.randrange(len(texts))
        path = root / f"{FORMATS[kind].__name__}-{number % 16:02d}" / f"app-{number:04d}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        start = rng.randrange(len(texts[kind]))
        if number % 40 == 39:
            path = path.with_suffix(".log.1.gz")
            total += path.write_bytes(gzip.compress(_cut(texts[kind], start, size), 6, mtime=0))
        else:
            total += path.write_bytes(_cut(texts[kind], start, size))
    return total


def _cut(text: bytes, start: int, size: int) -> bytes:
    """So many bytes of the text from there on, and from its beginning again at its end."""
    repeated = text[start:] + text * (size // len(text) + 1)
    return repeated[:size]
