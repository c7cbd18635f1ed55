"""nginx: a real one with Debian's unit, real requests."""

import pytest

from tests.recipes.machine import Machine, needs
from tests.recipes.recipe import recipes
from tests.systemd.container import missing, wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    needs("nginx", "nginx"),
    needs("curl", "curl"),
    pytest.mark.skipif(bool(missing()), reason=missing() or "everything is there"),
]

RECIPE = recipes()["nginx"]
URL = "http://127.0.0.1:8080"

CONFIGURATION = f"""\
user nobody nogroup;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
events {{ }}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:8080;
        {RECIPE.block("nginx")}
        location / {{ proxy_pass http://127.0.0.1:8081; }}
    }}
}}
"""


@pytest.fixture
def served(machine: Machine) -> Machine:
    """The real nginx in front of a slow server."""
    machine.start_service("app", machine.double("slow_server"), "app", "127.0.0.1", "8081")
    machine.container.run("mkdir", "-p", "/var/log/nginx", "/var/lib/nginx")
    machine.container.run("rm", "-f", "/run/leaving")
    machine.container.write("/etc/nginx/nginx.conf", CONFIGURATION)
    machine.start_unit("nginx.service")
    wait_for(lambda: machine.ask(URL) == (200, "app"), "nginx")
    return machine


def test_the_health_check_fails_first_then_requests_end_and_new_ones_are_refused(served: Machine) -> None:
    served.follow(RECIPE)
    assert served.start() == {"start-nginx": "succeeded"}
    assert served.ask(f"{URL}/healthz")[0] == 200
    slow = served.request(f"{URL}/23")
    served.announce()
    wait_for(lambda: served.ask(f"{URL}/healthz")[0] == 503, "a health check that fails")
    assert served.ask(URL) == (200, "app")
    served.wait_for_hook("quit-nginx")
    wait_for(lambda: served.ask(URL)[0] == 0, "a refused connection")
    assert not slow.is_over
    assert slow.answer() == (200, "app")
    assert served.statuses("terminate") == {"fail-health-check": "succeeded", "quit-nginx": "succeeded"}
    assert served.state("nginx.service") == "inactive"
    served.withdraw()
    assert served.statuses("start", 2) == {"start-nginx": "succeeded"}
    assert (served.ask(f"{URL}/healthz")[0], served.ask(URL)[0]) == (200, 200)


def test_debian_s_unit_would_give_requests_five_seconds(served: Machine) -> None:
    slow = served.request(f"{URL}/8")
    assert served.ask(f"{URL}/0.5") == (200, "app")
    served.systemctl("stop", "nginx.service")
    assert slow.answer()[0] == 0
