"""Runners of GitLab and GitHub: programs in their place, which treat signals as the real ones are said to.

Real are systemd and its signals, the drop-in, and the order of things. The unit of each has what matters here in common
with the one that the product installs.
"""

import json
from pathlib import Path

import pytest

from tests.recipes.certificate import make_certificate
from tests.recipes.machine import Machine, needs
from tests.recipes.recipe import recipes
from tests.systemd.container import missing, wait_for

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    needs("curl", "curl"),
    needs("pgrep", "procps"),
    needs("openssl", "openssl"),
    pytest.mark.skipif(bool(missing()), reason=missing() or "everything is there"),
]

PLACE = "/var/lib/ci"
GITLAB_UNIT = "gitlab-runner.service"
GITHUB_UNIT = "actions.runner.OWNER-REPOSITORY.spot.service"
RUNNER = "/opt/actions-runner"
TOKEN = "of a test"


class Jobs:
    """The queue of a runner, and what became of its jobs."""

    def __init__(self, machine: Machine) -> None:
        self._place = machine.container.path(PLACE)
        (self._place / "queue").mkdir(parents=True, exist_ok=True)
        for file in (self._place / "queue").iterdir():
            file.unlink()
        (self._place / "log").write_text("")

    def put(self, name: str, text: str) -> None:
        (self._place / name).write_text(text)
        (self._place / name).rename(self._place / "queue" / name)

    def told(self, line: str) -> bool:
        return line in (self._place / "log").read_text().splitlines()

    def wait_for(self, line: str) -> None:
        wait_for(lambda: self.told(line), f"the line {line!r}", 60)

    def labels(self) -> list[str]:
        return list(json.loads((self._place / "labels").read_text()))


@pytest.fixture
def gitlab(machine: Machine) -> Jobs:
    jobs = Jobs(machine)
    machine.container.write(
        f"/etc/systemd/system/{GITLAB_UNIT}",
        f"[Service]\nExecStart={machine.double('gitlab_runner')} {PLACE}\nRestart=always\nRestartSec=120\n",
    )
    machine.follow(recipes()["GitLab Runner"])
    machine.start_unit(GITLAB_UNIT)
    return jobs


def test_gitlab_s_jobs_are_finished_no_more_are_taken_and_it_returns(machine: Machine, gitlab: Jobs) -> None:
    assert machine.start() == {"start-gitlab-runner": "succeeded"}
    gitlab.put("job-1", "8")
    gitlab.wait_for("job-1 taken")
    machine.announce()
    wait_for(lambda: machine.state(GITLAB_UNIT) == "deactivating", "the stop")
    gitlab.put("job-2", "0")
    assert machine.statuses("terminate") == {"finish-gitlab-jobs": "succeeded", "abort-gitlab-jobs": "succeeded"}
    assert (gitlab.told("job-1 success"), gitlab.told("job-2 taken")) == (True, False)
    assert machine.state(GITLAB_UNIT) == "inactive"
    machine.withdraw()
    assert machine.statuses("start", 2) == {"start-gitlab-runner": "succeeded"}
    gitlab.wait_for("job-2 success")


def test_gitlab_s_jobs_that_take_too_long_fail_while_the_runner_can_say_so(machine: Machine, gitlab: Jobs) -> None:
    machine.start()
    gitlab.put("job-1", "600")
    gitlab.wait_for("job-1 taken")
    machine.announce(40)
    assert machine.statuses("terminate") == {"finish-gitlab-jobs": "timed-out", "abort-gitlab-jobs": "succeeded"}
    assert gitlab.told("job-1 runner_system_failure")
    assert machine.report("terminate")["seconds_to_spare"] > 15


def test_gitlab_s_own_unit_would_abort_the_jobs(machine: Machine, gitlab: Jobs) -> None:
    machine.container.run("rm", "-r", f"/etc/systemd/system/{GITLAB_UNIT}.d")
    machine.systemctl("daemon-reload")
    gitlab.put("job-1", "5")
    gitlab.wait_for("job-1 taken")
    machine.systemctl("stop", GITLAB_UNIT)
    assert not gitlab.told("job-1 success")


