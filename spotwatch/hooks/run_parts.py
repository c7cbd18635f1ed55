"""``run-parts``: a directory of executables, one after the other, in the order of their names.

The way of run-parts(8), for packages that drop a file into a directory: names of letters, digits, ``-`` and ``_``
only (and ``.sh`` at their end), so that editors' backups and package managers' left-overs are not run. Each program
gets the environment of the hook.
"""

import re
from argparse import ArgumentParser, Namespace
from pathlib import Path

from spotwatch.core.errors import CommandNotStarted, UsageError
from spotwatch.hooks.services import Programs, Services

SUMMARY = "run the executables of a directory, one after the other, in the order of their names"
IAM_ACTIONS: tuple[str, ...] = ()

_NAME = re.compile(r"[A-Za-z0-9_-]+(\.sh)?")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the words of its command line."""
    parser.add_argument(
        "directory",
        type=Path,
        help="the directory with the executables; names of letters, digits, - and _ only (and .sh at the end), so that "
        "no left-over is run",
    )
    parser.add_argument(
        "--exit-on-error", action="store_true", help="run nothing more after the first program that fails"
    )


def run(arguments: Namespace, services: Services, *, dry_run: bool) -> int:
    """Run them; 1 if any failed, else 0."""
    failed = False
    programs = _parts(arguments.directory)
    if not programs:
        print(f"{arguments.directory} holds no executable with a fitting name: nothing to run")
    for program in programs:
        if dry_run:
            print(f"would run {program}")
            continue
        problem = _problem(program, services.programs)
        print(f"{program}: {problem or 'ok'}", flush=True)
        failed = failed or bool(problem)
        if problem and arguments.exit_on_error:
            break
    return 1 if failed else 0


def _problem(program: Path, programs: Programs) -> str:
    try:
        code = programs.run((str(program),))
    except CommandNotStarted as error:
        return error.message
    return f"failed with exit code {code}" if code else ""


def _parts(directory: Path) -> list[Path]:
    try:
        return [entry for entry in sorted(directory.iterdir()) if _NAME.fullmatch(entry.name) and _is_executable(entry)]
    except OSError as error:
        raise UsageError(f"{directory} cannot be listed: {error.strerror}", hint="name an existing directory") from None


def _is_executable(path: Path) -> bool:
    return path.is_file() and bool(path.stat().st_mode & 0o111)
