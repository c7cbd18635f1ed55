"""Hooks of every kind, run by the real daemon: how they end, what they leave behind, and in which order they run."""

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGSEGV, SIGTERM

import pytest

from spotwatch.core.report import DrainReport, HookReport
from spotwatch.simulate.service import MetadataService
from tests.daemon.process import QUICK, DaemonProcess, command, from_now, hook, statuses

pytestmark = pytest.mark.slow

STUBBORN = "trap '' TERM; while :; do sleep 0.05; done"
SAY = 'for n in $(seq 999); do echo "line $n"; done; echo what was wrong >&2; exit 7'
STAMPED = 'stamp() { date "+$SPOTWATCH_HOOK $1 %s.%N" >> "$T/stamps"; }; stamp begin; sleep 0.1; stamp end'

LEAVE_CHILDREN_BEHIND = """
leave() { name=$1; shift; "$@" sh -c 'echo $$ > "$1"; exec sleep 60' sh "$T/$name" & }
leave child env
leave session setsid
leave stranger env -i setsid
(leave orphan setsid)
while [ "$(cat "$T/child" "$T/session" "$T/stranger" "$T/orphan" 2> /dev/null | wc -l)" -lt 4 ]; do sleep 0.01; done
"""


def drain(directory: Path, *hooks: str, seconds: float = 60, options: tuple[str, ...] = ()) -> DrainReport:
    """The report of a drain by these hooks, with so many seconds left."""
    with MetadataService() as service:
        service.interrupt("terminate", from_now(seconds))
        with DaemonProcess(directory, *hooks, endpoint=service.url, options=(*QUICK, *options)) as daemon:
            return daemon.report()


def only_hook(report: DrainReport) -> HookReport:
    (outcome,) = report.hooks
    return outcome


def output_of(report: DrainReport) -> str:
    """What the only hook has written."""
    return Path(only_hook(report).output or "").read_text()


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@dataclass(frozen=True)
class Failure:
    """How a hook does not do what it is there for, and what the report says of it."""

    name: str
    argv: list[str]
    status: str
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""


def failing(name: str, script: str, status: str, *, exit_code: int | None = None, signal: int | None = None) -> Failure:
    """A shell script that fails."""
    return Failure(name, ["/bin/sh", "-c", script], status, exit_code, signal)


FAILURES = [
    Failure("missing", ["/no/such/program"], "not-started", reason="install it, or correct the hook's command"),
    Failure("not-in-path", ["no-such-program"], "not-started", reason="is in none of the directories of PATH"),
    Failure("a-directory", ["/"], "not-started", reason="this is a directory; name the program in it"),
    Failure("no-permission", ["./no-permission"], "not-started", reason="chmod +x"),
    Failure("no-interpreter", ["./no-interpreter"], "not-started", reason="'#!/no/such/shell'"),
    Failure("no-first-line", ["./no-first-line"], "not-started", reason="begin the script with a line"),
    failing("exits", "exit 1", "failed", exit_code=1),
    failing("crashes", "kill -SEGV $$", "failed", signal=SIGSEGV),
    failing("overruns", "exec sleep 60", "timed-out", signal=SIGTERM),
    failing("tidies-up", "trap 'exit 3' TERM; while :; do sleep 0.05; done", "timed-out", exit_code=3),
    failing("ignores-term", STUBBORN, "killed", signal=SIGKILL),
    failing("stops-itself", "kill -STOP $$", "timed-out", signal=SIGTERM),
]


@pytest.fixture
def not_executable(tmp_path: Path) -> Path:
    """A directory with files that cannot be executed."""
    for name, text, mode in [
        ("no-permission", "#!/bin/sh\n", 0o644),
        ("no-interpreter", "#!/no/such/shell\n", 0o755),
        ("no-first-line", "true\n", 0o755),
    ]:
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    return tmp_path


def test_every_way_to_fail_is_told_apart_and_keeps_no_other_hook_from_running(not_executable: Path) -> None:
    keys = {"timeout": "400ms", "directory": str(not_executable), "stage": 1}
    hooks = [command(failure.name, failure.argv, **keys) for failure in FAILURES]
    report = drain(not_executable, *hooks, hook("next", "true", stage=2))
    *failures, last = report.hooks
    for failure, outcome in zip(FAILURES, failures, strict=True):
        found = (outcome.name, outcome.status, outcome.exit_code, outcome.signal)
        assert found == (failure.name, failure.status, failure.exit_code, failure.signal)
        assert failure.reason in outcome.reason
    assert (last.status, report.verdict) == ("succeeded", "cut")


def test_a_failed_hook_and_the_end_of_its_output_are_in_the_log(tmp_path: Path) -> None:
    with MetadataService() as service, DaemonProcess(tmp_path, hook("fails", SAY), endpoint=service.url) as daemon:
        service.interrupt("terminate", from_now(60))
        record = daemon.record("hook-ended", level="warning", hook="fails", status="failed", exit_code=7)
        assert record["output"].splitlines()[-2:] == ["line 999", "what was wrong"]
        daemon.record("drain-ended", level="warning", verdict="failed")


def test_a_hook_that_would_outlast_the_deadline_is_gone_before_it(tmp_path: Path) -> None:
    report = drain(tmp_path, hook("stubborn", STUBBORN), seconds=-10)
    assert (report.seconds_left, report.verdict, statuses(report)) == (2.0, "cut", {"stubborn": "killed"})
    assert report.seconds_to_spare is not None
    assert 0 < report.seconds_to_spare < 0.5


