"""The command line: the composition root, and the only package that knows every room. One module a command."""

import errno
import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from importlib import import_module
from io import TextIOWrapper
from signal import SIGINT, SIGPIPE
from typing import Final, NoReturn, Protocol, cast

from spotwatch import __version__
from spotwatch.core.errors import EX_SOFTWARE, EX_USAGE, SettingsError, SpotwatchError

EX_IOERR: Final = 74

_OUTPUT_FAILURES: Final = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What only writing fails with. Where files of our own are written it is an answer, so it comes from the output."""

COMMANDS: Final[Mapping[str, str]] = {
    "run": "watch this instance and drain it when it is interrupted (the daemon)",
    "simulate": "rehearse an interruption on this machine, without AWS and without root",
    "check": "check settings, metadata service, hooks and the time budget",
    "status": "show what the daemon sees now, and the last drain's report",
    "drain": "run the hooks of an event now, by hand",
    "history": "show past drains",
    "pools": "plan capacity over many Spot capacity pools, check a configuration, replay a plan",
    "hook": "run one of the built-in hooks by hand",
    "ship": "ship what is left on log volumes, in a batch or by hand",
    "logs": "list and read what was shipped",
    "addresses": "hold as many addresses as the instance's size deserves",
    "help": "show a page of the manual",
    "volumes": "list leftover log volumes, what they cost, and raise alarms",
}

_DESCRIPTION = """\
spotwatch notices that an EC2 Spot Instance is going to be interrupted and
leaves in good order: it runs your hooks in stages, inside the time that is
left, and reports what became of them.
"""

_EPILOG = """\
exit codes:
  0    done
  1    the rehearsal, the check, the drain or the hook found a failure
  64   the command line is wrong
  65   an input file is wrong, or something is wrong with a log volume
  69   the daemon, the metadata service, AWS or a destination is not there
  70   a bug in spotwatch
  73   a directory or file cannot be made or used
  74   the output cannot be written
  75   somebody else is at work, or the time was too short; try again later
  77   AWS does not allow it, or root is needed
  78   the settings have mistakes
  130  interrupted (Ctrl-C)
  141  nobody reads the output any more (| head)

files:
  /etc/spotwatch/spotwatch.toml      the settings
  /etc/spotwatch/spotwatch.d/*.toml  drop-ins, read after it in name order
  /var/lib/spotwatch/                reports and outputs of past drains
  /run/spotwatch/                    status and lock of the running daemon

"spotwatch COMMAND --help" explains each command.
"""

_OF_EVERY_COMMAND = """
exit codes of every command:
  70   a bug in spotwatch
  74   the output cannot be written
  130  interrupted (Ctrl-C)
  141  nobody reads the output any more (| head)
"""


class Command(Protocol):
    """A command's module."""

    DESCRIPTION: str
    EPILOG: str

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command's words."""
        ...

    def run(self, arguments: Namespace) -> int:
        """Do it; the exit code."""
        ...


class Parser(ArgumentParser):
    """argparse with sysexits: a wrong command line ends with 64."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where to read more."""
        self.exit(EX_USAGE, f"{self.prog}: {message}\ntry '{self.prog} --help'\n")


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the exit code for the shell."""
    given = sys.argv[1:] if words is None else list(words)
    _let_nothing_be_unprintable()
    try:
        try:
            return _run(given)
        finally:
            print(end="", flush=True)
    except BrokenPipeError:
        _drop_output()
        return 128 + SIGPIPE  # as the shell reports any program whose reader has gone
    except OSError as error:
        _drop_output()
        print(f"spotwatch: the output cannot be written: {error.strerror}", file=sys.stderr)
        return EX_IOERR


def _run(words: Sequence[str]) -> int:
    """Run one command; every way to fail has its exit code."""
    try:
        arguments, command = _parse(words)
        return command.run(arguments)
    except SettingsError as error:
        mistakes = "".join(f"spotwatch: {mistake}\n" for mistake in error.mistakes)
        print(f"{mistakes}spotwatch: {error.message}; nothing was started", file=sys.stderr)
        return error.exit_code
    except SpotwatchError as error:
        return _refuse(error)
    except KeyboardInterrupt:
        return 128 + SIGINT
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OUTPUT_FAILURES:
            raise
        return _report_bug()


def _let_nothing_be_unprintable() -> None:
    """A terminal that lacks a character shows a question mark for it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _drop_output() -> None:
    """Nobody reads our output; the interpreter must not try once more, at its end, to write what is left of it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parse(words: Sequence[str]) -> tuple[Namespace, Command]:
    """Only the chosen command's module is imported, so that the daemon stays small."""
    chosen = next((word for word in words if not word.startswith("-")), "")
    parser = Parser(
        prog="spotwatch", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"spotwatch {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    command: Command | None = None
    for name, summary in COMMANDS.items():
        if name != chosen:
            subparsers.add_parser(name, help=summary)
            continue
        command = cast("Command", import_module(f"spotwatch.cli.{name}"))
        subparser = subparsers.add_parser(
            name,
            help=summary,
            description=command.DESCRIPTION,
            epilog=command.EPILOG + _OF_EVERY_COMMAND,
            formatter_class=RawDescriptionHelpFormatter,
        )
        command.add_arguments(subparser)
    if not words:
        parser.print_help(sys.stderr)
        parser.exit(EX_USAGE)
    arguments = parser.parse_args(words)
    return arguments, cast("Command", command)


def _refuse(error: SpotwatchError) -> int:
    print("".join(f"spotwatch: {line}\n" for line in error.message.splitlines()), end="", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
    return error.exit_code


def _report_bug() -> int:
    """One line for the operator, and the traceback as a log record for whoever mends it."""
    from spotwatch.core.settings import LogSettings
    from spotwatch.log import make_log

    print("spotwatch: this is a bug in spotwatch; the record below says where", file=sys.stderr)
    make_log(LogSettings(), stream=sys.stderr).exception("bug", version=__version__)
    return EX_SOFTWARE
