"""Docker: a real engine and real containers, made of busybox alone, without network."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recipes.machine import Machine, needs
from tests.recipes.recipe import recipes
from tests.systemd.container import missing, wait_for
from tests.systemd.installed import FILES

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    needs("dockerd", "docker.io"),
    needs("busybox", "busybox-static"),
    pytest.mark.skipif(bool(missing()), reason=missing() or "everything is there"),
]

SOCKET = "/var/tmp/docker.sock"


class Engine:
    """The engine's command line, from outside."""

    def __init__(self, socket: Path) -> None:
        self._environment = {**os.environ, "DOCKER_HOST": f"unix://{socket}"}

    def run(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            ["docker", *words], env=self._environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def answers(self) -> bool:
        return "CONTAINER ID" in self.run("ps", check=False)

    def begin(self, name: str, script: str, *options: str) -> None:
        """Run a shell script in a container."""
        self.run("run", "--detach", "--network=none", f"--name={name}", *options, "busybox", "sh", "-c", script)

    def of(self, name: str, what: str) -> str:
        return self.run("inspect", "--format", f"{{{{.State.{what}}}}}", name)

    def names(self) -> set[str]:
        return set(self.run("ps", "--format", "{{.Names}}").split())


def import_busybox(engine: Engine, directory: Path) -> None:
    programs = directory / "image" / "bin"
    programs.mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "", programs / "busybox")
    for name in ("sh", "sleep"):
        (programs / name).symlink_to("busybox")
    subprocess.run(["tar", "-C", str(programs.parent), "-cf", str(directory / "image.tar"), "."], check=True)
    engine.run("import", str(directory / "image.tar"), "busybox")


@pytest.fixture
def run_directory() -> Iterator[str]:
    """With a short name: containerd's sockets are in it, whose paths have no more than 104 bytes."""
    with tempfile.TemporaryDirectory(prefix="docker-", ignore_cleanup_errors=True) as name:
        yield name


@pytest.fixture
def engine(machine: Machine, tmp_path: Path, run_directory: str) -> Iterator[Engine]:
    """An engine outside of the container, whose socket is in it."""
    socket = machine.container.path(SOCKET)
    words = ["dockerd", f"--host=unix://{socket}", f"--data-root={tmp_path}/data", f"--exec-root={run_directory}"]
    words += [
        f"--pidfile={tmp_path}/pid",
        "--storage-driver=vfs",
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
    ]
    log = tmp_path / "dockerd.log"
    with log.open("w") as output:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        engine = Engine(socket)
        wait_for(lambda: engine.answers() or process.poll() is not None, "the engine", 30)
        assert process.poll() is None, log.read_text()
        import_busybox(engine, tmp_path)
        yield engine
    finally:
        process.terminate()
        process.wait(60)
        # An engine that could not start leaves its data mounted, and pytest could not remove the directory then.
        subprocess.run(["umount", "--quiet", "--lazy", f"{tmp_path}/data"], check=False, stderr=subprocess.DEVNULL)
        socket.unlink(missing_ok=True)


AT_ONCE = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
IN_TWO_SECONDS = "trap 'sleep 2; exit 0' TERM; while :; do sleep 0.1; done"
NEVER = "trap '' TERM; while :; do sleep 0.1; done"


def test_containers_are_stopped_in_their_order_and_those_that_were_are_started(
    machine: Machine, engine: Engine
) -> None:
    machine.follow(recipes()["Docker"])
    machine.spotwatch.drop_in(f"[Service]\nEnvironment=DOCKER_HOST=unix://{SOCKET}\n")
    engine.begin("web", IN_TWO_SECONDS, "--label=spotwatch.stop=first")
    engine.begin("database", AT_ONCE)
    engine.begin("stubborn", NEVER)
    engine.begin("passing", AT_ONCE, "--rm")
    engine.begin("over", "exit 0")
    assert machine.start() == {"start-containers": "succeeded"}
    assert engine.names() == {"web", "database", "stubborn", "passing"}
    machine.announce()
    machine.wait_for_hook("stop-containers")
    assert (engine.of("web", "Status"), engine.of("web", "ExitCode")) == ("exited", "0")
    expected = {"stop-first-containers": "succeeded", "stop-containers": "succeeded"}
    assert machine.statuses("terminate") == expected, machine.output("stop-containers")
    assert engine.names() == set()
    assert engine.of("web", "FinishedAt") < engine.of("database", "FinishedAt") < engine.of("stubborn", "FinishedAt")
    assert (engine.of("database", "ExitCode"), engine.of("stubborn", "ExitCode")) == ("0", "137")
    machine.withdraw()
    assert machine.statuses("start", 2) == {"start-containers": "succeeded"}
    assert engine.names() == {"web", "database", "stubborn"}


def test_without_containers_there_is_nothing_to_do(machine: Machine, engine: Engine) -> None:
    machine.follow(recipes()["Docker"])
    machine.spotwatch.drop_in(f"[Service]\nEnvironment=DOCKER_HOST=unix://{SOCKET}\n")
    machine.start()
    machine.announce()
    assert machine.statuses("terminate") == {"stop-first-containers": "succeeded", "stop-containers": "succeeded"}
    assert engine.names() == set()


def test_without_root_the_group_of_the_socket_is_enough(machine: Machine, engine: Engine) -> None:
    """With the unit's unprivileged drop-in and what the page says beside it."""
    assert "`SupplementaryGroups=docker`" in recipes()["Docker"].text
    machine.container.write("/etc/group", f"{machine.container.path('/etc/group').read_text()}docker:x:4711:\n")
    os.chown(machine.container.path(SOCKET), 0, 4711)
    machine.follow(recipes()["Docker"])
    unprivileged = (FILES / "spotwatch.service.d-unprivileged.conf").read_text()
    machine.spotwatch.drop_in(f"{unprivileged}\nSupplementaryGroups=docker\nEnvironment=DOCKER_HOST=unix://{SOCKET}\n")
    engine.begin("web", AT_ONCE, "--label=spotwatch.stop=first")
    machine.start()
    machine.announce()
    assert machine.statuses("terminate") == {"stop-first-containers": "succeeded", "stop-containers": "succeeded"}
    assert engine.names() == set()
    machine.withdraw()
    assert machine.statuses("start", 2) == {"start-containers": "succeeded"}
    assert engine.names() == {"web"}


def test_without_an_engine_it_is_a_failure(machine: Machine) -> None:
    machine.follow(recipes()["Docker"])
    machine.spotwatch.drop_in(f"[Service]\nEnvironment=DOCKER_HOST=unix://{SOCKET}\n")
    machine.start()
    machine.announce()
    assert machine.statuses("terminate") == {"stop-first-containers": "failed", "stop-containers": "failed"}
    assert "docker" in machine.output("stop-containers").lower()
