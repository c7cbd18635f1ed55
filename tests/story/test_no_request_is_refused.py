"""The story of an interruption as clients see it: whoever has a fresh answer of the name server is served.

Real are the daemon, its built-in hooks, the name server (PowerDNS, by its tables), the HTTP servers and the clients.
Instances are addresses of the loopback network here, so nobody needs to be root; with network interfaces and EC2 in it
the story is told in `test_whole_story.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep

import pytest

from spotwatch.simulate.instance import Instance
from spotwatch.simulate.service import MetadataService
from tests.dns import servers
from tests.dns.servers import NAME, RealServer, free_port
from tests.naming import ONE, OTHER
from tests.story.clients import Clients
from tests.story.instance import Machine, SpotInstance, interruption, name_hook, served, stop_application
from tests.story.shares import NEVER, probability

pytestmark = [pytest.mark.slow, pytest.mark.acceptance]

ANSWER_CACHE = 1
"""Seconds for which the name server repeats an answer."""

ADDRESSES = {"small": ("127.0.1.1",), "big": ("127.0.2.1", "127.0.2.2", "127.0.2.3", "127.0.2.4")}
IDS = {"small": ONE, "big": OTHER}


Hooks = Callable[["Rig"], Sequence[str]]


@dataclass
class Rig:
    """A name server, and instances that have joined it."""

    directory: Path
    server: RealServer
    database: str
    stack: ExitStack
    ttl: int = 2
    port: int = field(default_factory=free_port)

    def hook(self, use: str, *words: str, on: str, stage: int = 10) -> str:
        place = ("sql", "--schema", "powerdns", "--database", f"sqlite://{self.database}", "--name", NAME)
        return name_hook(use, *place, "--check-server", f"127.0.0.1:{self.server.port}", *words, on=on, stage=stage)

    def leave(self, *words: str, stage: int = 10) -> str:
        return self.hook("leave-dns", "--answer-cache", f"{ANSWER_CACHE}s", *words, on="terminate", stage=stage)

    def instance(self, name: str, *hooks: str) -> SpotInstance:
        told = [word for address in ADDRESSES[name] for word in ("--address", address)]
        join = self.hook("join-dns", *told, "--ttl", f"{self.ttl}s", on="start")
        service = self.stack.enter_context(MetadataService(Instance(instance_id=IDS[name])))
        machine = Machine(service, ADDRESSES[name], endpoint=service.url)
        return self.stack.enter_context(SpotInstance(self.directory / name, machine, self.port, (join, *hooks)))

    def clients(self) -> Clients:
        return Clients("127.0.0.1", self.server.port, self.port)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    (tmp_path / "dns").mkdir()
    with servers.powerdns(tmp_path / "dns", answer_cache=ANSWER_CACHE) as (server, database), ExitStack() as stack:
        yield Rig(tmp_path, server, database.name, stack)


def test_nobody_with_a_fresh_answer_is_refused_from_the_notice_to_the_last_request(rig: Rig) -> None:
    rig.instance("small")
    big = rig.instance("big", rig.leave("--wait-ttl"), stop_application(stage=20))
    served(interruption(big, rig.clients(), rig.ttl), "leave-dns", "stop-application")


def test_nor_if_daemon_and_hooks_are_killed_while_others_remember_the_answer(rig: Rig) -> None:
    """The name service says nothing of the instance any more when leave-dns is run again."""
    rig.ttl = 8
    rig.instance("small")
    big = rig.instance("big", rig.leave("--wait-ttl"), stop_application(stage=20))

    def kill() -> None:
        while not rig.server.addresses().isdisjoint(ADDRESSES["big"]):
            sleep(0.05)
        sleep(1)
        big.kill_daemon_and_hooks()

    served(interruption(big, rig.clients(), rig.ttl, kill), "leave-dns", "stop-application")


@pytest.mark.parametrize(
    "hooks",
    [
        pytest.param(lambda _: [stop_application()], id="without leave-dns"),
        pytest.param(lambda rig: [rig.leave(), stop_application(stage=20)], id="without --wait-ttl"),
        pytest.param(lambda rig: [stop_application(), rig.leave("--wait-ttl", stage=20)], id="in the wrong order"),
    ],
)
def test_otherwise_somebody_is_refused(rig: Rig, hooks: Hooks) -> None:
    """The check of the test before can fail, and each part of what it shows is needed."""
    rig.ttl = 8  # longer than leave-dns takes on a busy machine: somebody has to remember what it takes out
    rig.instance("small")
    seen = interruption(rig.instance("big", *hooks(rig)), rig.clients(), rig.ttl)
    assert seen.report.verdict == "drained"
    assert {each.problem for each in seen.refused} >= {"ConnectionRefusedError: [Errno 111] Connection refused"}


def test_each_instance_gets_requests_in_proportion_to_its_addresses(rig: Rig) -> None:
    small, big = rig.instance("small"), rig.instance("big")
    with rig.clients():
        while (total := len(small.arrivals()) + (of_big := len(big.arrivals()))) < 600:
            sleep(0.05)
    assert probability(of_big, total, 4 / 5) > NEVER
    assert probability(of_big, total, 1 / 2) < NEVER
