"""What the loop needs of the world around it, and what it may rely on. `spotwatch.cli` hands in the real ones."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from spotwatch.core.instant import Instant
from spotwatch.core.process import ChildEnded, SignalCame
from spotwatch.core.report import DrainReport
from spotwatch.drain.execution import Runner
from spotwatch.drain.journal import Journal


class Machine(Runner, Protocol):
    """The machine as the loop needs it: clocks, children, and the one wait."""

    def instant(self) -> Instant:
        """Both clocks, now."""
        ...

    def wait(self, until: float | None) -> Sequence[ChildEnded | SignalCame]:
        """Wait until this moment of the boot clock, or until something happens, whichever is first."""
        ...

    def end_strays(self, state_directory: str) -> int:
        """End what an earlier life with this state directory has started and nobody has adopted; how many processes."""
        ...

    @property
    def boot_id(self) -> str:
        """What tells this boot from every other."""
        ...

    def output_tail(self, name: str) -> str:
        """The last lines of a child's output, for the log; empty if there is none."""
        ...


class ServiceManager(Protocol):
    """systemd, as sd_notify(3) reaches it; every method does nothing where it is not there."""

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds between two signs of life, None if nobody watches."""
        ...

    def ready(self, status: str) -> None:
        """The daemon is up (also after a reload)."""
        ...

    def status(self, status: str) -> None:
        """One line for ``systemctl status``."""
        ...

    def watchdog(self) -> None:
        """A sign of life."""
        ...

    def reloading(self) -> None:
        """The settings are being read again."""
        ...

    def stopping(self, status: str) -> None:
        """The daemon is leaving."""
        ...

    def extend_timeout(self, seconds: float) -> None:
        """A stop will take this much longer."""
        ...


class Records(Protocol):
    """Where what the daemon has to say is kept. No method raises: what cannot be kept is answered as a reason."""

    def output_directory(self, drain: str) -> str:
        """The directory for the outputs of a drain, made if it can be."""
        ...

    def keep_report(self, report: DrainReport, *, keep: int) -> str:
        """Keep a report, and no more than `keep` in all; why it could not be kept, or an empty text."""
        ...

    def show_status(self, status: Mapping[str, Any]) -> str:
        """Show what the daemon sees now; why it could not be shown, or an empty text."""
        ...


class OpenDrain(Protocol):
    """A drain of the journal that is not closed: the texts that were written."""

    @property
    def id(self) -> str:
        """The drain's id."""
        ...

    @property
    def boot(self) -> str:
        """The boot that it belongs to."""
        ...

    @property
    def opening(self) -> str:
        """What it began with."""
        ...

    @property
    def steps(self) -> Sequence[tuple[float, str]]:
        """When the machine was fed what, in order."""
        ...


class DrainRequest(Protocol):
    """Somebody has asked for a drain (``spotwatch drain``)."""

    @property
    def event(self) -> str:
        """The kind of event to act as if it had been announced."""
        ...

    @property
    def seconds(self) -> float:
        """The time there is."""
        ...

    @property
    def number(self) -> int:
        """What tells it from other requests."""
        ...


class Requests(Protocol):
    """What ``spotwatch drain`` asks for."""

    def waiting(self) -> Sequence[DrainRequest]:
        """The requests that nobody has taken, the oldest first."""
        ...

    def take(self, number: int, drain: str) -> str:
        """Write which drain a request became; with an empty id, that it was refused."""
        ...


class JournalFile(Journal, Protocol):
    """The journal, as the loop reads it."""

    @property
    def requests(self) -> Requests:
        """Those for a drain by hand."""
        ...

    def unfinished(self) -> Sequence[OpenDrain]:
        """The drains that are not closed, the oldest first."""
        ...

    def report(self, drain: str) -> str | None:
        """The report of a drain as it was kept last, None if there is none."""
        ...

    def prune(self, *, keep: int, not_before: str, at_most_bytes: int) -> str:
        """Forget closed drains that are too many, too old or take too much room."""
        ...
