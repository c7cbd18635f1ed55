"""CPU of each built-in hook from its start until its first request leaves, or until its end if it makes none.

    python -m tests.bench.hook_start [--runs 10] [--most 0.6]

User and system time of the process, imports included, in ticks of 10 ms. The request goes to a port of this machine
where nobody answers: what counts is when it comes. Hooks that ask nobody are run to their end with `--dry-run`.
"""

import argparse
import os
import select
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from spotwatch.hooks import NAMES

NAME = ("--name", "app.example.internal", "--address", "10.0.0.5")
SQL = ("sql", *NAME, "--schema", "powerdns", "--database")

PLACES: Mapping[str, Sequence[str]] = {
    "Route 53": ("route53", *NAME),
    "Cloud Map": ("cloud-map", *NAME),
    "dynamic updates": ("update", *NAME, "--server", "{there}"),
    "MariaDB": (*SQL, "mysql://user@{there}/dns"),
    "PostgreSQL": (*SQL, "postgresql://user@{there}/dns"),
    "SQLite": (*SQL, "sqlite://{directory}/dns.sqlite3", "--dry-run"),
}

WORDS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "drain-ecs": {
        "agent": ("--agent", "http://{there}/v1/metadata"),
        "AWS": ("--cluster", "c", "--container-instance", "arn:aws:ecs:eu-west-1:123456789012:container-instance/c/1"),
    },
    "flush-logs": {"": ("--dry-run", "--mount-point", "/tmp")},
    "join-dns": PLACES,
    "leave-auto-scaling": {"": ()},
    "leave-dns": PLACES,
    "leave-target-groups": {"": ()},
    "notify": {
        "webhook": ("--webhook-file", "{directory}/webhook"),
        "apprise": ("--service-file", "{directory}/service"),
        "SNS": ("--sns", "arn:aws:sns:eu-west-1:123456789012:ops"),
        "EventBridge": ("--event-bus", "default"),
    },
    "preserve-volume": {"": ("--volume-id", "vol-0123456789abcdef0")},
    "run-parts": {"": ("--dry-run", "{directory}")},
    "stop-units": {"": ("--dry-run", "spotwatch-benchmark.service")},
}
"""For each hook the ways to run it, by name."""

SECRETS: Mapping[str, str] = {"webhook": "http", "service": "json"}
"""Files with the URL of a recipient, and its scheme."""

STAND_IN = """
from spotwatch.cli import main
from spotwatch.cli.hook_services import Services
from tests.hooks.services import FakeLogVolume
Services.log_volume_of = lambda *_: FakeLogVolume(mount_point="")
raise SystemExit(main())
"""

EX_UNAVAILABLE = 69
"""`stop-units` ends with it where systemd does not run, after all that it does at its start."""

COMMANDS: Mapping[str, Sequence[str]] = {"preserve-volume": ("-c", STAND_IN)}
"""How Python runs a hook that needs what this machine has not: an EBS volume. The others are run as they are."""


def cpu_until_first_request(hook: str, words: Sequence[str], directory: str) -> float:
    """Seconds."""
    with socket.create_server(("127.0.0.1", 0)) as there:
        address = f"127.0.0.1:{there.getsockname()[1]}"
        for name, scheme in SECRETS.items():
            Path(directory, name).write_text(f"{scheme}://{address}/\n", encoding="utf-8")
        told = {
            "AWS_ENDPOINT_URL": f"http://{address}",
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "no-secret",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "SPOTWATCH_INSTANCE_ID": "i-0123456789abcdef0",
            "SPOTWATCH_REGION": "eu-west-1",
            "SPOTWATCH_EVENT": "terminate",
            "SPOTWATCH_TIMEOUT": "60",
        }
        argv = [sys.executable, *COMMANDS.get(hook, ("-m", "spotwatch")), "hook", hook]
        argv += [word.format(there=address, directory=directory) for word in words]
        with subprocess.Popen(argv, env={**os.environ, **told}, stdout=subprocess.DEVNULL) as process:
            ended = os.pidfd_open(process.pid)
            try:
                came, _, _ = select.select([there.fileno(), ended], [], [])
                user, system = _times(process.pid)  # a process that has ended keeps its times until it is waited for
                if there.fileno() in came:
                    process.kill()
                elif (code := process.wait()) not in (0, EX_UNAVAILABLE):
                    raise SystemExit(f"{' '.join(argv[4:])} ended with {code} and asked nobody")
            finally:
                os.close(ended)
    return (user + system) / os.sysconf("SC_CLK_TCK")


def _times(pid: int) -> tuple[int, int]:
    """User and system ticks of all threads (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]), int(fields[12])


def _lay_out(directory: str) -> None:
    with sqlite3.connect(f"{directory}/dns.sqlite3") as connection:
        connection.executescript(Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql").read_text())
        connection.execute("INSERT INTO domains (id, name, type) VALUES (1, 'example.internal', 'NATIVE')")


def main() -> None:
    """Print the figures; exit code 1 if one is too high, or a hook has not been measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--most", type=float, default=0.6, help="seconds of CPU that the quickest run may take")
    arguments = parser.parse_args()
    too_much = [f"{name}: no words for it here" for name in NAMES if name not in WORDS]
    with tempfile.TemporaryDirectory() as directory:
        _lay_out(directory)
        print(f"CPU of start, imports and first request over {arguments.runs} runs, s; load {os.getloadavg()[0]:.1f}")
        for hook, ways in WORDS.items():
            for way, words in ways.items():
                taken = [cpu_until_first_request(hook, words, directory) for _ in range(arguments.runs)]
                shown = f"{hook}{f' ({way})' if way else ''}"
                print(f"  {shown:34} min {min(taken):.2f}  median {statistics.median(taken):.2f}  max {max(taken):.2f}")
                if min(taken) > arguments.most:
                    too_much.append(f"{shown}: {min(taken):.2f} s")
    if too_much:
        raise SystemExit("\n".join(too_much))


if __name__ == "__main__":
    main()
