"""Looks before it matters: would a command start, could a directory be used, who else could change what we rely on."""

import contextlib
import os
import pwd
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from spotwatch.core.errors import CommandNotStarted
from spotwatch.core.process import Command
from spotwatch.host.identity import Identity, identity


def why_it_would_not_start(command: Command) -> Iterator[str]:
    """Each reason for which this command could not be executed."""
    try:
        program = find_program(command)
        if program is None:
            yield f"{command.argv[0]} does not exist"
        elif not program.is_file():
            yield f"{program} is not a file"
        elif not os.access(program, os.X_OK):
            yield f"{program} is not executable (chmod +x {program})"
        if command.directory is not None and not Path(command.directory).is_dir():
            yield f"its directory {command.directory} does not exist"
        identity(command.user, command.group)
    except CommandNotStarted as error:
        yield error.message
    except OSError as error:
        yield f"{error.filename} cannot be looked at: {error.strerror}"


def only_root_could_start(command: Command) -> bool:
    """Whether it is to run as somebody whom only root can become, and we are not root."""
    us = Identity(os.geteuid(), os.getegid())
    wanted = identity(command.user, command.group)
    return us.uid != 0 and (wanted.uid not in {None, us.uid} or wanted.gid not in {None, us.gid})


def why_it_could_not_be_used(directory: Path) -> str:
    """Why we could not make this directory or write to it, without trying; empty if we could."""
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return ""
    why = f"{existing} cannot be written by {user_name()}" if existing.is_dir() else f"{existing} is not a directory"
    return why if existing == directory else f"{directory} cannot be made: {why}"


def who_else_could_change_command(command: Command) -> Iterator[str]:
    """Each file or directory through which others than its owner could change what this command does.

    A command that cannot be found or looked at has none; `why_it_would_not_start` tells of that.
    """
    with contextlib.suppress(OSError):
        program = find_program(command)
        if program:
            yield from who_else_could_change(program)


def who_else_could_change(file: Path) -> Iterator[str]:
    """The file, or each directory on the way to it, that others than its owner could write.

    Raises:
        OSError: it cannot be looked at.
    """
    resolved = file.resolve()
    for path in (resolved, *resolved.parents):
        status = path.stat()
        if _writable_by_others(status):
            yield f"{path} can be written by others than its owner ({stat.filemode(status.st_mode)})"


def find_program(command: Command) -> Path | None:
    """The program that would be executed: the path in the command, or the first of this name in its PATH."""
    name = command.argv[0]
    if "/" in name:
        path = Path(command.directory or "/", name)
        return path if path.exists() else None
    found = shutil.which(name, path=_path(command.environment))
    return Path(found) if found else None


def user_name() -> str:
    """Who we are; a number where the account has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _path(environment: Mapping[str, str]) -> str:
    return environment.get("PATH", os.defpath)


def _writable_by_others(status: os.stat_result) -> bool:
    """By anybody, or by a group that is not root's; a directory such as /tmp lets nobody change another's files."""
    by_group = bool(status.st_mode & stat.S_IWGRP) and status.st_gid != 0
    is_sticky = stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX)
    return (by_group or bool(status.st_mode & stat.S_IWOTH)) and not is_sticky
