"""The real daemon, which kills itself when it reaches a point.

A point is the moment before or after an order to a child, or before or after a write of the journal or of a report.
Every point that is reached goes to a file by its name; at the one with the fatal number the process sends itself
SIGKILL. What it is made of is what ``spotwatch run`` is made of, but for these points.

    python -m tests.crash.daemon --points FILE [--fatal N] [--hold FILE] --config FILE
"""

import json
import os
import signal
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from spotwatch.cli.options import add_settings_options, load_settings
from spotwatch.core.process import Command
from spotwatch.core.report import DrainReport
from spotwatch.core.settings import StateSettings
from spotwatch.daemon.loop import Daemon
from spotwatch.host.journal import Journal
from spotwatch.host.lock import DirectoryLock
from spotwatch.host.machine import Machine
from spotwatch.host.records import Records
from spotwatch.host.service_manager import ServiceManager, environment_for_children
from spotwatch.log import make_log
from spotwatch.watch.connection import Connection
from spotwatch.watch.watcher import Watcher


class Points:
    """Counts the points that are reached.

    Args:
        path: where their names go, a line each; what is written there outlives the process.
        fatal: the number of the point to die at; 0 for none.
        hold: a file to make at once before dying: as long as it is there the hooks do not end.
    """

    def __init__(self, path: Path, *, fatal: int = 0, hold: Path | None = None) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._fatal = fatal
        self._hold = hold
        self._count = 0

    @contextmanager
    def around(self, deed: str) -> Iterator[None]:
        """A point before and a point after what is done in the context."""
        self.reach(f"before {deed}")
        yield
        self.reach(f"after {deed}")

    def reach(self, name: str) -> None:
        """A point; the process may end here."""
        self._count += 1
        os.write(self._file, f"{name}\n".encode())
        if self._count == self._fatal:
            if self._hold is not None:
                self._hold.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class MortalJournal(Journal):
    """A journal with points around each of its writes about drains."""

    def __init__(self, directory: str, points: Points) -> None:
        super().__init__(directory)
        self._points = points
        self._steps = 0

    def open_drain(self, drain: str, boot: str, opening: str) -> str:
        with self._points.around("open_drain"):
            return super().open_drain(drain, boot, opening)

    def add_step(self, drain: str, at: float, happening: str, orders: str) -> str:
        self._steps += 1
        document = json.loads(happening)
        told = " ".join(filter(None, (document["what"], document.get("hook"))))
        with self._points.around(f"add_step {self._steps}: {told}"):
            return super().add_step(drain, at, happening, orders)

    def keep_report(self, drain: str, report: str) -> str:
        with self._points.around("keep_report in the journal"):
            return super().keep_report(drain, report)

    def close_drain(self, drain: str, note: str) -> str:
        with self._points.around(f"close_drain: {note}"):
            return super().close_drain(drain, note)


class MortalMachine(Machine):
    """A machine with points around each order to a child."""

    def __init__(self, points: Points) -> None:
        super().__init__()
        self._points = points

    def start(self, name: str, command: Command, *, output_limit: int) -> int:
        with self._points.around(f"start {_hook(name)}"):
            return super().start(name, command, output_limit=output_limit)

    def adopt(self, name: str, environment: Mapping[str, str], output: str, *, output_limit: int) -> bool:
        self._points.reach(f"before adopt {_hook(name)}")
        lives = super().adopt(name, environment, output, output_limit=output_limit)
        self._points.reach(f"after adopt {_hook(name)}, which {'lives' if lives else 'is gone'}")
        return lives

    def terminate(self, name: str) -> None:
        with self._points.around(f"terminate {_hook(name)}"):
            super().terminate(name)

    def kill(self, name: str) -> None:
        with self._points.around(f"kill {_hook(name)}"):
            super().kill(name)


class MortalRecords(Records):
    """Records with points around the writing of a report."""

    def __init__(self, settings: StateSettings, points: Points) -> None:
        super().__init__(settings)
        self._points = points

    def keep_report(self, report: DrainReport, *, keep: int) -> str:
        with self._points.around(f"keep_report of {report.event} in its file"):
            return super().keep_report(report, keep=keep)


def _hook(child: str) -> str:
    """The name of the hook that a child is of."""
    return child.rpartition("/")[2]


@contextmanager
def composed(arguments: Namespace, points: Points) -> Iterator[Daemon]:
    """The daemon with all its parts, as `spotwatch.cli.run` makes it."""
    settings = load_settings(arguments)
    records = MortalRecords(settings.state, points)
    records.prepare()
    with (
        DirectoryLock(settings.state.runtime_directory),
        MortalMachine(points) as machine,
        closing(MortalJournal(settings.state.directory, points)) as journal,
        closing(Watcher(Connection, settings.metadata, settings.drain.limit, machine.instant)) as watcher,
    ):
        yield Daemon(
            settings,
            load=lambda: load_settings(arguments),
            machine=machine,
            watcher=watcher,
            manager=ServiceManager({}),
            records=records,
            journal=journal,
            environment=environment_for_children(os.environ),
            log=make_log(settings.log),
        )


def main() -> None:
    """Live until SIGTERM, or until the fatal point."""
    parser = ArgumentParser()
    add_settings_options(parser)
    parser.add_argument("--points", type=Path, required=True)
    parser.add_argument("--fatal", type=int, default=0)
    parser.add_argument("--hold", type=Path)
    arguments = parser.parse_args()
    with composed(arguments, Points(arguments.points, fatal=arguments.fatal, hold=arguments.hold)) as daemon:
        daemon.run()


if __name__ == "__main__":
    main()
