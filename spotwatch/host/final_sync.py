"""The last seconds of a log volume: ``python -m spotwatch.host.final_sync``, a process that outlives the hook.

It syncs the file system every second, copies the drain's report onto it, freezes it near the deadline, and thaws it
when the instance lives on. It is told what to do by its environment (`ENVIRONMENT`), because systemd expands words of a
command and leaves these alone.

What this survives:

- The death of the hook and of the daemon: it is a unit of its own, started by systemd.
- Its own death while the file system is frozen, also by SIGKILL: the unit's ExecStopPost= runs `thaw`.
- A shutdown of the instance: SIGTERM thaws at once, and the unit comes after the mount, which is then unmounted.
- A frozen file system under our own feet: everything that is needed is loaded before, and nothing is printed then.
"""

import contextlib
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
        return _carry_out(plan, descriptor)


def _carry_out(plan: Plan, descriptor: int) -> int:
    copy_report = report_copier(plan.report, plan.mount_point)

    def sync() -> None:
        _tell(copy_report())
        try:
            freeze.sync(descriptor)
        except OSError as error:
            _tell(f"{plan.mount_point} cannot be synced: {error.strerror}")

    told_to_stop = _wait(plan.until if plan.freeze_at is None else plan.freeze_at, sync)
    sync()
    if told_to_stop or plan.freeze_at is None:
        return 0
    try:
        freeze.freeze(descriptor)
    except OSError as error:
        _tell(f"{plan.mount_point} cannot be frozen: {error.strerror}")
        _wait(plan.until, sync)
        return 0
    try:
        _wait(plan.until, lambda: None)
    finally:
        freeze.thaw(descriptor)
    _tell(f"{plan.mount_point} was frozen; thawed, since the instance is still there")
    return 0


def _wait(until: float, meanwhile: Callable[[], None]) -> bool:
    """Wait, and do something every `INTERVAL`; whether we were told to stop before the time was up."""
    while (left := until - time.clock_gettime(time.CLOCK_BOOTTIME)) > 0:
        meanwhile()
        if signal.sigtimedwait(_STOP, min(INTERVAL, left)) is not None:
            return True
    return False


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
