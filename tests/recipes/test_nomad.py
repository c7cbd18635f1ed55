"""Nomad: a program in its place, which has the words of the documentation and behaves as it says. No real Nomad."""

import json
from typing import Any

import pytest

from tests.recipes.machine import Machine
from tests.recipes.recipe import recipes
from tests.systemd.container import missing, wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing() or "everything is there"),
]


class Node:
    """The state of the node."""

    def __init__(self, machine: Machine, **allocations: float) -> None:
        self._file = machine.container.path("/var/lib/nomad-double.json")
        self.write(
            {
                "allocations": allocations,
                "drained": None,
                "eligible": True,
                "token": "secret",
                "forced": [],
                "refusals": 0,
            }
        )

    def write(self, state: dict[str, Any]) -> None:
        self._file.write_text(json.dumps(state))

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._file.read_text())
        return found


@pytest.fixture
def node(machine: Machine) -> Node:
    machine.double("nomad", "/opt/bin/nomad")
    machine.container.write("/etc/spotwatch/nomad.token", "secret\n", 0o600)
    machine.follow(recipes()["Nomad"])
    return Node(machine, web=2, batch=3)


def test_allocations_are_waited_for_and_the_node_returns(machine: Machine, node: Node) -> None:
    assert machine.start() == {"return-to-nomad": "succeeded"}
    machine.announce()
    wait_for(lambda: node.read()["eligible"] is False, "a node that is not eligible")
    assert machine.statuses("terminate") == {"drain-nomad": "succeeded"}
    (hook,) = machine.report("terminate")["hooks"]
    assert hook["seconds"] > 3
    node.write({**node.read(), "refusals": 1})
    machine.withdraw()
    assert machine.statuses("start", 2) == {"return-to-nomad": "succeeded"}
    assert (node.read()["eligible"], node.read()["drained"], node.read()["forced"]) == (True, None, [])


def test_its_deadline_leaves_time_within_the_hook_s(machine: Machine, node: Node) -> None:
    machine.start()
    machine.announce()
    wait_for(lambda: node.read()["drained"], "the drain")
    assert node.read()["drained"] == 75
    assert 'timeout = "90s"' in recipes()["Nomad"].settings


def test_a_wrong_token_is_a_failure(machine: Machine, node: Node) -> None:
    machine.container.write("/etc/spotwatch/nomad.token", "wrong\n")
    machine.start()
    machine.announce()
    assert machine.statuses("terminate") == {"drain-nomad": "failed"}
    assert "Permission denied" in machine.output("drain-nomad")
    assert node.read()["eligible"]
