"""Kubernetes: a real kubectl. In place of the API server a small one, which allows what the page's role allows."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.recipes.certificate import make_certificate
from tests.recipes.machine import Machine, needs
from tests.recipes.recipe import recipes
from tests.systemd.container import missing, wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    needs("kubectl", "kubernetes-client"),
    needs("openssl", "openssl"),
    pytest.mark.skipif(bool(missing()), reason=missing() or "everything is there"),
]

RECIPE = recipes()["Kubernetes"]
STATE = "/var/tmp/kubernetes.json"
TOKEN = "of-a-test"
OWN, OTHER = "ip-10-0-18-37.internal", "ip-10-0-18-38.internal"

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [
        {"name": "c", "cluster": {"server": "https://127.0.0.1:6443", "certificate-authority": "/var/tmp/cert.pem"}}
    ],
    "users": [{"name": "u", "user": {"tokenFile": "/etc/spotwatch/kubernetes.token"}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "x",
}


def node(name: str, instance: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"providerID": f"aws:///ap-northeast-1a/{instance}"}}


def pod(name: str, kind: str, on: str = OWN, *, takes: float = 0.5, **metadata: Any) -> dict[str, Any]:
    """A pod that takes some seconds from SIGTERM to its end."""
    owners = [{"apiVersion": "apps/v1", "kind": kind, "name": "it", "uid": "1", "controller": True}] if kind else []
    return {
        "metadata": {"name": name, "namespace": "default", "uid": name, "ownerReferences": owners, **metadata},
        "spec": {
            "nodeName": on,
            "terminationGracePeriodSeconds": 600,
            "containers": [],
            "volumes": [{"name": "scratch", "emptyDir": {}}],
        },
        "status": {"phase": "Running"},
        "takes": takes,
    }


class Cluster:
    """The state of the API server."""

    def __init__(self, machine: Machine) -> None:
        self._file = machine.container.path(STATE)
        rules = yaml.safe_load(RECIPE.block("yaml"))["rules"]
        pods = [
            pod("web", "ReplicaSet", takes=3),
            pod("guarded", "ReplicaSet", labels={"guarded": "yes"}),
            pod("alone", ""),
            pod("agent", "DaemonSet"),
            pod("static", "", annotations={"kubernetes.io/config.mirror": "x"}),
            pod("elsewhere", "ReplicaSet", OTHER),
        ]
        nodes = [node(OTHER, "i-0fedcba9876543210"), node(OWN, "i-0123456789abcdef0")]
        self.write({"rules": rules, "nodes": nodes, "pods": pods, "budget": 1, "requests": []})

    def write(self, state: dict[str, Any]) -> None:
        self._file.write_text(json.dumps(state))

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._file.read_text())
        return found

    def cordoned(self) -> list[str]:
        return [node["metadata"]["name"] for node in self.read()["nodes"] if node["spec"].get("unschedulable")]

    def evicted(self) -> dict[str, int]:
        """The pods that were evicted, with their grace in seconds."""
        return {pod["metadata"]["name"]: pod["grace"] for pod in self.read()["pods"] if "gone" in pod}

    def asked(self, verb: str) -> list[str]:
        return [path for asked, path in self.read()["requests"] if asked == verb]


@pytest.fixture
def cluster(machine: Machine, tmp_path: Path) -> Cluster:
    cluster = Cluster(machine)
    cert, key = make_certificate(tmp_path, "IP:127.0.0.1")
    machine.container.write("/var/tmp/cert.pem", cert.read_text())
    machine.container.write("/var/tmp/key.pem", key.read_text(), 0o600)
    machine.container.write("/etc/spotwatch/kubernetes.token", TOKEN, 0o600)
    machine.container.write("/etc/spotwatch/kubeconfig", json.dumps(KUBECONFIG), 0o600)
    double = machine.double("kubernetes_api")
    machine.start_service("kubernetes-api", double, "/var/tmp/cert.pem", "/var/tmp/key.pem", TOKEN, STATE)
    machine.follow(RECIPE)
    return cluster


def test_this_node_is_cordoned_its_pods_are_waited_for_and_it_returns(machine: Machine, cluster: Cluster) -> None:
    assert machine.start() == {"uncordon-node": "succeeded"}
    assert cluster.read()["requests"] == [], "nothing was to be undone"
    machine.announce()
    wait_for(cluster.cordoned, "the cordon")
    assert machine.statuses("terminate") == {"drain-node": "succeeded"}, machine.output("drain-node")
    assert cluster.cordoned() == [OWN]
    assert cluster.evicted() == {"web": 60, "guarded": 60, "alone": 60}
    (hook,) = machine.report("terminate")["hooks"]
    assert hook["seconds"] > 5, "the budget has refused once, and is asked again after five seconds"
    machine.withdraw()
    assert machine.statuses("start", 2) == {"uncordon-node": "succeeded"}
    assert cluster.cordoned() == []
    machine.systemctl("restart", "spotwatch.service")
    assert machine.statuses("start", 3) == {"uncordon-node": "succeeded"}
    assert len(cluster.asked("patch")) == 2, "undone once"


def test_what_a_budget_protects_is_still_there_when_the_time_is_over(machine: Machine, cluster: Cluster) -> None:
    cluster.write({**cluster.read(), "budget": 1000})
    machine.start()
    machine.announce(20)
    assert machine.statuses("terminate") == {"drain-node": "timed-out"}
    assert set(cluster.evicted()) == {"web", "alone"}
    assert "disruption budget" in machine.output("drain-node") or "TooManyRequests" in machine.output("drain-node")


@pytest.mark.parametrize("number", range(4))
def test_each_rule_of_the_role_is_needed(machine: Machine, cluster: Cluster, number: int) -> None:
    state = cluster.read()
    rules = [rule for rule in state["rules"] if rule is not state["rules"][number]]
    cluster.write({**state, "rules": rules})
    machine.start()
    machine.announce(20)
    (status,) = machine.statuses("terminate").values()
    assert status in {"failed", "timed-out"}
    assert "forbidden" in machine.output("drain-node").lower()


def test_a_node_that_is_not_there_is_a_failure_and_no_other_is_drained(machine: Machine, cluster: Cluster) -> None:
    state = cluster.read()
    cluster.write({**state, "nodes": state["nodes"][:1]})
    machine.start()
    machine.announce()
    assert machine.statuses("terminate") == {"drain-node": "failed"}
    assert "no node has the provider id aws:///ap-northeast-1a/i-0123456789abcdef0" in machine.output("drain-node")
    assert cluster.cordoned() == []
