"""What a child finds when it begins, and what is said when it cannot begin."""

import os
import pwd
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from spotwatch.core.errors import CommandNotStarted
from spotwatch.core.process import Command
from spotwatch.host.machine import Machine
from tests.host.conftest import needs_root, open_descriptors, run

Sh = Callable[[str], Command]

NOBODY = next((account for account in pwd.getpwall() if account.pw_name == "nobody"), None)


@contextmanager
def few_descriptors(spare: int) -> Iterator[None]:
    """Leave this process no more than `spare` descriptors for a moment."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(open_descriptors()) + 10, before[1]))
    taken: list[int] = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        for descriptor in taken[:spare]:
            os.close(descriptor)
        yield
    finally:
        for descriptor in taken[spare:]:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


BECOME_NOBODY = """
import os, pwd, resource
from spotwatch.core.errors import CommandNotStarted
from spotwatch.core.process import Command
from spotwatch.host.machine import Machine

def start(machine, command):
    try:
        machine.start("it", command, output_limit=1000)
        print(machine.wait(machine.instant().boot + 5))
    except CommandNotStarted as error:
        print(error.message, error.hint, sep="; ")

us = pwd.getpwnam("nobody")
os.setgroups([us.pw_gid, 4711])  # the second is not in the account, as SupplementaryGroups= of a service may be
os.setgid(us.pw_gid)
os.setuid(us.pw_uid)
"""


def as_nobody(program: str) -> list[str]:
    """The lines that a program says which runs without root; imports come first, while it may read the checkout."""
    command = (sys.executable, "-c", BECOME_NOBODY + program)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()


def refusal(machine: Machine, command: Command) -> tuple[str, str]:
    with pytest.raises(CommandNotStarted) as caught:
        machine.start("it", command, output_limit=1000)
    assert machine.wait(0) == []
    return caught.value.message, caught.value.hint


def executable(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


class TestWhatAChildFinds:
    def said(self, machine: Machine, command: Command) -> str:
        assert run(machine, command).exit_code == 0
        return machine.output_tail("it")

    def test_its_environment_is_exactly_what_the_command_says(self, machine: Machine, output: Path) -> None:
        command = Command(("/usr/bin/env",), {"ONE": "1", "SPOTWATCH_HOOK": "it"}, str(output))
        assert self.said(machine, command) == "ONE=1\nSPOTWATCH_HOOK=it\n"

    def test_it_begins_in_the_root_directory(self, machine: Machine, sh: Sh) -> None:
        assert self.said(machine, sh("pwd")) == "/\n"

    def test_it_begins_in_the_directory_of_the_command(self, machine: Machine, sh: Sh, tmp_path: Path) -> None:
        assert self.said(machine, replace(sh("pwd"), directory=str(tmp_path))) == f"{tmp_path}\n"

    def test_its_stdin_is_at_its_end(self, machine: Machine, sh: Sh) -> None:
        assert self.said(machine, sh("wc -c")).strip() == "0"

    def test_stdout_and_stderr_go_to_one_file_in_their_order(self, machine: Machine, sh: Sh, output: Path) -> None:
        run(machine, sh("echo one; echo two >&2; echo three"))
        assert output.read_text() == "one\ntwo\nthree\n"

    def test_it_leads_a_session_and_a_group_of_its_own(self, machine: Machine, sh: Sh) -> None:
        pid, group, session = self.said(machine, sh("read -r _ _ _ _ g s _ < /proc/$$/stat; echo $$ $g $s")).split()
        assert pid == group == session

    def test_its_umask_is_022_whatever_ours_is(self, machine: Machine, sh: Sh) -> None:
        before = os.umask(0o077)
        try:
            assert self.said(machine, sh("umask")) == "0022\n"
        finally:
            os.umask(before)

    def test_it_has_no_descriptors_of_ours(self, machine: Machine, sh: Sh) -> None:
        with open("/dev/null") as file:
            inheritable = os.dup2(file.fileno(), 100)
            said = self.said(machine, sh("ls /proc/$$/fd"))
            os.close(inheritable)
        assert {"0", "1", "2"} <= set(said.split()) <= {"0", "1", "2", "3", "10"}  # the shell may have one or two

    def test_no_signal_is_blocked_or_ignored(self, sh: Sh) -> None:
        before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        try:
            with Machine() as machine:
                said = self.said(machine, sh("exec grep -E 'Sig(Blk|Ign)' /proc/self/status"))
        finally:
            signal.signal(signal.SIGQUIT, before)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        assert [line.split()[1] for line in said.splitlines()] == ["0" * 16, "0" * 16]

    def test_a_program_without_a_slash_is_looked_for_in_the_path_of_the_command(
        self, machine: Machine, output: Path, tmp_path: Path
    ) -> None:
        executable(tmp_path / "own-program", "#!/bin/sh\necho found\n")
        assert self.said(machine, Command(("own-program",), {"PATH": f"/x:{tmp_path}"}, str(output))) == "found\n"


class TestRefusals:
    def test_a_program_that_is_missing(self, machine: Machine) -> None:
        message, hint = refusal(machine, Command(("/no/such/program", "-v")))
        assert message == "cannot execute /no/such/program: No such file or directory"
        assert hint == "install it, or correct the hook's command"

    def test_a_program_that_is_not_in_the_path(self, machine: Machine) -> None:
        message, hint = refusal(machine, Command(("no-such-program",), {"PATH": "/bin:/sbin"}))
        assert message == "no-such-program is in none of the directories of PATH (/bin:/sbin)"
        assert "full path" in hint

    def test_a_file_that_is_not_executable(self, machine: Machine, tmp_path: Path) -> None:
        script = tmp_path / "script"
        script.write_text("#!/bin/sh\n")
        message, hint = refusal(machine, Command((str(script),)))
        assert message == f"cannot execute {script}: Permission denied"
        assert hint.startswith(f"chmod +x {script}")

    def test_a_directory(self, machine: Machine, tmp_path: Path) -> None:
        assert refusal(machine, Command((str(tmp_path),)))[1] == "this is a directory; name the program in it"

    def test_a_script_whose_interpreter_is_missing(self, machine: Machine, tmp_path: Path) -> None:
        script = executable(tmp_path / "script", "#!/bin/sh\r\necho\r\n")
        message, hint = refusal(machine, Command((script,)))
        assert message == f"the interpreter of {script} is missing: '#!/bin/sh\\r'"
        assert "Windows" in hint

    def test_a_binary_whose_loader_is_missing(self, machine: Machine, tmp_path: Path) -> None:
        program = tmp_path / "program"
        program.write_bytes(Path("/bin/true").read_bytes().replace(b"/ld-", b"/no-"))
        program.chmod(0o755)
        message, hint = refusal(machine, Command((str(program),)))
        assert message == f"the dynamic loader that {program} asks for is missing"
        assert hint == "install a build of it for this system"

    def test_a_script_without_interpreter(self, machine: Machine, tmp_path: Path) -> None:
        script = executable(tmp_path / "script", "echo hello\n")
        message, hint = refusal(machine, Command((script,)))
        assert message == f"cannot execute {script}: Exec format error"
        assert '"#!/bin/sh"' in hint

    def test_a_working_directory_that_is_missing(self, machine: Machine) -> None:
        message, hint = refusal(machine, Command(("/bin/true",), directory="/no/such"))
        assert message == "cannot enter the directory /no/such: No such file or directory"
        assert hint.startswith("create the directory")

    @pytest.mark.parametrize("user", ["no-such-user", "4000000000", "99999999999999999999", "²"])
    def test_a_user_that_does_not_exist(self, machine: Machine, user: str) -> None:
        assert refusal(machine, Command(("/bin/true",), user=user))[0] == f'there is no user "{user}"'

    def test_a_group_that_does_not_exist(self, machine: Machine) -> None:
        assert refusal(machine, Command(("/bin/true",), group="no-such"))[0] == 'there is no group "no-such"'

    @pytest.mark.parametrize("argv", [(), ("",), ("/bin/echo", "a\0b"), ("/bin/ec\0ho",)])
    def test_a_command_that_cannot_be_one(self, machine: Machine, argv: tuple[str, ...]) -> None:
        refusal(machine, Command(argv))

    def test_a_variable_that_cannot_be_one(self, machine: Machine) -> None:
        assert "illegal environment variable" in refusal(machine, Command(("/bin/true",), {"A=B": "c"}))[0]

    def test_arguments_that_are_too_long(self, machine: Machine) -> None:
        message, hint = refusal(machine, Command(("/bin/echo", "x" * 4_000_000)))
        assert message == "arguments and environment are too long together"
        assert hint == "pass the data in a file"

    @pytest.mark.parametrize("spare", range(4))
    def test_a_daemon_that_is_out_of_descriptors(self, machine: Machine, sh: Sh, spare: int) -> None:
        with few_descriptors(spare):
            message, hint = refusal(machine, sh("exit 0"))
        assert message == "the daemon is out of file descriptors"
        assert hint == "raise LimitNOFILE= of the service"
        assert run(machine, sh("exit 0")).exit_code == 0

    @needs_root
    def test_a_user_who_is_out_of_processes(self) -> None:
        said = as_nobody(
            "resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))\n"
            "with Machine() as machine: start(machine, Command(('/bin/true',)))"
        )
        assert said == ["no more processes are allowed; raise TasksMax= of the service or the limit on processes"]


@needs_root
class TestIdentity:
    def said(self, machine: Machine, command: Command) -> list[str]:
        assert run(machine, command).exit_code == 0
        return machine.output_tail("it").split()

    @pytest.mark.parametrize("by_number", [False, True], ids=["by name", "by number"])
    def test_a_user_comes_with_the_users_own_groups(self, machine: Machine, sh: Sh, by_number: bool) -> None:
        assert NOBODY is not None
        user = str(NOBODY.pw_uid) if by_number else "nobody"
        groups = {str(group) for group in os.getgrouplist("nobody", NOBODY.pw_gid)}
        uid, gid, *all_groups = self.said(machine, replace(sh("id -u; id -g; id -G"), user=user))
        assert (uid, gid) == (str(NOBODY.pw_uid), str(NOBODY.pw_gid))
        assert set(all_groups) == groups

    def test_a_group_takes_the_place_of_the_users_own(self, machine: Machine, sh: Sh) -> None:
        assert self.said(machine, replace(sh("id -g"), user="nobody", group="4711")) == ["4711"]

    def test_a_group_alone_leaves_the_user_as_it_is(self, machine: Machine, sh: Sh) -> None:
        assert self.said(machine, replace(sh("id -u; id -g"), group="daemon"))[0] == "0"

    def test_a_user_can_open_its_stderr_by_name(self, machine: Machine, sh: Sh) -> None:
        assert self.said(machine, replace(sh("echo hello > /dev/stderr"), user="nobody")) == ["hello"]

    def test_dev_null_is_not_given_away(self, machine: Machine) -> None:
        run(machine, Command(("/bin/true",), user="nobody"))
        assert os.stat("/dev/null").st_uid == 0

    def test_a_program_that_the_user_may_not_reach(self, machine: Machine, tmp_path: Path) -> None:
        script = executable(tmp_path / "script", "#!/bin/sh\n")
        tmp_path.chmod(0o700)
        message, hint = refusal(machine, Command((script,), user="nobody"))
        assert message == f"cannot execute {script}: Permission denied"
        assert "every directory above it" in hint

    def test_without_root_a_daemon_runs_hooks_as_itself_and_as_nobody_else(self) -> None:
        said = as_nobody(
            "with Machine() as machine:\n"
            "    start(machine, Command(('/bin/true',), user='nobody'))\n"
            "    start(machine, Command(('/bin/true',), user='root'))\n"
            "    start(machine, Command(('/bin/true',), group='0'))"
        )
        hint = "run the daemon as root, or leave out the hook's user and group"
        assert said == [
            "[ChildEnded(name='it', exit_code=0, signal=None, output_dropped=0, output_problem='')]",
            f'not allowed to run as user "root"; {hint}',
            f'not allowed to run as group "0"; {hint}',
        ]
