"""What others can see of the daemon: one line for systemd, a document for ``spotwatch status``."""

from dataclasses import asdict
from typing import Any

from spotwatch import __version__
from spotwatch.core.instant import Instant, format_utc
from spotwatch.core.quantity import format_duration
from spotwatch.daemon.drains import Drains
from spotwatch.watch.watcher import Watcher


def status_line(watcher: Watcher, drains: Drains, now: Instant) -> str:
    """What is going on and when the last good poll was."""
    last = watcher.last_good_poll
    poll = f"last good poll {last.utc:%H:%M:%S} UTC" if last else "the metadata service has not answered yet"
    trouble = "; the metadata service is in trouble" if watcher.trouble else ""
    return f"{_doing(drains, now)}; {poll}{trouble}"


def status_document(watcher: Watcher, drains: Drains, now: Instant) -> dict[str, Any]:
    """The same and more, for programs."""
    last, skew = watcher.last_good_poll, watcher.skew
    return {
        "doing": _doing(drains, now),
        "last_good_poll": format_utc(last.utc) if last else None,
        "metadata_service": watcher.version or None,
        "trouble": watcher.trouble,
        "announced": sorted(watcher.announced),
        "clock_skew_seconds": round(skew.estimate.total_seconds(), 3) if skew.known else None,
        "instance": asdict(watcher.instance),
        "drain": drains.current.notes.drain if drains.current else None,
        "last_report": drains.last_report.drain if drains.last_report else None,
        "version": __version__,
    }


def _doing(drains: Drains, now: Instant) -> str:
    current = drains.current
    if current is None:
        return "watching"
    if current.finished:
        return f"drained for {current.event.kind}"
    left = format_duration(max(0.0, current.deadline - now.boot))
    running = ", ".join(current.running) or "waiting"
    return f"draining for {current.event.kind}, {left} left: {running}"