@pytest.fixture
def github(machine: Machine, tmp_path: Path) -> Jobs:
    jobs = Jobs(machine)
    container, (cert, key) = machine.container, make_certificate(tmp_path, "DNS:api.github.com")
    container.write("/etc/hosts", "127.0.0.1 localhost api.github.com\n")
    container.write("/etc/ssl/certs/ca-certificates.crt", cert.read_text())
    container.write("/etc/spotwatch/github.header", f"Authorization: Bearer {TOKEN}\n", 0o600)
    container.write("/var/tmp/key.pem", key.read_text(), 0o600)
    container.write(f"{PLACE}/labels", '["spot", "build"]')
    api = [machine.double("github_api"), "/etc/ssl/certs/ca-certificates.crt", "/var/tmp/key.pem", TOKEN, "23"]
    machine.start_service("github-api", *api, f"{PLACE}/labels")
    container.write(f"{RUNNER}/.service", f"{GITHUB_UNIT}\n")
    container.write(f"{RUNNER}/.runner", '{\n  "agentId": 23,\n  "agentName": "spot",\n  "poolId": 1\n}\n')
    machine.double("github_listener", f"{RUNNER}/Runner.Listener")
    container.write(f"{RUNNER}/Runner.Worker", '#!/bin/sh\nsleep "$1"\n', 0o755)
    container.write(
        f"/etc/systemd/system/{GITHUB_UNIT}",
        f"[Service]\nExecStart={RUNNER}/Runner.Listener {PLACE}\nKillMode=process\nKillSignal=SIGTERM\n"
        "TimeoutStopSec=5min\nRestart=always\nRestartSec=5s\n",
    )
    machine.follow(recipes()["GitHub Actions runner"])
    machine.start_unit(GITHUB_UNIT)
    return jobs


HOOKS = ("hide-github-runner", "finish-github-job", "stop-github-runner")


def test_github_s_job_is_finished_no_more_are_taken_and_it_returns(machine: Machine, github: Jobs) -> None:
    assert machine.start() == {"start-github-runner": "succeeded"}
    github.put("job-1", "spot 8")
    github.wait_for("job-1 taken")
    machine.announce()
    wait_for(lambda: github.labels() == [], "the end of its labels")
    github.put("job-2", "spot 0")
    assert machine.statuses("terminate") == dict.fromkeys(HOOKS, "succeeded")
    assert (github.told("job-1 success"), github.told("job-2 taken")) == (True, False)
    assert machine.state(GITHUB_UNIT) == "inactive"
    machine.withdraw()
    assert machine.statuses("start", 2) == {"start-github-runner": "succeeded"}
    assert github.labels() == ["spot", "build"]
    github.wait_for("job-2 success")


def test_github_s_job_that_takes_too_long_is_cancelled_while_the_runner_can_say_so(
    machine: Machine, github: Jobs
) -> None:
    machine.start()
    github.put("job-1", "build 600")
    github.wait_for("job-1 taken")
    machine.announce(50)
    assert machine.statuses("terminate") == dict(zip(HOOKS, ("succeeded", "timed-out", "succeeded"), strict=True))
    assert github.told("job-1 cancelled")
    assert machine.report("terminate")["seconds_to_spare"] > 25


def test_a_token_that_github_refuses_is_told_and_the_job_is_waited_for_all_the_same(
    machine: Machine, github: Jobs
) -> None:
    machine.start()
    machine.container.write("/etc/spotwatch/github.header", "Authorization: Bearer of somebody else\n")
    github.put("job-1", "spot 2")
    github.wait_for("job-1 taken")
    machine.announce()
    assert machine.statuses("terminate") == dict(zip(HOOKS, ("failed", "succeeded", "succeeded"), strict=True))
    assert github.told("job-1 success")
    assert "401" in machine.output("hide-github-runner")
