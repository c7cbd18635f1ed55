"""The last seconds of a log volume: ``python -m spotwatch.host.final_sync``, a process that outlives the hook.

It syncs the file system every second, copies the drain's report onto it, freezes it near the deadline, and thaws it
when the instance lives on. It is told what to do by its environment (`ENVIRONMENT`), because systemd expands words of a
command and leaves these alone.

What this survives:

- The death of the hook and of the daemon: it is a unit of its own, started by systemd.
- Its own death while the file system is frozen, also by SIGKILL: the unit's ExecStopPost= runs `thaw`.
- A shutdown of the instance: SIGTERM thaws at once, and the unit comes after the mount, which is then unmounted.
- Somebody else's freeze, at the same moment: it is left alone, and ours follows.
- A frozen file system under our own feet: everything that is needed is loaded before, and nothing is printed then.
"""

import contextlib
import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from spotwatch.host import freeze
from spotwatch.host.notes_on_volume import write_note

MOUNT_POINT: Final = "SPOTWATCH_MOUNT_POINT"
FREEZE_AT: Final = "SPOTWATCH_FREEZE_AT"
UNTIL: Final = "SPOTWATCH_UNTIL"
REPORT: Final = "SPOTWATCH_REPORT"
ENVIRONMENT: Final = (MOUNT_POINT, FREEZE_AT, UNTIL, REPORT)

INTERVAL: Final = 1.0
"""Seconds between two syncs: what a power cut may cost at the most. A sync takes 11 to 14 ms."""

_BUSY_INTERVAL: Final = 0.1
"""Seconds between two attempts to freeze what somebody else has frozen, as tools for snapshots do for a moment."""

_STOP: Final = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do; times in seconds on the boot clock.

    Attributes:
        mount_point: where the file system is.
        until: when to thaw it, and end.
        freeze_at: when to freeze it; None: never.
        report: the path of the report that is copied to it; empty: none.
    """

    mount_point: str
    until: float
    freeze_at: float | None = None
    report: str = ""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """What `to_environment` wrote."""
        freeze_at = environment.get(FREEZE_AT, "")
        return cls(
            mount_point=environment[MOUNT_POINT],
            until=float(environment[UNTIL]),
            freeze_at=float(freeze_at) if freeze_at else None,
            report=environment.get(REPORT, ""),
        )

    def to_environment(self) -> dict[str, str]:
        """All of it, for another process."""
        freeze_at = "" if self.freeze_at is None else str(self.freeze_at)
        return dict(zip(ENVIRONMENT, (self.mount_point, freeze_at, str(self.until), self.report), strict=True))


def main(word: str = "") -> int:
    """Do what the environment says; with ``thaw`` only thaw, unless the process that this comes after has done so."""
    plan = Plan.read(os.environ)
    if word == "thaw":
        if os.environ.get("SERVICE_RESULT") != "success":  # systemd.exec(5)
            with contextlib.suppress(OSError), freeze.opened(plan.mount_point) as descriptor:
                freeze.thaw(descriptor)
        return 0
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
    with freeze.opened(plan.mount_point) as descriptor:
        _carry_out(plan, descriptor)
    return 0


class _ToldToStop(Exception):
    """SIGTERM: somebody wants to unmount the volume, or the instance shuts down."""


def _carry_out(plan: Plan, descriptor: int) -> None:
    copy_report = report_copier(plan.report, plan.mount_point)

    def sync() -> None:
        _tell(copy_report())
        try:
            freeze.sync(descriptor)
        except OSError as error:
            _tell(f"{plan.mount_point} cannot be synced: {error.strerror}")

    with contextlib.suppress(_ToldToStop):
        _sync_and_freeze(plan, descriptor, sync)
    sync()


def _sync_and_freeze(plan: Plan, descriptor: int, sync: Callable[[], None]) -> None:
    _wait(plan.until if plan.freeze_at is None else plan.freeze_at, sync)
    if plan.freeze_at is None:
        return
    sync()
    if problem := _freeze(descriptor, plan.until):
        _tell(f"{plan.mount_point} cannot be frozen: {problem}")
        _wait(plan.until, sync)
        return
    try:
        _wait(plan.until, _nothing)
    finally:
        freeze.thaw(descriptor)
    _tell(f"{plan.mount_point} was frozen; thawed, since the instance is still there")


def _freeze(descriptor: int, until: float) -> str:
    """Freeze it, as soon as nobody else has; why that could not be, or an empty text."""
    while True:
        try:
            freeze.freeze(descriptor)
        except OSError as error:
            if error.errno != errno.EBUSY or _now() >= until:
                return error.strerror or str(error)
            _wait(min(until, _now() + _BUSY_INTERVAL), _nothing)
        else:
            return ""


def _nothing() -> None:
    pass


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _wait(until: float, meanwhile: Callable[[], None]) -> None:
    """Wait, and do something every `INTERVAL`.

    Raises:
        _ToldToStop: before the time was up.
    """
    while (left := until - _now()) > 0:
        meanwhile()
        if signal.sigtimedwait(_STOP, min(INTERVAL, left)) is not None:
            raise _ToldToStop


def report_copier(source: str, mount_point: str) -> Callable[[], str]:
    """What copies the report if it has changed since the last time; it answers why it could not, or an empty text."""
    copied = ""

    def copy() -> str:
        nonlocal copied
        try:
            with open(source, encoding="utf-8") as file:
                text = file.read()
        except (OSError, ValueError):
            return ""  # there is none yet
        if text == copied:
            return ""
        copied = text
        return write_note(mount_point, f"reports/{os.path.basename(source)}", text)

    return copy


def _tell(text: str) -> None:
    """For the unit's log."""
    if text:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
