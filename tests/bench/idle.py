"""CPU per poll and resident memory of the idle daemon after N polls, beside bare clients, in one run.

    python -m tests.bench.idle [--polls 1000] [--interval 0.1]

The bare clients ask the same service for the same item at the same interval with the same token: ``http.client`` over a
new connection when the service closes it (it does after every 404, as AWS's does), and ``curl`` once a poll. Memory is
set against an interpreter that has only imported httpx, structlog and tenacity.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.service import served

HTTP_CLIENT = """
import http.client, sys, time
host, port, polls, interval = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
connection = http.client.HTTPConnection(host, port)
def ask(method, path, headers):
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer.read().decode()
token = ask("PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "21600"})
due = time.monotonic()
for _ in range(polls):
    ask("GET", "/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token})
    due += interval
    time.sleep(max(0.0, due - time.monotonic()))
"""

CURL = """
url=$1; polls=$2; interval=$3
token=$(curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 21600' $url/latest/api/token)
for i in $(seq $polls); do
    curl -s -o /dev/null -H "X-aws-ec2-metadata-token: $token" $url/latest/meta-data/spot/instance-action
    sleep $interval
done
"""

IMPORTS = "import httpx, structlog, tenacity; print(open('/proc/self/status').read())"


def children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cpu_of(pid: int) -> float:
    """CPU seconds of a running process."""
    values = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(status: str) -> int:
    return int(status.split("VmRSS:")[1].split()[0])


def bare(argv: list[str], polls: int) -> float:
    """CPU milliseconds per poll of a client that runs to its end."""
    before = children_cpu()
    subprocess.run(argv, check=True)
    return (children_cpu() - before) / polls * 1000


def daemon(url: str, polls: int, interval: float) -> tuple[float, int]:
    """CPU milliseconds per poll, and KiB resident after them, of the daemon with its default intervals otherwise."""
    with tempfile.TemporaryDirectory() as directory:
        settings = {
            "metadata.endpoint": url,
            "metadata.poll_interval": f"{interval * 1000:.0f}ms",
            "state.directory": f"{directory}/state",
            "state.runtime_directory": f"{directory}/run",
            "log.level": "error",
        }
        empty = Path(directory, "spotwatch.toml")
        empty.touch()
        words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        process = subprocess.Popen([sys.executable, "-m", "spotwatch", "run", "--config", str(empty), *words])
        try:
            time.sleep(2.0)
            before, began = cpu_of(process.pid), time.monotonic()
            time.sleep(polls * interval)
            used, polled = cpu_of(process.pid) - before, (time.monotonic() - began) / interval
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        finally:
            process.terminate()
            process.wait()
    return used / polled * 1000, resident_kib(status)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--polls", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=0.1)
    words = parser.parse_args()
    with served() as url:
        host, port = url.removeprefix("http://").split(":")
        ours, resident = daemon(url, words.polls, words.interval)
        python = bare(
            [sys.executable, "-c", HTTP_CLIENT, host, port, str(words.polls), str(words.interval)], words.polls
        )
        curl = bare(["sh", "-c", CURL, "sh", url, str(words.polls), str(words.interval)], words.polls)
    imports = resident_kib(subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True).stdout)
    print(f"CPU per poll, ms: spotwatch {ours:.2f}, http.client {python:.2f}, curl {curl:.2f}")
    print(f"  ratio to http.client {ours / python:.2f} (wanted: at most 6), to curl {ours / curl:.2f}")
    print(f"resident, MiB: spotwatch {resident / 1024:.1f}, imports only {imports / 1024:.1f}")
    print(f"  ratio {resident / imports:.2f} (wanted: at most 1.25)")


if __name__ == "__main__":
    main()
