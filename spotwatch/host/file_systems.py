"""What the hook of the log volume does with file systems; every refusal is a text, since the drain goes on anyway."""

import os
import sys
from collections.abc import Sequence
from typing import Final

from spotwatch.core.errors import CommandNotStarted
from spotwatch.host import freeze
from spotwatch.host.final_sync import Plan
from spotwatch.host.notes_on_volume import write_note
from spotwatch.host.programs import Programs

_HAND_OVER_SECONDS: Final = 10.0
"""That systemd may take to start a unit; it takes a fraction of a second."""

_PROGRAM: Final = (sys.executable, "-B", "-P", "-m", "spotwatch.host.final_sync")
"""-B: a byte code file that is written to a frozen file system would never be."""


class FileSystems:
    """Implements `spotwatch.hooks.services.FileSystems`.

    Args:
        programs: runs systemd's tools.
        booted: exists where systemd is process 1 (sd_booted(3)).
    """

    def __init__(self, programs: Programs, booted: str = "/run/systemd/system") -> None:
        self._programs = programs
        self._booted = booted

    def sync(self, path: str) -> str:
        """Write everything that is not written yet to the disk."""
        try:
            with freeze.opened(path) as descriptor:
                freeze.sync(descriptor)
        except OSError as error:
            return f"{path} cannot be synced: {error.strerror}"
        return ""

    def why_not_to_sync(self, path: str) -> str:
        """Whether there is something to be synced."""
        try:
            with freeze.opened(path):
                return ""
        except OSError as error:
            return f"{path} cannot be synced: {error.strerror}"

    def write_note(self, mount_point: str, name: str, text: str) -> str:
        """Replace a file in the directory `.spotwatch` of the file system."""
        return write_note(mount_point, name, text)

    def why_not_to_freeze(self, path: str, spared: Sequence[str]) -> str:
        """What would hang if the file system at `path` took no writes."""
        try:
            hanging = freeze.what_would_hang(path, ["/", *spared])
        except OSError as error:
            return f"the mounts cannot be listed: {error.strerror}"
        return f"{hanging} is on the same file system" if hanging else ""

    def hand_over(self, mount_point: str, *, freeze_at: float | None, until: float, report: str) -> str:
        """Have systemd run `spotwatch.host.final_sync` as a unit of its own, in place of an earlier one.

        A child of ours would not do: what a hook leaves behind is killed by the daemon, and that may be the moment in
        which the file system is frozen.
        """
        if not os.path.isdir(self._booted):
            return "systemd does not run here"
        if os.geteuid() != 0:
            return "we are not root"
        unit = unit_of(mount_point)
        plan = Plan(mount_point, until, freeze_at, report)
        if self._run("systemctl", "stop", "--quiet", unit) not in ("", *_NO_SUCH_UNIT):
            return f"{unit} of an earlier drain cannot be stopped"
        return self._run("systemd-run", f"--unit={unit}", *_properties(mount_point), *_settings(plan), *_PROGRAM)

    def _run(self, *argv: str) -> str:
        try:
            code = self._programs.run(argv, limit=_HAND_OVER_SECONDS)
        except (CommandNotStarted, TimeoutError) as error:
            return str(error)
        return f"{argv[0]} ended with {code}" if code else ""


_NO_SUCH_UNIT: Final = ("systemctl ended with 5",)  # systemctl(1), "EXIT STATUS"


def unit_of(mount_point: str) -> str:
    """The name of the unit for a mount point: one for each, escaped as systemd.unit(5) has it."""
    path = os.path.normpath(mount_point).strip("/")
    escaped = "".join(_escaped(byte, first=number == 0) for number, byte in enumerate(os.fsencode(path)))
    return f"spotwatch-final-sync-{escaped or '-'}.service"


def _escaped(byte: int, *, first: bool) -> str:
    letter = chr(byte)
    if letter == "/":
        return "-"
    plain = letter.isascii() and (letter.isalnum() or letter in ":_" or (letter == "." and not first))
    return letter if plain else f"\\x{byte:02x}"


def _properties(mount_point: str) -> list[str]:
    properties = {
        "Description": f"spotwatch: last seconds of {mount_point}",
        "Type": "exec",
        "RequiresMountsFor": _quoted(mount_point),
        "ExecStopPost": " ".join(map(_quoted, (*_PROGRAM, "thaw"))),
        "OOMScoreAdjust": "-1000",
        "Nice": "-10",
        "WorkingDirectory": "/",
    }
    return ["--quiet", "--collect", *(f"--property={name}={value}" for name, value in properties.items())]


def _quoted(word: str) -> str:
    """One word for systemd (systemd.syntax(7), "Quoting")."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _settings(plan: Plan) -> list[str]:
    return [f"--setenv={name}={value}" for name, value in plan.to_environment().items()]
