"""The files that are installed, judged by systemd's own tools and by the settings reader."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from spotwatch import hooks
from spotwatch.config import load
from spotwatch.core.settings import Settings

FILES = Path(__file__).parents[2] / "systemd"
UNIT = FILES / "spotwatch.service"
UNPRIVILEGED = FILES / "spotwatch.service.d-unprivileged.conf"
EXAMPLE = FILES / "spotwatch.toml"


class Judged(NamedTuple):
    """A unit as it is in force, and the exposure that it may have: what its comment says."""

    text: str
    level: float


AS_ROOT = Judged(UNIT.read_text(), 4.0)
AS_USER = Judged(UNIT.read_text() + UNPRIVILEGED.read_text(), 2.0)

needs_systemd_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="not installed: systemd-analyze (Debian: apt-get install systemd)"
)


def systemd_analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that exists, for the unit to start."""
    program = tmp_path / "spotwatch"
    program.touch(0o755)
    return program


@pytest.fixture(params=[AS_ROOT, AS_USER], ids=["root", "unprivileged"])
def judged(request: pytest.FixtureRequest) -> Judged:
    found: Judged = request.param
    return found


@pytest.fixture
def unit(judged: Judged, program: Path) -> Path:
    unit = program.with_suffix(".service")
    unit.write_text(judged.text.replace("/usr/local/bin/spotwatch", str(program)))
    return unit


@needs_systemd_analyze
class TestUnit:
    def test_systemd_knows_every_word_of_it(self, unit: Path) -> None:
        checked = systemd_analyze("verify", "--man=no", "--recursive-errors=yes", str(unit))
        assert (checked.returncode, checked.stderr) == (0, "")

    def test_a_misspelt_word_would_be_seen(self, unit: Path) -> None:
        unit.write_text(unit.read_text().replace("WatchdogSec", "WatchdogSecs"))
        checked = systemd_analyze("verify", "--man=no", "--recursive-errors=yes", str(unit))
        assert checked.returncode != 0
        assert "WatchdogSecs" in checked.stderr

    def test_its_exposure_stays_below_what_its_comment_claims(self, judged: Judged, unit: Path) -> None:
        assert f"below {judged.level}" in comments(judged.text)
        analysis = systemd_analyze("security", "--offline=true", f"--threshold={judged.level * 10:.0f}", str(unit))
        assert analysis.returncode == 0, analysis.stdout

    def test_whatever_it_leaves_open_is_named_in_a_comment(self, judged: Judged, unit: Path) -> None:
        table = json.loads(systemd_analyze("security", "--offline=true", "--json=short", str(unit)).stdout)
        left_open = {row["name"] for row in table if row["set"] is False}
        assert left_open
        assert {name for name in left_open if _short(name) not in comments(judged.text)} == set()


def comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.startswith("#"))


def _short(name: str) -> str:
    """As comments name it: ``ProtectHome=``, and ``~CAP_KILL`` of ``CapabilityBoundingSet=~CAP_KILL``."""
    directive, _, value = name.partition("=~")
    if directive == "RestrictAddressFamilies":
        return "AF_INET6" if "INET" in value else value
    return f"~{value}" if value else name


def test_no_comment_stands_behind_a_directive() -> None:
    """It would be taken for a part of the value."""
    for file in (UNIT, UNPRIVILEGED):
        assert not re.findall(r"^[^#\n].*[ \t]#", file.read_text(), re.MULTILINE)


class TestExampleSettings:
    def test_it_changes_nothing_as_it_is(self) -> None:
        assert load(EXAMPLE, builtins=hooks.NAMES) == Settings()

    def test_what_it_shows_as_defaults_are_the_defaults(self, tmp_path: Path) -> None:
        assert replace(self.uncommented(tmp_path), hooks=()) == Settings()

    def test_its_hooks_leave_each_other_time(self, tmp_path: Path) -> None:
        first, last = (hook for hook in self.uncommented(tmp_path).hooks if not hook.background)
        assert first.stage < last.stage
        assert first.timeout is not None
        assert last.reserve > 0

    def test_every_key_has_its_explanation_above_it(self) -> None:
        """A key, or the whole table of a hook."""
        for paragraph in EXAMPLE.read_text().split("\n\n"):
            for above, line in zip(["", *paragraph.splitlines()], paragraph.splitlines(), strict=False):
                if re.match(r"#\w+ =", line) and "[[hook]]" not in paragraph:
                    assert above.startswith("# "), line
                elif line == "#[[hook]]":
                    assert above.startswith("# ")

    def uncommented(self, directory: Path) -> Settings:
        """The settings with every key in force."""
        file = directory / "spotwatch.toml"
        file.write_text(re.sub(r"^#(?=[\w\[])", "", EXAMPLE.read_text(), flags=re.MULTILINE))
        return load(file, builtins=hooks.NAMES)
