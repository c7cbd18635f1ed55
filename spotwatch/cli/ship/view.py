"""What is seen of a shipment while it goes on: a bar for each volume on a terminal, else a line in the log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol

from spotwatch.cli.ship.draft import Progress
from spotwatch.core.errors import UsageError
from spotwatch.core.settings import LogSettings

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from spotwatch.log import Log

LOG_SECONDS: Final = 30.0
"""Between two lines about one volume."""

Told = Callable[[Progress], None]


class View(Protocol):
    """Shows how far volumes have come; from several threads."""

    def volume(self, name: str) -> AbstractContextManager[Told]:
        """While a volume is read: what is to be told of its progress."""
        ...


@contextmanager
def view(settings: LogSettings) -> Iterator[View]:
    """The view for standard error as it is.

    Raises:
        UsageError: it is a terminal, and the package that draws on it is missing.
    """
    if not sys.stderr.isatty():
        yield LogView(settings)
        return
    with _bars() as bars:
        yield bars


class LogView:
    """Writes records."""

    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings

    @cached_property
    def _log(self) -> "Log":
        """Made when there is something to write: it takes a tenth of a second, in which a volume is being opened."""
        from spotwatch.log import make_log

        return make_log(self._settings)

    @contextmanager
    def volume(self, name: str) -> Iterator[Told]:
        """See `View.volume`."""
        begun = time.monotonic()
        said: float | None = None
        last = Progress()

        def told(progress: Progress) -> None:
            nonlocal said, last
            last = progress
            if said is None:
                said = time.monotonic()
                self._log.info("ship-started", volume=name)
            elif time.monotonic() - said >= LOG_SECONDS:
                said = time.monotonic()
                self._log.info("ship-progress", volume=name, bytes=progress.done, of=progress.total)

        yield told
        seconds = round(time.monotonic() - begun, 1)
        self._log.info("ship-read", volume=name, bytes=last.done, of=last.total, seconds=seconds)


@contextmanager
def _bars() -> Iterator[View]:
    try:
        from rich import progress
        from rich.console import Console
    except ImportError:
        raise UsageError(
            "the progress bar needs the package rich", hint="install the extra: pip install '.[ship]'"
        ) from None
    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _Bars(bars)


class _Bars:
    """Draws bars."""

    def __init__(self, bars: "Bars") -> None:
        self._bars = bars

    @contextmanager
    def volume(self, name: str) -> Iterator[Told]:
        """See `View.volume`."""
        task = self._bars.add_task(name, total=None)
        try:
            yield lambda progress: self._bars.update(task, completed=progress.done, total=progress.total)
        finally:
            self._bars.remove_task(task)
