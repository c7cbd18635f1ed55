"""HAProxy: a real one, Debian's unit, real requests; the runtime socket over TCP."""

from threading import Event, Thread

import pytest

from tests.recipes.machine import Answer, Machine, needs
from tests.recipes.recipe import recipes
from tests.systemd.container import missing, wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    needs("haproxy", "haproxy"),
    needs("socat", "socat"),
    needs("curl", "curl"),
    pytest.mark.skipif(bool(missing()), reason=missing() or "everything is there"),
]

OWN, OTHER, BALANCER = "10.0.0.11", "10.0.0.12", "10.0.0.5"
URL = f"http://{BALANCER}:8080"

CONFIGURATION = f"""\
global
    stats socket ipv4@{BALANCER}:9999 level admin
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend web
    bind {BALANCER}:8080
    default_backend app
backend app
    server one {OWN}:8081
    server two {OTHER}:8081
"""


@pytest.fixture
def balanced(machine: Machine) -> Machine:
    """HAProxy in front of a server with this machine's address, and of another."""
    container = machine.container
    if OWN not in container.run("hostname", "-I"):
        container.run("ip", "link", "add", "own", "type", "veth", "peer", "name", "peer")
        container.run("ip", "addr", "add", f"{OWN}/32", "dev", "own")
        container.run("ip", "link", "set", "own", "up")
        for address in (OTHER, BALANCER):
            container.run("ip", "addr", "add", f"{address}/32", "dev", "lo")
    server = machine.double("slow_server")
    machine.start_service("one", server, "one", OWN, "8081")
    machine.start_service("two", server, "two", OTHER, "8081")
    container.run("mkdir", "-p", "/var/lib/haproxy/dev")
    container.write("/var/lib/haproxy/dev/log", "")
    container.write("/etc/haproxy/haproxy.cfg", CONFIGURATION)
    machine.start_unit("haproxy.service")
    wait_for(lambda: served_by(machine, 4) == {"one", "two"}, "both servers")
    return machine


def served_by(machine: Machine, requests: int) -> set[str]:
    return {machine.ask(URL)[1] for _ in range(requests)}


def test_no_new_request_comes_while_those_under_way_are_waited_for_and_it_returns(balanced: Machine) -> None:
    balanced.follow(recipes()["HAProxy on another machine"])
    assert balanced.start() == {"return-to-haproxy": "succeeded"}
    slow = [balanced.request(f"{URL}/9") for _ in range(2)]
    balanced.announce()
    balanced.wait_for_output("leave-haproxy", "app/one: drain")
    assert served_by(balanced, 10) == {"two"}
    assert not any(request.is_over for request in slow)
    assert "-terminate" not in "".join(report["drain"] for report in balanced.spotwatch.reports() if report["ended_at"])
    assert sorted(request.answer() for request in slow) == [(200, "one"), (200, "two")]
    assert balanced.statuses("terminate") == {"leave-haproxy": "succeeded"}
    balanced.withdraw()
    assert balanced.statuses("start", 2) == {"return-to-haproxy": "succeeded"}
    assert served_by(balanced, 4) == {"one", "two"}


class Clients(Thread):
    """Somebody who sends one request after the other, until asked to stop."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.answers: list[Answer] = []
        self._machine = machine
        self._enough = Event()

    def run(self) -> None:
        while not self._enough.is_set():
            self.answers.append(self._machine.ask(f"{URL}/0.3"))

    def stop(self) -> list[Answer]:
        self._enough.set()
        self.join()
        return self.answers


def test_the_story_of_the_stages_no_request_is_lost_though_the_server_is_stopped(balanced: Machine) -> None:
    """Stage 10 leaves the balancer, stage 20 stops the server, stage 90 has time that nobody took."""
    balanced.follow(recipes()["HAProxy on another machine"])
    later = (
        '[[hook]]\nname = "stop-server"\nstage = 20\ncommand = ["/usr/bin/systemctl", "stop", "one.service"]\n'
        '[[hook]]\nname = "logs"\nstage = 90\ncommand = ["/bin/sleep", "1"]\nreserve = "5s"\n'
    )
    balanced.container.write("/etc/spotwatch/spotwatch.d/server.toml", later)
    balanced.start()
    clients = [Clients(balanced) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        balanced.announce()
        report = balanced.report("terminate")
    finally:
        answers = [answer for client in clients for answer in client.stop()]
        balanced.container.run("rm", "/etc/spotwatch/spotwatch.d/server.toml")
    assert (report["verdict"], not balanced.is_active("one.service")) == ("drained", True)
    assert {code for code, _ in answers} == {200}
    assert {name for _, name in answers} == {"one", "two"}
    assert [hook["name"] for hook in report["hooks"]] == ["leave-haproxy", "stop-server", "logs"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("level admin", "level operator"), "Permission denied"),
        ((f"server one {OWN}", "server one 10.0.0.13"), "no server of app has an address of this machine"),
    ],
    ids=["not allowed", "not ours"],
)
def test_what_haproxy_refuses_is_a_failure(balanced: Machine, change: tuple[str, str], says: str) -> None:
    balanced.container.write("/etc/haproxy/haproxy.cfg", CONFIGURATION.replace(*change))
    balanced.systemctl("restart", "haproxy.service")
    balanced.follow(recipes()["HAProxy on another machine"])
    balanced.start()
    balanced.announce()
    assert balanced.statuses("terminate") == {"leave-haproxy": "failed"}
    assert says in balanced.output("leave-haproxy")


def test_a_haproxy_of_its_own_finishes_its_requests_and_refuses_new_ones(balanced: Machine) -> None:
    balanced.follow(recipes()["HAProxy on the instance"])
    assert balanced.start() == {"start-haproxy": "succeeded"}
    slow = balanced.request(f"{URL}/7")
    balanced.announce()
    balanced.wait_for_hook("stop-haproxy")
    wait_for(lambda: balanced.ask(URL)[0] == 0, "a refused connection")
    assert not slow.is_over
    assert slow.answer()[0] == 200
    assert balanced.statuses("terminate") == {"stop-haproxy": "succeeded"}
    assert balanced.state("haproxy.service") == "inactive"
    balanced.withdraw()
    assert balanced.statuses("start", 2) == {"start-haproxy": "succeeded"}
    assert balanced.ask(URL)[0] == 200


def test_without_the_drop_in_its_requests_would_be_cut(balanced: Machine) -> None:
    balanced.container.run("rm", "-rf", "/etc/systemd/system/haproxy.service.d")
    balanced.systemctl("daemon-reload")
    balanced.systemctl("restart", "haproxy.service")
    slow = balanced.request(f"{URL}/4")
    wait_for(lambda: balanced.ask(URL)[0] == 200, "an answer")
    balanced.systemctl("stop", "haproxy.service")
    assert slow.answer()[0] == 0