@pytest.mark.parametrize("end", ["exit 0", STUBBORN], ids=["ends", "ignores TERM"])
def test_nothing_that_a_hook_leaves_behind_outlives_it(tmp_path: Path, end: str) -> None:
    drain(tmp_path, hook("parent", LEAVE_CHILDREN_BEHIND + end, timeout="500ms"))
    pids = {name: int((tmp_path / name).read_text()) for name in ("child", "session", "stranger", "orphan")}
    assert [name for name, pid in pids.items() if is_alive(pid)] == []


def test_of_a_flood_of_output_the_beginning_and_the_end_are_kept(tmp_path: Path) -> None:
    flood = "echo first line; head -c 100000000 /dev/zero | tr '\\0' x; sleep 0.3; echo; echo last line"
    report = drain(tmp_path, hook("flood", flood), options=("state.output_limit=64KiB",))
    output = output_of(report)
    assert report.verdict == "drained"
    assert len(output) <= 64 * 1024
    assert output.startswith("first line\n")
    assert output.endswith("x\nlast line\n")
    assert only_hook(report).output_dropped_bytes == pytest.approx(100_000_000, rel=0.01)


def test_a_hook_gets_an_empty_input_and_no_descriptor_beside_its_three_streams(tmp_path: Path) -> None:
    report = drain(tmp_path, hook("streams", "wc -c; ls /proc/$$/fd"))
    assert output_of(report).split() == ["0", *"012"]


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_a_daemon_without_standard_streams_drains(tmp_path: Path, closed: str) -> None:
    shell = ("/bin/sh", "-c", f'exec "$@" {closed}', "sh")
    drained = hook("drain", 'set -e; echo out; echo err >&2; echo done > "$T/drained"')
    with MetadataService() as service:
        service.interrupt("terminate", from_now(60))
        with DaemonProcess(tmp_path, drained, endpoint=service.url, under=shell) as daemon:
            assert daemon.written("drained") == "done\n"


def test_directory_and_environment_of_a_hook_are_those_of_its_settings(tmp_path: Path) -> None:
    keys = {"directory": "/usr", "environment": {"GREETING": "good bye", "SPOTWATCH_EVENT": "mine"}}
    report = drain(tmp_path, hook("there", 'pwd; echo "$GREETING"; echo "$SPOTWATCH_EVENT"; umask', **keys))
    assert output_of(report).splitlines() == ["/usr", "good bye", "terminate", "0022"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_hook_runs_as_its_user_and_group_and_can_write_to_its_output(tmp_path: Path) -> None:
    tell, other = "id -un; id -gn >> /dev/stdout; id -Gn >> /dev/stderr", grp.getgrgid(1).gr_name
    report = drain(tmp_path, hook("a", tell, user="nobody"), hook("b", tell, user="nobody", group=other))
    own = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
    (user_a, group_a, *groups_a), (user_b, group_b, *groups_b) = (
        Path(outcome.output or "").read_text().split() for outcome in report.hooks
    )
    assert (user_a, group_a, user_b, group_b) == ("nobody", own, "nobody", other)
    assert "root" not in {*groups_a, *groups_b}


def test_a_hook_of_an_unknown_account_is_not_run_as_anybody_else(tmp_path: Path) -> None:
    report = drain(tmp_path, hook("a", "true", user="no-such-user"), hook("b", "true", group="no-such-group"))
    assert statuses(report) == {"a": "not-started", "b": "not-started"}
    assert ["create the user" in report.hooks[0].reason, "create the group" in report.hooks[1].reason] == [True, True]


def test_stages_run_one_after_the_other_and_the_hooks_of_a_stage_side_by_side(tmp_path: Path) -> None:
    stages = {"a": 10, "b": 10, "c": 20, "d": 20, "e": -5}
    report = drain(tmp_path, *(hook(name, STAMPED, stage=stage) for name, stage in stages.items()))
    lines = [line.split() for line in (tmp_path / "stamps").read_text().splitlines()]
    at = {(name, word): float(seconds) for name, word, seconds in lines}
    assert report.verdict == "drained"
    for one in stages:
        for other in stages:
            if stages[one] == stages[other]:
                assert at[one, "begin"] < at[other, "end"]
            if stages[one] < stages[other]:
                assert at[one, "end"] <= at[other, "begin"]


def test_a_failure_that_stops_skips_all_later_stages_but_what_always_runs(tmp_path: Path) -> None:
    report = drain(
        tmp_path,
        hook("fails", "exit 1", stage=1, on_failure="stop"),
        hook("beside", "sleep 0.2", stage=1),
        hook("later", "true", stage=2),
        hook("notify", "true", stage=2, always=True),
        hook("last", "true", stage=3),
    )
    assert statuses(report) == {
        "fails": "failed",
        "beside": "succeeded",
        "later": "skipped",
        "notify": "succeeded",
        "last": "skipped",
    }
    assert report.verdict == "failed"
    assert "fails (stage 1) failed" in report.hooks[2].reason


def test_a_hook_with_start_before_uses_the_time_until_then_for_nothing(tmp_path: Path) -> None:
    tell = hook("late", 'echo "$SPOTWATCH_SECONDS_LEFT"', start_before="1500ms")
    report = drain(tmp_path, tell, seconds=2, options=("drain.margin=100ms",))
    assert report.seconds_left > 1.8
    assert float(output_of(report)) == pytest.approx(1.5, abs=0.2)


def test_a_built_in_hook_is_run_as_any_other(tmp_path: Path) -> None:
    scripts = tmp_path / "drain.d"
    scripts.mkdir()
    (scripts / "10-one").write_text('#!/bin/sh\necho "one $SPOTWATCH_EVENT"\n')
    (scripts / "10-one").chmod(0o755)
    report = drain(tmp_path, f'[[hook]]\nname = "parts"\nuse = "run-parts"\nargs = ["{scripts}"]\n')
    assert report.verdict == "drained"
    assert "one terminate" in output_of(report)
