"""The one wait: what ends it, how exactly, and that nothing of a child survives its end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spotwatch.core.process import ChildEnded, Command, SignalCame
from spotwatch.host.machine import Machine
from spotwatch.host.processes import read_process, read_processes
from tests.host.conftest import end_of, run, wait_until

Sh = Callable[[str], Command]

MARKS = {
    "SPOTWATCH_STATE_DIRECTORY": "/var/lib/spotwatch",
    "SPOTWATCH_DRAIN_ID": "20261122T080000Z-terminate",
    "SPOTWATCH_HOOK": "it",
}

LATE = 0.15
"""Seconds that a busy machine may take to wake us."""

LEAVES = "setsid sh -c 'echo $$ > $T/pid; exec sleep 60' &"
"""A grandchild in a session of its own, whose number is in the file `pid`."""

FORGETS = "env -i T=$T setsid sh -c 'echo $$ > $T/pid; exec /bin/sleep 60' &"
"""The same, with nothing in its environment that says where it comes from."""

IS_THERE = "until [ -s $T/pid ]; do sleep 0.005; done;"


def marked(command: Command, hook: str = "it") -> Command:
    return replace(command, environment={**command.environment, **MARKS, "SPOTWATCH_HOOK": hook})


def is_gone(pid_file: Path) -> bool:
    return read_process(int(pid_file.read_text())) is None


class TestClocks:
    def test_an_instant_is_the_boot_clock_and_utc_at_one_moment(self, machine: Machine) -> None:
        instant = machine.instant()
        assert instant.boot == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=0.05)
        assert instant.utc.timestamp() == pytest.approx(time.time(), abs=0.05)

    def test_a_wait_ends_at_its_time_and_not_before(self, machine: Machine) -> None:
        until = machine.instant().boot + 0.1
        assert machine.wait(until) == []
        assert 0 <= machine.instant().boot - until < LATE

    def test_a_wait_goes_on_to_its_time_while_children_are_looked_at(self, machine: Machine, sh: Sh) -> None:
        machine.start("it", sh("sleep 60"), output_limit=1000)
        until = machine.instant().boot + 0.3
        assert machine.wait(until) == []
        assert 0 <= machine.instant().boot - until < LATE

    def test_a_time_in_the_past_just_looks(self, machine: Machine) -> None:
        before = machine.instant().boot
        assert machine.wait(before - 1000) == []
        assert machine.instant().boot - before < LATE


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    def test_a_signal_is_told(self, machine: Machine, number: int) -> None:
        os.kill(os.getpid(), number)
        assert machine.wait(None) == [SignalCame(number)]
        assert machine.wait(0) == []

    def test_a_signal_ends_a_wait_that_has_no_end(self, machine: Machine, sh: Sh) -> None:
        machine.start("it", sh(f"sleep 0.05; kill -TERM {os.getpid()}; sleep 60"), output_limit=1000)
        assert machine.wait(None) == [SignalCame(signal.SIGTERM)]

    def test_several_signals_at_once_are_each_told(self, machine: Machine) -> None:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert sorted(machine.wait(None), key=repr) == [SignalCame(1), SignalCame(15), SignalCame(15)]

    def test_ten_thousand_signals_block_nobody(self, machine: Machine) -> None:
        for _ in range(10_000):
            os.kill(os.getpid(), signal.SIGHUP)
        happened = machine.wait(None)
        assert set(happened) == {SignalCame(signal.SIGHUP)}
        assert len(happened) > 100
        assert machine.wait(0) == []

    def test_a_signal_to_a_child_that_has_not_executed_yet_is_not_told_as_ours(self, machine: Machine) -> None:
        pid = os.fork()
        if pid == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        os.waitpid(pid, 0)
        assert machine.wait(machine.instant().boot + 0.01) == []
        os.kill(os.getpid(), signal.SIGTERM)
        assert machine.wait(None) == [SignalCame(signal.SIGTERM)]

    def test_signals_that_were_blocked_or_ignored_when_the_daemon_was_started_come_through(self) -> None:
        program = (
            "import os, signal; from spotwatch.host.machine import Machine\n"
            "with Machine() as machine:\n"
            "    for number in (1, 15): os.kill(os.getpid(), number)\n"
            "    print(sorted(happened.number for happened in machine.wait(machine.instant().boot + 5)))"
        )
        ignoring = ("sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-c", program)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            answer = subprocess.run(ignoring, check=True, capture_output=True, text=True)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        assert answer.stdout == "[1, 15]\n"

    def test_a_closed_machine_has_given_the_signals_back(self) -> None:
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        before = [signal.getsignal(number) for number in numbers]
        with Machine():
            assert signal.getsignal(signal.SIGTERM) != before[0]
        assert [signal.getsignal(number) for number in numbers] == before
        assert signal.set_wakeup_fd(-1) == -1


class TestEnds:
    @pytest.mark.parametrize("code", [0, 1, 255])
    def test_an_exit_is_told_with_its_code(self, machine: Machine, sh: Sh, code: int) -> None:
        assert run(machine, sh(f"exit {code}")) == ChildEnded("it", code, None)

    def test_an_end_by_a_signal_is_told_with_its_number(self, machine: Machine, sh: Sh) -> None:
        assert run(machine, sh("kill -SEGV $$")) == ChildEnded("it", None, signal.SIGSEGV)

    def test_an_end_comes_at_once_and_not_at_the_next_look(self, machine: Machine, sh: Sh) -> None:
        machine.start("it", sh("sleep 0.01"), output_limit=1000)
        before = machine.instant().boot
        end_of(machine)
        assert machine.instant().boot - before < LATE

    def test_children_that_end_together_are_told_together(self, machine: Machine, sh: Sh) -> None:
        for name in ("first", "second"):
            machine.start(name, sh("exit 0"), output_limit=1000)
        time.sleep(0.1)
        assert machine.wait(None) == [ChildEnded("first", 0, None), ChildEnded("second", 0, None)]

    def test_three_hundred_children_end_within_seconds(self, machine: Machine, sh: Sh) -> None:
        names = {f"child-{number}" for number in range(300)}
        for name in names:
            machine.start(name, sh("exit 0"), output_limit=1000)
        ended: set[str] = set()
        while ended != names:
            happened = machine.wait(machine.instant().boot + 5)
            assert happened
            ended |= {end.name for end in happened if isinstance(end, ChildEnded) and end.exit_code == 0}

    def test_a_name_is_free_again_after_the_end(self, machine: Machine, sh: Sh) -> None:
        machine.start("it", sh("exit 3"), output_limit=1000)
        with pytest.raises(ValueError, match='"it" is running'):
            machine.start("it", sh("exit 4"), output_limit=1000)
        assert end_of(machine).exit_code == 3
        assert run(machine, sh("exit 4")).exit_code == 4

    def test_a_child_that_nobody_knows_can_be_ended_without_error(self, machine: Machine) -> None:
        machine.terminate("nobody")
        machine.kill("nobody")

    def test_a_child_that_has_ended_and_is_not_told_yet_can_be_ended_without_error(
        self, machine: Machine, sh: Sh
    ) -> None:
        pid = machine.start("it", sh("exit 7"), output_limit=1000)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        machine.terminate("it")
        machine.kill("it")
        assert end_of(machine).exit_code == 7

    def test_closing_kills_what_still_runs(self, sh: Sh, tmp_path: Path) -> None:
        with Machine() as machine:
            machine.start("it", sh(f"trap '' TERM; {LEAVES} {IS_THERE} sleep 60"), output_limit=1000)
            wait_until((tmp_path / "pid").exists, machine)
        assert is_gone(tmp_path / "pid")


class TestTerminateAndKill:
    def test_terminate_reaches_the_whole_group(self, machine: Machine, sh: Sh, tmp_path: Path) -> None:
        script = "(trap 'echo told > $T/told; exit' TERM; touch $T/up; while :; do sleep 0.01; done) & wait; sleep 0.2"
        machine.start("it", sh(f"trap : TERM; {script}"), output_limit=1000)
        wait_until((tmp_path / "up").exists, machine)
        machine.terminate("it")
        assert end_of(machine).exit_code == 0
        assert (tmp_path / "told").read_text() == "told\n"

    def test_terminate_lets_the_child_clean_up(self, machine: Machine, sh: Sh, tmp_path: Path) -> None:
        machine.start("it", sh("trap 'exit 9' TERM; touch $T/up; while :; do sleep 0.01; done"), output_limit=1000)
        wait_until((tmp_path / "up").exists, machine)
        machine.terminate("it")
        assert end_of(machine) == ChildEnded("it", 9, None)

    def test_kill_ends_a_child_that_ignores_sigterm(self, machine: Machine, sh: Sh, tmp_path: Path) -> None:
        machine.start("it", sh("trap '' TERM; touch $T/up; while :; do sleep 0.01; done"), output_limit=1000)
        wait_until((tmp_path / "up").exists, machine)
        machine.terminate("it")
        assert machine.wait(machine.instant().boot + 0.05) == []
        machine.kill("it")
        assert end_of(machine) == ChildEnded("it", None, signal.SIGKILL)

    def test_kill_ends_a_child_that_is_stopped(self, machine: Machine, sh: Sh) -> None:
        os.kill(machine.start("it", sh("sleep 60"), output_limit=1000), signal.SIGSTOP)
        machine.kill("it")
        assert end_of(machine).signal == signal.SIGKILL

    @pytest.mark.parametrize("leave", [LEAVES, FORGETS], ids=["marked", "without marks"])
    def test_kill_finds_offspring_in_a_session_of_its_own(
        self, machine: Machine, sh: Sh, tmp_path: Path, leave: str
    ) -> None:
        machine.start("bystander", sh("sleep 60"), output_limit=1000)
        machine.start("it", marked(sh(f"{leave} {IS_THERE} touch $T/up; sleep 60")), output_limit=1000)
        wait_until((tmp_path / "up").exists, machine)
        machine.kill("it")
        assert end_of(machine).name == "it"
        assert is_gone(tmp_path / "pid")

    def test_kill_ends_a_small_fork_bomb_that_leaves_the_session(self, machine: Machine, tmp_path: Path) -> None:
        bomb = (
            "import os, sys, time\n"
            "for _ in range(6):\n"
            "    if os.fork() == 0: os.setsid()\n"
            "open(sys.argv[1], 'a').write('up\\n')\n"
            "time.sleep(60)"
        )
        command = Command((sys.executable, "-S", "-E", "-c", bomb, str(tmp_path / "up")), MARKS)
        session_of_the_first = machine.start("it", command, output_limit=1000)
        wait_until(lambda: (tmp_path / "up").exists() and len((tmp_path / "up").read_text()) == 64 * 3, machine)
        machine.kill("it")
        assert end_of(machine).signal == signal.SIGKILL
        assert not [process for process in read_processes().values() if process.parent == os.getpid()]
        assert read_process(session_of_the_first) is None


class TestNothingSurvives:
    def test_the_rest_of_the_group_goes_with_a_child_that_succeeded(
        self, machine: Machine, sh: Sh, tmp_path: Path
    ) -> None:
        assert run(machine, sh("sleep 60 & echo $! > $T/pid")) == ChildEnded("it", 0, None)
        assert is_gone(tmp_path / "pid")

    def test_a_background_process_that_holds_the_output_delays_nothing(self, machine: Machine, sh: Sh) -> None:
        before = machine.instant().boot
        run(machine, sh("sleep 60 & exit 0"))
        assert machine.instant().boot - before < 0.5

    def test_a_job_in_a_group_of_its_own_goes_too(self, machine: Machine, sh: Sh, tmp_path: Path) -> None:
        run(machine, sh("set -m; sleep 60 & echo $! > $T/pid"))
        assert is_gone(tmp_path / "pid")

    def test_an_orphan_in_a_session_of_its_own_is_known_by_its_marks(
        self, machine: Machine, sh: Sh, tmp_path: Path
    ) -> None:
        machine.start("other", marked(sh("sleep 60"), hook="other"), output_limit=1000)
        machine.start("it", marked(sh(f"({LEAVES}); {IS_THERE}")), output_limit=1000)
        assert end_of(machine) == ChildEnded("it", 0, None)
        assert is_gone(tmp_path / "pid")

    def test_an_orphan_of_another_hook_that_runs_is_left_alone(self, machine: Machine, sh: Sh, tmp_path: Path) -> None:
        script = f"({LEAVES}); {IS_THERE} touch $T/up; sleep 60"
        machine.start("other", marked(sh(script), hook="other"), output_limit=1000)
        wait_until((tmp_path / "up").exists, machine)
        run(machine, marked(sh("exit 0")))
        assert not is_gone(tmp_path / "pid")
        machine.kill("other")
        assert end_of(machine).name == "other"
        assert is_gone(tmp_path / "pid")

    def test_an_orphan_without_marks_is_left_until_no_child_runs(
        self, machine: Machine, sh: Sh, tmp_path: Path
    ) -> None:
        machine.start("other", sh("until [ -e $T/go ]; do sleep 0.01; done"), output_limit=1000)
        machine.start("it", sh(f"({FORGETS}); {IS_THERE}"), output_limit=1000)
        assert end_of(machine).name == "it"
        assert not is_gone(tmp_path / "pid")
        (tmp_path / "go").touch()
        assert end_of(machine).name == "other"
        assert is_gone(tmp_path / "pid")

    def test_processes_that_others_started_are_left_alone(self, sh: Sh) -> None:
        with (
            subprocess.Popen(("sleep", "60"), start_new_session=True) as earlier,
            Machine() as machine,
            subprocess.Popen(("sleep", "60")) as later,
        ):
            run(machine, sh("exit 0"))
            assert earlier.poll() is None
            assert later.poll() is None
            later.kill()
            later.wait()
            run(machine, sh("exit 0"))
            earlier.kill()
        assert later.returncode == earlier.returncode == -signal.SIGKILL

    def test_orphans_that_end_while_their_leader_runs_leave_no_zombies(
        self, machine: Machine, sh: Sh, tmp_path: Path
    ) -> None:
        script = "for i in 1 2 3 4 5; do (true &); (setsid true &); done; sleep 0.1; touch $T/up; exec sleep 60"
        pid = machine.start("it", sh(script), output_limit=1000)
        wait_until((tmp_path / "up").exists, machine)
        machine.wait(machine.instant().boot)
        assert [process.pid for process in read_processes().values() if process.parent == os.getpid()] == [pid]
