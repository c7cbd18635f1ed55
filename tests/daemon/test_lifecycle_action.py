"""A lifecycle action from the metadata service's announcement to its completion, with the real daemon and its hooks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from spotwatch.simulate.instance import Instance
from spotwatch.simulate.service import MetadataService
from tests.balancers import Account, HookClock
from tests.cloud import ZONE
from tests.daemon.process import QUICK, DaemonProcess, hook, statuses

pytestmark = [pytest.mark.slow, pytest.mark.acceptance]

HEARTBEAT_TIMEOUT = 6
"""Seconds; AWS's shortest is 30. The stages together take more than twice as long."""


def built_in(name: str, *args: str, **keys: object) -> str:
    words = ", ".join(f'"{word}"' for word in args)
    others = "\n".join(f"{key} = {str(value).lower()}" for key, value in keys.items())
    return f'[[hook]]\nname = "{name}"\nuse = "leave-auto-scaling"\nargs = [{words}]\non = ["lifecycle"]\n{others}\n'


@pytest.fixture
def real_account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An account in which time passes by itself."""
    from tests.strict_balancers import StrictBalancers

    with StrictBalancers() as aws:
        for name, value in aws.environment().items():
            monkeypatch.setenv(name, value)
        yield Account(aws, HookClock())


def test_it_is_held_up_through_all_stages_and_completed_although_a_hook_fails(
    real_account: Account, tmp_path: Path
) -> None:
    account = real_account
    (instance,) = account.scaled()
    account.lifecycle_hook(timeout=HEARTBEAT_TIMEOUT)
    hooks = [
        built_in("heartbeat-jobs", "--heartbeat", stage=10),
        hook("finish-jobs", "sleep 8", on=["lifecycle"], stage=10),
        built_in("heartbeat-logs", "--heartbeat", stage=20),
        hook("ship-logs", "sleep 7; exit 1", on=["lifecycle"], stage=20, on_failure="stop"),
        hook("tidy", "true", on=["lifecycle"], stage=30),
        built_in("let-it-go", stage=90, always=True),
    ]
    options = [*(word for word in QUICK if "lifecycle" not in word), "metadata.lifecycle_interval=100ms"]
    with (
        MetadataService(Instance(instance_id=instance, region="eu-west-1", availability_zone=ZONE)) as service,
        DaemonProcess(tmp_path, *hooks, endpoint=service.url, options=options) as daemon,
    ):
        account.terminate(instance)
        service.set_target_lifecycle_state("Terminated")
        daemon.wait_for(lambda: daemon.records("drain-ended"), "the end of the drain", within=60)
        report = daemon.report("lifecycle")
    assert statuses(report) == {
        "heartbeat-jobs": "succeeded",
        "finish-jobs": "succeeded",
        "heartbeat-logs": "succeeded",
        "ship-logs": "failed",
        "tidy": "skipped",
        "let-it-go": "succeeded",
    }
    assert account.aws.balancing.results == {(instance, "drain"): "CONTINUE"}
    assert account.aws.count("autoscaling:RecordLifecycleActionHeartbeat") >= 6
