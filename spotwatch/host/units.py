"""Units of systemd, looked at and stopped with systemctl.

What this survives: a service manager that does not answer (each question has a limit), one that is not there, and
units that are unloaded between two questions.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import Final

from spotwatch.core.errors import ServiceManagerDenied, ServiceManagerRefused, ServiceManagerUnavailable
from spotwatch.core.unit import Unit

ANSWER_SECONDS: Final = 5.0
"""For one answer of systemctl; it takes some milliseconds."""

_PROPERTIES: Final = "Id,LoadState,ActiveState,Result,Job,TriggeredBy"

_ENVIRONMENT: Final = {"LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": "", "SYSTEMD_URLIFY": "0"}

_DENIED: Final = ("access denied", "interactive authentication required", "permission denied", "not authorized")

_NO_ANSWER: Final = ("failed to connect to bus", "connection timed out", "connection reset", "transport endpoint")

_IS_STOPPED: Final = re.compile(r"Unit \S+ (is )?not loaded|[Nn]o matching processes|[Nn]o such process")
_ADVICE: Final = re.compile(r"See (system|user) logs|Hint:")

_NOT_THERE: Final = "not been booted with systemd"


class Units:
    """Implements `spotwatch.hooks.services.Units`.

    Args:
        control_group: the file that says in which control group we are.
    """

    def __init__(self, control_group: str = "/proc/self/cgroup") -> None:
        self.own = _unit_of(control_group)

    def look(self, names: Sequence[str]) -> tuple[Unit, ...]:
        """Units by their names or by glob patterns, which match those that systemd has loaded."""
        if not names:
            return ()
        shown = _systemctl("show", f"--property={_PROPERTIES}", "--", *names)
        blocks = (_values(block) for block in re.split(r"\n\s*\n", shown))
        return tuple(_unit(values) for values in blocks if values.get("Id"))

    def stop(self, names: Sequence[str], *, ignore_dependencies: bool) -> None:
        """Have them stopped, and wait for nothing."""
        mode = "ignore-dependencies" if ignore_dependencies else "replace"
        _systemctl("stop", "--no-block", f"--job-mode={mode}", "--", *names)

    def kill(self, names: Sequence[str]) -> None:
        """Send SIGKILL to all of their processes."""
        _systemctl("kill", "--signal=SIGKILL", "--", *names)

    def is_going_down(self) -> bool:
        """Whether the system is stopping, or our own unit is, or is about to."""
        if _systemctl("show", "--property=SystemState", "--value").strip() == "stopping":
            return True
        ours = self.look([self.own]) if self.own else ()
        return any(unit.has_job or unit.active_state == "deactivating" for unit in ours)


def _unit_of(control_group: str) -> str:
    """The unit that we are a part of; empty if there is none."""
    try:
        with open(control_group, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    paths = [line.split(":", 2)[2] for line in lines if re.match(r"\d+:(name=systemd)?:", line)]
    units = [part for path in paths for part in path.split("/") if part.endswith((".service", ".scope"))]
    return units[0] if units else ""


def _values(block: str) -> Mapping[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _unit(values: Mapping[str, str]) -> Unit:
    return Unit(
        name=values["Id"],
        load_state=values.get("LoadState", ""),
        active_state=values.get("ActiveState", ""),
        result=values.get("Result", ""),
        has_job=values.get("Job", "0") not in ("", "0"),
        triggered_by=tuple(values.get("TriggeredBy", "").split()),
    )


def _systemctl(*words: str) -> str:
    """What it prints.

    Raises:
        ServiceManagerUnavailable: systemd has no answer.
        ServiceManagerDenied: we may not.
        ServiceManagerRefused: any other answer than the one we wanted, or there is no systemctl.
    """
    argv = ["systemctl", "--no-ask-password", "--no-pager", *words]
    # Files and no pipes: whatever systemctl may start and leave behind would keep a pipe open.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as problems:
        try:
            code = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=problems,
                env={**os.environ, **_ENVIRONMENT},
                timeout=ANSWER_SECONDS,
                check=False,
            ).returncode
        except OSError as error:
            raise ServiceManagerRefused(
                f"systemctl cannot be executed: {error.strerror}", hint="units can only be stopped where systemd is"
            ) from None
        except subprocess.TimeoutExpired:
            raise ServiceManagerUnavailable(
                f"systemd has not answered to 'systemctl {words[0]}' within {ANSWER_SECONDS:g} s",
                hint="see 'systemctl status' and the journal",
            ) from None
        for file in (output, problems):
            file.seek(0)
        said, complaints = output.read().decode(errors="replace"), problems.read().decode(errors="replace")
    if code:
        _raise_for([line.strip().rstrip(".") for line in complaints.splitlines() if line.strip()], words[0], code)
    return said


def _raise_for(lines: Sequence[str], word: str, code: int) -> None:
    """Raise what the complaints mean; a unit that is not loaded (any more) is stopped, which is none of ours."""
    complaints = [line for line in lines if not _IS_STOPPED.search(line) and not _ADVICE.match(line)]
    if lines and not complaints:
        return
    text = "; ".join(complaints) or f"systemctl {word} ended with {code}"
    lower = text.lower()
    if _NOT_THERE in lower:
        raise ServiceManagerRefused("systemd does not run here", hint="units can only be stopped where it is process 1")
    if any(words in lower for words in _NO_ANSWER):
        raise ServiceManagerUnavailable(text, hint="see 'systemctl status' and the journal")
    if any(words in lower for words in _DENIED):
        raise ServiceManagerDenied(
            f"systemd does not let us: {text}",
            hint="run the hook as root, or allow the polkit action org.freedesktop.systemd1.manage-units to its user",
        )
    raise ServiceManagerRefused(text)
