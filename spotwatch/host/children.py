"""Starting a child process, and saying in the operator's words why it could not be started.

What this survives:

- A hook that stops its whole process group or its terminal: each child leads a session of its own.
- A hook that reads its stdin, or leaves its output open in a background process: stdin is /dev/null, the output a file.
- Descriptors, signal settings, umask or working directory of ours that a hook would trip over: it gets the defaults.
- A daemon that dies: beside its output each child has a note of its number and start, by which the next life tells it
  from what it has started itself. The note is not synced to the disk, since no child outlives a loss of power.
- A user or group that is missing or that we may not become, a script without interpreter, a machine that is out of
  processes, descriptors or memory: each is a `CommandNotStarted`, never another error.
"""

import contextlib
import errno
import os
import signal
import subprocess
from dataclasses import dataclass
from typing import Self

from spotwatch.core.errors import CommandNotStarted
from spotwatch.core.process import Command
from spotwatch.host.identity import Identity, identity
from spotwatch.host.output import Output
from spotwatch.host.processes import Process, marks, read_process

_UMASK = 0o022
"""What a login shell has: files that everybody may read and only the owner may write."""


@dataclass(frozen=True, slots=True)
class Birth:
    """The note beside a child's output that says which process it is."""

    path: str

    @classmethod
    def of_child_with(cls, output: str) -> Self:
        """The note of the child with this output."""
        return cls(os.path.splitext(output)[0] + ".pid")

    def note(self, pid: int) -> None:
        """Write it; without it a restarted daemon has to guess."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(OSError), open(os.open(self.path, flags, 0o600), "w", encoding="ascii") as file:
            if (process := read_process(pid)) is not None:
                file.write(f"{process.pid} {process.started}\n")

    def read(self) -> Process | None:
        """The process that it names, as it was at its birth; None if there is no such note."""
        try:
            with open(self.path, encoding="ascii") as file:
                pid, started = map(int, file.read().split())
        except (OSError, ValueError):
            return None
        return Process(pid, started, state="R", parent=os.getpid(), session=pid)

    def forget(self) -> None:
        """The child has ended, and its number may be given to another process."""
        with contextlib.suppress(OSError):
            os.unlink(self.path)


@dataclass(frozen=True, slots=True)
class Child:
    """A child that runs, or that has ended and is not reaped yet: so its number is its own and its group's.

    Attributes:
        name: under which it was started.
        process: what reaps it.
        pidfd: readable when it has ended (pidfd_open(2)).
        output: where its stdout and stderr go.
        marks: what its offspring has in its environment.
        birth: the note of its number.
    """

    name: str
    process: subprocess.Popen[bytes]
    pidfd: int
    output: Output
    marks: frozenset[bytes]
    birth: Birth

    @property
    def pid(self) -> int:
        """Its number, which is also that of its process group and its session."""
        return self.process.pid

    def signal_group(self, number: int) -> None:
        """Signal its process group; no error if nobody is left there or if they run as somebody else."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def reap(self) -> int | None:
        """Its exit code, or the negative number of the signal that ended it, once it has ended."""
        os.close(self.pidfd)
        self.birth.forget()
        return self.process.wait()


def start(name: str, command: Command, *, output_limit: int) -> Child:
    """Execute a command as a child in a session of its own.

    Raises:
        CommandNotStarted: it could not be executed; nothing of it is left but perhaps an empty output file.
    """
    if not command.argv:
        raise CommandNotStarted("the command is empty", hint="name a program in the hook's command")
    become = identity(command.user, command.group)
    output = _output(command, output_limit)
    try:
        if become.uid is not None:
            output.give_to(become.uid)
        process = _execute(command, become, output.descriptor)
        birth = Birth.of_child_with(command.output)
        birth.note(process.pid)
        return Child(name, process, _watch(process), output, marks(command.environment), birth)
    except OSError as error:
        output.finish()
        raise _refusal(error, command) from error
    except (ValueError, OverflowError) as error:  # a NUL in an argument, a group beyond 32 bits
        output.finish()
        raise CommandNotStarted(
            f"the command cannot be handed to the system: {error}", hint="correct the hook's command"
        ) from error


