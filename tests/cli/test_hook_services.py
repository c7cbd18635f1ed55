"""What built-in hooks work with, on this machine."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spotwatch.cli.hook_services import ENDPOINT, Services
from spotwatch.core.errors import AwsError, VolumeRefused
from spotwatch.core.report import InstanceFacts
from spotwatch.simulate.service import MetadataService
from tests.cloud import Cloud

Main = Callable[..., tuple[int, str, str]]

TOLD = {
    "SPOTWATCH_INSTANCE_ID": "i-0aaaaaaaaaaaaaaaa",
    "SPOTWATCH_INSTANCE_TYPE": "c6i.large",
    "SPOTWATCH_AVAILABILITY_ZONE": "eu-west-1b",
    "SPOTWATCH_REGION": "eu-west-1",
}


def test_what_the_daemon_has_told_of_the_instance_is_believed() -> None:
    facts = InstanceFacts("i-0aaaaaaaaaaaaaaaa", "c6i.large", "eu-west-1b", "eu-west-1")
    assert Services({**TOLD, ENDPOINT: "http://127.0.0.1:9"}).instance() == facts


def test_by_hand_the_metadata_service_is_asked() -> None:
    with MetadataService() as service:
        assert Services({ENDPOINT: service.url}).instance().id.startswith("i-")


def test_by_hand_without_a_metadata_service_nothing_is_known() -> None:
    assert Services({ENDPOINT: "http://127.0.0.1:9"}).instance() == InstanceFacts()


def test_our_age_counts_from_the_start_of_the_process() -> None:
    born = Services({}).born
    assert 0 <= time.clock_gettime(time.CLOCK_BOOTTIME) - born < 24 * 3600
    script = "import time; from spotwatch.cli.hook_services import Services; time.sleep(0.3); print(Services({}).born)"
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert abs(float(done.stdout) - before) < 0.3 + 1 / os.sysconf("SC_CLK_TCK")


def test_ec2_is_asked_in_the_region_of_the_instance(cloud: Cloud) -> None:
    services = Services({})
    assert services.ec2("eu-west-1", services.clock.now() + 10).attachments(cloud.instance())


def test_without_the_client_of_aws_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("spotwatch.aws")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(AwsError, match="boto3 is not installed") as caught:
        Services({}).ec2("eu-west-1", 0)
    assert "[aws]" in caught.value.hint


def test_what_is_in_memory_is_no_log_volume() -> None:
    with pytest.raises(VolumeRefused):
        Services({}).log_volume_of("/proc")


@pytest.mark.parametrize("state", ["", "/nonexistent"])
def test_without_a_journal_there_is_no_report(state: str) -> None:
    services = Services({"SPOTWATCH_STATE_DIRECTORY": state, "SPOTWATCH_DRAIN_ID": "a"})
    assert services.report_so_far() == ""


def test_a_hook_that_does_not_speak_to_aws_loads_no_client_of_anything(tmp_path: Path) -> None:
    script = (
        "import sys; from spotwatch.cli import main; "
        f"main(['hook', 'flush-logs', '--mount-point', {str(tmp_path)!r}]); "
        "print([m for m in sys.modules if m in {'boto3', 'botocore', 'httpx', 'tenacity', 'rich'}])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_refused_volume_ends_with_its_reason_and_a_hint(main: Main) -> None:
    code, _, err = main("hook", "preserve-volume", "--mount-point", "/proc")
    assert code == 65
    assert err.startswith("spotwatch: /proc is on ")
    assert "hint: keep the logs on an EBS volume of their own" in err
