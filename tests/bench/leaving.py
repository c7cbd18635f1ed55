"""From the notice until the instance takes no new requests: out of every target group, and no longer answered by DNS.

    python -m tests.bench.leaving [--runs 5] [--groups 20]

The real daemon runs `leave-target-groups`, `leave-dns` (dynamic updates, a real BIND), `leave-auto-scaling` and
`drain-ecs` side by side in one stage. Someone who looks all the time says when the load balancers (the strict double)
have no target of the instance any more that is not draining, and when BIND answered with its address for the last time.
The yardstick is each of the two hooks run alone, by hand. AWS's own latency is in none of the figures.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spotwatch.simulate.instance import Instance
from spotwatch.simulate.service import MetadataService
from tests.balancers import GROUP, Account, HookClock
from tests.dns import servers
from tests.dns.servers import NAME, RealServer
from tests.strict_balancers import StrictBalancers

HOLDING = 5
"""Target groups that hold the instance, of all there are."""

DELAY = 2
"""Seconds that targets drain for."""

ADDRESS = "10.0.0.5"
INTERVAL = 0.2
"""Seconds between two looks of the daemon's for a notice; by default there are 2."""

LOOK = 0.01
"""Seconds between two looks of ours."""

BALANCERS, DNS = "leave-target-groups", "leave-dns"


class Rig:
    """An instance in an account, and what is needed to put it back into service."""

    def __init__(self, aws: StrictBalancers, server: RealServer, groups: int) -> None:
        self.aws, self.server = aws, server
        self.account = Account(aws, HookClock())
        (self.instance,) = self.account.scaled()
        self.container = self.account.container_instance()
        self.arns = [self.account.group(f"g{number}", delay=DELAY, used=number < HOLDING) for number in range(groups)]
        self.told = {"SPOTWATCH_INSTANCE_ID": self.instance, "SPOTWATCH_REGION": "eu-west-1", "SPOTWATCH_TIMEOUT": "60"}
        where = ["--server", f"127.0.0.1:{server.port}", "--key-file", str(server.key), "--address", ADDRESS]
        self.place = ["update", "--name", NAME, *where]
        self.hooks: Mapping[str, Sequence[str]] = {
            BALANCERS: [],
            DNS: self.place,
            "leave-auto-scaling": [],
            "drain-ecs": ["--cluster", self.container.cluster, "--container-instance", self.container.arn],
        }

    def in_service(self) -> None:
        """Everywhere, as before it left."""
        for arn in self.arns[:HOLDING]:
            self.account.register(arn, self.instance)
        self.run("join-dns", [*self.place, "--ttl", "1s"])
        if self.instance not in self.account.states():
            self.account.autoscaling.attach_instances(InstanceIds=[self.instance], AutoScalingGroupName=GROUP)
        self.account.ecs.update_container_instances_state(
            cluster=self.container.cluster, containerInstances=[self.container.arn], status="ACTIVE"
        )

    def run(self, hook: str, words: Sequence[str]) -> None:
        """By hand."""
        argv = [sys.executable, "-m", "spotwatch", "hook", hook, *words]
        subprocess.run(argv, env={**os.environ, **self.told}, check=True, stdout=subprocess.DEVNULL)

    def is_balanced(self) -> bool:
        """Whether a load balancer may still send it a request."""
        groups = list(self.aws.balancing.targets.values())
        return any(target.drains_until is None for group in groups for target in list(group.values()))

    def is_answered(self) -> bool:
        """Whether the name server still answers with its address."""
        return ADDRESS in self.server.addresses()


@contextlib.contextmanager
def watched(looks: Mapping[str, Callable[[], bool]]) -> Iterator[dict[str, float]]:
    """When each was seen for the last time (monotonic clock), by somebody who looks all the time."""
    last: dict[str, float] = {}
    over = threading.Event()

    def watch(name: str, look: Callable[[], bool]) -> None:
        while not over.wait(LOOK):
            if look():
                last[name] = time.monotonic()

    threads = [threading.Thread(target=watch, args=pair) for pair in looks.items()]
    for thread in threads:
        thread.start()
    try:
        yield last
    finally:
        over.set()
        for thread in threads:
            thread.join()


def alone(rig: Rig, hook: str) -> tuple[float, float]:
    """Seconds until its effect, and until its end."""
    rig.in_service()
    look = {BALANCERS: rig.is_balanced, DNS: rig.is_answered}[hook]
    with watched({hook: look}) as last:
        began = time.monotonic()
        rig.run(hook, rig.hooks[hook])
        ended = time.monotonic()
    return last[hook] - began, ended - began


