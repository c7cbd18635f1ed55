"""What is asked of systemd for the last seconds, and when nothing is."""

import os
from pathlib import Path

import pytest

from spotwatch.core.errors import CommandNotStarted
from spotwatch.host.file_systems import FileSystems, unit_of
from spotwatch.host.programs import Programs
from tests.host.conftest import needs_root


class FakePrograms(Programs):
    """Runs nothing; each program ends as `ends` says."""

    def __init__(self, **ends: int | Exception) -> None:
        self.ran: list[tuple[str, ...]] = []
        self._ends = ends

    def run(self, argv: tuple[str, ...], *, limit: float | None = None) -> int:
        assert limit is not None
        self.ran.append(argv)
        end = self._ends.get(argv[0].replace("-", "_"), 0)
        if isinstance(end, Exception):
            raise end
        return end


def handed_over(programs: FakePrograms, booted: Path, mount_point: str = "/var/log/app") -> str:
    return FileSystems(programs, str(booted)).hand_over(mount_point, freeze_at=5.0, until=9.0, report="/r.json")


@pytest.mark.parametrize(
    ("mount_point", "unit"),
    [
        ("/var/log/app", "spotwatch-final-sync-var-log-app.service"),
        ("/var/log/app/", "spotwatch-final-sync-var-log-app.service"),
        ("/", "spotwatch-final-sync--.service"),
        ("/mnt/a-b c", "spotwatch-final-sync-mnt-a\\x2db\\x20c.service"),
        ("/é", "spotwatch-final-sync-\\xc3\\xa9.service"),
    ],
)
def test_each_mount_point_has_its_unit(mount_point: str, unit: str) -> None:
    assert unit_of(mount_point) == unit


@needs_root
class TestAsRoot:
    def test_an_earlier_unit_is_stopped_and_thaws_before_the_new_one_begins(self, tmp_path: Path) -> None:
        programs = FakePrograms(systemctl=5)
        assert handed_over(programs, tmp_path) == ""
        stop, start = programs.ran
        assert stop == ("systemctl", "stop", "--quiet", unit_of("/var/log/app"))
        assert start[:2] == ("systemd-run", f"--unit={unit_of('/var/log/app')}")
        assert "--setenv=SPOTWATCH_MOUNT_POINT=/var/log/app" in start
        assert start[-2:] == ("-m", "spotwatch.host.final_sync")

    def test_it_is_thawed_by_systemd_however_it_ends(self, tmp_path: Path) -> None:
        programs = FakePrograms()
        handed_over(programs, tmp_path)
        assert any(word.startswith("--property=ExecStopPost=") and word.endswith('"thaw"') for word in programs.ran[1])

    def test_a_mount_point_with_blanks_and_quotes_is_one_word_to_systemd(self, tmp_path: Path) -> None:
        programs = FakePrograms()
        handed_over(programs, tmp_path, '/mnt/a "b"\\c')
        assert '--property=RequiresMountsFor="/mnt/a \\"b\\"\\\\c"' in programs.ran[1]

    @pytest.mark.parametrize(
        ("ends", "problem"),
        [
            ({"systemctl": 1}, "of an earlier drain cannot be stopped"),
            ({"systemd_run": 1}, "systemd-run ended with 1"),
            ({"systemd_run": CommandNotStarted("systemd-run cannot be executed")}, "systemd-run cannot be executed"),
            ({"systemd_run": TimeoutError("systemd-run has not ended")}, "systemd-run has not ended"),
        ],
        ids=["the earlier one does not stop", "refused", "missing", "silent"],
    )
    def test_why_it_could_not_be_is_answered(
        self, tmp_path: Path, ends: dict[str, int | Exception], problem: str
    ) -> None:
        assert handed_over(FakePrograms(**ends), tmp_path).endswith(problem)


def test_without_systemd_nothing_is_asked(tmp_path: Path) -> None:
    programs = FakePrograms()
    assert handed_over(programs, tmp_path / "missing") == "systemd does not run here"
    assert programs.ran == []


def test_without_root_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert handed_over(FakePrograms(), tmp_path) == "we are not root"


def test_a_sync_works_for_any_directory_and_says_why_not_for_others(tmp_path: Path) -> None:
    files = FileSystems(Programs())
    assert files.sync(str(tmp_path)) == ""
    assert files.sync(str(tmp_path / "missing")) == f"{tmp_path}/missing cannot be synced: No such file or directory"


def test_the_root_is_never_frozen() -> None:
    assert FileSystems(Programs()).why_not_to_freeze("/", []) == "/ is on the same file system"
