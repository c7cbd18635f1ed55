"""The unit of `spotwatch addresses`, judged by systemd's own tools."""

import re
from pathlib import Path

import pytest

from spotwatch.cli import Parser, addresses
from tests.systemd.test_units import FILES, comments, needs_systemd_analyze, systemd_analyze

FILE = FILES / "spotwatch-addresses.service"
TEXT = FILE.read_text()


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    program = tmp_path / "spotwatch"
    program.touch(0o755)
    unit = tmp_path / FILE.name
    unit.write_text(TEXT.replace("/usr/local/bin/spotwatch", str(program)))
    return unit


def values(key: str) -> list[str]:
    """All words that a key has, wherever it stands."""
    return [word for line in re.findall(rf"^{key}=(.*)$", TEXT, re.MULTILINE) for word in line.split()]


@needs_systemd_analyze
def test_systemd_knows_every_word_of_it(unit: Path) -> None:
    checked = systemd_analyze("verify", "--man=no", "--recursive-errors=yes", str(unit))
    assert (checked.returncode, checked.stderr) == (0, "")


@needs_systemd_analyze
def test_a_misspelt_word_would_be_seen(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("RemainAfterExit", "RemainsAfterExit"))
    checked = systemd_analyze("verify", "--man=no", "--recursive-errors=yes", str(unit))
    assert checked.returncode != 0


@needs_systemd_analyze
def test_its_exposure_stays_below_what_its_comment_claims(unit: Path) -> None:
    (level,) = re.findall(r"below (\d\.\d)", comments(TEXT))
    analysis = systemd_analyze("security", "--offline=true", f"--threshold={float(level) * 10:.0f}", str(unit))
    assert analysis.returncode == 0, analysis.stdout


def test_it_comes_after_the_network_and_before_the_daemon_whose_hooks_register_the_addresses() -> None:
    assert "network-online.target" in set(values("After")) & set(values("Wants"))
    assert "spotwatch.service" in values("Before")


def test_what_it_starts_is_a_command_line_that_is_understood() -> None:
    program, command, *words = values("ExecStart")
    parser = Parser()
    addresses.add_arguments(parser)
    assert (program, command) == ("/usr/local/bin/spotwatch", "addresses")
    assert parser.parse_args(words).action == "apply"


def test_it_ends_by_itself_before_systemd_ends_it() -> None:
    words = values("ExecStart")
    own = float(words[words.index("--timeout") + 1].removesuffix("s"))
    (limit,) = values("TimeoutStartSec")
    assert own < float(limit.removesuffix("s"))


def test_no_comment_stands_behind_a_directive() -> None:
    assert not re.findall(r"^[^#\n].*[ \t]#", TEXT, re.MULTILINE)
