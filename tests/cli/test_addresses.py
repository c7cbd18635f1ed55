"""`spotwatch addresses` as a command, with EC2 as an HTTP server."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from spotwatch.addresses.ledger import Ledgers
from spotwatch.aws.network_interfaces import IAM_ACTIONS, READING_ACTIONS
from spotwatch.cli import main
from spotwatch.cli.addresses import EPILOG
from spotwatch.core.errors import EX_NOPERM, EX_TEMPFAIL, EX_UNAVAILABLE, EX_USAGE
from spotwatch.host.lock import DirectoryLock
from spotwatch.host.state_text import StateText
from spotwatch.simulate.strict_aws import Fault
from tests.addresses.rig import Rig
from tests.cloud import ManualClock
from tests.strict_network import StrictNetworkAws

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    clock = ManualClock()
    with StrictNetworkAws(clock=clock.now) as aws:
        for name, value in aws.environment().items():
            monkeypatch.setenv(name, value)
        rig = Rig(aws, clock)
        rig.start("m5.large")
        yield rig


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> tuple[int, str, str]:
        code = main(["addresses", *words, "--set", f"state.directory={tmp_path}"])
        return code, *capsys.readouterr()

    return run


def me(rig: Rig) -> tuple[str, ...]:
    return "--instance-id", rig.instance_id, "--instance-type", rig.instance_type, "--region", "eu-west-1"


@pytest.mark.usefixtures("rig")
def test_a_plan_of_a_type_needs_no_instance(run: Run) -> None:
    code, out, _ = run("plan", "--instance-type", "c5.9xlarge")
    assert code == 0
    assert out.splitlines() == [
        "c5.9xlarge: 36 vCPU, at most 8 interfaces with 30 addresses each",
        "wanted 18, held 1",
        "  assign 17 more addresses to its primary interface",
    ]


def test_a_plan_that_cannot_be_carried_out_in_full_ends_with_1(rig: Rig, run: Run) -> None:
    code, out, _ = run("plan", *me(rig), "--addresses", "40")
    assert code == 1
    assert "10 of 40 addresses cannot be had" in out


def test_apply_show_and_release_in_turn(rig: Rig, run: Run, tmp_path: Path) -> None:
    code, out, _ = run("apply", *me(rig), "--addresses", "12", "--configure", "never")
    assert (code, rig.addresses()) == (0, [10, 2])
    assert out.splitlines()[-1] == f"apply: {rig.instance_id} holds 12 addresses"
    code, out, _ = run("show", *me(rig), "--json")
    shown = json.loads(out)["interfaces"]
    assert [(each["device"], len(each["addresses"])) for each in shown] == [(0, 10), (1, 2)]
    assert len(Ledgers(StateText(tmp_path / "addresses", "ledger.json"), rig.instance_id).read().added) == 9
    code, out, _ = run("release", *me(rig), "--dry-run")
    assert len(out.splitlines()) == 10
    assert rig.addresses() == [10, 2]
    code, out, _ = run("release", *me(rig))
    assert (code, rig.addresses(), rig.mine()) == (0, [1], [])


def test_a_dry_run_changes_nothing(rig: Rig, run: Run, tmp_path: Path) -> None:
    calls = len(rig.aws.calls)
    code, out, _ = run("apply", *me(rig), "--addresses", "12", "--dry-run")
    assert code == 0
    assert "assign 9 more addresses" in out
    assert all(call.operation.startswith("Describe") for call in rig.aws.calls[calls:])
    assert list(tmp_path.iterdir()) == []


def test_what_iam_refuses_is_named_with_its_exit_code(rig: Rig, run: Run) -> None:
    rig.aws.plan(Fault.DENIED, "ec2:CreateNetworkInterface")
    code, _, err = run("apply", *me(rig), "--addresses", "12", "--configure", "never")
    assert code == EX_NOPERM
    assert "hint: allow the IAM action ec2:CreateNetworkInterface" in err


def test_another_one_at_work_is_waited_for_until_the_time_is_up(rig: Rig, run: Run, tmp_path: Path) -> None:
    (tmp_path / "addresses").mkdir()
    with DirectoryLock(tmp_path / "addresses"):
        code, _, err = run("apply", *me(rig), "--configure", "never", "--timeout", "3s")
    assert code == EX_TEMPFAIL
    assert "another one is still at work" in err


def test_two_at_once_do_the_work_once(rig: Rig, tmp_path: Path) -> None:
    words = ["apply", *me(rig), "--addresses", "12", "--configure", "never", "--set", f"state.directory={tmp_path}"]
    command = [sys.executable, "-m", "spotwatch", "addresses", *words]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [each.communicate(timeout=60) for each in both]
    assert [each.returncode for each in both] == [0, 0], told
    assert rig.addresses() == [10, 2]
    assert rig.aws.count("ec2:CreateNetworkInterface") == 1
    assert rig.aws.count("ec2:AssignPrivateIpAddresses") == 1
    assert sum("nothing to do" in out for out, _ in told) == 1


@pytest.mark.parametrize(
    "words",
    [("--addresses", "-1"), ("--vcpus-per-address", "0"), ("--timeout", "soon"), ("--instance-id", "i-1")],
    ids=lambda words: str(words[0]),
)
def test_words_without_sense_are_refused(run: Run, words: tuple[str, ...]) -> None:
    code, _, err = run("apply", *words)
    assert code == EX_USAGE
    assert "hint: " in err or "begins at 1" in err


@pytest.mark.usefixtures("rig")
def test_an_instance_that_ec2_does_not_know_is_refused(run: Run) -> None:
    code, _, err = run("plan", "--instance-id", "i-0123456789abcdef0", "--instance-type", "m5.large")
    assert code == EX_USAGE
    assert "EC2 shows no network interface of i-0123456789abcdef0" in err


class TestMetadata:
    """What the command line does not say, the metadata service does."""

    def serve(self, httpserver: HTTPServer, rig: Rig, **changed: str) -> str:
        primary = rig.interfaces()[0]
        mac = primary["MacAddress"]
        items = {
            "instance-id": rig.instance_id,
            "instance-type": rig.instance_type,
            "placement/region": "eu-west-1",
            "mac": mac,
            f"network/interfaces/macs/{mac}/subnet-id": primary["SubnetId"],
        }
        httpserver.expect_request("/latest/api/token", method="PUT").respond_with_data("a-token")
        for path, text in (items | changed).items():
            headers = {"X-aws-ec2-metadata-token": "a-token"}
            httpserver.expect_request(f"/latest/meta-data/{path}", headers=headers).respond_with_data(text)
        return f"metadata.endpoint=http://{httpserver.host}:{httpserver.port}"

    def test_the_instance_finds_out_itself_which_it_is(self, rig: Rig, run: Run, httpserver: HTTPServer) -> None:
        code, out, err = run("plan", "--addresses", "2", "--json", "--set", self.serve(httpserver, rig))
        assert code == 0, err
        assert json.loads(out)["instance"] == rig.instance_id

    def test_an_ec2_that_says_something_else_is_another_account_s(
        self, rig: Rig, run: Run, httpserver: HTTPServer
    ) -> None:
        mac = rig.interfaces()[0]["MacAddress"]
        served = self.serve(httpserver, rig, **{f"network/interfaces/macs/{mac}/subnet-id": "subnet-other"})
        code, _, err = run("plan", "--set", served)
        assert code == EX_USAGE
        assert "see which account and region" in err

    def test_a_metadata_service_that_does_not_answer_ends_with_its_exit_code(self, run: Run) -> None:
        code, _, err = run("plan", "--timeout", "0.5s", "--set", "metadata.endpoint=http://127.0.0.1:9")
        assert code == EX_UNAVAILABLE
        assert "cannot be asked" in err


def test_the_help_names_every_iam_action() -> None:
    actions = EPILOG[EPILOG.index("IAM actions:") : EPILOG.index("examples:")]
    assert {word.strip(",") for word in actions.split() if word.startswith("ec2:")} == set(IAM_ACTIONS)
    reading = actions[: actions.index("apply, release")]
    assert {word.strip(",") for word in reading.split() if word.startswith("ec2:")} == set(READING_ACTIONS)