def _output(command: Command, limit: int) -> Output:
    try:
        return Output(command.output, limit)
    except OSError as error:
        raise _refusal(error, command) from error


def _execute(command: Command, become: Identity, output: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command.argv,
        env=command.environment,
        cwd=command.directory or "/",
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        user=become.uid,
        group=become.gid,
        extra_groups=become.groups,
        umask=_UMASK,
        start_new_session=True,
    )


def _watch(process: subprocess.Popen[bytes]) -> int:
    try:
        return os.pidfd_open(process.pid)
    except OSError:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


_SHORTAGES = {
    errno.EAGAIN: ("no more processes are allowed", "raise TasksMax= of the service or the limit on processes"),
    errno.EMFILE: ("the daemon is out of file descriptors", "raise LimitNOFILE= of the service"),
    errno.ENFILE: ("the system is out of file descriptors", "raise the sysctl fs.file-max"),
    errno.ENOMEM: ("not enough memory for another process", "free memory, or raise MemoryMax= of the service"),
    errno.ENOSYS: ("this kernel cannot tell when a process ends (pidfd_open)", "run Linux 5.3 or newer"),
    errno.E2BIG: ("arguments and environment are too long together", "pass the data in a file"),
}
"""Reasons that have nothing to do with the file that was to be executed: message and hint."""


def _refusal(error: OSError, command: Command) -> CommandNotStarted:
    if error.errno in _SHORTAGES:
        message, hint = _SHORTAGES[error.errno]
        return CommandNotStarted(message, hint=hint)
    if error.filename == command.argv[0]:
        return _not_executable(error, command)
    if error.errno == errno.EPERM:
        return CommandNotStarted(
            f"not allowed to run as {_wanted_identity(command)}",
            hint="run the daemon as root, or leave out the hook's user and group",
        )
    if error.filename == command.directory:
        return CommandNotStarted(
            f"cannot enter the directory {command.directory}: {error.strerror}",
            hint="create the directory, or correct the hook's directory",
        )
    return CommandNotStarted(f"cannot start the command: {error.strerror}", hint="look into the system's log")


def _wanted_identity(command: Command) -> str:
    wanted = {"user": command.user, "group": command.group}
    return " and ".join(f'{word} "{name}"' for word, name in wanted.items() if name is not None)


def _not_executable(error: OSError, command: Command) -> CommandNotStarted:
    program = command.argv[0]
    if error.errno == errno.ENOENT and "/" not in program:
        path = os.pathsep.join(os.get_exec_path(command.environment))
        return CommandNotStarted(
            f"{program} is in none of the directories of PATH ({path})",
            hint="install it, or write its full path in the hook's command",
        )
    file = os.path.join(command.directory or "/", program)
    if error.errno == errno.ENOENT and os.path.exists(file):
        return _without_interpreter(program, _first_line(file))
    return CommandNotStarted(f"cannot execute {program}: {error.strerror}", hint=_hint(error.errno, file))


def _without_interpreter(program: str, first_line: str) -> CommandNotStarted:
    if not first_line.startswith("#!"):
        return CommandNotStarted(
            f"the dynamic loader that {program} asks for is missing", hint="install a build of it for this system"
        )
    return CommandNotStarted(
        f"the interpreter of {program} is missing: {first_line!r}",
        hint='correct the first line of the script (a line end from Windows, "\\r", counts as part of it)',
    )


def _first_line(file: str) -> str:
    try:
        with open(file, "rb") as script:
            return script.readline(80).rstrip(b"\n").decode(errors="replace")
    except OSError:
        return ""


def _hint(number: int | None, file: str) -> str:
    match number:
        case errno.ENOENT:
            return "install it, or correct the hook's command"
        case errno.EACCES if os.path.isdir(file):
            return "this is a directory; name the program in it"
        case errno.EACCES:
            return f"chmod +x {file}, and see that the hook's user may enter every directory above it"
        case errno.ENOEXEC:
            return 'begin the script with a line such as "#!/bin/sh"; a binary must be made for this processor'
        case _:
            return "correct the hook's command"