@contextlib.contextmanager
def daemon(rig: Rig, service: MetadataService, directory: Path) -> Iterator[None]:
    """Armed."""
    config = directory / "spotwatch.toml"
    config.write_text(
        "".join(
            f'[[hook]]\nname = "{name}"\nuse = "{name}"\nargs = {json.dumps(words)}\non = ["terminate"]\nstage = 10\n'
            for name, words in rig.hooks.items()
        )
    )
    settings = {
        "metadata.endpoint": service.url,
        "metadata.poll_interval": f"{INTERVAL * 1000:.0f}ms",
        "state.directory": f"{directory}/state",
        "state.runtime_directory": f"{directory}/run",
        "log.level": "error",
    }
    overrides = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    process = subprocess.Popen([sys.executable, "-m", "spotwatch", "run", "--config", str(config), *overrides])
    try:
        while not (directory / "run" / "status.json").exists():
            time.sleep(LOOK)
        time.sleep(1)
        yield
    finally:
        process.terminate()
        process.wait()


@dataclass(frozen=True, slots=True)
class Together:
    """Seconds from the notice.

    Attributes:
        balanced: until no target group has it in its healthy set.
        answered: until DNS does not answer with it.
        ended: until the drain's end.
        slowest: the time of the slowest hook itself, as the report has it.
    """

    balanced: float
    answered: float
    ended: float
    slowest: float


def together(rig: Rig, directory: Path) -> Together:
    """All of them in one stage of a drain."""
    rig.in_service()
    reports = directory / "state" / "reports"
    instance = Instance(instance_id=rig.instance, region="eu-west-1")
    with MetadataService(instance) as service, daemon(rig, service, directory):
        known = set(reports.glob("*.json"))
        with watched({BALANCERS: rig.is_balanced, DNS: rig.is_answered}) as last:
            noticed = time.monotonic()
            service.interrupt("terminate", datetime.now(UTC) + timedelta(seconds=120))
            while not (came := set(reports.glob("*.json")) - known):
                time.sleep(LOOK)
            ended = time.monotonic()
    hooks = json.loads(came.pop().read_text())["hooks"]
    failed = [
        f"{hook['name']}: {hook['status']} ({hook['exit_code']})" for hook in hooks if hook["status"] != "succeeded"
    ]
    if failed:
        raise SystemExit("; ".join(failed))
    slowest = max(hook["seconds"] for hook in hooks)
    return Together(last[BALANCERS] - noticed, last[DNS] - noticed, ended - noticed, slowest)


def shown(seconds: Sequence[float]) -> str:
    """The quickest and the middle one."""
    return f"min {min(seconds):.2f}  median {statistics.median(seconds):.2f}"


def main() -> None:
    """Print the figures; exit code 1 if the drain takes more than a second beyond its slowest hook."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--groups", type=int, default=20)
    arguments = parser.parse_args()
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    with tempfile.TemporaryDirectory() as place, StrictBalancers() as aws, servers.bind(Path(place)) as server:
        os.environ.update(aws.environment())
        rig = Rig(aws, server, arguments.groups)
        print(f"{arguments.groups} target groups, {HOLDING} hold it and drain for {DELAY} s; {arguments.runs} runs, s")
        by_hand = {hook: [alone(rig, hook) for _ in range(arguments.runs)] for hook in (BALANCERS, DNS)}
        for hook, taken in by_hand.items():
            effects, ends = zip(*taken, strict=True)
            print(f"  {hook} alone, by hand:   effect after {shown(effects)};  its end {shown(ends)}")
        measured = []
        for _ in range(arguments.runs):
            with tempfile.TemporaryDirectory() as directory:
                measured.append(together(rig, Path(directory)))
    beyond = [each.ended - each.slowest for each in measured]
    for what, seconds in {
        "notice to out of every healthy set": [each.balanced for each in measured],
        "notice to no longer answered by DNS": [each.answered for each in measured],
        f"notice to the end of all {len(rig.hooks)} hooks": [each.ended for each in measured],
        "the slowest hook's own time": [each.slowest for each in measured],
        "beyond it (wanted: at most 1)": beyond,
    }.items():
        print(f"  side by side, {what + ':':37} {shown(seconds)}")
    print(f"  load {os.getloadavg()[0]:.1f}")
    if min(beyond) > 1:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
