"""The unit and the timer of the batch job, judged by systemd's own tools."""

import json
from pathlib import Path

import pytest

from tests.systemd.test_units import FILES, comments, needs_systemd_analyze, systemd_analyze
from tests.systemd.test_units import _short as short_name

SERVICE = FILES / "spotwatch-ship.service"
TIMER = FILES / "spotwatch-ship.timer"
LEVEL = 3.5


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The service with a program that exists, and its timer beside it."""
    program = tmp_path / "spotwatch"
    program.touch(0o755)
    (tmp_path / TIMER.name).write_text(TIMER.read_text())
    unit = tmp_path / SERVICE.name
    unit.write_text(SERVICE.read_text().replace("/usr/local/bin/spotwatch", str(program)))
    return unit


@needs_systemd_analyze
class TestUnit:
    @pytest.mark.parametrize("name", [SERVICE.name, TIMER.name])
    def test_systemd_knows_every_word_of_it(self, unit: Path, name: str) -> None:
        checked = systemd_analyze("verify", "--man=no", "--recursive-errors=yes", str(unit.with_name(name)))
        assert (checked.returncode, checked.stderr) == (0, "")

    def test_its_exposure_stays_below_what_its_comment_claims(self, unit: Path) -> None:
        assert f"below {LEVEL}" in comments(SERVICE.read_text())
        analysis = systemd_analyze("security", "--offline=true", f"--threshold={LEVEL * 10:.0f}", str(unit))
        assert analysis.returncode == 0, analysis.stdout

    def test_whatever_it_leaves_open_is_named_in_a_comment(self, unit: Path) -> None:
        table = json.loads(systemd_analyze("security", "--offline=true", "--json=short", str(unit)).stdout)
        left_open = {row["name"] for row in table if row["set"] is False}
        assert left_open
        assert {name for name in left_open if short_name(name) not in comments(SERVICE.read_text())} == set()


def test_the_service_runs_the_batch_job_and_the_timer_that_service() -> None:
    assert "\nExecStart=/usr/local/bin/spotwatch ship\n" in SERVICE.read_text()
    assert TIMER.stem == SERVICE.stem
    assert "Unit=" not in TIMER.read_text()
