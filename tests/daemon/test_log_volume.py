"""flush-logs run by the real daemon, where no systemd takes the last seconds over."""

import json
import os
from pathlib import Path

import pytest

from tests.daemon.process import hook
from tests.daemon.test_hooks import drain

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.path.isdir("/run/systemd/system") and os.geteuid() == 0,
        reason="systemd would take it over here; tests/systemd has that",
    ),
]


def flush_logs(volume: Path) -> str:
    args = json.dumps(["--mount-point", str(volume)])
    return f'[[hook]]\nname = "flush"\nuse = "flush-logs"\nargs = {args}\nstage = 90\ntimeout = "3s"\n'


def test_the_report_of_the_drain_as_far_as_it_has_come_is_on_the_volume(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    report = drain(tmp_path, hook("before", "true", stage=10), flush_logs(volume))
    assert report.verdict == "drained", Path(report.hooks[-1].output or "").read_text()
    known = json.loads((volume / ".spotwatch" / "reports" / f"{report.drain}.json").read_text())
    assert (known["verdict"], known["drain"]) == ("running", report.drain)
    assert [(each["name"], each["status"]) for each in known["hooks"]] == [("before", "succeeded")]


def test_it_ends_by_itself_just_before_its_time_is_up(tmp_path: Path) -> None:
    report = drain(tmp_path, flush_logs(tmp_path))
    (outcome,) = report.hooks
    assert outcome.status == "succeeded"
    assert 1.5 < (outcome.seconds or 0) < 3
    assert "synced here until the end" in Path(outcome.output or "").read_text()
