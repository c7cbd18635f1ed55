"""Consul: a real agent with access control lists where there is one, and in any case a program in its place."""

import json
import shutil
from collections.abc import Iterator

import pytest

from tests.recipes.machine import Machine, needs
from tests.recipes.recipe import recipes
from tests.systemd.container import missing, wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    needs("curl", "curl"),
    pytest.mark.skipif(bool(missing()), reason=missing() or "everything is there"),
]

MANAGEMENT = "11111111-1111-1111-1111-111111111111"
URL = f"http://127.0.0.1:8500/v1/health/service/web?passing&token={MANAGEMENT}"

AGENT = f"""\
server = true
bootstrap_expect = 1
node_name = "spot"
data_dir = "/var/lib/consul"
bind_addr = "127.0.0.1"
acl {{
  enabled = true
  default_policy = "deny"
  tokens {{
    initial_management = "{MANAGEMENT}"
    agent = "{MANAGEMENT}"
  }}
}}
service {{
  name = "web"
  port = 80
  token = "{MANAGEMENT}"
}}
"""

RULES = 'node "spot" { policy = "write" } agent "spot" { policy = "write" }'
"""What the page says that the token needs."""

UNIT = "[Service]\nExecStart=/usr/local/bin/consul agent -config-file=/etc/consul.hcl\n"


@pytest.fixture(params=["a program in its place", "a real agent"])
def consul(request: pytest.FixtureRequest, machine: Machine) -> Iterator[Machine]:
    """An agent with a service, and a token that may do what the page says."""
    container, real = machine.container, request.param == "a real agent"
    if real:
        program = shutil.which("consul") or pytest.skip(
            "no consul in PATH (Debian 12 has no package; build it from its Go module)"
        )
        shutil.copy(program, container.path("/opt/bin/consul"))
    else:
        machine.double("consul", "/opt/bin/consul")
        container.write("/var/lib/consul-double.json", json.dumps({"maintenance": "", "token": "secret"}))
        container.write("/etc/spotwatch/consul.token", "secret\n", 0o600)
    container.write("/etc/consul.hcl", AGENT)
    container.write("/etc/systemd/system/consul.service", UNIT)
    machine.follow(recipes()["Consul"])
    machine.start_unit("consul.service")
    wait_for(lambda: is_healthy(machine), "a healthy service", 30)
    if real:
        container.write("/etc/spotwatch/consul.token", make_token(machine), 0o600)
    yield machine
    container.run("rm", "-rf", "/var/lib/consul", "/opt/bin/consul")


def make_token(machine: Machine) -> str:
    consul = ("/usr/local/bin/consul", "acl")
    management = f"-token={MANAGEMENT}"
    machine.container.run(*consul, "policy", "create", management, "-name=spotwatch", f"-rules={RULES}")
    made = machine.container.run(*consul, "token", "create", management, "-policy-name=spotwatch", "-format=json")
    return str(json.loads(made)["SecretID"])


def is_healthy(machine: Machine) -> bool:
    code, body = machine.ask(URL)
    return code == 200 and len(json.loads(body)) == 1


def test_the_services_are_not_named_any_more_then_the_agent_leaves_and_it_all_returns(consul: Machine) -> None:
    assert consul.start() == {"return-to-consul": "succeeded"}
    assert is_healthy(consul)
    settings = recipes()["Consul"].settings
    wait = '[[hook]]\nname = "wait"\nstage = 50\ncommand = ["/bin/sleep", "3"]\n'
    consul.container.write("/etc/spotwatch/spotwatch.d/recipe.toml", settings + wait)
    consul.systemctl("reload", "spotwatch.service")
    consul.announce()
    consul.wait_for_hook("wait")
    assert not is_healthy(consul)
    assert consul.statuses("terminate") == dict.fromkeys(
        ("leave-consul-services", "wait", "leave-consul"), "succeeded"
    ), consul.output("leave-consul-services") + consul.output("leave-consul")
    wait_for(lambda: consul.state("consul.service") == "inactive", "the end of the agent")
    consul.withdraw()
    assert consul.statuses("start", 2) == {"return-to-consul": "succeeded"}
    wait_for(lambda: is_healthy(consul), "a healthy service", 30)


def test_maintenance_outlives_the_agent_so_it_has_to_be_ended(consul: Machine) -> None:
    consul.start()
    consul.spotwatch.announce("stop 100s")
    consul.report("stop")
    assert consul.statuses("stop") == {"leave-consul-services": "succeeded"}
    consul.systemctl("restart", "consul.service")
    wait_for(lambda: consul.ask(URL)[0] == 200, "the agent", 30)
    assert not is_healthy(consul)


def test_a_token_that_is_refused_is_a_failure(consul: Machine) -> None:
    consul.container.write("/etc/spotwatch/consul.token", "22222222-2222-2222-2222-222222222222\n")
    consul.start()
    consul.announce()
    assert consul.statuses("terminate") == {"leave-consul-services": "failed", "leave-consul": "failed"}
    assert is_healthy(consul)
