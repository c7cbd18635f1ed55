"""Units of systemd, with a systemctl that says what the test wants; tests/systemd has the real one."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from spotwatch.core.errors import ServiceManagerDenied, ServiceManagerRefused, ServiceManagerUnavailable
from spotwatch.core.unit import Unit
from spotwatch.host import units as module
from spotwatch.host.units import Units

SHOWN = """\
Job=812
Result=success
Id=nginx.service
TriggeredBy=nginx.socket nginx.timer
LoadState=loaded
ActiveState=deactivating

Id=nginx.socket
Result=success
LoadState=loaded
ActiveState=active

Id=nowhere.service
Result=success
LoadState=not-found
ActiveState=inactive
"""

FAKE = """\
#!/bin/sh
printf '%s\\n' "$*" >> "{0}/calls"
[ -e "{0}/hangs" ] && exec sleep 60
cat "{0}/out"; cat "{0}/err" >&2
exit "$(cat "{0}/code")"
"""

Says = Callable[..., None]


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Says:
    """Have systemctl print something, complain of something and end with a code."""
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(FAKE.format(tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    def say(out: str = "", err: str = "", code: int = 0) -> None:
        for name, text in (("out", out), ("err", err), ("code", str(code))):
            (tmp_path / name).write_text(text)

    say()
    return say


@pytest.fixture
def calls(tmp_path: Path) -> Callable[[], list[str]]:
    return lambda: (tmp_path / "calls").read_text().splitlines()


def test_what_systemd_shows_is_understood_whatever_its_order(says: Says) -> None:
    says(SHOWN)
    assert Units().look(["nginx", "nowhere"]) == (
        Unit("nginx.service", "loaded", "deactivating", "success", True, ("nginx.socket", "nginx.timer")),
        Unit("nginx.socket", "loaded", "active", "success"),
        Unit("nowhere.service", "not-found", "inactive", "success"),
    )


def test_a_pattern_that_matches_nothing_means_no_unit(says: Says) -> None:
    says("")
    assert Units().look(["worker@*.service"]) == ()


def test_units_are_stopped_together_and_not_waited_for(says: Says, calls: Callable[[], list[str]]) -> None:
    says()
    Units().stop(["-.mount", "b.service"], ignore_dependencies=False)
    Units().stop(["a.service"], ignore_dependencies=True)
    Units().kill(["a.service"])
    assert calls() == [
        "--no-ask-password --no-pager stop --no-block --job-mode=replace -- -.mount b.service",
        "--no-ask-password --no-pager stop --no-block --job-mode=ignore-dependencies -- a.service",
        "--no-ask-password --no-pager kill --signal=SIGKILL -- a.service",
    ]


def test_what_is_not_loaded_any_more_is_stopped(says: Says) -> None:
    says(err="Failed to stop a.service: Unit a.service not loaded.\n", code=5)
    Units().stop(["a.service"], ignore_dependencies=False)


@pytest.mark.parametrize(
    ("err", "code", "error", "said"),
    [
        (
            "Failed to stop a.service: Access denied\nSee system logs and 'systemctl status a.service' for details.",
            4,
            ServiceManagerDenied,
            "systemd does not let us: Failed to stop a.service: Access denied",
        ),
        (
            "Failed to stop a.service: Interactive authentication required.",
            1,
            ServiceManagerDenied,
            "systemd does not let us: Failed to stop a.service: Interactive authentication required",
        ),
        (
            "Failed to stop a.service: Operation refused, unit a.service may be requested by dependency only.",
            1,
            ServiceManagerRefused,
            "Failed to stop a.service: Operation refused, unit a.service may be requested by dependency only",
        ),
        (
            "System has not been booted with systemd as init system (PID 1). Can't operate.",
            1,
            ServiceManagerRefused,
            "systemd does not run here",
        ),
        (
            "Failed to connect to bus: No such file or directory",
            1,
            ServiceManagerUnavailable,
            "Failed to connect to bus: No such file or directory",
        ),
        ("", 1, ServiceManagerRefused, "systemctl stop ended with 1"),
        (
            "Failed to stop a.service: Unit a.service not loaded.\nFailed to stop b.service: Access denied",
            4,
            ServiceManagerDenied,
            "systemd does not let us: Failed to stop b.service: Access denied",
        ),
    ],
)
def test_complaints_become_errors_that_say_what_to_do(
    says: Says, err: str, code: int, error: type[Exception], said: str
) -> None:
    says(err=err, code=code)
    with pytest.raises(error) as raised:
        Units().stop(["a.service"], ignore_dependencies=False)
    assert str(raised.value) == said


def test_who_may_not_is_told_which_right_is_missing(says: Says) -> None:
    says(err="Failed to stop a.service: Access denied", code=4)
    with pytest.raises(ServiceManagerDenied) as raised:
        Units().stop(["a.service"], ignore_dependencies=False)
    assert "org.freedesktop.systemd1.manage-units" in raised.value.hint
    assert raised.value.exit_code == 77


@pytest.mark.usefixtures("says")
def test_a_systemctl_that_hangs_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.3)
    (tmp_path / "hangs").touch()
    with pytest.raises(ServiceManagerUnavailable, match=r"within 0\.3 s"):
        Units().look(["a.service"])


def test_without_systemctl_it_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceManagerRefused, match="systemctl cannot be executed: No such file"):
        Units().look(["a.service"])


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0::/system.slice/spotwatch.service\n", "spotwatch.service"),
        ("12:pids:/x.service\n1:name=systemd:/system.slice/spotwatch.service\n0::/\n", "spotwatch.service"),
        ("0::/system.slice/spotwatch.service/hooks\n", "spotwatch.service"),
        ("0::/user.slice/user-0.slice/session-2.scope\n", "session-2.scope"),
        ("0::/\n", ""),
    ],
)
def test_our_own_unit_is_in_our_control_group(tmp_path: Path, text: str, unit: str) -> None:
    file = tmp_path / "cgroup"
    file.write_text(text)
    assert Units(str(file)).own == unit


def test_without_a_control_group_there_is_no_own_unit(tmp_path: Path) -> None:
    assert Units(str(tmp_path / "nothing")).own == ""


@pytest.mark.parametrize(
    ("state", "going_down"),
    [("stopping", True), ("running", False), ("degraded", False)],
)
def test_a_system_that_stops_is_going_down(says: Says, tmp_path: Path, state: str, going_down: bool) -> None:
    says(f"{state}\n")
    assert Units(str(tmp_path / "nothing")).is_going_down() is going_down


@pytest.mark.parametrize(
    ("job", "active", "going_down"),
    [("", "active", False), ("0", "active", False), ("77", "active", True), ("", "deactivating", True)],
)
def test_a_unit_of_ours_that_is_to_be_stopped_is_going_down_too(
    says: Says, tmp_path: Path, job: str, active: str, going_down: bool
) -> None:
    file = tmp_path / "cgroup"
    file.write_text("0::/system.slice/spotwatch.service\n")
    says(f"Id=spotwatch.service\nActiveState={active}\nJob={job}\n")
    assert Units(str(file)).is_going_down() is going_down
