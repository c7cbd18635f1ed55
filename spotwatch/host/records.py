"""Where the daemon keeps what it has to say: reports and outputs in the state directory, its status beside the lock.

What this survives: a full, read-only or missing disk. Nothing here raises once the daemon runs; what could not be kept
is answered as a reason, and the drain goes on.
"""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from spotwatch.core.errors import NotRunning, StateUnavailable
from spotwatch.core.reading import parse_json_object
from spotwatch.core.report import DrainReport
from spotwatch.core.settings import StateSettings
from spotwatch.host.files import write_atomically


class Records:
    """The files of one state directory and one runtime directory."""

    def __init__(self, settings: StateSettings) -> None:
        self._reports = Path(settings.directory, "reports")
        self._outputs = Path(settings.directory, "output")
        self._runtime = Path(settings.runtime_directory)

    def prepare(self) -> str:
        """Make the directories; why the state directory could not be made, or an empty text.

        Raises:
            StateUnavailable: the runtime directory cannot be made, so no lock can be held there.
        """
        try:
            self._runtime.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            raise StateUnavailable(
                f"{self._runtime} cannot be made: {error.strerror}",
                hint="run as root, or set state.runtime_directory to a directory that you may write to",
            ) from None
        return self._make(self._reports) or self._make(self._outputs) or self._try_to_write()

    def _try_to_write(self) -> str:
        """Why a file could not be written at this moment; a full disk still lets directories be made."""
        trial = self._reports / ".trial"
        problem = _write(trial, "written to see whether the disk takes it\n", durable=False)
        with suppress(OSError):
            trial.unlink()
        return problem

    def output_directory(self, drain: str) -> str:
        """The directory for the outputs of a drain, made if it can be."""
        directory = self._outputs / drain
        self._make(directory)
        return str(directory)

    def keep_report(self, report: DrainReport, *, keep: int) -> str:
        """Keep a report, and no more than `keep` in all; why it could not be kept, or an empty text."""
        text = json.dumps(report.to_json(), indent=2) + "\n"
        problem = self._make(self._reports)
        if not problem:
            problem = _write(self._reports / f"{report.drain}.json", text, durable=True)
        self._prune(keep)
        return problem

    def show_status(self, status: Mapping[str, Any]) -> str:
        """Show what the daemon sees now; why it could not be shown, or an empty text."""
        return _write(self._runtime / "status.json", json.dumps(status, indent=2) + "\n", durable=False)

    def read_status(self) -> dict[str, Any]:
        """What a daemon showed last.

        Raises:
            NotRunning: there is nothing to read.
        """
        path = self._runtime / "status.json"
        try:
            return parse_json_object(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise NotRunning(
                f"no daemon has left a status in {self._runtime}",
                hint="start it with 'systemctl start spotwatch', or name its settings with --config",
            ) from None
        except OSError as error:
            raise NotRunning(f"{path} cannot be read: {error.strerror}", hint=_AS_ROOT) from None
        except ValueError as error:
            raise NotRunning(f"{path} is no status of a daemon: {error}", hint="start the daemon again") from None

    def reports(self) -> list[DrainReport]:
        """The reports that can be understood, the oldest first.

        Raises:
            StateUnavailable: there are some, and we may not read them.
        """
        try:
            return [report for path in self._report_files() if (report := _read_report(path)) is not None]
        except OSError as error:
            raise StateUnavailable(f"{self._reports} cannot be read: {error.strerror}", hint=_AS_ROOT) from None

    def _report_files(self) -> list[Path]:
        """Raises OSError when they cannot be listed; that there is no directory means that there are none."""
        try:
            return sorted(path for path in self._reports.iterdir() if path.suffix == ".json")
        except FileNotFoundError:
            return []

    def _prune(self, keep: int) -> None:
        """Remove the oldest reports, and every output directory without a report."""
        with suppress(OSError):
            files = self._report_files()
            for path in files[:-keep]:
                path.unlink()
            kept = {path.stem for path in files[-keep:]}
            for directory in self._outputs.iterdir():
                if directory.name not in kept and len(kept) >= keep:
                    shutil.rmtree(directory, ignore_errors=True)

    def _make(self, directory: Path) -> str:
        try:
            directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            return f"{directory} cannot be made: {error.strerror}"
        return ""


_AS_ROOT = "run as the daemon's user, or as root"


def _write(path: Path, text: str, *, durable: bool) -> str:
    try:
        write_atomically(path, text, durable=durable)
    except OSError as error:
        return f"{path} cannot be written: {error.strerror or os.strerror(error.errno or 0)}"
    return ""


def _read_report(path: Path) -> DrainReport | None:
    """The report in a file; None if it is none, such as one of another version or one that has just been pruned."""
    try:
        return DrainReport.from_json(parse_json_object(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, IsADirectoryError, ValueError):
        return None
